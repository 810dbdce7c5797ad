//! The plan: everything a worker needs to know of an Integration, fully resolved. It is the seam between operator and worker, and
//! travels as JSON in a ConfigMap. Types and their format live here; how one is made lives in `compile`.

mod flow;
mod operation;
mod stream;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{canonical, template::Template};

pub use flow::{DependsOn, Flow, OnUnknownOutcome, OnWhenFalse, StartFrom, Trigger};
pub use operation::{Batch, BatchResults, IDENTIFIER, Idempotency, Identifier, LookUp, Method, Operation, Outcome};
pub use stream::{Cursor, KEY, Pagination, ReadOne, Stream};

/// Newest format this version writes and reads. A plan is written in the oldest format that says all it has to say: see [`Plan::format`].
pub const FORMAT_VERSION: u32 = 2;

/// Oldest format this version reads.
pub const OLDEST_FORMAT_VERSION: u32 = 1;

/// Largest plan, in bytes of JSON: a ConfigMap holds 1 MiB, and names and metadata need room.
pub const LARGEST_PLAN_BYTES: usize = 1_000_000;

/// A fully resolved Integration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Format of this document; see [`Plan::format`].
    pub format_version: u32,
    /// Namespace and name of the Integration.
    pub integration: ObjectName,
    /// Which of the vendors' environments it works in. State of one is nothing to the other.
    #[serde(default, skip_serializing_if = "is_default")]
    pub environment: Environment,
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

/// Which of the vendors' environments a plan works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Environment {
    /// The real one.
    #[default]
    Production,
    /// The one to try things in.
    Sandbox,
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
    /// Response header that is there while something that was asked for is deprecated, if the vendor has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_reason_header: Option<String>,
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
        "the plan has format {found}, this worker reads formats {OLDEST_FORMAT_VERSION} to {FORMAT_VERSION}: bring operator and worker to \
         neighbouring versions"
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
        if !(OLDEST_FORMAT_VERSION..=FORMAT_VERSION).contains(&head.format_version) {
            return Err(PlanError::Format { found: head.format_version });
        }
        serde_json::from_slice(json).map_err(PlanError::Malformed)
    }

    /// The oldest format that says all this plan has to say. A worker that knows only an older one would get it wrong (write what was
    /// deleted, write before the parent, mix environments up), so it has to refuse the plan; what it would only do more slowly, such as
    /// writing without batches, it may take on.
    pub fn format(&self) -> u32 {
        let second = self.environment != Environment::Production || self.flows.iter().any(Flow::needs_second_format);
        if second { 2 } else { 1 }
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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
