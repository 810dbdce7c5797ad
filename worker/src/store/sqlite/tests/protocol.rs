//! Intake, claims, intents and settlements, with and without crashes between them.

use super::*;
use crate::store::Shown;
use crosstie_engine::delivery::{Failures, IntentChange};

fn postponement(due: Timestamp, intent: IntentChange) -> Postponement {
    Postponement { due, failures: Failures::default(), by_system: false, intent }
}

#[tokio::test]
async fn a_page_that_was_taken_survives_a_crash_with_the_state_of_reading() {
    let bench = Bench::new().await;
    let poll = PollState { cursor: Some(at(50).into()), ..PollState::default() };
    bench.take_with(&[("a", 1, "x"), ("b", 1, "x")], poll.clone(), at(1)).await.unwrap();
    let bench = bench.crash(at(2)).await;
    let opened = bench.store.open_scope(names(), at(0)).await.unwrap();
    assert_eq!((opened.poll, opened.last_run, opened.last_sync), (poll, Some(at(1)), Some(at(1))));
    assert_eq!(bench.backlog(at(1)).await.depth, 2);
}

#[tokio::test]
async fn what_is_known_already_is_dropped_and_what_is_not_is_kept() {
    let bench = Bench::new().await;
    let first = bench.take(&[("a", 1, "x"), ("a", 1, "x"), ("a", 2, "y")], at(1)).await;
    assert_eq!((first.kept, first.known, first.backlog.depth), (2, 1, 2));
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
async fn what_waits_for_a_time_or_for_another_record_is_not_due_and_neither_is_what_waits_behind_it() {
    let bench = Bench::new().await;
    let taken = bench.take(&[("a", 1, "x"), ("a", 2, "y"), ("b", 1, "x"), ("c", 1, "x")], at(1)).await;
    assert_eq!((taken.backlog.due, taken.backlog.depth), (3, 4));
    let claimed = bench.claim(2, at(1)).await;
    bench.store.postpone(claimed[0].id, postponement(at(100), IntentChange::Hold)).await.unwrap();
    let parent = ParentKey { scope: bench.scope, key: "z".into() };
    bench.store.await_parent(claimed[1].id, parent, at(60)).await.unwrap();
    assert_eq!(bench.backlog(at(2)).await, Backlog { due: 1, depth: 4, dead_letters: 0 });
    assert_eq!(bench.backlog(at(100)).await.due, 3);
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
async fn what_was_settled_survives_a_crash() {
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
async fn scopes_that_differ_in_any_part_have_queue_ledger_and_cursor_of_their_own() {
    let bench = Bench::new().await;
    let poll = PollState { cursor: Some(at(50).into()), ..PollState::default() };
    bench.take_with(&[("a", 1, "x"), ("a", 2, "y")], poll.clone(), at(1)).await.unwrap();
    let claimed = bench.claim_one(at(1)).await;
    bench.settle(&claimed, delivered("h"), at(2)).await;
    drop(claimed);
    let others = [
        Scope { flow: "refunds".into(), ..names() },
        Scope { source: "outlet".into(), ..names() },
        Scope { destination: "warehouse".into(), ..names() },
        Scope { environment: Environment::Sandbox, ..names() },
    ];
    for names in others {
        let other = bench.store.open_scope(names.clone(), at(2)).await.unwrap();
        assert_ne!(other.id, bench.scope, "{names:?}");
        assert_eq!((other.poll, other.last_run), (PollState::default(), None), "{names:?}");
        assert!(bench.store.claim(other.id, 5, at(2)).await.unwrap().records.is_empty(), "{names:?}");
        let parent = ParentKey { scope: other.id, key: "a".into() };
        assert!(!bench.store.is_present(parent).await.unwrap(), "{names:?}");
        assert_eq!(bench.store.identifier(other.id, "a".into()).await.unwrap(), None, "{names:?}");
        // The same state is news there, and has no ledger.
        let records = vec![incoming("a", 1, "x")];
        let page = TakenPage {
            scope: other.id,
            records,
            poll: PollState::default(),
            again: false,
            round: None,
            run: at(3),
            synced: None,
            now: at(3),
        };
        assert_eq!(bench.store.take_page(page).await.unwrap().kept, 1, "{names:?}");
        let there = bench.store.claim(other.id, 5, at(3)).await.unwrap().records;
        assert_eq!(there[0].facts.ledger, None, "{names:?}");
    }
    let own = bench.store.open_scope(names(), at(4)).await.unwrap();
    assert_eq!((own.id, own.poll), (bench.scope, poll));
    assert_eq!(bench.claim_one(at(4)).await.facts.ledger.unwrap().body_hash.as_deref(), Some("h"));
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
async fn a_letter_holds_the_record_whose_state_it_names() {
    let bench = Bench::new().await;
    let shown = |version, content: &str| {
        let Incoming::Record { seen, payload, .. } = incoming("a", version, content) else { panic!("it has no key") };
        Shown { seen, payload: payload.into() }
    };
    let letter = async |seen: &Seen| {
        let letter = bench.store.dead_letters(0, 1).await.unwrap().remove(0);
        let payload = bench.store.dead_letter(letter.id).await.unwrap().unwrap().payload.unwrap();
        assert_eq!(Seen { version: letter.version.unwrap(), hash: letter.source_hash }, *seen);
        let record = serde_json::from_str(&payload).unwrap();
        assert_eq!(Seen::of(seen.version, &record), *seen, "the record is not the state's");
        bench.store.discard(vec![letter.id]).await.unwrap();
    };
    let burial = |claimed: &Claimed, shown| Burial {
        record: claimed.id,
        shown,
        failures: Failures::default(),
        plan_hash: "plan".into(),
        now: at(3),
    };
    // Given up in doubt, by a later life: what was sent had been fetched.
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    let sent = shown(2, "y");
    let intent = NewIntent { seen: sent.seen.clone(), shown: Some(sent.clone()), ..bench.new_intent(&claimed, at(1)) };
    bench.store.open_intent(intent).await.unwrap();
    let doubt = IntentChange::Doubt(at(2));
    bench.store.postpone(claimed.id, postponement(at(2), doubt)).await.unwrap();
    drop(claimed);
    let claimed = bench.claim_one(at(2)).await;
    bench.store.bury(burial(&claimed, None)).await.unwrap();
    letter(&sent.seen).await;
    // Refused, after mere word of it came.
    let word = Incoming::Word { key: "a".into(), hash: "word".into(), payload: r#"{"id":"a"}"#.into() };
    let (scope, poll) = (bench.scope, PollState::default());
    let page =
        TakenPage { scope, records: vec![word], poll, again: false, round: None, run: at(4), synced: None, now: at(4) };
    bench.store.take_page(page).await.unwrap();
    let claimed = bench.claim_one(at(4)).await;
    let refused = shown(3, "z");
    bench.store.bury(burial(&claimed, Some(refused.clone()))).await.unwrap();
    letter(&refused.seen).await;
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

#[tokio::test]
async fn after_the_clock_was_set_back_what_waits_is_due_and_no_intent_trusts_its_age() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("b", 1, "x"), ("c", 1, "x")], at(7200)).await;
    let [first, second, third] = bench.claim(10, at(7200)).await.try_into().unwrap();
    let failures = Failures { cause: "503".into(), retry_at: Some(at(7260)), ..Failures::default() };
    let later = Postponement { failures, ..postponement(at(7260), IntentChange::Keep) };
    bench.store.postpone(first.id, later).await.unwrap();
    bench.store.open_intent(bench.new_intent(&second, at(7201))).await.unwrap();
    bench.store.postpone(second.id, postponement(at(7205), IntentChange::Doubt(at(7204)))).await.unwrap();
    drop((first, second, third));

    bench.store.open_scope(names(), at(7300)).await.unwrap();
    assert_eq!(keys(&bench.claim(10, at(7259)).await), ["c", "b"], "time that passes changes nothing");
    bench.store.open_scope(names(), at(10)).await.unwrap();
    let claimed = bench.claim(10, at(10)).await;
    let of = |key: &str| claimed.iter().find(|claimed| claimed.key == key).expect("it is due");
    assert_eq!(claimed.len(), 3);
    assert_eq!((of("a").facts.failures.retry_at, of("a").facts.failures.cause.as_str()), (None, "503"));
    let intent = &of("b").facts.intent.as_ref().expect("it is open").intent;
    assert_eq!((intent.stored_at, intent.in_doubt_since), (Timestamp::UNIX_EPOCH, Some(at(10))));
}
