//! `Integration`: one or more data flows between two Connectors. The spec's types and the rules the API server enforces on them.
//! What a field means lives in its doc comment, because `kubectl explain` shows it.

mod alert;
mod flow;
mod receiver;
mod state;
mod status;
mod verification;

pub use alert::{Alert, AlertCause, EmailAlert, EmailTls, SlackAlert, WebhookAlert};
pub use flow::{
    DependsOn, Direction, Expression, Flow, OnUnknownOutcome, OnWhenFalse, Ownership, Pair, Trigger, WebhookTrigger,
    Write, WriteMode,
};
pub use receiver::{EventLimit, IngressOptions, Receiver};
pub use state::{DeletionPolicy, EmbeddedState, State};
pub use status::{DriftStatus, FlowStatus, IntegrationStatus, PlanStatus, ReceiverStatus, SyncStatus};
pub use verification::{FixtureSource, Gate, Verification};

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::connector::LocalReference;

/// Data flows from one Connector to another, kept running by a sync worker.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "crosstie.dev",
    version = "v1alpha1",
    kind = "Integration",
    namespaced,
    status = "IntegrationStatus",
    derive = "PartialEq",
    shortname = "integ",
    category = "crosstie",
    doc = "An Integration carries records from one Connector's system to another's. The operator turns it into a running sync worker and says in status whether data flows.",
    validation = Rule::new("self.metadata.name.size() <= 52").message("choose a metadata.name of at most 52 characters: names of owned objects are made from it"),
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.source.connectorRef.name", description = "Connector that records are read from"),
    printcolumn(name = "Destination", type_ = "string", json_path = ".spec.destination.connectorRef.name", description = "Connector that records are written to"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether data flows, or the spec says it should not"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Success", type_ = "string", json_path = ".status.sync.success", description = "Share of the last 24 hours' deliveries that succeeded"),
    printcolumn(name = "Last Sync", type_ = "date", json_path = ".status.sync.lastSyncTime", description = "Time since every flow was last read to its end"),
    printcolumn(name = "Queue", type_ = "integer", json_path = ".status.sync.queueDepth", description = "Records waiting to be delivered"),
    printcolumn(name = "Dead", type_ = "integer", json_path = ".status.sync.deadLetters", description = "Records in the dead letters"),
    printcolumn(name = "Drift", type_ = "string", json_path = ".status.drift.summary", description = "Which change of a vendor's API comes next"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since creation"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1, description = "What is the matter and what to do")
)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationSpec {
    /// System that records are read from.
    pub source: Endpoint,

    /// System that records are written to.
    pub destination: Endpoint,

    /// What flows, each with its own trigger, mapping and write. 1 to 32, with different names.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub flows: Vec<Flow>,

    /// How the source's webhooks are received, for flows with a webhook trigger. The defaults of its fields apply when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Receiver>,

    /// For how many days the log of calls is kept: which request went to which vendor when, what it came to, and the vendor's id of it; never
    /// what it carried. `kubectl crosstie calls` shows it. A call takes about 200 bytes of the worker's volume and is stored together with what it
    /// came to, and the newest 1000000 are kept at most. 0 keeps none and removes what there is; 0 to 90; 3 when left out, which covers a weekend and
    /// takes about 30 MB where 50000 calls are made a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 90))]
    pub call_log_days: Option<u32>,

    /// What happens to a record that fails by its own fault. The defaults of its fields apply when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_policy: Option<ErrorPolicy>,

    /// Whom to tell when something is wrong, and when it is over. At most 8, with different names; nobody is told when it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub alerts: Vec<Alert>,

    /// How a new plan is tried on the flows' fixtures before workers get it. The defaults of its fields apply when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,

    /// Where cursors, queue, ledger and dead letters are kept. A volume of 1Gi that outlives the Integration when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,

    /// How the sync worker runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Workers>,

    /// Stops the worker, keeping all state, while true. Records that change meanwhile are read when it is false again.
    #[serde(default)]
    pub suspend: bool,
}

impl IntegrationSpec {
    /// Names of the Connectors that its alerts go through, each once.
    pub fn alert_connectors(&self) -> Vec<&str> {
        let names: std::collections::BTreeSet<&str> = self.alerts.iter().filter_map(Alert::connector).collect();
        names.into_iter().collect()
    }
}

/// One end of an Integration.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Connector in the same namespace.
    pub connector_ref: LocalReference,
}

/// What happens to a record that fails by its own fault: a mapping error, a refusal, or errors while other records pass. Outages
/// are another matter: then everything waits in order, for as long as it takes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ErrorPolicy {
    /// How often a record is tried again before it goes to the dead letters. 0 to 100; 3 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub retries: Option<u32>,
    /// How long to wait before each retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// Waiting times before retries: initialSeconds, then each time factor times as long, up to maxSeconds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.initialSeconds) || !has(self.maxSeconds) || self.initialSeconds <= self.maxSeconds").message("set backoff.maxSeconds to at least backoff.initialSeconds"))]
pub struct Backoff {
    /// Wait before the first retry, in seconds. 1 to 86400; 120 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub initial_seconds: Option<u32>,
    /// By how much each wait is longer than the one before. 1 to 10; 2 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub factor: Option<u32>,
    /// The longest wait, in seconds. 1 to 86400; 3600 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_seconds: Option<u32>,
}

/// How the sync worker runs.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// Compute resources of the worker's container. The operator's defaults apply when it is left out. Changing it restarts the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources_schema")]
    pub resources: Option<ResourceRequirements>,
}

/// Requests and limits as Kubernetes has them, bounded; claims are left out because workers use no devices.
fn resources_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let quantities = |what: &str| {
        serde_json::json!({
            "description": format!("{what} by resource name, for example cpu and memory. At most 8."),
            "type": "object",
            "maxProperties": 8,
            "additionalProperties": {"type": "string", "maxLength": 32, "pattern": "^([0-9]+|[0-9]+\\.[0-9]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"},
        })
    };
    schemars::json_schema!({
        "description": "Compute resources of the worker's container.",
        "type": "object",
        "properties": {
            "requests": quantities("What is reserved,"),
            "limits": quantities("What may be used at most,"),
        },
    })
}
