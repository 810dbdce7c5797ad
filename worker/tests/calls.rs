//! The log of calls to vendors, over HTTP as `kubectl crosstie calls` reads it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{collections::BTreeMap, fs};

use common::{Bench, process::Process, until, until_report};
use crosstie_crds::calls::{Call, Calls};
use crosstie_engine::plan::Authentication;
use crosstie_vendors::wire::{Fault, FaultRule};
use crosstie_worker::Worker;
use serde_json::json;

/// The calls that a query asks for, newest first, as the worker tells them, and their text.
async fn asked(address: std::net::SocketAddr, query: &str) -> (Calls, String) {
    let text = reqwest::get(format!("http://{address}/calls?{query}")).await.unwrap().text().await.unwrap();
    (serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")), text)
}

async fn calls(worker: &Worker, query: &str) -> Vec<Call> {
    asked(worker.letters_address().unwrap(), query).await.0.calls
}

fn status(code: u16) -> FaultRule {
    let headers = BTreeMap::from([("set-cookie".to_owned(), "cookie-hush".to_owned())]);
    FaultRule::new(Fault::Status { code, headers, body: json!({"error": "jane@example.com"}) }).method("PUT")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_writes_failures_and_retries_are_in_the_log_with_the_vendors_ids_and_nothing_secret_is() {
    let mut bench = Bench::new().await;
    bench.plan.source.request_id_header = Some("X-Request-Id".into());
    bench.write_plan();
    for id in 1..=3 {
        bench.order(id, "note-hush").await;
    }
    bench.books.add_fault(&status(422).path_contains("eid:2")).await.unwrap();
    bench.books.add_fault(&status(503).path_contains("eid:3").times(1)).await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "one is set aside, and the others are settled", |report| {
        report.flows.first().is_some_and(|flow| (flow.dead_letters, flow.queue_depth, flow.delivered) == (1, 0, 2))
    })
    .await;

    let reads = calls(&worker, "system=shop&flow=orders").await;
    let read = reads.last().unwrap();
    assert_eq!((read.purpose.as_str(), read.name.as_str(), read.method.as_str()), ("ReadTime", "orders", "GET"));
    assert!(read.path.ends_with("/admin/api/2026-07/orders.json") && read.status == Some(200), "{}", read.path);
    assert!(reads.iter().any(|read| read.purpose == "ReadPage" && read.outcome == "Done" && !read.failed));
    assert!(reads.iter().all(|read| read.request_id.is_some() && read.key.is_none() && read.attempt.is_none()));

    let mut writes = calls(&worker, "system=books&flow=orders").await;
    writes.reverse();
    let of = |key: &str| writes.iter().filter(|call| call.key.as_deref() == Some(key)).collect::<Vec<_>>();
    let [first] = of("1").try_into().unwrap();
    assert_eq!((first.name.as_str(), first.attempt, first.records), ("upsertSalesOrder", Some(1), None));
    assert!(first.path.ends_with("/salesOrder/eid:1") && first.outcome == "Done" && first.request_id.is_some());
    let refused = of("2");
    let told = |call: &&Call| (call.status, call.outcome.clone(), call.failed, call.attempt);
    let refusal = |attempt| (Some(422), "Refused".to_owned(), true, Some(attempt));
    assert_eq!(refused.iter().map(told).collect::<Vec<_>>(), [1, 2, 3].map(refusal));
    let letter = worker.letters().list(0, 1).await.unwrap().remove(0);
    let ids: Vec<String> = refused.iter().filter_map(|call| call.request_id.clone()).collect();
    assert_eq!(ids, letter.request_ids, "the ids of the dead letter");
    let unwell = of("3");
    assert_eq!((unwell[0].status, unwell[0].outcome.as_str(), unwell[0].failed), (Some(503), "ServerError", true));
    // What a failing write came to is looked up before anything is sent again.
    assert!(unwell.iter().any(|call| call.purpose == "LookUp"), "{unwell:?}");
    assert!(unwell.last().is_some_and(|call| call.purpose == "Write" && !call.failed), "{unwell:?}");

    let failed = calls(&worker, "failed=true&lowest=422&highest=422").await;
    assert_eq!(failed.len(), 3);
    let (page, text) = asked(worker.letters_address().unwrap(), "").await;
    assert!(page.days == Some(3) && page.gaps.is_empty() && page.next.is_none());
    worker.stop().await;
    for secret in ["shop-1", "books-1", "hush", "jane", "updated_at_min", "expandSubResources"] {
        assert!(!text.contains(secret), "{secret} is in the log: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_the_query_is_not_in_the_log_nor_in_the_store() {
    let mut bench = Bench::new().await;
    bench.plan.source.authentication =
        Authentication::Query { name: "api_key".into(), value: "{token}".to_owned().try_into().unwrap() };
    bench.write_plan();
    bench.write_credentials("source", "shop", ("v1", "CTSEED-of-the-query"), None);
    let worker = bench.start().await;
    until("it is at work", || async { worker.unready().is_none() }).await;
    until("the refusal is in the log", || async { !calls(&worker, "system=shop&failed=true").await.is_empty() }).await;
    let refused = calls(&worker, "system=shop&failed=true").await;
    assert_eq!((refused[0].outcome.as_str(), refused[0].status), ("CredentialsRejected", Some(401)));
    worker.stop().await;
    let database = fs::read(bench.state().join("store.db")).unwrap();
    let holds = |what: &str| database.windows(what.len()).any(|window| window == what.as_bytes());
    assert!(holds("CredentialsRejected") && !holds("CTSEED") && !holds("api_key"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_turned_off_is_emptied_and_nothing_more_is_written_to_it() {
    let mut bench = Bench::new().await;
    bench.order(1, "x").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    until("its write is in the log", || async { !calls(&worker, "system=books").await.is_empty() }).await;
    bench.plan.call_log_days = 0;
    bench.write_plan();
    until("the log is empty", || async {
        let (page, _) = asked(worker.letters_address().unwrap(), "").await;
        page.days == Some(0) && page.calls.is_empty()
    })
    .await;
    bench.order(2, "y").await;
    bench.until_booked(2).await;
    until_report(&worker, "it is settled", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!(calls(&worker, "").await, []);
    worker.stop().await;
}

/// What is acknowledged by the vendor and settled is in the log, whenever the process dies: its call lies in the transaction that settled it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_of_settled_writes_survive_a_kill() {
    let bench = Bench::new().await;
    bench.seed(200).await;
    let mut process = Process::start(&bench);
    bench.until_booked(60).await;
    process.kill();
    drop(process);
    let database = rusqlite::Connection::open(bench.state().join("store.db")).unwrap();
    let settled = "SELECT count(*) FROM ledger";
    let settled: i64 = database.query_row(settled, [], |row| row.get(0)).unwrap();
    let logged = "SELECT count(*) FROM ledger WHERE key IN (SELECT key FROM call WHERE purpose = 'Write' AND status IS NOT NULL)";
    let logged: i64 = database.query_row(logged, [], |row| row.get(0)).unwrap();
    assert!(settled > 0, "nothing was settled");
    assert_eq!(logged, settled);
}
