//! One intent for several records: stored together, handed out together, in doubt together, settled together or taken apart.

use super::*;
use crosstie_engine::delivery::{Failures, IntentChange};

fn ids(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|claimed| claimed.id).collect()
}

fn postponed(claimed: &Claimed, due: Timestamp, intent: IntentChange) -> Verdict {
    Verdict::Postpone(claimed.id, Postponement { due, failures: Failures::default(), by_system: false, intent })
}

/// Opens one intent for all of these.
async fn open_batch(bench: &Bench, claimed: &[Claimed]) -> Vec<OpenIntent> {
    bench.store.open_batch(claimed.iter().map(|one| bench.new_intent(one, at(2))).collect()).await.unwrap()
}

fn intents(claimed: &[Claimed]) -> Vec<&OpenIntent> {
    claimed.iter().map(|one| one.facts.intent.as_ref().unwrap()).collect()
}

async fn claimed_batch(bench: &Bench) -> Vec<Claimed> {
    bench.take(&[("a", 1, "x"), ("b", 1, "x"), ("c", 1, "x")], at(1)).await;
    let claimed = bench.claim(3, at(1)).await;
    open_batch(bench, &claimed).await;
    claimed
}

#[tokio::test]
async fn a_batch_has_one_sequence_and_one_key_and_survives_a_crash_as_it_was() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x"), ("b", 1, "x"), ("c", 1, "x")], at(1)).await;
    let claimed = bench.claim(3, at(1)).await;
    let opened = open_batch(&bench, &claimed).await;
    assert!(opened.iter().all(|open| open.size == 3 && open.intent == opened[0].intent));
    let bench = bench.crash(at(60)).await;
    let again = bench.claim(3, at(60)).await;
    assert_eq!(ids(&again), ids(&claimed));
    for (open, before) in intents(&again).into_iter().zip(&opened) {
        assert_eq!(open.intent.in_doubt_since, Some(at(60)));
        assert_eq!(open.intent.idempotency_key, before.intent.idempotency_key);
        assert_eq!((&open.body, open.size, &open.operation), (&before.body, 3, &before.operation));
    }
}

#[tokio::test]
async fn a_batch_is_handed_out_whole_or_not_at_all() {
    let bench = Bench::new().await;
    let claimed = claimed_batch(&bench).await;
    bench.take(&[("d", 1, "x")], at(1)).await;
    let mut guards = claimed.into_iter();
    let last = guards.next_back().unwrap();
    drop(guards);
    let others = bench.claim(9, at(2)).await;
    assert_eq!(others.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["d"], "one of the batch is claimed");
    drop((last, others));
    let whole = bench.claim(1, at(2)).await;
    assert_eq!(whole.len(), 3, "the limit does not cut a batch");
    assert!(whole.windows(2).all(|pair| pair[0].id < pair[1].id));
}

#[tokio::test]
async fn a_send_that_was_given_up_leaves_the_whole_batch_in_doubt() {
    let bench = Bench::new().await;
    let claimed = claimed_batch(&bench).await;
    for one in &claimed {
        one.guard.sending();
    }
    drop(claimed);
    let again = bench.claim(3, at(7)).await;
    assert!(intents(&again).iter().all(|open| open.intent.in_doubt_since == Some(at(7))));
}

#[tokio::test]
async fn what_becomes_of_a_batch_is_stored_together() {
    let bench = Bench::new().await;
    let claimed = claimed_batch(&bench).await;
    let [a, b, c] = claimed.as_slice() else { panic!() };
    let settle = |one: &Claimed| {
        let (key, seen) = (one.key.clone(), one.facts.seen.clone());
        let how = delivered("h");
        Verdict::Settle(Settlement {
            record: one.id,
            scope: bench.scope,
            key,
            seen,
            how,
            is_parent: false,
            singles: true,
            paired: false,
            twin: None,
            now: at(3),
        })
    };
    let (failures, plan_hash) = (Failures::default(), String::new());
    let bury = Verdict::Bury(Burial { record: c.id, shown: None, failures, plan_hash, now: at(3) });
    let impossible = Settlement {
        record: a.id,
        scope: ScopeId(99),
        key: "a".into(),
        seen: a.facts.seen.clone(),
        how: delivered("h"),
        is_parent: false,
        singles: true,
        paired: false,
        twin: None,
        now: at(3),
    };
    let failed = bench.store.conclude(vec![settle(b), bury.clone(), Verdict::Settle(impossible)]).await;
    assert!(failed.is_err() && bench.figures(at(3)).await.queue_depth == 3, "all or nothing");
    let all = vec![settle(a), postponed(b, at(9), IntentChange::Close), bury];
    bench.store.conclude(all).await.unwrap();
    let figures = bench.figures(at(3)).await;
    assert_eq!((figures.delivered, figures.dead_letters, figures.queue_depth), (1, 1, 1));
    drop(claimed);
    let bench = bench.crash(at(9)).await;
    let left = bench.claim_one(at(9)).await;
    assert!(left.key == "b" && left.facts.intent.is_none());
}

#[tokio::test]
async fn a_batch_that_is_taken_apart_is_intents_of_their_own_in_doubt_with_keys_that_were_never_sent() {
    let bench = Bench::new().await;
    let claimed = claimed_batch(&bench).await;
    let shared = claimed[0].facts.intent.clone();
    let apart = claimed.iter().map(|one| postponed(one, at(4), IntentChange::Apart(at(3)))).collect();
    bench.store.conclude(apart).await.unwrap();
    drop((claimed, shared));
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let one = bench.claim(1, at(4)).await;
        let open = intents(&one)[0];
        assert_eq!((open.size, open.apart, open.intent.in_doubt_since), (1, true, Some(at(3))));
        assert_eq!(open.intent.stored_at, at(2), "look-ups reach back to when it was decided");
        keys.insert(open.intent.idempotency_key.clone());
        bench.store.conclude(vec![postponed(&one[0], at(500), IntentChange::Keep)]).await.unwrap();
    }
    assert_eq!(keys.len(), 3);
}

#[tokio::test]
async fn an_operation_is_stored_once_and_forgotten_when_no_intent_has_it() {
    let bench = Bench::new().await;
    let claimed = claimed_batch(&bench).await;
    let operations = |session: &mut Session| {
        Ok(session.connection.query_row("SELECT count(*) FROM operation", [], |row| row.get::<_, i64>(0))?)
    };
    bench.store.tidy(at(3)).await.unwrap();
    assert_eq!(bench.store.writer.look(operations).await.unwrap(), 1);
    let close = claimed.iter().map(|one| postponed(one, at(4), IntentChange::Close)).collect();
    bench.store.conclude(close).await.unwrap();
    bench.store.tidy(at(3)).await.unwrap();
    assert_eq!(bench.store.writer.look(operations).await.unwrap(), 0);
    let again = bench.store.open_intent(bench.new_intent(&claimed[0], at(5))).await.unwrap();
    drop(claimed);
    let bench = bench.crash(at(6)).await;
    let found = bench.claim(3, at(6)).await.into_iter().find_map(|one| one.facts.intent);
    assert_eq!(found.unwrap().operation, again.operation);
}

#[tokio::test]
async fn an_operation_whose_transaction_was_undone_is_stored_by_the_next() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    let twice = vec![bench.new_intent(&claimed, at(2)), bench.new_intent(&claimed, at(2))];
    assert!(bench.store.open_batch(twice).await.is_err(), "a record is in a batch once");
    bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
    drop(claimed);
    assert!(bench.claim_one(at(3)).await.facts.intent.is_some());
}
