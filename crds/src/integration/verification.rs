//! How a new plan is tried before workers get it: where its fixtures are, and what becomes of a plan that fails on them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::connector::LocalReference;

/// A place that holds fixtures of a flow.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FixtureSource {
    /// ConfigMap in the same namespace that carries the label `crosstie.dev/fixtures: "true"`. Each of its keys holds fixtures as YAML documents, as
    /// `kubectl crosstie test` takes them; those that name another flow or Integration are passed over.
    pub config_map_ref: LocalReference,
}

/// How a new plan is tried before workers get it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// What becomes of a new plan whose mappings do not make of the flows' fixtures what they are to: `Enforce` keeps it back, and the worker goes on
    /// with the last good plan, or does not start without one; `Warn` hands it out and says so. `Enforce` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

/// What becomes of a new plan that fails on its fixtures. `Enforce` when left out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Gate {
    /// It is kept back; the last good plan goes on.
    #[default]
    Enforce,
    /// It is handed out, and status says what failed.
    Warn,
}
