//! A lane: everything one flow needs while it runs under one plan. Made when a plan is taken on, dropped with it; the state itself is in the
//! store.

mod lately;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crosstie_connect::{Clock, VendorClient};
use crosstie_engine::{
    delivery::{Judge, Terms},
    mapping::{Expression, Mapping, Part},
    plan::{Flow, Operation},
};
use jiff::Timestamp;
use tokio::sync::Notify;

pub use self::lately::{Failing, Lately, MENDED, REMEMBERED};
use crate::{
    delivery::LookUps,
    destination::Destination,
    gates::Gates,
    metrics::Metrics,
    pairs::Paired,
    resync::Again,
    singles::Singles,
    slots::Slots,
    store::{ScopeId, SharedStore},
    trouble::StoreTrouble,
};

/// One flow while it runs.
pub struct Lane {
    /// The flow, as the plan has it.
    pub flow: Flow,
    /// What it calls; shared with every intent.
    pub operation: Arc<Operation>,
    /// What it calls for a record that is to be there no longer.
    pub delete_operation: Option<Arc<Operation>>,
    /// Name of the source's Connector.
    pub source_name: String,
    /// Name of the destination's Connector.
    pub destination_name: String,
    /// Where its state belongs.
    pub scope: ScopeId,
    /// Scopes of all flows by name, for cross-references.
    pub scopes: Arc<BTreeMap<String, ScopeId>>,
    /// Its mapping.
    pub mapping: Arc<Mapping>,
    /// As much of it as deleting a record needs; all of it without one.
    pub remains: Option<Arc<Mapping>>,
    /// What has to be at the destination before a record.
    pub parent: Option<Parent>,
    /// Its part in a pair.
    pub paired: Option<Paired>,
    /// As much of a record as is read to find out what is to be done about it.
    pub part: Part,
    /// What the plan says about failures.
    pub terms: Terms,
    /// Hash of the plan.
    pub plan_hash: String,
    /// The store.
    pub store: SharedStore,
    /// Reads pages from it.
    pub source: VendorClient,
    /// Reads single records from it.
    pub singles: Arc<dyn Singles>,
    /// What was looked up in it lately; shared with the other flows.
    pub look_ups: Arc<LookUps>,
    /// Writes to it.
    pub destination: Arc<dyn Destination>,
    /// Before its calls, one an operation; shared with other flows of the same one.
    pub gates: Gates,
    /// How many records may be on their way; shared with the other flows.
    pub slots: Arc<Slots>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws a number in 0..1; spreads retries.
    pub chance: fn() -> f64,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What is wrong with the store.
    pub store_trouble: Arc<StoreTrouble>,
    /// Wakes delivery when there is something new.
    pub wake: Arc<Notify>,
    /// Wakes the delivery of flows whose records may wait for this one's.
    pub dependents: Vec<Arc<Notify>>,
    /// Asks intake to read the stream again.
    pub again: Again,
    /// What can be asked about it from outside.
    pub facts: LaneFacts,
}

/// What has to be at the destination before a flow's records.
#[derive(Clone, Debug)]
pub struct Parent {
    /// The scope of the flow that brings it there.
    pub scope: ScopeId,
    /// Its key in that flow, of a record; none, or null, for a record without a parent.
    pub key: Arc<Expression>,
}

/// What a lane knows about itself, for reports.
#[derive(Debug, Default)]
pub struct LaneFacts {
    /// How mappings ended lately.
    pub mappings: Lately,
    /// How records ended lately: at the destination, or not.
    pub deliveries: Lately,
    next_run: Mutex<Option<Timestamp>>,
    no_room_since: Mutex<Option<Timestamp>>,
    mapping_is_long: AtomicBool,
    finds_nothing: AtomicBool,
}

/// As much of a flow's records as its expressions read, and what marks them as deleted.
pub fn part(flow: &Flow, mapping: &Mapping, remains: Option<&Mapping>, parent: Option<&Parent>) -> Part {
    let mappings = mapping.expressions().chain(remains.into_iter().flat_map(Mapping::expressions));
    let mut part = Part::of(mappings.chain(parent.map(|parent| &*parent.key)));
    flow.stream.deleted.iter().for_each(|pointer| part.add(pointer));
    part
}

impl Lane {
    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Decides on records at this moment, under the plan's terms.
    pub fn judge(&self) -> Judge<'_> {
        Judge { terms: &self.terms, now: self.now(), chance: (self.chance)() }
    }
}

impl LaneFacts {
    /// When the flow is read next.
    pub fn next_run(&self) -> Option<Timestamp> {
        *self.next_run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets when the flow is read next.
    pub fn set_next_run(&self, time: Timestamp) {
        *self.next_run.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
    }

    /// Whether the last evaluation of the mapping took long.
    pub fn mapping_is_long(&self) -> bool {
        self.mapping_is_long.load(Ordering::Relaxed)
    }

    /// Sets whether the last evaluation of the mapping took long.
    pub fn set_mapping_is_long(&self, long: bool) {
        self.mapping_is_long.store(long, Ordering::Relaxed);
    }

    /// Whether the source does not find by itself what its list holds, so that nothing is deleted for not being on it.
    pub fn finds_nothing(&self) -> bool {
        self.finds_nothing.load(Ordering::Relaxed)
    }

    /// Sets whether the source finds by itself what its list holds.
    pub fn set_finds_what_is_listed(&self, finds: bool) {
        self.finds_nothing.store(!finds, Ordering::Relaxed);
    }

    /// Since when nothing is read because too much waits.
    pub fn no_room_since(&self) -> Option<Timestamp> {
        *self.no_room_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets whether nothing is read at this time because too much waits.
    pub fn waits_for_room(&self, time: Option<Timestamp>) {
        let mut since = self.no_room_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = time.map(|time| since.map_or(time, |since| since.min(time)));
    }
}

#[cfg(test)]
pub mod testing;
