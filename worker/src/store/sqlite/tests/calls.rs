//! The log of calls: written with what is committed anyway, never in its way, and never more of it than is kept.

use super::*;
use crate::store::{CallGap, CallGapWhy, MadeCall};

const DAY: i64 = 24 * 3600;

fn call(second: i64) -> MadeCall {
    MadeCall {
        at: at(second),
        system: "books".into(),
        purpose: "Write".into(),
        name: "upsert".into(),
        method: "PUT".into(),
        path: "/orders/a".into(),
        status: Some(200),
        outcome: "Done".into(),
        failed: false,
        milliseconds: 12,
        request_id: Some(format!("r-{second}")),
        flow: Some("orders".into()),
        key: Some("a".into()),
        attempt: Some(1),
        records: None,
    }
}

/// A bench whose store keeps this many calls, for three days.
async fn keeping(most: i64) -> Bench {
    let Bench { folder, store, .. } = Bench::new().await;
    store.close().await.unwrap();
    let book = Arc::new(CallBook::keeping(most));
    book.set_days(3);
    let store = SqliteStore::open_logging(folder.path(), Uuid::new_v4(), at(0), book).unwrap();
    let scope = store.open_scope(names(), at(0)).await.unwrap().id;
    Bench { folder, store, scope }
}

async fn page(bench: &Bench, ask: CallQuery) -> CallPage {
    bench.store.calls(ask).await.unwrap()
}

async fn ids(bench: &Bench, ask: CallQuery) -> Vec<String> {
    page(bench, ask).await.calls.into_iter().map(|logged| logged.call.request_id.unwrap()).collect()
}

async fn commits(bench: &Bench) -> u64 {
    bench.store.writer.look(|session| Ok(session.commits)).await.unwrap()
}

/// Notes calls and stores them.
async fn log(bench: &Bench, calls: impl Iterator<Item = MadeCall>) {
    calls.for_each(|call| bench.store.calls.note(call));
    bench.store.write_calls().await.unwrap();
}

#[tokio::test]
async fn a_call_is_stored_with_what_came_of_it_and_takes_no_commit_of_its_own() {
    let bench = keeping(100).await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let claimed = bench.claim_one(at(1)).await;
    bench.store.open_intent(bench.new_intent(&claimed, at(2))).await.unwrap();
    let before = commits(&bench).await;
    bench.store.calls.note(call(2));
    assert_eq!((commits(&bench).await, ids(&bench, CallQuery::default()).await), (before, vec![]));
    bench.settle(&claimed, delivered("h"), at(3)).await;
    assert_eq!(commits(&bench).await, before + 1);
    let all = page(&bench, CallQuery::default()).await;
    assert_eq!(all.calls.iter().map(|logged| &logged.call).collect::<Vec<_>>(), [&call(2)]);
    assert_eq!((all.next, all.gaps), (None, vec![]));
    let bench = bench.crash(at(4)).await;
    assert_eq!(ids(&bench, CallQuery::default()).await, ["r-2"]);
}

#[tokio::test]
async fn calls_that_wait_are_stored_when_the_store_is_closed() {
    let bench = keeping(5000).await;
    (0..1500).for_each(|second| bench.store.calls.note(call(second)));
    bench.store.close().await.unwrap();
    let again = SqliteStore::open(bench.folder.path(), Uuid::new_v4(), at(2)).unwrap();
    let found = again.calls(CallQuery::default()).await.unwrap();
    assert_eq!((found.calls.len(), found.next), (1500, None));
}

#[tokio::test]
async fn a_transaction_that_fails_loses_no_call_and_a_log_that_fails_undoes_no_transaction() {
    let bench = keeping(100).await;
    let strike = async |after: u32| {
        let set = move |session: &mut Session| {
            session.strikes.set(Some(after));
            Ok(())
        };
        bench.store.writer.look(set).await.unwrap();
    };
    let unstruck = async || {
        let set = |session: &mut Session| {
            session.strikes.set(None);
            Ok(())
        };
        bench.store.writer.look(set).await.unwrap();
    };
    // What begins the transaction, the call, what commits it.
    for struck in [0, 2] {
        bench.store.calls.note(call(i64::from(struck)));
        strike(struck).await;
        assert!(bench.store.write_calls().await.is_err(), "statement {struck}");
        unstruck().await;
        bench.store.write_calls().await.unwrap();
    }
    assert_eq!(ids(&bench, CallQuery::default()).await, ["r-2", "r-0"]);
    bench.store.calls.note(call(7));
    strike(1).await;
    bench.store.write_calls().await.unwrap();
    unstruck().await;
    bench.store.write_calls().await.unwrap();
    let found = page(&bench, CallQuery::default()).await;
    assert_eq!(found.calls.len(), 2, "{found:?}");
    assert_eq!(found.gaps, [CallGap { why: CallGapWhy::NotStored, calls: 1, until: at(7) }]);
}

#[tokio::test]
async fn calls_are_forgotten_by_their_age_with_what_is_said_to_be_missing_and_all_of_them_when_none_are_kept() {
    let bench = keeping(100_000).await;
    for day in 0..5 {
        log(&bench, (0..900).map(|number| call(day * DAY + number))).await;
    }
    // The end of the second day's calls is three days ago.
    bench.store.tidy(at(4 * DAY + 899)).await.unwrap();
    let found = ids(&bench, CallQuery::default()).await;
    assert_eq!((found.len(), found.last().unwrap().as_str()), (2701, format!("r-{}", DAY + 899).as_str()));
    bench.store.calls.set_days(0);
    bench.store.tidy(at(4 * DAY + 899)).await.unwrap();
    assert_eq!(page(&bench, CallQuery::default()).await, CallPage::default());
}

#[tokio::test]
async fn of_too_many_calls_the_oldest_go_and_that_is_said_until_their_days_are_over() {
    let bench = keeping(50).await;
    log(&bench, (0..70).map(call)).await;
    log(&bench, (70..80).map(call)).await;
    let found = page(&bench, CallQuery::default()).await;
    assert_eq!((found.calls.len(), found.calls[49].call.at), (50, at(30)));
    let gap = CallGap { why: CallGapWhy::TooMany, calls: 30, until: at(29) };
    assert_eq!(found.gaps, [gap]);
    bench.store.tidy(at(3 * DAY)).await.unwrap();
    assert_eq!(page(&bench, CallQuery::default()).await.gaps, [gap]);
    bench.store.tidy(at(3 * DAY + 30)).await.unwrap();
    assert_eq!(page(&bench, CallQuery::default()).await.gaps, []);
}

#[tokio::test]
async fn calls_are_found_by_flow_system_status_and_time() {
    let bench = keeping(100).await;
    let made = |second: i64, flow: &str, system: &str, status: Option<u16>| MadeCall {
        flow: Some(flow.into()),
        system: system.into(),
        status,
        failed: status != Some(200),
        ..call(second)
    };
    let alert = MadeCall { flow: None, ..call(5) };
    let calls = [
        made(1, "orders", "shop", Some(200)),
        made(2, "orders", "books", Some(429)),
        made(3, "refunds", "books", Some(422)),
        made(4, "refunds", "books", None),
        alert,
    ];
    log(&bench, calls.into_iter()).await;
    let all = CallQuery::default;
    for (ask, expected) in [
        (CallQuery { flow: Some("orders".into()), ..all() }, vec!["r-2", "r-1"]),
        (CallQuery { system: Some("shop".into()), ..all() }, vec!["r-1"]),
        (CallQuery { failed: true, ..all() }, vec!["r-4", "r-3", "r-2"]),
        (CallQuery { statuses: (400, 499), ..all() }, vec!["r-3", "r-2"]),
        (CallQuery { statuses: (0, 0), ..all() }, vec!["r-4"]),
        (CallQuery { since: Some(at(4)), ..all() }, vec!["r-5", "r-4"]),
        (CallQuery { flow: Some("orders".into()), failed: true, system: Some("shop".into()), ..all() }, vec![]),
    ] {
        assert_eq!(ids(&bench, ask.clone()).await, expected, "{ask:?}");
    }
}

#[tokio::test]
async fn a_long_log_is_looked_at_in_parts_and_whoever_asks_on_sees_all_of_it_once() {
    let bench = keeping(100_000).await;
    for thousand in 0..12 {
        let rare = |second: i64| MadeCall { failed: second == 11, ..call(second) };
        log(&bench, (thousand * 1000..(thousand + 1) * 1000).map(rare)).await;
    }
    let (mut ask, mut found, mut parts) = (CallQuery { failed: true, ..CallQuery::default() }, Vec::new(), 0);
    loop {
        let part = page(&bench, ask.clone()).await;
        found.extend(part.calls);
        parts += 1;
        let Some(next) = part.next else { break };
        assert!(next < ask.before);
        ask.before = next;
    }
    assert_eq!((found.len(), found[0].call.at, parts), (1, at(11), 3));
    let recent = CallQuery { failed: true, since: Some(at(11_000)), ..CallQuery::default() };
    assert_eq!(page(&bench, recent).await.next, None, "what is older is not looked at");
    let (mut ask, mut seen) = (CallQuery { limit: 500, ..CallQuery::default() }, Vec::new());
    loop {
        let part = page(&bench, ask.clone()).await;
        seen.extend(part.calls.iter().map(|logged| logged.number));
        let Some(next) = part.next else { break };
        ask.before = next;
    }
    assert!(seen.len() == 12_000 && seen.windows(2).all(|two| two[0] == two[1] + 1));
}
