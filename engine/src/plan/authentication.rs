//! How requests are authenticated. Templates name keys of the credentials; no value of them is ever in a plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::template::Template;

/// Names, in the templates of a keyed hash, of what it signs and makes.
pub mod hash_names {
    /// The method, upper case.
    pub const METHOD: &str = "method";
    /// The path as it is sent.
    pub const PATH: &str = "path";
    /// The query as it is sent, without the question mark.
    pub const QUERY: &str = "query";
    /// The body.
    pub const BODY: &str = "body";
    /// SHA-256 of the body, in hexadecimal digits.
    pub const BODY_SHA256: &str = "bodySha256";
    /// The time.
    pub const TIMESTAMP: &str = "timestamp";
    /// The signature.
    pub const SIGNATURE: &str = "signature";
    /// What stands for something else than a key of the credentials in a message.
    pub const OF_MESSAGE: [&str; 6] = [METHOD, PATH, QUERY, BODY, BODY_SHA256, TIMESTAMP];
    /// The same in a header.
    pub const OF_HEADER: [&str; 2] = [SIGNATURE, TIMESTAMP];
}

/// Name, in the template of a session's header, of its token.
pub const SESSION_TOKEN: &str = "sessionToken";

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
    /// A query parameter of the vendor's own.
    Query {
        /// Name of the parameter.
        name: String,
        /// Template of its value.
        value: Template,
    },
    /// OAuth 1.0a with HMAC-SHA256 (RFC 5849).
    #[serde(rename = "oauth1")]
    OAuth1(OAuth1),
    /// AWS Signature Version 4.
    AwsSignatureV4(AwsSignatureV4),
    /// A keyed hash of the request.
    Hmac(KeyedHash),
    /// A session that a call to log in begins.
    Session(Session),
    /// Nothing in the request.
    None,
}

/// OAuth 1.0a with HMAC-SHA256.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth1 {
    /// The realm, if one is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<Template>,
    /// The consumer key.
    pub consumer_key: Template,
    /// The consumer secret.
    pub consumer_secret: Template,
    /// The token.
    pub token: Template,
    /// The token's secret.
    pub token_secret: Template,
}

/// AWS Signature Version 4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsSignatureV4 {
    /// The service.
    pub service: String,
    /// Its region.
    pub region: String,
    /// The access key's id.
    pub access_key_id: Template,
    /// The secret access key.
    pub secret_access_key: Template,
    /// The session token, if the keys come with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Template>,
}

/// A keyed hash (HMAC) of the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyedHash {
    /// The hash.
    pub algorithm: HashAlgorithm,
    /// The secret.
    pub secret: Template,
    /// What is signed: `hash_names::OF_MESSAGE` and keys of the credentials.
    pub message: Template,
    /// How the signature is written.
    pub encoding: SignatureEncoding,
    /// Name of the header that carries it.
    pub header: String,
    /// The header's value: `hash_names::OF_HEADER` and keys of the credentials.
    pub value: Template,
    /// Name of the header that carries the time, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
    /// How the time is written.
    #[serde(default)]
    pub timestamp_format: TimestampFormat,
}

/// A hash for signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashAlgorithm {
    /// SHA-1.
    #[serde(rename = "SHA1")]
    Sha1,
    /// SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
    /// SHA-512.
    #[serde(rename = "SHA512")]
    Sha512,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignatureEncoding {
    /// Lower-case hexadecimal digits.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimestampFormat {
    /// Seconds since 1970.
    #[default]
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// Whole seconds in UTC (RFC 3339).
    Rfc3339,
    /// A date of HTTP (RFC 9110, section 5.6.7).
    HttpDate,
}

/// A session that a call to log in, a POST, begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Path of that call below the base URL, version filled in.
    pub path: String,
    /// Members of its body.
    pub body: BTreeMap<String, Template>,
    /// Whether the body is a form; JSON otherwise.
    pub form: bool,
    /// Pointer to the token in the answer.
    pub token: String,
    /// How long a session is used, in seconds; until it is refused without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u32>,
    /// Name of the header that carries the token.
    pub header: String,
    /// The header's value: `SESSION_TOKEN` and keys of the credentials.
    pub value: Template,
}

/// A client certificate (mutual TLS), in PEM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The certificate chain, the client's own first.
    pub certificate: Template,
    /// Its private key.
    pub key: Template,
    /// What the vendor's certificate is verified by; the machine's authorities without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<Template>,
}

impl Authentication {
    /// Keys of the credentials that the templates name.
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Self::Header { name: _, value } | Self::Query { name: _, value } => value.names().collect(),
            Self::Bearer { token } => token.names().collect(),
            Self::Basic { username, password } => names([username, password], &[]),
            Self::OAuth1(OAuth1 { realm, consumer_key, consumer_secret, token, token_secret }) => {
                let others = [consumer_key, consumer_secret, token, token_secret];
                names(realm.iter().chain(others), &[])
            }
            Self::AwsSignatureV4(keys) => {
                names([&keys.access_key_id, &keys.secret_access_key].into_iter().chain(&keys.session_token), &[])
            }
            Self::Hmac(KeyedHash { secret, message, value, .. }) => {
                let known = [&hash_names::OF_MESSAGE[..], &hash_names::OF_HEADER[..]].concat();
                names([secret, message, value], &known)
            }
            Self::Session(Session { body, value, .. }) => names(body.values().chain([value]), &[SESSION_TOKEN]),
            Self::None => Vec::new(),
        }
    }

    /// Whether a worker that knows only the second format would not know it.
    pub(super) fn needs_third_format(&self) -> bool {
        match self {
            Self::Header { .. } | Self::Bearer { .. } | Self::Basic { .. } => false,
            Self::Query { .. }
            | Self::OAuth1(_)
            | Self::AwsSignatureV4(_)
            | Self::Hmac(_)
            | Self::Session(_)
            | Self::None => true,
        }
    }

    pub(super) fn has_date_of_http(&self) -> bool {
        matches!(self, Self::Hmac(hash) if hash.timestamp_format == TimestampFormat::HttpDate)
    }
}

impl ClientCertificate {
    /// Keys of the credentials that the templates name.
    pub fn keys(&self) -> Vec<&str> {
        names([&self.certificate, &self.key].into_iter().chain(&self.authorities), &[])
    }
}

/// The names in templates, without those that stand for something else than a key.
fn names<'a>(templates: impl IntoIterator<Item = &'a Template>, others: &[&str]) -> Vec<&'a str> {
    templates.into_iter().flat_map(Template::names).filter(|name| !others.contains(name)).collect()
}
