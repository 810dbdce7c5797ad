//! One flow of an Integration, checked and resolved against its two Connectors.

use crosstie_crds::integration::{Flow as SpecFlow, OnUnknownOutcome as SpecOnUnknownOutcome, Trigger as SpecTrigger};

use super::{Findings, connector::Resolved};
use crate::{
    mapping::{Mapping, MappingSource},
    plan::{Flow, OnUnknownOutcome, OnWhenFalse, Operation, StartFrom, Trigger},
    schedule,
    template::Template,
};

/// Resolves a flow. `None` only together with findings.
pub(crate) fn resolve(
    flow: &SpecFlow,
    source: &Resolved,
    destination: &Resolved,
    findings: &mut Findings,
) -> Option<Flow> {
    let at = |field: &str| format!("spec.flows[{}].{field}", flow.name);
    if !source.streams.iter().any(|stream| stream.name == flow.stream) {
        let known = listed(source.streams.iter().map(|stream| stream.name.as_str()));
        let message = format!("Connector {} has no stream `{}`; it has {known}", source.name, flow.stream);
        findings.invalid(at("stream"), message);
    }
    if !destination.operations.iter().any(|operation| operation.name == flow.write.operation) {
        let known = listed(destination.operations.iter().map(|operation| operation.name.as_str()));
        let message =
            format!("Connector {} has no operation `{}`; it has {known}", destination.name, flow.write.operation);
        findings.invalid(at("write.operation"), message);
    }
    let triggers = flow
        .triggers
        .iter()
        .enumerate()
        .filter_map(|(index, spec)| trigger(&at(&format!("triggers[{index}]")), spec, findings));
    let triggers: Vec<Trigger> = triggers.collect();
    let start_from = start_from(&at("startFrom"), flow.start_from.as_deref(), findings);
    let map = flow.map.iter().map(|(field, expression)| (field.clone(), expression.0.clone())).collect();
    let when = flow.when.as_ref().map(|expression| expression.0.clone());
    if let Err(problems) = Mapping::compile(&MappingSource { when: when.as_deref(), map: &map }) {
        for problem in problems {
            let place = problem.position.map(|position| format!(" ({position})")).unwrap_or_default();
            findings.invalid(at(&problem.field), format!("{}{place}; {}", problem.problem, problem.remedy));
        }
    }
    // Problems of streams and operations as such were found with their Connector.
    let mut known = Findings::new();
    let stream = source.stream(&flow.stream, &mut known);
    let operation = destination.operation(&flow.write.operation, &mut known);
    if let Some(operation) = &operation {
        check_fields(&at("map"), operation, &map, findings);
    }
    Some(Flow {
        name: flow.name.clone(),
        triggers,
        start_from: start_from?,
        stream: stream?,
        when,
        on_when_false: OnWhenFalse::Ignore,
        map,
        lookups: Vec::new(),
        depends_on: None,
        operation: operation?,
        delete_operation: None,
        batch_size: 1,
        on_unknown_outcome: match flow.on_unknown_outcome.unwrap_or_default() {
            SpecOnUnknownOutcome::Hold => OnUnknownOutcome::Hold,
            SpecOnUnknownOutcome::Resend => OnUnknownOutcome::Resend,
        },
    })
}

fn trigger(path: &str, trigger: &SpecTrigger, findings: &mut Findings) -> Option<Trigger> {
    match (trigger.every_seconds, &trigger.cron) {
        (Some(seconds), None) => Some(Trigger::EverySeconds(seconds)),
        (None, Some(expression)) => match schedule::check_cron(expression) {
            Ok(()) => Some(Trigger::Cron(expression.clone())),
            Err(error) => {
                findings.invalid(format!("{path}.cron"), error.to_string());
                None
            }
        },
        (Some(_), Some(_)) | (None, None) => {
            findings.invalid(path, "set exactly one of everySeconds and cron");
            None
        }
    }
}

fn start_from(path: &str, text: Option<&str>, findings: &mut Findings) -> Option<StartFrom> {
    match text {
        None | Some("Now") => Some(StartFrom::Now),
        Some("Beginning") => Some(StartFrom::Beginning),
        Some(time) => match time.parse() {
            Ok(time) => Some(StartFrom::Time(time)),
            Err(_) => {
                findings.invalid(
                    path,
                    format!("`{time}` is no time: write Now, Beginning, or a time such as 2026-07-01T00:00:00Z"),
                );
                None
            }
        },
    }
}

/// Every `{body.FIELD}` of the operation must be something the map writes, or no record could ever be sent.
fn check_fields(
    path: &str,
    operation: &Operation,
    map: &std::collections::BTreeMap<String, String>,
    findings: &mut Findings,
) {
    let lookup = operation.outcome.lookup.as_ref();
    let mut needed: Vec<&str> =
        operation.path.names().chain(operation.query.values().flat_map(Template::names)).collect();
    if let Some(lookup) = lookup {
        needed.extend(lookup.path.names().chain(lookup.query.values().flat_map(Template::names)));
    }
    let mut fields: Vec<&str> = needed.into_iter().filter_map(|name| name.strip_prefix("body.")).collect();
    fields.extend(lookup.map(|lookup| lookup.key_field.as_str()));
    fields.sort_unstable();
    fields.dedup();
    for field in fields {
        let written = map.keys().any(|name| {
            name == field || field.starts_with(&format!("{name}.")) || name.starts_with(&format!("{field}."))
        });
        if !written {
            findings.invalid(
                path,
                format!(
                    "operation {} needs the field `{field}`: map it, for example from the record's id",
                    operation.name
                ),
            );
        }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
