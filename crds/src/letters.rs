//! What a worker and whoever looks after its dead letters, or at the events that came in, say to each other, as JSON over HTTP. A worker answers on its pod's loopback address
//! alone, at [`PORT`]: the way there is the API server's port forwarding, so that the right to `pods/portforward` in the namespace is the right
//! to read and decide.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /letters?after=ID&limit=N` | [`Letters`] with a higher id, oldest first, without payloads; 500 at most, or `limit` |
//! | `GET /letters/ID` | [`Letter`] with its payload; 404 when it is gone |
//! | `POST /letters/replay` with [`Ids`] | [`Fates`] |
//! | `POST /letters/drop` with [`Ids`] | [`Fates`] |
//! | `GET /events?before=NUMBER&limit=N` | [`Events`] with a lower number, newest first; 500 at most, or `limit` |
//!
//! Anything else, and a store that fails, is a status with a sentence as text.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Port that a worker answers at, on its loopback address.
pub const PORT: u16 = 8081;

/// Most letters of one answer, and most ids of one request.
pub const MOST: usize = 500;

/// Some dead letters.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Letters {
    /// The letters, by their ids.
    pub letters: Vec<Letter>,
}

/// A record that was set aside. `Debug` leaves out what can be personal data.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Its number, unique in its store and never used again.
    pub id: i64,
    /// Name of the flow.
    pub flow: String,
    /// Name of the source's Connector.
    pub source: String,
    /// Name of the destination's Connector.
    pub destination: String,
    /// The record's key; empty when it has none.
    pub key: String,
    /// The source's version of the record, as text; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What was wrong; names fields, never their values.
    pub cause: String,
    /// HTTP status of the last answer; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The vendor's ids of the last failed requests, newest last.
    pub request_ids: Vec<String>,
    /// The start of the vendor's last answer; can hold values of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// Attempts that were made.
    pub attempts: u32,
    /// When it first failed.
    pub first_failed_at: Timestamp,
    /// When it was set aside.
    pub last_failed_at: Timestamp,
    /// Hash of the plan it failed under; empty when it never came to be mapped.
    pub plan_hash: String,
    /// The record, as the source showed it; only where one letter is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Letter")
            .field("id", &self.id)
            .field("flow", &self.flow)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

/// Some events that webhooks brought.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The events, newest first.
    pub events: Vec<Event>,
}

/// An event that a webhook brought, without what it carried.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its number; later events have higher ones.
    pub number: i64,
    /// Name of the Connector it came from.
    pub source: String,
    /// The vendor's id; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What kind of thing happened.
    pub topic: String,
    /// Hash of its content.
    pub hash: String,
    /// When it came first.
    pub received_at: Timestamp,
    /// How often it came again.
    pub repeats: u64,
    /// To how many flows it brought something.
    pub flows: u64,
    /// For how many of them that was news.
    pub news: u64,
}

/// Letters by their numbers, at most [`MOST`].
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The numbers.
    pub ids: Vec<i64>,
}

/// What became of letters.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Fates {
    /// One a number asked for, in that order.
    pub fates: Vec<Fate>,
}

/// What became of a letter.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// It waits at the end of its key's queue, to be delivered under the plan at work.
    Replayed,
    /// It was removed for good.
    Dropped,
    /// There is none of this number any more: it was replayed, dropped or overtaken before.
    Gone,
    /// It stays: a state of its record that is no older waits, or was set aside after it. That one is the one to replay.
    Overtaken,
    /// It stays: by the plan at work the record has no key or no version.
    Unreadable,
    /// It stays: no flow of the plan at work takes it on.
    NoFlow,
}
