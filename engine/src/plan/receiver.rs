//! How the source's webhooks are received: verified, told apart, and what they bring. Pointers are JSON pointers (RFC 6901).

use serde::{Deserialize, Serialize};

use super::{HashAlgorithm, Operation, Place, SignatureEncoding, Stream, TimestampFormat, is_default};
use crate::template::Template;

/// Names, in the template of what a webhook signs, of parts of the request.
pub mod signed_names {
    /// The body as it came.
    pub const BODY: &str = "body";
    /// The time of sending, as it is written.
    pub const TIMESTAMP: &str = "timestamp";
    /// The event's id.
    pub const ID: &str = "id";
    /// The method, upper case.
    pub const METHOD: &str = "method";
    /// Path and query.
    pub const PATH: &str = "path";
    /// The whole address, as the vendor knows it.
    pub const URL: &str = "url";
    /// All of them.
    pub const ALL: [&str; 6] = [BODY, TIMESTAMP, ID, METHOD, PATH, URL];
}

/// How an Integration receives webhooks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receiver {
    /// Path that vendors call.
    pub path: String,
    /// Scheme and host under which they know it, without a trailing slash; none where that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How webhooks prove where they come from.
    pub verification: Verification,
    /// Status with which others are refused.
    pub refusal_status: u16,
    /// Pointer to the list of events in a body; a body is one event without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
    /// Where an event's id stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Place>,
    /// Where an event's topic stands; `*` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Place>,
    /// How the vendor asks whether the receiver is the right one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// How the vendor is told where to send events; a person does without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
    /// How many verified events are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<EventLimit>,
    /// Address ranges, in CIDR notation, of proxies whose `X-Forwarded-For` is believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// Largest body, in bytes.
    pub max_body_bytes: u32,
    /// Days for which the log of events is kept.
    pub audit_days: u32,
}

impl Receiver {
    /// Keys of the source's credentials that are needed.
    pub fn credential_keys(&self) -> impl Iterator<Item = &str> {
        self.verification.keys()
    }

    /// The address to enter at the vendor, where it is known.
    pub fn url(&self) -> Option<String> {
        self.origin.as_ref().map(|origin| format!("{origin}{}", self.path))
    }
}

/// How a webhook proves where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verification {
    /// By a keyed hash.
    Hash(WebhookHash),
    /// By a secret text that it carries.
    Token(WebhookToken),
}

impl Verification {
    /// Keys of the credentials that are needed.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Hash(hash) => hash.secret.names(),
            Self::Token(token) => token.value.names(),
        }
    }

    pub(super) fn has_date_of_http(&self) -> bool {
        match self {
            Self::Hash(hash) => hash.timestamp.as_ref().is_some_and(|sent| sent.format == TimestampFormat::HttpDate),
            Self::Token(_) => false,
        }
    }
}

/// A keyed hash over a webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookHash {
    /// The hash.
    pub algorithm: HashAlgorithm,
    /// Template of the secret over keys of the credentials.
    pub secret: Template,
    /// Whether the secret is Base64, also after `whsec_`, and stands for bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secret_is_base64: bool,
    /// What is signed.
    pub message: Template,
    /// How the signature is written.
    pub encoding: SignatureEncoding,
    /// Where it stands.
    pub signature: HeaderPart,
    /// Where the time of sending stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<SentAt>,
}

/// A part of a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderPart {
    /// Name of the header.
    pub header: String,
    /// What stands before the part.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// What stands between parts; one part without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
}

/// Where a webhook says when it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentAt {
    /// The place.
    pub at: HeaderPart,
    /// How it is written.
    pub format: TimestampFormat,
    /// By how much it may differ from the present.
    pub tolerance_seconds: u32,
}

/// A secret text that a webhook carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookToken {
    /// Where it stands.
    pub at: TokenPlace,
    /// Template of its value over keys of the credentials.
    pub value: Template,
}

/// Where a secret text stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenPlace {
    /// In a header of this name.
    Header(String),
    /// In a parameter of the address.
    Parameter(String),
}

/// How a vendor asks whether a receiver is the right one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Challenge {
    /// By a verified body with a text at this pointer, which is answered.
    Pointer(String),
    /// By a GET request with this parameter, whose value is answered.
    Parameter(String),
    /// By an OPTIONS request, as CloudEvents' webhooks do.
    AllowedOrigin,
}

/// How a vendor is told where to send events: one subscription a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Lists those there are.
    pub stream: Stream,
    /// Pointer to the topic of one.
    pub topic: String,
    /// Pointer to the address of one.
    pub address: String,
    /// Makes one.
    pub operation: Operation,
    /// Field of its body for the topic.
    pub topic_field: String,
    /// Field of its body for the address.
    pub address_field: String,
    /// Topics that there has to be one for.
    pub topics: Vec<String>,
}

/// How many verified events are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventLimit {
    /// Where an event says whom it is counted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Place>,
    /// How many are taken in each span.
    pub requests: u32,
    /// Length of the span.
    pub per_seconds: u32,
}

/// What events of some topics bring to a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRoute {
    /// Topics that the flow asks for, `*` for any text. One of them has to fit.
    pub wanted: Vec<String>,
    /// Topics that it is for, in the same way. One of them has to fit as well.
    pub topics: Vec<String>,
    /// What they bring.
    pub brings: Brings,
}

/// What an event brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Brings {
    /// The whole record, at this pointer.
    Record(String),
    /// Word that there is something to read: its key, at this pointer.
    Key(String),
    /// Word that a record was deleted.
    Deleted {
        /// What is there of it.
        rest: Rest,
        /// Where the time of its end stands.
        version: Option<Place>,
    },
}

/// What a deletion has of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rest {
    /// It, or as much of it as its key, at this pointer.
    Record(String),
    /// Its key, at this pointer.
    Key(String),
}
