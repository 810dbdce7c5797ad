//! Intake, claims, intents and settlements, with and without crashes between them.

use super::*;
use crosstie_engine::delivery::{Failures, IntentChange};

fn keys(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|claimed| claimed.key.as_str()).collect()
}

fn postponement(due: Timestamp, intent: IntentChange) -> Postponement {
    Postponement { due, failures: Failures::default(), by_system: false, intent }
}

#[tokio::test]
async fn a_page_and_the_state_of_reading_are_taken_together_or_not_at_all() {
    let bench = Bench::new().await;
    let poll = PollState { cursor: Some(at(50).into()), ..PollState::default() };
    bench.take_with(&[("a", 1, "x"), ("b", 1, "x")], poll.clone(), at(1)).await.unwrap();
    let bench = bench.crash(at(2)).await;
    let opened = bench.store.open_scope(names(), at(0)).await.unwrap();
    assert_eq!((opened.poll, opened.last_run, opened.last_sync), (poll, Some(at(1)), Some(at(1))));
    assert_eq!(bench.store.queue_depth(bench.scope).await.unwrap(), 2);
    let nowhere = TakenPage {
        scope: ScopeId(99),
        records: vec![incoming("c", 1, "x")],
        poll: PollState::default(),
        again: false,
        run: at(3),
        synced: None,
        now: at(3),
    };
    assert!(bench.store.take_page(nowhere).await.is_err());
    assert_eq!(bench.store.queue_depth(bench.scope).await.unwrap(), 2);
}

#[tokio::test]
async fn what_is_known_already_is_dropped_and_what_is_not_is_kept() {
    let bench = Bench::new().await;
    let first = bench.take(&[("a", 1, "x"), ("a", 1, "x"), ("a", 2, "y")], at(1)).await;
    assert_eq!((first.kept, first.known, first.depth), (2, 1, 2));
    let claimed = bench.claim_one(at(1)).await;
    bench.settle(&claimed, delivered("h1"), at(2)).await;
    drop(claimed);
    let claimed = bench.claim_one(at(2)).await;
    bench.settle(&claimed, delivered("h2"), at(3)).await;
    drop(claimed);
    let again = bench.take(&[("a", 2, "y"), ("a", 1, "x")], at(4)).await;
    assert_eq!(
        (again.kept, again.known),
        (1, 1),
        "the ledger's state is dropped, an older one is kept and superseded later"
    );
}

#[tokio::test]
async fn a_key_is_handed_out_once_at_a_time_and_in_order() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("b", 1, "x"), ("a", 2, "y")], at(1)).await;
    let mut first = bench.claim(10, at(1)).await;
    assert_eq!(keys(&first), ["a", "b"]);
    assert!(bench.claim(10, at(1)).await.is_empty(), "both keys are claimed");
    let head = first.remove(0);
    assert_eq!(head.facts.seen.version, Version::Counter(1));
    bench.settle(&head, delivered("h"), at(2)).await;
    drop(head);
    let next = bench.claim(10, at(2)).await;
    assert_eq!(keys(&next), ["a"]);
    assert_eq!(next[0].facts.seen.version, Version::Counter(2));
    assert_eq!(next[0].facts.ledger.as_ref().unwrap().version, Version::Counter(1));
}

#[tokio::test]
async fn a_record_that_is_retried_blocks_its_own_key_only() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("a", 2, "y"), ("b", 1, "x")], at(1)).await;
    let head = bench.claim_one(at(1)).await;
    bench.store.postpone(head.id, postponement(at(100), IntentChange::Keep)).await.unwrap();
    drop(head);
    let claim = bench.store.claim(bench.scope, 10, at(2)).await.unwrap();
    assert_eq!(keys(&claim.records), ["b"]);
    assert_eq!(claim.next_due, Some(at(100)));
    let later = bench.claim(10, at(100)).await;
    assert_eq!((later[0].key.as_str(), &later[0].facts.seen.version), ("a", &Version::Counter(1)));
}

#[tokio::test]
async fn a_claim_ends_with_its_guard_and_with_the_process() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    drop(bench.claim_one(at(1)).await);
    let claimed = bench.claim_one(at(1)).await;
    let bench = bench.crash(at(2)).await;
    assert_eq!(bench.claim_one(at(2)).await.id, claimed.id);
}

#[tokio::test]
async fn an_intent_survives_a_crash_and_is_in_doubt_since_the_restart() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    let stored = bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
    assert_eq!(stored.intent.in_doubt_since, None);
    bench.store.postpone(claimed.id, postponement(at(5000), IntentChange::Keep)).await.unwrap();
    let bench = bench.crash(at(60)).await;
    let found = bench.claim_one(at(60)).await.facts.intent.unwrap();
    assert_eq!(found.intent.in_doubt_since, Some(at(60)));
    assert_eq!(
        (found.intent.idempotency_key, found.body, found.operation),
        (stored.intent.idempotency_key, stored.body, stored.operation)
    );
    let bench = bench.crash(at(30)).await;
    let kept = bench.claim_one(at(60)).await.facts.intent.unwrap();
    assert_eq!(kept.intent.in_doubt_since, Some(at(60)), "a clock that was set back does not shorten the doubt");
}

#[tokio::test]
async fn a_send_that_was_begun_and_given_up_is_in_doubt_and_one_that_was_not_begun_is_not() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
    drop(claimed);
    let claimed = bench.claim_one(at(3)).await;
    assert_eq!(claimed.facts.intent.as_ref().unwrap().intent.in_doubt_since, None);
    claimed.guard.sending();
    drop(claimed);
    let claimed = bench.claim_one(at(4)).await;
    assert_eq!(claimed.facts.intent.as_ref().unwrap().intent.in_doubt_since, Some(at(4)));
    bench.store.postpone(claimed.id, postponement(at(5), IntentChange::Keep)).await.unwrap();
    claimed.guard.stored();
    drop(claimed);
    let again = bench.claim_one(at(9)).await.facts.intent.unwrap();
    assert_eq!(again.intent.in_doubt_since, Some(at(4)), "the doubt is stored, and is not renewed");
}

#[tokio::test]
async fn record_ledger_and_intent_are_settled_together() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
    bench.settle(&claimed, delivered("h"), at(3)).await;
    let bench = bench.crash(at(4)).await;
    assert!(bench.claim(1, at(4)).await.is_empty());
    let figures = bench.figures(at(4)).await;
    assert_eq!((figures.delivered, figures.queue_depth, figures.day.delivered), (1, 0, 1));
    let identifier = bench.store.identifier(bench.scope, "a".into()).await.unwrap();
    assert_eq!(identifier.as_deref(), Some("over-there"));
    bench.take(&[("a", 2, "y")], at(5)).await;
    let claimed = bench.claim_one(at(5)).await;
    assert_eq!(claimed.facts.ledger.as_ref().unwrap().body_hash.as_deref(), Some("h"));
    assert!(claimed.facts.intent.is_none());
    bench.settle(&claimed, Settled::Unchanged { body_hash: "h".into() }, at(6)).await;
    let identifier = bench.store.identifier(bench.scope, "a".into()).await.unwrap();
    assert_eq!(identifier.as_deref(), Some("over-there"), "a state that needed no write keeps the identifier");
}

#[tokio::test]
async fn a_second_intent_for_the_same_record_is_refused_and_sequences_are_never_used_twice() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    let first = bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
    assert!(bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.is_err());
    bench.store.close_intent(claimed.id).await.unwrap();
    drop(claimed);
    let bench = bench.crash(at(3)).await;
    let claimed = bench.claim_one(at(3)).await;
    let second = bench.store.open_intent(bench.new_intent(&claimed, at(4))).await.unwrap();
    assert!(second.intent.sequence > first.intent.sequence);
    assert_ne!(second.intent.idempotency_key, first.intent.idempotency_key);
}

#[tokio::test]
async fn what_becomes_of_an_intent_is_stored_with_the_waiting_record() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
    drop(claimed);
    let steps = [IntentChange::Doubt(at(3)), IntentChange::Refused, IntentChange::Hold];
    for (change, held) in steps.into_iter().zip([0, 0, 1]) {
        let claimed = bench.claim_one(at(4)).await;
        bench.store.postpone(claimed.id, postponement(at(4), change)).await.unwrap();
        assert_eq!(bench.figures(at(4)).await.held, held);
    }
    let held = bench.claim_one(at(4)).await;
    bench.store.postpone(held.id, postponement(at(500), IntentChange::Hold)).await.unwrap();
    drop(held);
    bench.store.open_scope(names(), at(4)).await.unwrap();
    let claimed = bench.claim(1, at(4)).await.pop().expect("what is held is due when the scope is opened");
    let intent = claimed.facts.intent.as_ref().unwrap();
    assert_eq!((intent.intent.in_doubt_since, intent.refused), (Some(at(3)), true));
    bench.store.postpone(claimed.id, postponement(at(4), IntentChange::Close)).await.unwrap();
    drop(claimed);
    assert!(bench.claim_one(at(4)).await.facts.intent.is_none());
}

#[tokio::test]
async fn only_records_that_wait_for_the_system_are_hastened() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("b", 1, "x")], at(1)).await;
    for claimed in bench.claim(2, at(1)).await {
        let by_system = claimed.key == "a";
        let postponement = Postponement { by_system, ..postponement(at(500), IntentChange::Keep) };
        bench.store.postpone(claimed.id, postponement).await.unwrap();
    }
    bench.store.hasten(bench.scope, at(10)).await.unwrap();
    assert_eq!(keys(&bench.claim(5, at(10)).await), ["a"]);
}

#[tokio::test]
async fn scopes_do_not_see_each_other() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let other = Scope { destination: "warehouse".into(), ..names() };
    let other = bench.store.open_scope(other, at(0)).await.unwrap();
    assert_ne!(other.id, bench.scope);
    assert!(bench.store.claim(other.id, 5, at(2)).await.unwrap().records.is_empty());
    assert_eq!(bench.store.open_scope(names(), at(0)).await.unwrap().id, bench.scope);
}

#[tokio::test]
async fn while_a_write_is_under_way_what_comes_in_is_compared_with_the_state_that_is_written() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    // It was fetched anew after it was claimed.
    let Incoming::Record { seen, .. } = incoming("a", 2, "y") else { panic!("it has no key") };
    bench.store.open_intent(NewIntent { seen, ..bench.new_intent(&claimed, at(1)) }).await.unwrap();
    let taken = bench.take(&[("a", 2, "y")], at(2)).await;
    assert_eq!((taken.kept, taken.known), (0, 1), "it is written just now");
    assert_eq!(bench.take(&[("a", 1, "x")], at(3)).await.kept, 1, "what waited is not what is written");
}

#[tokio::test]
async fn what_is_left_out_leaves_known_what_the_destination_has() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("a", 2, "y"), ("a", 3, "z")], at(1)).await;
    for (how, body_hash) in [(delivered("h"), None), (Settled::LeftOut, Some("h")), (Settled::Deleted, Some("h"))] {
        let claimed = bench.claim_one(at(2)).await;
        let known = claimed.facts.ledger.as_ref().and_then(|ledger| ledger.body_hash.as_deref());
        assert_eq!(known, body_hash);
        bench.settle(&claimed, how, at(2)).await;
    }
    bench.take(&[("a", 4, "x")], at(3)).await;
    let ledger = bench.claim_one(at(3)).await.facts.ledger.unwrap();
    assert_eq!((ledger.body_hash, ledger.present), (None, false));
}
