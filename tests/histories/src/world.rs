//! The world a history plays in: a clock that moves only when told, a source, a vendor, and what was not true so far.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{
    history::Means,
    property::{Property, Violation},
    source::{Source, State},
    vendor::Vendor,
};

/// How many records there are.
pub const KEYS: u8 = 4;
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
    /// Newest version that was decided about, by record.
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

    /// States were read, and are safe in the store.
    pub fn taken(&mut self, states: &[State]) {
        self.taken.extend(states.iter().map(|state| state.mark));
        self.vendor.read_again(states);
    }

    /// The worker set a record aside.
    pub fn buried(&mut self, record: &str) {
        if !self.vendor.had_a_fault_of(record) {
            self.violate(Property::AnOutageNeverFillsTheDeadLetters, || {
                format!("{record} was set aside, although only the system ever failed it")
            });
        }
    }

    /// The worker decided about a state of a record: it was written, or needed no write.
    pub fn decided(&mut self, record: &str, version: i64) {
        let newest = self.decided.entry(record.to_owned()).or_insert(version);
        *newest = version.max(*newest);
    }

    /// A state of a record is about to be written.
    pub fn writing(&mut self, record: &str, version: i64) {
        if self.decided.get(record).is_some_and(|newest| version < *newest) {
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
        self.decided.clear();
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
        let missing: BTreeMap<u8, State> = self
            .source
            .current()
            .filter(|state| !excused.contains(&state.key.to_string()))
            .filter(|state| !self.vendor.unknowable().contains(&state.key.to_string()))
            .filter(|state| !self.vendor.has(&State::body(&state.record(self.means.traced))))
            .map(|state| (state.key, state.clone()))
            .collect();
        for (key, state) in missing {
            let (property, what) = if !self.taken.contains(&state.mark) {
                (Property::EveryChangeIsRead, "was never read")
            } else if self.vendor.once_had(&State::body(&state.record(self.means.traced))) {
                (Property::AToBToAEndsAtA, "was written, and then written over by an earlier one")
            } else {
                (Property::NothingAcknowledgedIsLost, "never arrived")
            };
            self.violate(property, || format!("the newest state of {key} {what}"));
        }
    }
}
