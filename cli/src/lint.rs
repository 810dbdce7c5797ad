//! `lint`: what the operator would say of files.

use std::process::ExitCode;

use anyhow::Result;
use crosstie_crds::{Connector, Integration};
use crosstie_engine::{
    compile::{self, Settings},
    mapping::Expression,
};

use crate::files::{Files, Manifests};

pub(crate) fn run(files: &Files) -> Result<ExitCode> {
    let manifests = files.read()?;
    let settings = Settings::default();
    let mut problems = 0;
    for ((_, name), connector) in &manifests.connectors {
        problems += say("connector", name, &findings(&compile::connector(connector, &settings).findings));
    }
    for ((namespace, name), integration) in &manifests.integrations {
        problems += say("integration", name, &of_integration(&manifests, namespace, integration, &settings));
        remark(name, integration);
    }
    Ok(if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings(findings: &[compile::Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}: {finding}", finding.reason)).collect()
}

fn of_integration(
    manifests: &Manifests,
    namespace: &str,
    integration: &Integration,
    settings: &Settings,
) -> Vec<String> {
    match endpoints(manifests, namespace, integration) {
        Ok((source, destination)) => {
            let names = integration.spec.alert_connectors().into_iter();
            let others = names.filter_map(|name| manifests.connectors.get(&(namespace.to_owned(), name.to_owned())));
            let others: Vec<&Connector> = others.collect();
            findings(&compile::integration_among(integration, source, destination, &others, settings).findings)
        }
        Err(missing) => missing,
    }
}

/// Prints what is no problem and may still not be meant.
fn remark(name: &str, integration: &Integration) {
    if let Some(receiver) = &integration.spec.receiver
        && receiver.host.is_some()
        && receiver.trusted_proxies.is_empty()
    {
        println!(
            "integration/{name}: note: spec.receiver.trustedProxies: where a proxy stands before the receiver, as an Ingress does, all callers count as \
             one: name the address ranges of its pods, so that forged requests of others cost the vendor nothing"
        );
    }
    for flow in &integration.spec.flows {
        for (field, source) in &flow.map {
            if Expression::compile(field, &source.0).is_ok_and(|expression| expression.lets_null_pass()) {
                println!(
                    "integration/{name}: note: spec.flows[{}].map[{field}]: `orValue` stands in for what is absent, not for what is null: where the \
                     source may send null, write `optional.ofNonZeroValue(….orValue(\"\")).orValue(…)`",
                    flow.name
                );
            }
        }
    }
}

/// The two Connectors an Integration names, or a sentence for each that the files do not hold.
pub(crate) fn endpoints<'a>(
    manifests: &'a Manifests,
    namespace: &str,
    integration: &Integration,
) -> Result<(&'a Connector, &'a Connector), Vec<String>> {
    let find = |field: &str, name: &str| {
        manifests
            .connectors
            .get(&(namespace.to_owned(), name.to_owned()))
            .ok_or_else(|| format!("ConnectorNotFound: {field}: there is no Connector {name} in these files"))
    };
    let source = find("spec.source.connectorRef.name", &integration.spec.source.connector_ref.name);
    let destination = find("spec.destination.connectorRef.name", &integration.spec.destination.connector_ref.name);
    match (source, destination) {
        (Ok(source), Ok(destination)) => Ok((source, destination)),
        (source, destination) => Err(source.err().into_iter().chain(destination.err()).collect()),
    }
}

/// Prints what there is to say of an object and gives how much.
fn say(kind: &str, name: &str, problems: &[String]) -> usize {
    if problems.is_empty() {
        println!("{kind}/{name}: ok");
    }
    for problem in problems {
        println!("{kind}/{name}: {problem}");
    }
    problems.len()
}
