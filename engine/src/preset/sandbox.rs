//! What vendors have to try things in, and what is different there.

use crosstie_crds::{
    ConnectorSpec,
    connector::{Environment, RateLimit},
};
use serde::{Deserialize, Serialize};

use super::{Preset, merge_rates};

/// What a vendor has to try things in, for Connectors whose environment is a sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sandbox {
    /// What it is, in a few words with their article.
    pub name: String,
    /// Its hosts, with `*` for any text, where they are told from others by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// What it allows where that is something else than usual, member by member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

/// What the vendor allows in the environment that a Connector is of.
pub(super) fn usual_rate(spec: &ConnectorSpec, preset: Option<&Preset>) -> Option<RateLimit> {
    let preset = preset?;
    let in_sandbox = match spec.environment.unwrap_or_default() {
        Environment::Production => None,
        Environment::Sandbox => preset.sandbox.as_ref().and_then(|sandbox| sandbox.rate_limit.as_ref()),
    };
    match in_sandbox {
        None => preset.rate_limit.clone(),
        Some(in_sandbox) => Some(merge_rates(Some(in_sandbox), preset.rate_limit.as_ref())),
    }
}
