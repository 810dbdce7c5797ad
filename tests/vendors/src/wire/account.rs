//! Credentials, records and settings of one instance.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most records one seed request may ask for.
pub const MAX_SEED: u64 = 1_000_000;

/// The most lines a seeded order may have.
pub const MAX_SEEDED_LINES: u64 = 100;

/// Everything that accepts requests as one vendor account: `PUT …/tokens`. Replaces what was there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenSet {
    /// Bearer or header tokens that are accepted.
    #[serde(default)]
    pub valid: Vec<String>,
    /// OAuth 1.0a credentials that are accepted, for vendors that have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oauth1: Vec<OAuth1Credentials>,
}

/// One set of OAuth 1.0a credentials; NetSuite calls it token-based authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth1Credentials {
    /// The account id that must appear as `realm`.
    pub realm: String,
    /// Identifies the application.
    pub consumer_key: String,
    /// First half of the signing key.
    pub consumer_secret: String,
    /// Identifies the user's token; what `tokens/revoke` names.
    pub token: String,
    /// Second half of the signing key.
    pub token_secret: String,
}

/// `POST …/tokens/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The bearer token, or the `token` of OAuth 1.0a credentials.
    pub token: String,
}

/// `POST …/seed`: deterministic records; the same request always makes the same ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedRequest {
    /// The vendor's name for the collection, for example `orders` or `salesOrder`.
    pub resource: String,
    /// How many, at most [`MAX_SEED`].
    pub count: u64,
    /// The first id; the others follow one by one.
    #[serde(default = "one")]
    pub start_id: u64,
    /// Created and updated time of the first record.
    pub start_time: Timestamp,
    /// Milliseconds between one record and the next.
    #[serde(default)]
    pub step_millis: u32,
    /// Chooses among the possible contents.
    #[serde(default)]
    pub seed: u64,
    /// Lines of each order, at most [`MAX_SEEDED_LINES`]; absent, one to three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
}

fn one() -> u64 {
    1
}

/// What `POST …/seed` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeded {
    /// How many records were written.
    pub seeded: u64,
}

/// What `GET …/records/{resource}` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordsPage {
    /// The records in the order of their ids, as the vendor holds them.
    pub items: Vec<Value>,
    /// How many the collection holds.
    pub total: usize,
}

/// How one instance behaves; `PUT …/settings` changes the fields it names (null switches an optional one off).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Records in a page when the request does not say.
    pub page_size_default: usize,
    /// The most records in a page.
    pub page_size_max: usize,
    /// A leaky bucket over all requests; absent means unlimited.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// How many requests may be under way at once; absent means unlimited.
    #[serde(default)]
    pub concurrency_limit: Option<usize>,
    /// API versions that are supported, in any order; empty for a vendor without versions.
    pub api_versions: Vec<String>,
    /// Deprecation reasons by version served, for vendors that send one.
    pub deprecated_reasons: BTreeMap<String, String>,
    /// Headers added to every answer, for example `Deprecation` or `Sunset`.
    pub extra_headers: BTreeMap<String, String>,
    /// How far the vendor's clock is ahead of the real one, in milliseconds; negative is behind.
    pub clock_offset_millis: i64,
    /// IANA name of the zone the vendor writes its times in.
    pub time_zone: String,
}

/// A leaky bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Requests the bucket holds.
    pub bucket_size: u32,
    /// Requests that leak out a second.
    pub leak_per_second: f64,
}
