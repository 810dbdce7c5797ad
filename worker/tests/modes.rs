//! Write modes through the worker: `Update` writes what the destination has and makes nothing, `Mirror` deletes what the source no longer has; also
//! where the process is killed in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bench, delete_operation, process::Process, until, until_report};
use crosstie_crds::sync_report::WorkerReport;
use crosstie_engine::plan::{KnownBy, OnWhenFalse, Proof};
use crosstie_vendors::wire::{Fault, FaultRule};
use serde_json::json;

/// Orders change sales orders that are there, as a plan with `write.mode: Update` says it.
fn updates(bench: &mut Bench, known_by: KnownBy) {
    let operation = &mut bench.plan.flows[0].operation;
    operation.only_there = Some(known_by);
    operation.outcome.lookup.as_mut().unwrap().evidence.proof = Some(Proof::Fields);
    bench.plan.format_version = bench.plan.format();
    assert_eq!(bench.plan.format_version, 7);
    bench.write_plan();
}

async fn updating() -> Bench {
    let mut bench = Bench::new().await;
    updates(&mut bench, KnownBy::LookUp);
    bench
}

/// A sales order that somebody else made.
async fn entered(bench: &Bench, id: u64) {
    let order = json!({"externalId": id.to_string(), "entity": {"id": "1"}, "memo": "by hand"});
    bench.books.put_record("salesOrder", &(5_000 + id).to_string(), &order).await.unwrap();
}

/// Whether so many records are done in each way, and none waits.
fn done(report: &WorkerReport, delivered: i64, unchanged: i64) -> bool {
    report.flows.first().is_some_and(|flow| {
        (flow.delivered, flow.unchanged, flow.queue_depth, flow.dead_letters) == (delivered, unchanged, 0, 0)
    })
}

async fn memo(bench: &Bench, id: u64) -> String {
    bench.booked(id).await.unwrap()["memo"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_not_there_is_left_out_and_its_next_state_is_written_once_it_is() {
    let bench = updating().await;
    entered(&bench, 1).await;
    bench.order(1, "first").await;
    bench.order(2, "first").await;
    let worker = bench.start().await;
    until_report(&worker, "one is written, one left out", |report| done(report, 1, 1)).await;
    assert_eq!((memo(&bench, 1).await.as_str(), bench.booked(2).await), ("first", None));
    entered(&bench, 2).await;
    bench.order(2, "second").await;
    until_report(&worker, "the other is written", |report| done(report, 2, 1)).await;
    assert_eq!(memo(&bench, 2).await, "second");
    until("it is counted", || async { worker.metrics().contains(r#"outcome="missing"} 1"#) }).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_removed_there_is_not_made_anew_and_what_was_written_is_forgotten() {
    let bench = updating().await;
    entered(&bench, 1).await;
    bench.order(1, "first").await;
    let worker = bench.start().await;
    until_report(&worker, "it is written", |report| done(report, 1, 0)).await;
    let number = bench.booked(1).await.unwrap()["id"].as_str().unwrap().to_owned();
    bench.books.delete_record("salesOrder", &number).await.unwrap();
    bench.order(1, "second").await;
    until_report(&worker, "it is left out", |report| done(report, 1, 1)).await;
    assert!(bench.booked(1).await.is_none());
    entered(&bench, 1).await;
    // The same as was written first: the books do not have it any more.
    bench.order(1, "first").await;
    until_report(&worker, "it is written again", |report| done(report, 2, 1)).await;
    assert_eq!(memo(&bench, 1).await, "first");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_write_makes_nothing_its_answer_says_that_the_record_is_not_there() {
    let mut bench = Bench::new().await;
    updates(&mut bench, KnownBy::Answer);
    let gone = Fault::Status { code: 404, headers: [].into(), body: json!({}) };
    bench.books.add_fault(&FaultRule::new(gone).method("PUT").path_contains("eid:2")).await.unwrap();
    entered(&bench, 1).await;
    bench.order(1, "first").await;
    bench.order(2, "first").await;
    let worker = bench.start().await;
    until_report(&worker, "one is written, one left out", |report| done(report, 1, 1)).await;
    bench.books.clear_faults().await.unwrap();
    entered(&bench, 2).await;
    bench.order(2, "second").await;
    until_report(&worker, "the other is written", |report| done(report, 2, 1)).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_the_destination_is_looked_up_anew_before_it_is_sent() {
    let bench = updating().await;
    entered(&bench, 1).await;
    let limited = FaultRule::new(Fault::RateLimited { retry_after_seconds: Some(1.0) }).method("PUT");
    let limited = bench.books.add_fault(&limited).await.unwrap();
    bench.order(1, "first").await;
    let worker = bench.start().await;
    until("it was sent", || async {
        bench.books.stats().await.unwrap().faults.get("rateLimited").is_some_and(|struck| *struck > 0)
    })
    .await;
    let number = bench.booked(1).await.unwrap()["id"].as_str().unwrap().to_owned();
    bench.books.delete_record("salesOrder", &number).await.unwrap();
    bench.books.remove_fault(limited).await.unwrap();
    until_report(&worker, "it is left out", |report| done(report, 0, 1)).await;
    assert!(bench.booked(1).await.is_none(), "what went meanwhile was made anew");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_look_and_write_makes_nothing_and_one_after_the_write_repeats_nothing() {
    let bench = updating().await;
    for id in [1, 2] {
        entered(&bench, id).await;
        bench.order(id, "first").await;
    }
    let applied = FaultRule::new(Fault::TimeoutAfterCommit {}).method("PUT").path_contains("eid:1");
    bench.books.add_fault(&applied).await.unwrap();
    let dropped = FaultRule::new(Fault::DropConnection {}).method("PUT").path_contains("eid:2");
    bench.books.add_fault(&dropped).await.unwrap();
    let mut process = Process::start(&bench);
    until("both were sent", || async {
        let faults = bench.books.stats().await.unwrap().faults;
        let struck = |kind: &str| faults.get(kind).is_some_and(|struck| *struck > 0);
        struck("dropConnection") && bench.writes(1).await > 0
    })
    .await;
    process.kill();
    let number = bench.booked(2).await.unwrap()["id"].as_str().unwrap().to_owned();
    bench.books.delete_record("salesOrder", &number).await.unwrap();
    bench.books.clear_faults().await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "one is settled, one left out", |report| done(report, 1, 1)).await;
    assert_eq!((bench.writes(1).await, memo(&bench, 1).await.as_str()), (1, "first"));
    assert!(bench.booked(2).await.is_none(), "what went meanwhile was made anew");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_carries_those_that_are_there_also_through_a_kill() {
    let mut bench = Bench::with_org(10, 10).await;
    updates(&mut bench, KnownBy::LookUp);
    for id in (1..=10).step_by(2) {
        let order = json!({"External_Id__c": id.to_string(), "Name": "by hand"});
        bench.books.put_record("Order__c", &format!("a01{id:012}AAA"), &order).await.unwrap();
    }
    let lost = FaultRule::new(Fault::TimeoutAfterCommit {}).method("PATCH");
    bench.books.add_fault(&lost).await.unwrap();
    let mut process = Process::start(&bench);
    bench.until_booked(5).await;
    process.kill();
    bench.books.clear_faults().await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "those are settled, the others left out", |report| done(report, 5, 5)).await;
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.applied, writes.distinct), (5, 5));
    worker.stop().await;
}

/// Sales orders are to be what orders are, as a plan with `write.mode: Mirror` says it.
async fn mirroring(change: impl FnOnce(&mut Bench)) -> Bench {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].on_when_false = OnWhenFalse::Delete;
    bench.plan.flows[0].delete_operation = Some(delete_operation());
    change(&mut bench);
    bench.plan.format_version = bench.plan.format();
    bench.write_plan();
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_deletes_what_the_source_deleted_and_what_stops_to_take_part() {
    let bench = mirroring(|bench| bench.plan.flows[0].stream.deleted = Some("/deleted_at".into())).await;
    for id in 1..=3 {
        bench.order(id, "").await;
    }
    let worker = bench.start().await;
    bench.until_booked(3).await;
    bench.shop.patch_record("orders", "1", &json!({"deleted_at": "2026-11-01T00:00:00Z"})).await.unwrap();
    bench.shop.patch_record("orders", "2", &json!({"cancelled_at": "2026-11-01T00:00:00Z"})).await.unwrap();
    until_report(&worker, "both are gone", |report| done(report, 5, 0)).await;
    assert!(bench.booked(1).await.is_none() && bench.booked(2).await.is_none() && bench.booked(3).await.is_some());
    worker.stop().await;
}
