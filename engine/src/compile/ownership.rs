//! Fields that the destination has a say in, checked against what the mapping writes and what the operation can keep apart.

use std::collections::BTreeMap;

use crosstie_crds::integration::Ownership as SpecOwnership;

use super::{Findings, write::needed};
use crate::{
    delivery::only_creates,
    mapping::FieldPath,
    plan::{LookUp, Operation, Ownership, SINCE, SINCE_EPOCH},
    template::Template,
};

/// What ownership is checked against.
pub(super) struct Owner<'a> {
    /// The operation that writes.
    pub(super) operation: &'a Operation,
    /// Whether it writes each record once.
    pub(super) once: bool,
    /// Whether it removes what it is not sent.
    pub(super) replaces: bool,
    /// What is mapped.
    pub(super) map: &'a BTreeMap<String, String>,
}

/// Resolves who owns which fields, with everything that is wrong with it.
pub(super) fn check(
    at: &dyn Fn(&str) -> String,
    spec: &SpecOwnership,
    owner: &Owner<'_>,
    findings: &mut Findings,
) -> Ownership {
    let lists = [("destinationOwned", &spec.destination_owned), ("createOnly", &spec.create_only)];
    let mut owned: Vec<FieldPath> = Vec::new();
    for (list, paths) in lists {
        for path in paths {
            owned.extend(field(&at(&format!("ownership.{list}")), path, (owner, &owned), findings));
        }
    }
    let name = &owner.operation.name;
    if owner.replaces && !owner.once {
        let message = format!(
            "operation {name} replaces records as a whole (`replaces`), so that leaving a field out removes it: use an operation that \
             changes parts, such as a PATCH"
        );
        findings.invalid(at("ownership"), message);
    }
    if !spec.destination_owned.is_empty() && !tells(owner) {
        let message = format!(
            "operation {name} cannot tell whether the destination has a record already: set `find` on it, or a lookup without \
             {{since}} under its outcome; or name the fields in createOnly, which are sent once whatever is there"
        );
        findings.invalid(at("ownership.destinationOwned"), message);
    }
    let left = |path: &String| FieldPath::of(path).is_none_or(|path| !owned.iter().any(|owned| owned.covers(&path)));
    if !owner.once && !owner.map.keys().any(left) {
        let message = "nothing is left to write once a record is there: leave a field out of ownership, or set write.mode to Create";
        findings.invalid(at("ownership"), message);
    }
    Ownership { destination_owned: spec.destination_owned.clone(), create_only: spec.create_only.clone() }
}

/// Whether it can be told before a write whether the destination has the record.
fn tells(Owner { operation, once, .. }: &Owner<'_>) -> bool {
    operation.looks() || operation.outcome.lookup.as_ref().is_some_and(shows_all) || (*once && only_creates(operation))
}

/// Whether a look-up shows what is there from whenever; one that reaches back to when a write was decided does not.
pub(super) fn shows_all(lookup: &LookUp) -> bool {
    let templates = std::iter::once(&lookup.path).chain(lookup.query.values());
    !templates.flat_map(Template::names).any(|name| [SINCE, SINCE_EPOCH].contains(&name))
}

/// One path, if it is one that can be kept apart.
fn field(
    at: &str,
    path: &str,
    (owner, before): (&Owner<'_>, &[FieldPath]),
    findings: &mut Findings,
) -> Option<FieldPath> {
    let parsed = match FieldPath::named(at, path) {
        Ok(parsed) => parsed,
        Err(problem) => {
            findings.invalid(at, format!("`{path}`: {}; {}", problem.problem, problem.remedy));
            return None;
        }
    };
    let meets = |other: &str| FieldPath::of(other).is_some_and(|other| other.conflicts_with(&parsed));
    if !owner.map.keys().any(|mapped| meets(mapped)) {
        findings.invalid(at, format!("the map writes no field `{path}`: map it, or take it out of here"));
    } else if let Some(other) = before.iter().find(|other| other.conflicts_with(&parsed)) {
        let message =
            format!("`{path}` and `{other}` are one field, or one is inside the other: name one of them, once");
        findings.invalid(at, message);
    } else if let Some(needed) = needed(owner.operation).iter().find(|needed| meets(needed)) {
        let message = format!(
            "operation {} needs the field `{needed}` in every write: take `{path}` out of here",
            owner.operation.name
        );
        findings.invalid(at, message);
    }
    Some(parsed)
}
