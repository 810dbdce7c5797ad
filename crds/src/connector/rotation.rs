//! How old credentials may become, and how far a rotation is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How old the current version of the credentials may become, and what happens then. Where the operator gets access tokens by an OAuth 2.0 grant, it is
/// the age of what they are got with that counts: of the client's secret, and of the refresh token.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct RotationPolicy {
    /// Age in days from which the current version counts as too old. 1 to 3650. The preset's figure applies when it is left out; without either
    /// no version is too old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub max_age_days: Option<u32>,

    /// What happens to a version that is too old. `Alert` when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_max_age: Option<OnMaxAge>,
}

/// What happens to credentials that are too old; `Alert` when nothing is said.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnMaxAge {
    /// `CredentialsFresh` is False, and an Event says so once. The alerts of Integrations do not tell it.
    #[default]
    Alert,
    /// That, and AWS Secrets Manager is asked once for each version to rotate the secret, where it has a rotation configured.
    Rotate,
}

/// How far a rotation is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// Every worker uses the current version.
    Settled,
    /// A newer version is on its way to the workers.
    Rolling,
    /// The newest version cannot be used: it lacks something, or the vendor refuses it. An older one stays in use.
    Held,
}
