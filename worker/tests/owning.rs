//! Fields that belong to the destination or are given once: what people enter in them stays.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bench, until, until_report};
use crosstie_engine::plan::Ownership;
use crosstie_vendors::wire::{Fault, FaultRule};
use serde_json::json;

fn paths(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

/// The memo is given once, the other reference number belongs to the books.
async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].operation.ownership =
        Ownership { destination_owned: paths(&["otherRefNum"]), create_only: paths(&["memo"]) };
    bench.plan.flows[0].map.insert("shipMethod".into(), "record.?ship.orValue('post')".into());
    bench.plan.format_version = bench.plan.format();
    assert_eq!(bench.plan.format_version, 5);
    bench.write_plan();
    bench
}

/// A person changes a sales order in the books.
async fn edited(bench: &Bench, id: u64, change: serde_json::Value) {
    let number = bench.booked(id).await.unwrap()["id"].as_str().unwrap().to_owned();
    bench.books.patch_record("salesOrder", &number, &change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_entered_in_owned_fields_stays_whatever_the_source_makes_of_them() {
    let bench = bench().await;
    bench.order(1, "first").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("first"), &json!("#1")), "a create carries all");
    edited(&bench, 1, json!({"memo": "by hand", "otherRefNum": "PO-9"})).await;
    bench.shop.patch_record("orders", "1", &json!({"note": "second", "name": "#1b", "ship": "courier"})).await.unwrap();
    until("the change arrived", || async { bench.booked(1).await.unwrap()["shipMethod"] == "courier" }).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("by hand"), &json!("PO-9")));
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!(bench.writes(1).await, 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_there_before_keeps_what_is_the_destinations() {
    let bench = bench().await;
    bench.order(1, "first").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    worker.stop().await;
    edited(&bench, 1, json!({"memo": "by hand", "otherRefNum": "PO-9", "shipMethod": "none"})).await;
    // A worker that knows nothing of what was written before.
    std::fs::remove_dir_all(bench.state()).unwrap();
    let worker = bench.start().await;
    until("it is written over", || async { bench.booked(1).await.unwrap()["shipMethod"] == "post" }).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("by hand"), &json!("PO-9")));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_whose_answer_never_came_is_settled_though_people_changed_what_is_theirs() {
    let bench = bench().await;
    let lost = FaultRule::new(Fault::ErrorAfterCommit { code: 500 }).method("PUT").times(1);
    bench.books.add_fault(&lost).await.unwrap();
    // Nothing tells what became of it before a person changed it.
    let down = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    bench.order(1, "first").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    let down = bench.books.add_fault(&FaultRule::new(down).method("GET")).await.unwrap();
    edited(&bench, 1, json!({"memo": "by hand", "otherRefNum": "PO-9"})).await;
    bench.books.remove_fault(down).await.unwrap();
    until_report(&worker, "it is settled", |report| report.flows[0].delivered == 1).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("by hand"), &json!("PO-9")));
    assert_eq!(bench.writes(1).await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_a_record_is_there_is_asked_again_when_the_destination_does_not_say() {
    let bench = bench().await;
    let down = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    let down = bench.books.add_fault(&FaultRule::new(down).method("GET")).await.unwrap();
    bench.order(1, "first").await;
    let worker = bench.start().await;
    until_report(&worker, "it waits", |report| report.flows.first().is_some_and(|flow| flow.queue_depth == 1)).await;
    until("it was asked", || async { bench.books.stats().await.unwrap().total_requests > 1 }).await;
    assert!(bench.booked(1).await.is_none(), "nothing is written that could overwrite something");
    bench.books.remove_fault(down).await.unwrap();
    bench.until_booked(1).await;
    let report = until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!((report.flows[0].dead_letters, bench.writes(1).await), (0, 1));
    worker.stop().await;
}
