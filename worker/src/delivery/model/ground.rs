//! What a process stands on: the world's clock, a folder, a mapping, and the names of what it keeps.

use crosstie_connect::Clock;
use crosstie_engine::plan::Environment;
use crosstie_histories::{Shared, State};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::store::Scope;

/// The fields that every record is mapped to, and their expressions.
pub const FIELDS: [(&str, &str); 4] = [
    ("id", "record.id"),
    ("content", "record.content"),
    ("parent", "record.?parent"),
    (State::OWNED, "record.?theirs"),
];

/// The clock of everyone.
pub struct Hands(pub Shared);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        at(self.0.now())
    }
}

/// The world's second 0.
pub const EPOCH: i64 = 1_800_000_000;

/// A second of the world as a time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(EPOCH + second).unwrap()
}

/// The names of a flow's state.
pub fn scope(flow: &str) -> Scope {
    let (flow, source, destination) = (flow.into(), "shop".into(), "books".into());
    Scope { flow, source, destination, environment: Environment::Production }
}

/// Syncing is not what is tried here; memory makes many more histories possible.
pub fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
