//! How a flow writes: its operations, checked against each other and against what its mapping writes.

use std::collections::BTreeMap;

use crosstie_crds::integration::{Flow as SpecFlow, WriteMode};

use super::{
    Findings,
    connector::Resolved,
    flow::listed,
    mode,
    ownership::{self, Owner},
    request::wanted,
};
use crate::{
    plan::{IDENTIFIER, Operation},
    template::Template,
};

/// How a flow writes, resolved.
pub(super) struct Writes {
    pub(super) operation: Operation,
    pub(super) once: bool,
    pub(super) delete_operation: Option<Operation>,
    pub(super) batch_size: u32,
}

/// Resolves how a flow writes. `None` only together with findings.
pub(super) fn writes(
    at: &dyn Fn(&str) -> String,
    flow: &SpecFlow,
    destination: &Resolved,
    map: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<Writes> {
    let mut named = |field: &str, name: &str| {
        let operation = operation(&at(field), destination, name, findings);
        if let Some(operation) = &operation {
            check_fields(&at("map"), operation, map, findings);
        }
        operation
    };
    let operation = named("write.operation", &flow.write.operation);
    let delete_operation = flow.write.delete_operation.as_ref().map(|name| named("write.deleteOperation", name));
    let batch_size = flow.write.batch_size.unwrap_or(1);
    if let Some(operation) = &operation {
        check_identifiers(at, operation, delete_operation.as_ref().and_then(Option::as_ref), batch_size, findings);
    }
    if let Some(operation) = &operation {
        check_batch(&at("write.batchSize"), operation, batch_size, findings);
    }
    let delete_operation = match delete_operation {
        None => None,
        Some(operation) => Some(operation?),
    };
    let mut operation = operation?;
    let said = destination.operations.iter().find(|spec| spec.name == operation.name);
    let once = match flow.write.mode.unwrap_or_default() {
        WriteMode::Create => true,
        WriteMode::Update => {
            let creates = said.is_none_or(|spec| spec.creates != Some(false));
            mode::only_changes(at, flow, &mut operation, creates, findings);
            false
        }
        WriteMode::Upsert | WriteMode::Mirror => false,
    };
    if let Some(spec) = &flow.ownership {
        let replaces = said.is_some_and(|spec| spec.replaces == Some(true));
        operation.ownership =
            ownership::check(at, spec, &Owner { operation: &operation, once, replaces, map }, findings);
    }
    Some(Writes { operation, once, delete_operation, batch_size })
}

/// The destination's operation of a name. Problems of operations as such were found with their Connector.
fn operation(path: &str, destination: &Resolved, name: &str, findings: &mut Findings) -> Option<Operation> {
    if !destination.operations.iter().any(|operation| operation.name == name) {
        let known = listed(destination.operations.iter().map(|operation| operation.name.as_str()));
        findings.invalid(path, format!("Connector {} has no operation `{name}`; it has {known}", destination.name));
    }
    destination.operation(name, &mut Findings::new())
}

/// Every `{body.FIELD}` of the operation must be something the map writes, or no record could ever be sent.
fn check_fields(path: &str, operation: &Operation, map: &BTreeMap<String, String>, findings: &mut Findings) {
    for field in needed(operation) {
        let written = map.keys().any(|name| {
            *name == field || field.starts_with(&format!("{name}.")) || name.starts_with(&format!("{field}."))
        });
        if !written {
            let message = format!(
                "operation {} needs the field `{field}`: map it, for example from the record's id",
                operation.name
            );
            findings.invalid(path, message);
        }
    }
}

/// The fields of the mapped body that an operation cannot do without: what it writes is named or found by them.
pub(super) fn needed(operation: &Operation) -> Vec<String> {
    let lookup = operation.outcome.lookup.as_ref();
    let find = operation.find.as_ref();
    let update = operation.update();
    let mut inlaid = operation.field_names();
    inlaid.extend(update.iter().flat_map(Operation::field_names));
    if let Some(batch) = &operation.batch {
        inlaid.extend(wanted(&batch.record_fields));
    }
    let lookups = || lookup.into_iter().chain(find.map(|find| &find.lookup));
    inlaid.extend(lookups().filter_map(|lookup| lookup.body.as_ref()).flat_map(wanted));
    let mut needed: Vec<&str> = operation.names().chain(update.iter().flat_map(Operation::names)).collect();
    needed.extend(inlaid.iter().map(String::as_str));
    for lookup in lookups() {
        needed.extend(lookup.path.names().chain(lookup.query.values().flat_map(Template::names)));
    }
    let mut fields: Vec<&str> = needed.into_iter().filter_map(|name| name.strip_prefix("body.")).collect();
    fields.extend(lookups().map(|lookup| lookup.key_field.as_str()));
    let batch =
        operation.batch.as_ref().and_then(|batch| batch.results.as_ref()).and_then(|results| results.key.as_ref());
    fields.extend(batch.map(|key| key.field.as_str()));
    fields.sort_unstable();
    fields.dedup();
    fields.into_iter().map(str::to_owned).collect()
}

/// A record has an identifier only after it was written, and only if the operation that wrote it says where the response has it.
fn check_identifiers(
    at: &dyn Fn(&str) -> String,
    operation: &Operation,
    delete_operation: Option<&Operation>,
    batch_size: u32,
    findings: &mut Findings,
) {
    let wants = |operation: &Operation| {
        operation.names().any(|name| name == IDENTIFIER)
            || operation.field_names().iter().any(|name| name == IDENTIFIER)
    };
    if wants(operation) {
        let message = format!(
            "operation {} wants {{identifier}}, which no record has before it is first written: use it as write.deleteOperation, or name \
             records by a field of the body",
            operation.name
        );
        findings.invalid(at("write.operation"), message);
    }
    let Some(delete) = delete_operation.filter(|delete| wants(delete)) else { return };
    let results = operation.batch.as_ref().filter(|_| batch_size > 1).map(|batch| batch.results.as_ref());
    let place = match results {
        None if operation.identifier.is_none() => "`identifier`",
        Some(results) if results.is_none_or(|results| results.identifier.is_none()) => "`batch.results.identifier`",
        Some(_) | None => return,
    };
    let message = format!(
        "operation {} wants {{identifier}}, and operation {} does not say where its response has one: set {place} there",
        delete.name, operation.name
    );
    findings.invalid(at("write.deleteOperation"), message);
}

fn check_batch(path: &str, operation: &Operation, batch_size: u32, findings: &mut Findings) {
    match &operation.batch {
        None if batch_size > 1 => {
            let message = format!(
                "operation {} writes records one by one: leave batchSize out, or set `batch` on the operation",
                operation.name
            );
            findings.invalid(path, message);
        }
        Some(batch) if batch_size > batch.max_records => {
            let message = format!(
                "operation {} takes at most {} records a call: set batchSize to that or less",
                operation.name, batch.max_records
            );
            findings.invalid(path, message);
        }
        Some(_) | None => {}
    }
}
