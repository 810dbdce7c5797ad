//! A change is made whole or not at all: tried with each of its statements failing in turn, also those that begin and end its transaction.

use crosstie_engine::delivery::{Failures, IntentChange};
use rusqlite::types::Value;

use super::*;
use crate::store::TakenEvent;

/// Everything in the database.
async fn everything(bench: &Bench) -> Vec<String> {
    let read = |session: &mut Session| {
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut statement = session.connection.prepare(tables)?;
        let tables = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        let mut found = Vec::new();
        for table in tables {
            let mut statement = session.connection.prepare(&format!("SELECT * FROM {table}"))?;
            let columns = statement.column_count();
            let rows =
                statement.query_map([], |row| (0..columns).map(|column| row.get::<_, Value>(column)).collect())?;
            let rows = rows.collect::<Result<Vec<Vec<Value>>, _>>()?;
            found.extend(rows.into_iter().map(|row| format!("{table} {row:?}")));
        }
        Ok(found)
    };
    bench.store.writer.look(read).await.unwrap()
}

async fn strike(bench: &Bench, after: Option<u32>) {
    let set = move |session: &mut Session| {
        session.strikes.set(after);
        Ok(())
    };
    bench.store.writer.look(set).await.unwrap();
}

/// Makes a change over and over, each time of the same beginnings and with a later one of its statements failing, until none fails. Says how many
/// did.
async fn whole_or_not_at_all<T>(
    begin: impl AsyncFn(&Bench) -> T,
    change: impl AsyncFn(&Bench, &T) -> Result<(), StoreError>,
) -> u32 {
    for after in 0.. {
        let bench = Bench::new().await;
        let begun = begin(&bench).await;
        let before = everything(&bench).await;
        strike(&bench, Some(after)).await;
        let changed = change(&bench, &begun).await;
        strike(&bench, None).await;
        if changed.is_ok() {
            assert_ne!(everything(&bench).await, before, "nothing was changed");
            return after;
        }
        assert_eq!(everything(&bench).await, before, "statement {after} failed");
    }
    unreachable!("it ends with the first change that is made")
}

/// A record with an open intent.
async fn under_way(bench: &Bench) -> Claimed {
    bench.take(&[("a", 1, "x"), ("a", 2, "y")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
    claimed
}

fn settlement(bench: &Bench, claimed: &Claimed) -> Settlement {
    Settlement {
        record: claimed.id,
        scope: bench.scope,
        key: claimed.key.clone(),
        seen: claimed.facts.seen.clone(),
        how: delivered("h"),
        is_parent: true,
        singles: false,
        paired: false,
        twin: None,
        now: at(3),
    }
}

fn burial(claimed: &Claimed) -> Burial {
    let failures = Failures { attempts: 3, cause: "refused".into(), ..Failures::default() };
    Burial { record: claimed.id, shown: None, failures, plan_hash: "plan".into(), now: at(3) }
}

#[tokio::test]
async fn a_page_and_the_state_of_reading_are_taken_together() {
    let poll = PollState { cursor: Some(at(50).into()), ..PollState::default() };
    let statements = whole_or_not_at_all(
        async |_| (),
        async |bench, ()| {
            bench
                .take_with(&[("a", 1, "x"), ("b", 1, "x")], poll.clone(), at(1))
                .await
                .map(|taken| assert_eq!(taken.kept, 2))
        },
    );
    assert_eq!(statements.await, 5, "begin, two records, the state of reading, commit");
}

#[tokio::test]
async fn record_ledger_intent_and_dead_letters_are_settled_together() {
    let begin = async |bench: &Bench| {
        let older = under_way(bench).await;
        bench.store.bury(burial(&older)).await.unwrap();
        drop(older);
        let claimed = bench.claim_one(at(3)).await;
        bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
        claimed
    };
    let settle = async |bench: &Bench, claimed: &Claimed| bench.store.settle(settlement(bench, claimed)).await;
    assert!(whole_or_not_at_all(begin, settle).await > 6);
}

#[tokio::test]
async fn a_record_that_is_given_up_in_doubt_is_set_aside_and_forgotten_together() {
    let begin = async |bench: &Bench| {
        let claimed = under_way(bench).await;
        let doubt = IntentChange::Doubt(at(2));
        let later = Postponement { due: at(2), failures: Failures::default(), by_system: false, intent: doubt };
        bench.store.postpone(claimed.id, later).await.unwrap();
        claimed
    };
    assert!(whole_or_not_at_all(begin, async |bench, claimed| bench.store.bury(burial(claimed)).await).await > 6);
}

#[tokio::test]
async fn what_becomes_of_several_records_is_stored_together() {
    let begin = async |bench: &Bench| {
        bench.take(&[("a", 1, "x"), ("b", 1, "x"), ("c", 1, "x")], at(1)).await;
        let claimed = bench.claim(3, at(1)).await;
        let new = claimed.iter().map(|one| bench.new_intent(one, at(2))).collect();
        bench.store.open_batch(new).await.unwrap();
        claimed
    };
    let conclude = async |bench: &Bench, claimed: &Vec<Claimed>| {
        let apart = IntentChange::Apart(at(3));
        let later = Postponement { due: at(4), failures: Failures::default(), by_system: false, intent: apart };
        let verdicts = vec![
            Verdict::Settle(settlement(bench, &claimed[0])),
            Verdict::Bury(burial(&claimed[1])),
            Verdict::Postpone(claimed[2].id, later),
        ];
        bench.store.conclude(verdicts).await
    };
    assert!(whole_or_not_at_all(begin, conclude).await > 10);
}

#[tokio::test]
async fn a_replay_moves_a_letter_or_leaves_it() {
    let begin = async |bench: &Bench| {
        bench.take(&[("a", 1, "x")], at(1)).await;
        let claimed = bench.claim_one(at(1)).await;
        bench.store.bury(burial(&claimed)).await.unwrap();
        bench.store.dead_letters(0, 1).await.unwrap().remove(0).id
    };
    let replay = async |bench: &Bench, letter: &i64| {
        let replayed = bench.store.replay(vec![(*letter).into()], at(5)).await?;
        assert_eq!(replayed, [Replayed::Queued]);
        Ok(())
    };
    assert!(whole_or_not_at_all(begin, replay).await > 4);
}

#[tokio::test]
async fn an_event_is_known_again_only_with_what_it_brought() {
    let take = async |bench: &Bench, (): &()| {
        let event = TakenEvent {
            id: Some("1".into()),
            mark: Some("id 1".into()),
            topic: "orders".into(),
            hash: "h".into(),
            brings: vec![(bench.scope, incoming("a", 1, "x")), (bench.scope, incoming("b", 1, "x"))],
        };
        let events = TakenEvents { source: "shop".into(), events: vec![event], keep_until: at(100), now: at(1) };
        bench.store.take_events(events).await.map(|_| ())
    };
    assert!(whole_or_not_at_all(async |_| (), take).await > 4);
}
