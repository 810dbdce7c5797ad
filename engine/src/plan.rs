//! The plan: everything a worker needs to know of an Integration, fully resolved. It is the seam between operator and worker, and
//! travels as JSON in a ConfigMap. Types and their format live here; how one is made lives in `compile`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{canonical, template::Template};

/// Format this version writes. A worker reads this one and its neighbours: see [`Plan::parse`].
pub const FORMAT_VERSION: u32 = 1;

/// Largest plan, in bytes of JSON: a ConfigMap holds 1 MiB, and names and metadata need room.
pub const LARGEST_PLAN_BYTES: usize = 1_000_000;

/// A fully resolved Integration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Format of this document; see [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Namespace and name of the Integration.
    pub integration: ObjectName,
    /// System that records are read from.
    pub source: System,
    /// System that records are written to.
    pub destination: System,
    /// What flows, in the order of the spec.
    pub flows: Vec<Flow>,
    /// What happens to a record that fails by its own fault.
    pub retry: RetryPolicy,
}

/// A namespaced object's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

/// One end: a Connector over its preset, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct System {
    /// Name of the Connector.
    pub connector: String,
    /// Root of every request's URL, without a trailing slash.
    pub base_url: Url,
    /// Fills `{apiVersion}`.
    pub api_version: Option<String>,
    /// How requests are authenticated.
    pub authentication: Authentication,
    /// Where requests may go.
    pub egress: Egress,
    /// The account's whole allowance; a worker keeps to its share of it, see `rate`.
    pub allowance: Allowance,
    /// Response header with the version that was really served, if the vendor has one.
    pub served_version_header: Option<String>,
    /// Response header with the vendor's id of a request, if it has one.
    pub request_id_header: Option<String>,
    /// Statuses beside 401 that mean the credentials were refused, if the vendor has any.
    #[serde(default)]
    pub credential_rejection_statuses: Vec<u16>,
}

/// How requests are authenticated. Templates name keys of the credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Authentication {
    /// A header of the vendor's own.
    Header {
        /// Name of the header.
        name: String,
        /// Template of its value.
        value: Template,
    },
    /// `Authorization: Bearer` (RFC 6750).
    Bearer {
        /// Template of the token.
        token: Template,
    },
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// Template of the user name.
        username: Template,
        /// Template of the password.
        password: Template,
    },
}

impl Authentication {
    /// Keys of the credentials that the templates name.
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Self::Header { name: _, value } => value.names().collect(),
            Self::Bearer { token } => token.names().collect(),
            Self::Basic { username, password } => username.names().chain(password.names()).collect(),
        }
    }
}

/// Where requests may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// Hosts beside the base URL's own, lower case.
    pub allow_hosts: Vec<String>,
    /// Address ranges, in CIDR notation, that are allowed although they are private; from the operator's configuration.
    pub allow_cidrs: Vec<String>,
}

/// What a vendor allows an account, or a worker its share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allowance {
    /// Requests in each span of `per_seconds`; at least 1.
    pub requests: u32,
    /// Length of the span in seconds; at least 1.
    pub per_seconds: u32,
    /// Requests under way at the same moment; at least 1.
    pub concurrency: u32,
}

/// One kind of record on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// Name, unique in the plan.
    pub name: String,
    /// What makes it read; at least one.
    pub triggers: Vec<Trigger>,
    /// Where its very first window begins.
    pub start_from: StartFrom,
    /// What it reads.
    pub stream: Stream,
    /// CEL over `record`: whether a record takes part.
    pub when: Option<String>,
    /// Destination field to CEL over `record`.
    pub map: BTreeMap<String, String>,
    /// What it calls.
    pub operation: Operation,
    /// What to do when a write's outcome stays unknown and nothing can tell.
    pub on_unknown_outcome: OnUnknownOutcome,
}

/// What makes a flow read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// Every so many seconds.
    EverySeconds(u32),
    /// At the times of a cron expression of five fields, in UTC.
    Cron(String),
}

/// Where a flow's very first window begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartFrom {
    /// The source's present.
    Now,
    /// Everything there is.
    Beginning,
    /// A time.
    Time(Timestamp),
}

/// One list of records that is read. Pointers are JSON pointers (RFC 6901).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Path below the base URL, version filled in.
    pub path: String,
    /// Query parameters of a first page, version filled in.
    pub query: BTreeMap<String, String>,
    /// Pointer to the list of records in the response; empty for the whole.
    pub records: String,
    /// Pointer to a record's key.
    pub key: String,
    /// Pointer to a record's version.
    pub version: String,
    /// How to ask only for what changed. Without one, every read reads everything.
    pub cursor: Option<Cursor>,
    /// How to get the next page.
    pub pagination: Pagination,
}

/// How to ask only for what changed within a window of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// Pointer, within a record, to the time it last changed.
    pub field: String,
    /// Query parameter for the lower bound.
    pub param: String,
    /// Query parameter for the upper bound, if the vendor has one.
    pub until_param: Option<String>,
    /// How far a window reaches back before the last one's end, in seconds.
    pub lookback_seconds: u32,
}

/// How to get the next page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pagination {
    /// There is one page only.
    None,
    /// `Link` header with `rel="next"` (RFC 8288).
    LinkHeader,
    /// A cursor in the body goes into a query parameter.
    Cursor {
        /// Pointer to the cursor.
        pointer: String,
        /// The parameter.
        param: String,
    },
    /// Positions counted in records; a page overlaps the one before by one record.
    Offset {
        /// Parameter of the position.
        param: String,
        /// Parameter of the page's size.
        limit_param: String,
        /// Records a page; at least 2.
        limit: u32,
    },
    /// A URL in the body.
    NextUrl {
        /// Pointer to the URL.
        pointer: String,
    },
}

/// One kind of write. Paths and queries are templates over `body.FIELD`; the version is filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// HTTP method, upper case.
    pub method: Method,
    /// Path below the base URL.
    pub path: Template,
    /// Query parameters.
    pub query: BTreeMap<String, Template>,
    /// Request headers beside authentication.
    pub headers: BTreeMap<String, String>,
    /// Where the response holds the record's identifier.
    pub identifier: Option<Identifier>,
    /// How it is known whether a call took effect.
    pub outcome: Outcome,
}

/// HTTP method of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// RFC 9110.
    Post,
    /// RFC 9110.
    Put,
    /// RFC 5789.
    Patch,
}

/// Where a response holds a record's identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Identifier {
    /// A pointer into the body.
    Pointer(String),
    /// A header whose last path segment it is.
    Header(String),
}

/// How it is known whether a call took effect. Both, either or neither.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// A header that makes resending safe for a while.
    pub idempotency: Option<Idempotency>,
    /// A way to read the record back.
    pub lookup: Option<LookUp>,
}

/// A header that makes resending safe for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Idempotency {
    /// Name of the header.
    pub header: String,
    /// How long the vendor remembers a key, in seconds.
    pub window_seconds: u32,
}

/// A way to read a record back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LookUp {
    /// Path below the base URL of a GET request; 404 means absent.
    pub path: Template,
    /// Query parameters of that request.
    pub query: BTreeMap<String, Template>,
    /// Pointer, in the response, to what must equal the body's `key_field`.
    pub key: String,
    /// Top-level field of the body that identifies the record.
    pub key_field: String,
    /// Seconds after a call could last have left before a look-up is believed.
    pub settle_seconds: u32,
}

/// What to do when a write's outcome stays unknown and nothing can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnknownOutcome {
    /// Keep the record back and say so.
    Hold,
    /// Send again; it may be applied twice.
    Resend,
}

/// What happens to a record that fails by its own fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Retries before the dead letters.
    pub retries: u32,
    /// Wait before the first retry, in seconds.
    pub initial_seconds: u32,
    /// By how much each wait is longer than the one before.
    pub factor: u32,
    /// The longest wait, in seconds.
    pub max_seconds: u32,
}

/// Why a document is no plan for this worker.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not JSON, or not of a plan's shape.
    #[error(
        "the plan is not readable; it was written by another version of the operator or by hand: apply the Integration again"
    )]
    Malformed(#[source] serde_json::Error),
    /// Another format.
    #[error(
        "the plan has format {found}, this worker reads format {FORMAT_VERSION}: bring operator and worker to neighbouring versions"
    )]
    Format {
        /// The document's format.
        found: u32,
    },
}

impl Plan {
    /// Reads a plan from its JSON.
    ///
    /// # Errors
    /// [`PlanError`] when it is no plan of a format this version reads.
    pub fn parse(json: &[u8]) -> Result<Self, PlanError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            format_version: u32,
        }
        let head: Head = serde_json::from_slice(json).map_err(PlanError::Malformed)?;
        if head.format_version != FORMAT_VERSION {
            return Err(PlanError::Format { found: head.format_version });
        }
        serde_json::from_slice(json).map_err(PlanError::Malformed)
    }

    /// The plan as JSON with sorted members, the form that is published.
    pub fn to_json(&self) -> String {
        canonical::json(self)
    }

    /// Hash that tells this plan from any other: 16 hexadecimal digits of the SHA-256 of its JSON.
    pub fn hash(&self) -> String {
        canonical::short_hash(self)
    }
}
