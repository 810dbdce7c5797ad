//! Operations of a Connector, checked and resolved.

use std::collections::BTreeMap;

use crosstie_crds::connector::{
    Batch as SpecBatch, BatchResults as SpecResults, Identifier as SpecIdentifier, LookUp as SpecLookUp, LookUpProof,
    OperationMethod, Outcome as SpecOutcome,
};
use serde_json::Value;

use super::{
    Findings,
    connector::{Names, Resolved},
    request::{self, Single},
};
use crate::plan::{
    Batch, BatchResults, ErrorRule, Evidence, FailedRows, Idempotency, Identifier, IfMatch, LookUp, Meaning, Method,
    Operation, Outcome, Ownership, Proof, ResultKey,
};

/// How long look-ups wait when nothing is said, in seconds.
pub(super) const DEFAULT_SETTLE_SECONDS: u32 = 5;
/// Most that the constant members of a batch's request may take, in bytes of JSON.
const LARGEST_FIELDS_BYTES: usize = 4096;

impl Resolved {
    /// The operation of a name, resolved. `None` together with findings, or when there is none of that name.
    pub(crate) fn operation(&self, name: &str, findings: &mut Findings) -> Option<Operation> {
        let operation = self.operations.iter().find(|operation| operation.name == name)?;
        let at = |field: &str| format!("spec.operations[{name}].{field}");
        let single = self.single(operation, findings);
        let find = self.find(operation, findings);
        Self::check_alone(operation, findings);
        if operation.outcome.is_none() && operation.find.is_none() {
            let message = "say how the outcome of a call that broke off is known: idempotencyHeader, lookup, both, or {} for neither";
            findings.invalid(at("outcome"), message);
        }
        let headers = self.bound_texts(&at("headers"), &operation.headers, findings);
        let said = operation.outcome.clone().or_else(|| find.is_some().then(SpecOutcome::default));
        let mut outcome = self.outcome(&at("outcome"), &said?, findings)?;
        let own = outcome.lookup.as_ref().map(|lookup| (at("outcome.lookup"), lookup));
        for (at, lookup) in own.into_iter().chain(find.as_ref().map(|find| (at("find"), &find.lookup))) {
            self.check_absence(&at, name, lookup, findings);
        }
        if let (None, Some(find)) = (&outcome.lookup, &find) {
            outcome.lookup = Some(find.lookup.clone());
        }
        let asynchronous = operation.asynchronous.as_ref();
        let job = asynchronous.map(|spec| request::job(&at("async"), spec, findings));
        let Single { method, path, query, shape } = single?;
        let batch = match &operation.batch {
            None => None,
            Some(batch) => Some(self.batch(&at("batch"), batch, method, findings)?),
        };
        Some(Operation {
            name: name.to_owned(),
            method,
            path,
            query,
            headers: headers?,
            omit: operation.omit.clone(),
            // A flow says which.
            ownership: Ownership::default(),
            only_there: None,
            shape,
            find,
            if_match: operation.if_match.as_ref().map(|spec| IfMatch { pointer: spec.pointer.clone() }),
            job: match job {
                None => None,
                Some(job) => Some(job?),
            },
            identifier: operation.identifier.as_ref().and_then(identifier),
            outcome,
            batch,
        })
    }

    /// Checks that no rule takes a search that is nowhere for one that finds nothing.
    fn check_absence(&self, at: &str, name: &str, lookup: &LookUp, findings: &mut Findings) {
        let ignores = |ErrorRule { when, means, .. }: &ErrorRule| {
            let anything = when.body.is_none() && when.header.is_none() && when.statuses.contains(&404);
            let everywhere = when.operations.is_empty() && when.streams.is_empty();
            *means == Meaning::Ignore && anything && (everywhere || when.operations.iter().any(|own| own == name))
        };
        if !lookup.is_of_its_record() && self.system.errors.iter().any(ignores) {
            let message = format!(
                "a rule under errors ignores status 404, and the path does not carry the record's key, so that under a wrong path, or of a version \
                 that is served no more, every record would be made again: let the rule name the code in the body (`pointer`) by which the system \
                 says that there is none, or let the path carry `{{body.{}}}`",
                lookup.key_field
            );
            findings.invalid(format!("{at}.path"), message);
        }
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
            body: None,
            place: None,
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
            record_fields: self.members(&format!("{at}.recordFields"), &batch.record_fields, findings),
            record_wrap: batch.record_wrap.clone().unwrap_or_default(),
            results: batch.results.as_ref().map(|spec| results(&format!("{at}.results"), spec, findings)),
        })
    }
}

fn results(at: &str, spec: &SpecResults, findings: &mut Findings) -> BatchResults {
    let key = spec.key.clone().zip(spec.key_field.clone()).map(|(pointer, field)| ResultKey { pointer, field });
    if spec.key.is_some() != spec.key_field.is_some() {
        findings.invalid(at, "set key and keyField together");
    }
    if spec.succeeded.is_none() && key.is_none() {
        findings.invalid(at, "set succeeded, or key for systems whose list holds only what was applied");
    }
    if spec.failed.is_some() && key.is_none() {
        findings.invalid(at, "failed goes with key: nothing else says which record a result is of");
    }
    let failed = spec.failed.as_ref().map(|failed| FailedRows {
        records: failed.records.clone(),
        key: failed.key.clone(),
        status: failed.status.clone(),
    });
    BatchResults {
        records: spec.records.clone().unwrap_or_default(),
        succeeded: spec.succeeded.clone(),
        key,
        failed,
        identifier: spec.identifier.clone(),
        error: spec.error.clone(),
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

pub(super) fn check_size(path: &str, fields: &BTreeMap<String, Value>, findings: &mut Findings) {
    let size = serde_json::to_string(fields).map_or(0, |text| text.len());
    if size > LARGEST_FIELDS_BYTES {
        let message =
            format!("the members have {size} characters of JSON, at most {LARGEST_FIELDS_BYTES} fit: leave some out");
        findings.invalid(path, message);
    }
}

pub(super) fn method(method: OperationMethod) -> Method {
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
