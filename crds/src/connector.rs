//! `Connector`: one external system, described once. The spec's types and the rules the API server enforces on them.
//! What a field means lives in its doc comment, because `kubectl explain` shows it.

mod api_version;
mod authentication;
mod cursor;
mod errors;
mod oauth2;
mod operation;
mod pagination;
mod rate;
mod rotation;
mod signing;
mod status;
mod stream;
mod webhooks;
mod write;

pub use api_version::{ApiVersionStatus, Lifecycle, LifecycleSource};
pub use authentication::{
    Authentication, BasicAuthentication, BearerAuthentication, ClientCertificate, HeaderAuthentication,
    NoAuthentication, QueryAuthentication,
};
pub use cursor::{Cursor, CursorFormat};
pub use errors::{ErrorCondition, ErrorHeader, ErrorMeaning, ErrorRule, RetryAfter, WaitFormat};
pub use oauth2::{OAuth2, OAuth2Algorithm, OAuth2Assertion, OAuth2ClientAuthentication, OAuth2Grant};
pub use operation::{
    Batch, BatchResults, FailedRows, IdempotencyHeader, Identifier, LookUp, LookUpProof, Operation, OperationMethod,
    Outcome,
};
pub use pagination::{
    CursorPagination, DeltaLinkPagination, DepthCap, LinkHeaderPagination, NextUrlPagination, OffsetPagination,
    PagePagination, Pagination,
};
pub use rate::{Cache, CostPoints, DailyQuota, EndpointLimit, RateHeaders, RateLimit, ResetHeader};
pub use rotation::{CredentialState, OnMaxAge, RotationPolicy};
pub use signing::{
    AwsSignatureV4Authentication, HashAlgorithm, HmacAuthentication, OAuth1Authentication, SessionAuthentication,
    SignatureEncoding, TimestampFormat,
};
pub use status::{ConnectorStatus, CredentialStatus};
pub use stream::{Csv, ParentStream, ReadOne, Stream, StreamFormat, StreamMethod, Text};
pub use webhooks::{
    AllowedOrigin, StandardWebhooks, WebhookChallenge, WebhookHmac, WebhookPart, WebhookPlace, WebhookRefusal,
    WebhookRoute, WebhookSubscription, WebhookTimestamp, WebhookToken, WebhookVerification, Webhooks,
};
pub use write::{Asynchronous, BodyFormat, Csrf, Find, Follow, IfMatch, Location};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An external system that data is read from or written to: where it is, how to authenticate, what it offers.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "crosstie.dev",
    version = "v1alpha1",
    kind = "Connector",
    namespaced,
    status = "ConnectorStatus",
    derive = "PartialEq",
    shortname = "conn",
    category = "crosstie",
    doc = "A Connector describes one external system once: where it is, how to authenticate, what can be read from it and written to it. Integrations refer to it by name.",
    validation = Rule::new("self.metadata.name.size() <= 52").message("choose a metadata.name of at most 52 characters: names of owned objects are made from it"),
    printcolumn(name = "Preset", type_ = "string", json_path = ".spec.preset", description = "The vendor preset this Connector builds on"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether Integrations can use this Connector"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "API Version", type_ = "string", json_path = ".status.apiVersion.requested", description = "The version of the vendor's API that requests ask for"),
    printcolumn(name = "Sunset", type_ = "string", json_path = ".status.apiVersion.lifecycle.sunsetAt", priority = 1, description = "When that version is not served any more"),
    printcolumn(name = "Credentials", type_ = "string", json_path = ".status.credentials.versionId", description = "Version id of the credentials handed to workers"),
    printcolumn(name = "Used By", type_ = "integer", json_path = ".status.integrations", description = "How many Integrations use this Connector"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since creation"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1, description = "What is the matter and what to do")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.preset) || has(self.auth)").message("set spec.preset (for example Shopify), or describe the system yourself with spec.auth"))]
pub struct ConnectorSpec {
    /// Name of the vendor preset to build on, for example `Shopify` or `NetSuite`. What this spec sets wins over the
    /// preset; streams and operations are merged by name. Without a preset, auth, streams and operations describe the
    /// system completely. At most 63 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub preset: Option<String>,

    /// Root of every request's URL, without a query, for example `https://acme.myshopify.com`. Plain http is used only
    /// towards addresses that the operator's configuration allows. Credentials never go to any other host, except those
    /// of egress.allowHosts. A mail server that alerts go through is `smtp://HOST` or `smtps://HOST`. At most 2048 characters.
    #[serde(rename = "baseURL")]
    #[schemars(length(min = 8, max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https', 'smtp', 'smtps'] && url(self).getHost() != '' && !self.contains('?') && !self.contains('#') && !self.contains('@')").message("write baseURL as an absolute URL without user, query or fragment, for example https://acme.myshopify.com"))]
    pub base_url: String,

    /// Which of the vendor's environments baseURL and the credentials are of: Production or Sandbox. In a sandbox the preset's figures for
    /// sandboxes apply, and baseURL has to be where the vendor has them, if their addresses tell. An Integration connects two Connectors of the
    /// same environment only. Production when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,

    /// Version of the vendor's API. It fills `{apiVersion}` in paths, queries and headers, and is the only place the
    /// version is written. The preset's default applies when it is left out. At most 63 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9._-]+$"))]
    pub api_version: Option<String>,

    /// Where the credentials come from. The stored value is a JSON object of strings; `auth` refers to its keys. The key `allowedHosts`, if
    /// there is one, names the only hosts that the credentials are ever sent to, separated by commas.
    pub credentials: Credentials,

    /// How old the credentials may become. The preset's figures apply to whatever is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationPolicy>,

    /// How requests are authenticated. The preset's way applies when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Box<Authentication>>,

    /// A client certificate that every connection is made with (mutual TLS), beside auth. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientCertificate>,

    /// How much the vendor allows. The preset's figures apply to whatever is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Box<RateLimit>>,

    /// Answers that may be kept for a while. The preset's rules apply when it is left out; nothing is kept without either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,

    /// Hosts, beside baseURL's own, that requests may go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,

    /// What can be read, merged by name over the preset's streams. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub streams: Vec<Stream>,

    /// What can be written, merged by name over the preset's operations. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub operations: Vec<Operation>,

    /// A token that every write has to carry, as SAP's systems want it. The preset's applies when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<Csrf>,

    /// How the system's webhooks are verified and read. The preset's members apply to whatever is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhooks: Option<Box<Webhooks>>,

    /// What answers mean where HTTP alone does not say it, such as an error in an answer with status 200. The first rule that matches decides;
    /// the preset's rules are asked after these, and HTTP's own meaning after those. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub errors: Vec<ErrorRule>,
}

/// Which of a vendor's environments something is of.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Environment {
    /// The real one.
    #[default]
    Production,
    /// One to try things in, with records and credentials of its own.
    Sandbox,
}

/// Where a Connector's credentials come from: exactly one of awsSecretsManager and secretRef.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.awsSecretsManager) != has(self.secretRef)").message("set exactly one of awsSecretsManager and secretRef under credentials"))]
pub struct Credentials {
    /// A secret in AWS Secrets Manager. Its versions AWSCURRENT and AWSPREVIOUS reach the workers, and rotation is followed
    /// without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_secrets_manager: Option<AwsSecretsManager>,

    /// A Kubernetes Secret in the same namespace that carries the label `crosstie.dev/credentials: "true"`. Meant for
    /// development: the Secret's resource version stands in for a version id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,

    /// How access tokens are got with what is stored, where it is a client's id and secret and no token of the vendor's. What is stored goes to the
    /// workers itself when it is left out.
    #[serde(rename = "oauth2", default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
}

/// A secret in AWS Secrets Manager whose value is a JSON object of strings.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AwsSecretsManager {
    /// Name of the secret, for example `shop/shopify`. Without roleARN the operator's policy says which names a namespace may use; by
    /// default they begin with the namespace's name and a slash. 1 to 512 characters.
    #[schemars(length(min = 1, max = 512), regex(pattern = "^[A-Za-z0-9/_+=.@-]+$"))]
    pub secret_id: String,

    /// AWS region of the secret, for example `eu-west-1`. 1 to 32 characters, words and a number joined by hyphens. The operator's own region
    /// applies when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[a-z]+(-[a-z]+)+-[0-9]+$"))]
    pub region: Option<String>,

    /// ARN of an IAM role that the operator assumes to read the secret, for example
    /// `arn:aws:iam::123456789012:role/crosstie-shop`: the secret is then looked for in the role's account. The external id is always
    /// `<namespace>/<name>` of this Connector; the role's trust policy has to demand it, else any Connector could use the role. What the
    /// role may read takes the place of the operator's policy for names. The operator reads the secret as itself when it is left out.
    /// At most 512 characters.
    #[serde(rename = "roleARN", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 20, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$')").message("write roleARN as the ARN of an IAM role, for example arn:aws:iam::123456789012:role/crosstie-shop"))]
    pub role_arn: Option<String>,
}

/// A reference to an object of the same namespace by its name.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LocalReference {
    /// Name of the object. 1 to 253 characters.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Hosts that requests may go to beside baseURL's own.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// Host names, without scheme and port, that credentials may be sent to as well. At most 16, each at most 253 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub allow_hosts: Vec<String>,
}
