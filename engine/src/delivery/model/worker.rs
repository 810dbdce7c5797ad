//! A worker without loops, sockets and threads: it takes each step when it is told to, asks the engine for each decision, and keeps what it must
//! not forget on the model's disk.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use crosstie_histories::{
    Begun, End, Flight, LookUpAnswer, Message, PAGE, Property, Shared, Standing, State, Subject, WriteAnswer,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    disk::Disk,
    setup::{self, at, counter, seconds, setback},
};
use crate::{
    canonical,
    circuit::{Admission, Circuit},
    delivery::{
        Change, Compared, Facts, Fault, Fetching, Found, Judge, Mapped, Next, OpenIntent, Resolved, Rule, Seen, Sent,
        Settled, Terms, Wanted, Weather, spares_system,
    },
    plan::{Method, Operation, StartFrom, Stream},
    retry::Tally,
    version::Version,
    window::{PageSeen, PollState, Position, Turn},
};

/// The worker.
pub struct Worker {
    world: Shared,
    disk: Disk,
    process: Process,
    terms: Terms,
    operation: Arc<Operation>,
    delete_operation: Arc<Operation>,
    stream: Stream,
}

/// What dies with the process.
#[derive(Default)]
struct Process {
    poll: PollState,
    circuit: Circuit,
    tally: Tally,
    claimed: BTreeSet<i64>,
    /// Records of which a send was begun and not accounted for.
    sending: BTreeSet<i64>,
    under_way: VecDeque<Call>,
    /// Intents that would be lost with the process if they were not stored before the call.
    opened: BTreeSet<i64>,
    /// Sends, to tell keys apart that are not kept.
    sends: u64,
}

struct Call {
    id: i64,
    facts: Facts,
    answer: WriteAnswer,
    /// Whether it was let through an open circuit as the only one.
    probe: bool,
}

impl Worker {
    pub fn new(world: Shared) -> Self {
        let means = world.get().means;
        let (operation, terms) = (setup::operation(means), setup::terms(means));
        let delete_operation = Operation { method: Method::Delete, ..operation.clone() };
        Self {
            world,
            disk: Disk::default(),
            process: Process::default(),
            terms,
            operation: Arc::new(operation),
            delete_operation: Arc::new(delete_operation),
            stream: setup::stream(),
        }
    }

    fn now(&self) -> Timestamp {
        at(self.world.now())
    }

    fn judge(&self) -> Judge<'_> {
        Judge { terms: &self.terms, now: self.now(), chance: 0.0 }
    }

    fn take(&mut self, states: &[State]) {
        let now = self.now();
        let traced = self.world.get().means.traced;
        for state in states {
            let record = state.record(traced);
            let seen = Seen::of(Version::Counter(state.time), &record);
            let key = state.key.to_string();
            let (kept, dead) = self.disk.take(&key, seen, record, now);
            if kept && dead {
                let property = Property::ADeadLetterDoesNotComeBackByItself;
                self.world.get().violate(property, || format!("{key} was taken again, although it is set aside"));
            }
        }
        self.world.get().taken(states);
    }

    /// Compares and maps. None when there is an intent to send now.
    fn evaluate(&mut self, id: i64, facts: &mut Facts) -> Option<Change> {
        match self.judge().compared(facts, Fetching::Impossible) {
            Compared::Done(change) => return Some(change),
            Compared::Go | Compared::Fetch => {}
        }
        let record = &self.disk.queue[&id].record;
        let (body, deleted) = (State::body(record), record["deleted"] == true);
        match self.judge().mapped(facts, Ok(if deleted { Wanted::Delete(body) } else { Wanted::Write(body) })) {
            Mapped::Done(change) => Some(change),
            Mapped::Write(body, body_hash) => self.open(id, facts, (body, body_hash), false),
            Mapped::Delete(body, body_hash) => self.open(id, facts, (body, body_hash), true),
        }
    }

    fn open(&mut self, id: i64, facts: &mut Facts, body: (Value, String), deletes: bool) -> Option<Change> {
        let now = self.now();
        let operation = if deletes { &self.delete_operation } else { &self.operation };
        facts.intent = Some(self.disk.open(id, operation, body, deletes, now));
        self.process.opened.insert(id);
        None
    }

    /// Sends the open intent. Says how far that came.
    fn send(&mut self, id: i64, facts: Facts, flight: Flight, probe: bool) -> Begun {
        if flight.end == End::KilledBefore {
            return Begun::UnderWay;
        }
        let Some(open) = facts.intent.clone() else { return Begun::Done };
        self.process.sending.insert(id);
        self.world.get().writing(&self.disk.queue[&id].key, counter(&facts.seen));
        self.process.sends += 1;
        let key = open.operation.outcome.idempotency.as_ref().map(|_| {
            let anew = if Rule::ResendKeepsItsKey.holds() { 0 } else { self.process.sends };
            format!("{}-{anew}", open.intent.idempotency_key)
        });
        let stored = flight.end == End::Stored;
        let message = Message { body: open.body.clone(), deletes: open.deletes };
        let now = self.world.now();
        let answer = self.world.get().vendor.write(now, &message, key.as_deref(), flight, stored);
        match flight.end {
            End::Stored => self.process.under_way.push_back(Call { id, facts, answer, probe }),
            End::Abandoned => {
                self.process.claimed.remove(&id);
                self.process.circuit = self.process.circuit.undecided(at(now));
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
    fn look_up(&mut self, id: i64, facts: &mut Facts, flight: Flight) -> Option<Change> {
        let Some(open) = facts.intent.clone() else { return Some(self.judge().held(facts)) };
        if open.operation.outcome.lookup.is_none() {
            return Some(self.judge().held(facts));
        }
        let now = self.world.now();
        let answer = self.world.get().vendor.look_up(now, &open.body, flight.look);
        let found = match answer {
            LookUpAnswer::Present(body) => Found::Present(body),
            LookUpAnswer::Absent => Found::Absent,
            LookUpAnswer::Stranger => Found::Stranger,
            LookUpAnswer::Several => Found::Several,
            LookUpAnswer::Failed => {
                self.unwell(None);
                return Some(self.judge().not_looked_up(facts, setback(None, true)));
            }
        };
        match self.judge().looked_up(facts, &open, &found) {
            Resolved::Done(change) => Some(change),
            Resolved::NotApplied => {
                self.disk.intents.remove(&id);
                facts.intent = None;
                None
            }
        }
    }

    /// Counts a failure of the system.
    fn unwell(&mut self, at_least: Option<Duration>) -> Weather {
        let (before, now) = (self.process.tally, self.now());
        let was_open = self.process.circuit.open_since().is_some();
        self.process.circuit = self.process.circuit.unwell(now, at_least);
        self.process.tally.unwell += 1;
        let open = self.process.circuit.open_since().is_some();
        if open && !was_open {
            self.disk.hasten(now);
        }
        Weather { before, after: self.process.tally, open }
    }

    fn sent(&mut self, facts: &Facts, answer: WriteAnswer) -> (Sent, Weather) {
        let sent = match answer {
            WriteAnswer::Applied => Sent::Applied { identifier: None },
            WriteAnswer::Refused => Sent::Refused(Fault::of("refused")),
            WriteAnswer::Limited(seconds) => Sent::NotSent(setback(Some(seconds), true)),
            WriteAnswer::Failed => Sent::Unknown(setback(None, true)),
            WriteAnswer::TimedOut => Sent::Unknown(setback(None, false)),
            WriteAnswer::NeverLeft => Sent::NotSent(setback(None, false)),
        };
        let weather = match &sent {
            Sent::Applied { .. } | Sent::Refused(_) => {
                self.process.circuit = self.process.circuit.well();
                self.process.tally.well += 1;
                Weather::default()
            }
            Sent::NotSent(setback) | Sent::Unknown(setback) => {
                let before = self.process.tally;
                if spares_system(&facts.failures, setback.overloaded, setback.retry_after, before) {
                    Weather { before, after: before, open: self.process.circuit.open_since().is_some() }
                } else {
                    self.unwell(setback.retry_after)
                }
            }
        };
        (sent, weather)
    }

    fn store(&mut self, id: i64, change: Change) {
        let now = self.now();
        let key = self.disk.queue[&id].key.clone();
        match change {
            Change::Settle(how) => {
                if how != Settled::Superseded {
                    self.world.get().decided(&key, counter(&self.disk.queue[&id].seen));
                }
                self.disk.settle(id, &how, now);
            }
            // No record of the model has a parent.
            Change::AwaitParent(_) => {}
            Change::Postpone(later) => self.disk.postpone(id, later),
            Change::Bury(_) => {
                self.disk.bury(id, now);
                self.world.get().buried(&key);
            }
        }
        self.process.sending.remove(&id);
        self.process.claimed.remove(&id);
    }
}

impl Subject for Worker {
    fn read(&mut self, killed: bool) -> bool {
        let source_now = at(self.world.get().source_now());
        let poll = self.process.poll.opened(&self.stream, StartFrom::Beginning, source_now);
        let Some(window) = &poll.open else { return true };
        let position = match window.next {
            Position::Offset(offset) => usize::try_from(offset).unwrap(),
            Position::First | Position::Url(_) | Position::Cursor(_) => 0,
        };
        let page = self.world.get().source.page(window.bounds.from.map(seconds), position, PAGE as usize);
        let next = (page.len() == PAGE as usize).then(|| Position::Offset((position + page.len()) as u64));
        let traced = self.world.get().means.traced;
        let hashes: Vec<String> = page.iter().map(|state| canonical::hash(&state.record(traced))).collect();
        match poll.turned(&self.stream, &PageSeen { hashes: &hashes, next }) {
            Turn::StepBack(poll) => {
                self.process.poll = poll;
                false
            }
            Turn::Take(mut poll) => {
                let done = poll.open.is_none();
                if done && !Rule::BoundsAreFixedFirst.holds() {
                    poll.cursor = Some(source_now);
                }
                if killed && Rule::PageAndPositionTogether.holds() {
                    return done;
                }
                (self.disk.poll, self.process.poll) = (poll.clone(), poll);
                if !killed {
                    self.take(&page);
                }
                done
            }
        }
    }

    fn hint(&mut self, state: State) {
        self.take(&[state]);
    }

    fn begin(&mut self, flight: Flight) -> Begun {
        let now = self.now();
        let (circuit, admission) = self.process.circuit.admit(now);
        if matches!(admission, Admission::Wait(_)) {
            return Begun::Nothing;
        }
        let Some(id) = self.disk.next(now, &self.process.claimed) else { return Begun::Nothing };
        self.process.circuit = circuit;
        self.process.claimed.insert(id);
        if self.process.sending.contains(&id) && Rule::AbandonedIsDoubt.holds() {
            self.disk.doubt(id, now);
        }
        let mut facts = self.disk.facts(id);
        loop {
            let change = match self.judge().next(&facts) {
                Next::Evaluate => self.evaluate(id, &mut facts),
                Next::Send => None,
                Next::LookUp => match self.look_up(id, &mut facts, flight) {
                    Some(change) => Some(change),
                    None => continue,
                },
                Next::Wait(until) => Some(self.judge().waits(&facts, until)),
                Next::Hold => Some(self.judge().held(&facts)),
                Next::GiveUp => Some(self.judge().given_up(&facts)),
            };
            let Some(change) = change else { return self.send(id, facts, flight, admission == Admission::Probe) };
            self.store(id, change);
            self.process.circuit = self.process.circuit.undecided(now);
            return Begun::Done;
        }
    }

    fn finish(&mut self, newest: bool) -> bool {
        let calls = &mut self.process.under_way;
        let Some(Call { id, facts, answer, probe }) = (if newest { calls.pop_back() } else { calls.pop_front() })
        else {
            return false;
        };
        let now = self.world.now();
        self.world.get().vendor.answered(now, answer);
        let (sent, weather) = self.sent(&facts, answer);
        let Some(open): Option<&OpenIntent> = facts.intent.as_ref() else { return false };
        let change = self.judge().sent(&facts, open, sent, weather);
        self.store(id, change);
        if probe {
            // One that is the record's own doing says nothing of the system.
            self.process.circuit = self.process.circuit.undecided(at(now));
        }
        true
    }

    fn restart(&mut self) {
        if !Rule::IntentBeforeCall.holds() {
            self.disk.intents.retain(|id, _| !self.process.opened.contains(id));
        }
        let now = self.now();
        self.disk.recover(now);
        self.process = Process { poll: self.disk.poll.clone(), ..Process::default() };
    }

    fn restart_without_store(&mut self) {
        let store = self.disk.store + 1;
        self.disk = Disk::default();
        self.disk.store = store;
        self.process = Process::default();
    }

    fn replay(&mut self) {
        let now = self.now();
        self.disk.replay(now);
    }

    fn standing(&mut self) -> Standing {
        let held: BTreeSet<String> = self
            .disk
            .intents
            .iter()
            .filter(|(_, stored)| stored.held)
            .map(|(id, _)| self.disk.queue[id].key.clone())
            .collect();
        let waiting =
            self.disk.queue.values().map(|queued| queued.key.clone()).filter(|key| !held.contains(key)).collect();
        Standing { waiting, held, dead: self.disk.dead.iter().map(|dead| dead.key.clone()).collect() }
    }
}
