//! Records that stop matching, are deleted, depend on others, or have to be fetched anew: what becomes of them at the destination.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bench, delete_operation, flow, names, one, until, until_report};
use crosstie_crds::condition::Reason;
use crosstie_engine::{
    plan::{DependsOn, OnWhenFalse, ReadOne},
    template::Template,
};
use crosstie_vendors::wire::{Fault, FaultRule};
use serde_json::{Value, json};

async fn bench(change: impl FnOnce(&mut Bench)) -> Bench {
    let mut bench = Bench::new().await;
    change(&mut bench);
    bench.plan.format_version = bench.plan.format();
    bench.write_plan();
    bench
}

async fn cancel(bench: &Bench, id: u64, cancelled_at: Value) {
    bench.shop.patch_record("orders", &id.to_string(), &json!({"cancelled_at": cancelled_at})).await.unwrap();
}

async fn deletes(bench: &Bench, id: u64) -> u64 {
    bench.books.writes("salesOrder", &id.to_string()).await.unwrap().deletes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_cancelled_is_deleted_once_and_comes_back_when_it_is_not_any_more() {
    let bench = bench(|bench| {
        bench.plan.flows[0].on_when_false = OnWhenFalse::Delete;
        bench.plan.flows[0].delete_operation = Some(delete_operation());
    })
    .await;
    bench.order(1, "first").await;
    bench.order(2, "never booked").await;
    cancel(&bench, 2, json!("2026-11-01T00:00:00Z")).await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    cancel(&bench, 1, json!("2026-11-01T00:00:00Z")).await;
    until("the sales order is gone", || async { bench.booked(1).await.is_none() }).await;
    cancel(&bench, 1, Value::Null).await;
    until("the sales order is back", || async { bench.booked(1).await.is_some() }).await;
    assert_eq!((deletes(&bench, 1).await, deletes(&bench, 2).await), (1, 0), "what was never there is not deleted");
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_that_took_effect_without_an_answer_is_looked_up_and_settled() {
    let bench = bench(|bench| {
        bench.plan.flows[0].on_when_false = OnWhenFalse::Delete;
        bench.plan.flows[0].delete_operation = Some(delete_operation());
    })
    .await;
    bench.order(1, "first").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    let fault = FaultRule::new(Fault::ErrorAfterCommit { code: 500 }).method("DELETE").times(1);
    bench.books.add_fault(&fault).await.unwrap();
    cancel(&bench, 1, json!("2026-11-01T00:00:00Z")).await;
    until("the sales order is gone", || async { bench.booked(1).await.is_none() }).await;
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!(deletes(&bench, 1).await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_stops_to_match_is_written_once_more_only_if_it_is_there() {
    let bench = bench(|bench| {
        let flow = &mut bench.plan.flows[0];
        flow.on_when_false = OnWhenFalse::Update;
        flow.map.insert("memo".into(), "record.cancelled_at == null ? 'open' : 'cancelled'".into());
    })
    .await;
    bench.order(1, "").await;
    bench.order(2, "").await;
    cancel(&bench, 2, json!("2026-11-01T00:00:00Z")).await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    cancel(&bench, 1, json!("2026-11-01T00:00:00Z")).await;
    until("the sales order says so", || async { bench.booked(1).await.unwrap()["memo"] == "cancelled" }).await;
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert!(bench.booked(2).await.is_none(), "it was never there");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_its_source_marks_as_deleted_is_deleted() {
    let bench = bench(|bench| {
        bench.plan.flows[0].stream.deleted = Some("/deleted_at".into());
        bench.plan.flows[0].delete_operation = Some(delete_operation());
    })
    .await;
    bench.order(1, "").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    bench.shop.patch_record("orders", "1", &json!({"deleted_at": "2026-11-01T00:00:00Z"})).await.unwrap();
    until("the sales order is gone", || async { bench.booked(1).await.is_none() }).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_version_what_is_delivered_is_what_the_source_shows_at_that_moment() {
    let bench = bench(|bench| {
        bench.plan.flows[0].stream.version = None;
        bench.plan.flows[0].stream.one = Some(one());
    })
    .await;
    // Booking waits until the order has changed behind the list that was read.
    bench.order(1, "as listed").await;
    let down =
        FaultRule::new(Fault::Status { code: 503, headers: [].into(), body: json!({}) }).path_contains("/orders/1");
    let down = bench.shop.add_fault(&down).await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "it was read", |report| report.flows.first().is_some_and(|flow| flow.queue_depth == 1)).await;
    bench.order(1, "as it is now").await;
    bench.shop.remove_fault(down).await.unwrap();
    bench.until_booked(1).await;
    assert_eq!(bench.booked(1).await.unwrap()["memo"], "as it is now");
    let report = until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!((bench.writes(1).await, report.flows[0].dead_letters), (1, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_of_the_same_version_with_other_content_is_fetched_anew() {
    let bench = bench(|bench| bench.plan.flows[0].stream.one = Some(one())).await;
    // Recent, so that the next window's look-back reads it again.
    let updated_at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let order =
        |note: &str| json!({"id": 1, "name": "#1", "note": note, "cancelled_at": null, "updated_at": updated_at});
    bench.shop.put_record("orders", "1", &order("before")).await.unwrap();
    let worker = bench.start().await;
    bench.until_booked(1).await;
    bench.shop.put_record("orders", "1", &order("after")).await.unwrap();
    until("the order's single read", || async {
        bench.shop.log(0).await.unwrap().entries.iter().any(|entry| entry.path.contains("/orders/1.json"))
    })
    .await;
    until("the change is booked", || async { bench.booked(1).await.unwrap()["memo"] == "after" }).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_waits_for_its_parent_without_an_attempt_and_holds_up_nobody_else() {
    let bench = bench(|bench| {
        let mut notes = flow("notes");
        notes.map.insert("externalId".into(), "'note-' + string(record.id)".into());
        notes.depends_on = Some(DependsOn { flow: "orders".into(), key: "record.id".into() });
        bench.plan.flows.push(notes);
        // More attempts than a child has: waiting is none.
        bench.plan.retry.retries = 100;
    })
    .await;
    let refused = Fault::Status { code: 422, headers: [].into(), body: json!({"error": "jane@example.com"}) };
    let refused = FaultRule::new(refused).method("PUT").path_contains("eid:1");
    let refused = bench.books.add_fault(&refused).await.unwrap();
    bench.order(1, "").await;
    bench.order(2, "").await;
    let worker = bench.start().await;
    let note = |id: u64| {
        let books = bench.books.clone();
        async move { books.record("salesOrder", &format!("eid:note-{id}")).await.unwrap().is_some() }
    };
    until("the other order has its note", || note(2)).await;
    until("the parent was tried", || async {
        bench.books.log(0).await.unwrap().entries.iter().filter(|entry| entry.status == 422).count() > 2
    })
    .await;
    assert!(!note(1).await, "it came before its parent");
    let report = until_report(&worker, "both say why they wait", |report| {
        report.flows[1].awaiting_parent == 1 && report.flows[0].retrying == 1
    })
    .await;
    let [order, note_flow] = [0, 1].map(|flow| report.flows[flow].problem.clone().unwrap());
    assert!(order.starts_with("1 record failed and will be tried again") && order.contains("422"), "{order}");
    assert!(
        note_flow.starts_with("1 record of this flow came before") && note_flow.contains("`orders`"),
        "{note_flow}"
    );
    assert!(!order.contains("jane"), "{order}");
    let log = bench.books.log(0).await.unwrap().entries;
    assert!(!log.iter().any(|entry| entry.path.contains("note-1")), "a record that waits makes no call");
    bench.books.remove_fault(refused).await.unwrap();
    until("the note follows its parent", || note(1)).await;
    until_report(&worker, "nothing waits", |report| report.flows.iter().all(|flow| flow.problem.is_none())).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_listed_and_not_found_by_itself_is_set_aside_and_nothing_is_deleted() {
    let mut bench = bench(|bench| {
        bench.plan.flows[0].stream.version = None;
        bench.plan.flows[0].stream.one = Some(one());
        bench.plan.flows[0].delete_operation = Some(delete_operation());
    })
    .await;
    bench.order(1, "before").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    let elsewhere = Template::parse("/admin/api/2026-07/elsewhere/{key}.json").unwrap();
    bench.plan.flows[0].stream.one = Some(ReadOne { path: elsewhere, ..one() });
    bench.write_plan();
    bench.order(1, "after").await;
    let report = until_report(&worker, "it is set aside", |report| report.flows[0].dead_letters == 1).await;
    assert_eq!((report.flows[0].queue_depth, deletes(&bench, 1).await), (0, 0));
    assert_eq!(bench.booked(1).await.unwrap()["memo"], "before");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_written_once_is_left_as_it_is_when_it_changes_also_after_a_restart() {
    let bench = bench(|bench| bench.plan.flows[0].writes_once = true).await;
    bench.order(1, "first").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    for (change, then) in [("second", 2), ("third", 3)] {
        bench.shop.patch_record("orders", "1", &json!({"note": change})).await.unwrap();
        // What comes later is read in the same window or a later one: once it is booked, the change was settled.
        bench.order(then, "other").await;
        bench.until_booked(then).await;
    }
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    worker.stop().await;
    bench.shop.patch_record("orders", "1", &json!({"note": "fourth"})).await.unwrap();
    bench.order(4, "other").await;
    let worker = bench.start().await;
    bench.until_booked(4).await;
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!((bench.writes(1).await, bench.booked(1).await.unwrap()["memo"].as_str()), (1, Some("first")));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_that_fail_do_not_hold_up_writes() {
    let bench = bench(|bench| {
        bench.plan.flows[0].on_when_false = OnWhenFalse::Delete;
        bench.plan.flows[0].delete_operation = Some(delete_operation());
    })
    .await;
    bench.order(1, "first").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    let down = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    bench.books.add_fault(&FaultRule::new(down).method("DELETE")).await.unwrap();
    cancel(&bench, 1, json!("2026-11-01T00:00:00Z")).await;
    let report = until_report(&worker, "it is said", |report| names(report, Reason::DestinationUnavailable)).await;
    assert!(report.problems[0].message.contains("`deleteSalesOrder`"), "{:?}", report.problems);
    bench.order(2, "second").await;
    bench.until_booked(2).await;
    assert!(bench.booked(1).await.is_some());
    worker.stop().await;
}
