//! Pairs of records: what becomes of one is stored with what becomes of the record that was carried, or not at all.

use crosstie_engine::{
    delivery::{Failures, IntentChange, Postponement},
    pair::Memory,
    plan::Direction,
};

use super::*;
use crate::store::{Burial, PairScopes, ParentKey, TwinChange, TwinFacts, TwinQuestion, TwinRow};

const FORWARD: Direction = Direction::Forward;
const REVERSE: Direction = Direction::Reverse;

async fn pair(bench: &Bench) -> PairScopes {
    let names = Scope { flow: "orders-back".into(), source: "books".into(), destination: "shop".into(), ..names() };
    PairScopes { forward: bench.scope, reverse: bench.store.open_scope(names, at(0)).await.unwrap().id }
}

/// A memory that knows one field, in the terms of both flows.
fn memory() -> Memory {
    let traces = json!({"fields": {"name": {"known": "1", "expected": ["2"]}}, "rounds": 1});
    serde_json::from_value(json!({"forward": traces, "reverse": traces})).unwrap()
}

fn change(scopes: PairScopes, reverse: Option<&str>) -> TwinChange {
    let row = TwinRow {
        forward: Some("a".into()),
        reverse: reverse.map(str::to_owned),
        memory: memory(),
        ..TwinRow::default()
    };
    TwinChange { scopes, direction: FORWARD, row, overruled: None, word: None }
}

async fn facts(bench: &Bench, scopes: PairScopes, asks: (Direction, &str), named: Option<&str>) -> TwinFacts {
    let (direction, key) = asks;
    let named = named.map(str::to_owned);
    bench.store.twin(TwinQuestion { scopes, direction, record: 0, key: key.into(), named }).await.unwrap()
}

/// A record whose write is under way, and what its pair becomes by it.
async fn writing(bench: &Bench, change: &TwinChange) -> Claimed {
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    let intent = NewIntent { twin: Some(change.clone()), ..bench.new_intent(&claimed, at(1)) };
    bench.store.open_intent(intent).await.unwrap();
    claimed
}

async fn settle(bench: &Bench, claimed: &Claimed, how: Settled, twin: Option<TwinChange>) {
    let (record, scope, key, seen) = (claimed.id, bench.scope, claimed.key.clone(), claimed.facts.seen.clone());
    let (is_parent, singles, paired, now) = (false, true, true, at(3));
    let settlement = Settlement { record, scope, key, seen, how, is_parent, singles, paired, twin, now };
    bench.store.settle(settlement).await.unwrap();
}

#[tokio::test]
async fn a_pair_is_known_once_the_write_that_makes_it_is_settled_also_after_a_crash() {
    let bench = Bench::new().await;
    let scopes = pair(&bench).await;
    drop(writing(&bench, &change(scopes, None)).await);
    let bench = bench.crash(at(2)).await;
    let asked = facts(&bench, scopes, (REVERSE, "over-there"), Some("a")).await;
    assert_eq!((asked.row, asked.busy), (None, true), "it may be made at this moment");
    let claimed = bench.claim_one(at(2)).await;
    let question = TwinQuestion { scopes, direction: FORWARD, record: claimed.id, key: "a".into(), named: None };
    assert_eq!(bench.store.twin(question).await.unwrap().writing, Some(change(scopes, None)));
    settle(&bench, &claimed, delivered("h"), None).await;
    for asks in [(FORWARD, "a"), (REVERSE, "over-there")] {
        let found = facts(&bench, scopes, asks, None).await;
        let row = found.row.unwrap();
        assert_eq!((row.key(FORWARD), row.key(REVERSE)), (Some("a"), Some("over-there")));
        assert_eq!((row.memory, found.busy), (memory(), false));
    }
    assert_eq!(bench.store.identifier(scopes.reverse, "over-there".into()).await.unwrap().as_deref(), Some("a"));
    let parent = ParentKey { scope: scopes.reverse, key: "over-there".into() };
    assert!(bench.store.is_present(parent).await.unwrap(), "the other end has it");
}

#[tokio::test]
async fn what_took_no_effect_makes_nothing_of_a_pair() {
    let bench = Bench::new().await;
    let scopes = pair(&bench).await;
    let claimed = writing(&bench, &change(scopes, Some("b"))).await;
    settle(&bench, &claimed, Settled::LeftOut, Some(change(scopes, Some("b")))).await;
    assert_eq!(facts(&bench, scopes, (FORWARD, "a"), None).await, TwinFacts::default());
}

#[tokio::test]
async fn a_change_that_is_not_carried_counts_for_its_own_flow() {
    let bench = Bench::new().await;
    let scopes = pair(&bench).await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    let unchanged = || Settled::Unchanged { body_hash: "h".into() };
    let overruled = TwinChange { overruled: Some(REVERSE), ..change(scopes, Some("b")) };
    settle(&bench, &claimed, unchanged(), Some(overruled)).await;
    drop(claimed);
    let unchanged_of = |figures: Vec<Figures>| figures.iter().map(|figures| figures.unchanged).collect::<Vec<_>>();
    let both = vec![scopes.forward, scopes.reverse];
    assert_eq!(unchanged_of(bench.store.figures(both.clone(), at(3)).await.unwrap()), [1, 1]);
    bench.take(&[("a", 2, "y")], at(4)).await;
    let claimed = bench.claim_one(at(4)).await;
    let row = facts(&bench, scopes, (FORWARD, "a"), None).await.row.unwrap();
    let own = TwinChange { row, overruled: Some(FORWARD), ..change(scopes, None) };
    settle(&bench, &claimed, unchanged(), Some(own)).await;
    assert_eq!(unchanged_of(bench.store.figures(both, at(4)).await.unwrap()), [2, 1], "once");
}

#[tokio::test]
async fn of_a_write_that_is_given_up_in_doubt_only_what_the_twin_may_show_is_remembered() {
    let bench = Bench::new().await;
    let scopes = pair(&bench).await;
    let claimed = writing(&bench, &change(scopes, Some("b"))).await;
    let (failures, plan_hash) = (Failures::default(), String::new());
    let doubt = IntentChange::Doubt(at(2));
    let later = Postponement { due: at(3), failures: failures.clone(), by_system: false, intent: doubt };
    bench.store.postpone(claimed.id, later).await.unwrap();
    bench.store.bury(Burial { record: claimed.id, shown: None, failures, plan_hash, now: at(3) }).await.unwrap();
    let row = facts(&bench, scopes, (REVERSE, "b"), None).await.row.unwrap();
    assert_eq!(row.memory, Memory { reverse: memory().reverse, ..Memory::default() });
}

#[tokio::test]
async fn what_is_deleted_with_its_twin_is_at_neither_end() {
    let bench = Bench::new().await;
    let scopes = pair(&bench).await;
    let claimed = writing(&bench, &change(scopes, Some("b"))).await;
    settle(&bench, &claimed, delivered("h"), None).await;
    drop(claimed);
    let row = facts(&bench, scopes, (FORWARD, "a"), None).await.row.unwrap();
    let gone = TwinChange { row: TwinRow { gone: Some(FORWARD), ..row }, ..change(scopes, None) };
    bench.take(&[("a", 2, "y")], at(4)).await;
    let claimed = bench.claim_one(at(4)).await;
    let intent = NewIntent { twin: Some(gone), deletes: true, ..bench.new_intent(&claimed, at(4)) };
    bench.store.open_intent(intent).await.unwrap();
    settle(&bench, &claimed, Settled::Deleted, None).await;
    let row = facts(&bench, scopes, (REVERSE, "b"), None).await.row.unwrap();
    assert_eq!(row.gone, Some(FORWARD));
    assert_eq!(bench.store.identifier(scopes.reverse, "b".into()).await.unwrap(), None);
}
