//! What is known: a state of a record as its source showed it, what was settled before, how a record failed so far. Types only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{OpenIntent, Rule};
use crate::{canonical, retry::Tally, version::Version};

/// A state of a record as the source showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The source's own order.
    pub version: Version,
    /// Hash of the whole record.
    pub hash: String,
}

impl Seen {
    /// The state of a record, with its hash.
    pub fn of(version: Version, record: &Value) -> Self {
        Self { version, hash: canonical::hash(record) }
    }
}

/// What the ledger holds for a key: the newest state that was settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Version of the state that was settled last.
    pub version: Version,
    /// Hash of that state.
    pub source_hash: String,
    /// Hash of the body that is believed to be at the destination; none when nothing is known to be there: the record was never written, or
    /// deleted, or a write of it was given up in doubt. What `when` leaves out stays as it was written before.
    pub body_hash: Option<String>,
    /// Whether the destination has the record, as far as is known. A deleted one leaves an entry without it: a tombstone.
    pub present: bool,
    /// What the destination called the record, if it said.
    pub identifier: Option<String>,
}

impl LedgerEntry {
    /// Whether the record is known to have been written and not deleted since: not where its write was given up in doubt.
    pub fn is_written(&self) -> bool {
        self.present && (self.body_hash.is_some() || !Rule::GivenUpIsNotWritten.holds())
    }
}

/// What is known of a claimed record and of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its state.
    pub seen: Seen,
    /// How often and how it failed.
    pub failures: Failures,
    /// What was settled last for the key.
    pub ledger: Option<LedgerEntry>,
    /// The write that is under way for it.
    pub intent: Option<OpenIntent>,
}

/// How a record failed so far.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failures {
    /// Attempts that failed by the record's own fault.
    pub attempts: u32,
    /// Failures that could be the system's or the record's, and did not count.
    pub unjudged: u32,
    /// With how many records it may share a call, itself counted, because larger batches failed with it; none when nothing speaks against any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_together: Option<u32>,
    /// The operation's tally right after the last attempt; only good within the process that wrote it.
    #[serde(with = "tally")]
    pub tally: Option<Tally>,
    /// No send before this time.
    pub retry_at: Option<Timestamp>,
    /// When it first failed.
    pub first_failed_at: Option<Timestamp>,
    /// What was wrong the last time, for people; may name fields, never values.
    pub cause: String,
    /// The vendor's last status.
    pub status: Option<u16>,
    /// The start of the vendor's last response; may repeat values.
    pub excerpt: Option<String>,
    /// The vendor's ids of the last failed requests, at most [`Failures::MOST_REQUEST_IDS`].
    pub request_ids: Vec<String>,
}

impl Failures {
    /// How many request ids are kept.
    pub const MOST_REQUEST_IDS: usize = 8;
}

impl std::fmt::Debug for Failures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The excerpt is personal data, and Debug output ends up in logs.
        formatter
            .debug_struct("Failures")
            .field("attempts", &self.attempts)
            .field("unjudged", &self.unjudged)
            .field("retry_at", &self.retry_at)
            .field("cause", &self.cause)
            .field("status", &self.status)
            .field("request_ids", &self.request_ids)
            .finish_non_exhaustive()
    }
}

/// [`Tally`] as two numbers, because the engine's type is not made to be stored.
mod tally {
    use super::{Deserialize, Serialize, Tally};

    #[expect(clippy::ref_option, reason = "what serde hands over")]
    pub fn serialize<S: serde::Serializer>(tally: &Option<Tally>, serializer: S) -> Result<S::Ok, S::Error> {
        tally.map(|tally| (tally.well, tally.unwell)).serialize(serializer)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Tally>, D::Error> {
        let numbers = Option::<(u64, u64)>::deserialize(deserializer)?;
        Ok(numbers.map(|(well, unwell)| Tally { well, unwell }))
    }
}
