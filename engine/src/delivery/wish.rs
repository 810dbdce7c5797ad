//! What is wanted of a record at the destination, before anything is mapped: a write, nothing, or that it be gone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Rule;
use crate::{
    inlay,
    json::Json,
    plan::{Flow, Method, OnWhenFalse, Operation, names_a_record},
    template::Template,
};

/// What is wanted of a record at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That it be there as it is mapped.
    Write,
    /// That it be there as it is mapped, if it is there at all: it took part and stopped to.
    Update,
    /// Nothing: what is there stays as it is.
    Leave,
    /// That it be gone, if it is there.
    Delete,
}

impl Wish {
    /// Of a record that meets the flow's condition, or does not, and is known to be `written`, or is not.
    pub fn of_selected(flow: &Flow, selected: bool, written: bool) -> Self {
        if selected || !Rule::ConditionIsKept.holds() {
            let stays = flow.writes_once && written && Rule::WrittenOnceStays.holds();
            return if stays { Self::Leave } else { Self::Write };
        }
        match flow.on_when_false {
            OnWhenFalse::Ignore => Self::Leave,
            OnWhenFalse::Update if flow.writes_once => Self::Leave,
            OnWhenFalse::Update => Self::Update,
            OnWhenFalse::Delete => Self::of_deleted(flow),
        }
    }

    /// Of a record that its source no longer has. A flow that says nothing of deletes leaves it where it is.
    pub fn of_deleted(flow: &Flow) -> Self {
        if flow.delete_operation.is_some() { Self::Delete } else { Self::Leave }
    }
}

/// Whether the source says that it deleted a record.
pub fn is_deleted(flow: &Flow, record: &Json) -> bool {
    let mark = flow.stream.deleted.as_ref().and_then(|pointer| record.pointer(pointer));
    !matches!(mark, None | Some(Json::Null | Json::Bool(false)))
}

/// The fields of the mapped body that an operation needs, by their paths; none where it needs the whole. DELETE sends no body, and may find the
/// record by what the vendor called it; what a source still shows of a deleted record is seldom enough to map the whole.
pub fn needed_fields(operation: &Operation) -> Option<BTreeSet<String>> {
    if operation.method != Method::Delete || operation.find.is_some() || operation.job.is_some() {
        return None;
    }
    let lookup = operation.outcome.lookup.as_ref();
    let templates = lookup.map(|lookup| std::iter::once(&lookup.path).chain(lookup.query.values()));
    let names = templates.into_iter().flatten().flat_map(Template::names).map(str::to_owned);
    let within = lookup.and_then(|lookup| lookup.body.clone());
    let within = within.map(|body| inlay::names(&Value::Object(body), &names_a_record)).unwrap_or_default();
    let all = operation.names().map(str::to_owned).chain(operation.field_names()).chain(names).chain(within);
    let fields = all.filter_map(|name| name.strip_prefix("body.").map(str::to_owned));
    Some(fields.chain(lookup.map(|lookup| lookup.key_field.clone())).collect())
}

/// The part of a mapping, destination field to expression, from which some fields are made: those that are one of them, within one, or around
/// one.
pub fn part_of(map: &BTreeMap<String, String>, fields: &BTreeSet<String>) -> BTreeMap<String, String> {
    let within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    let needed = |path: &str| fields.iter().any(|field| field == path || within(field, path) || within(path, field));
    map.iter().filter(|(path, _)| needed(path)).map(|(path, expression)| (path.clone(), expression.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::LedgerEntry;

    #[test]
    fn what_was_given_up_in_doubt_counts_as_there_and_not_as_written() {
        let entry = |present, body_hash: Option<&str>| LedgerEntry {
            version: crate::version::Version::Counter(1),
            source_hash: "a".into(),
            body_hash: body_hash.map(str::to_owned),
            present,
            identifier: None,
        };
        assert!(entry(true, Some("b")).is_written());
        assert!(!entry(true, None).is_written() && !entry(false, None).is_written());
    }

    #[test]
    fn a_part_of_a_mapping_is_what_makes_the_fields_whole_or_in_parts() {
        let all = ["externalId", "entity", "item.items", "item.count", "external"];
        let map = all.map(|path| (path.to_owned(), "record.x".to_owned())).into();
        let part = |fields: &[&str]| {
            let fields = fields.iter().map(|field| (*field).to_owned()).collect();
            part_of(&map, &fields).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(part(&["externalId"]), ["externalId"]);
        assert_eq!(part(&["entity.id", "item"]), ["entity", "item.count", "item.items"]);
        assert!(part(&[]).is_empty());
    }
}
