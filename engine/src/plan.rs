//! The plan: everything a worker needs to know of an Integration, fully resolved. It is the seam between operator and worker, and
//! travels as JSON in a ConfigMap. Types and their format live here; how one is made lives in `compile`.

mod alert;
mod authentication;
mod errors;
mod flow;
mod operation;
mod ownership;
mod rate;
mod receiver;
mod request;
mod stream;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{canonical, grant::Grant};

pub use alert::{Alert, AlertWay};
pub use authentication::{
    Authentication, AwsSignatureV4, ClientCertificate, HashAlgorithm, KeyedHash, OAuth1, SESSION_TOKEN, Session,
    SignatureEncoding, TimestampFormat, hash_names,
};
pub use errors::{BodyTest, Condition, ErrorRule, HeaderTest, Meaning, Place, RetryAfter, Test, WaitFormat};
pub use flow::{DependsOn, Direction, Flow, OnUnknownOutcome, OnWhenFalse, Pair, StartFrom, Trigger};
pub use operation::{
    Batch, BatchResults, Evidence, FailedRows, IDENTIFIER, Idempotency, Identifier, KnownBy, LookUp, Method, Operation,
    Outcome, Proof, ResultKey, SINCE, SINCE_EPOCH, is_of_one_record, names_a_record,
};
pub use ownership::Ownership;
pub use rate::{Cache, Cost, Daily, Endpoint, RateHeaders, RateRules, ResetHeader, Restore};
pub use receiver::{
    Brings, Challenge, EventLimit, EventRoute, HeaderPart, Receiver, Rest, SentAt, Subscription, TokenPlace,
    Verification, WebhookHash, WebhookToken, signed_names,
};
pub use request::{BodyFormat, Csrf, Find, IfMatch, Job, Shape};
pub use stream::{
    Cursor, CursorFormat, CursorPages, Format, KEY, Pagination, Parent, ReadMethod, ReadOne, Stream, page_names,
};

/// Newest format this version writes and reads. A plan is written in the oldest format that says all it has to say: see [`Plan::format`].
pub const FORMAT_VERSION: u32 = 7;

/// Oldest format this version reads.
pub const OLDEST_FORMAT_VERSION: u32 = 1;

/// Largest plan, in bytes of JSON: a ConfigMap holds 1 MiB, and names and metadata need room.
pub const LARGEST_PLAN_BYTES: usize = 1_000_000;

/// Days for which the log of calls is kept, where nothing is said.
pub const CALL_LOG_DAYS: u32 = 3;

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
    /// System that records are read from, by flows in the direction Forward.
    pub source: System,
    /// System that records are written to, by flows in the direction Forward.
    pub destination: System,
    /// What flows, in the order of the spec.
    pub flows: Vec<Flow>,
    /// What happens to a record that fails by its own fault.
    pub retry: RetryPolicy,
    /// How the source's webhooks are received, if a flow takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Receiver>,
    /// Whom to tell when something is wrong, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    /// Days for which the log of calls is kept; 0 keeps none. A worker that knows nothing of it keeps none.
    #[serde(default = "call_log_days", skip_serializing_if = "is_usual_call_log")]
    pub call_log_days: u32,
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
    /// The client certificate, if one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientCertificate>,
    /// Where requests may go.
    pub egress: Egress,
    /// The account's whole allowance; a worker keeps to its share of it, see `rate`.
    pub allowance: Allowance,
    /// Limits beside it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate: RateRules,
    /// Answers that may be kept for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Response header with the version that was really served, if the vendor has one.
    pub served_version_header: Option<String>,
    /// Response header that is there while something that was asked for is deprecated, if the vendor has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_reason_header: Option<String>,
    /// Response header with the vendor's id of a request, if it has one.
    pub request_id_header: Option<String>,
    /// What the vendor's answers mean where HTTP alone does not say it. The first rule that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorRule>,
    /// A token that every write has to carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<Csrf>,
    /// Keys of the credentials that its webhooks are verified with. They are handed out where they are stored, and no call needs them; plans say
    /// the same in `receiver`.
    #[serde(skip)]
    pub webhook_keys: Vec<String>,
    /// How its access tokens are got, where what is stored is no token. Only the operator does that: no plan says it.
    #[serde(skip)]
    pub grant: Option<Grant>,
}

impl System {
    /// Keys of the credentials that are needed.
    pub fn credential_keys(&self) -> Vec<&str> {
        self.authentication.keys().into_iter().chain(self.tls.iter().flat_map(ClientCertificate::keys)).collect()
    }

    /// Whether it is a mail server.
    pub fn is_mail(&self) -> bool {
        matches!(self.base_url.scheme(), "smtp" | "smtps")
    }

    fn needs_third_format(&self) -> bool {
        self.authentication.needs_third_format() || self.tls.is_some() || !self.errors.is_empty() || self.csrf.is_some()
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
    /// deleted, write before the parent, mix environments up, read another window than it was told, take a refusal for a success, tell nobody, write over what is the
    /// destination's, carry records the wrong way, make records that are only to be changed),
    /// so it has to refuse the plan; what it would only do more slowly, such as writing without batches, it may take on.
    pub fn format(&self) -> u32 {
        let second = self.environment != Environment::Production || self.flows.iter().any(Flow::needs_second_format);
        let third = [&self.source, &self.destination].into_iter().any(System::needs_third_format)
            || self.flows.iter().any(Flow::needs_third_format);
        let fourth = self.receiver.is_some() || !self.alerts.is_empty();
        let fifth = self.flows.iter().any(Flow::needs_fifth_format) || self.has_dates_of_http();
        let sixth = self.flows.iter().any(Flow::needs_sixth_format);
        let seventh = self.flows.iter().any(Flow::needs_seventh_format);
        let needed = [(7, seventh), (6, sixth), (5, fifth), (4, fourth), (3, third), (2, second)];
        needed.into_iter().find_map(|(format, needed)| needed.then_some(format)).unwrap_or(OLDEST_FORMAT_VERSION)
    }

    /// Whether a signature holds a time as HTTP writes it, which came with the fifth format.
    fn has_dates_of_http(&self) -> bool {
        [&self.source, &self.destination].into_iter().any(|system| system.authentication.has_date_of_http())
            || self.receiver.as_ref().is_some_and(|receiver| receiver.verification.has_date_of_http())
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

fn call_log_days() -> u32 {
    CALL_LOG_DAYS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_usual_call_log(days: &u32) -> bool {
    *days == CALL_LOG_DAYS
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
