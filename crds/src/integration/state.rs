//! Where an Integration keeps its cursors, queue, ledger and dead letters.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where cursors, queue, ledger and dead letters are kept: exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.embedded)").message("set state.embedded"))]
pub struct State {
    /// SQLite on a volume of the worker's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedState>,
}

/// SQLite on a volume of the worker's own. Network file systems are refused by the worker, because their locks cannot be trusted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedState {
    /// Size of the volume, for example `1Gi`; it can grow later where the storage class allows it. `1Gi` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = "^[1-9][0-9]*(Mi|Gi|Ti)$"))]
    pub storage: Option<String>,
    /// Storage class of the volume. The cluster's default class when left out. It cannot be changed later. At most 253 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// What happens to the volume when the Integration is deleted: `Retain` keeps it, and an Integration of the same name goes on
    /// where this one was; `Delete` removes it. `Retain` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// What happens to the volume when the Integration is deleted: `Retain` keeps it, and an Integration of the same name goes on
/// where this one was; `Delete` removes it. `Retain` when left out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeletionPolicy {
    /// Keep the volume; an Integration of the same name goes on where this one was.
    #[default]
    Retain,
    /// Remove the volume and everything it remembers.
    Delete,
}
