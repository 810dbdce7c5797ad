//! How a Connector authenticates: a union of which exactly one member is set. No secret value ever stands here, only
//! templates that name keys of the credentials. Those that sign requests or log in have a file of their own.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::signing::{AwsSignatureV4Authentication, HmacAuthentication, OAuth1Authentication, SessionAuthentication};

/// How requests are authenticated: exactly one member. In every template, `{key}` is replaced by that key of the credentials.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.header), has(self.bearer), has(self.basic), has(self.query), has(self.oauth1), has(self.awsSignatureV4), has(self.hmac), has(self.session), has(self.none)].filter(set, set).size() == 1").message("set exactly one of header, bearer, basic, query, oauth1, awsSignatureV4, hmac, session and none under auth"))]
pub struct Authentication {
    /// A header of the vendor's own, for example `X-Shopify-Access-Token: {token}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderAuthentication>,
    /// `Authorization: Bearer …` (RFC 6750).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuthentication>,
    /// `Authorization: Basic …` (RFC 7617).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuthentication>,
    /// A query parameter of the vendor's own, for example `?api_key={key}`. Prefer a header where the vendor takes one: proxies and servers
    /// write URLs into their logs. It is neither logged nor stored here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<QueryAuthentication>,
    /// A signature by OAuth 1.0a with HMAC-SHA256 (RFC 5849), for example NetSuite's token-based authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth1: Option<OAuth1Authentication>,
    /// A signature by AWS Signature Version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_signature_v4: Option<AwsSignatureV4Authentication>,
    /// A keyed hash (HMAC) of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<HmacAuthentication>,
    /// A session that a call to log in begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionAuthentication>,
    /// Nothing in the request: whom the client certificate of `tls` is enough for, or who asks for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<NoAuthentication>,
}

/// Authentication by a header of the vendor's own.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderAuthentication {
    /// Name of the header (RFC 9110 token). 1 to 128 characters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Template of the header's value, for example `{token}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// Authentication by a bearer token.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BearerAuthentication {
    /// Template of the token, for example `{token}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub token: String,
}

/// Authentication by user name and password.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuthentication {
    /// Template of the user name, for example `{email}/token`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub username: String,
    /// Template of the password, for example `{apiToken}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub password: String,
}

/// Authentication by a query parameter of the vendor's own.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct QueryAuthentication {
    /// Name of the parameter. 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Template of its value, for example `{apiKey}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// No authentication in the request. It has no settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
pub struct NoAuthentication {}

/// A client certificate (mutual TLS), beside whatever `auth` says. A changed certificate is used by the next request, without a restart.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// Template of the certificate chain in PEM, the client's own first, for example `{certificate}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub certificate: String,
    /// Template of its private key in PEM (PKCS #8, PKCS #1 or SEC 1), for example `{privateKey}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub key: String,
    /// Template of certificates in PEM that the vendor's own certificate is verified by, in place of this machine's authorities, for example
    /// `{authorities}`. This machine's when left out. 1 to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub authorities: Option<String>,
}
