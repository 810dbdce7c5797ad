//! Mappings that look other records up at the source: while it answers, while it does not, and when it answers no.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bench, names, stream, until, until_report};
use crosstie_crds::condition::Reason;
use crosstie_engine::{
    plan::{ReadOne, Stream},
    template::Template,
};
use crosstie_vendors::wire::{Fault, FaultRule};
use crosstie_worker::Worker;
use serde_json::json;

/// Orders whose memo is their customer's email.
async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    let one = ReadOne {
        path: Template::parse("/admin/api/2026-07/customers/{key}.json").unwrap(),
        query: [].into(),
        record: "/customer".into(),
        into: String::new(),
    };
    let flow = &mut bench.plan.flows[0];
    flow.lookups = vec![Stream { name: "customers".into(), one: Some(one), ..stream() }];
    let memo = r#"lookup("customers", record.note).?email.orValue("nobody")"#;
    flow.map.insert("memo".into(), memo.into());
    bench.plan.format_version = bench.plan.format();
    bench.write_plan();
    bench
}

async fn customer(bench: &Bench, id: &str, email: &str) {
    bench.shop.put_record("customers", id, &json!({"id": id.parse::<u64>().unwrap(), "email": email})).await.unwrap();
}

/// How often single customers were asked for.
async fn asked(bench: &Bench) -> u64 {
    let entries = bench.shop.log(0).await.unwrap().entries;
    entries.iter().filter(|entry| entry.path.contains("/customers/")).count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_mapped_with_what_was_looked_up_and_each_is_read_once_for_all_who_ask() {
    let bench = bench().await;
    customer(&bench, "7", "jane@example.com").await;
    for id in 1..=30 {
        bench.order(id, "7").await;
    }
    let worker = bench.start().await;
    bench.until_booked(30).await;
    for id in 1..=30 {
        assert_eq!(bench.booked(id).await.unwrap()["memo"], "jane@example.com");
    }
    assert_eq!(asked(&bench).await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_not_there_gives_an_absent_value() {
    let bench = bench().await;
    bench.order(1, "404").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    assert_eq!(bench.booked(1).await.unwrap()["memo"], "nobody");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_source_does_not_answer_records_wait_and_count_no_attempt() {
    let bench = bench().await;
    customer(&bench, "7", "jane@example.com").await;
    for id in 1..=5 {
        bench.order(id, "7").await;
    }
    let fault = bench.shop.add_fault(&failing("/customers/", 503)).await.unwrap();
    let worker = bench.start().await;
    // More attempts than the policy has: an outage is nobody's fault.
    until("customers were asked for again and again", || async { asked(&bench).await > 6 }).await;
    let report = worker.report().await;
    assert_eq!((report.flows[0].queue_depth, report.flows[0].dead_letters), (5, 0));
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 0);
    bench.shop.remove_fault(fault).await.unwrap();
    bench.until_booked(5).await;
    assert_eq!(bench.booked(3).await.unwrap()["memo"], "jane@example.com");
    until_report(&worker, "nothing is wrong any more", |report| report.problems.is_empty()).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_source_refuses_is_the_fault_of_the_record_that_asks() {
    let bench = bench().await;
    customer(&bench, "7", "jane@example.com").await;
    bench.shop.add_fault(&failing("/customers/letters", 400)).await.unwrap();
    bench.order(1, "letters").await;
    bench.order(2, "7").await;
    let worker: Worker = bench.start().await;
    bench.until_booked(1).await;
    assert_eq!(bench.booked(2).await.unwrap()["memo"], "jane@example.com");
    let report = until_report(&worker, "it is a dead letter", |report| report.flows[0].dead_letters == 1).await;
    assert!(!names(&report, Reason::SourceUnavailable), "{:?}", report.problems);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_shows_another_record_is_the_fault_of_the_record_that_asks() {
    let bench = bench().await;
    customer(&bench, "7", "jane@example.com").await;
    customer(&bench, "8", "joe@example.com").await;
    let other = json!({"customer": {"id": 7, "email": "jane@example.com"}});
    let other = Fault::Status { code: 200, headers: [].into(), body: other };
    bench.shop.add_fault(&FaultRule::new(other).path_contains("/customers/8")).await.unwrap();
    bench.order(1, "8").await;
    bench.order(2, "7").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    let report = until_report(&worker, "it is a dead letter", |report| report.flows[0].dead_letters == 1).await;
    assert!(!names(&report, Reason::SourceUnavailable), "{:?}", report.problems);
    let cause = worker.letters().list(0, 1).await.unwrap().remove(0).cause;
    assert!(cause.contains("`customers`") && cause.contains("another record") && !cause.contains("jane"), "{cause}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_records_that_fail_do_not_hold_up_the_pages() {
    let bench = bench().await;
    customer(&bench, "7", "jane@example.com").await;
    bench.order(1, "7").await;
    bench.shop.add_fault(&failing("/customers/", 503)).await.unwrap();
    let worker = bench.start().await;
    let report = until_report(&worker, "it is said", |report| names(report, Reason::SourceUnavailable)).await;
    let message = &report.problems[0].message;
    assert!(message.contains("single records of `customers`"), "{message}");
    bench.order(2, "7").await;
    until_report(&worker, "the other order was read", |report| report.flows[0].queue_depth == 2).await;
    worker.stop().await;
}

fn failing(path: &str, code: u16) -> FaultRule {
    FaultRule::new(Fault::Status { code, headers: [].into(), body: json!({}) }).path_contains(path)
}
