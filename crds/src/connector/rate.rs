//! What a vendor allows: the account as a whole, single endpoints, a day, points; and what may be kept for a while.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errors::WaitFormat;

/// What the vendor allows an account in requests. Whatever is left out comes from the preset.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.requests) == has(self.perSeconds)").message("set rateLimit.requests and rateLimit.perSeconds together"))]
pub struct RateLimit {
    /// Requests allowed in each span of perSeconds. 1 to 1000000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: Option<u32>,

    /// Length of the span that requests counts, in seconds. 1 to 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub per_seconds: Option<u32>,

    /// Requests that may be under way at the same moment. 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub concurrency: Option<u32>,

    /// Name of the vendor account that the allowance belongs to. Connectors of one namespace that name the same group share one
    /// allowance, split among the Integrations that use it. A Connector is a group of its own when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub group: Option<String>,

    /// Endpoints with limits of their own, beside the whole. Each Integration keeps to as large a part of them as of the whole. Merged by name over
    /// the preset's. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub endpoints: Vec<EndpointLimit>,

    /// Requests of a day. Each worker counts its part from its start on, and what the vendor's headers say is used of a quota as large as this one. No
    /// such limit when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<DailyQuota>,

    /// Points that requests cost, as in Shopify's GraphQL: the next request waits until there are as many as the last one wanted. No points when it is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostPoints>,

    /// Response headers of the vendor's own that say what is left. `RateLimit` (the IETF's drafts), `RateLimit-*`, `X-RateLimit-*` and `X-Rate-Limit-*`
    /// with `Limit`, `Remaining` and `Reset`, and `X-Shopify-Shop-Api-Call-Limit` are followed without being named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<RateHeaders>,
}

/// What the vendor allows for some endpoints, beside the whole.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EndpointLimit {
    /// Name, for people and for merging. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// HTTP methods, upper case. Every method when they are left out. At most 8, each at most 16 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 16), regex(pattern = "^[A-Z]+$")))]
    pub methods: Vec<String>,
    /// Paths below baseURL; `*` stands for any text and `{apiVersion}` for the API version, for example `/api/chat.postMessage*`. 1 to 16, each at
    /// most 1024 characters.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 1024), regex(pattern = "^/")))]
    pub paths: Vec<String>,
    /// Requests allowed in each span of perSeconds. 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// Length of the span that requests counts, in seconds. 1 to 86400.
    #[schemars(range(min = 1, max = 86_400))]
    pub per_seconds: u32,
    /// Requests that may be under way at the same moment. As many as for the whole when it is left out. 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub concurrency: Option<u32>,
}

/// Requests of a day. They are counted in the worker's memory: a restart begins anew.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DailyQuota {
    /// Requests allowed from one reset to the next. 1 to 2000000000.
    #[schemars(range(min = 1, max = 2_000_000_000))]
    pub requests: u32,
    /// Time of day, in UTC, at which the quota is there again, for example `07:00`. Midnight when it is left out. 5 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 5, max = 5), regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub reset_at: Option<String>,
}

/// Points that requests cost, as the response's body tells them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.restorePointer) != has(self.restorePerSecond)").message("set exactly one of restorePointer and restorePerSecond under cost"))]
pub struct CostPoints {
    /// JSON pointer to the points that the request wanted, for example `/extensions/cost/requestedQueryCost`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub requested: String,
    /// JSON pointer to the points that are left. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub remaining: String,
    /// JSON pointer to how many points come back in a second. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub restore_pointer: Option<String>,
    /// How many points come back in a second, where responses do not say it. 1 to 1000000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub restore_per_second: Option<u32>,
}

/// Response headers that say what is left of a quota. What cannot be read is not followed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.remaining) != has(self.used)").message("set exactly one of remaining and used under headers"))]
pub struct RateHeaders {
    /// Header with how many requests there are in all. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub limit: Option<String>,
    /// Header with how many are left. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub remaining: Option<String>,
    /// Header with how many are used of how many, as in `32/40` or `api-usage=18/5000`. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub used: Option<String>,
    /// When all of it is there again. A quota that is nearly used up slows requests down when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ResetHeader>,
}

/// Header that says when a quota is whole again.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResetHeader {
    /// Its name. At most 128 characters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub header: String,
    /// How it is written.
    pub format: WaitFormat,
}

/// Answers that may be kept for a while: those to the single reads that mappings make with `lookup`. Pages of streams, records that delivery fetches
/// anew and look-ups of writes are always read.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// How long an answer is used without asking, in seconds. After that the system is asked whether it still holds, where the answer had an `ETag` or
    /// `Last-Modified`. 1 to 86400.
    #[schemars(range(min = 1, max = 86_400))]
    pub ttl_seconds: u32,
    /// Paths below baseURL; `*` stands for any text and `{apiVersion}` for the API version. 1 to 32, each at most 1024 characters.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 1024), regex(pattern = "^/")))]
    pub paths: Vec<String>,
    /// Memory that kept answers take in each worker, at most, in MiB. 1 to 1024; 16 when left out.
    #[serde(default, rename = "maxMiB", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_024))]
    pub max_mib: Option<u32>,
}
