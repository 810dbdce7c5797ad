//! Pairs of flows while they run: which records of them are being carried, and what each knows of the other. A record and its twin are never
//! carried at the same time.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use crosstie_engine::{
    mapping::Expression,
    pair::place,
    plan::{Direction, Operation},
};
use tokio::sync::Notify;

use crate::{lane::Lane, store::PairScopes};

/// A flow's part in a pair.
pub struct Paired {
    /// Its direction.
    pub direction: Direction,
    /// Both flows' scopes.
    pub scopes: PairScopes,
    /// The key of a record's twin, where the record says it.
    pub key: Arc<Expression>,
    /// Mapped fields that name the record, which every write carries.
    pub named_by: Vec<String>,
    /// What it calls for a twin that is there.
    pub update: Arc<Operation>,
    /// The records of both flows that are being carried.
    pub locks: Arc<TwinLocks>,
    /// The other flow, and where its records have what this one writes.
    other: OnceLock<(Weak<Lane>, String)>,
}

impl Paired {
    /// A flow's part in a pair, before the other flow is there.
    pub fn new(
        (direction, scopes): (Direction, PairScopes),
        (key, named_by): (Arc<Expression>, Vec<String>),
        operation: &Operation,
        locks: Arc<TwinLocks>,
    ) -> Self {
        let update = Arc::new(operation.update().unwrap_or_else(|| operation.clone()));
        Self { direction, scopes, key, named_by, update, locks, other: OnceLock::new() }
    }

    /// Makes the other flow known, once.
    pub fn meet(&self, other: &Arc<Lane>) {
        let place = place(&other.mapping, &self.update.shape.wrap);
        let _known = self.other.set((Arc::downgrade(other), place));
    }

    /// The other flow, and the pointer to where its records have what this one writes; none once it has ended.
    pub fn other(&self) -> Option<(Arc<Lane>, &str)> {
        let (lane, place) = self.other.get()?;
        Some((lane.upgrade()?, place))
    }

    /// Takes a record of this flow; none while somebody else has it.
    pub fn take(&self, key: &str) -> Option<TwinHold> {
        let guard = self.locks.take(self.direction, key)?;
        let other = self.other().map(|(other, _)| Arc::clone(&other.wake));
        Some(TwinHold { guards: vec![guard], other })
    }
}

/// A record that is being carried, and its twin where it is known. Once nobody has them any more the other flow is woken, however that came: what
/// became of the record may have left word of the twin for it, and is stored by then.
#[derive(Debug)]
pub struct TwinHold {
    guards: Vec<TwinGuard>,
    other: Option<Arc<Notify>>,
}

impl TwinHold {
    /// Takes the record's twin as well; false while somebody else has it.
    pub fn take_twin(&mut self, paired: &Paired, twin: &str) -> bool {
        let guard = paired.locks.take(paired.direction.back(), twin);
        let is_taken = guard.is_some();
        self.guards.extend(guard);
        is_taken
    }
}

impl Drop for TwinHold {
    fn drop(&mut self) {
        // Whoever is woken must find them free.
        self.guards.clear();
        if let Some(other) = &self.other {
            other.notify_one();
        }
    }
}

/// The records of a pair of flows that are being carried, each by the direction of its flow and its key.
#[derive(Debug, Default)]
pub struct TwinLocks(Mutex<HashSet<(Direction, String)>>);

impl TwinLocks {
    /// Takes a record; none while somebody else has it.
    pub fn take(self: &Arc<Self>, direction: Direction, key: &str) -> Option<TwinGuard> {
        let record = (direction, key.to_owned());
        self.records().insert(record.clone()).then(|| TwinGuard { locks: Arc::clone(self), record })
    }

    fn records(&self) -> MutexGuard<'_, HashSet<(Direction, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a record from being carried by anybody else until it is dropped.
#[derive(Debug)]
pub struct TwinGuard {
    locks: Arc<TwinLocks>,
    record: (Direction, String),
}

impl Drop for TwinGuard {
    fn drop(&mut self) {
        self.locks.records().remove(&self.record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_carried_once_at_a_time() {
        let locks = Arc::new(TwinLocks::default());
        let held = locks.take(Direction::Forward, "1").unwrap();
        assert!(locks.take(Direction::Forward, "1").is_none());
        assert!(locks.take(Direction::Reverse, "1").is_some(), "a record of the other flow");
        drop(held);
        assert!(locks.take(Direction::Forward, "1").is_some());
    }
}
