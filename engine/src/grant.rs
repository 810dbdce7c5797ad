//! How access tokens are got by an OAuth 2.0 grant, fully resolved. Only the operator's broker is given it: it stands in no plan, and workers are
//! handed the tokens alone.

use std::collections::BTreeMap;

use serde::Serialize;
use url::Url;

use crate::{canonical, template::Template};

/// Key of the stored credentials: the client's id.
pub const CLIENT_ID: &str = "clientId";
/// Key of the stored credentials: the client's secret.
pub const CLIENT_SECRET: &str = "clientSecret";
/// Key of the stored credentials: what assertions are signed with.
pub const PRIVATE_KEY: &str = "privateKey";
/// Key of the refresh token, in the secret of its own.
pub const REFRESH_TOKEN: &str = "refreshToken";
/// Key of the access token in what workers are handed.
pub const ACCESS_TOKEN: &str = "token";

/// Keys whose values tokens are got with. Workers never have them.
pub const OF_THE_GRANT: [&str; 3] = [CLIENT_SECRET, PRIVATE_KEY, REFRESH_TOKEN];

/// How tokens are got.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grant {
    /// What stands in for consent.
    pub kind: GrantKind,
    /// Where tokens are got: at the base URL's host or an allowed one.
    pub token_url: Url,
    /// How the client says who it is.
    pub client: ClientAuthentication,
    /// Scopes asked for; the server's choice without any.
    pub scopes: Vec<String>,
    /// The assertion, where there is one.
    pub assertion: Option<Assertion>,
    /// How long a token is valid where the server does not say it, in seconds.
    pub lifetime_seconds: u32,
}

/// What stands in for consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum GrantKind {
    /// The client acts for itself.
    ClientCredentials,
    /// A refresh token.
    RefreshToken,
    /// A signed assertion.
    JwtBearer,
}

/// How the client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ClientAuthentication {
    /// In the header `Authorization`.
    Basic,
    /// In the body.
    Body,
    /// By a signed assertion.
    Assertion,
    /// By its id alone.
    None,
}

/// An assertion. Templates name keys of the stored credentials.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assertion {
    /// How it is signed.
    pub algorithm: AssertionAlgorithm,
    /// Id of the key, if the server tells keys apart.
    pub key_id: Option<Template>,
    /// Who asserts.
    pub issuer: Template,
    /// About whom.
    pub subject: Template,
    /// To whom.
    pub audience: Template,
    /// Other claims that are texts.
    pub claims: BTreeMap<String, Template>,
    /// How long it is valid, in seconds.
    pub lifetime_seconds: u32,
}

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum AssertionAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
}

impl Grant {
    /// Hash that tells this grant from any other: a token that was got by another one is renewed.
    pub fn hash(&self) -> String {
        canonical::short_hash(self)
    }
}
