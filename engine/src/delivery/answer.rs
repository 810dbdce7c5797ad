//! What calls came to, in the protocol's own terms. How a vendor's answer becomes one of these is decided where vendors are talked to.

use std::time::Duration;

use serde_json::Value;

/// What a send came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    /// The vendor applied it.
    Applied {
        /// The record's identifier over there, if it said.
        identifier: Option<String>,
    },
    /// Refused for the record's own fault: surely not applied.
    Refused(Fault),
    /// The vendor's rules say that there is nothing to be done for it: surely not applied.
    Ignored(Fault),
    /// There is no such record, and none was made.
    Missing,
    /// It never left, or was turned away before it was looked at: surely not applied.
    NotSent(Setback),
    /// It may or may not have been applied.
    Unknown(Setback),
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The record, as it is over there.
    Present(Value),
    /// Nothing.
    Absent,
    /// Another record in its place.
    Stranger,
    /// More than one, so that nobody can tell which one it is.
    Several,
}

/// What was wrong, as it is kept with the record.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// In words, for people; may name fields, never values.
    pub cause: String,
    /// The vendor's status, if it answered.
    pub status: Option<u16>,
    /// The vendor's id of the request, if it gave one.
    pub request_id: Option<String>,
    /// The start of the vendor's response; may repeat values.
    pub excerpt: Option<String>,
}

/// A call that came to nothing for a reason that is not surely the record's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// What was wrong.
    pub fault: Fault,
    /// How long the vendor, or the throttle, asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether the vendor answered 429 or 5xx. Only these could be the record's own doing all the same.
    pub overloaded: bool,
}

impl Fault {
    /// A fault found without asking a vendor.
    pub fn of(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), ..Self::default() }
    }
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The excerpt is personal data, and Debug output ends up in logs.
        formatter
            .debug_struct("Fault")
            .field("cause", &self.cause)
            .field("status", &self.status)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}
