//! What is asked of a store and what it answers: types only. Nothing here is particular to a database.

use std::sync::Arc;

use crosstie_engine::{
    body::Body,
    delivery::{Failures, Postponement, Seen, Settled},
    plan::{Environment, Operation},
    version::Version,
    window::PollState,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Backlog, TwinChange};

/// What state belongs to: a flow between two systems. The same flow between others begins anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Name of the flow.
    pub flow: String,
    /// Name of the source's Connector.
    pub source: String,
    /// Name of the destination's Connector.
    pub destination: String,
    /// Which of their environments.
    pub environment: Environment,
}

/// A scope's number in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopeId(pub i64);

/// A scope and where reading it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub id: ScopeId,
    /// Where reading stands.
    pub poll: PollState,
    /// When it was last begun to be read, by the worker's clock.
    pub last_run: Option<Timestamp>,
    /// When it was last read to its end, by the worker's clock.
    pub last_sync: Option<Timestamp>,
}

/// A page that was read, to be taken whole.
#[derive(Clone, Debug)]
pub struct TakenPage {
    /// Where it belongs.
    pub scope: ScopeId,
    /// Its records, in order.
    pub records: Vec<Incoming>,
    /// The new state of reading.
    pub poll: PollState,
    /// Whether records are taken that are known already, because somebody asked for them to be read again.
    pub again: bool,
    /// What its records' keys are marked with, where the list tells what is gone.
    pub round: Option<i64>,
    /// When this read was begun.
    pub run: Timestamp,
    /// When the window was read to its end, if this page was its last.
    pub synced: Option<Timestamp>,
    /// The present.
    pub now: Timestamp,
}

/// A part of what is known, to be compared with a list that was read to its end.
#[derive(Clone, Debug)]
pub struct SweptPart {
    /// Where it belongs.
    pub scope: ScopeId,
    /// The state of reading, which says how far it was compared.
    pub poll: PollState,
    /// Pointer to a record's key.
    pub key: String,
    /// How many keys are compared, at most.
    pub limit: u32,
    /// The present.
    pub now: Timestamp,
}

/// A record that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// One that can be delivered.
    Record {
        /// Its key.
        key: String,
        /// Its state.
        seen: Seen,
        /// The whole record as JSON.
        payload: String,
    },
    /// Word of one that does not say what became of it: it is fetched before it is delivered.
    Word {
        /// Its key.
        key: String,
        /// Hash of the word.
        hash: String,
        /// The word as JSON.
        payload: String,
    },
    /// One that has no key or no version; it goes straight to the dead letters.
    Faulty {
        /// Its key, or nothing when that is what it lacks.
        key: String,
        /// Hash of the whole record.
        hash: String,
        /// The whole record as JSON.
        payload: String,
        /// What is wrong with it.
        cause: String,
        /// Id of the request that brought it, where there was one and its answer says.
        request_id: Option<String>,
    },
}

impl Incoming {
    /// The same, brought by this request. Only of a record that is set aside anybody asks by which.
    #[must_use]
    pub fn brought_by(mut self, request: Option<&str>) -> Self {
        if let Self::Faulty { request_id, .. } = &mut self {
            *request_id = request.map(str::to_owned);
        }
        self
    }
}

/// What became of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records that wait now.
    pub kept: u64,
    /// Records that were known already.
    pub known: u64,
    /// Records that went to the dead letters.
    pub buried: u64,
    /// What lies in the scope now.
    pub backlog: Backlog,
}

/// A record as its source showed it when it was asked, in place of what was read.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its state.
    pub seen: Seen,
    /// The whole record as JSON.
    pub payload: Arc<str>,
}

/// A write to be stored before its first call.
#[derive(Clone, Debug)]
pub struct NewIntent {
    /// The claimed record's number in the queue.
    pub record: i64,
    /// What its source showed, if it was asked: that lies in the queue from then on, so that a person sees what was sent.
    pub shown: Option<Shown>,
    /// Where it belongs.
    pub scope: ScopeId,
    /// Name of the flow; part of the idempotency key.
    pub flow: String,
    /// The record's key.
    pub key: String,
    /// The operation; shared, because it is stored once.
    pub operation: Arc<Operation>,
    /// What will be written.
    pub body: Body,
    /// Hash of the whole mapped body.
    pub body_hash: String,
    /// The state of the record that the body was made of.
    pub seen: Seen,
    /// Whether it deletes the record.
    pub deletes: bool,
    /// What becomes of the record's pair by it.
    pub twin: Option<TwinChange>,
    /// The present.
    pub now: Timestamp,
}

/// A record of another flow that has to be at the destination first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentKey {
    /// The other flow's scope.
    pub scope: ScopeId,
    /// Its key there.
    pub key: String,
}

/// A claimed record that is done.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Its number in the queue.
    pub record: i64,
    /// Where it belongs.
    pub scope: ScopeId,
    /// Its key.
    pub key: String,
    /// Its state.
    pub seen: Seen,
    /// How it was done.
    pub how: Settled,
    /// Whether records of other flows may wait for it.
    pub is_parent: bool,
    /// Whether its source shows single records.
    pub singles: bool,
    /// Whether its flow has a pair.
    pub paired: bool,
    /// What becomes of its pair, if nothing was sent; what was sent has that with its intent.
    pub twin: Option<TwinChange>,
    /// The present.
    pub now: Timestamp,
}

/// A claimed record that goes to the dead letters. An open intent is closed.
#[derive(Clone, Debug)]
pub struct Burial {
    /// Its number in the queue.
    pub record: i64,
    /// What its source showed, if it was asked.
    pub shown: Option<Shown>,
    /// How it failed.
    pub failures: Failures,
    /// Hash of the plan it failed under.
    pub plan_hash: String,
    /// The present.
    pub now: Timestamp,
}

/// What becomes of a claimed record.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and soon stored")]
pub enum Verdict {
    /// It is done.
    Settle(Settlement),
    /// By its number: it waits on.
    Postpone(i64, Postponement),
    /// It goes to the dead letters.
    Bury(Burial),
}

/// A record that was set aside.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number.
    pub id: i64,
    /// Where it belongs.
    pub scope: Scope,
    /// The same, as the store numbers it.
    pub scope_id: ScopeId,
    /// Its key; empty when it has none.
    pub key: String,
    /// Its version; none when it has none.
    pub version: Option<Version>,
    /// Hash of the whole record.
    pub source_hash: String,
    /// The whole record as JSON; none where many letters were asked for. Personal data: print it only where a person asked for it.
    pub payload: Option<String>,
    /// What was wrong.
    pub cause: String,
    /// The vendor's last status.
    pub status: Option<u16>,
    /// The vendor's ids of the last failed requests.
    pub request_ids: Vec<String>,
    /// The start of the vendor's last response.
    pub excerpt: Option<String>,
    /// Attempts made.
    pub attempts: u32,
    /// When it first failed.
    pub first_failed_at: Timestamp,
    /// When it was set aside.
    pub last_failed_at: Timestamp,
    /// Hash of the plan it failed under; empty when it never reached one.
    pub plan_hash: String,
}

impl std::fmt::Debug for DeadLetter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Payload and excerpt are personal data, and Debug output ends up in logs.
        formatter
            .debug_struct("DeadLetter")
            .field("id", &self.id)
            .field("scope", &self.scope)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

/// A dead letter that is to be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its number.
    pub id: i64,
    /// What one holds that had no key or no version when it was set aside, as the plan at work reads it.
    pub read: Option<ReadAgain>,
}

/// A record that could not be read when it came, read again.
#[derive(Clone, PartialEq, Eq)]
pub struct ReadAgain {
    /// Its key.
    pub key: String,
    /// Its state.
    pub seen: Seen,
    /// The whole record as JSON.
    pub payload: String,
}

impl std::fmt::Debug for ReadAgain {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The payload is personal data, and Debug output ends up in logs.
        formatter.debug_struct("ReadAgain").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl From<i64> for Replay {
    fn from(id: i64) -> Self {
        Self { id, read: None }
    }
}

/// What became of a dead letter that was to be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It waits at the end of its key's queue.
    Queued,
    /// There is none of this number.
    Gone,
    /// It stays, because a state of its key that is no older waits, or was set aside after it.
    Overtaken,
    /// It stays, because it has no key or no version.
    Unreadable,
}

/// Counts of one scope. Totals count since the store began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Records written.
    pub delivered: u64,
    /// Records that needed no write: unchanged, left out or superseded.
    pub unchanged: u64,
    /// Records waiting or claimed.
    pub queue_depth: u64,
    /// Records in the dead letters.
    pub dead_letters: u64,
    /// When the one of them was set aside that lies there longest.
    pub oldest_dead_letter: Option<Timestamp>,
    /// Records whose write has an unknown outcome that nothing can tell.
    pub held: u64,
    /// Records that failed and are tried again; held ones are not among them.
    pub retrying: u64,
    /// Why most of them are, in words without values; none when nothing is tried again.
    pub retry_cause: Option<String>,
    /// Records that wait for another flow's record.
    pub awaiting_parent: u64,
    /// When the longest waiting of them came in.
    pub awaiting_since: Option<Timestamp>,
    /// When the longest waiting record came in.
    pub oldest_waiting: Option<Timestamp>,
    /// What became of records in this hour and the one before.
    pub hour: Tally,
    /// The same within the last 24 hours, to the hour.
    pub day: Tally,
    /// The same within the last 7 days, to the hour.
    pub week: Tally,
    /// When the scope was last begun to be read.
    pub last_run: Option<Timestamp>,
    /// When the scope was last read to its end.
    pub last_sync: Option<Timestamp>,
    /// Everything up to this time, by the source's clock, has been read.
    pub cursor: Option<Timestamp>,
}

/// What became of records within a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records written, or deleted.
    pub delivered: u64,
    /// Records that went to the dead letters.
    pub buried: u64,
}

/// What tidying removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Dead letters removed because they were too old.
    pub dead_letters_removed: u64,
    /// Hourly counts removed.
    pub counts_removed: u64,
}
