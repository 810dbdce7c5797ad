//! Carrying several claimed records through in one call: those that are to be written become one intent, sent whole; what the answer means for
//! each is stored together. What is not written with the others is carried by itself.

#![expect(clippy::vec_box, reason = "claimed records are large and pass through several hands")]

use std::{collections::VecDeque, sync::Arc};

use crosstie_connect::WrittenBatch;
use crosstie_engine::{
    body::Body,
    delivery::{BatchSent, Change, Facts, Next, NextBatch, OpenIntent, batch_spares_system, together},
};
use futures::future::join_all;

use super::{
    answers::{batch_sent, overloaded},
    carry::carry_decided,
    conclude::{await_parent, conclude},
    decide::{Decided, Sending, decided},
    passage::Passage,
};
use crate::{
    calls::Caller,
    gates::Probe,
    lane::Lane,
    slots::Slot,
    store::{Claimed, StoreError},
};

/// Takes the records of the next call: an open batch whole, or as many as may share one, or one.
pub fn next_call(ahead: &mut VecDeque<Box<Claimed>>, batch_size: u32) -> Vec<Box<Claimed>> {
    let batch_of = |claimed: &Claimed| claimed.facts.intent.as_ref().map(|open| (open.size > 1, open.intent.sequence));
    let taken = match ahead.front().map(|head| batch_of(head)) {
        None => 0,
        Some(Some((false, _))) => 1,
        Some(Some(batch)) => ahead.iter().take_while(|claimed| batch_of(claimed) == Some(batch)).count(),
        Some(None) => {
            let fresh = ahead.iter().take_while(|claimed| claimed.facts.intent.is_none());
            together(fresh.map(|claimed| &claimed.facts.failures), batch_size)
        }
    };
    ahead.drain(..taken).collect()
}

/// Whether records are to be carried together.
pub fn is_batch(records: &[Box<Claimed>]) -> bool {
    let is_part = |claimed: &Claimed| claimed.facts.intent.as_ref().is_some_and(|open| open.size > 1);
    records.len() > 1 || records.iter().any(|claimed| is_part(claimed))
}

/// Carries records as far as they come now. They are those of an open batch, or have no open intent. See [`carry`](super::carry::carry).
pub async fn carry_batch(lane: &Lane, records: Vec<Box<Claimed>>, probe: Option<Probe>, slot: Slot) {
    let mut carrier = Carrier { lane, records, passage: Passage::new(lane, probe), slot: Some(slot) };
    // A store that is closed ends the process's work; the records are found again as they were stored last.
    let _closed = carrier.run().await;
}

struct Carrier<'a> {
    lane: &'a Lane,
    records: Vec<Box<Claimed>>,
    passage: Passage<'a>,
    slot: Option<Slot>,
}

impl Carrier<'_> {
    async fn run(&mut self) -> Result<(), StoreError> {
        let mut alone = Vec::new();
        if self.open().is_none() {
            alone = self.gather().await?;
        }
        if let Some(changes) = self.resolve().await {
            conclude(self.lane, self.records.iter().map(AsRef::as_ref).zip(changes)).await?;
        }
        // What comes next for their keys need not wait for the others.
        self.records.clear();
        let lane = self.lane;
        // Whoever waits for a slot must not have one.
        let mut own = self.slot.take();
        let mut calls = Vec::with_capacity(alone.len());
        for (claimed, sending) in alone {
            let (probe, slot) = (self.passage.take_leave(), own.take());
            calls.push(async move {
                let slot = match slot {
                    Some(slot) => slot,
                    None => lane.slots.take().await,
                };
                carry_decided(lane, claimed, sending, (probe, slot)).await
            });
        }
        drop(own);
        join_all(calls).await.into_iter().collect()
    }

    fn open(&self) -> Option<&OpenIntent> {
        self.records.first()?.facts.intent.as_ref()
    }

    /// Finds out what is to be done about each, and makes one intent of those that are to be written. Gives those that have to be sent alone.
    async fn gather(&mut self) -> Result<Vec<(Box<Claimed>, Sending)>, StoreError> {
        let lane = self.lane;
        let mut records = std::mem::take(&mut self.records);
        let probes = self.passage.probes();
        let decisions = records.iter_mut().map(|claimed| {
            let caller = Caller::record(lane, claimed);
            caller.makes(decide(lane, claimed, probes))
        });
        let decisions = join_all(decisions).await;
        let (mut done, mut alone, mut written) = (Vec::new(), Vec::new(), Vec::new());
        for (claimed, decision) in records.into_iter().zip(decisions) {
            match decision? {
                Decided::Done(change) => done.push((claimed, change)),
                Decided::Await(parent, change) => await_parent(lane, &claimed, parent, change).await?,
                Decided::Write(sending) => written.push((claimed, sending)),
                Decided::Delete(sending) => alone.push((claimed, sending)),
            }
        }
        conclude(lane, done.iter().map(|(claimed, change)| (claimed.as_ref(), change.clone()))).await?;
        if written.len() < 2 {
            alone.append(&mut written);
            return Ok(alone);
        }
        // The order in which they are sent is the one in which they are found again.
        written.sort_unstable_by_key(|(claimed, _)| claimed.id);
        let (records, sendings): (Vec<_>, Vec<_>) = written.into_iter().unzip();
        let intents = sendings.into_iter().zip(&records).map(|(sending, claimed)| sending.intent(lane, claimed));
        let opened = lane.store_trouble.changed(lane.store.open_batch(intents.collect()).await)?;
        self.records = records;
        for (claimed, mut open) in self.records.iter_mut().zip(opened) {
            // Thousands wait for their answers at the same moment: of each, no more is kept than is sent.
            open.body.forget_value();
            claimed.facts.intent = Some(open);
            claimed.payload = Arc::default();
        }
        Ok(alone)
    }

    /// What becomes of each record of the open batch. None when there is none.
    async fn resolve(&mut self) -> Option<Vec<Change>> {
        let judge = self.lane.judge();
        let next = judge.next_batch(self.open()?, self.records.iter().map(|claimed| &claimed.facts));
        Some(match next {
            NextBatch::Wait(until) => self.parts().map(|(facts, _)| judge.waits(facts, until)).collect(),
            NextBatch::TakeApart => self.parts().map(|(facts, open)| judge.taken_apart(facts, open)).collect(),
            NextBatch::Send => match self.passage.held_back(&self.lane.gates.write.send) {
                Some(until) => self.parts().map(|(facts, _)| judge.waits_for_circuit(facts, until)).collect(),
                None => self.send().await?,
            },
        })
    }

    fn parts(&self) -> impl Iterator<Item = (&Facts, &OpenIntent)> {
        self.records.iter().filter_map(|claimed| Some((&claimed.facts, claimed.facts.intent.as_ref()?)))
    }

    async fn send(&mut self) -> Option<Vec<Change>> {
        let lane = self.lane;
        let written = {
            let open = self.open()?;
            let key = open.operation.outcome.idempotency.as_ref().map(|_| open.intent.idempotency_key.as_str());
            let bodies: Vec<&Body> = self.parts().map(|(_, open)| &open.body).collect();
            self.records.iter().for_each(|claimed| claimed.guard.sending());
            let written = lane.destination.write_batch(&open.operation, &bodies, key);
            Caller::records(lane, &self.records).makes(written).await
        };
        self.slot = None;
        let gate = &lane.gates.write.send;
        let weather = match &written {
            WrittenBatch::Answered { .. } | WrittenBatch::Refused { .. } => self.passage.well(gate).await,
            WrittenBatch::NotSent { failure } | WrittenBatch::Unknown { failure } => {
                let failures = self.records.iter().map(|claimed| &claimed.facts.failures);
                let before = gate.tally();
                let spared = batch_spares_system(failures, (overloaded(failure), failure.retry_after), before);
                self.passage.failed(gate, &lane.flow.operation.name, failure, (before, spared)).await
            }
        };
        let sent = batch_sent(written);
        if let BatchSent::Refused(fault) = &sent {
            let records = self.records.len();
            let flow = &lane.flow.name;
            tracing::warn!(flow, records, cause = fault.cause, "a batch was refused as a whole; smaller ones follow");
        }
        let parts: Vec<_> = self.parts().collect();
        Some(lane.judge().batch_sent(&parts, sent, weather))
    }
}

/// What is to be done about a record without an open intent.
async fn decide(lane: &Lane, claimed: &mut Claimed, probes: bool) -> Result<Decided, StoreError> {
    let judge = lane.judge();
    match judge.next(&claimed.facts) {
        Next::Evaluate | Next::Send | Next::LookUp => decided(lane, claimed, None, probes).await,
        Next::Wait(until) => Ok(Decided::Done(judge.waits(&claimed.facts, until))),
        Next::Hold => Ok(Decided::Done(judge.held(&claimed.facts))),
        Next::GiveUp => Ok(Decided::Done(judge.given_up(&claimed.facts))),
    }
}
