//! The vendor: what is booked there, what it remembers, how it fails, and what it must never see.

mod look_up;
mod owned;
mod receive;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::owned::rest;
use crate::{
    call::{BatchAnswer, Message, WriteAnswer},
    history::{Flight, Means, OnWhenFalse, Outage, Poison},
    parents::Parents,
    property::{Property, Violation},
    source::State,
    world::{RETRIES, WINDOW_SECONDS},
};

/// A write on its way.
#[derive(Clone, Debug)]
struct Parcel {
    arrives: i64,
    messages: Vec<Message>,
    /// Which of them are applied.
    rows: Vec<bool>,
    key: Option<String>,
}

/// What came with an idempotency key.
#[derive(Clone, Debug)]
struct Remembered {
    at: i64,
    messages: Vec<Message>,
    rows: Vec<bool>,
}

/// What a body was written over by, and when.
#[derive(Clone, Debug)]
struct Booked {
    at: i64,
    /// None when it was deleted.
    body: Option<Value>,
}

/// The vendor.
#[derive(Debug)]
pub struct Vendor {
    means: Means,
    /// By record, everything that ever was there, in order.
    booked: BTreeMap<String, Vec<Booked>>,
    /// By record, the field that is its own.
    theirs: BTreeMap<String, Value>,
    parcels: Vec<Parcel>,
    /// Idempotency keys that came with a write that was applied.
    keys: BTreeMap<String, Remembered>,
    /// Marks that were applied, by record.
    applied: BTreeMap<String, BTreeSet<u64>>,
    /// Newest time written, by record.
    newest: BTreeMap<String, i64>,
    /// Records whose last write was answered 200 and stored: the worker knows what is there.
    certain: BTreeSet<String>,
    /// Bodies that were looked up and found to be another's.
    strangers: BTreeMap<String, Value>,
    /// How often each state was read, by mark.
    reads: BTreeMap<u64, u32>,
    /// Refusals, by mark.
    refusals: BTreeMap<u64, u32>,
    /// Records that ever failed for a reason that may be their own.
    faulty: BTreeSet<String>,
    poisoned: BTreeMap<String, Poison>,
    /// Records that a late write may have changed last, although nothing can tell.
    unknowable: BTreeSet<String>,
    outage: Outage,
    calls: u64,
    /// Calls that failed because of how it is.
    turned_away: u64,
    /// No write, and no delete, before this time.
    busy_until: [i64; 2],
    /// What records depend on.
    pub(crate) parents: Parents,
    violation: Option<Violation>,
}

fn id(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

impl Vendor {
    pub(crate) fn new(means: Means) -> Self {
        Self {
            means,
            booked: BTreeMap::new(),
            theirs: BTreeMap::new(),
            parcels: Vec::new(),
            keys: BTreeMap::new(),
            applied: BTreeMap::new(),
            newest: BTreeMap::new(),
            certain: BTreeSet::new(),
            strangers: BTreeMap::new(),
            reads: BTreeMap::new(),
            refusals: BTreeMap::new(),
            faulty: BTreeSet::new(),
            poisoned: BTreeMap::new(),
            unknowable: BTreeSet::new(),
            outage: Outage::Over,
            calls: 0,
            turned_away: 0,
            busy_until: [0; 2],
            parents: Parents::default(),
            violation: None,
        }
    }

    /// From now on the vendor is so.
    pub fn outage(&mut self, outage: Outage) {
        self.outage = outage;
    }

    /// The trouble is over, but for one kind of call that stays busy: whether it does.
    pub(crate) fn ends_outage(&mut self) -> bool {
        let busy = self.outage == Outage::DeletesBusy;
        self.outage = if busy { self.outage } else { Outage::Over };
        busy
    }

    /// From now on writes of a record are treated so.
    pub fn poison(&mut self, record: &str, poison: Poison) {
        match poison {
            Poison::Cured => drop(self.poisoned.remove(record)),
            Poison::With500 | Poison::Refused => {
                self.poisoned.insert(record.to_owned(), poison);
                self.faulty.insert(record.to_owned());
            }
        }
    }

    /// Records that are poisoned.
    pub fn poisoned(&self) -> BTreeSet<String> {
        self.poisoned.keys().cloned().collect()
    }

    /// Receives a write. `stored` says that what is answered will be stored.
    pub fn write(
        &mut self,
        now: i64,
        message: &Message,
        key: Option<&str>,
        flight: Flight,
        stored: bool,
    ) -> WriteAnswer {
        self.sent(now, &id(&message.body), message);
        let answer = self.receive(now, message, key, flight.write);
        self.told(message, stored && answer == WriteAnswer::Applied, stored && answer == WriteAnswer::Refused);
        answer
    }

    /// Receives a write of several records. `stored` says that what is answered will be stored.
    pub fn write_batch(
        &mut self,
        now: i64,
        messages: &[Message],
        key: Option<&str>,
        flight: Flight,
        stored: bool,
    ) -> BatchAnswer {
        for message in messages {
            self.sent(now, &id(&message.body), message);
        }
        let answer = self.receive_batch(now, messages, key, flight.write);
        for (row, message) in messages.iter().enumerate() {
            // A refusal as a whole says nothing of a single record.
            let (applied, refused) = match &answer {
                BatchAnswer::Rows(rows) => (rows[row], !rows[row]),
                BatchAnswer::Whole(_) => (false, false),
            };
            self.told(message, stored && applied, stored && refused);
        }
        answer
    }

    /// What the worker knows of a record from now on.
    fn told(&mut self, message: &Message, applied: bool, refused: bool) {
        let record = id(&message.body);
        if applied {
            self.certain.insert(record);
        } else {
            self.certain.remove(&record);
        }
        if refused {
            self.refused(&message.body);
        }
    }

    /// The answer to a write of several records reached the worker.
    pub fn batch_answered(&mut self, now: i64, answer: &BatchAnswer) {
        match answer {
            BatchAnswer::Rows(_) => {}
            BatchAnswer::Whole(answer) => self.answered(now, false, *answer),
        }
    }

    /// An answer to a write, or to a delete, reached the worker.
    pub fn answered(&mut self, now: i64, deletes: bool, answer: WriteAnswer) {
        if let WriteAnswer::Limited(seconds) = answer {
            let until = &mut self.busy_until[usize::from(deletes)];
            *until = (now + i64::from(seconds)).max(*until);
        }
    }

    fn sent(&mut self, now: i64, record: &str, Message { body, deletes }: &Message) {
        let until = self.busy_until[usize::from(*deletes)];
        if now < until {
            self.violate(Property::NothingIsSentBeforeTheVendorAllowsIt, || {
                format!("{record} was sent at {now} and not before {until} was asked for")
            });
        }
        if self.means.traced && self.strangers.get(record) == Some(&rest(body)) {
            self.violate(Property::AStrangerIsNeverWrittenOver, || {
                format!("{record} was sent after another one had been found in its place")
            });
        }
        if *deletes {
            self.deletes(record);
        } else {
            self.comes(record, body);
        }
    }

    /// What a record depends on was there at some time since the state that is written came to be: a write that was decided then may be sent
    /// again later.
    fn comes(&mut self, record: &str, body: &Value) {
        let Some(parent) = body["parent"].as_str() else { return };
        let came_before = !self.parents.was_there_since(parent.parse().unwrap(), body["mark"].as_u64());
        if came_before {
            self.violate(Property::ARecordNeverComesBeforeItsParent, || {
                format!("{record} was sent although what it depends on is not there")
            });
        }
    }

    /// What is deleted was there at some time. Of one that failed for its own reasons, a worker may not know.
    fn deletes(&mut self, record: &str) {
        let known = self.can_know() && !self.faulty.contains(record);
        if known && !self.booked.contains_key(record) {
            self.violate(Property::WhatWasNeverThereIsNotDeleted, || {
                format!("{record} was deleted and never was there")
            });
        }
    }

    /// Applies the rows that are to be, unless the key is remembered: then it is answered like the first time and changes nothing. Gives the
    /// rows that are answered.
    fn apply(&mut self, now: i64, messages: &[Message], rows: Vec<bool>, key: Option<&str>) -> Vec<bool> {
        if let Some(key) = key {
            if let Some(first) = self.keys.get(key)
                && now < first.at + i64::from(WINDOW_SECONDS)
            {
                let (same, rows) = (first.messages == messages, first.rows.clone());
                if !same {
                    self.violate(Property::OneKeyNeverCarriesTwoBodies, || "a key came again with another body".into());
                }
                return if rows.len() == messages.len() { rows } else { vec![true; messages.len()] };
            }
            let remembered = Remembered { at: now, messages: messages.to_vec(), rows: rows.clone() };
            self.keys.insert(key.to_owned(), remembered);
        }
        for (message, applied) in messages.iter().zip(&rows) {
            if *applied {
                self.book(now, message);
            }
        }
        rows
    }

    fn book(&mut self, now: i64, Message { body, deletes }: &Message) {
        let record = id(body);
        self.takes(now, body, *deletes);
        if let Some(mark) = body["mark"].as_u64() {
            let again = !self.applied.entry(record.clone()).or_default().insert(mark);
            // What is gone is no more gone the second time.
            if again && !deletes && self.can_know() {
                self.violate(Property::NothingIsAppliedTwice, || format!("a state of {record} was applied twice"));
            }
            let time = body["order"].as_i64().unwrap();
            let newest = self.newest.get(&record).copied().unwrap_or(time);
            if time < newest && self.can_know() {
                self.violate(Property::AnOlderVersionNeverOverwritesANewerOne, || {
                    format!("an older state of {record} was written over a newer one")
                });
            }
            self.newest.insert(record.clone(), time.max(newest));
        } else if !deletes && self.can_know() && self.certain.contains(&record) && self.has(body) {
            self.violate(Property::AnEchoIsNotWritten, || format!("{record} was written as it was already"));
        }
        if State::shows_out(body) && !deletes {
            self.books_out(&record);
        }
        // What the worker does not know of it may write again.
        if self.means.once && !deletes && self.can_know() && self.certain.contains(&record) && self.has_any(&record) {
            self.violate(Property::WhatIsWrittenOnceStays, || format!("{record} was written, and written again"));
        }
        self.booked.entry(record).or_default().push(Booked { at: now, body: (!deletes).then(|| rest(body)) });
    }

    /// A record that does not match is written only if it is there, and only where that is asked for.
    fn books_out(&mut self, record: &str) {
        let is_there = self.has_any(record) || self.faulty.contains(record) || !self.can_know();
        if self.means.on_when_false != OnWhenFalse::Update || !is_there {
            self.violate(Property::WhatTakesNoPartIsNotWritten, || format!("{record} was written, and takes no part"));
        }
    }

    /// Whether it can always be known, or is asked for to know, what was applied. Else sending again is a person's choice.
    fn can_know(&self) -> bool {
        self.means.can_always_know()
    }

    fn refused(&mut self, body: &Value) {
        let Some(mark) = body["mark"].as_u64() else { return };
        let refusals = self.refusals.entry(mark).or_default();
        *refusals += 1;
        if *refusals > (RETRIES + 1) * self.reads.get(&mark).copied().unwrap_or(1) {
            let record = id(body);
            self.violate(Property::ARefusedRecordIsNotSentForEver, || {
                format!("{record} was sent again after all its retries were refused")
            });
        }
    }

    /// Whether anything is there for a record.
    pub(crate) fn has_any(&self, record: &str) -> bool {
        self.booked.get(record).and_then(|all| all.last()).is_some_and(|booked| booked.body.is_some())
    }

    /// Records of which nobody can know what is there, because a person chose to send again what nothing can tell.
    pub(crate) fn unknowable(&self) -> &BTreeSet<String> {
        &self.unknowable
    }

    pub(crate) fn has_a_fault_of(&mut self, record: &str) {
        self.faulty.insert(record.to_owned());
    }

    pub(crate) fn had_a_fault_of(&self, record: &str) -> bool {
        self.faulty.contains(record)
    }

    /// A person has these tried again, whatever became of them before.
    pub(crate) fn replayed(&mut self, records: &BTreeSet<String>) {
        self.applied.retain(|record, _| !records.contains(record));
        self.forget_refusals();
    }

    /// States were read: each may have joined its queue once more, and is then tried as if for the first time.
    pub(crate) fn read_again(&mut self, states: &[State]) {
        for state in states {
            *self.reads.entry(state.mark.into()).or_default() += 1;
        }
    }

    fn forget_refusals(&mut self) {
        self.refusals.clear();
        self.strangers.clear();
    }

    /// A worker that was started anew has not been asked to wait, and does not know answers that were not stored.
    pub(crate) fn forget_answers(&mut self) {
        self.busy_until = [0; 2];
        self.certain.clear();
        self.refusals.clear();
    }

    /// The worker lost its store: nothing it did before can be expected to be known.
    pub(crate) fn forget_the_worker(&mut self) {
        self.parcels.clear();
        self.applied.clear();
        self.newest.clear();
        self.forget_refusals();
        self.forget_answers();
    }

    fn violate(&mut self, property: Property, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { property, what: what() });
        }
    }

    pub(crate) fn violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }
}
