//! Several records in one call, through the real worker and the simulator's Salesforce: rows refused, calls refused whole, answers lost. That the
//! process is killed in the middle of them is in `killed`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::{Bench, org::BATCH, until, until_report};
use crosstie_vendors::wire::{Fault, FaultRule};
use serde_json::json;

fn status(code: u16) -> Fault {
    Fault::Status { code, headers: BTreeMap::new(), body: json!([{"errorCode": "NO", "message": "no"}]) }
}

/// Strikes writes that carry this record, in a batch or alone. No other record's number begins with it.
async fn strike(bench: &Bench, code: u16, record: u32) {
    let batch = FaultRule::new(status(code)).path_contains("composite");
    bench.books.add_fault(&batch.body_contains(&format!(r#""External_Id__c":"{record}""#))).await.unwrap();
    let alone = FaultRule::new(status(code)).method("PATCH");
    bench.books.add_fault(&alone.path_contains(&format!("External_Id__c/{record}"))).await.unwrap();
}

/// Writes in batches, and writes of single records, so far.
async fn calls(bench: &Bench) -> (usize, usize) {
    let entries = bench.books.log(0).await.unwrap().entries;
    let patches: Vec<_> = entries.iter().filter(|entry| entry.method == "PATCH").collect();
    let batches = patches.iter().filter(|entry| entry.path.starts_with(BATCH)).count();
    (batches, patches.len() - batches)
}

/// That each record was written once.
async fn assert_once(bench: &Bench, records: u64) {
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.applied, writes.distinct), (records, records));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_go_together_and_a_row_that_is_refused_is_set_aside_alone() {
    let bench = Bench::with_org(120, 50).await;
    let rows = Fault::RefuseRows { percent: 100, containing: Some(r#""External_Id__c":"120""#.into()), seed: 0 };
    bench.books.add_fault(&FaultRule::new(rows)).await.unwrap();
    // It is tried again when nothing else is there to share a call with.
    let alone = FaultRule::new(status(422)).method("PATCH").path_contains("External_Id__c/120");
    bench.books.add_fault(&alone).await.unwrap();
    let worker = bench.start().await;
    let report = until_report(&worker, "it is set aside, and the others are settled", |report| {
        report.flows.first().is_some_and(|flow| flow.dead_letters == 1 && flow.queue_depth == 0)
    })
    .await;
    assert_eq!(report.flows[0].delivered, 119);
    assert_once(&bench, 119).await;
    let letter = worker.letters().list(0, 10).await.unwrap().remove(0);
    assert_eq!((letter.key.as_str(), letter.attempts), ("120", 3));
    let (batches, alone) = calls(&bench).await;
    assert!(batches >= 3 && batches + alone <= 8, "{batches} calls of many and {alone} of one for 120 records");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_too_large_is_split_until_it_fits_and_counts_against_nobody() {
    let bench = Bench::with_org(60, 60).await;
    let too_large = FaultRule::new(status(413)).path_contains("composite").body_contains(r#""External_Id__c":"60""#);
    bench.books.add_fault(&too_large).await.unwrap();
    let worker = bench.start().await;
    bench.until_booked(60).await;
    let report = until_report(&worker, "all are settled", |report| {
        report.flows.first().is_some_and(|flow| flow.queue_depth == 0)
    })
    .await;
    assert_eq!((report.flows[0].delivered, report.flows[0].dead_letters), (60, 0));
    assert_once(&bench, 60).await;
    let (batches, alone) = calls(&bench).await;
    assert!(batches >= 6 && alone >= 1, "{batches} calls of many and {alone} of one");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_has_every_batch_refused_is_found_and_set_aside_and_the_others_arrive() {
    let bench = Bench::with_org(60, 60).await;
    strike(&bench, 422, 60).await;
    let worker = bench.start().await;
    let report = until_report(&worker, "it is set aside", |report| {
        report.flows.first().is_some_and(|flow| flow.dead_letters == 1)
    })
    .await;
    bench.until_booked(59).await;
    let report = if report.flows[0].queue_depth == 0 {
        report
    } else {
        until_report(&worker, "all are settled", |report| {
            report.flows.first().is_some_and(|flow| flow.queue_depth == 0)
        })
        .await
    };
    assert_eq!((report.flows[0].delivered, report.flows[0].dead_letters), (59, 1));
    let letter = worker.letters().list(0, 10).await.unwrap().remove(0);
    assert_eq!(
        (letter.key.as_str(), letter.status, letter.attempts),
        ("60", Some(422), 3),
        "only refusals alone count"
    );
    assert_once(&bench, 59).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_at_which_the_destination_fails_is_found_when_others_pass_meanwhile() {
    let bench = Bench::with_org(20, 20).await;
    strike(&bench, 500, 20).await;
    let worker = bench.start().await;
    let mut next = 1000;
    until("it is set aside, and the others arrive", || {
        next += 1;
        let (bench, worker) = (&bench, &worker);
        async move {
            bench.order(next, "passes").await;
            let report = worker.report().await;
            let dead = report.flows.first().is_some_and(|flow| flow.dead_letters == 1);
            dead && bench.books.record("Order__c", "eid:19").await.unwrap().is_some()
        }
    })
    .await;
    let letter = worker.letters().list(0, 1).await.unwrap().remove(0);
    assert_eq!((letter.key.as_str(), letter.status), ("20", Some(500)));
    let twice = bench.books.stats().await.unwrap().writes.keys_with_more_than_one_write;
    assert_eq!(twice.count, 0, "{:?}", twice.keys);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_whose_answer_never_came_are_looked_up_record_by_record_and_nothing_is_written_twice() {
    let mut bench = Bench::with_org(400, 20).await;
    bench.give_up_soon();
    let faults = [
        (Fault::TimeoutAfterCommit {}, 20),
        (Fault::ErrorAfterCommit { code: 500 }, 10),
        (Fault::TruncatedBody {}, 10),
        (Fault::DropConnection {}, 10),
        (Fault::RefuseRows { percent: 10, containing: None, seed: 3 }, 30),
    ];
    for (seed, (fault, percent)) in (0..).zip(faults) {
        bench.books.add_fault(&FaultRule::new(fault).method("PATCH").percent(percent, seed)).await.unwrap();
    }
    let worker = bench.start().await;
    bench.until_booked(400).await;
    until_report(&worker, "all are settled", |report| report.flows.first().is_some_and(|flow| flow.queue_depth == 0))
        .await;
    assert_once(&bench, 400).await;
    let totals = bench.books.stats().await.unwrap();
    assert!(totals.faults.len() > 3, "{:?}", totals.faults);
    worker.stop().await;
}
