//! Operations of a Connector, checked and resolved.

use std::collections::BTreeMap;

use crosstie_crds::connector::{
    Batch as SpecBatch, Identifier as SpecIdentifier, LookUp as SpecLookUp, LookUpProof, OperationMethod,
    Outcome as SpecOutcome,
};
use serde_json::Value;

use super::{
    Findings,
    connector::{Names, Resolved},
};
use crate::plan::{Batch, BatchResults, Evidence, Idempotency, Identifier, LookUp, Method, Operation, Outcome, Proof};

/// How long look-ups wait when nothing is said, in seconds.
const DEFAULT_SETTLE_SECONDS: u32 = 5;
/// Most that the constant members of a batch's request may take, in bytes of JSON.
const LARGEST_FIELDS_BYTES: usize = 4096;

impl Resolved {
    /// The operation of a name, resolved. `None` together with findings, or when there is none of that name.
    pub(crate) fn operation(&self, name: &str, findings: &mut Findings) -> Option<Operation> {
        let operation = self.operations.iter().find(|operation| operation.name == name)?;
        let at = |field: &str| format!("spec.operations[{name}].{field}");
        if operation.method.is_none() {
            findings.invalid(at("method"), "say which HTTP method it is: POST, PUT, PATCH or DELETE");
        }
        if operation.path.is_none() {
            findings.invalid(at("path"), "say under which path it is called");
        }
        if operation.outcome.is_none() {
            let message = "say how the outcome of a call that broke off is known: idempotencyHeader, lookup, both, or {} for neither";
            findings.invalid(at("outcome"), message);
        }
        let path = self.bound(&at("path"), operation.path.as_ref()?, Names::BodyAndIdentifier, findings);
        let query = self.bound_map(&at("query"), &operation.query, Names::BodyAndIdentifier, findings);
        let headers = self.bound_texts(&at("headers"), &operation.headers, findings);
        let outcome = self.outcome(&at("outcome"), operation.outcome.as_ref()?, findings);
        let method = method(operation.method?);
        let batch = match &operation.batch {
            None => None,
            Some(batch) => Some(self.batch(&at("batch"), batch, method, findings)?),
        };
        Some(Operation {
            name: name.to_owned(),
            method,
            path: path?,
            query: query?,
            headers: headers?,
            omit: operation.omit.clone(),
            identifier: operation.identifier.as_ref().and_then(identifier),
            outcome: outcome?,
            batch,
        })
    }

    fn outcome(&self, path: &str, outcome: &SpecOutcome, findings: &mut Findings) -> Option<Outcome> {
        let idempotency = outcome
            .idempotency_header
            .as_ref()
            .map(|header| Idempotency { header: header.name.clone(), window_seconds: header.window_seconds });
        let lookup = match &outcome.lookup {
            None => None,
            Some(lookup) => Some(self.look_up(&format!("{path}.lookup"), lookup, findings)?),
        };
        Some(Outcome { idempotency, lookup })
    }

    fn look_up(&self, at: &str, lookup: &SpecLookUp, findings: &mut Findings) -> Option<LookUp> {
        let path = self.bound(&format!("{at}.path"), &lookup.path, Names::BodyAndSince, findings);
        let query = self.bound_map(&format!("{at}.query"), &lookup.query, Names::BodyAndSince, findings);
        let proof = lookup.proof.map(|proof| match proof {
            LookUpProof::Presence => Proof::Presence,
            LookUpProof::Fields => Proof::Fields,
        });
        let (more, record, identifier) = (lookup.more.clone(), lookup.record.clone(), lookup.identifier.clone());
        Some(LookUp {
            path: path?,
            query: query?,
            key: lookup.key.clone(),
            key_field: lookup.key_field.clone(),
            settle_seconds: lookup.settle_seconds.unwrap_or(DEFAULT_SETTLE_SECONDS),
            evidence: Evidence { more, record, identifier, proof },
        })
    }

    fn batch(&self, at: &str, batch: &SpecBatch, single: Method, findings: &mut Findings) -> Option<Batch> {
        let method = batch.method.map_or(single, method);
        if method == Method::Delete {
            let message = "set POST, PUT or PATCH: the records are the request's body, which DELETE has none of";
            findings.invalid(format!("{at}.method"), message);
        }
        let path = self.bound(&format!("{at}.path"), &batch.path, Names::Version, findings);
        let query = self.bound_texts(&format!("{at}.query"), &batch.query, findings);
        let records = batch.records.clone().unwrap_or_default();
        check_members(at, &records, &batch.fields, findings);
        check_size(&format!("{at}.recordFields"), &batch.record_fields, findings);
        Some(Batch {
            max_records: batch.max_records,
            method,
            path: path?.to_string(),
            query: query?,
            records,
            fields: batch.fields.clone(),
            record_fields: batch.record_fields.clone(),
            results: batch.results.as_ref().map(|results| BatchResults {
                records: results.records.clone().unwrap_or_default(),
                succeeded: results.succeeded.clone(),
                identifier: results.identifier.clone(),
                error: results.error.clone(),
            }),
        })
    }
}

/// The request is one object: its constant members must leave room for the list.
fn check_members(at: &str, records: &str, fields: &BTreeMap<String, Value>, findings: &mut Findings) {
    let path = format!("{at}.fields");
    let top = records.split('/').nth(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
    match top {
        None if !fields.is_empty() => {
            findings.invalid(
                path,
                "a request that is the list itself has no members: set batch.records, or leave fields out",
            );
        }
        Some(name) if fields.contains_key(&name) => {
            findings.invalid(path, format!("`{name}` is where the records go: leave it out of fields"));
        }
        Some(_) | None => check_size(&path, fields, findings),
    }
}

fn check_size(path: &str, fields: &BTreeMap<String, Value>, findings: &mut Findings) {
    let size = serde_json::to_string(fields).map_or(0, |text| text.len());
    if size > LARGEST_FIELDS_BYTES {
        let message =
            format!("the members have {size} characters of JSON, at most {LARGEST_FIELDS_BYTES} fit: leave some out");
        findings.invalid(path, message);
    }
}

fn method(method: OperationMethod) -> Method {
    match method {
        OperationMethod::Post => Method::Post,
        OperationMethod::Put => Method::Put,
        OperationMethod::Patch => Method::Patch,
        OperationMethod::Delete => Method::Delete,
    }
}

fn identifier(identifier: &SpecIdentifier) -> Option<Identifier> {
    let pointer = identifier.pointer.clone().map(Identifier::Pointer);
    pointer.or_else(|| identifier.header.clone().map(Identifier::Header))
}
