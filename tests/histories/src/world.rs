//! The world a history plays in: a clock that moves only when told, a source, a vendor, and what was not true so far.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{
    history::{Fetch, Means, OnWhenFalse},
    property::{Property, Violation},
    source::{FetchAnswer, Source, State},
    vendor::Vendor,
};

/// How many records there are.
pub const KEYS: u8 = 4;
/// How many records of another flow there are that records may depend on.
pub const PARENTS: u8 = 2;
/// Seconds for which the vendor remembers an idempotency key.
pub const WINDOW_SECONDS: u32 = 600;
/// The longest a call can be under way, in seconds.
pub const FLIGHT_SECONDS: u32 = 30;
/// Seconds after which a look-up is believed; more than any write is late and any look-up lags together.
pub const SETTLE_SECONDS: u32 = 8;
/// How far a window reaches back, in seconds; no less than any change is late.
pub const LOOKBACK_SECONDS: u32 = 20;
/// Records a page.
pub const PAGE: u32 = 2;
/// How often a failing record is tried again.
pub const RETRIES: u32 = 2;

/// The world, shared with whoever plays in it.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<World>>);

/// Everything around the worker.
#[derive(Debug)]
pub struct World {
    /// The circumstances.
    pub means: Means,
    /// Seconds since the history began.
    pub now: i64,
    /// The source.
    pub source: Source,
    /// The vendor.
    pub vendor: Vendor,
    /// Marks of the states that were read and taken.
    taken: BTreeSet<u32>,
    /// Mark of the newest state that the worker was shown, by record.
    shown: BTreeMap<String, u32>,
    /// The same when the record was last set aside.
    aside: BTreeMap<String, u32>,
    /// Whether a store was lost: nobody knows any more what was written before, so that what is deleted then stays.
    forgot: bool,
    /// Newest state that was decided about, by record.
    decided: BTreeMap<String, i64>,
    /// The first thing that was not true.
    violation: Option<Violation>,
}

impl Shared {
    /// A world in which nothing has happened.
    pub fn new(means: Means) -> Self {
        let world = World {
            means,
            now: 0,
            source: Source::default(),
            vendor: Vendor::new(means),
            taken: BTreeSet::new(),
            shown: BTreeMap::new(),
            aside: BTreeMap::new(),
            forgot: false,
            decided: BTreeMap::new(),
            violation: None,
        };
        Self(Arc::new(Mutex::new(world)))
    }

    /// The world, for a moment.
    pub fn get(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The world's time in seconds.
    pub fn now(&self) -> i64 {
        self.get().now
    }
}

impl World {
    /// The present by the source's clock.
    pub fn source_now(&self) -> i64 {
        self.now + i64::from(self.means.skew)
    }

    /// Time passes, second by second, so that late writes come at their time.
    pub fn pass(&mut self, seconds: u16) {
        for _ in 0..seconds {
            self.now += 1;
            self.vendor.arrive(self.now);
        }
    }

    /// Time passes until a moment, where the clock runs by itself.
    pub fn catch_up(&mut self, now: i64) {
        while self.now < now {
            self.pass(1);
        }
    }

    /// The worker's process died: what it was told and did not store it does not know.
    pub fn worker_died(&mut self) {
        self.vendor.forget_answers();
    }

    /// States were read, and are safe in the store.
    pub fn taken(&mut self, states: &[State]) {
        self.taken.extend(states.iter().map(|state| state.mark));
        self.show(states);
        self.source.taken(states);
        self.vendor.read_again(states);
    }

    /// The worker was shown these, whether it takes them or not.
    pub fn show(&mut self, states: &[State]) {
        for state in states {
            let newest = self.shown.entry(state.key.to_string()).or_default();
            *newest = state.mark.max(*newest);
        }
    }

    /// Newest states of which the worker has no word yet, where words are all that it gets.
    pub(crate) fn untold(&self) -> Vec<State> {
        let untold = |state: &&State| self.means.words && !self.taken.contains(&state.mark);
        self.source.current().filter(untold).cloned().collect()
    }

    /// A page of the source's list: so many records from a position on, of those that changed at or after a time.
    pub fn page(&mut self, from: Option<i64>, position: usize, length: usize) -> Vec<State> {
        if self.means.words {
            return Vec::new();
        }
        self.source.page(self.means, from, position, length)
    }

    /// A single record is asked for at the source.
    pub fn fetch(&mut self, key: &str, fetch: Fetch) -> FetchAnswer {
        let answer = self.source.single(key, fetch, self.means.shows.versions());
        match &answer {
            FetchAnswer::Shown(state) => {
                self.show(std::slice::from_ref(state));
                self.vendor.read_again(std::slice::from_ref(state));
            }
            FetchAnswer::Absent => self.vendor.has_a_fault_of(key),
            FetchAnswer::Failed => {}
        }
        answer
    }

    /// Another flow brings a record to the destination that some depend on, or takes it away.
    pub(crate) fn set_parent(&mut self, parent: u8, there: bool) {
        self.vendor.parents.set(parent, there, self.source.marks());
    }

    /// Whether what a record depends on is not at the destination.
    pub(crate) fn lacks_its_parent(&self, record: &str) -> bool {
        let parent = record.parse().ok().and_then(|key| State::parent(key, self.means));
        parent.is_some_and(|parent| !self.vendor.parents.has(parent))
    }

    /// The worker set a record aside.
    pub fn buried(&mut self, record: &str) {
        self.aside.insert(record.to_owned(), self.shown.get(record).copied().unwrap_or_default());
        if self.vendor.had_a_fault_of(record) {
            return;
        }
        let (property, why) = if self.lacks_its_parent(record) {
            (Property::WaitingForAParentIsNoAttempt, "what it depends on was not there")
        } else {
            (Property::AnOutageNeverFillsTheDeadLetters, "the system failed it")
        };
        self.violate(property, || format!("{record} was set aside, although only {why}"));
    }

    /// The worker decided about a state of a record: it was written, or needed no write.
    pub fn decided(&mut self, record: &str, order: i64) {
        let newest = self.decided.entry(record.to_owned()).or_insert(order);
        *newest = order.max(*newest);
    }

    /// A state of a record is about to be written.
    pub fn writing(&mut self, record: &str, order: i64) {
        if self.decided.get(record).is_some_and(|newest| order < *newest) {
            self.violate(Property::AnOlderVersionNeverOverwritesANewerOne, || {
                format!("{record} was written as it was before what was decided about last")
            });
        }
    }

    /// A person replays dead letters. That is a decision to send them again, also where a write of them was in doubt when they were set aside.
    pub(crate) fn replayed(&mut self, records: &BTreeSet<String>) {
        self.vendor.replayed(records);
    }

    /// The store was lost, and everything in it.
    pub fn store_lost(&mut self) {
        self.taken.clear();
        self.shown.clear();
        self.aside.clear();
        self.decided.clear();
        self.forgot = true;
        self.vendor.forget_the_worker();
    }

    /// Notes that something is not true, unless something else was not before.
    pub fn violate(&mut self, property: Property, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { property, what: what() });
        }
    }

    /// What was not true so far.
    pub fn judge(&mut self) -> Result<(), Violation> {
        let violation = self.violation.take().or_else(|| self.vendor.violation());
        violation.map_or(Ok(()), Err)
    }

    /// What must be true in the end: the newest state of each record is at the vendor, but of those that are held back or cannot be written.
    pub fn ended(&mut self, excused: &BTreeSet<String>) {
        let states: Vec<State> = self.source.current().cloned().collect();
        for state in states.iter().filter(|state| !excused.contains(&state.key.to_string())) {
            if let Some((property, what)) = self.missing(state) {
                self.violate(property, || format!("the newest state of {} {what}", state.key));
            }
        }
    }

    /// What must be true before anybody replays anything: the newest state of each record that was set aside is at the vendor, where it came
    /// in later and looks like none that came in before.
    pub(crate) fn have_own_chances(&mut self, excused: &BTreeSet<String>) {
        let means = self.means;
        let is_news = |state: &&State| {
            let aside = self.aside.get(&state.key.to_string()).copied();
            aside.is_some_and(|mark| state.mark > mark && !self.source.looks_as_before(state, mark, means))
        };
        let news: Vec<State> = self.source.current().filter(is_news).cloned().collect();
        for state in news.iter().filter(|state| !excused.contains(&state.key.to_string())) {
            if self.taken.contains(&state.mark)
                && let Some((_, what)) = self.missing(state)
            {
                self.violate(Property::ANewerStateHasItsOwnChance, || {
                    format!("the newest state of {} came in after it was set aside, and {what}", state.key)
                });
            }
        }
    }

    /// What is not as a record's newest state wants it.
    fn missing(&self, state: &State) -> Option<(Property, &'static str)> {
        let record = state.key.to_string();
        let body = State::body(&state.record(self.means));
        let (has_any, has) = (self.vendor.has_any(&record), self.vendor.has(&body));
        let stays = (self.means.on_when_false, state.is_out());
        let has = has || (has_any && self.means.once);
        // What a worker without its store no longer knows of, it leaves alone.
        let (as_wanted, is_gone) = match (state.content, stays) {
            (None, _) | (Some(_), (OnWhenFalse::Delete, true)) => (self.forgot || !has_any, true),
            (Some(_), (OnWhenFalse::Ignore, true)) => (true, false),
            (Some(_), (OnWhenFalse::Update, true)) => (self.forgot || !has_any || has, false),
            (Some(_), (_, false)) => (has, false),
        };
        if as_wanted || self.vendor.unknowable().contains(&record) || self.source.is_unnoticeable(state) {
            return None;
        }
        Some(if !self.taken.contains(&state.mark) {
            (Property::EveryChangeIsRead, "was never read")
        } else if is_gone {
            (Property::NothingAcknowledgedIsLost, "is that it is not to be there, and it is")
        } else if self.vendor.once_had(&body) {
            (Property::AToBToAEndsAtA, "was written, and then written over by an earlier one")
        } else {
            (Property::NothingAcknowledgedIsLost, "never arrived")
        })
    }
}
