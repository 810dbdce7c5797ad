//! What the operator says of a Connector.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    api_version::{ApiVersionStatus, also_text},
    rotation::CredentialState,
};

/// What the operator last saw of a Connector. Only the operator writes it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, CredentialsResolved, CredentialsFresh and VersionSupported, and kstatus' Reconciling and Stalled while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The version of the vendor's API, and what is known of its end.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "also_text")]
    pub api_version: Option<ApiVersionStatus>,
    /// How many Integrations of this namespace use this Connector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrations: Option<u32>,
    /// The credentials handed to workers. Ids and times only, never values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialStatus>,
}

/// The credentials handed to workers. Ids and times only, never values.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// Version id of the value that workers are to use.
    pub version_id: String,
    /// How far a rotation is: Settled, Rolling or Held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<CredentialState>,
    /// Stage of that version in AWS Secrets Manager: AWSCURRENT, or AWSPREVIOUS while a newer version cannot be handed out. Absent where it is not
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub stage: Option<String>,
    /// Version id of the previous value, kept so that a rotation costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_version_id: Option<String>,
    /// When the operator first saw this current version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Time>,
    /// When that version was made. Absent where the store does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// Age of that version in whole days, since it was made or, where that is not known, since it was first seen. Where the operator gets access
    /// tokens by an OAuth 2.0 grant, age of the oldest secret that they are got with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_days: Option<u32>,
    /// When AWS Secrets Manager rotates the secret that credentials.awsSecretsManager names next at the latest. Absent where it does not rotate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation_time: Option<Time>,
    /// When the access token ends, where the operator gets it by an OAuth 2.0 grant; it is renewed at half its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// How many workers use the current version, of all that use this Connector, for example `2/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<String>,
}
