//! Evaluating a flow's expressions for a record: asks the store for the cross-references they want and the source for the records they look
//! up, and evaluates until it knows them all.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crosstie_engine::{
    json::Json,
    mapping::{EvaluationError, Looked, Lookup, Mapping, Reference, Resolve},
};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;

use super::look_ups::Unanswered;
use crate::{
    lane::{Lane, Parent},
    store::{ParentKey, ScopeId, StoreError},
};

/// Rounds of asking before a mapping is given up: each round brings at least one more cross-reference or record.
const MOST_ROUNDS: usize = 64;

/// A flow or stream, and a key in it.
type Place = (String, String);

/// How long an evaluation may take on the threads that serve sockets, which are too few to wait for more: after one that took longer, the next
/// ones get threads of their own, until one is short again. Most mappings take a hundredth of it, and less than the way to another thread.
const SHORT: Duration = Duration::from_millis(2);

/// What evaluating came to.
pub enum Evaluated<T> {
    /// This.
    Done(Result<T, EvaluationError>),
    /// Another flow's record is not at the destination, and something comes to nothing without what it is called there.
    Await(ParentKey),
    /// The source does not answer look-ups now: the record waits, and is evaluated anew from this time on.
    Wait(Timestamp),
}

/// Whether a record meets the flow's condition.
pub async fn selects(lane: &Lane, record: &Json<'_>) -> Result<Evaluated<bool>, StoreError> {
    if lane.flow.when.is_none() {
        return Ok(Evaluated::Done(Ok(true)));
    }
    rounds(lane, record, |mapping, _, record, references| mapping.selects(record, references)).await
}

/// The body that a record is mapped to.
pub async fn body(lane: &Lane, record: &Json<'_>) -> Result<Evaluated<Value>, StoreError> {
    rounds(lane, record, |mapping, _, record, references| mapping.apply(record, references)).await
}

/// As much of the body that a record is mapped to as deleting it needs.
pub async fn remains(lane: &Lane, record: &Json<'_>) -> Result<Evaluated<Value>, StoreError> {
    let mapping = lane.remains.as_ref().unwrap_or(&lane.mapping);
    rounds_of(lane, mapping, record, |mapping, _, record, references| mapping.apply(record, references)).await
}

/// What each field of a flow's map is on a record by itself; see [`Mapping::each`].
pub async fn each(lane: &Lane, record: &Json<'_>) -> Result<Evaluated<BTreeMap<String, Option<Value>>>, StoreError> {
    rounds(lane, record, |mapping, _, record, references| mapping.each(record, references)).await
}

/// The key of what a record depends on; none when it depends on nothing.
pub async fn parent(lane: &Lane, record: &Json<'_>) -> Result<Evaluated<Option<ParentKey>>, StoreError> {
    if lane.parent.is_none() {
        return Ok(Evaluated::Done(Ok(None)));
    }
    rounds(lane, record, |_, parent, record, references| {
        let Some(parent) = parent else { return Ok(None) };
        let key = parent.key.evaluate_text(record, references)?;
        Ok(key.map(|key| ParentKey { scope: parent.scope, key }))
    })
    .await
}

/// What is evaluated of a lane's expressions.
type Once<T> = fn(&Mapping, Option<&Parent>, &Json, &References) -> Result<T, EvaluationError>;

/// Evaluates something of the mapping, again and again, until everything it refers to is known.
async fn rounds<T: Send + 'static>(lane: &Lane, record: &Json<'_>, once: Once<T>) -> Result<Evaluated<T>, StoreError> {
    rounds_of(lane, &lane.mapping, record, once).await
}

/// The same of a part of it.
async fn rounds_of<T: Send + 'static>(
    lane: &Lane,
    mapping: &Arc<Mapping>,
    record: &Json<'_>,
    once: Once<T>,
) -> Result<Evaluated<T>, StoreError> {
    let mut known = Known::default();
    for _ in 0..MOST_ROUNDS {
        let round = if lane.facts.mapping_is_long() {
            let (mapping, parent, scopes) = (Arc::clone(mapping), lane.parent.clone(), Arc::clone(&lane.scopes));
            let record = record.to_value();
            let evaluated = tokio::task::spawn_blocking(move || {
                Round::of(
                    &|references| once(&mapping, parent.as_ref(), &Json::from(&record), references),
                    &scopes,
                    known,
                )
            });
            evaluated.await.unwrap_or_else(|_| Round::broken_off())
        } else {
            let once = |references: &References| once(mapping, lane.parent.as_ref(), record, references);
            Round::of(&once, &lane.scopes, known)
        };
        lane.facts.set_mapping_is_long(round.took > SHORT);
        known = round.known;
        if round.missing.is_empty() {
            let wanted = match round.result {
                Err(EvaluationError::NeedsLookups { wanted }) => wanted,
                Err(EvaluationError::AwaitsReferences { wanted }) => return Ok(awaited(lane, wanted)),
                result => return Ok(Evaluated::Done(result)),
            };
            if let Some(unanswered) = Box::pin(look_up(lane, wanted, &mut known)).await {
                return Ok(unanswered);
            }
        }
        for (flow, key) in round.missing {
            let referred = match lane.scopes.get(&flow) {
                Some(scope) => referred(lane, ParentKey { scope: *scope, key: key.clone() }).await?,
                None => Referred::Nameless,
            };
            known.references.insert((flow, key), referred);
        }
    }
    Ok(Evaluated::Done(Err(stopped("it asks for more and more other records", "refer to fewer of them"))))
}

/// What is known of another flow's record at the destination.
async fn referred(lane: &Lane, parent: ParentKey) -> Result<Referred, StoreError> {
    let identifier = || lane.store.identifier(parent.scope, parent.key.clone());
    let named = |identifier: Option<String>| identifier.map(|identifier| Referred::Known(Value::String(identifier)));
    if let Some(known) = named(identifier().await?) {
        return Ok(known);
    }
    if !lane.store.is_present(parent.clone()).await? {
        return Ok(Referred::Missing);
    }
    // It may have come between the two questions.
    Ok(named(identifier().await?).unwrap_or(Referred::Nameless))
}

/// What is waited for first of what is missed.
fn awaited<T>(lane: &Lane, wanted: Vec<Reference>) -> Evaluated<T> {
    let first = wanted.into_iter().next();
    let parent = first.and_then(|Reference { flow, key }| Some(ParentKey { scope: *lane.scopes.get(&flow)?, key }));
    match parent {
        Some(parent) => Evaluated::Await(parent),
        // A flow that is not there is never waited for.
        None => Evaluated::Done(Err(stopped("it asks for records of a flow that is not there", "correct the flow"))),
    }
}

/// Looks records up, all at the same time; the client keeps to the share. Gives what evaluating comes to if one has no answer.
async fn look_up<T>(lane: &Lane, wanted: Vec<Lookup>, known: &mut Known) -> Option<Evaluated<T>> {
    let answers = join_all(wanted.iter().map(|wanted| lane.look_ups.answer(lane, wanted))).await;
    let mut refused = None;
    for (wanted, answer) in wanted.into_iter().zip(answers) {
        match answer {
            Ok(looked) => {
                known.records.insert((wanted.stream, wanted.key), looked);
            }
            Err(Unanswered::Wait(until)) => return Some(Evaluated::Wait(until)),
            Err(Unanswered::Refused(problem)) => refused = Some(problem),
        }
    }
    let remedy = "look records up by the key that their stream has, or leave the field out";
    refused.map(|problem| Evaluated::Done(Err(stopped(&problem, remedy))))
}

/// What one round of evaluating came to.
struct Round<T> {
    result: Result<T, EvaluationError>,
    known: Known,
    missing: BTreeSet<Place>,
    took: Duration,
}

impl<T> Round<T> {
    fn of(
        once: &dyn Fn(&References) -> Result<T, EvaluationError>,
        scopes: &BTreeMap<String, ScopeId>,
        known: Known,
    ) -> Self {
        let began = Instant::now();
        let references = References { scopes, known, missing: Mutex::default() };
        // One record must not take down what carries others.
        let result = catch_unwind(AssertUnwindSafe(|| once(&references)));
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
        Self { result, known: Known::default(), missing: BTreeSet::new(), took: Duration::ZERO }
    }
}

fn stopped(problem: &str, remedy: &str) -> EvaluationError {
    EvaluationError::Failed { field: "map".into(), problem: problem.into(), remedy: remedy.into() }
}

/// What is known of other records.
#[derive(Default)]
struct Known {
    references: BTreeMap<Place, Referred>,
    records: BTreeMap<Place, Looked>,
}

/// What is known of another flow's record.
enum Referred {
    /// The destination has it and calls it this.
    Known(Value),
    /// The destination has it and never said what it calls it.
    Nameless,
    /// The destination does not have it.
    Missing,
}

/// What is known of other records; takes note of cross-references that are not. Of records the mapping does so itself.
struct References<'a> {
    scopes: &'a BTreeMap<String, ScopeId>,
    known: Known,
    missing: Mutex<BTreeSet<Place>>,
}

impl Resolve for References<'_> {
    fn xref(&self, flow: &str, key: &str) -> Option<Value> {
        let reference = (flow.to_owned(), key.to_owned());
        match self.known.references.get(&reference) {
            Some(Referred::Known(identifier)) => return Some(identifier.clone()),
            Some(Referred::Nameless | Referred::Missing) => return None,
            None => {}
        }
        if self.scopes.contains_key(flow) {
            self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(reference);
        }
        None
    }

    fn awaits(&self, flow: &str, key: &str) -> bool {
        // What is not known yet is asked for first.
        matches!(self.known.references.get(&(flow.to_owned(), key.to_owned())), Some(Referred::Missing))
    }

    fn lookup(&self, stream: &str, key: &str) -> Looked {
        let reference = (stream.to_owned(), key.to_owned());
        self.known.records.get(&reference).cloned().unwrap_or(Looked::Unknown)
    }
}
