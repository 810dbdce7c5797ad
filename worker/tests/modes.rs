//! Write modes through the worker: `Update` writes what the destination has and makes nothing, `Mirror` deletes what the source no longer has; also
//! where the process is killed in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::{Bench, PATIENCE, delete_operation, one, process::Process, until, until_report, until_within};
use crosstie_crds::sync_report::WorkerReport;
use crosstie_engine::{
    plan::{Allowance, KnownBy, OnWhenFalse, Proof, ReadOne},
    template::Template,
};
use crosstie_vendors::wire::{Fault, FaultRule};
use serde_json::{Value, json};

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

/// The same where orders are listed as a whole each time.
async fn listing() -> Bench {
    let bench = mirroring(|bench| {
        let flow = &mut bench.plan.flows[0];
        (flow.stream.cursor, flow.stream.one, flow.deletes_unlisted) = (None, Some(one()), true);
    })
    .await;
    bench.write_shares(Allowance { requests: 10_000, per_seconds: 1, concurrency: 16 });
    assert_eq!(bench.plan.format_version, 7);
    bench
}

/// Lists of orders that come back with these.
fn listed(orders: &[Value]) -> FaultRule {
    let body = json!({"orders": orders});
    FaultRule::new(Fault::Status { code: 200, headers: [].into(), body }).path_contains("/orders.json")
}

/// An order that takes no part, by itself on every list.
async fn short(bench: &Bench) -> FaultRule {
    let order = json!({"id": 9_999, "name": "#9999", "cancelled_at": "2026-11-01T00:00:00Z"});
    bench.shop.put_record("orders", "9999", &order).await.unwrap();
    listed(&[bench.shop.record("orders", "9999").await.unwrap().unwrap()])
}

/// How often the list was read.
async fn readings(bench: &Bench) -> usize {
    bench.shop.log(0).await.unwrap().entries.iter().filter(|entry| entry.path.contains("/orders.json")).count()
}

/// Whether so many orders were asked for by themselves.
async fn asked(bench: &Bench, orders: usize) -> bool {
    let log = bench.shop.log(0).await.unwrap().entries;
    let alone = log.iter().filter(|entry| entry.path.contains("/orders/")).map(|entry| entry.path.clone());
    alone.collect::<BTreeSet<_>>().len() >= orders
}

async fn deletes(bench: &Bench, id: u64) -> u64 {
    bench.books.writes("salesOrder", &id.to_string()).await.unwrap().deletes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vanished_from_the_list_is_asked_for_and_deleted_once_its_source_does_not_find_it() {
    let bench = listing().await;
    for id in 1..=3 {
        bench.order(id, "").await;
    }
    let worker = bench.start().await;
    bench.until_booked(3).await;
    bench.shop.delete_record("orders", "2").await.unwrap();
    until("the sales order is gone", || async { bench.booked(2).await.is_none() }).await;
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert!(asked(&bench, 1).await);
    assert!(bench.booked(1).await.is_some() && bench.booked(3).await.is_some());
    // It is made anew when it is back.
    bench.order(2, "back").await;
    until("the sales order is back", || async { bench.booked(2).await.is_some() }).await;
    let report = until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!((deletes(&bench, 2).await, report.flows[0].dead_letters), (1, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_comes_back_short_deletes_nothing_that_its_source_still_finds() {
    let bench = listing().await;
    for id in 1..=3 {
        bench.order(id, "").await;
    }
    let worker = bench.start().await;
    bench.until_booked(3).await;
    let short = bench.shop.add_fault(&short(&bench).await).await.unwrap();
    until("all were asked for", || asked(&bench, 4)).await;
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    // One is gone in truth: that alone is deleted, whatever the list says.
    bench.shop.delete_record("orders", "3").await.unwrap();
    until("the sales order is gone", || async { bench.booked(3).await.is_none() }).await;
    bench.shop.remove_fault(short).await.unwrap();
    bench.order(4, "").await;
    until("the list is read", || async { bench.booked(4).await.is_some() }).await;
    let report = until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!((deletes(&bench, 1).await, deletes(&bench, 2).await, deletes(&bench, 3).await), (0, 0, 1));
    assert_eq!((bench.writes(1).await, report.flows[0].dead_letters), (1, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_shows_nothing_at_all_deletes_nothing() {
    let bench = listing().await;
    bench.order(1, "").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    // As to a token that may see nothing any more.
    let gone = Fault::Status { code: 404, headers: [].into(), body: json!({}) };
    bench.shop.add_fault(&FaultRule::new(gone).path_contains("/orders/")).await.unwrap();
    bench.shop.add_fault(&listed(&[])).await.unwrap();
    let before = readings(&bench).await;
    until("empty lists were read", || async { readings(&bench).await >= before + 3 }).await;
    bench.shop.clear_faults().await.unwrap();
    bench.order(2, "").await;
    bench.until_booked(2).await;
    let report = until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!((deletes(&bench, 1).await, report.flows[0].dead_letters), (0, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_does_not_answer_for_single_records_is_read_on_and_deletes_nothing_meanwhile() {
    let bench = listing().await;
    bench.order(1, "").await;
    bench.order(2, "").await;
    let worker = bench.start().await;
    bench.until_booked(2).await;
    let down = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    let down = bench.shop.add_fault(&FaultRule::new(down).path_contains("/orders/")).await.unwrap();
    bench.shop.delete_record("orders", "1").await.unwrap();
    bench.order(3, "").await;
    bench.until_booked(3).await;
    assert_eq!(deletes(&bench, 1).await, 0);
    bench.shop.remove_fault(down).await.unwrap();
    until("the sales order is gone", || async { bench.booked(1).await.is_none() }).await;
    let report = until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!((deletes(&bench, 1).await, report.flows[0].dead_letters), (1, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_vanish_at_once_are_deleted_once_each_also_through_kills() {
    const MANY: u64 = 1_050;
    let bench = listing().await;
    bench.seed(MANY).await;
    let patience = PATIENCE * 4;
    let mut process = Process::start(&bench);
    let booked = || async { bench.books.stats().await.unwrap().writes.distinct };
    until_within(patience, "all are booked", || async { booked().await >= MANY }).await;
    process.kill();
    // An order that takes no part stays on the list.
    short(&bench).await;
    for id in 1..=MANY {
        bench.shop.delete_record("orders", &id.to_string()).await.unwrap();
    }
    let left = || async { bench.books.records("salesOrder", 0, 1).await.unwrap().total };
    for mark in [MANY - 1, MANY / 2, MANY / 4] {
        let mut process = Process::start(&bench);
        until_within(patience, "some are gone", || async { left().await <= usize::try_from(mark).unwrap() }).await;
        process.kill();
    }
    let worker = bench.start().await;
    until_within(patience, "all are gone", || async { left().await == 0 }).await;
    let report =
        until_report(&worker, "nothing waits", |report| report.flows.first().is_some_and(|flow| flow.queue_depth == 0))
            .await;
    assert_eq!(report.flows[0].dead_letters, 0);
    for id in [1, MANY / 2, MANY] {
        assert_eq!(deletes(&bench, id).await, 1);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_does_not_find_by_itself_what_it_lists_is_not_believed_that_something_is_gone() {
    let mut bench = listing().await;
    let elsewhere = Template::parse("/admin/api/2026-07/elsewhere/{key}.json").unwrap();
    bench.plan.flows[0].stream.one = Some(ReadOne { path: elsewhere, ..one() });
    bench.write_plan();
    for id in 1..=3 {
        bench.order(id, "").await;
    }
    let worker = bench.start().await;
    bench.until_booked(3).await;
    bench.shop.delete_record("orders", "2").await.unwrap();
    bench.order(4, "").await;
    bench.until_booked(4).await;
    let report = until_report(&worker, "it says so", |report| {
        report.flows[0].problem.as_ref().is_some_and(|problem| problem.contains("check the stream's `one`"))
    })
    .await;
    assert_eq!((report.flows[0].dead_letters, deletes(&bench, 2).await), (0, 0));
    // Once single reads are right, what is gone is deleted.
    bench.plan.flows[0].stream.one = Some(one());
    bench.write_plan();
    until("the sales order is gone", || async { bench.booked(2).await.is_none() }).await;
    until_report(&worker, "nothing is wrong any more", |report| report.flows[0].problem.is_none()).await;
    worker.stop().await;
}
