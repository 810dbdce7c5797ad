//! The model's worker calls: sends and look-ups, each behind its operation's circuit, and what the answers mean.

use std::time::Duration;

use crosstie_histories::{Begun, End, LookUpAnswer, Message, WriteAnswer};

use serde_json::Value;

use super::{
    batches::Answer,
    gates::{Call, Gates},
    setup::{self, at, setback},
    worker::{Carried, Sending, UnderWay, Worker},
};
use crate::{
    circuit::Admission,
    delivery::{Carried as Part, Change, Facts, Fault, Found, Resolved, Rule, Sent, Weather, spares_system},
};

impl Worker {
    /// Asks an operation's circuit. A change is that the record waits for it.
    pub(super) fn held_back(&mut self, carried: &mut Carried, call: Call) -> Option<Change> {
        if carried.probe.is_some_and(|probe| Gates::shared(probe, call)) {
            return None;
        }
        let now = self.world.now();
        if let Some(probe) = carried.probe.take() {
            self.process.gates.undecided(probe, at(now));
        }
        match self.process.gates.admit(call, at(now)) {
            Admission::Pass => None,
            Admission::Probe => {
                carried.probe = Some(call);
                None
            }
            Admission::Wait(until) => {
                let again = until.map_or(at(now + 1), |until| until.min(at(now + 15)));
                Some(self.judge().waits_for_circuit(&carried.facts, again))
            }
        }
    }

    /// Sends the open intent. Says how far that came.
    pub(super) fn send(&mut self, mut carried: Carried) -> Begun {
        let Some(open) = carried.facts.intent.clone() else { return Begun::Done };
        let call = if open.deletes { Call::Delete } else { Call::Write };
        if let Some(change) = self.held_back(&mut carried, call) {
            self.store(carried.id, &carried.facts, change);
            return Begun::Done;
        }
        let Carried { id, facts, flight, probe } = carried;
        if flight.end == End::KilledBefore {
            return Begun::UnderWay;
        }
        self.process.sending.insert(id);
        self.world.get().writing(&self.disk.queue[&id].key, setup::order(&open.seen));
        self.process.sends += 1;
        let key = open.operation.outcome.idempotency.as_ref().map(|_| {
            let anew = if Rule::ResendKeepsItsKey.holds() { 0 } else { self.process.sends };
            format!("{}-{anew}", open.intent.idempotency_key)
        });
        let stored = flight.end == End::Stored;
        let message = Message { body: Value::clone(&open.body), deletes: open.deletes };
        let now = self.world.now();
        let answer = self.world.get().vendor.write(now, &message, key.as_deref(), flight, stored);
        match flight.end {
            End::Stored => {
                let records = vec![(id, facts)];
                self.process.under_way.push_back(UnderWay { records, answer: Answer::One(answer), probe });
            }
            End::Abandoned => {
                self.process.claimed.remove(&id);
                if let Some(probe) = probe {
                    self.process.gates.undecided(probe, at(now));
                }
            }
            End::KilledBefore | End::KilledAfter => {
                if answer == WriteAnswer::Applied && !Rule::SettledTogether.holds() {
                    self.disk.remove(id, at(now));
                }
            }
        }
        Begun::UnderWay
    }

    /// Looks the open intent up. None when it was not applied and is closed.
    pub(super) fn look_up(&mut self, carried: &mut Carried) -> Option<Change> {
        let Some(open) = carried.facts.intent.clone() else { return Some(self.judge().held(&carried.facts)) };
        if open.operation.outcome.lookup.is_none() {
            return Some(self.judge().held(&carried.facts));
        }
        let decided = (!open.deletes).then(|| setup::seconds(open.intent.stored_at));
        let found = match self.look(carried, &open.body, decided) {
            Ok(found) => found,
            Err(change) => return Some(*change),
        };
        match self.judge().looked_up(&carried.facts, &open, &found) {
            Resolved::Done(change) => Some(change),
            Resolved::NotApplied => {
                self.disk.intents.remove(&carried.id);
                carried.facts.intent = None;
                None
            }
        }
    }

    /// Looks at what the vendor has of a body's record, for a write that was decided then; or what becomes of the record meanwhile.
    fn look(&mut self, carried: &mut Carried, body: &Value, decided: Option<i64>) -> Result<Found, Box<Change>> {
        // The leave to send is kept meanwhile, unless it is the look-up's too.
        let send = carried.probe.take_if(|probe| !Gates::shared(*probe, Call::LookUp));
        let held_back = self.held_back(carried, Call::LookUp);
        if let Some(change) = held_back {
            carried.probe = send;
            return Err(Box::new(change));
        }
        let now = self.world.now();
        let answer = self.world.get().vendor.look_up(now, body, carried.flight.look, decided);
        let found = match answer {
            LookUpAnswer::Present(body) => Ok(Found::Present(body)),
            LookUpAnswer::Absent => Ok(Found::Absent),
            LookUpAnswer::Stranger => Ok(Found::Stranger),
            LookUpAnswer::Several => Ok(Found::Several),
            LookUpAnswer::Failed => {
                self.unwell(Call::LookUp, None);
                Err(Box::new(self.judge().not_looked_up(&carried.facts, setback(None, true), at(now + 1))))
            }
        };
        if found.is_ok() {
            self.well(Call::LookUp);
        }
        carried.probe = send;
        found
    }

    /// What of a mapped body is to be written. A change is what becomes of the record instead, because that cannot be told now.
    pub(super) fn part_of(&mut self, carried: &mut Carried, sending: Sending) -> Result<Sending, Box<Change>> {
        let (body, body_hash, deletes) = sending;
        if deletes {
            return Ok((body, body_hash, deletes));
        }
        let part = match Part::of(&self.flow.operation, self.flow.writes_once, carried.facts.ledger.as_ref()) {
            Part::LookUpFirst => {
                let decided = self.world.now();
                let found = self.look(carried, &body, Some(decided))?;
                self.judge().found_first(&self.flow.operation, &carried.facts, &found)?
            }
            known @ (Part::Whole | Part::Rest) => known,
        };
        let body = match part {
            Part::Whole => body,
            Part::Rest | Part::LookUpFirst => self.flow.operation.ownership.rest(&body),
        };
        Ok((body, body_hash, deletes))
    }

    /// A call went well.
    pub(super) fn well(&mut self, call: Call) {
        if self.process.gates.well(call) {
            let now = self.now();
            self.disk.hasten(now);
        }
    }

    /// Counts a failure of the system.
    pub(super) fn unwell(&mut self, call: Call, at_least: Option<Duration>) -> Weather {
        let now = self.now();
        let (weather, opened) = self.process.gates.unwell(call, now, at_least);
        if opened {
            self.disk.hasten(now);
        }
        weather
    }

    pub(super) fn sent(&mut self, facts: &Facts, call: Call, answer: WriteAnswer) -> (Sent, Weather) {
        let sent = match answer {
            WriteAnswer::Applied => Sent::Applied { identifier: None },
            WriteAnswer::Refused => Sent::Refused(Fault::of("refused")),
            WriteAnswer::Limited(seconds) => Sent::NotSent(setback(Some(seconds), true)),
            WriteAnswer::Failed => Sent::Unknown(setback(None, true)),
            WriteAnswer::TimedOut => Sent::Unknown(setback(None, false)),
            WriteAnswer::NeverLeft => Sent::NotSent(setback(None, false)),
        };
        let weather = match &sent {
            Sent::Applied { .. } | Sent::Refused(_) | Sent::Ignored(_) | Sent::Missing => {
                self.well(call);
                Weather::default()
            }
            Sent::NotSent(setback) | Sent::Unknown(setback) => {
                let before = self.process.gates.of(call).tally;
                if spares_system(&facts.failures, setback.overloaded, setback.retry_after, before) {
                    self.process.gates.weather(call)
                } else {
                    self.unwell(call, setback.retry_after)
                }
            }
        };
        (sent, weather)
    }
}
