//! Which of the vendors' environments Connectors are of, checked: a sandbox is where the vendor has sandboxes, and nothing flows between one and what is
//! real.

use crosstie_crds::{ConnectorSpec, connector::Environment};
use url::Url;

use super::{Findings, connector::Resolved};
use crate::{glob, plan, preset::Preset};

/// The environment of a Connector.
pub(super) fn resolve(
    spec: &ConnectorSpec,
    preset: Option<&Preset>,
    base_url: Option<&Url>,
    findings: &mut Findings,
) -> plan::Environment {
    match spec.environment.unwrap_or_default() {
        Environment::Production => plan::Environment::Production,
        Environment::Sandbox => {
            if let Some(preset) = preset {
                check(preset, base_url, findings);
            }
            plan::Environment::Sandbox
        }
    }
}

fn check(preset: &Preset, base_url: Option<&Url>, findings: &mut Findings) {
    let Some(sandbox) = &preset.sandbox else {
        let message =
            format!("the preset {} knows no sandbox: leave it out, or describe the system yourself", preset.name);
        findings.invalid("spec.environment", message);
        return;
    };
    let Some(host) = base_url.and_then(Url::host_str) else { return };
    let known = sandbox.hosts.is_empty() || sandbox.hosts.iter().any(|pattern| glob::matches(pattern, host));
    if !known {
        let message = format!(
            "{host} is not where {} is, which is at {}: write its address, or set spec.environment to Production",
            sandbox.name,
            sandbox.hosts.join(" or ")
        );
        findings.invalid("spec.baseURL", message);
    }
}

/// The environment that both ends are of.
pub(super) fn of_both(source: &Resolved, destination: &Resolved, findings: &mut Findings) -> plan::Environment {
    if source.environment != destination.environment {
        let named = |environment| match environment {
            plan::Environment::Production => "in Production",
            plan::Environment::Sandbox => "in a Sandbox",
        };
        let message = format!(
            "Connector {} is {} and Connector {} is {}: connect two of the same spec.environment",
            source.name,
            named(source.environment),
            destination.name,
            named(destination.environment)
        );
        findings.invalid("spec.destination.connectorRef.name", message);
    }
    source.environment
}
