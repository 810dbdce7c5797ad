//! How operations write where one request by one method is not all, checked and resolved.

use std::collections::BTreeMap;

use crosstie_crds::connector::{
    Asynchronous, BodyFormat as SpecFormat, Csrf as SpecCsrf, Find as SpecFind, Follow, Operation as SpecOperation,
    StreamMethod,
};
use serde_json::{Map, Value};

use super::{
    Findings,
    connector::{Names, Resolved},
    operation::{DEFAULT_SETTLE_SECONDS, check_size, method},
};
use crate::{
    inlay,
    plan::{BodyFormat, Csrf, Evidence, Find, Job, LookUp, Method, Place, Proof, Shape, names_a_record},
    template::Template,
};

/// How often a job is read when nothing is said, and how long it is waited for, in seconds.
const DEFAULT_EVERY_SECONDS: u32 = 2;
const DEFAULT_TIMEOUT_SECONDS: u32 = 300;

/// One request of an operation.
pub(super) struct Single {
    pub(super) method: Method,
    pub(super) path: Template,
    pub(super) query: BTreeMap<String, Template>,
    pub(super) shape: Shape,
}

impl Resolved {
    /// The request of a single write; that of a create where a record is looked for first.
    pub(super) fn single(&self, operation: &SpecOperation, findings: &mut Findings) -> Option<Single> {
        let at = |field: &str| format!("spec.operations[{}].{field}", operation.name);
        if let Some(create) = &operation.create {
            return self.follow(&at("create"), operation, create, findings);
        }
        if operation.method.is_none() {
            findings.invalid(at("method"), "say which HTTP method it is: POST, PUT, PATCH or DELETE");
        }
        if operation.path.is_none() {
            findings.invalid(at("path"), "say under which path it is called");
        }
        let path = self.bound(&at("path"), operation.path.as_ref()?, Names::BodyAndIdentifier, findings);
        let query = self.bound_map(&at("query"), &operation.query, Names::BodyAndIdentifier, findings);
        let shape = self.shape(&at("fields"), operation, &BTreeMap::new(), findings);
        let method = method(operation.method?);
        if method == Method::Delete && shape != Shape::default() {
            findings.invalid(at("method"), "DELETE is sent without a body: leave bodyFormat, wrap and fields out");
        }
        Some(Single { method, path: path?, query: query?, shape })
    }

    fn follow(&self, at: &str, operation: &SpecOperation, follow: &Follow, findings: &mut Findings) -> Option<Single> {
        let method = method(follow.method);
        if method == Method::Delete {
            findings.invalid(format!("{at}.method"), "create and update write: set POST, PUT or PATCH");
        }
        let path = self.bound(&format!("{at}.path"), &follow.path, Names::BodyAndIdentifier, findings);
        let mut query = operation.query.clone();
        query.extend(follow.query.clone());
        let query = self.bound_map(&format!("{at}.query"), &query, Names::BodyAndIdentifier, findings);
        let shape = self.shape(&format!("{at}.fields"), operation, &follow.fields, findings);
        Some(Single { method, path: path?, query: query?, shape })
    }

    fn shape(
        &self,
        at: &str,
        operation: &SpecOperation,
        more: &BTreeMap<String, Value>,
        findings: &mut Findings,
    ) -> Shape {
        let mut fields = operation.fields.clone();
        fields.extend(more.clone());
        check_size(at, &fields, findings);
        let format = match (operation.body_format.unwrap_or(SpecFormat::Json), &operation.xml_root) {
            (SpecFormat::Json, None) => BodyFormat::Json,
            (SpecFormat::Form, None) => BodyFormat::Form,
            (SpecFormat::Xml, Some(root)) => BodyFormat::Xml { root: root.clone() },
            (SpecFormat::Xml, None) | (SpecFormat::Json | SpecFormat::Form, Some(_)) => {
                let path = format!("spec.operations[{}].xmlRoot", operation.name);
                findings.invalid(path, "bodyFormat Xml and xmlRoot go together");
                BodyFormat::Json
            }
        };
        Shape { format, wrap: operation.wrap.clone().unwrap_or_default(), fields: self.members(at, &fields, findings) }
    }

    /// Constant members, with the API version in their texts.
    pub(super) fn members(
        &self,
        at: &str,
        members: &BTreeMap<String, Value>,
        findings: &mut Findings,
    ) -> Map<String, Value> {
        let members = Value::Object(members.clone().into_iter().collect());
        let version = self.system.api_version.as_ref();
        let of = |_: &str| version.map(|version| Value::from(version.as_str()));
        match inlay::fill(&members, &|name| name == "apiVersion", &of) {
            Ok(Value::Object(members)) => members,
            Ok(_) => Map::new(),
            Err(inlay::Missing(_)) => {
                let message = "the members need a version and the preset has no default: set spec.apiVersion";
                findings.invalid(at, message);
                Map::new()
            }
        }
    }

    /// How a record is looked for before it is written.
    pub(super) fn find(&self, operation: &SpecOperation, findings: &mut Findings) -> Option<Find> {
        let at = |field: &str| format!("spec.operations[{}].{field}", operation.name);
        let (find, update) = match (&operation.find, &operation.create, &operation.update) {
            (None, None, None) => return None,
            (Some(find), Some(_), Some(update)) => (find, update),
            _ => {
                findings.invalid(at("find"), "find, create and update go together: set all of them or none");
                return None;
            }
        };
        if operation.identifier.is_none() {
            let message = "say where the response to a create has what the system calls the record: without it a second write, made before \
                           the search shows the first, would create another record";
            findings.invalid(at("identifier"), message);
        }
        let lookup = self.sought(&at("find"), operation, find, findings);
        let update = self.follow(&at("update"), operation, update, findings);
        let Single { method, path, query, shape } = update?;
        Some(Find { lookup: lookup?, method, path, query, shape })
    }

    fn sought(&self, at: &str, operation: &SpecOperation, find: &SpecFind, findings: &mut Findings) -> Option<LookUp> {
        let path = self.bound(&format!("{at}.path"), &find.path, Names::BodyAndSince, findings);
        let query = self.bound_map(&format!("{at}.query"), &find.query, Names::BodyAndSince, findings);
        check_size(&format!("{at}.body"), &find.body, findings);
        let posts = find.method == Some(StreamMethod::Post);
        if !posts && !find.body.is_empty() {
            findings.invalid(format!("{at}.method"), "set POST: GET has no body");
        }
        Some(LookUp {
            path: path?,
            query: query?,
            key: find.key.clone(),
            key_field: find.key_field.clone(),
            settle_seconds: find.settle_seconds.unwrap_or(DEFAULT_SETTLE_SECONDS),
            evidence: Evidence {
                more: find.more.clone(),
                record: find.compare.clone().or_else(|| operation.wrap.clone()),
                identifier: Some(find.identifier.clone()),
                // Being there says nothing: the write may have been an update.
                proof: Some(Proof::Fields),
            },
            body: posts.then(|| self.members(&format!("{at}.body"), &find.body, findings)),
            place: Some(find.record.clone().unwrap_or_default()),
        })
    }

    /// Checks that an operation which does more than one request for a record does not write batches as well. Looking for it first is another
    /// matter: a batch that creates or updates by a key of the record's needs no look, and what came of it can be looked up.
    pub(super) fn check_alone(operation: &SpecOperation, findings: &mut Findings) {
        let at = |field: &str| format!("spec.operations[{}].{field}", operation.name);
        let reads = operation.outcome.as_ref().and_then(|outcome| outcome.lookup.as_ref());
        if operation.if_match.is_some() {
            // A search that lags behind would show an old state, or none, and a record would be made twice.
            let by_key = match (&operation.find, reads) {
                (Some(find), _) => find.path.contains(&format!("{{body.{}}}", find.key_field)),
                (None, Some(lookup)) => lookup.path.contains(&format!("{{body.{}}}", lookup.key_field)),
                (None, None) => false,
            };
            if !by_key {
                let message = "set find, or a look-up under outcome, whose path reads the record by its keyField: what is there has to be \
                               looked at right before it is written over";
                findings.invalid(at("ifMatch"), message);
            }
        }
        if operation.batch.is_none() {
            return;
        }
        for (field, set) in [
            ("ifMatch", operation.if_match.is_some()),
            ("async", operation.asynchronous.is_some()),
            ("bodyFormat", !matches!(operation.body_format, None | Some(SpecFormat::Json))),
        ] {
            if set {
                findings.invalid(at(field), "a batch has no such thing: make an operation of its own for batches");
            }
        }
    }

    /// The token that every write has to carry.
    pub(super) fn csrf(&self, csrf: &SpecCsrf, findings: &mut Findings) -> Option<Csrf> {
        let path = self.bound("spec.csrf.path", &csrf.path, Names::Version, findings)?;
        Some(Csrf {
            path: path.to_string(),
            header: csrf.header.clone().unwrap_or_else(|| "X-CSRF-Token".into()),
            fetch_value: csrf.fetch_value.clone().unwrap_or_else(|| "Fetch".into()),
        })
    }
}

/// How an answer with status 202 is followed.
pub(super) fn job(at: &str, spec: &Asynchronous, findings: &mut Findings) -> Option<Job> {
    let location = match (&spec.location.header, &spec.location.pointer) {
        (Some(header), None) => Place::Header(header.clone()),
        (None, Some(pointer)) => Place::Pointer(pointer.clone()),
        (Some(_), Some(_)) | (None, None) => {
            findings.invalid(format!("{at}.location"), "set exactly one of header and pointer");
            return None;
        }
    };
    if let Some(word) = spec.done_values.iter().find(|word| spec.failed_values.contains(word)) {
        findings.invalid(format!("{at}.failedValues"), format!("`{word}` stands in doneValues as well"));
    }
    Some(Job {
        location,
        done: spec.done.clone(),
        done_values: spec.done_values.clone(),
        failed_values: spec.failed_values.clone(),
        identifier: spec.identifier.clone(),
        every_seconds: spec.every_seconds.unwrap_or(DEFAULT_EVERY_SECONDS),
        timeout_seconds: spec.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
    })
}

/// The names that constant members and a search's body want filled.
pub(super) fn wanted(members: &Map<String, Value>) -> Vec<String> {
    inlay::names(&Value::Object(members.clone()), &names_a_record)
}
