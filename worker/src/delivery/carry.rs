//! Carrying one claimed record through: asks the engine for each step, makes the call, and stores what became of it. Every way out either stores
//! something or leaves the record as it was found.

use std::sync::Arc;

use crosstie_connect::{CallFailure, Outgoing, Written};
use crosstie_engine::{
    circuit::Admission,
    delivery::{Change, Mapped, Next, OpenIntent, Postponement, Resolved, Settled, Weather, spares_system},
    plan::LookUp,
};

use super::{
    answers::{found, overloaded, sent, setback},
    want::{Stop, wanted},
};
use crate::{
    gate::Gate,
    gates::{Admitted, Probe, admit, again},
    lane::Lane,
    metrics::Outcome,
    slots::Slot,
    store::{Burial, Claimed, NewIntent, ParentKey, Settlement, StoreError},
};

/// Carries a record as far as it comes now. `probe` is the leave of an open circuit that lets it through as the only one. The slot is given back as
/// soon as the vendor has answered: what is stored then holds up no other call.
pub async fn carry(lane: &Lane, claimed: Claimed, probe: Option<Probe>, slot: Slot) {
    let mut carrier = Carrier { lane, claimed, probe, slot: Some(slot), parent: None };
    // A store that is closed ends the process's work; the record is found again as it was stored last.
    let _closed = carrier.run().await;
}

struct Carrier<'a> {
    lane: &'a Lane,
    claimed: Claimed,
    /// The leave to call through an open circuit.
    probe: Option<Probe>,
    slot: Option<Slot>,
    /// What the record was found to wait for.
    parent: Option<ParentKey>,
}

impl Carrier<'_> {
    async fn run(&mut self) -> Result<(), StoreError> {
        loop {
            let change = match self.lane.judge().next(&self.claimed.facts) {
                Next::Evaluate => match self.evaluate().await? {
                    Some(change) => Some(change),
                    None => self.send().await,
                },
                Next::Send => self.send().await,
                Next::LookUp => self.look_up().await?,
                Next::Wait(until) => Some(self.lane.judge().waits(&self.claimed.facts, until)),
                Next::Hold => Some(self.lane.judge().held(&self.claimed.facts)),
                Next::GiveUp => Some(self.lane.judge().given_up(&self.claimed.facts)),
            };
            if let Some(change) = change {
                return self.store(change).await;
            }
        }
    }

    /// Finds out what is wanted of the record. None when there is an intent to send now.
    async fn evaluate(&mut self) -> Result<Option<Change>, StoreError> {
        let lane = self.lane;
        let wanted = match wanted(lane, &mut self.claimed, self.probe.is_some()).await {
            Ok(wanted) => Ok(wanted),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Done(change)) => return Ok(Some(*change)),
            Err(Stop::Store(error)) => return Err(error),
            Err(Stop::Await(parent, change)) => {
                self.parent = Some(parent);
                return Ok(Some(*change));
            }
        };
        lane.facts.mapped(wanted.as_ref().err().map(ToString::to_string));
        let (operation, body, body_hash, deletes) = match self.lane.judge().mapped(&self.claimed.facts, wanted) {
            Mapped::Done(change) => return Ok(Some(change)),
            Mapped::Write(body, body_hash) => (&lane.operation, body, body_hash, false),
            Mapped::Delete(body, body_hash) => match &lane.delete_operation {
                Some(operation) => (operation, body, body_hash, true),
                // Nothing wants a delete of a flow without the means; a write must never stand in for one.
                None => return Ok(Some(Change::Settle(Settled::LeftOut))),
            },
        };
        let intent = NewIntent {
            record: self.claimed.id,
            scope: self.claimed.scope,
            flow: lane.flow.name.clone(),
            key: self.claimed.key.clone(),
            operation: Arc::clone(operation),
            body,
            body_hash,
            seen: self.claimed.facts.seen.clone(),
            deletes,
            now: lane.now(),
        };
        self.claimed.facts.intent = Some(lane.store_trouble.changed(lane.store.open_intent(intent).await)?);
        Ok(None)
    }

    /// Sends the open intent. None when there is nothing left to send.
    async fn send(&mut self) -> Option<Change> {
        let lane = self.lane;
        let deletes = self.claimed.facts.intent.as_ref()?.deletes;
        let gate = &lane.gates.of(deletes).send;
        if let Some(change) = self.held_back(gate) {
            return Some(change);
        }
        let open = self.claimed.facts.intent.as_ref()?;
        let key = open.operation.outcome.idempotency.as_ref().map(|_| open.intent.idempotency_key.as_str());
        self.claimed.guard.sending();
        let identifier = self.claimed.facts.ledger.as_ref().and_then(|ledger| ledger.identifier.as_deref());
        let outgoing = Outgoing { body: &open.body, identifier, idempotency_key: key };
        let written = lane.destination.write(&open.operation, outgoing).await;
        self.slot = None;
        let weather = match &written {
            Written::Applied { .. } | Written::Refused { .. } => {
                self.well(gate).await;
                Weather::default()
            }
            Written::NotSent { failure } | Written::Unknown { failure } => {
                let failure: &CallFailure = failure;
                lane.metrics.call_failed(&lane.flow.name, failure.kind);
                tracing::debug!(
                    flow = lane.flow.name,
                    kind = failure.kind.as_str(),
                    detail = failure.detail,
                    "a write failed"
                );
                self.unwell(gate, failure).await
            }
        };
        let open = self.claimed.facts.intent.as_ref()?;
        Some(self.lane.judge().sent(&self.claimed.facts, open, sent(written), weather))
    }

    /// Asks an operation's gate. Between claim and call its circuit may have opened, and what a record's operation is shows only now: it then
    /// waits for the circuit.
    fn held_back(&mut self, gate: &Arc<Gate>) -> Option<Change> {
        if self.probe.as_ref().is_some_and(|probe| probe.is_of(gate)) {
            return None;
        }
        self.probe = None;
        match admit(gate, &self.lane.clock) {
            Admitted::Pass => None,
            Admitted::Probe(probe) => {
                self.probe = Some(probe);
                None
            }
            Admitted::Wait(until) => {
                let again = again(until, self.lane.now());
                Some(self.lane.judge().waits_for_circuit(&self.claimed.facts, again))
            }
        }
    }

    /// A call showed that its operation is well. When that closes the circuit, what waited for it is due.
    async fn well(&mut self, gate: &Gate) {
        let closed = gate.well();
        self.probe = None;
        if closed {
            self.hasten().await;
        }
    }

    /// Counts a failed send, unless it is the record's own fault.
    async fn unwell(&mut self, gate: &Gate, failure: &CallFailure) -> Weather {
        let before = gate.tally();
        if spares_system(&self.claimed.facts.failures, overloaded(failure), failure.retry_after, before) {
            return Weather { before, after: before, open: gate.is_open() };
        }
        self.system_unwell(gate, failure).await
    }

    /// Counts a failure of the system. When that opens the circuit, records that wait for the system's sake become due: from then on the
    /// circuit decides.
    async fn system_unwell(&mut self, gate: &Gate, failure: &CallFailure) -> Weather {
        let lane = self.lane;
        let (weather, opened) = gate.unwell(failure, lane.now());
        self.probe = None;
        if opened {
            let operation = self.claimed.facts.intent.as_ref().map_or(&lane.flow.operation, |open| &open.operation);
            tracing::warn!(
                flow = lane.flow.name,
                operation = operation.name,
                kind = failure.kind.as_str(),
                detail = failure.detail,
                "the destination is not well: records wait in order"
            );
            self.hasten().await;
        }
        weather
    }

    async fn hasten(&self) {
        let lane = self.lane;
        let hastened = lane.store.hasten(lane.scope, lane.now()).await;
        // Without it those records wait for their own time instead of the circuit's.
        let _later = lane.store_trouble.changed(hastened);
        lane.wake.notify_one();
    }

    /// Looks the open intent up. None when it was not applied and is closed.
    async fn look_up(&mut self) -> Result<Option<Change>, StoreError> {
        let lane = self.lane;
        let Some((open, lookup)) = self.wanted() else { return Ok(Some(self.lane.judge().held(&self.claimed.facts))) };
        let gate = &lane.gates.of(open.deletes).look_up;
        let send = self.probe.take();
        let held_back = self.held_back(gate);
        if let Some(change) = held_back {
            self.probe = send;
            return Ok(Some(change));
        }
        let looked_up = match lane.destination.look_up(&open.operation, &lookup, &open.body).await {
            Ok(looked_up) => {
                self.well(gate).await;
                self.probe = send;
                found(looked_up)
            }
            Err(failure) => {
                lane.metrics.call_failed(&lane.flow.name, failure.kind);
                self.system_unwell(gate, &failure).await;
                self.probe = send;
                let until = match gate.outlook(lane.now()) {
                    Admission::Wait(until) => until,
                    Admission::Pass | Admission::Probe => None,
                };
                let due = again(until, lane.now());
                return Ok(Some(self.lane.judge().not_looked_up(&self.claimed.facts, setback(failure), due)));
            }
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

    /// Stores what became of the record, however long that takes: what a vendor has confirmed must not be forgotten while the process lives.
    async fn store(&self, change: Change) -> Result<(), StoreError> {
        let (lane, store) = (self.lane, &self.lane.store);
        let flow = &lane.flow.name;
        match change {
            Change::Settle(how) => {
                // What was sent is settled as the state it was made of.
                let facts = &self.claimed.facts;
                let seen = facts.intent.as_ref().map_or(&facts.seen, |open| &open.seen).clone();
                let key = self.claimed.key.clone();
                let (record, scope) = (self.claimed.id, self.claimed.scope);
                let settlement = Settlement {
                    record,
                    scope,
                    key,
                    seen,
                    how,
                    is_parent: !lane.dependents.is_empty(),
                    now: lane.now(),
                };
                lane.store_trouble.insist(|| store.settle(settlement.clone())).await?;
                lane.dependents.iter().for_each(|wake| wake.notify_one());
                lane.metrics.handled(flow, outcome(&settlement.how));
            }
            Change::AwaitParent(until) => {
                let Some(parent) = self.parent.clone() else { return Ok(()) };
                lane.store_trouble.insist(|| store.await_parent(self.claimed.id, parent.clone(), until)).await?;
            }
            Change::Postpone(postponement) => {
                lane.store_trouble.insist(|| store.postpone(self.claimed.id, postponement.clone())).await?;
                say_retry(flow, &postponement);
            }
            Change::Bury(failures) => {
                let (record, plan_hash) = (self.claimed.id, lane.plan_hash.clone());
                let burial = Burial { record, failures, plan_hash, now: lane.now() };
                lane.store_trouble.insist(|| store.bury(burial.clone())).await?;
                tracing::warn!(
                    flow,
                    cause = burial.failures.cause,
                    status = burial.failures.status,
                    attempts = burial.failures.attempts,
                    "a record went to the dead letters"
                );
                lane.metrics.handled(flow, Outcome::Buried);
            }
        }
        self.claimed.guard.stored();
        Ok(())
    }
}

/// Says that a record failed by its own fault and is tried again; that it waits for the system's sake is said when the circuit opens.
fn say_retry(flow: &str, postponement: &Postponement) {
    let failures = &postponement.failures;
    if !postponement.by_system && failures.attempts > 0 {
        tracing::warn!(
            flow,
            cause = failures.cause,
            status = failures.status,
            attempts = failures.attempts,
            again_at = %postponement.due,
            "a record failed and is tried again"
        );
    }
}

fn outcome(how: &Settled) -> Outcome {
    match how {
        Settled::Delivered { .. } => Outcome::Delivered,
        Settled::Unchanged { .. } => Outcome::Unchanged,
        Settled::LeftOut => Outcome::LeftOut,
        Settled::Deleted => Outcome::Deleted,
        Settled::Superseded => Outcome::Superseded,
    }
}
