//! Input that is bad on purpose or by accident, through the real worker: webhooks that are old or sent again by a stranger, a clock that jumps, a mapping
//! that explodes for one record. Forged, oversized and unknown webhooks are in `webhooks`, a damaged state and a full disk in `stored`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use common::{
    Bench,
    hooks::{Hooks, PATH, receiver, route},
    until, until_report,
};
use crosstie_connect::{Clock, SystemClock};
use crosstie_engine::{
    plan::{Brings, HeaderPart, Rest, SentAt, TimestampFormat, Verification},
    template::Template,
};
use crosstie_vendors::wire::{Fault, FaultRule};
use crosstie_worker::{Settings, Worker};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sha2::Sha256;

/// A flow that reads so seldom that whatever arrives was brought by a webhook.
const SELDOM: u32 = 100_000;
/// For how long a webhook may be under way, in seconds.
const TOLERANCE: u32 = 300;

/// A worker whose webhooks say when they were sent, and sign it.
async fn dated() -> (Bench, Worker) {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let mut rules = receiver();
    let Verification::Hash(hash) = &mut rules.verification else { panic!("webhooks are signed otherwise") };
    let at = HeaderPart { header: "X-Sent-At".into(), prefix: String::new(), separator: None };
    hash.message = Template::parse("{timestamp}.{body}").unwrap();
    hash.timestamp = Some(SentAt { at, format: TimestampFormat::EpochSeconds, tolerance_seconds: TOLERANCE });
    bench.plan.receiver = Some(rules);
    bench.write_plan();
    let worker = bench.start().await;
    until("a crew is at work", || async { worker.unready().is_none() }).await;
    (bench, worker)
}

/// Sends an order as an event of this id, signed as sent so many seconds ago. Gives the status of the answer.
async fn send(worker: &Worker, event: &str, id: u64, seconds_ago: i64) -> u16 {
    let sent = (Timestamp::now().as_second() - seconds_ago).to_string();
    let order = json!({"id": id, "name": format!("#{id}"), "note": "a", "cancelled_at": null, "updated_at": "2026-07-01T00:00:00Z"});
    let body = order.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"hush").unwrap();
    mac.update(format!("{sent}.{body}").as_bytes());
    let url = format!("http://{}{PATH}", worker.webhooks_address().unwrap());
    let request = reqwest::Client::new().post(url).header("X-Sent-At", sent).body(body);
    let request = request.header("X-Shopify-Topic", "orders/create").header("X-Shopify-Webhook-Id", event);
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    request.header("X-Shopify-Hmac-SHA256", signature).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_recorded_and_sends_again_is_refused_when_it_is_old_and_writes_nothing_while_it_is_not() {
    let (bench, worker) = dated().await;
    assert_eq!(send(&worker, "w-1", 1, 10).await, 200);
    bench.until_booked(1).await;
    // As it was, and under an id of the stranger's own, which is not signed.
    assert_eq!(send(&worker, "w-1", 1, 10).await, 200);
    assert_eq!(send(&worker, "w-9", 1, 10).await, 200);
    let old = i64::from(TOLERANCE) + 60;
    assert_eq!(send(&worker, "w-2", 2, old).await, 401, "sent too long ago");
    assert_eq!(send(&worker, "w-3", 3, -old).await, 401, "sent in the future");
    assert_eq!(send(&worker, "w-4", 4, 0).await, 200);
    bench.until_booked(2).await;
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!((bench.writes(1).await, bench.writes(4).await), (1, 1));
    assert!(bench.booked(2).await.is_none() && bench.booked(3).await.is_none());
    let stale = r#"crosstie_worker_webhooks_refused_total{outcome="stale"} 2"#;
    assert!(worker.metrics().lines().any(|line| line == stale), "{}", worker.metrics());
    worker.stop().await;
}

/// A clock that can be set.
#[derive(Default)]
struct Settable(AtomicI64);

impl Settable {
    fn set(&self, hours_ahead: i64) {
        self.0.store(hours_ahead, Ordering::SeqCst);
    }
}

impl Clock for Settable {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_hours(self.0.load(Ordering::SeqCst))
    }
}

async fn started(bench: &Bench, clock: &Arc<Settable>) -> Worker {
    let mut settings: Settings = bench.settings();
    settings.surroundings.clock = Arc::<Settable>::clone(clock);
    Worker::start(settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_ahead_and_back_stops_nothing_loses_nothing_and_repeats_nothing() {
    let bench = Bench::new().await;
    let clock = Arc::new(Settable::default());
    let worker = started(&bench, &clock).await;
    bench.order(1, "x").await;
    bench.until_booked(1).await;
    clock.set(3);
    bench.order(2, "x").await;
    bench.until_booked(2).await;
    // What waits, and when it is tried again, is stored by the clock that is ahead; one is written, and its answer is lost.
    bench.books.add_fault(&FaultRule::new(Fault::ErrorAfterCommit { code: 502 }).method("PUT").times(1)).await.unwrap();
    bench.order(3, "x").await;
    bench.until_booked(3).await;
    let down = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    bench.books.add_fault(&FaultRule::new(down)).await.unwrap();
    bench.order(4, "x").await;
    until_report(&worker, "it waits", |report| report.flows[0].queue_depth >= 1 && !report.problems.is_empty()).await;
    clock.set(0);
    bench.books.clear_faults().await.unwrap();
    bench.order(5, "x").await;
    bench.until_booked(5).await;
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    worker.stop().await;
    // So does one that was set back while no worker ran.
    clock.set(-3);
    let worker = started(&bench, &clock).await;
    bench.order(6, "x").await;
    bench.until_booked(6).await;
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.applied, writes.distinct), (6, 6));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_without_a_time_deletes_no_record_that_was_restored() {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let flow = &mut bench.plan.flows[0];
    let deleted = Brings::Deleted { rest: Rest::Key("/objectId".into()), version: None };
    flow.events = vec![route("deal.deletion", deleted), route("*", Brings::Key("/objectId".into()))];
    flow.stream.one = Some(common::one());
    flow.stream.deleted = Some("/gone".into());
    flow.delete_operation = Some(common::delete_operation());
    bench.write_plan();
    let clock = Arc::new(Settable::default());
    let worker = started(&bench, &clock).await;
    until("a crew is at work", || async { worker.unready().is_none() }).await;
    let hooks = Hooks::to(worker.webhooks_address().unwrap(), "hush");
    bench.order(1, "x").await;
    assert_eq!(hooks.send("deal.creation", "1", &json!({"objectId": 1})).await, 200);
    bench.until_booked(1).await;
    // Its deletion and its restoring came in the other order, or a copy that lags behind is read: that is not known yet.
    assert_eq!(hooks.send("deal.deletion", "2", &json!({"objectId": 1})).await, 200);
    until_report(&worker, "it waits", |report| report.flows[0].queue_depth == 1).await;
    clock.set(1);
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert!(bench.booked(1).await.is_some(), "the source shows it");
    // A change of what was restored is news.
    bench.order(1, "y").await;
    assert_eq!(hooks.send("deal.change", "3", &json!({"objectId": 1})).await, 200);
    until("the change is booked", || async { bench.booked(1).await.is_some_and(|order| order["memo"] == "y") }).await;
    // And what is not there any more is deleted at once.
    bench.shop.delete_record("orders", "1").await.unwrap();
    assert_eq!(hooks.send("deal.deletion", "4", &json!({"objectId": 1})).await, 200);
    until("it is gone", || async { bench.booked(1).await.is_none() }).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mapping_that_explodes_for_one_record_sets_that_one_aside_and_no_other() {
    let mut bench = Bench::new().await;
    let explodes = format!(r#"record.note == "bomb" ? ["bomb"]{}[0] : record.note"#, ".map(x, x + x)".repeat(40));
    bench.plan.flows[0].map.insert("memo".into(), explodes);
    bench.write_plan();
    for id in 1..=20 {
        bench.order(id, if id == 7 { "bomb" } else { "fine" }).await;
    }
    let worker = bench.start().await;
    bench.until_booked(19).await;
    until_report(&worker, "it is set aside", |report| {
        report.flows.first().is_some_and(|flow| (flow.dead_letters, flow.queue_depth) == (1, 0))
    })
    .await;
    let letter = worker.letters().list(0, 10).await.unwrap().remove(0);
    assert_eq!(letter.key, "7");
    assert!(letter.cause.contains("map[memo]") && letter.cause.contains("longer than"), "{}", letter.cause);
    worker.stop().await;
}
