//! How records ended before, as the store tells it.

use crosstie_engine::delivery::Failures;

use super::*;

const HOUR: i64 = 3600;

async fn bury(bench: &Bench, key: &str, plan: &str, second: i64) {
    bench.take(&[(key, 1, "x")], at(second)).await;
    let claimed = bench.claim_one(at(second)).await;
    let failures = Failures { cause: format!("{key} was refused"), ..Failures::default() };
    let burial = Burial { record: claimed.id, shown: None, failures, plan_hash: plan.into(), now: at(second) };
    bench.store.bury(burial).await.unwrap();
}

async fn deliver(bench: &Bench, key: &str, second: i64) {
    bench.take(&[(key, 1, "x")], at(second)).await;
    let claimed = bench.claim_one(at(second)).await;
    bench.settle(&claimed, delivered("h"), at(second)).await;
}

/// The keys of those that failed, and `-` for each that arrived.
async fn ends(bench: &Bench, most: usize) -> String {
    let ends = bench.store.last_ends(bench.scope, "plan".into(), most, 5).await.unwrap();
    let end = |end: Option<String>| end.map_or("-".to_owned(), |cause| cause.chars().take(1).collect());
    ends.into_iter().map(end).collect()
}

#[tokio::test]
async fn what_failed_under_a_plan_is_told_with_what_arrived_since_in_the_order_it_ended() {
    let bench = Bench::new().await;
    assert_eq!(ends(&bench, 20).await, "");
    deliver(&bench, "early", 1).await;
    bury(&bench, "x", "another plan", 2).await;
    bury(&bench, "a", "plan", 3).await;
    assert_eq!(ends(&bench, 20).await, "a", "what arrived before says nothing");
    deliver(&bench, "between", 4).await;
    bury(&bench, "b", "plan", 5).await;
    bury(&bench, "c", "plan", 6).await;
    let bench = bench.crash(at(7)).await;
    assert_eq!(ends(&bench, 20).await, "a-bc");
    assert_eq!(ends(&bench, 2).await, "bc");
    let gone = bench.store.dead_letters(0, 10).await.unwrap().iter().map(|letter| letter.id).collect();
    bench.store.discard(gone).await.unwrap();
    assert_eq!(ends(&bench, 20).await, "");
}

#[tokio::test]
async fn what_was_mended_since_is_not_told() {
    let bench = Bench::new().await;
    for (second, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
        bury(&bench, key, "plan", i64::try_from(second).unwrap() + 1).await;
    }
    for second in 10..14 {
        deliver(&bench, &format!("good {second}"), second).await;
    }
    assert_eq!(ends(&bench, 20).await, "abcd----");
    deliver(&bench, "good 14", 14).await;
    assert_eq!(ends(&bench, 20).await, "", "five in a row");
    // The same, told by the counts of hours alone.
    let bench = Bench::new().await;
    bury(&bench, "a", "plan", 1).await;
    for second in 0..5 {
        deliver(&bench, &format!("good {second}"), 2 * HOUR + second).await;
    }
    assert_eq!(ends(&bench, 20).await, "");
}
