//! Each decision by itself, on claimed records made by hand.

mod ignored;
mod looking_up;
mod missing;
mod unanswered;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::*;
use crate::{
    canonical,
    delivery::{Compared, Fetched, Fetching, LedgerEntry, Seen},
    plan::{Evidence, Idempotency, Identifier, LookUp, Method, Operation},
    retry::Tally,
    template::Template,
    version::Version,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn terms() -> Terms {
    let retry = RetryPolicy { retries: 3, initial_seconds: 120, factor: 2, max_seconds: 3600 };
    Terms { retry, on_unknown: OnUnknownOutcome::Hold, longest_flight: Duration::from_secs(30) }
}

fn judge(terms: &Terms, second: i64) -> Judge<'_> {
    Judge { terms, now: at(second), chance: 0.0 }
}

fn outcome(key: bool, look_up: bool) -> Outcome {
    let idempotency = key.then(|| Idempotency { header: "Idempotency-Key".into(), window_seconds: 600 });
    let lookup = look_up.then(|| LookUp {
        path: Template::parse("/x/{body.id}").unwrap(),
        query: BTreeMap::new(),
        key: "/id".into(),
        key_field: "id".into(),
        settle_seconds: 5,
        evidence: Evidence::default(),
        ..LookUp::default()
    });
    Outcome { idempotency, lookup }
}

fn open(outcome: Outcome, in_doubt_since: Option<Timestamp>) -> OpenIntent {
    let operation = Operation {
        name: "upsert".into(),
        method: Method::Put,
        path: Template::parse("/x").unwrap(),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        identifier: Some(Identifier::Pointer("/number".into())),
        outcome,
        omit: Vec::new(),
        ownership: crate::plan::Ownership::default(),
        shape: crate::plan::Shape::default(),
        find: None,
        if_match: None,
        only_there: None,
        job: None,
        batch: None,
    };
    let intent = Intent { sequence: 1, idempotency_key: "k".into(), stored_at: at(0), in_doubt_since };
    let (body, seen) = (json!({"id": "a"}).into(), Seen { version: Version::Counter(5), hash: "s".into() });
    let operation = Arc::new(operation);
    OpenIntent {
        intent,
        operation,
        body,
        body_hash: "h".into(),
        seen,
        deletes: false,
        refused: false,
        size: 1,
        apart: false,
    }
}

fn claimed(intent: Option<OpenIntent>) -> Facts {
    let seen = Seen::of(Version::Counter(5), &json!({"id": "a", "v": 5}));
    Facts { seen, failures: Failures::default(), ledger: None, intent }
}

fn failed(mut claimed: Facts, attempts: u32, unjudged: u32, tally: Option<Tally>) -> Facts {
    claimed.failures = Failures { attempts, unjudged, tally, ..Failures::default() };
    claimed
}

/// An answer 503.
fn unavailable() -> Setback {
    let fault = Fault { status: Some(503), request_id: Some("r-1".into()), ..Fault::of("the system failed") };
    Setback { fault, retry_after: None, overloaded: true }
}

fn timed_out() -> Setback {
    Setback { fault: Fault::of("the system failed"), retry_after: None, overloaded: false }
}

fn refusal() -> Sent {
    Sent::Refused(Fault {
        cause: "refused".into(),
        status: Some(422),
        request_id: Some("r-2".into()),
        excerpt: Some("no such item".into()),
    })
}

/// Others passed between the last attempt and now.
const OTHERS_PASSED: Weather =
    Weather { before: Tally { well: 50, unwell: 1 }, after: Tally { well: 50, unwell: 2 }, open: false };

fn postponement(change: Change) -> Postponement {
    match change {
        Change::Postpone(postponement) => postponement,
        Change::Settle(_) | Change::AwaitParent(_) | Change::Bury(_) => panic!("{change:?}"),
    }
}

#[test]
fn a_record_is_not_sent_before_its_retry_is_due_but_looked_up_as_soon_as_that_is_believed() {
    let terms = terms();
    let mut waiting = claimed(None);
    waiting.failures.retry_at = Some(at(100));
    assert_eq!(judge(&terms, 99).next(&waiting), Next::Wait(at(100)));
    assert_eq!(judge(&terms, 100).next(&waiting), Next::Evaluate);
    waiting.intent = Some(open(outcome(false, true), Some(at(10))));
    assert_eq!(judge(&terms, 14).next(&waiting), Next::Wait(at(15)));
    assert_eq!(judge(&terms, 15).next(&waiting), Next::LookUp);
    waiting.intent = Some(open(outcome(true, true), Some(at(10))));
    assert_eq!(judge(&terms, 15).next(&waiting), Next::Wait(at(100)), "a resend is a send");
}

#[test]
fn an_intent_in_doubt_whose_resend_was_refused_is_never_sent_again() {
    let terms = terms();
    let refused = |outcome| claimed(Some(OpenIntent { refused: true, ..open(outcome, Some(at(10))) }));
    assert_eq!(judge(&terms, 20).next(&refused(outcome(true, true))), Next::LookUp);
    assert_eq!(judge(&terms, 20).next(&refused(outcome(true, false))), Next::Hold);
    let resend = Terms { on_unknown: OnUnknownOutcome::Resend, ..terms };
    assert_eq!(judge(&resend, 20).next(&refused(outcome(false, false))), Next::GiveUp);
}

#[test]
fn a_refusal_closes_an_intent_that_was_not_in_doubt_and_leaves_one_that_was() {
    let terms = terms();
    let sure = open(outcome(false, true), None);
    let change = judge(&terms, 1).sent(&claimed(Some(sure.clone())), &sure, refusal(), Weather::default());
    let postponed = postponement(change);
    assert_eq!((postponed.intent, postponed.due, postponed.failures.attempts), (IntentChange::Close, at(121), 1));
    assert_eq!(postponed.failures.excerpt.as_deref(), Some("no such item"));
    let doubtful = open(outcome(false, true), Some(at(0)));
    let change = judge(&terms, 1).sent(&claimed(Some(doubtful.clone())), &doubtful, refusal(), Weather::default());
    let postponed = postponement(change);
    assert_eq!(
        (postponed.intent, postponed.due),
        (IntentChange::Refused, at(1)),
        "the look-up does not wait for the retry"
    );
    assert_eq!(postponed.failures.retry_at, Some(at(121)));
}

#[test]
fn a_record_is_buried_after_its_last_retry() {
    let terms = terms();
    let open = open(outcome(false, false), None);
    let third = failed(claimed(Some(open.clone())), 2, 0, None);
    assert!(matches!(judge(&terms, 1).sent(&third, &open, refusal(), Weather::default()), Change::Postpone(_)));
    let fourth = failed(claimed(Some(open.clone())), 3, 0, None);
    let Change::Bury(failures) = judge(&terms, 1).sent(&fourth, &open, refusal(), Weather::default()) else {
        panic!("not buried")
    };
    assert_eq!((failures.attempts, failures.status), (4, Some(422)));
}

#[test]
fn a_poisoned_record_is_sent_as_often_as_a_refused_one() {
    let terms = terms();
    let open = open(outcome(false, false), None);
    let mut claimed = claimed(Some(open.clone()));
    let mut waits = Vec::new();
    let written = || Sent::NotSent(unavailable());
    let buried = loop {
        let now = waits.iter().sum::<i64>();
        match judge(&terms, now).sent(&claimed, &open, written(), OTHERS_PASSED) {
            Change::Postpone(postponed) => {
                waits.push(postponed.due.duration_since(at(now)).as_secs());
                claimed.failures = Failures { tally: Some(Tally::default()), ..postponed.failures };
            }
            Change::Bury(failures) => break failures,
            Change::Settle(_) | Change::AwaitParent(_) => panic!("settled"),
        }
    };
    assert_eq!(waits, [120, 240, 480], "three retries, with growing waits");
    assert_eq!(buried.attempts, 4);
}

#[test]
fn an_outage_counts_no_attempt_and_leaves_the_waiting_to_the_circuit() {
    let terms = terms();
    let open = open(outcome(false, false), None);
    let claimed = failed(claimed(Some(open.clone())), 0, 7, Some(Tally { well: 50, unwell: 1 }));
    let outage = Weather { before: Tally { well: 50, unwell: 9 }, after: Tally { well: 50, unwell: 10 }, open: true };
    let written = || Sent::NotSent(unavailable());
    let postponed = postponement(judge(&terms, 1).sent(&claimed, &open, written(), outage));
    assert_eq!((postponed.due, postponed.failures.attempts, postponed.failures.unjudged), (at(1), 0, 8));
    assert_eq!((postponed.by_system, postponed.intent), (false, IntentChange::Keep));
    let first = Weather { open: false, ..outage };
    let postponed = postponement(judge(&terms, 1).sent(&claimed, &open, written(), first));
    assert_eq!(
        (postponed.due, postponed.by_system),
        (at(121), true),
        "until an outage is recognised it waits by the policy"
    );
}

#[test]
fn a_vendors_wait_is_never_cut_short() {
    let terms = terms();
    let open = open(outcome(false, false), None);
    let limited = Setback { retry_after: Some(Duration::from_secs(500)), ..unavailable() };
    let blamed = failed(claimed(Some(open.clone())), 1, 1, Some(Tally::default()));
    let postponed = postponement(judge(&terms, 0).sent(&blamed, &open, Sent::NotSent(limited), OTHERS_PASSED));
    assert_eq!((postponed.due, postponed.failures.attempts), (at(500), 2));
}

#[test]
fn a_write_of_unknown_outcome_is_in_doubt_from_the_moment_it_was_given_up() {
    let terms = terms();
    let open = open(outcome(false, true), None);
    let written = Sent::Unknown(timed_out());
    let postponed = postponement(judge(&terms, 40).sent(&claimed(Some(open.clone())), &open, written, OTHERS_PASSED));
    assert_eq!((postponed.intent, postponed.due), (IntentChange::Doubt(at(40)), at(45)));
    assert_eq!(postponed.failures.attempts, 0, "no answer is never the record's fault");
}

#[test]
fn a_poisoned_record_in_doubt_is_looked_up_before_it_is_buried() {
    let terms = terms();
    let open = open(outcome(true, true), None);
    let last = failed(claimed(Some(open.clone())), 3, 0, Some(Tally::default()));
    let written = Sent::Unknown(unavailable());
    let postponed = postponement(judge(&terms, 1).sent(&last, &open, written, OTHERS_PASSED));
    assert_eq!((postponed.intent, postponed.failures.attempts, postponed.due), (IntentChange::Doubt(at(1)), 4, at(6)));
    let mut doubtful = open;
    doubtful.intent.in_doubt_since = Some(at(1));
    let mut again = failed(claimed(Some(doubtful.clone())), 4, 0, None);
    assert_eq!(judge(&terms, 6).next(&again), Next::LookUp, "not sent again, although its key is still remembered");
    assert!(matches!(judge(&terms, 6).looked_up(&again, &doubtful, &Found::Absent), Resolved::NotApplied));
    again.intent = None;
    assert_eq!(judge(&terms, 6).next(&again), Next::GiveUp);
}

#[test]
fn what_is_older_is_dropped_and_what_cannot_be_compared_is_a_fault() {
    let terms = terms();
    let entry =
        |version| LedgerEntry { version, source_hash: "s".into(), body_hash: None, present: true, identifier: None };
    let mut claimed = claimed(None);
    assert_eq!(judge(&terms, 1).compared(&claimed, Fetching::Impossible), Compared::Go);
    claimed.ledger = Some(entry(Version::Counter(6)));
    let Compared::Done(Change::Settle(settled)) = judge(&terms, 1).compared(&claimed, Fetching::Possible) else {
        panic!("not settled")
    };
    assert_eq!(settled, Settled::Superseded);
    claimed.ledger = Some(entry(Version::Time(at(0))));
    let compared = judge(&terms, 1).compared(&claimed, Fetching::Possible);
    assert!(matches!(compared, Compared::Done(Change::Postpone(_))));
}

#[test]
fn a_body_that_is_there_already_is_not_written_and_one_that_was_left_out_is() {
    let terms = terms();
    let body = json!({"id": "a"});
    let mut claimed = claimed(None);
    let entry = |body_hash| LedgerEntry {
        version: Version::Counter(1),
        source_hash: "s".into(),
        body_hash,
        present: true,
        identifier: None,
    };
    claimed.ledger = Some(entry(Some(canonical::hash(&body))));
    let Mapped::Done(Change::Settle(settled)) = judge(&terms, 1).mapped(&claimed, Ok(Wanted::Write(body.clone())))
    else {
        panic!("written")
    };
    assert_eq!(settled, Settled::Unchanged { body_hash: canonical::hash(&body) });
    claimed.ledger = Some(entry(None));
    assert!(matches!(judge(&terms, 1).mapped(&claimed, Ok(Wanted::Write(body))), Mapped::Write(..)));
    let Mapped::Done(Change::Settle(settled)) = judge(&terms, 1).mapped(&claimed, Ok(Wanted::Leave)) else {
        panic!("not settled")
    };
    assert_eq!(settled, Settled::LeftOut);
}

#[test]
fn request_ids_are_bounded_and_the_newest_are_kept() {
    let terms = terms();
    let open = open(outcome(false, false), None);
    let mut claimed = claimed(Some(open.clone()));
    claimed.failures.request_ids = (0..Failures::MOST_REQUEST_IDS).map(|number| number.to_string()).collect();
    let postponed = postponement(judge(&terms, 1).sent(&claimed, &open, refusal(), Weather::default()));
    assert_eq!(postponed.failures.request_ids.len(), Failures::MOST_REQUEST_IDS);
    assert_eq!(postponed.failures.request_ids.last().map(String::as_str), Some("r-2"));
}

fn entry(present: bool, body_hash: Option<&str>) -> LedgerEntry {
    let identifier = present.then(|| "over-there".to_owned());
    let (source_hash, body_hash) = ("s".into(), body_hash.map(str::to_owned));
    LedgerEntry { version: Version::Counter(1), source_hash, body_hash, present, identifier }
}

#[test]
fn only_what_is_there_is_deleted_or_updated_after_it_stopped_to_match() {
    let terms = terms();
    let body = json!({"id": "a"});
    let mapped = |ledger: Option<LedgerEntry>, wanted: Wanted| {
        judge(&terms, 1).mapped(&Facts { ledger, ..claimed(None) }, Ok(wanted))
    };
    for absent in [None, Some(entry(false, None))] {
        let deleted = mapped(absent.clone(), Wanted::Delete(body.clone()));
        assert!(matches!(deleted, Mapped::Done(Change::Settle(Settled::Deleted))), "no call, but a tombstone");
        let updated = mapped(absent.clone(), Wanted::Update(body.clone()));
        assert!(matches!(updated, Mapped::Done(Change::Settle(Settled::LeftOut))));
        assert!(matches!(mapped(absent, Wanted::Write(body.clone())), Mapped::Write(..)), "a newer state comes anew");
    }
    let there = Some(entry(true, Some("other")));
    assert!(matches!(mapped(there.clone(), Wanted::Delete(body.clone())), Mapped::Delete(..)));
    assert!(matches!(mapped(there, Wanted::Update(body)), Mapped::Write(..)));
}

#[test]
fn a_delete_in_doubt_is_repeated_once_none_sent_before_can_arrive_and_proved_by_finding_nothing() {
    let terms = terms();
    let delete = |look_up, since| {
        let mut open = open(outcome(false, look_up), Some(at(since)));
        open.deletes = true;
        Arc::make_mut(&mut open.operation).method = Method::Delete;
        open
    };
    let next = |open, now| judge(&terms, now).next(&claimed(Some(open)));
    assert_eq!(next(delete(false, 10), 39), Next::Wait(at(40)), "a call can be under way for 30 seconds");
    assert_eq!(next(delete(false, 10), 40), Next::Send);
    assert_eq!(next(delete(true, 10), 15), Next::LookUp);
    let found = |found| judge(&terms, 20).looked_up(&claimed(None), &delete(true, 10), &found);
    assert!(matches!(found(Found::Absent), Resolved::Done(Change::Settle(Settled::Deleted))));
    assert!(matches!(found(Found::Present(json!({"id": "a"}))), Resolved::NotApplied));
    let applied = Sent::Applied { identifier: None };
    let sent = judge(&terms, 20).sent(&claimed(None), &delete(false, 10), applied, Weather::default());
    assert_eq!(sent, Change::Settle(Settled::Deleted));
}

#[test]
fn what_cannot_be_ordered_is_fetched_and_a_lagging_or_missing_answer_is_not_taken() {
    let terms = terms();
    let compared = |facts: &Facts, fetching| judge(&terms, 1).compared(facts, fetching);
    let mut facts = claimed(None);
    facts.ledger = Some(LedgerEntry { version: Version::Counter(5), ..entry(true, None) });
    assert_eq!(compared(&facts, Fetching::Possible), Compared::Fetch, "equal version, other content");
    assert_eq!(compared(&facts, Fetching::Impossible), Compared::Go, "what was read last is what counts");
    assert_eq!(compared(&facts, Fetching::Done), Compared::Go);
    facts.seen.version = Version::Unordered;
    for ledger in [None, facts.ledger.clone()] {
        let facts = Facts { ledger, ..facts.clone() };
        assert_eq!(compared(&facts, Fetching::Possible), Compared::Fetch, "a hint");
    }
    let facts = claimed(None);
    let shown = |counter| Seen { version: Version::Counter(counter), hash: "x".into() };
    let fetched = |shown: Option<&Seen>| judge(&terms, 1).fetched(&facts, shown);
    assert_eq!((fetched(Some(&shown(5))), fetched(Some(&shown(6)))), (Fetched::Take, Fetched::Take));
    let Fetched::Done(change) = fetched(Some(&shown(4))) else { panic!("an older state was taken") };
    let lagging = postponement(change);
    assert_eq!((lagging.due, lagging.failures.attempts), (at(6), 0));
    assert!(lagging.failures.cause.contains("an older version"), "it is said why it waits: {:?}", lagging.failures);
    let Fetched::Done(change) = fetched(None) else { panic!("nothing was taken") };
    assert_eq!(postponement(change).failures.attempts, 1);
}

#[test]
fn a_record_without_its_parent_waits_and_one_with_it_goes_on() {
    let terms = terms();
    let facts = claimed(None);
    assert_eq!(judge(&terms, 1).depends(&facts, false), Some(Change::AwaitParent(at(61))));
    assert_eq!(judge(&terms, 1).depends(&facts, true), None);
}
