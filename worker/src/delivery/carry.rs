//! Carrying one claimed record through: asks the engine for each step, makes the call, and stores what became of it. Every way out either stores
//! something or leaves the record as it was found.

use crosstie_connect::{Outgoing, Written};
use crosstie_engine::{
    delivery::{Change, Next, OpenIntent, Resolved, spares_system},
    plan::LookUp,
};

use super::{
    answers::{overloaded, sent},
    conclude::{await_parent, conclude},
    decide::{Decided, Sending, decided},
    look::Look,
    pair::{self, Held},
    passage::Passage,
};
use crate::{
    calls::Caller,
    gates::Probe,
    lane::Lane,
    slots::Slot,
    store::{Claimed, ParentKey, StoreError},
};

/// Carries a record as far as it comes now. `probe` is the leave of an open circuit that lets it through as the only one. The slot is given back as
/// soon as the vendor has answered: what is stored then holds up no other call.
pub async fn carry(lane: &Lane, claimed: Box<Claimed>, probe: Option<Probe>, slot: Slot) {
    let caller = Caller::record(lane, &claimed);
    let mut carrier = Carrier::new(lane, claimed, probe, slot);
    // A store that is closed ends the process's work; the record is found again as it was stored last.
    let _closed = caller.makes(carrier.run()).await;
}

/// Carries a record of which it is known already what is to be sent.
pub async fn carry_decided(
    lane: &Lane,
    claimed: Box<Claimed>,
    sending: Sending,
    (probe, slot): (Option<Probe>, Slot),
) -> Result<(), StoreError> {
    let caller = Caller::record(lane, &claimed);
    let mut carrier = Carrier::new(lane, claimed, probe, slot);
    carrier.open(sending).await?;
    caller.makes(carrier.run()).await
}

struct Carrier<'a> {
    lane: &'a Lane,
    claimed: Box<Claimed>,
    passage: Passage<'a>,
    slot: Option<Slot>,
    /// What the record was found to wait for.
    parent: Option<ParentKey>,
    /// Keeps its twin from being carried meanwhile, where it has a pair.
    held: Option<Held>,
}

impl<'a> Carrier<'a> {
    fn new(lane: &'a Lane, claimed: Box<Claimed>, probe: Option<Probe>, slot: Slot) -> Self {
        Self { lane, claimed, passage: Passage::new(lane, probe), slot: Some(slot), parent: None, held: None }
    }

    async fn run(&mut self) -> Result<(), StoreError> {
        if let Some(paired) = &self.lane.paired {
            self.held = Box::pin(pair::hold(self.lane, paired, &self.claimed)).await?;
            if self.held.is_none() {
                let change = pair::busy(self.lane, &self.claimed);
                return conclude(self.lane, [(&*self.claimed, change)].into_iter()).await;
            }
        }
        loop {
            let change = match self.lane.judge().next(&self.claimed.facts) {
                Next::Evaluate => match self.evaluate().await? {
                    Some(change) => Some(change),
                    None => self.send().await,
                },
                Next::Send => self.send().await,
                Next::LookUp => Box::pin(self.look_up()).await?,
                Next::Wait(until) => Some(self.lane.judge().waits(&self.claimed.facts, until)),
                Next::Hold => Some(self.lane.judge().held(&self.claimed.facts)),
                Next::GiveUp => Some(self.lane.judge().given_up(&self.claimed.facts)),
            };
            if let Some(change) = change {
                return match self.parent.take() {
                    Some(parent) => await_parent(self.lane, &self.claimed, parent, change).await,
                    None => conclude(self.lane, [(&*self.claimed, change)].into_iter()).await,
                };
            }
        }
    }

    /// Finds out what is to be done about the record. None when there is an intent to send now.
    async fn evaluate(&mut self) -> Result<Option<Change>, StoreError> {
        let sending = match decided(self.lane, &mut self.claimed, self.held.as_mut(), self.passage.probes()).await? {
            Decided::Done(change) => return Ok(Some(change)),
            Decided::Await(parent, change) => {
                self.parent = Some(parent);
                return Ok(Some(change));
            }
            Decided::Write(sending) | Decided::Delete(sending) => sending,
        };
        self.open(sending).await?;
        Ok(None)
    }

    async fn open(&mut self, sending: Sending) -> Result<(), StoreError> {
        let (lane, intent) = (self.lane, sending.intent(self.lane, &self.claimed));
        self.claimed.facts.intent = Some(lane.store_trouble.changed(lane.store.open_intent(intent).await)?);
        Ok(())
    }

    /// Sends the open intent. None when there is nothing left to send.
    async fn send(&mut self) -> Option<Change> {
        let lane = self.lane;
        let deletes = self.claimed.facts.intent.as_ref()?.deletes;
        let gate = &lane.gates.of(deletes).send;
        if let Some(until) = self.passage.held_back(gate) {
            return Some(lane.judge().waits_for_circuit(&self.claimed.facts, until));
        }
        let open = self.claimed.facts.intent.as_ref()?;
        let key = open.operation.outcome.idempotency.as_ref().map(|_| open.intent.idempotency_key.as_str());
        self.claimed.guard.sending();
        let identifier = match &self.held {
            Some(held) => held.identifier.as_deref(),
            None => self.claimed.facts.ledger.as_ref().and_then(|ledger| ledger.identifier.as_deref()),
        };
        let outgoing = Outgoing { body: &open.body, identifier, idempotency_key: key };
        let written = lane.destination.write(&open.operation, outgoing).await;
        self.slot = None;
        let weather = match &written {
            Written::Applied { .. } | Written::Refused { .. } | Written::Ignored { .. } | Written::Missing => {
                self.passage.well(gate).await
            }
            Written::NotSent { failure } | Written::Unknown { failure } => {
                let (failures, before) = (&self.claimed.facts.failures, gate.tally());
                let spared = spares_system(failures, overloaded(failure), failure.retry_after, before);
                self.passage.failed(gate, &open.operation.name, failure, (before, spared)).await
            }
        };
        let open = self.claimed.facts.intent.as_ref()?;
        Some(self.lane.judge().sent(&self.claimed.facts, open, sent(written), weather))
    }

    /// Looks the open intent up. None when it was not applied and is closed.
    async fn look_up(&mut self) -> Result<Option<Change>, StoreError> {
        let lane = self.lane;
        let Some((open, lookup)) = self.wanted() else { return Ok(Some(self.lane.judge().held(&self.claimed.facts))) };
        let look = Look {
            operation: &open.operation,
            lookup: &lookup,
            body: &open.body,
            decided: open.intent.stored_at,
            deletes: open.deletes,
        };
        let send = self.passage.take_leave();
        let looked_up = look.take(lane, &self.claimed.facts, &mut self.passage).await;
        self.passage.keep_leave(send);
        let looked_up = match looked_up {
            Ok(looked_up) => looked_up,
            Err(change) => return Ok(Some(*change)),
        };
        lane.metrics.resolved(&lane.flow.name);
        match self.lane.judge().looked_up(&self.claimed.facts, &open, &looked_up) {
            Resolved::Done(change) => Ok(Some(change)),
            Resolved::NotApplied => {
                lane.store_trouble.changed(lane.store.close_intent(self.claimed.id).await)?;
                self.claimed.facts.intent = None;
                Ok(None)
            }
        }
    }

    fn wanted(&self) -> Option<(OpenIntent, LookUp)> {
        let open = self.claimed.facts.intent.clone()?;
        let lookup = open.operation.outcome.lookup.clone()?;
        Some((open, lookup))
    }
}
