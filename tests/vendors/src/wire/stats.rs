//! What an instance says it received and wrote.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `GET …/stats`: what the instance received since it was made or last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Requests by method, route and status.
    pub requests: Vec<RequestCount>,
    /// Their sum.
    pub total_requests: u64,
    /// The most requests that were under way at once.
    pub peak_concurrency: u64,
    /// How many are under way now.
    pub in_flight: u64,
    /// The version the last versioned request asked for.
    pub last_requested_version: Option<String>,
    /// The version that answered it.
    pub last_served_version: Option<String>,
    /// How often each kind of fault was applied.
    pub faults: BTreeMap<String, u64>,
    /// What was written through the vendor's API; the control API's own writes do not count.
    pub writes: WriteTotals,
}

impl Stats {
    /// Requests that were answered with `status`; 0 stands for those that got no answer.
    pub fn with_status(&self, status: u16) -> u64 {
        self.requests.iter().filter(|entry| entry.status == status).map(|entry| entry.count).sum()
    }
}

/// One line of [`Stats::requests`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCount {
    /// The method.
    pub method: String,
    /// The path with its variable parts replaced by names.
    pub route: String,
    /// The status answered, or 0 when no answer was sent.
    pub status: u16,
    /// How many.
    pub count: u64,
}

/// Totals over all keys. A key is `resource/externalId`, or `resource/id:ID` for a record without an external id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WriteTotals {
    /// Creates and updates that took effect.
    pub applied: u64,
    /// Different keys among them.
    pub distinct: u64,
    /// Records made.
    pub creates: u64,
    /// Records changed, also when the new content equals the old.
    pub updates: u64,
    /// Records deleted.
    pub deletes: u64,
    /// Keys that were made more than once (after a delete, say).
    pub keys_with_more_than_one_create: KeyList,
    /// Keys that were created or updated more than once in all.
    pub keys_with_more_than_one_write: KeyList,
}

/// A count and the first few of what was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    /// All of them.
    pub count: u64,
    /// The first 100.
    pub keys: Vec<String>,
}

/// What was done to one key: an entry of `GET …/writes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes {
    /// Times it was created.
    pub creates: u64,
    /// Times it was updated.
    pub updates: u64,
    /// Times it was deleted.
    pub deletes: u64,
}

/// `GET …/writes?offset&limit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WritesPage {
    /// By key, in the order of the keys.
    pub items: BTreeMap<String, Writes>,
    /// How many keys there are.
    pub total: usize,
}

/// One request, as `GET …/log` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// The order in which requests were decided, from 1; it never starts again.
    pub sequence: u64,
    /// By the vendor's clock.
    pub time: Timestamp,
    /// The method.
    pub method: String,
    /// The path below the instance, with its query.
    pub path: String,
    /// The status answered, or 0 when no answer was sent.
    pub status: u16,
    /// The idempotency key the client sent.
    pub idempotency_key: Option<String>,
    /// The request id the vendor gave.
    pub request_id: String,
    /// The start of the SHA-256 of the token used, in hexadecimal; the token itself is never kept.
    pub token_fingerprint: Option<String>,
    /// The fault applied, if any; a `slow` that was followed by another fault is not shown.
    pub fault: Option<String>,
    /// What each row of a batch that was applied did; empty for a request that wrote one record or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowEffect>,
    /// The key written, of a request that wrote one record.
    pub key: Option<String>,
    /// What was done to it.
    pub effect: Option<WriteKind>,
    /// The write's place in the order in which writes took effect, from 1.
    pub commit: Option<u64>,
    /// What the record is named since, where it has a member `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What one row of a batch did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowEffect {
    /// The key written.
    pub key: String,
    /// What was done to it.
    pub effect: WriteKind,
    /// The write's place in the order in which writes took effect, from 1.
    pub commit: u64,
    /// What the record is named since, where it has a member `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a request did to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteKind {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
    /// It was removed.
    Deleted,
}

/// `GET …/log?since=N`: entries with a sequence above N, oldest first, at most 10,000 at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPage {
    /// The entries.
    pub entries: Vec<LogEntry>,
    /// The oldest sequence still kept; entries below it were dropped.
    pub oldest_kept: u64,
    /// The newest sequence given out.
    pub newest: u64,
}
