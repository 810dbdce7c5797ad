//! `SyncReport`: what worker pods say. Internal: the operator makes one for each Integration and its workers fill it in.
//! It never holds values of records: counts, times, hashes and reasons only.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::Reason,
    connector::{Lifecycle, LocalReference},
};

/// What the workers of an Integration report to the operator.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "crosstie.dev",
    version = "v1alpha1",
    kind = "SyncReport",
    namespaced,
    status = "SyncReportStatus",
    derive = "PartialEq",
    shortname = "syncr",
    category = "crosstie",
    doc = "A SyncReport carries what the workers of one Integration report to the operator. It is made and used by Crosstie itself; read the Integration's status instead.",
    printcolumn(
        name = "Integration",
        type_ = "string",
        json_path = ".spec.integrationRef.name",
        description = "The Integration reported on"
    ),
    printcolumn(
        name = "Reported",
        type_ = "date",
        json_path = ".status.workers[0].reportedAt",
        description = "Time since the first worker's last report"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since creation"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SyncReportSpec {
    /// The Integration reported on.
    pub integration_ref: LocalReference,
}

/// The reports, one entry a worker pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct SyncReportStatus {
    /// One entry a worker pod, written by that pod only. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["pod".into()]))]
    pub workers: Vec<WorkerReport>,
}

/// What one worker pod says.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkerReport {
    /// Name of the pod. At most 253 characters.
    #[schemars(length(min = 1, max = 253))]
    pub pod: String,
    /// When this entry was written, by the worker's clock.
    pub reported_at: Time,
    /// When the worker started, by its own clock.
    pub started_at: Time,
    /// Hash of the plan the worker runs. At most 128 characters; absent while it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub plan_hash: Option<String>,
    /// Hash of the shares the worker keeps to. At most 128 characters; absent while it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub shares_hash: Option<String>,
    /// Id of the store the worker writes. At most 64 characters; absent while it has none open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub store_id: Option<String>,
    /// Credentials in use, one entry a Connector, those of alerts among them. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["connector".into()]))]
    pub credentials: Vec<CredentialReport>,
    /// What vendors say of the version of their API, one entry a Connector that was heard. At most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["connector".into()]))]
    pub apis: Vec<ApiReport>,
    /// Figures of each flow. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["flow".into()]))]
    pub flows: Vec<FlowReport>,
    /// What is wrong at the moment, most important first. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub problems: Vec<Problem>,
}

/// A credential version in use for one Connector.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialReport {
    /// Name of the Connector. At most 253 characters.
    #[schemars(length(min = 1, max = 253))]
    pub connector: String,
    /// Version id the mounted file calls current. At most 128 characters.
    #[schemars(length(max = 128))]
    pub loaded_version_id: String,
    /// Version id that requests are made with. At most 128 characters.
    #[schemars(length(max = 128))]
    pub used_version_id: String,
    /// Whether the vendor accepted the version in use; absent before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<bool>,
    /// Version id that the vendor refused most lately. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub rejected_version_id: Option<String>,
}

/// What a vendor's answers say of the version of its API. Nothing of it is the vendor's own text, but for a version and an address.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ApiReport {
    /// Name of the Connector. At most 253 characters.
    #[schemars(length(min = 1, max = 253))]
    pub connector: String,
    /// The version that was asked for. At most 63 characters; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub requested: Option<String>,
    /// The version that was served; of several the one that differs from what was asked for. At most 63 characters; absent when the vendor
    /// does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub served: Option<String>,
    /// Whether a request was refused because the version is not served any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsupported: bool,
    /// Word of the version's end; of several the nearest. Absent while the vendor says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// Figures of one flow. Totals count since the store began.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct FlowReport {
    /// Name of the flow. At most 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub flow: String,
    /// Records written to the destination.
    pub delivered: i64,
    /// Records that needed no write.
    pub unchanged: i64,
    /// Records waiting to be delivered.
    pub queue_depth: i64,
    /// Records in the dead letters.
    pub dead_letters: i64,
    /// When the one of them was set aside that lies there longest. Absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_dead_letter_time: Option<Time>,
    /// Records whose write has an unknown outcome.
    pub held: i64,
    /// Deliveries of this hour and the one before that succeeded.
    #[serde(default)]
    pub succeeded_1h: i64,
    /// Records of this hour and the one before that went to the dead letters.
    #[serde(default)]
    pub failed_1h: i64,
    /// Deliveries of the last 24 hours that succeeded.
    pub succeeded_24h: i64,
    /// Records of the last 24 hours that went to the dead letters.
    pub failed_24h: i64,
    /// Deliveries of the last 7 days that succeeded.
    #[serde(default)]
    pub succeeded_7d: i64,
    /// Records of the last 7 days that went to the dead letters.
    #[serde(default)]
    pub failed_7d: i64,
    /// When the record came in that waits longest to be delivered. Absent when none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting_time: Option<Time>,
    /// When the flow was last read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// When the flow is read next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_time: Option<Time>,
    /// Changes up to this time, by the source's clock, have been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Time>,
    /// Records of the queue that failed and are tried again. Held ones are not among them.
    #[serde(default)]
    pub retrying: i64,
    /// Records of the queue that wait until another flow's record is at the destination.
    #[serde(default)]
    pub awaiting_parent: i64,
    /// How many records are tried again and why, and how many wait for their parents, without any record's values. At most 512 characters;
    /// absent when none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub problem: Option<String>,
}

/// Something that is wrong at the moment.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The reason that the Integration's conditions will show.
    pub reason: Reason,
    /// Flow concerned; absent when all are. At most 63 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub flow: Option<String>,
    /// What failed, on what, and what to do, without any record's values. At most 512 characters.
    #[schemars(length(max = 512))]
    pub message: String,
    /// Since when.
    pub since: Time,
}
