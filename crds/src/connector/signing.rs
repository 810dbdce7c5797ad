//! Authentication that signs requests, or logs in first.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{authentication::HeaderAuthentication, stream::Text};

/// A signature by OAuth 1.0a with HMAC-SHA256 (RFC 5849).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OAuth1Authentication {
    /// Template of the realm; with NetSuite the account, for example `{account}`. None is sent when left out. 1 to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub realm: Option<String>,
    /// Template of the consumer key, for example `{consumerKey}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub consumer_key: String,
    /// Template of the consumer secret, for example `{consumerSecret}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub consumer_secret: String,
    /// Template of the token, for example `{token}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub token: String,
    /// Template of the token's secret, for example `{tokenSecret}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub token_secret: String,
}

/// A signature by AWS Signature Version 4.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AwsSignatureV4Authentication {
    /// The service that is signed for, for example `execute-api` or `s3`. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
    /// Its region, for example `eu-west-1`. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub region: String,
    /// Template of the access key's id, for example `{accessKeyId}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub access_key_id: String,
    /// Template of the secret access key, for example `{secretAccessKey}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub secret_access_key: String,
    /// Template of the session token, for keys that come with one. None is sent when left out. 1 to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub session_token: Option<String>,
}

/// A keyed hash (HMAC, RFC 2104) of the request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.header.value.contains('{signature}')").message("put {signature} into the header's value under hmac"))]
pub struct HmacAuthentication {
    /// The hash.
    pub algorithm: HashAlgorithm,
    /// Template of the secret, for example `{signingSecret}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub secret: String,
    /// Template of what is signed, over `{method}`, `{path}` and `{query}` as they are sent (without `?`), `{body}`, `{bodySha256}` in
    /// hexadecimal digits, `{timestamp}`, and keys of the credentials. 1 to 2048 characters.
    #[schemars(length(min = 1, max = 2048))]
    pub message: String,
    /// How the signature is written.
    pub encoding: SignatureEncoding,
    /// Header that carries the signature; its value is a template over `{signature}`, `{timestamp}` and keys of the credentials.
    pub header: HeaderAuthentication,
    /// Header that carries the timestamp, for example `X-Timestamp`. None when left out. 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub timestamp_header: Option<String>,
    /// How the timestamp is written: EpochSeconds when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<TimestampFormat>,
}

/// A hash for signatures.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
    /// SHA-512.
    #[serde(rename = "SHA512")]
    Sha512,
    /// SHA-1, for vendors that know no other.
    #[serde(rename = "SHA1")]
    Sha1,
}

/// How a signature is written.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Lower-case hexadecimal digits.
    Hex,
    /// Base64 with padding (RFC 4648).
    Base64,
}

/// How the timestamp is written: EpochSeconds when left out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimestampFormat {
    /// Seconds since 1970.
    #[default]
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// A time in UTC such as `2026-07-01T09:00:00Z`.
    Rfc3339,
    /// A date of HTTP such as `Wed, 01 Jul 2026 09:00:00 GMT` (RFC 9110, section 5.6.7).
    HttpDate,
}

/// A session: a call to log in gives a token, which every request then carries. It is made once for all requests that wait for it, and again
/// when a request is refused with status 401, or when the session's lifetime is over.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.header.value.contains('{sessionToken}')").message("put {sessionToken} into the header's value under session"))]
pub struct SessionAuthentication {
    /// Path below baseURL of the call to log in, a POST; `{apiVersion}` is replaced. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// Members of that call's body, templates over keys of the credentials, for example `{user: "{user}", password: "{password}"}`. At most
    /// 16, names up to 128 and values up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 1024)").message("keep names in body to 128 characters and values to 1024"))]
    pub body: BTreeMap<String, Text>,
    /// Send the body as a form (application/x-www-form-urlencoded) and not as JSON. JSON when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<bool>,
    /// JSON pointer to the token in the answer, for example `/access_token`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub token: String,
    /// How long a session is used before another one is begun, in seconds. 60 to 2592000. Until it is refused when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 2_592_000))]
    pub lifetime_seconds: Option<u32>,
    /// Header that carries the token; its value is a template over `{sessionToken}` and keys of the credentials.
    pub header: HeaderAuthentication,
}
