//! What a flow's write mode asks of its operations and of its stream.

use std::collections::{BTreeMap, BTreeSet};

use crosstie_crds::integration::{Flow as SpecFlow, OnWhenFalse as SpecOnWhenFalse, WriteMode};

use super::{Findings, ownership::shows_all, receiver::overlap};
use crate::{
    delivery::{needed_fields, only_creates, part_of},
    mapping::{Mapping, MappingSource},
    plan::{Brings, EventRoute, KnownBy, Operation, Pagination, Proof, Stream},
};

/// Makes an operation write only records that are there, by whatever tells which are. `creates` is whether it makes those that are not.
pub(super) fn only_changes(
    at: &dyn Fn(&str) -> String,
    flow: &SpecFlow,
    operation: &mut Operation,
    creates: bool,
    findings: &mut Findings,
) {
    if flow.ownership.is_some() {
        let message = "mode Update makes no record, so that what only the write carries which makes one is never sent: leave ownership out, and \
                       take those fields out of map";
        findings.invalid(at("ownership"), message);
    }
    let batched = flow.write.batch_size.is_some_and(|size| size > 1);
    let can_look = operation.outcome.lookup.as_ref().is_some_and(shows_all);
    operation.only_there = if creates && !operation.looks() && only_creates(operation) {
        let message = format!(
            "operation {} makes a record with each call, and mode Update only changes those that are there: use one that changes a record by \
             its key, or set `creates: false` on it if it makes none",
            operation.name
        );
        findings.invalid(at("write.mode"), message);
        None
    } else if operation.looks() && !batched {
        Some(KnownBy::Itself)
    } else if !creates && !batched {
        Some(KnownBy::Answer)
    } else if can_look {
        Some(KnownBy::LookUp)
    } else {
        let or = if creates { ", or `creates: false` if it makes none and answers 404 or 410" } else { "" };
        let alone = if batched { "; or leave batchSize out" } else { "" };
        let message = format!(
            "operation {} cannot tell whether the destination has a record, and mode Update makes none: set `find` on it, or a lookup without \
             {{since}} under its outcome{or}{}",
            operation.name,
            if creates { "" } else { alone }
        );
        findings.invalid(at("write.mode"), message);
        None
    };
    // It was there before, which says nothing of the write.
    if let Some(lookup) = &mut operation.outcome.lookup {
        lookup.evidence.proof = Some(Proof::Fields);
    }
    // What is in doubt is looked up and decided anew: a key would have it sent by a look that is old.
    if operation.is_looked_up_first() {
        operation.outcome.idempotency = None;
    }
}

/// What becomes of records that stop to take part: what the flow says, or what its mode means.
pub(super) fn on_when_false(at: &dyn Fn(&str) -> String, flow: &SpecFlow, findings: &mut Findings) -> SpecOnWhenFalse {
    match (flow.write.mode, flow.on_when_false) {
        (Some(WriteMode::Mirror), None) if flow.when.is_some() => SpecOnWhenFalse::Delete,
        (Some(WriteMode::Mirror), Some(SpecOnWhenFalse::Ignore | SpecOnWhenFalse::Update)) => {
            let message = "mode Mirror keeps no record that stops to take part: leave onWhenFalse out, set it to Delete, or set write.mode to Upsert";
            findings.invalid(at("onWhenFalse"), message);
            SpecOnWhenFalse::Delete
        }
        (_, said) => said.unwrap_or_default(),
    }
}

/// Whether a flow that mirrors its source deletes what its list does not hold any more; with everything that keeps it from deleting, or from
/// being told what to. `is_told` is whether its source says what it deleted.
pub(super) fn deletes_unlisted(
    at: &dyn Fn(&str) -> String,
    flow: &SpecFlow,
    (stream, is_told): (&Stream, bool),
    (delete, map): (Option<&Operation>, &BTreeMap<String, String>),
    findings: &mut Findings,
) -> bool {
    if flow.write.mode != Some(WriteMode::Mirror) {
        return false;
    }
    if flow.write.delete_operation.is_none() {
        let message = "mode Mirror deletes what the source no longer has: set it, or set mode to Upsert";
        findings.invalid(at("write.deleteOperation"), message);
    }
    let whole =
        stream.leading().cursor.is_none() && !matches!(stream.leading().pagination, Pagination::DeltaLink { .. });
    let strangers = delete.map(|delete| not_by_key(delete, map, &stream.key)).unwrap_or_default();
    if whole && stream.one.is_some() && strangers.is_empty() {
        return true;
    }
    if is_told || !whole && flow.when.is_some() {
        return false;
    }
    let name = &stream.name;
    let or = "take a webhook that tells of deletions, or set mode to Upsert";
    let message = match (whole, strangers.first()) {
        (true, Some(field)) if stream.one.is_some() => format!(
            "of a record that the stream `{name}` no longer lists only its key is known, and the field `{field}`, by which it is deleted, is made \
             of more: make it of {} alone, delete by {{identifier}}, or set mode to Upsert",
            stream.key
        ),
        (true, _) => format!(
            "the stream `{name}` does not say what was deleted, and what it does not list any more cannot be asked for: set `one` or `deleted` on \
             the stream, {or}"
        ),
        (false, _) => format!(
            "the stream `{name}` does not say what was deleted, so that mode Mirror would keep it for ever: set `deleted` on the stream, {or}"
        ),
    };
    findings.invalid(at("write.mode"), message);
    false
}

/// The fields that a delete needs and that are made of more than the record's key.
fn not_by_key(delete: &Operation, map: &BTreeMap<String, String>, key: &str) -> Vec<String> {
    let part = needed_fields(delete).map_or_else(|| map.clone(), |fields| part_of(map, &fields));
    // What does not compile is found with the whole map.
    let reads = Mapping::compile(&MappingSource { when: None, map: &part }).map(|mapping| mapping.reads_by_field());
    let by_key = |reads: &BTreeSet<String>| reads.iter().all(|pointer| pointer == key);
    reads.unwrap_or_default().into_iter().filter(|(_, reads)| !by_key(reads)).map(|(field, _)| field).collect()
}

/// Whether some of the events that a flow takes tell of deletions.
pub(super) fn tell_of_deletions(events: &[EventRoute]) -> bool {
    let is_wanted =
        |route: &EventRoute| route.topics.iter().any(|known| route.wanted.iter().any(|wanted| overlap(known, wanted)));
    events.iter().any(|route| matches!(route.brings, Brings::Deleted { .. }) && is_wanted(route))
}
