//! What a system's webhooks look like: how they are verified, what they say happened, and how they bring a record.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::signing::{HashAlgorithm, SignatureEncoding, TimestampFormat};

/// How a system's webhooks are verified and read. Members that a Connector sets win over its preset's; its routes are asked before the preset's.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Webhooks {
    /// How a webhook proves that it comes from the system. Nothing that does not is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<WebhookVerification>,

    /// With which status a webhook is refused that is not verified: `Unauthorized` (401), or `Unavailable` (503) for vendors that send again
    /// after 5xx only, so that nothing is lost while a signing secret is being changed. `Unauthorized` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<WebhookRefusal>,

    /// JSON pointer to the list of events in a body that carries several, for example `/data`; empty when the whole body is that list. A body
    /// is one event when it is left out. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub events: Option<String>,

    /// Where an event's id stands. An id that came before is not taken again: leave it out where the vendor's ids are not unique. Without one,
    /// an event is known again by its content, if it carries the whole record with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<WebhookPlace>,

    /// Where an event's topic stands: what kind of thing happened, for example `orders/create`. Every event has the topic `*` when it is left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<WebhookPlace>,

    /// How the system asks, before it sends anything, whether the receiver is the right one. It does not when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<WebhookChallenge>,

    /// How the system is told where to send events, where it can be told by its API: missing subscriptions are made, and watched. A person enters the
    /// address at the vendor when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<WebhookSubscription>,

    /// What events of which topics bring. The first that fits an event and a flow's stream decides. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub routes: Vec<WebhookRoute>,
}

/// How a webhook proves where it comes from: exactly one member. Current and previous version of the credentials both count, so that a signing
/// secret can be changed while webhooks arrive.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.hmac), has(self.standardWebhooks), has(self.token)].filter(set, set).size() == 1").message("set exactly one of hmac, standardWebhooks and token under webhooks.verify"))]
pub struct WebhookVerification {
    /// A keyed hash (HMAC, RFC 2104) of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<WebhookHmac>,
    /// The scheme of standardwebhooks.com: header `webhook-signature` over id, timestamp and body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_webhooks: Option<StandardWebhooks>,
    /// A secret text in a header or in the address, for vendors that sign nothing. Whoever learns it can forge events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<WebhookToken>,
}

/// A keyed hash over a webhook.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebhookHmac {
    /// The hash.
    pub algorithm: HashAlgorithm,
    /// Template of the signing secret over keys of the credentials, for example `{webhookSecret}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub secret: String,
    /// Template of what is signed, over `{body}`, `{timestamp}`, `{id}`, `{method}`, `{path}` (with its query) and `{url}` (the whole address as
    /// the vendor knows it). `{body}` when left out. 1 to 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub message: Option<String>,
    /// How the signature is written.
    pub encoding: SignatureEncoding,
    /// Where the signature stands.
    pub signature: WebhookPart,
    /// Where the time of sending stands. Without one an old webhook can be sent again by whoever caught it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<WebhookTimestamp>,
}

/// A part of a header.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebhookPart {
    /// Name of the header, in any case. 1 to 128 characters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub header: String,
    /// What stands before it, for example `sha256=`. Of several parts those that begin with it count, of which one is enough. Nothing when left
    /// out. 1 to 32 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub prefix: Option<String>,
    /// What stands between several parts of the header, for example a comma. The header is one part when it is left out. 1 character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1))]
    pub separator: Option<String>,
}

/// Where a webhook says when it was sent.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebhookTimestamp {
    /// Where it stands.
    pub at: WebhookPart,
    /// How it is written: EpochSeconds when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TimestampFormat>,
    /// By how much it may differ from the present, in seconds. 1 to 86400; 300 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub tolerance_seconds: Option<u32>,
}

/// The scheme of standardwebhooks.com. Its `webhook-id` is the event's id.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StandardWebhooks {
    /// Template of the signing secret over keys of the credentials, for example `{webhookSecret}`: Base64, also after `whsec_`. 1 to 1024
    /// characters.
    #[schemars(length(min = 1, max = 1024))]
    pub secret: String,
    /// By how much the time of sending may differ from the present, in seconds. 1 to 86400; 300 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub tolerance_seconds: Option<u32>,
}

/// A secret text that a webhook carries.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.header) != has(self.parameter)").message("set exactly one of header and parameter under webhooks.verify.token"))]
pub struct WebhookToken {
    /// Name of the header that carries it, in any case. 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub header: Option<String>,
    /// Name of the parameter, in the address that the vendor calls, that carries it. 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9._~-]+$"))]
    pub parameter: Option<String>,
    /// Template of its value over keys of the credentials, for example `Bearer {webhookToken}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// With which status a webhook is refused that is not verified.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WebhookRefusal {
    /// 401.
    #[default]
    Unauthorized,
    /// 503.
    Unavailable,
}

/// A place in a webhook: exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.header) != has(self.pointer)").message("set exactly one of header and pointer"))]
pub struct WebhookPlace {
    /// Name of a header, in any case. 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub header: Option<String>,
    /// JSON pointer into the event, for example `/type`. 1 to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: Option<String>,
}

/// How a system asks whether a receiver is the right one: exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.pointer), has(self.parameter), has(self.allowedOrigin)].filter(set, set).size() == 1").message("set exactly one of pointer, parameter and allowedOrigin under webhooks.challenge"))]
pub struct WebhookChallenge {
    /// JSON pointer, in a verified body, to the text that is answered, for example `/challenge`. A body without it is an event. 1 to 256
    /// characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: Option<String>,
    /// Parameter of a GET request whose value is answered, for example `hub.challenge`. 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9._~-]+$"))]
    pub parameter: Option<String>,
    /// The handshake of CloudEvents' webhooks: an OPTIONS request whose origin is allowed. It has no settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_origin: Option<AllowedOrigin>,
}

/// The handshake of CloudEvents' webhooks. It has no settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
pub struct AllowedOrigin {}

/// How a system's subscriptions are listed and made, one a topic.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSubscription {
    /// Stream that lists the subscriptions there are. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub stream: String,
    /// JSON pointer to a subscription's topic, for example `/topic`. 1 to 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub topic: String,
    /// JSON pointer to the address that its events are sent to, for example `/address`. 1 to 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub address: String,
    /// Operation that makes one, of a body with the two fields below. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub operation: String,
    /// Field of that body for the topic. `topic` when left out. 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub topic_field: Option<String>,
    /// Field of that body for the address. `address` when left out. 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub address_field: Option<String>,
}

/// What events of some topics bring to one stream: the record, or word that there is something to read.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.record) || !has(self.key)").message("set record where events carry the record, or key where they only name it, and not both"),
    validation = Rule::new("!has(self.version) || (has(self.deleted) && self.deleted)").message("version goes with deleted: what is not deleted has its version where the stream says")
)]
pub struct WebhookRoute {
    /// Topics, in which `*` stands for any text, for example `orders/*`. 1 to 32, each 1 to 128 characters.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub topics: Vec<String>,
    /// Stream whose records they are about. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub stream: String,
    /// JSON pointer to the whole record in the event, in the shape that the stream has it, for example `/data/object`. The event itself is the
    /// record when neither this nor key is set. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/.*)?$"))]
    pub record: Option<String>,
    /// JSON pointer to the record's key in an event that does not carry the record, for example `/objectId`. The record is then read by the
    /// stream's `one`, unless it was deleted. 1 to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub key: Option<String>,
    /// Whether they say that the record was deleted. What they carry needs no more than its key then. No when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// Where they say when it was deleted. The time of receipt stands in for it when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<WebhookPlace>,
}
