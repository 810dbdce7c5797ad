//! Mapping a record: asks the store for the cross-references that the mapping wants, and evaluates until it knows them all. Look-ups in the
//! source are not answered in this version: a mapping that wants one fails the record with a message that says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use crosstie_engine::mapping::{EvaluationError, Looked, Mapping, Resolve};
use serde_json::Value;

use crate::{
    lane::Lane,
    store::{Claimed, ScopeId, StoreError},
};

/// Rounds of asking the store before a mapping is given up: each round brings at least one more cross-reference.
const MOST_ROUNDS: usize = 64;

type Reference = (String, String);

/// Evaluates the mapping for a record. None is a record that `when` leaves out.
pub async fn evaluate(lane: &Lane, claimed: &Claimed) -> Result<Result<Option<Value>, EvaluationError>, StoreError> {
    let mut known = BTreeMap::new();
    let record = Arc::new(claimed.record.clone());
    for _ in 0..MOST_ROUNDS {
        let scopes = Arc::clone(&lane.scopes);
        let (mapping, record) = (Arc::clone(&lane.mapping), Arc::clone(&record));
        // A mapping may take long; the threads that serve sockets are too few to wait for it.
        let evaluated = tokio::task::spawn_blocking(move || {
            let references = References { scopes: &scopes, known, missing: Mutex::default() };
            let result = once(&mapping, &record, &references);
            (result, references.known, references.missing.into_inner().unwrap_or_else(PoisonError::into_inner))
        });
        let Ok((result, known_still, missing)) = evaluated.await else {
            return Ok(Err(stopped(
                "evaluating it broke off inside Crosstie",
                "report this as a defect, with the mapping",
            )));
        };
        known = known_still;
        if missing.is_empty() {
            return Ok(result);
        }
        for (flow, key) in missing {
            let identifier = match lane.scopes.get(&flow) {
                Some(scope) => lane.store.identifier(*scope, key.clone()).await?,
                None => None,
            };
            known.insert((flow, key), identifier.map(Value::String));
        }
    }
    Ok(Err(stopped("it asks for more and more cross-references", "refer to fewer records")))
}

fn stopped(problem: &str, remedy: &str) -> EvaluationError {
    EvaluationError::Failed { field: "map".into(), problem: problem.into(), remedy: remedy.into() }
}

fn once(mapping: &Mapping, record: &Value, references: &References) -> Result<Option<Value>, EvaluationError> {
    if mapping.selects(record, references)? { mapping.apply(record, references).map(Some) } else { Ok(None) }
}

/// Cross-references as far as they are known; takes note of those that are not.
struct References<'a> {
    scopes: &'a BTreeMap<String, ScopeId>,
    known: BTreeMap<Reference, Option<Value>>,
    missing: Mutex<BTreeSet<Reference>>,
}

impl Resolve for References<'_> {
    fn xref(&self, flow: &str, key: &str) -> Option<Value> {
        let reference = (flow.to_owned(), key.to_owned());
        if let Some(known) = self.known.get(&reference) {
            return known.clone();
        }
        if self.scopes.contains_key(flow) {
            self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(reference);
        }
        None
    }

    fn lookup(&self, _stream: &str, _key: &str) -> Looked {
        Looked::Unknown
    }
}
