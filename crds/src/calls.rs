//! What a worker and whoever looks at the log of calls to vendors say to each other, as JSON over HTTP, on the same address and by the same right as
//! [`letters`](crate::letters).
//!
//! `GET /calls?before=NUMBER&limit=N&flow=NAME&system=NAME&failed=true&lowest=STATUS&highest=STATUS&since=TIME` is answered with [`Calls`] with a
//! lower number that are all of what is asked for, newest first; 500 at most, or `limit`. A call without an answer has the status 0 there.
//! Anything else is a status with a sentence as text.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A part of the log.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Calls {
    /// The calls, newest first. There can be fewer than asked for, or none, and more behind them: see `next`.
    pub calls: Vec<Call>,
    /// Where to ask on: as `before`. Absent when nothing that is asked for is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// For how many days calls are kept; 0 when none are, absent before the worker knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// What is missing of those days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

/// A call to a vendor, without what it carried. `Debug` leaves out what can be personal data.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Its number; later calls have higher ones.
    pub number: i64,
    /// When it was sent.
    pub time: Timestamp,
    /// Name of the Connector it went to.
    pub system: String,
    /// What it was for, for example `ReadPage`, `Write` or `LookUp`.
    pub purpose: String,
    /// Name of the stream or operation.
    pub name: String,
    /// The HTTP method.
    pub method: String,
    /// The path, without the query; can name the record.
    pub path: String,
    /// The vendor's status; absent when no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What it came to: `Done`, `Refused`, `Redirected`, `Ignored`, or the kind of a failure of the system, for example `RateLimited`.
    pub outcome: String,
    /// Whether what was asked was not done and should have been.
    pub failed: bool,
    /// Milliseconds from sending it to the end of the answer.
    pub milliseconds: u64,
    /// The vendor's id of the request; absent when it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Name of the flow; absent where it was made for none, such as an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// Key of the record it was made for; absent where it was made for none, or for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which attempt of the record it belongs to, from 1 on; absent where it was made for none, or for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How many records it wrote together; absent for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u32>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Call")
            .field("number", &self.number)
            .field("system", &self.system)
            .field("name", &self.name)
            .field("status", &self.status)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// Calls that are not in the log although their days are not over.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Why.
    pub why: Why,
    /// How many.
    pub calls: u64,
    /// When the last of them was made; those that were removed are all from before, those that were not stored may lie among others.
    pub until: Timestamp,
}

/// Why calls are missing.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// There were more than are kept, and these were the oldest.
    TooMany,
    /// The store did not take them in time.
    NotStored,
}
