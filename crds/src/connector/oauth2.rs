//! Access tokens by OAuth 2.0 grants: what the operator needs to know to get them. No secret value ever stands here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stream::Text;

/// Access tokens that the operator gets by an OAuth 2.0 grant (RFC 6749, RFC 7523) and renews at half their life. The secret then holds what they are
/// got with: `clientId`, and `clientSecret` or `privateKey`. Workers are handed the access token as the key `token`, and the secret's other
/// keys that `auth` and `webhooks` name, never those. What is left out is the preset's.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// What stands in for a user's consent: ClientCredentials, RefreshToken or JwtBearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<OAuth2Grant>,

    /// Where tokens are got, for example `https://login.salesforce.com/services/oauth2/token`; or a path at baseURL's host that begins with a slash.
    /// Another host has to stand in egress.allowHosts too. At most 2048 characters.
    #[serde(rename = "tokenURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^(/|https?://)"))]
    pub token_url: Option<String>,

    /// How the client says who it is: Basic, Body, Assertion or None. Basic when it is left out; None where the grant is an assertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_authentication: Option<OAuth2ClientAuthentication>,

    /// Scopes that are asked for. The server's choice when they are left out. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256), regex(pattern = "^[!#-\\[\\]-~]+$")))]
    pub scopes: Vec<String>,

    /// Name of the secret in AWS Secrets Manager that holds the refresh token alone, as `{"refreshToken": "…"}`; needed for the grant RefreshToken.
    /// It is looked for where credentials.awsSecretsManager says. A server that replaces refresh tokens makes the operator write the new
    /// one there before it uses it; a person may put another one there at any time. 1 to 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = "^[A-Za-z0-9/_+=.@-]+$"))]
    pub refresh_token_secret_id: Option<String>,

    /// A signed assertion, for the grant JwtBearer or the client authentication Assertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<OAuth2Assertion>,

    /// How long a token counts as valid where the server does not say it, in seconds: 3600 when it is left out. 60 to 31536000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub lifetime_seconds: Option<u32>,
}

/// What stands in for a user's consent.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuth2Grant {
    /// The client acts for itself (RFC 6749, section 4.4).
    ClientCredentials,
    /// A refresh token, which a person got once by consenting (RFC 6749, section 6).
    RefreshToken,
    /// A signed assertion (RFC 7523, section 2.1).
    JwtBearer,
}

/// How the client says who it is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuth2ClientAuthentication {
    /// `clientId` and `clientSecret` in the header `Authorization` (RFC 6749, section 2.3.1).
    Basic,
    /// `clientId` and `clientSecret` in the body.
    Body,
    /// A signed assertion in the body (RFC 7523, section 2.2).
    Assertion,
    /// `clientId` alone, where the secret has one.
    None,
}

/// A signed assertion (RFC 7519). It is signed with the secret's `privateKey`, in PEM (PKCS #8). In texts, `{key}` is replaced by that key of the secret.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2Assertion {
    /// How it is signed (RFC 7518): RS256, PS256 or ES256.
    pub algorithm: OAuth2Algorithm,

    /// Id of the key, where the server tells keys apart, for example `{certificateId}`. At most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Text>,

    /// Who asserts. `{clientId}` when it is left out. At most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Text>,

    /// About whom, for example the user that the tokens are to act for. `{clientId}` when it is left out. At most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Text>,

    /// To whom. tokenURL when it is left out. At most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<Text>,

    /// Other claims. `scope` is the list of scopes unless it is named here. At most 16, with values of up to 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub claims: BTreeMap<String, Text>,

    /// How long an assertion is valid, in seconds: 180 when it is left out. 10 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3600))]
    pub lifetime_seconds: Option<u32>,
}

/// How an assertion is signed (RFC 7518, section 3.1).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuth2Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}
