//! The model's worker writes several records in one call.

use crosstie_histories::{BatchAnswer, Begun, End, Message, WriteAnswer};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    gates::Call,
    setup::{self, at, setback},
    worker::{Carried, Evaluated, Sending, UnderWay, Worker},
};
use crate::delivery::{
    BatchSent, Change, Facts, Fault, Next, NextBatch, OpenIntent, Row, Rule, Weather, batch_spares_system, call_size,
    together,
};

/// What a call was answered.
pub(super) enum Answer {
    /// One with a single record.
    One(WriteAnswer),
    /// One with several.
    Batch(BatchAnswer),
}

type Records = Vec<(i64, Facts)>;

impl Worker {
    /// The records of the next call.
    pub(super) fn next_call(&self, now: Timestamp, probes: bool) -> Vec<i64> {
        let size = call_size(self.flow.batch_size, probes);
        let mut claimed = self.process.claimed.clone();
        let Some(head) = self.disk.next(now, &claimed) else { return Vec::new() };
        if self.disk.intents.contains_key(&head) {
            return self.disk.batch_of(head);
        }
        let mut ids = vec![head];
        claimed.insert(head);
        while ids.len() < size as usize
            && let Some(id) = self.disk.next(now, &claimed).filter(|id| !self.disk.intents.contains_key(id))
        {
            ids.push(id);
            claimed.insert(id);
        }
        let failures = ids.iter().map(|id| &self.disk.queue[id].failures);
        let together = together(failures, size);
        ids.truncate(together);
        ids
    }

    /// Carries several records. An error is the one that is left to be carried alone.
    pub(super) fn begin_batch(&mut self, ids: &[i64], carried: Carried) -> Result<Begun, Box<Carried>> {
        let mut records: Records = ids.iter().map(|id| (*id, self.disk.facts(*id))).collect();
        if carried.facts.intent.is_none() {
            records = self.gather(records, &carried);
        }
        if records.len() > 1 {
            return Ok(self.send_batch(records, carried));
        }
        match records.pop() {
            Some((id, facts)) => Err(Box::new(Carried { id, facts, ..carried })),
            None => {
                self.give_up_leave(carried.probe);
                Ok(Begun::Done)
            }
        }
    }

    /// Makes one intent of those that are to be written, or of the one that has to be sent alone.
    fn gather(&mut self, records: Records, carried: &Carried) -> Records {
        let mut writes: Vec<(i64, Facts, Sending)> = Vec::new();
        let mut deletes = Vec::new();
        for (id, mut facts) in records {
            let evaluated = match self.judge().next(&facts) {
                Next::Evaluate | Next::Send | Next::LookUp => self.evaluate(id, &mut facts, carried.flight.fetch),
                Next::Wait(until) => Evaluated::Done(self.judge().waits(&facts, until)),
                Next::Hold => Evaluated::Done(self.judge().held(&facts)),
                Next::GiveUp => Evaluated::Done(self.judge().given_up(&facts)),
            };
            let evaluated = match evaluated {
                Evaluated::Send(sending) => {
                    let mut alone = Carried { id, facts: facts.clone(), flight: carried.flight, probe: None };
                    match self.part_of(&mut alone, sending) {
                        Ok(part) => Evaluated::Send(part),
                        Err(change) => Evaluated::Done(*change),
                    }
                }
                done @ Evaluated::Done(_) => done,
            };
            match evaluated {
                Evaluated::Send(sending) if sending.2 => deletes.push((id, facts, sending)),
                Evaluated::Send(sending) => writes.push((id, facts, sending)),
                Evaluated::Done(change) => self.store(id, &facts, change),
            }
        }
        if writes.len() < 2 {
            deletes.append(&mut writes);
            let mut alone = deletes.drain(..);
            let first = alone.next();
            self.hand_back(alone.map(|(id, ..)| id));
            let open = |(id, mut facts, sending)| {
                self.open(id, &mut facts, sending);
                (id, facts)
            };
            return first.map(open).into_iter().collect();
        }
        self.hand_back(deletes.into_iter().map(|(id, ..)| id));
        writes.sort_unstable_by_key(|(id, ..)| *id);
        let now = self.now();
        let new =
            writes.iter().map(|(id, facts, (body, body_hash, _))| (*id, body.clone(), body_hash.clone(), &facts.seen));
        let opened = self.disk.open_batch(&self.flow.operation, new.collect(), now);
        self.process.opened.extend(writes.iter().map(|(id, ..)| *id));
        let records = writes.into_iter().zip(opened);
        records.map(|((id, facts, _), open)| (id, Facts { intent: Some(open), ..facts })).collect()
    }

    /// The claims of these end.
    fn hand_back(&mut self, ids: impl Iterator<Item = i64>) {
        for id in ids {
            self.process.claimed.remove(&id);
        }
    }

    fn send_batch(&mut self, records: Records, mut carried: Carried) -> Begun {
        let Some(open) = records.first().and_then(|(_, facts)| facts.intent.clone()) else { return Begun::Done };
        let next = self.judge().next_batch(&open, records.iter().map(|(_, facts)| facts));
        let changes: Option<Vec<Change>> = match next {
            NextBatch::Wait(until) => {
                Some(parts(&records).map(|(facts, _)| self.judge().waits(facts, until)).collect())
            }
            NextBatch::TakeApart => {
                Some(parts(&records).map(|(facts, open)| self.judge().taken_apart(facts, open)).collect())
            }
            NextBatch::Send => self.held_back(&mut carried, Call::Write).map(|change| match change {
                Change::Postpone(later) => {
                    let until = later.due;
                    parts(&records).map(|(facts, _)| self.judge().waits_for_circuit(facts, until)).collect()
                }
                Change::Settle(_) | Change::AwaitParent(_) | Change::Bury(_) => Vec::new(),
            }),
        };
        if let Some(changes) = changes {
            self.store_all(&records, changes);
            self.give_up_leave(carried.probe);
            return Begun::Done;
        }
        if carried.flight.end == End::KilledBefore {
            return Begun::UnderWay;
        }
        for (id, facts) in &records {
            self.process.sending.insert(*id);
            let seen = facts.intent.as_ref().map_or(&facts.seen, |open| &open.seen);
            self.world.get().writing(&self.disk.queue[id].key, setup::order(seen));
        }
        self.process.sends += 1;
        let key = open.operation.outcome.idempotency.as_ref().map(|_| {
            let anew = if Rule::ResendKeepsItsKey.holds() { 0 } else { self.process.sends };
            format!("{}-{anew}", open.intent.idempotency_key)
        });
        let (now, flight) = (self.world.now(), carried.flight);
        let messages: Vec<_> =
            parts(&records).map(|(_, open)| Message { body: Value::clone(&open.body), deletes: false }).collect();
        let answer =
            self.world.get().vendor.write_batch(now, &messages, key.as_deref(), flight, flight.end == End::Stored);
        match flight.end {
            End::Stored => {
                let (answer, probe) = (Answer::Batch(answer), carried.probe);
                self.process.under_way.push_back(UnderWay { records, answer, probe });
            }
            End::Abandoned => {
                self.hand_back(records.iter().map(|(id, _)| *id));
                self.give_up_leave(carried.probe);
            }
            End::KilledBefore | End::KilledAfter => self.half_stored(&records, answer),
        }
        Begun::UnderWay
    }

    /// What is on the disk when the process dies while it stores what an answer means.
    fn half_stored(&mut self, records: &[(i64, Facts)], answer: BatchAnswer) {
        let now = self.now();
        if !Rule::SettledTogether.holds()
            && let BatchAnswer::Rows(rows) = &answer
        {
            let applied = records.iter().zip(rows).filter(|(_, applied)| **applied);
            applied.for_each(|((id, _), _)| self.disk.remove(*id, now));
        }
        if !Rule::BatchSettlesTogether.holds() {
            let changes = self.batch_changes(records, answer);
            if let Some(((id, facts), change)) = records.iter().zip(changes).next() {
                self.store(*id, facts, change);
            }
        }
    }

    /// What the answer to a batch means is stored.
    pub(super) fn finish_batch(&mut self, records: &[(i64, Facts)], answer: BatchAnswer) {
        let changes = self.batch_changes(records, answer);
        self.store_all(records, changes);
    }

    fn batch_changes(&mut self, records: &[(i64, Facts)], answer: BatchAnswer) -> Vec<Change> {
        let fault = || Fault::of("refused");
        let row = |applied| if applied { Row::Applied { identifier: None } } else { Row::Refused(fault()) };
        let sent = match answer {
            BatchAnswer::Rows(rows) => BatchSent::Answered(rows.into_iter().map(row).collect()),
            // A vendor does not say of several records that they are applied without saying so of each.
            BatchAnswer::Whole(WriteAnswer::Refused | WriteAnswer::Applied) => BatchSent::Refused(fault()),
            BatchAnswer::Whole(WriteAnswer::Limited(seconds)) => BatchSent::NotSent(setback(Some(seconds), true)),
            BatchAnswer::Whole(WriteAnswer::Failed) => BatchSent::Unknown(setback(None, true)),
            BatchAnswer::Whole(WriteAnswer::TimedOut) => BatchSent::Unknown(setback(None, false)),
            BatchAnswer::Whole(WriteAnswer::NeverLeft) => BatchSent::NotSent(setback(None, false)),
        };
        let weather = match &sent {
            BatchSent::Answered(_) | BatchSent::Refused(_) => {
                self.well(Call::Write);
                Weather::default()
            }
            BatchSent::NotSent(setback) | BatchSent::Unknown(setback) => {
                let before = self.process.gates.of(Call::Write).tally;
                let failures = records.iter().map(|(_, facts)| &facts.failures);
                if batch_spares_system(failures, (setback.overloaded, setback.retry_after), before) {
                    self.process.gates.weather(Call::Write)
                } else {
                    self.unwell(Call::Write, setback.retry_after)
                }
            }
        };
        let parts: Vec<_> = parts(records).collect();
        self.judge().batch_sent(&parts, sent, weather)
    }

    fn store_all(&mut self, records: &[(i64, Facts)], changes: Vec<Change>) {
        for ((id, facts), change) in records.iter().zip(changes) {
            self.store(*id, facts, change);
        }
    }

    fn give_up_leave(&mut self, probe: Option<Call>) {
        if let Some(call) = probe {
            self.process.gates.undecided(call, at(self.world.now()));
        }
    }
}

fn parts(records: &[(i64, Facts)]) -> impl Iterator<Item = (&Facts, &OpenIntent)> {
    records.iter().filter_map(|(_, facts)| Some((facts, facts.intent.as_ref()?)))
}
