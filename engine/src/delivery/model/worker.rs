//! A worker without loops, sockets and threads: it takes each step when it is told to, asks the engine for each decision, and keeps what it must
//! not forget on the model's disk.

use std::collections::{BTreeSet, VecDeque};

use crosstie_histories::{Begun, Fetch, FetchAnswer, Flight, Means, PAGE, Property, Shared, Standing, State, Subject};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    batches::Answer,
    disk::{Disk, Queued},
    gates::{Call, Gates, Handing},
    setup::{self, at, seconds},
};
use crate::{
    canonical,
    delivery::{
        Change, Compared, Facts, Fetched, Fetching, Judge, LedgerEntry, Mapped, Next, OpenIntent, Rule, Settled, Terms,
        Wanted, Wish, is_deleted,
    },
    plan::{Flow, StartFrom},
    window::{CursorValue, PageSeen, PollState, Position, Turn},
};

/// The worker.
pub struct Worker {
    pub(super) world: Shared,
    pub(super) disk: Disk,
    pub(super) process: Process,
    means: Means,
    terms: Terms,
    pub(super) flow: Flow,
}

/// What dies with the process.
#[derive(Default)]
pub(super) struct Process {
    poll: PollState,
    pub(super) gates: Gates,
    pub(super) claimed: BTreeSet<i64>,
    /// Records of which a send was begun and not accounted for.
    pub(super) sending: BTreeSet<i64>,
    pub(super) under_way: VecDeque<UnderWay>,
    /// Intents that would be lost with the process if they were not stored before the call.
    pub(super) opened: BTreeSet<i64>,
    /// Sends, to tell keys apart that are not kept.
    pub(super) sends: u64,
}

pub(super) struct UnderWay {
    /// The record that it carries, or the records.
    pub(super) records: Vec<(i64, Facts)>,
    pub(super) answer: Answer,
    /// The call that it was let make through an open circuit, as the only one.
    pub(super) probe: Option<Call>,
}

/// What is to be sent of a record: its body, the body's hash, and whether it deletes.
pub(super) type Sending = (Value, String, bool);

/// What is to be done about a record.
pub(super) enum Evaluated {
    /// This is to be sent.
    Send(Sending),
    /// This becomes of it.
    Done(Change),
}

/// A record that is carried.
pub(super) struct Carried {
    pub(super) id: i64,
    pub(super) facts: Facts,
    pub(super) flight: Flight,
    pub(super) probe: Option<Call>,
}

impl Worker {
    pub fn new(world: Shared) -> Self {
        let means = world.get().means;
        let (flow, terms) = (setup::flow(means), setup::terms(means));
        Self { world, disk: Disk::default(), process: Process::default(), means, terms, flow }
    }

    pub(super) fn now(&self) -> Timestamp {
        at(self.world.now())
    }

    pub(super) fn judge(&self) -> Judge<'_> {
        Judge { terms: &self.terms, now: self.now(), chance: 0.0 }
    }

    fn take(&mut self, states: &[State]) {
        let now = self.now();
        for state in states {
            let ((seen, record), words) = (setup::told(state, self.means), self.means.words);
            let key = state.key.to_string();
            let (kept, dead) = self.disk.take(&key, (seen, record, words), &self.process.claimed, now);
            if kept && dead && !words {
                let property = Property::ADeadLetterDoesNotComeBackByItself;
                self.world.get().violate(property, || format!("{key} was taken again, although it is set aside"));
            }
        }
        self.world.get().taken(states);
    }

    /// The state that the record's source shows now, where it has to be asked. A change is what becomes of the record instead.
    fn present(&self, id: i64, facts: &mut Facts, fetch: Fetch) -> Result<Value, Box<Change>> {
        let queued = &self.disk.queue[&id];
        let fetching = if self.flow.stream.one.is_some() { Fetching::Possible } else { Fetching::Impossible };
        match self.judge().compared(facts, fetching) {
            Compared::Done(change) => return Err(Box::new(change)),
            Compared::Go => return Ok(queued.record.clone()),
            Compared::Fetch => {}
        }
        let answer = self.world.get().fetch(&queued.key, fetch);
        let shown = match answer {
            FetchAnswer::Shown(state) => Some((setup::seen(&state, self.means), state.record(self.means))),
            FetchAnswer::Absent => None,
            FetchAnswer::Failed => return Err(Box::new(self.judge().waits(facts, at(self.world.now() + 2)))),
        };
        if let Fetched::Done(change) = self.judge().fetched(facts, shown.as_ref().map(|(seen, _)| seen)) {
            return Err(Box::new(change));
        }
        let Some((seen, record)) = shown else { return Ok(queued.record.clone()) };
        facts.seen = seen;
        match self.judge().compared(facts, Fetching::Done) {
            Compared::Done(change) => Err(Box::new(change)),
            Compared::Go | Compared::Fetch => Ok(record),
        }
    }

    /// What is wanted of a record. A change is what becomes of it instead.
    fn wanted(&mut self, id: i64, facts: &mut Facts, fetch: Fetch) -> Result<Wanted, Box<Change>> {
        let record = self.present(id, facts, fetch)?;
        let wish = if is_deleted(&self.flow, &(&record).into()) {
            Wish::of_deleted(&self.flow)
        } else {
            let written = facts.ledger.as_ref().is_some_and(LedgerEntry::is_written);
            Wish::of_selected(&self.flow, !State::shows_out(&record), written)
        };
        let body = State::body(&record);
        if matches!(wish, Wish::Write | Wish::Update)
            && let Some(parent) = record["parent"].as_str().map(|parent| parent.parse().unwrap())
            && let Some(change) = self.judge().depends(facts, self.disk.has_parent(parent))
        {
            return Err(Box::new(change));
        }
        Ok(match wish {
            Wish::Leave => Wanted::Leave,
            Wish::Write => Wanted::Write(body),
            Wish::Update => Wanted::Update(body),
            Wish::Delete => Wanted::Delete(body),
        })
    }

    /// Compares and maps.
    pub(super) fn evaluate(&mut self, id: i64, facts: &mut Facts, fetch: Fetch) -> Evaluated {
        let wanted = match self.wanted(id, facts, fetch) {
            Ok(wanted) => wanted,
            Err(change) => return Evaluated::Done(*change),
        };
        match self.judge().mapped(facts, Ok(wanted)) {
            Mapped::Done(change) => Evaluated::Done(change),
            Mapped::Write(body, body_hash) => Evaluated::Send((body.into_value(), body_hash, false)),
            Mapped::Delete(body, body_hash) => Evaluated::Send((body.into_value(), body_hash, true)),
        }
    }

    pub(super) fn open(&mut self, id: i64, facts: &mut Facts, (body, body_hash, deletes): Sending) {
        let now = self.now();
        let operation = self.flow.delete_operation.as_ref().filter(|_| deletes).unwrap_or(&self.flow.operation);
        facts.intent = Some(self.disk.open(id, operation, (body, body_hash), facts.seen.clone(), deletes, now));
        self.process.opened.insert(id);
    }

    pub(super) fn store(&mut self, id: i64, facts: &Facts, change: Change) {
        let now = self.now();
        let key = self.disk.queue[&id].key.clone();
        match change {
            Change::Settle(how) => {
                let seen = facts.intent.as_ref().map_or(&facts.seen, |open| &open.seen);
                if how != Settled::Superseded {
                    self.world.get().decided(&key, setup::order(seen));
                }
                self.disk.settle(id, seen, &how, self.flow.stream.one.is_some(), now);
            }
            Change::AwaitParent(until) => {
                let parent = State::parent(key.parse().unwrap(), self.means);
                self.disk.await_parent(id, parent.unwrap(), until);
            }
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
    fn pass(&mut self, seconds: u16) {
        self.world.get().pass(seconds);
    }

    fn read(&mut self, killed: bool) -> bool {
        let source_now = at(self.world.get().source_now());
        let poll = self.process.poll.opened(&self.flow.stream, StartFrom::Beginning, source_now);
        let Some(window) = &poll.open else { return true };
        let position = match window.next {
            Position::Offset(offset) => usize::try_from(offset).unwrap(),
            Position::First | Position::Url(_) | Position::Cursor(_) => 0,
        };
        let page =
            self.world.get().page(window.bounds.from.and_then(CursorValue::time).map(seconds), position, PAGE as usize);
        let next = (page.len() == PAGE as usize).then(|| Position::Offset((position + page.len()) as u64));
        let hashes: Vec<String> = page.iter().map(|state| canonical::hash(&state.record(self.means))).collect();
        match poll.turned(&self.flow.stream, &PageSeen { hashes: &hashes, next, values: &[], delta: None }) {
            Turn::Stuck(_) => false,
            Turn::StepBack(poll) | Turn::Repeats(poll) => {
                (self.disk.poll, self.process.poll) = (poll.clone(), poll);
                false
            }
            Turn::Take(mut poll) => {
                let done = poll.open.is_none();
                if done && !Rule::BoundsAreFixedFirst.holds() {
                    poll.cursor = Some(source_now.into());
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
        let probe = match self.process.gates.handing(now) {
            Handing::Free => None,
            Handing::Probe(call) => Some(call),
            Handing::Wait => return Begun::Nothing,
        };
        let ids = self.next_call(now, probe.is_some());
        let Some(id) = ids.first().copied() else {
            if let Some(call) = probe {
                self.process.gates.undecided(call, now);
            }
            return Begun::Nothing;
        };
        for id in &ids {
            self.process.claimed.insert(*id);
            if self.process.sending.contains(id) && Rule::AbandonedIsDoubt.holds() {
                self.disk.doubt(*id, now);
            }
        }
        let mut carried = Carried { id, facts: self.disk.facts(id), flight, probe };
        if ids.len() > 1 {
            match self.begin_batch(&ids, carried) {
                Ok(begun) => return begun,
                Err(alone) => carried = *alone,
            }
        }
        let id = carried.id;
        loop {
            let facts = &mut carried.facts;
            let change = match self.judge().next(facts) {
                Next::Evaluate => match self.evaluate(id, facts, flight.fetch) {
                    Evaluated::Send(sending) => match self.part_of(&mut carried, sending) {
                        Ok(part) => {
                            self.open(id, &mut carried.facts, part);
                            None
                        }
                        Err(change) => Some(*change),
                    },
                    Evaluated::Done(change) => Some(change),
                },
                Next::Send => None,
                Next::LookUp => match self.look_up(&mut carried) {
                    Some(change) => Some(change),
                    None => continue,
                },
                Next::Wait(until) => Some(self.judge().waits(facts, until)),
                Next::Hold => Some(self.judge().held(facts)),
                Next::GiveUp => Some(self.judge().given_up(facts)),
            };
            let Some(change) = change else {
                return self.send(carried);
            };
            self.store(id, &carried.facts, change);
            if let Some(call) = carried.probe {
                self.process.gates.undecided(call, now);
            }
            return Begun::Done;
        }
    }

    fn finish(&mut self, newest: bool) -> bool {
        let calls = &mut self.process.under_way;
        let Some(UnderWay { records, answer, probe }) = (if newest { calls.pop_back() } else { calls.pop_front() })
        else {
            return false;
        };
        let now = self.world.now();
        match answer {
            Answer::Batch(answer) => {
                self.world.get().vendor.batch_answered(now, &answer);
                self.finish_batch(&records, answer);
            }
            Answer::One(answer) => {
                let Some((id, facts)) = records.first() else { return false };
                let Some(open): Option<&OpenIntent> = facts.intent.as_ref() else { return false };
                self.world.get().vendor.answered(now, open.deletes, answer);
                let call = if open.deletes { Call::Delete } else { Call::Write };
                let (sent, weather) = self.sent(facts, call, answer);
                let change = self.judge().sent(facts, open, sent, weather);
                self.store(*id, facts, change);
            }
        }
        if let Some(call) = probe {
            // One that is the record's own doing says nothing of the system.
            self.process.gates.undecided(call, at(now));
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

    fn parent(&mut self, parent: u8, there: bool) {
        let now = self.now();
        self.disk.settle_parent(parent, there, now);
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
        let now = Some(self.now());
        let awaits = |queued: &&Queued| queued.awaits.is_some() && queued.due > now;
        let awaiting = self.disk.queue.values().filter(awaits).map(|queued| queued.key.clone()).collect();
        Standing { waiting, held, dead: self.disk.dead.iter().map(|dead| dead.key.clone()).collect(), awaiting }
    }
}
