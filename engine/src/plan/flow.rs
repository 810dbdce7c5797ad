//! One kind of record on its way: what makes it read, what is read, how it is mapped, what is called.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EventRoute, IDENTIFIER, Method, Operation, Stream, is_default};

/// One kind of record on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// Name, unique in the plan.
    pub name: String,
    /// Which way its records go. What is said of source and destination in a flow is meant of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub direction: Direction,
    /// The flow that carries the same records back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
    /// What makes it read; at least one.
    pub triggers: Vec<Trigger>,
    /// What the source's webhooks bring to it. The first that fits an event decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventRoute>,
    /// Where its very first window begins.
    pub start_from: StartFrom,
    /// What it reads.
    pub stream: Stream,
    /// CEL over `record`: whether a record takes part.
    pub when: Option<String>,
    /// What becomes of a record that took part and stops to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_when_false: OnWhenFalse,
    /// Destination field to CEL over `record`.
    pub map: BTreeMap<String, String>,
    /// Streams of the source that the mapping looks single records up in; each has `one`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<Stream>,
    /// What has to be at the destination before a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<DependsOn>,
    /// What it calls.
    pub operation: Operation,
    /// Whether a record that is there is left as it is, whatever its source makes of it later.
    #[serde(default, skip_serializing_if = "is_default")]
    pub writes_once: bool,
    /// What it calls for a record that is to be there no longer. Without one nothing is ever deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_operation: Option<Operation>,
    /// Whether a record is deleted that the source's whole list does not hold any more, and that the source does not find when it is asked for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deletes_unlisted: bool,
    /// How many records one call carries, at most; 1 for single writes. Above 1 only where the operation has `batch`.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub batch_size: u32,
    /// What to do when a write's outcome stays unknown and nothing can tell.
    pub on_unknown_outcome: OnUnknownOutcome,
}

/// Which way a flow's records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Direction {
    /// From the plan's source to its destination.
    #[default]
    Forward,
    /// From the plan's destination to its source.
    Reverse,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub fn back(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }
}

/// The flow that carries the same records back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// The flow, of the same plan and of the other direction.
    pub flow: String,
    /// CEL over `record`: the key of the record's twin in that flow, as text or a number; null for a record that does not say it.
    pub key: String,
    /// Mapped fields that the operation needs in every write, and that are no reason for one: they name the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_by: Vec<String>,
}

/// What becomes, at the destination, of a record that took part in a flow and stops to: its `when` turned false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnWhenFalse {
    /// It stays as it was written last.
    #[default]
    Ignore,
    /// It is deleted by the flow's delete operation, if it is there.
    Delete,
    /// It is written once more, if it is there.
    Update,
}

/// What has to be at the destination before a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DependsOn {
    /// The flow, of the same plan, that brings the parent there.
    pub flow: String,
    /// CEL over `record`: the parent's key in that flow, as text or a number; null for a record without a parent.
    pub key: String,
}

/// What makes a flow read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// Every so many seconds.
    EverySeconds(u32),
    /// At the times of a cron expression of five fields, in UTC.
    Cron(String),
}

/// Where a flow's very first window begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartFrom {
    /// The source's present.
    Now,
    /// Everything there is.
    Beginning,
    /// A time.
    Time(Timestamp),
}

/// What to do when a write's outcome stays unknown and nothing can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnknownOutcome {
    /// Keep the record back and say so.
    Hold,
    /// Send again; it may be applied twice.
    Resend,
}

impl Flow {
    pub(super) fn needs_seventh_format(&self) -> bool {
        self.operation.only_there.is_some() || self.deletes_unlisted
    }

    pub(super) fn needs_sixth_format(&self) -> bool {
        self.direction != Direction::Forward || self.pair.is_some()
    }

    pub(super) fn needs_fifth_format(&self) -> bool {
        !self.operation.ownership.is_empty()
    }

    pub(super) fn needs_third_format(&self) -> bool {
        self.writes_once
            || self.operation.needs_third_format()
            || self.delete_operation.as_ref().is_some_and(Operation::needs_third_format)
            || std::iter::once(&self.stream).chain(&self.lookups).any(Stream::needs_third_format)
    }

    pub(super) fn needs_second_format(&self) -> bool {
        self.on_when_false != OnWhenFalse::Ignore
            || !self.lookups.is_empty()
            || self.depends_on.is_some()
            || self.delete_operation.is_some()
            || self.stream.version.is_none()
            || self.stream.deleted.is_some()
            || self.operation.method == Method::Delete
            || !self.operation.omit.is_empty()
            || self.operation.names().any(|name| name == IDENTIFIER)
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(number: &u32) -> bool {
    *number == 1
}
