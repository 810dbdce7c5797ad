//! Flows that carry the same records to and fro: whether the two are a pair, and whether each can tell its records' twins and write to them alone.

use crosstie_crds::integration::{Flow as SpecFlow, Pair as SpecPair, WriteMode};

use super::{
    Findings,
    connector::Resolved,
    flow::{direction, listed, note},
    write::needed,
};
use crate::{
    mapping::Expression,
    pair::meet,
    plan::{Direction, IDENTIFIER, Operation, Pair, Stream},
};

/// What a flow of a pair is checked against.
pub(super) struct Ends<'a> {
    /// All flows of the Integration.
    pub(super) among: &'a [SpecFlow],
    /// What it reads, if that is known.
    pub(super) stream: Option<&'a Stream>,
    /// What it calls.
    pub(super) operation: &'a Operation,
    /// Where.
    pub(super) destination: &'a Resolved,
}

/// Resolves the pair of a flow, with everything that is wrong with its part of it. `None` only together with findings.
pub(super) fn resolve(
    at: &dyn Fn(&str) -> String,
    flow: &SpecFlow,
    spec: &SpecPair,
    ends: &Ends<'_>,
    findings: &mut Findings,
) -> Option<Pair> {
    other(&at("pair.flow"), flow, spec, ends.among, findings);
    if let Some(stream) = ends.stream.filter(|stream| stream.one.is_none()) {
        let message = format!(
            "records of a pair are read one by one before they are compared, and the stream `{}` does not say how: set `one` on it",
            stream.name
        );
        findings.invalid(at("stream"), message);
    }
    writes(at, flow, ends, findings);
    let named_by =
        flow.map.keys().filter(|field| needed(&updates(ends.operation)).iter().any(|name| meet(field, name)));
    let named_by = named_by.cloned().collect();
    match Expression::compile("pair.key", &spec.key.0) {
        Ok(key) if key.xrefs().is_empty() && key.lookups().is_empty() => {
            Some(Pair { flow: spec.flow.clone(), key: spec.key.0.clone(), named_by })
        }
        Ok(_) => {
            let message = "the twin's key is made of the record alone: leave `xref` and `lookup` out of it";
            findings.invalid(at("pair.key"), message);
            None
        }
        Err(problems) => {
            note(&problems, at, findings);
            None
        }
    }
}

/// The operation as it writes to a twin that is known.
fn updates(operation: &Operation) -> Operation {
    operation.update().unwrap_or_else(|| operation.clone())
}

/// The other flow is there, goes the other way, and names this one.
fn other(path: &str, flow: &SpecFlow, spec: &SpecPair, among: &[SpecFlow], findings: &mut Findings) {
    let Some(other) = among.iter().find(|other| other.name == spec.flow && other.name != flow.name) else {
        let known = listed(among.iter().map(|flow| flow.name.as_str()).filter(|name| *name != flow.name));
        let message = format!("beside this flow the Integration has no `{}`; it has {known}", spec.flow);
        findings.invalid(path, message);
        return;
    };
    if direction(other) == direction(flow) {
        let way = match direction(flow) {
            Direction::Forward => "Forward",
            Direction::Reverse => "Reverse",
        };
        let message = format!(
            "both flows go {way}, and a pair carries records to and fro: set `direction` of one of `{}` and `{}` to the other way",
            flow.name, other.name
        );
        findings.invalid(path, message);
    }
    if other.pair.as_ref().is_none_or(|pair| pair.flow != flow.name) {
        let message = format!("the flow `{}` does not name this one: set its pair.flow to `{}`", other.name, flow.name);
        findings.invalid(path, message);
    }
}

/// A twin is written to by what its system calls it, no more than what changed, and alone.
fn writes(at: &dyn Fn(&str) -> String, flow: &SpecFlow, ends: &Ends<'_>, findings: &mut Findings) {
    let operation = ends.operation;
    let name = &operation.name;
    let names = |update: &Operation| {
        update.names().chain(update.field_names().iter().map(String::as_str)).any(|name| name == IDENTIFIER)
    };
    if !operation.update().is_some_and(|update| names(&update)) {
        let message = format!(
            "operation {name} cannot write to a record by what the system calls it, which a record of a pair needs that was made there: use \
             one with find, create and update, whose update names {{identifier}}"
        );
        findings.invalid(at("write.operation"), message);
    }
    if operation.if_match.is_some() || operation.batch.is_some() && flow.write.batch_size.is_some_and(|size| size > 1) {
        let message = "records of a pair are written one by one and without ifMatch: leave batchSize out, or use another operation";
        findings.invalid(at("write"), message);
    }
    let spec = ends.destination.operations.iter().find(|spec| spec.name == *name);
    if spec.is_some_and(|spec| spec.replaces == Some(true)) {
        let message = format!(
            "operation {name} replaces records as a whole (`replaces`), and a flow with pair writes only what changed: use an operation that \
             changes parts, such as a PATCH"
        );
        findings.invalid(at("write.operation"), message);
    }
    match flow.write.mode {
        None | Some(WriteMode::Upsert) => {}
        Some(WriteMode::Create) => {
            findings.invalid(at("write.mode"), "records of a pair are written again when they change: leave mode out");
        }
        Some(WriteMode::Update | WriteMode::Mirror) => {
            let message = "what becomes of a record of a pair is decided by both ends: leave mode out, and set write.deleteOperation where \
                           deletes are to go over";
            findings.invalid(at("write.mode"), message);
        }
    }
    if flow.ownership.is_some() {
        let message = "a flow with pair writes only what its source changed: leave ownership out";
        findings.invalid(at("ownership"), message);
    }
}
