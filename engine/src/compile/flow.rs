//! One flow of an Integration, checked and resolved against its two Connectors.

use crosstie_crds::integration::{
    DependsOn as SpecDependsOn, Direction as SpecDirection, Flow as SpecFlow, OnUnknownOutcome as SpecOnUnknownOutcome,
    OnWhenFalse as SpecOnWhenFalse, Trigger as SpecTrigger, WriteMode,
};

use super::{
    Findings,
    connector::Resolved,
    dependencies, mode, pair, receiver,
    write::{Writes, writes},
};
use crate::{
    mapping::{Expression, Mapping, MappingProblem, MappingSource},
    plan::{DependsOn, Direction, Flow, OnUnknownOutcome, OnWhenFalse, StartFrom, Stream, Trigger},
    schedule,
};

/// How often a flow reads that takes webhooks and has no other trigger.
const SWEEP_SECONDS: u32 = 3600;

/// Which way a flow's records go.
pub(super) fn direction(flow: &SpecFlow) -> Direction {
    match flow.direction.unwrap_or_default() {
        SpecDirection::Forward => Direction::Forward,
        SpecDirection::Reverse => Direction::Reverse,
    }
}

/// Resolves a flow, by the two ends of its Integration. `None` only together with findings.
pub(crate) fn resolve(
    flow: &SpecFlow,
    among: &[SpecFlow],
    source: &Resolved,
    destination: &Resolved,
    findings: &mut Findings,
) -> Option<Flow> {
    let at = |field: &str| format!("spec.flows[{}].{field}", flow.name);
    let (source, destination) = match direction(flow) {
        Direction::Forward => (source, destination),
        Direction::Reverse => (destination, source),
    };
    let triggers = triggers(&at, flow, findings);
    let start_from = start_from(&at("startFrom"), flow.start_from.as_deref(), findings);
    let mut stream = stream(&at("stream"), source, &flow.stream, findings);
    if let (Some(stream), Some(start)) = (&stream, start_from) {
        begins(&at("startFrom"), stream, (start, flow.start_from.is_some()), findings);
    }
    let marks = stream.as_ref().is_some_and(|stream| stream.deleted.is_some());
    let events = receiver::events(&at, flow, source, stream.as_mut(), findings);
    let is_told = marks || mode::tell_of_deletions(&events);
    let map = flow.map.iter().map(|(field, expression)| (field.clone(), expression.0.clone())).collect();
    let when = flow.when.as_ref().map(|expression| expression.0.clone());
    let lookups = match Mapping::compile(&MappingSource { when: when.as_deref(), map: &map }) {
        Ok(mapping) => {
            dependencies::references(&at("map"), &mapping.xrefs(), among, findings);
            lookups(&at("map"), &mapping, source, findings)
        }
        Err(problems) => {
            note(&problems, &at, findings);
            Vec::new()
        }
    };
    let depends_on = flow.depends_on.as_ref().and_then(|depends_on| parent(&at, depends_on, findings));
    let Writes { operation, once, delete_operation, batch_size } = writes(&at, flow, destination, &map, findings)?;
    let deletes_unlisted = stream.as_ref().is_some_and(|stream| {
        mode::deletes_unlisted(&at, flow, (stream, is_told), (delete_operation.as_ref(), &map), findings)
    });
    let pair = flow.pair.as_ref().and_then(|spec| {
        let ends = pair::Ends { among, stream: stream.as_ref(), operation: &operation, destination };
        pair::resolve(&at, flow, spec, &ends, findings)
    });
    Some(Flow {
        name: flow.name.clone(),
        direction: direction(flow),
        pair,
        triggers,
        events,
        start_from: start_from?,
        stream: stream?,
        on_when_false: on_when_false(&at, flow, findings),
        when,
        map,
        lookups,
        depends_on,
        operation,
        writes_once: once,
        delete_operation,
        deletes_unlisted,
        batch_size,
        on_unknown_outcome: match flow.on_unknown_outcome.unwrap_or_default() {
            SpecOnUnknownOutcome::Hold => OnUnknownOutcome::Hold,
            SpecOnUnknownOutcome::Resend => OnUnknownOutcome::Resend,
        },
    })
}

/// The source's stream of a name. Problems of streams as such were found with their Connector.
fn stream(path: &str, source: &Resolved, name: &str, findings: &mut Findings) -> Option<Stream> {
    if !source.streams.iter().any(|stream| stream.name == name) {
        let known = listed(source.streams.iter().map(|stream| stream.name.as_str()));
        findings.invalid(path, format!("Connector {} has no stream `{name}`; it has {known}", source.name));
    }
    source.stream(name, &mut Findings::new())
}

/// Notes what keeps expressions from compiling.
pub(super) fn note(problems: &[MappingProblem], at: &dyn Fn(&str) -> String, findings: &mut Findings) {
    for problem in problems {
        let place = problem.position.map(|position| format!(" ({position})")).unwrap_or_default();
        findings.invalid(at(&problem.field), format!("{}{place}; {}", problem.problem, problem.remedy));
    }
}

/// The streams a mapping looks records up in, each of which must be readable one by one.
fn lookups(path: &str, mapping: &Mapping, source: &Resolved, findings: &mut Findings) -> Vec<Stream> {
    let mut streams = Vec::new();
    for name in mapping.lookups() {
        let Some(stream) = stream(path, source, &name, findings) else { continue };
        if stream.one.is_none() {
            let message = format!(
                "`lookup` reads single records of `{name}`, and Connector {} does not say how: set `one` on that stream",
                source.name
            );
            findings.invalid(path, message);
        }
        streams.push(stream);
    }
    streams
}

fn parent(at: &dyn Fn(&str) -> String, depends_on: &SpecDependsOn, findings: &mut Findings) -> Option<DependsOn> {
    match Expression::compile("dependsOn.key", &depends_on.key.0) {
        Ok(key) if key.xrefs().is_empty() && key.lookups().is_empty() => {
            Some(DependsOn { flow: depends_on.flow.clone(), key: depends_on.key.0.clone() })
        }
        Ok(_) => {
            let message = "the parent's key is made of the record alone: leave `xref` and `lookup` out of it";
            findings.invalid(at("dependsOn.key"), message);
            None
        }
        Err(problems) => {
            note(&problems, at, findings);
            None
        }
    }
}

fn on_when_false(at: &dyn Fn(&str) -> String, flow: &SpecFlow, findings: &mut Findings) -> OnWhenFalse {
    let chosen = mode::on_when_false(at, flow, findings);
    if flow.on_when_false.is_some() && flow.when.is_none() {
        let message = "set when as well: onWhenFalse says what becomes of the records that it leaves out";
        findings.invalid(at("onWhenFalse"), message);
    }
    match chosen {
        SpecOnWhenFalse::Ignore => OnWhenFalse::Ignore,
        SpecOnWhenFalse::Update => OnWhenFalse::Update,
        SpecOnWhenFalse::Delete => {
            if flow.write.delete_operation.is_none() && flow.write.mode != Some(WriteMode::Mirror) {
                findings
                    .invalid(at("onWhenFalse"), "set write.deleteOperation: Delete needs an operation to delete with");
            }
            OnWhenFalse::Delete
        }
    }
}

/// The times to read at; at least one.
fn triggers(at: &dyn Fn(&str) -> String, flow: &SpecFlow, findings: &mut Findings) -> Vec<Trigger> {
    let specs = flow.triggers.iter().enumerate();
    let times = specs.filter_map(|(index, spec)| trigger(&at(&format!("triggers[{index}]")), spec, findings));
    let mut triggers: Vec<Trigger> = times.collect();
    if triggers.is_empty() {
        // What a vendor never sends is found by reading.
        triggers.push(Trigger::EverySeconds(SWEEP_SECONDS));
    }
    triggers
}

/// A time to read at. None for webhooks, which come by themselves, or together with findings.
fn trigger(path: &str, trigger: &SpecTrigger, findings: &mut Findings) -> Option<Trigger> {
    match (trigger.every_seconds, &trigger.cron, &trigger.webhook) {
        (Some(seconds), None, None) => Some(Trigger::EverySeconds(seconds)),
        (None, Some(expression), None) => match schedule::check_cron(expression) {
            Ok(()) => Some(Trigger::Cron(expression.clone())),
            Err(error) => {
                findings.invalid(format!("{path}.cron"), error.to_string());
                None
            }
        },
        (None, None, Some(_)) => None,
        (_, _, _) => {
            findings.invalid(path, "set exactly one of everySeconds, cron and webhook");
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

/// Where a flow begins has to be something that its stream can be asked for, where it `says` so itself.
fn begins(path: &str, stream: &Stream, (start, says): (StartFrom, bool), findings: &mut Findings) {
    let Some(cursor) = &stream.leading().cursor else {
        if says && start != StartFrom::Beginning {
            let message = format!(
                "set it to Beginning: the stream `{}` has no cursor, so that each read lists every record, and none can be left out for having \
                 changed before; `when` can leave them out by a field that they have",
                stream.name
            );
            findings.invalid(path, message);
        }
        return;
    };
    match start {
        StartFrom::Now | StartFrom::Time(_) if cursor.counts() => {
            let message = format!(
                "set it to Beginning: the stream `{}` counts its changes, and which number belongs to a time, or to now, cannot be told",
                stream.name
            );
            findings.invalid(path, message);
        }
        StartFrom::Beginning if cursor.window_seconds.is_some() => {
            let message = format!(
                "set it to Now or to a time, such as 2020-01-01T00:00:00Z: the stream `{}` is read in windows of windowSeconds, the first of \
                 which has to begin somewhere",
                stream.name
            );
            findings.invalid(path, message);
        }
        StartFrom::Now | StartFrom::Beginning | StartFrom::Time(_) => {}
    }
}

pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
