//! OAuth 2.0 of one instance: who may get access tokens, and what was granted.

use serde::{Deserialize, Serialize};

/// The client that gets access tokens: `PUT …/oauth2`. Replaces what was there, and forgets what was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2Client {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Refresh tokens that are valid.
    #[serde(default)]
    pub refresh_tokens: Vec<String>,
    /// How long an access token is said to be valid, in seconds. It is accepted for as long as nobody revokes it.
    #[serde(default = "hour")]
    pub lifetime_seconds: u64,
    /// Whether each use of a refresh token replaces it.
    #[serde(default)]
    pub rotates: bool,
    /// Whether the access token before is revoked in the moment in which the next one is granted.
    #[serde(default)]
    pub revokes: bool,
    /// What access tokens begin with, before their number.
    #[serde(default = "access_token")]
    pub access_token_prefix: String,
}

fn hour() -> u64 {
    3600
}

fn access_token() -> String {
    "at-".to_owned()
}

/// The client's secrets that are accepted: `PUT …/oauth2/secrets`. What was granted stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Secrets {
    /// These and no others.
    pub valid: Vec<String>,
}

/// What `GET …/oauth2` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2Grants {
    /// How many access tokens were granted.
    pub granted: u64,
    /// How many requests were refused.
    pub refused: u64,
    /// The refresh tokens that access tokens were granted for, in their order.
    pub used: Vec<String>,
    /// The newest access token.
    pub access_token: Option<String>,
}
