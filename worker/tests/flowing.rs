//! Records on their way when all is well, and files that change meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{
    Bench, PLENTY, flow, names,
    process::{Process, free_port},
    until, until_report,
};
use crosstie_crds::{condition::Reason, sync_report::WorkerReport};
use crosstie_engine::plan::{Allowance, StartFrom, Trigger};
use crosstie_vendors::wire::{Fault, FaultRule};
use crosstie_worker::Worker;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_arrives_once_and_a_changed_one_is_written_again() {
    let bench = Bench::new().await;
    bench.seed(600).await;
    let worker = bench.start().await;
    bench.until_booked(600).await;
    let report = until_report(&worker, "the queue is empty", |report| report.flows[0].queue_depth == 0).await;
    let totals = bench.books.stats().await.unwrap().writes;
    assert_eq!((totals.applied, totals.creates), (600, 600));
    assert_eq!((report.flows[0].delivered, report.flows[0].succeeded_24h, report.flows[0].dead_letters), (600, 600, 0));
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    bench.shop.patch_record("orders", "5", &json!({"note": "changed"})).await.unwrap();
    until("the change arrived", || async { bench.booked(5).await.unwrap()["memo"] == "changed" }).await;
    assert_eq!(bench.writes(5).await, 2);
    // A newer state that maps to the same body needs no write.
    bench.shop.patch_record("orders", "6", &json!({"tags": "other"})).await.unwrap();
    until_report(&worker, "it was settled unchanged", |report| report.flows[0].unchanged == 1).await;
    assert_eq!(bench.writes(6).await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_worker_goes_on_where_it_was_and_repeats_nothing() {
    let bench = Bench::new().await;
    bench.seed(400).await;
    let worker = bench.start().await;
    bench.until_booked(50).await;
    worker.stop().await;
    let worker = bench.start().await;
    bench.until_booked(400).await;
    until_report(&worker, "the queue is empty", |report| {
        report.flows[0].queue_depth == 0 && report.flows[0].delivered == 400
    })
    .await;
    let totals = bench.books.stats().await.unwrap().writes;
    assert_eq!((totals.applied, totals.keys_with_more_than_one_write.count), (400, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_files_waits_and_says_for_what_and_begins_when_they_come() {
    let bench = Bench::new().await;
    bench.order(1, "x").await;
    let away = bench.folder.path().join("away");
    std::fs::rename(bench.files(), &away).unwrap();
    let worker = bench.start().await;
    let report = until_report(&worker, "it says that it waits", |report| names(report, Reason::Starting)).await;
    assert!(report.problems[0].message.contains("the plan"), "{:?}", report.problems);
    assert!(report.store_id.is_some() && report.plan_hash.is_none() && worker.unready().is_some());
    std::fs::rename(away, bench.files()).unwrap();
    bench.until_booked(1).await;
    assert_eq!(worker.unready(), None);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_poll_comes_at_the_start_and_not_an_interval_later() {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].triggers = vec![Trigger::EverySeconds(86_400)];
    bench.write_plan();
    let worker = bench.start().await;
    until("the shop was asked", || async { bench.shop.stats().await.unwrap().total_requests > 0 }).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_mapping_applies_to_what_comes_without_a_restart() {
    let mut bench = Bench::new().await;
    bench.order(1, "x").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    bench.plan.flows[0].map.insert("memo".into(), "'new: ' + record.note".into());
    bench.write_plan();
    let hash = bench.plan.hash();
    until_report(&worker, "the new plan is at work", |report| report.plan_hash.as_ref() == Some(&hash)).await;
    bench.order(2, "y").await;
    bench.until_booked(2).await;
    assert_eq!(bench.booked(2).await.unwrap()["memo"], "new: y");
    assert_eq!(bench.writes(1).await, 1, "what was there stays");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_cannot_be_worked_is_said_and_the_last_good_one_runs_on() {
    let mut bench = Bench::new().await;
    let worker = bench.start().await;
    let good = bench.plan.clone();
    until_report(&worker, "it is at work", |report| report.plan_hash == Some(good.hash())).await;
    for broken in ["{}", &{
        bench.plan.flows[0].map.insert("memo".into(), "record.note +".into());
        bench.plan.to_json()
    }] {
        bench.write("plan/plan.json", broken);
        let report = until_report(&worker, "the plan is refused", |report| names(report, Reason::PlanInvalid)).await;
        assert_eq!(report.plan_hash, Some(good.hash()));
    }
    bench.order(1, "x").await;
    bench.until_booked(1).await;
    bench.plan = good;
    bench.write_plan();
    until_report(&worker, "the problem is gone", |report| report.problems.is_empty()).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_are_taken_on_while_it_runs_and_kept_to() {
    let bench = Bench::new().await;
    bench.write_shares(Allowance { concurrency: 1, ..PLENTY });
    bench.seed(60).await;
    let worker = bench.start().await;
    bench.until_booked(60).await;
    assert_eq!(bench.books.stats().await.unwrap().peak_concurrency, 1);
    let before = worker.report().await.shares_hash;
    bench.write_shares(PLENTY);
    until_report(&worker, "the new share is in use", |report| report.shares_hash != before).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_flows_run_beside_each_other_and_refer_to_what_the_other_wrote() {
    let mut bench = Bench::new().await;
    let mut second = flow("copies");
    second.map.insert("externalId".into(), "'copy-' + string(record.id)".into());
    second.map.insert("memo".into(), "xref('orders', string(record.id)).orValue('none yet')".into());
    second.start_from = StartFrom::Beginning;
    bench.plan.flows.push(second);
    bench.plan.retry.retries = 50;
    bench.write_plan();
    bench.order(1, "x").await;
    let worker = bench.start().await;
    bench.until_booked(2).await;
    let original = bench.booked(1).await.unwrap()["id"].clone();
    bench.shop.patch_record("orders", "1", &json!({"tags": "again"})).await.unwrap();
    let copied = || async { bench.books.record("salesOrder", "eid:copy-1").await.unwrap().unwrap() };
    until("the copy refers to the original", || async { copied().await["memo"] == original }).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_waits_for_what_it_refers_to_and_that_is_no_attempt() {
    let mut bench = Bench::new().await;
    let mut second = flow("copies");
    second.map.insert("externalId".into(), "'copy-' + string(record.id)".into());
    second.map.insert("memo".into(), "xref('orders', string(record.id))".into());
    second.start_from = StartFrom::Beginning;
    bench.plan.flows.push(second);
    bench.plan.retry.retries = 0;
    bench.write_plan();
    // The books do not take the originals for a while; without a retry the first failed attempt would set a copy aside.
    let down = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    let down = bench.books.add_fault(&FaultRule::new(down).path_contains("eid:1")).await.unwrap();
    bench.order(1, "x").await;
    let worker = bench.start().await;
    let waits =
        |report: &WorkerReport| report.flows.iter().any(|flow| flow.flow == "copies" && flow.awaiting_parent == 1);
    let report = until_report(&worker, "the copy says that it waits", waits).await;
    let copies = report.flows.iter().find(|flow| flow.flow == "copies").unwrap();
    assert_eq!((copies.queue_depth, copies.dead_letters), (1, 0), "{copies:?}");
    let copied = || async { bench.books.record("salesOrder", "eid:copy-1").await.unwrap() };
    assert!(copied().await.is_none(), "nothing is written without it");
    bench.books.remove_fault(down).await.unwrap();
    bench.until_booked(2).await;
    let original = bench.booked(1).await.unwrap()["id"].clone();
    assert_eq!(copied().await.unwrap()["memo"], original);
    until_report(&worker, "nothing waits", |report| report.flows.iter().all(|flow| flow.queue_depth == 0)).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_wait_for_what_they_refer_to_it_is_read_and_delivered() {
    let mut bench = Bench::new().await;
    let refers = "record.id == 1000000 ? 'the parent' : xref('orders', '1000000')";
    bench.plan.flows[0].map.insert("memo".into(), refers.into());
    bench.write_plan();
    // More than are read ahead, and what they refer to is listed after all of them.
    bench.seed(4_300).await;
    bench.order(1_000_000, "parent").await;
    let worker = bench.start().await;
    until("what they refer to is there", || async { bench.booked(1_000_000).await.is_some() }).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_the_condition_leaves_out_are_not_written() {
    let bench = Bench::new().await;
    bench.order(1, "x").await;
    bench.shop.patch_record("orders", "1", &json!({"cancelled_at": "2026-07-01T00:00:00Z"})).await.unwrap();
    bench.order(2, "y").await;
    let worker = bench.start().await;
    until_report(&worker, "both are settled", |report| {
        report.flows.first().is_some_and(|flow| flow.delivered + flow.unchanged == 2)
    })
    .await;
    assert!(bench.booked(1).await.is_none());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_without_a_version_is_set_aside_and_blocks_nobody() {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].stream.version = Some("/tags".into());
    bench.write_plan();
    bench.order(1, "x").await;
    bench.shop.patch_record("orders", "1", &json!({"tags": 7})).await.unwrap();
    bench.order(2, "y").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    let report = until_report(&worker, "one is set aside, and the other settled", |report| {
        report.flows[0].dead_letters == 1 && report.flows[0].queue_depth == 0
    })
    .await;
    assert_eq!((report.flows[0].delivered, report.flows[0].failed_24h), (1, 1));
    let letters = worker.letters().list(0, 10).await.unwrap();
    assert!(letters[0].key == "2" && letters[0].cause.contains("`/tags`"), "{letters:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_and_metrics_are_served() {
    let bench = Bench::new().await;
    bench.seed(3).await;
    let worker: Worker = bench.start().await;
    bench.until_booked(3).await;
    let get = |path: &str| {
        let url = format!("http://{}{path}", worker.address().unwrap());
        async move {
            let response = reqwest::get(url).await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        }
    };
    assert_eq!(get("/livez").await.0, 200);
    assert_eq!(get("/readyz").await, (200, "ok\n".to_owned()));
    until("all are counted", || async {
        get("/metrics")
            .await
            .1
            .contains(r#"crosstie_worker_records_handled_total{flow="orders",outcome="delivered"} 3"#)
    })
    .await;
    assert!(get("/metrics").await.1.contains(r#"crosstie_worker_credential_version{connector="shop",version="v1"} 1"#));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stands_still_answers_no_probe_and_goes_on_where_it_was() {
    let bench = Bench::new().await;
    bench.seed(300).await;
    let slow = FaultRule::new(Fault::Slow { millis: 30 }).method("PUT");
    bench.books.add_fault(&slow).await.unwrap();
    let port = free_port();
    let process = Process::start_with(&bench, &[("CROSSTIE_LISTEN", format!("127.0.0.1:{port}").into())]);
    let patience = std::time::Duration::from_secs(5);
    let client = reqwest::Client::builder().timeout(patience).build().unwrap();
    let lives = || async {
        let asked = client.get(format!("http://127.0.0.1:{port}/livez")).send().await;
        asked.is_ok_and(|answer| answer.status() == 200)
    };
    until("it lives", lives).await;
    bench.until_booked(50).await;
    process.pause();
    assert!(!lives().await, "what stands still answers: nobody would end it");
    process.resume();
    until("it lives again", lives).await;
    bench.until_booked(300).await;
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.applied, writes.distinct), (300, 300));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_connector_that_was_renamed_is_said_and_goes_on_under_the_old_name() {
    let mut bench = Bench::new().await;
    bench.seed(5).await;
    let away = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    bench.books.add_fault(&FaultRule::new(away).method("PUT")).await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "orders wait", |report| report.flows.first().is_some_and(|flow| flow.queue_depth == 5)).await;
    bench.plan.source.connector = "store".into();
    bench.write_credentials("source", "store", ("v1", "shop-1"), None);
    bench.write_plan();
    let report = until_report(&worker, "it is said", |report| names(report, Reason::RecordsLeftBehind)).await;
    let said = report.problems.iter().find(|problem| problem.reason == Reason::RecordsLeftBehind).unwrap();
    assert!(said.message.starts_with("5 records of flow `orders` from Connector `shop`"), "{}", said.message);
    bench.books.clear_faults().await.unwrap();
    bench.until_booked(5).await;
    bench.plan.source.connector = "shop".into();
    bench.write_credentials("source", "shop", ("v1", "shop-1"), None);
    bench.write_plan();
    until_report(&worker, "nothing waits any more", |report| {
        !names(report, Reason::RecordsLeftBehind) && report.flows.first().is_some_and(|flow| flow.queue_depth == 0)
    })
    .await;
    worker.stop().await;
}
