//! What a vendor allows beside the account's whole allowance, and what may be kept for a while.

use serde::{Deserialize, Serialize};

use super::{Allowance, WaitFormat};

/// Limits beside the whole allowance. An older worker that does not know them meets the vendor's own refusals instead.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateRules {
    /// Endpoints with limits of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Requests of a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<Daily>,
    /// Points that requests cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Headers of the vendor's own that say what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<RateHeaders>,
}

/// Endpoints that share a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Methods; every one when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Patterns of whole paths, the base URL's with them; see [`glob`](crate::glob).
    pub paths: Vec<String>,
    /// What the account may.
    pub allowance: Allowance,
}

/// Requests of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Daily {
    /// How many.
    pub requests: u32,
    /// Minute of the day, in UTC, at which they are there again; below 1440.
    pub reset_minute: u32,
}

/// Points that requests cost; pointers into the response's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// What the request wanted.
    pub requested: String,
    /// What is left.
    pub remaining: String,
    /// What comes back.
    pub restore: Restore,
}

/// How many points come back in a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Restore {
    /// So many.
    PerSecond(u32),
    /// As many as stand there.
    Pointer(String),
}

/// Headers that say what is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateHeaders {
    /// How much there is in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// How much is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<String>,
    /// How much is used of how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
    /// When all of it is there again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ResetHeader>,
}

/// A header that says when a quota is whole again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResetHeader {
    /// Its name.
    pub header: String,
    /// How it is written.
    pub format: WaitFormat,
}

/// Answers to single reads that may be kept for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// How long, in seconds.
    pub ttl_seconds: u32,
    /// Patterns of paths below the base URL.
    pub paths: Vec<String>,
    /// Memory they take, in MiB.
    pub max_mib: u32,
}
