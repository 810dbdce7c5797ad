//! What retention is for: the file of a store that takes and forgets for months grows no more after the first of them.

use futures::future::join_all;

use super::*;
use crate::store::TakenEvent;

const DAY: i64 = 24 * 3600;
const DAYS: i64 = 90;
/// Longer than anything is kept: events for a week here, dead letters for thirty days, counts of hours for less.
const KEPT: usize = 40;

/// An event of a day: a new state of a record that is there already, or something without a key, which goes to the dead letters.
fn event(scope: ScopeId, day: i64, number: i64) -> TakenEvent {
    let content = format!("{day} {number} {}", "x".repeat(700));
    let brings = if number % 10 == 0 {
        let (hash, payload) = (format!("{day}-{number}"), format!("{{\"content\": \"{content}\"}}"));
        Incoming::Faulty { key: String::new(), hash, payload, cause: "no key".into(), request_id: None }
    } else {
        incoming(&number.to_string(), day + 1, &content)
    };
    let id = format!("event {day} {number}");
    TakenEvent {
        mark: Some(format!("id {id}")),
        id: Some(id),
        topic: "orders/updated".into(),
        hash: format!("hash {day} {number}"),
        brings: vec![(scope, brings)],
    }
}

/// How many pages the file has after each of many days like any other.
async fn sizes(tidies: bool) -> Vec<i64> {
    let bench = Bench::new().await;
    // Counts what still lies in the log too.
    let other = rusqlite::Connection::open(bench.folder.path().join(DATABASE_FILE)).unwrap();
    let mut sizes = Vec::new();
    for day in 0..DAYS {
        let (now, keep_until) = (at(day * DAY), at((day + 7) * DAY));
        let events = (0..60).map(|number| event(bench.scope, day, number)).collect();
        let taken = TakenEvents { source: "shop".into(), events, keep_until, now };
        bench.store.take_events(taken).await.unwrap();
        let claimed = bench.claim(100, now).await;
        assert_eq!(claimed.len(), 54);
        join_all(claimed.iter().map(|claimed| bench.settle(claimed, delivered("h"), now))).await;
        drop(claimed);
        if tidies {
            bench.store.tidy(now).await.unwrap();
        }
        sizes.push(other.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap());
    }
    sizes
}

#[tokio::test]
async fn a_file_that_takes_and_forgets_grows_no_more_once_the_oldest_is_forgotten() {
    let sizes = sizes(true).await;
    let (then, last) = (sizes[KEPT], sizes[sizes.len() - 1]);
    assert!(last <= then + then / 10, "{then} pages after {KEPT} days, {last} after {DAYS}: {sizes:?}");
}

#[tokio::test]
async fn one_that_never_forgets_grows_on() {
    let sizes = sizes(false).await;
    let (then, last) = (sizes[KEPT], sizes[sizes.len() - 1]);
    assert!(
        last > then + then / 2,
        "{then} pages after {KEPT} days, {last} after {DAYS}: the test above proves nothing"
    );
}
