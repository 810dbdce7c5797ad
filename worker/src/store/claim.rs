//! Records that are handed out, with all that is known of their keys: types, and the guard that keeps a key.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crosstie_engine::{
    delivery::{Intent, LedgerEntry, Seen},
    plan::Operation,
    retry::Tally,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ScopeId;

/// Records handed out.
#[derive(Debug, Default)]
pub struct Claim {
    /// The records, each of another key.
    pub records: Vec<Claimed>,
    /// When the next one is due, if one waits for a time to come.
    pub next_due: Option<Timestamp>,
}

/// A record handed out, with everything known of its key. No other record of the key is handed out while the guard lives.
#[derive(Debug)]
pub struct Claimed {
    /// Its number in the queue; later records have higher ones.
    pub id: i64,
    /// Where it belongs.
    pub scope: ScopeId,
    /// Its key.
    pub key: String,
    /// Its state.
    pub seen: Seen,
    /// The whole record as JSON. It is parsed by whoever maps it, because the store's one thread has other things to do.
    pub payload: String,
    /// How often and how it failed.
    pub failures: Failures,
    /// What was settled last for the key.
    pub ledger: Option<LedgerEntry>,
    /// The write that is under way for it.
    pub intent: Option<OpenIntent>,
    /// Keeps the key.
    pub guard: ClaimGuard,
}

/// Which records of a process are claimed, and which of them had a send begun whose outcome is not stored.
#[derive(Debug, Default)]
pub struct Claims(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    claimed: HashSet<i64>,
    sending: HashSet<i64>,
}

/// Keeps a claimed key from being handed out again until it is dropped.
#[derive(Debug)]
pub struct ClaimGuard {
    claims: Arc<Claims>,
    id: i64,
}

impl Claims {
    /// Claims a record by its number; nothing when it is claimed already.
    pub fn claim(self: &Arc<Self>, id: i64) -> Option<ClaimGuard> {
        self.records().claimed.insert(id).then(|| ClaimGuard { claims: Arc::clone(self), id })
    }

    /// Whether a send of the record was begun, by whoever claimed it before, and given up without a word: nobody knows what came of it.
    pub fn was_abandoned(&self, id: i64) -> bool {
        self.records().sending.contains(&id)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClaimGuard {
    /// A send begins. Until its outcome is stored, giving the claim up leaves the record's intent in doubt.
    pub fn sending(&self) {
        self.claims.records().sending.insert(self.id);
    }

    /// What came of the record is stored.
    pub fn stored(&self) {
        self.claims.records().sending.remove(&self.id);
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        self.claims.records().claimed.remove(&self.id);
    }
}

/// How a record failed so far.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failures {
    /// Attempts that failed by the record's own fault.
    pub attempts: u32,
    /// Failures that could be the system's or the record's, and did not count.
    pub unjudged: u32,
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

/// A write that was decided and stored, and is not settled yet.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenIntent {
    /// What the protocol decides by.
    pub intent: Intent,
    /// The operation as it was when the write was decided; a changed plan does not change what is under way.
    pub operation: Operation,
    /// What is written.
    pub body: Value,
    /// Hash of the whole mapped body.
    pub body_hash: String,
    /// Whether the vendor refused it after an outcome had been in doubt: its key can tell nothing more.
    pub refused: bool,
}
