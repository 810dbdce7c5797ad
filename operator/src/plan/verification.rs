//! What a plan makes of its flows' fixtures, and what follows from it. Pure: whoever calls has read the ConfigMaps.

use std::sync::Arc;

use crosstie_crds::{
    Integration,
    condition::{ConditionType, Reason},
    integration::Gate,
    names::LABEL_FIXTURES,
};
use crosstie_engine::{
    fixture::{self, Difference, Fixture},
    mapping::{Mapping, MappingSource},
    plan::{Flow, Plan},
};
use k8s_openapi::api::core::v1::ConfigMap;

use super::{conditions::Draft, diagnosis::Trouble, seen::Seen};

/// Differences of the first fixture that are told.
const DIFFERENCES: usize = 3;
/// Further fixtures that fail and are named.
const NAMED: usize = 2;
/// Longest value that is told whole, in characters.
const LONGEST_VALUE: usize = 80;
/// Longest name of a fixture that is told whole, in characters.
const LONGEST_NAME: usize = 80;

/// What the fixtures say of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Verification {
    /// No flow has any.
    #[default]
    Unasked,
    /// There is no plan to be tried.
    Waiting,
    /// All is as it has to be, in so many cases.
    Passed(usize),
    /// What is not.
    Failed(Trouble),
}

/// Whether fixtures keep a plan from the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Held {
    /// They do not.
    #[default]
    No,
    /// They do, and no worker was started with a plan before it.
    NothingRuns,
    /// They do; the worker goes on with the last good plan.
    LastGoodRuns,
}

/// A flow's name, the name of a ConfigMap that it names, and that ConfigMap if it is there.
pub type Named = (String, String, Option<Arc<ConfigMap>>);

/// Every flow with each ConfigMap that it names.
pub fn fixture_maps(integration: &Integration) -> impl Iterator<Item = (&str, &str)> {
    let flows = integration.spec.flows.iter();
    flows.flat_map(|flow| flow.fixtures.iter().map(|from| (flow.name.as_str(), from.config_map_ref.name.as_str())))
}

/// Whether what the fixtures say is to keep the plan from the worker.
pub fn holds(seen: &Seen) -> bool {
    let spec = seen.integration.spec.verification.as_ref();
    match spec.and_then(|spec| spec.gate).unwrap_or_default() {
        Gate::Enforce => matches!(seen.verification, Verification::Failed(_)),
        Gate::Warn => false,
    }
}

/// Tries a plan of the Integration of this name on its fixtures.
pub fn verify(integration: &str, plan: &Plan, named: &[Named]) -> Verification {
    let mut cases = 0;
    let mut failed = Vec::new();
    for (flow, name, map) in named {
        let Some(flow) = plan.flows.iter().find(|found| found.name == *flow) else { continue };
        match of_flow(integration, flow, plan.flows.len(), name, map.as_deref()) {
            Ok(tried) => {
                cases += tried.len();
                failed.extend(tried.into_iter().filter(|case| !case.differences.is_empty()));
            }
            Err(message) => return Verification::Failed(Trouble { reason: Reason::FixturesUnusable, message }),
        }
    }
    match told(&failed) {
        Some(message) => Verification::Failed(Trouble { reason: Reason::FixtureFailed, message }),
        None => Verification::Passed(cases),
    }
}

/// One case after it was tried.
struct Case {
    flow: String,
    name: String,
    differences: Vec<Difference>,
}

fn of_flow(
    integration: &str,
    flow: &Flow,
    flows: usize,
    name: &str,
    map: Option<&ConfigMap>,
) -> Result<Vec<Case>, String> {
    let Some(map) = map else {
        return Err(format!(
            "flow {} has its fixtures in ConfigMap {name}, and there is none with the label {LABEL_FIXTURES}=\"true\": create it, or label it",
            flow.name
        ));
    };
    let mut found = Vec::new();
    for (key, text) in map.data.iter().flatten() {
        let all = fixture::read(text)
            .map_err(|error| format!("{key} in ConfigMap {name} holds no fixtures of this format: {error}"))?;
        found.extend(all.into_iter().filter(|fixture| concerns(fixture, integration, &flow.name, flows)));
    }
    if found.is_empty() {
        return Err(format!(
            "ConfigMap {name} holds no fixture of flow {}: add one, with `flow: {0}` where there are several flows",
            flow.name
        ));
    }
    let mapping = Mapping::compile(&MappingSource { when: flow.when.as_deref(), map: &flow.map });
    let mapping = mapping.map_err(|_| format!("the mapping of flow {} does not compile", flow.name))?;
    let case = |fixture: Fixture| Case {
        flow: flow.name.clone(),
        differences: fixture.differences(&mapping),
        name: fixture.name,
    };
    Ok(found.into_iter().map(case).collect())
}

/// Whether a fixture is one of this flow; one that names none is where there is no other.
fn concerns(fixture: &Fixture, integration: &str, flow: &str, flows: usize) -> bool {
    fixture.integration.as_deref().is_none_or(|named| named == integration)
        && fixture.flow.as_deref().map_or(flows == 1, |named| named == flow)
}

/// Says what differs, shortly: the first fixture with its differences, the names of the next, how many more.
fn told(failed: &[Case]) -> Option<String> {
    let (first, rest) = failed.split_first()?;
    let mut lines: Vec<String> =
        first.differences.iter().take(DIFFERENCES).map(|difference| difference.told(LONGEST_VALUE)).collect();
    if let Some(more) = first.differences.len().checked_sub(DIFFERENCES).filter(|more| *more > 0) {
        lines.push(format!("and {more} more differences"));
    }
    let mut message = format!("fixture {} of flow {} differs: {}", quoted(&first.name), first.flow, lines.join("; "));
    if !rest.is_empty() {
        let names: Vec<String> = rest.iter().take(NAMED).map(|case| quoted(&case.name)).collect();
        let more = rest.len().checked_sub(NAMED).filter(|more| *more > 0);
        let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
        message = format!("{message}; so do {}{more}", names.join(", "));
    }
    Some(format!(
        "{message}. Correct the mapping or the fixture; `kubectl crosstie test -f FILES` shows every difference"
    ))
}

fn quoted(name: &str) -> String {
    let short: String = name.chars().take(LONGEST_NAME).collect();
    let end = if short.len() < name.len() { "…" } else { "" };
    format!("`{short}{end}`")
}

impl Verification {
    /// What the Integration's `Verified` says; nothing where no flow has fixtures.
    pub fn condition(&self) -> Option<Draft> {
        let kind = ConditionType::Verified;
        match self {
            Self::Unasked => None,
            Self::Waiting => {
                Some(Draft::unknown(kind, Reason::Starting, "there is no plan to be tried on the fixtures"))
            }
            Self::Passed(cases) => {
                let message = format!("the plan makes of {cases} fixtures what it has to");
                Some(Draft::yes(kind, Reason::FixturesPassed, message))
            }
            Self::Failed(trouble) => Some(Draft::no(kind, trouble.reason, trouble.message.clone())),
        }
    }
}

#[cfg(test)]
#[path = "verification_tests.rs"]
mod tests;
