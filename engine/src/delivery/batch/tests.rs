//! Each decision about a batch by itself, on records made by hand.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::*;
use crate::{
    delivery::{Seen, Terms},
    plan::{Idempotency, LookUp, Method, Operation, Outcome, RetryPolicy},
    template::Template,
    version::Version,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn terms(on_unknown: OnUnknownOutcome) -> Terms {
    let retry = RetryPolicy { retries: 3, initial_seconds: 120, factor: 2, max_seconds: 3600 };
    Terms { retry, on_unknown, longest_flight: Duration::from_secs(30) }
}

fn outcome(key: bool, look_up: bool) -> Outcome {
    let idempotency = key.then(|| Idempotency { header: "Idempotency-Key".into(), window_seconds: 600 });
    let lookup = look_up.then(|| LookUp {
        path: Template::parse("/x/{body.id}").unwrap(),
        query: BTreeMap::new(),
        key: "/id".into(),
        key_field: "id".into(),
        settle_seconds: 5,
        ..LookUp::default()
    });
    Outcome { idempotency, lookup }
}

/// Records of one open batch.
fn batch(size: u32, outcome: &Outcome, in_doubt_since: Option<Timestamp>) -> Vec<Facts> {
    let operation = Arc::new(Operation {
        name: "upsert".into(),
        method: Method::Put,
        path: Template::parse("/x").unwrap(),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        identifier: None,
        outcome: outcome.clone(),
        shape: crate::plan::Shape::default(),
        find: None,
        if_match: None,
        only_there: None,
        job: None,
        omit: Vec::new(),
        ownership: crate::plan::Ownership::default(),
        batch: None,
    });
    let intent = Intent { sequence: 1, idempotency_key: "k".into(), stored_at: at(0), in_doubt_since };
    let record = |number: u32| {
        let seen = Seen { version: Version::Counter(5), hash: "s".into() };
        let (body, body_hash) = (json!({"id": number}), format!("h{number}"));
        let (intent, operation) = (intent.clone(), Arc::clone(&operation));
        let (deletes, refused, apart) = (false, false, false);
        let state = seen.clone();
        let open =
            OpenIntent { intent, operation, body: body.into(), body_hash, seen: state, deletes, refused, size, apart };
        Facts { seen, failures: Failures::default(), ledger: None, intent: Some(open) }
    };
    (1..=size).map(record).collect()
}

fn parts(records: &[Facts]) -> Vec<(&Facts, &OpenIntent)> {
    records.iter().map(|facts| (facts, facts.intent.as_ref().unwrap())).collect()
}

/// What waits on, of records that all do: by how many attempts each, and what becomes of its intent.
fn waiting(changes: Vec<Change>) -> Vec<(Failures, IntentChange)> {
    let one = |change| match change {
        Change::Postpone(later) => (later.failures, later.intent),
        Change::Settle(_) | Change::AwaitParent(_) | Change::Bury(_) => panic!("it does not wait"),
    };
    changes.into_iter().map(one).collect()
}

fn setback(overloaded: bool) -> Setback {
    Setback { fault: Fault::of("down"), retry_after: None, overloaded }
}

#[test]
fn a_call_carries_no_more_records_than_any_of_them_may_share_one_with() {
    let failures = |most_together| Failures { most_together, ..Failures::default() };
    let count = |most: &[Option<u32>], size| {
        let failures: Vec<Failures> = most.iter().map(|most| failures(*most)).collect();
        together(failures.iter(), size)
    };
    assert_eq!(count(&[None; 5], 3), 3);
    assert_eq!(count(&[None; 2], 3), 2);
    assert_eq!(count(&[None, Some(2), None], 3), 2);
    assert_eq!(count(&[None, None, Some(2)], 3), 2, "one that shares less waits for the next call");
    assert_eq!(count(&[Some(1), None], 3), 1);
    assert_eq!((count(&[None], 0), count(&[], 3)), (1, 0));
}

#[test]
fn each_row_settles_its_own_record_and_counts_against_it_alone() {
    let (terms, records) = (terms(OnUnknownOutcome::Hold), batch(2, &outcome(false, true), None));
    let judge = Judge { terms: &terms, now: at(10), chance: 0.0 };
    let rows = vec![Row::Applied { identifier: Some("7".into()) }, Row::Refused(Fault::of("no"))];
    let changes = judge.batch_sent(&parts(&records), BatchSent::Answered(rows), Weather::default());
    let settled = Settled::Delivered { body_hash: "h1".into(), identifier: Some("7".into()) };
    assert_eq!(changes[0], Change::Settle(settled));
    let (failures, intent) = waiting(changes[1..].to_vec()).remove(0);
    assert_eq!((failures.attempts, intent), (1, IntentChange::Close));
}

#[test]
fn a_batch_refused_whole_is_halved_and_counts_against_nobody() {
    let (terms, records) = (terms(OnUnknownOutcome::Hold), batch(5, &outcome(true, true), None));
    let judge = Judge { terms: &terms, now: at(10), chance: 0.0 };
    let refused = BatchSent::Refused(Fault::of("too large"));
    for (failures, intent) in waiting(judge.batch_sent(&parts(&records), refused.clone(), Weather::default())) {
        assert_eq!((failures.attempts, failures.most_together, intent), (0, Some(2), IntentChange::Close));
    }
    // What was in doubt before stays in doubt, record by record.
    let records = batch(5, &outcome(true, true), Some(at(3)));
    for (failures, intent) in waiting(judge.batch_sent(&parts(&records), refused, Weather::default())) {
        assert_eq!((failures.attempts, failures.most_together, intent), (0, Some(2), IntentChange::Apart(at(3))));
    }
}

#[test]
fn a_batch_in_doubt_is_sent_whole_while_its_key_is_remembered_and_then_taken_apart() {
    let terms = terms(OnUnknownOutcome::Hold);
    let next = |outcome: &Outcome, now| {
        let records = batch(2, outcome, Some(at(3)));
        let judge = Judge { terms: &terms, now: at(now), chance: 0.0 };
        let open = records[0].intent.clone().unwrap();
        judge.next_batch(&open, records.iter())
    };
    assert_eq!(next(&outcome(true, true), 569), NextBatch::Send);
    assert_eq!(next(&outcome(true, true), 570), NextBatch::TakeApart);
    assert_eq!(next(&outcome(false, true), 4), NextBatch::TakeApart);
    assert_eq!(next(&outcome(false, false), 4), NextBatch::TakeApart);
}

#[test]
fn a_batch_in_doubt_that_fails_again_and_again_is_followed_by_smaller_ones_where_that_is_safe() {
    let weather = Weather::default();
    let came_to = |outcome: &Outcome, on_unknown, failed: u32, sent: BatchSent| {
        let terms = terms(on_unknown);
        let mut records = batch(4, outcome, None);
        records[3].failures.unjudged = failed;
        let judge = Judge { terms: &terms, now: at(10), chance: 0.0 };
        let (failures, intent) = waiting(judge.batch_sent(&parts(&records), sent, weather)).remove(0);
        (failures.attempts, failures.most_together, intent)
    };
    let unknown = || BatchSent::Unknown(setback(true));
    let (hold, resend) = (OnUnknownOutcome::Hold, OnUnknownOutcome::Resend);
    let apart = IntentChange::Apart(at(10));
    let turned_away = came_to(&outcome(true, true), hold, 3, BatchSent::NotSent(setback(true)));
    assert_eq!(turned_away, (0, None, IntentChange::Keep), "nothing is in doubt");
    assert_eq!(came_to(&outcome(true, true), hold, 3, unknown()), (0, Some(2), apart));
    assert_eq!(came_to(&outcome(true, false), resend, 3, unknown()), (0, Some(2), apart));
    let late = BatchSent::Unknown(setback(false));
    assert_eq!(
        came_to(&outcome(true, true), hold, 3, late),
        (0, Some(2), apart),
        "it may be too large to be answered in time"
    );
    let whole = (0, None, IntentChange::Doubt(at(10)));
    assert_eq!(came_to(&outcome(true, false), hold, 3, unknown()), whole, "only its key can tell");
    assert_eq!(came_to(&outcome(true, true), hold, 2, unknown()), whole, "it is tried again first");
}

#[test]
fn the_key_of_a_record_whose_batch_was_taken_apart_says_nothing_of_it() {
    let terms = terms(OnUnknownOutcome::Hold);
    let judge = Judge { terms: &terms, now: at(10), chance: 0.0 };
    let mut facts = batch(2, &outcome(true, true), Some(at(3))).remove(0);
    if let Some(open) = &mut facts.intent {
        (open.size, open.apart, open.intent.stored_at) = (1, true, at(3));
    }
    assert_eq!(judge.next(&facts), crate::delivery::Next::LookUp);
    assert_ne!(super::super::key_apart("k", 1), super::super::key_apart("k", 2));
}
