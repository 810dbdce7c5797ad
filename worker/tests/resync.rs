//! Reading again because a person asks for it, over HTTP as `kubectl crosstie resync` does it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bench, names, until, until_report};
use crosstie_crds::{
    condition::Reason,
    resync::{Answer, Ask},
};
use crosstie_vendors::wire::{Fault, FaultRule};
use crosstie_worker::Worker;
use jiff::Timestamp;
use serde_json::json;

const ORDERS: u64 = 50;
/// When the orders from the 41st on were changed last: they are a second apart.
const THE_LAST_TEN: &str = "2026-01-01T00:00:40Z";

async fn ask(worker: &Worker, flows: &[&str], from: Option<&str>) -> reqwest::Response {
    let from = from.map(|time| time.parse::<Timestamp>().unwrap());
    let ask = Ask { flows: flows.iter().map(ToString::to_string).collect(), from };
    let address = worker.letters_address().unwrap();
    reqwest::Client::new().post(format!("http://{address}/resync")).json(&ask).send().await.unwrap()
}

/// Asks for what is begun.
async fn begin(worker: &Worker, from: Option<&str>) {
    let answer: Answer = ask(worker, &[], from).await.json().await.unwrap();
    let begun: Vec<_> = answer.flows.iter().map(|begun| (begun.flow.as_str(), &begun.problem)).collect();
    assert_eq!(begun, [("orders", &None)]);
}

/// Gives the memo another expression, and waits until the worker works by it.
async fn remap(bench: &mut Bench, worker: &Worker, memo: &str) {
    bench.plan.flows[0].map.insert("memo".into(), memo.into());
    bench.write_plan();
    let hash = bench.plan.hash();
    until_report(worker, "it works by the new plan", |report| report.plan_hash.as_deref() == Some(hash.as_str())).await;
}

async fn until_unchanged(worker: &Worker, records: u64) {
    let line = format!(r#"records_handled_total{{flow="orders",outcome="unchanged"}} {records}"#);
    until("all were found to be as they should", || async {
        worker.metrics().lines().any(|each| each.ends_with(&line))
    })
    .await;
}

async fn updates(bench: &Bench) -> u64 {
    bench.books.stats().await.unwrap().writes.updates
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_again_is_written_only_where_it_is_mapped_to_something_else_now() {
    let mut bench = Bench::new().await;
    bench.seed(ORDERS).await;
    let worker = bench.start().await;
    bench.until_booked(ORDERS).await;

    begin(&worker, None).await;
    until_unchanged(&worker, ORDERS).await;
    assert_eq!(updates(&bench).await, 0, "nothing differs");

    remap(&mut bench, &worker, "'checked: ' + record.name").await;
    begin(&worker, Some(THE_LAST_TEN)).await;
    until("the last ten have the new memo", || async { updates(&bench).await == 10 }).await;
    let newest = bench.booked(ORDERS).await.unwrap();
    assert!(newest["memo"].as_str().unwrap().starts_with("checked: #"), "{newest}");
    let untouched = bench.booked(ORDERS - 10).await.unwrap();
    assert!(!untouched["memo"].as_str().unwrap_or_default().starts_with("checked"), "{untouched}");
    begin(&worker, None).await;
    until("all have it", || async { updates(&bench).await == ORDERS }).await;
    bench.order(ORDERS + 1, "").await;
    bench.until_booked(ORDERS + 1).await;
    until_unchanged(&worker, ORDERS + 10).await;
    assert_eq!(updates(&bench).await, ORDERS, "each was written once more, and reading goes on as before");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_is_carried_to_its_end_by_the_next_worker() {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].stream.query.insert("limit".into(), "5".into());
    bench.write_plan();
    bench.seed(ORDERS).await;
    let worker = bench.start().await;
    bench.until_booked(ORDERS).await;
    remap(&mut bench, &worker, "'checked: ' + record.name").await;
    bench.shop.add_fault(&FaultRule::new(Fault::Slow { millis: 100 }).method("GET")).await.unwrap();
    begin(&worker, None).await;
    until("a page was read again", || async { updates(&bench).await > 0 }).await;
    worker.stop().await;
    let before = updates(&bench).await;
    assert!(before < ORDERS, "it was stopped too late to show anything");
    bench.shop.clear_faults().await.unwrap();
    let worker = bench.start().await;
    until("all have the new memo", || async { updates(&bench).await >= ORDERS }).await;
    assert_eq!(updates(&bench).await, ORDERS);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_again_is_said_and_nothing_is_begun() {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].stream.cursor = None;
    bench.write_plan();
    bench.seed(3).await;
    let worker = bench.start().await;
    bench.until_booked(3).await;
    let unknown = ask(&worker, &["orders", "refunds"], None).await;
    assert_eq!(unknown.status(), 404);
    let text = unknown.text().await.unwrap();
    assert!(text.contains("`refunds`") && text.contains("there are: orders"), "{text}");
    let answer: Answer = ask(&worker, &["orders"], Some(THE_LAST_TEN)).await.json().await.unwrap();
    let problem = answer.flows[0].problem.clone().unwrap();
    assert!(problem.contains("has no cursor"), "{problem}");
    bench.order(4, "").await;
    bench.until_booked(4).await;
    assert!(!worker.metrics().contains(r#"outcome="unchanged""#), "{}", worker.metrics());
    let wrong = reqwest::Client::new().post(format!("http://{}/resync", worker.letters_address().unwrap()));
    assert!(wrong.json(&json!({"from": "soon"})).send().await.unwrap().status().is_client_error());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_while_a_probe_of_the_source_is_under_way_leaves_reading_as_it_was() {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].stream.cursor = None;
    bench.write_plan();
    bench.seed(3).await;
    let down = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    let down = bench.shop.add_fault(&FaultRule::new(down).method("GET")).await.unwrap();
    bench.shop.add_fault(&FaultRule::new(Fault::TimeoutAfterCommit {}).method("GET")).await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "the source is said to fail", |report| names(report, Reason::SourceUnavailable)).await;
    // The next one is the probe of the open circuit, and is not answered.
    bench.shop.remove_fault(down).await.unwrap();
    until("the probe is under way", || async {
        bench.shop.stats().await.unwrap().faults.contains_key("timeoutAfterCommit")
    })
    .await;
    bench.shop.clear_faults().await.unwrap();
    let answer: Answer = ask(&worker, &["orders"], Some(THE_LAST_TEN)).await.json().await.unwrap();
    let problem = answer.flows[0].problem.clone().unwrap();
    assert!(problem.contains("has no cursor"), "{problem}");
    bench.until_booked(3).await;
    worker.stop().await;
}
