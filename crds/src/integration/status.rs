//! What the operator says of an Integration.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator last saw of an Integration. Only the operator writes it: changes of conditions at once, figures at most once a
/// minute.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, PlanCompiled, WorkerAvailable, Synced, DeadLettersEmpty and ApiVersionCurrent, AlertsDelivered with alerts, Verified with fixtures, and kstatus' Reconciling and Stalled while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The plan that was published and the one the worker runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// Which change of a vendor's API comes next. Absent while none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// Where webhooks are received. Absent while no flow takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<ReceiverStatus>,
    /// Figures over all flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// Figures of each flow. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub flows: Vec<FlowStatus>,
}

/// The plan that was published and the one the worker runs.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// Hash of the plan the operator published last.
    pub hash: String,
    /// Hash of the plan the worker said it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_hash: Option<String>,
}

/// Where webhooks are received.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ReceiverStatus {
    /// Address to enter at the vendor. Absent while receiver.host is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Name of the Service that leads to the worker, in the same namespace, at port 80.
    pub service: String,
    /// Path that vendors call there.
    pub path: String,
}

/// Which change of a vendor's API comes next.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct DriftStatus {
    /// The change in two words, for example `Sunset 2027-01-01`, `Deprecated`, `Serves 2026-10` or `Unsupported`.
    pub summary: String,
    /// The Connector whose system it is. Its status says more.
    pub connector: String,
}

/// Figures over all flows of an Integration.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// Share of the deliveries of this hour and the one before that succeeded, for example `99.8%`. Absent while there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_1h: Option<String>,
    /// Share of the deliveries of the last 24 hours that succeeded. Absent while there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<String>,
    /// Share of the deliveries of the last 7 days that succeeded. Absent while there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_7d: Option<String>,
    /// When the record came in that waits longest to be delivered: how far the destination lags behind what was read. Absent when none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting_time: Option<Time>,
    /// When the first of the flows is read next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_time: Option<Time>,
    /// When every flow was last read to its end: the earliest of the flows' times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// Records waiting to be delivered.
    pub queue_depth: i64,
    /// Records in the dead letters. `kubectl crosstie dlq list` shows them.
    pub dead_letters: i64,
    /// When the one of them was set aside that lies there longest. Absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_dead_letter_time: Option<Time>,
    /// Records whose write has an unknown outcome and that are held until a person decides.
    #[serde(default)]
    pub held: i64,
}

/// Figures of one flow.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct FlowStatus {
    /// Name of the flow.
    pub name: String,
    /// Records written to the destination since the store began.
    pub delivered: i64,
    /// Records that needed no write, because the destination already has what they map to, or `when` left them out.
    pub unchanged: i64,
    /// Share of the deliveries of this hour and the one before that succeeded, for example `99.8%`. Absent while there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_1h: Option<String>,
    /// Share of the deliveries of the last 24 hours that succeeded. Absent while there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<String>,
    /// Share of the deliveries of the last 7 days that succeeded. Absent while there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_7d: Option<String>,
    /// Records waiting to be delivered.
    pub queue_depth: i64,
    /// When the record came in that waits longest to be delivered. Absent when none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting_time: Option<Time>,
    /// Records in the dead letters. `kubectl crosstie dlq list` shows them.
    pub dead_letters: i64,
    /// When the one of them was set aside that lies there longest. Absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_dead_letter_time: Option<Time>,
    /// When the flow was last read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// When the flow is read next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_time: Option<Time>,
    /// Changes up to this time, by the source's clock, have been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Time>,
    /// What is wrong with the flow as a whole; else how many of its records are tried again and why, and how many wait for the records they
    /// depend on. Without any record's values. At most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
