//! Mapping a record: asks the store for the cross-references that the mapping wants, and evaluates until it knows them all. Look-ups in the
//! source are not answered in this version: a mapping that wants one fails the record with a message that says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
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

/// How long an evaluation may take on the threads that serve sockets, which are too few to wait for more: after one that took longer, the next
/// ones get threads of their own, until one is short again. Most mappings take a hundredth of it, and less than the way to another thread.
const SHORT: Duration = Duration::from_millis(2);

/// Evaluates the mapping for a record. None is a record that `when` leaves out.
pub async fn evaluate(lane: &Lane, claimed: &Claimed) -> Result<Result<Option<Value>, EvaluationError>, StoreError> {
    let mut known = BTreeMap::new();
    let record: Value =
        serde_json::from_str(&claimed.payload).map_err(|_| StoreError::Unreadable { what: "record" })?;
    for _ in 0..MOST_ROUNDS {
        let round = if lane.facts.mapping_is_long() {
            let (mapping, scopes, record) = (Arc::clone(&lane.mapping), Arc::clone(&lane.scopes), record.clone());
            let evaluated = tokio::task::spawn_blocking(move || Round::of(&mapping, &record, &scopes, known));
            evaluated.await.unwrap_or_else(|_| Round::broken_off())
        } else {
            Round::of(&lane.mapping, &record, &lane.scopes, known)
        };
        lane.facts.set_mapping_is_long(round.took > SHORT);
        known = round.known;
        if round.missing.is_empty() {
            return Ok(round.result);
        }
        for (flow, key) in round.missing {
            let identifier = match lane.scopes.get(&flow) {
                Some(scope) => lane.store.identifier(*scope, key.clone()).await?,
                None => None,
            };
            known.insert((flow, key), identifier.map(Value::String));
        }
    }
    Ok(Err(stopped("it asks for more and more cross-references", "refer to fewer records")))
}

/// What one round of evaluating came to.
struct Round {
    result: Result<Option<Value>, EvaluationError>,
    known: BTreeMap<Reference, Option<Value>>,
    missing: BTreeSet<Reference>,
    took: Duration,
}

impl Round {
    fn of(
        mapping: &Mapping,
        record: &Value,
        scopes: &BTreeMap<String, ScopeId>,
        known: BTreeMap<Reference, Option<Value>>,
    ) -> Self {
        let began = Instant::now();
        let references = References { scopes, known, missing: Mutex::default() };
        // One record must not take down what carries others.
        let result = catch_unwind(AssertUnwindSafe(|| once(mapping, record, &references)));
        Self {
            result: result.unwrap_or_else(|_| Self::broken_off().result),
            known: references.known,
            missing: references.missing.into_inner().unwrap_or_else(PoisonError::into_inner),
            took: began.elapsed(),
        }
    }

    fn broken_off() -> Self {
        let result =
            Err(stopped("evaluating it broke off inside Crosstie", "report this as a defect, with the mapping"));
        Self { result, known: BTreeMap::new(), missing: BTreeSet::new(), took: Duration::ZERO }
    }
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
