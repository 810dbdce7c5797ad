//! Webhooks over HTTP, as a vendor sends them, and what becomes of them at the destination.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{
    Bench,
    hooks::{Hooks, PATH, route},
    names, until, until_report,
};
use crosstie_crds::{condition::Reason, letters::Events};
use crosstie_engine::{
    plan::{Brings, Challenge, EventLimit, Method, Operation, Place, Rest, Shape, Stream, Subscription},
    template::Template,
};
use crosstie_vendors::wire::{Fault, FaultRule};
use crosstie_worker::Worker;
use serde_json::{Value, json};

/// A flow that reads so seldom that whatever arrives was brought by a webhook.
const SELDOM: u32 = 100_000;

fn order(id: u64, second: u8, note: &str) -> Value {
    json!({"id": id, "name": format!("#{id}"), "note": note, "cancelled_at": null, "updated_at": format!("2026-07-01T00:00:{second:02}Z")})
}

/// A worker at work, and a vendor that sends to it.
async fn started(bench: &Bench) -> (Worker, Hooks) {
    let worker = bench.start().await;
    until("a crew is at work", || async { worker.unready().is_none() }).await;
    let hooks = Hooks::to(worker.webhooks_address().unwrap(), "hush");
    (worker, hooks)
}

async fn booked(bench: &Bench, id: u64, note: &str) {
    until(&format!("order {id} is booked as {note:?}"), || async {
        bench.booked(id).await.is_some_and(|order| order["memo"] == note)
    })
    .await;
}

/// Waits until nothing is on its way any more.
async fn settled(worker: &Worker) {
    until_report(worker, "nothing waits", |report| report.flows.iter().all(|flow| flow.queue_depth == 0)).await;
}

fn counted(worker: &Worker, line: &str) -> bool {
    worker.metrics().lines().any(|found| found == format!("crosstie_worker_{line}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_five_times_is_acknowledged_five_times_and_written_once() {
    let bench = Bench::with_webhooks(SELDOM).await;
    let (worker, hooks) = started(&bench).await;
    for _ in 0..5 {
        assert_eq!(hooks.send("orders/create", "w-1", &order(1, 0, "a")).await, 200);
    }
    // The same state by another event is no news either.
    assert_eq!(hooks.send("orders/updated", "w-2", &order(1, 0, "a")).await, 200);
    booked(&bench, 1, "a").await;
    settled(&worker).await;
    assert_eq!(bench.writes(1).await, 1);
    assert!(counted(&worker, r#"webhook_events_total{outcome="repeated"} 4"#), "{}", worker.metrics());
    let log = format!("http://{}/events", worker.letters_address().unwrap());
    let log: Events = reqwest::get(log).await.unwrap().json().await.unwrap();
    let logged: Vec<_> =
        log.events.iter().map(|event| (event.id.as_deref().unwrap(), event.repeats, event.flows, event.news)).collect();
    assert_eq!(logged, [("w-2", 0, 1, 0), ("w-1", 4, 1, 1)]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_a_vendor_without_ids_is_known_again_by_its_content() {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    bench.plan.receiver.as_mut().unwrap().event_id = None;
    bench.write_plan();
    let (worker, hooks) = started(&bench).await;
    for number in 0..3 {
        assert_eq!(hooks.send("orders/create", &number.to_string(), &order(1, 0, "a")).await, 200);
    }
    assert_eq!(hooks.send("orders/updated", "4", &order(1, 1, "b")).await, 200);
    booked(&bench, 1, "b").await;
    settled(&worker).await;
    assert!(counted(&worker, r#"webhook_events_total{outcome="repeated"} 2"#), "{}", worker.metrics());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_event_never_writes_over_a_newer_state_whichever_comes_first() {
    let bench = Bench::with_webhooks(SELDOM).await;
    let (worker, hooks) = started(&bench).await;
    assert_eq!(hooks.send("orders/updated", "w-2", &order(1, 20, "new")).await, 200);
    booked(&bench, 1, "new").await;
    assert_eq!(hooks.send("orders/create", "w-1", &order(1, 10, "old")).await, 200);
    settled(&worker).await;
    // Both at once, the older one behind the newer.
    for (place, second) in [(1, 40), (2, 30)] {
        assert_eq!(
            hooks.send("orders/updated", &format!("x-{place}"), &order(2, second, &second.to_string())).await,
            200
        );
    }
    booked(&bench, 2, "40").await;
    settled(&worker).await;
    booked(&bench, 1, "new").await;
    booked(&bench, 2, "40").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_taken_that_is_not_verified_or_that_nobody_asked_for() {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let flow = &mut bench.plan.flows[0];
    flow.events[0].wanted = vec!["orders/create".into()];
    bench.write_plan();
    let (worker, hooks) = started(&bench).await;
    let body = || order(1, 0, "a").to_string().into_bytes();
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(hooks.unsigned("orders/create", "w-1", body())).await, 401);
    assert_eq!(status(hooks.signing_with("guess").signed("orders/create", "w-1", body())).await, 401);
    let changed = hooks.signed("orders/create", "w-1", body()).body("{}");
    assert_eq!(status(changed).await, 401, "what was signed is what counts");
    assert_eq!(status(hooks.signed("orders/create", "w-1", vec![b' '; 16_385])).await, 413);
    assert_eq!(status(hooks.signed("orders/create", "w-1", b"no json".to_vec())).await, 400);
    assert_eq!(status(hooks.request("POST", "/default/others")).await, 404);
    assert_eq!(status(hooks.request("DELETE", PATH)).await, 405);
    assert_eq!(status(hooks.request("GET", PATH)).await, 200, "somebody looks whether anything is there");
    assert_eq!(hooks.send("orders/paid", "w-2", &order(2, 0, "b")).await, 200, "verified, and no flow asks for it");
    // What is verified and has no key goes to the dead letters, where it is seen.
    assert_eq!(hooks.send("orders/create", "w-3", &json!({"updated_at": "2026-07-01T00:00:00Z"})).await, 200);
    until_report(&worker, "it is set aside", |report| report.flows[0].dead_letters == 1).await;
    assert_eq!(hooks.send("orders/create", "w-4", &order(4, 0, "d")).await, 200);
    booked(&bench, 4, "d").await;
    settled(&worker).await;
    assert_eq!(bench.books.stats().await.unwrap().writes.distinct, 1, "only order 4");
    for (reason, count) in [("unsigned", 1), ("forged", 2), ("too_large", 1), ("malformed", 1), ("elsewhere", 1)] {
        let line = format!(r#"webhooks_refused_total{{outcome="{reason}"}} {count}"#);
        assert!(counted(&worker, &line), "{line}\nis not in\n{}", worker.metrics());
    }
    assert!(counted(&worker, r#"webhook_events_total{outcome="unrouted"} 1"#), "{}", worker.metrics());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_signing_secret_is_changed_both_count_and_then_only_the_new_one() {
    let bench = Bench::with_webhooks(SELDOM).await;
    let (worker, old) = started(&bench).await;
    let new = old.signing_with("new");
    assert_eq!(old.send("orders/create", "1", &order(1, 0, "a")).await, 200);
    assert_eq!(new.send("orders/create", "2", &order(2, 0, "b")).await, 401);
    bench.write_secrets(&[("v2", "new"), ("v1", "hush")]);
    until("the new secret counts", || async { new.send("orders/create", "2", &order(2, 0, "b")).await == 200 }).await;
    assert_eq!(old.send("orders/create", "3", &order(3, 0, "c")).await, 200);
    bench.write_secrets(&[("v3", "newer"), ("v2", "new")]);
    until("the old secret counts no more", || async { old.send("orders/create", "4", &order(4, 0, "d")).await == 401 })
        .await;
    assert_eq!(new.send("orders/create", "5", &order(5, 0, "e")).await, 200);
    bench.until_booked(4).await;
    // Without the key nothing can be verified: the vendor is to send again, and somebody has to be told.
    bench.write_credentials("source", "shop", ("v4", "shop-1"), None);
    until_report(&worker, "the missing key is said", |report| names(report, Reason::KeyMissing)).await;
    assert_eq!(new.send("orders/create", "6", &order(6, 0, "f")).await, 503);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_deletes_and_a_late_update_does_not_bring_the_record_back() {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let flow = &mut bench.plan.flows[0];
    let deleted = Brings::Deleted {
        rest: Rest::Record(String::new()),
        version: Some(Place::Header("X-Shopify-Triggered-At".into())),
    };
    flow.events.insert(0, route("orders/delete", deleted));
    flow.stream.deleted = Some("/gone".into());
    flow.delete_operation = Some(common::delete_operation());
    bench.write_plan();
    let (worker, hooks) = started(&bench).await;
    assert_eq!(hooks.send("orders/create", "1", &order(1, 10, "a")).await, 200);
    booked(&bench, 1, "a").await;
    let delete = hooks.signed("orders/delete", "2", json!({"id": 1}).to_string().into_bytes());
    let delete = delete.header("X-Shopify-Triggered-At", "2026-07-01T00:00:30Z");
    assert_eq!(delete.send().await.unwrap().status(), 200);
    until("it is gone", || async { bench.booked(1).await.is_none() }).await;
    assert_eq!(hooks.send("orders/updated", "3", &order(1, 20, "late")).await, 200);
    settled(&worker).await;
    assert!(bench.booked(1).await.is_none());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_only_names_a_record_makes_it_be_read() {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let flow = &mut bench.plan.flows[0];
    flow.events = vec![route("*", Brings::Key("/objectId".into()))];
    flow.stream.one = Some(common::one());
    bench.plan.receiver.as_mut().unwrap().events = Some(String::new());
    bench.write_plan();
    let (worker, hooks) = started(&bench).await;
    bench.order(1, "first").await;
    bench.order(2, "second").await;
    let both = json!([{"objectId": 1}, {"objectId": 2}]);
    assert_eq!(hooks.send("deal.creation", "1", &both).await, 200);
    booked(&bench, 1, "first").await;
    booked(&bench, 2, "second").await;
    // The same words again, of another change.
    bench.order(1, "third").await;
    assert_eq!(hooks.send("deal.creation", "2", &both).await, 200);
    booked(&bench, 1, "third").await;
    settled(&worker).await;
    assert_eq!((bench.writes(1).await, bench.writes(2).await), (2, 1));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn word_of_a_record_that_was_set_aside_makes_it_be_read_again() {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let flow = &mut bench.plan.flows[0];
    flow.events = vec![route("*", Brings::Key("/objectId".into()))];
    flow.stream.one = Some(common::one());
    bench.write_plan();
    let refused = Fault::Status { code: 422, headers: std::collections::BTreeMap::new(), body: json!({}) };
    bench.books.add_fault(&FaultRule::new(refused).body_contains("broken")).await.unwrap();
    let (worker, hooks) = started(&bench).await;
    bench.order(1, "broken").await;
    assert_eq!(hooks.send("deal.change", "1", &json!({"objectId": 1})).await, 200);
    until_report(&worker, "it is set aside", |report| {
        report.flows.first().is_some_and(|flow| flow.dead_letters == 1 && flow.queue_depth == 0)
    })
    .await;
    let letter = worker.letters().list(0, 1).await.unwrap().remove(0);
    let payload = worker.letters().one(letter.id).await.unwrap().unwrap().payload.unwrap();
    assert!(payload.contains("broken"), "a person sees what was refused: {payload}");
    bench.order(1, "repaired").await;
    assert_eq!(hooks.send("deal.change", "2", &json!({"objectId": 1})).await, 200);
    booked(&bench, 1, "repaired").await;
    until_report(&worker, "the letter goes", |report| report.flows[0].dead_letters == 0).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_user_has_a_limit_of_verified_events_and_what_is_beyond_it_is_sent_again() {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let receiver = bench.plan.receiver.as_mut().unwrap();
    receiver.limit = Some(EventLimit { key: Some(Place::Pointer("/user".into())), requests: 100, per_seconds: 86_400 });
    bench.write_plan();
    let (worker, hooks) = started(&bench).await;
    let of = |user: &str, id: u64| {
        let mut order = order(id, 0, "a");
        order["user"] = json!(user);
        order
    };
    for id in 1..=100 {
        assert_eq!(hooks.send("orders/create", &id.to_string(), &of("jane", id)).await, 200);
    }
    let beyond = hooks.try_send("orders/create", "101", &of("jane", 101)).await.unwrap();
    assert_eq!(beyond.status(), 429);
    assert!(beyond.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 60);
    assert_eq!(hooks.send("orders/create", "102", &of("john", 102)).await, 200);
    bench.until_booked(101).await;
    settled(&worker).await;
    assert!(bench.booked(101).await.is_none());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_asks_first_is_answered() {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let challenge = |bench: &mut Bench, challenge| {
        bench.plan.receiver.as_mut().unwrap().challenge = Some(challenge);
        bench.write_plan();
    };
    challenge(&mut bench, Challenge::Pointer("/challenge".into()));
    let (worker, hooks) = started(&bench).await;
    let asked = hooks.try_send("", "1", &json!({"type": "url_verification", "challenge": "3eZbrw1a"})).await.unwrap();
    assert_eq!((asked.status().as_u16(), asked.text().await.unwrap().as_str()), (200, "3eZbrw1a"));
    let forged = hooks.signing_with("guess").try_send("", "1", &json!({"challenge": "3eZbrw1a"})).await.unwrap();
    assert_eq!(forged.status(), 401);
    challenge(&mut bench, Challenge::Parameter("hub.challenge".into()));
    until("the parameter is answered", || async {
        let asked =
            hooks.request("GET", &format!("{PATH}?hub.mode=subscribe&hub.challenge=a%20b")).send().await.unwrap();
        asked.text().await.unwrap() == "a b"
    })
    .await;
    challenge(&mut bench, Challenge::AllowedOrigin);
    until("the origin is allowed", || async {
        let asked = hooks.request("OPTIONS", PATH).header("WebHook-Request-Origin", "eventmesh.example.com");
        let answer = asked.send().await.unwrap();
        answer.headers().get("webhook-allowed-origin").is_some_and(|origin| origin == "eventmesh.example.com")
    })
    .await;
    worker.stop().await;
}

/// Shopify's subscriptions, as its preset describes them.
fn subscription(topics: &[&str]) -> Subscription {
    let path = "/admin/api/2026-07/webhooks.json";
    let shape = Shape { wrap: "/webhook".into(), ..Shape::default() };
    let stream = Stream {
        name: "webhookSubscriptions".into(),
        path: path.into(),
        records: "/webhooks".into(),
        ..common::stream()
    };
    let path = Template::parse(path).unwrap();
    let operation = Operation {
        name: "subscribe".into(),
        method: Method::Post,
        path,
        shape,
        identifier: None,
        ..common::operation()
    };
    Subscription {
        stream: Stream { cursor: None, ..stream },
        topic: "/topic".into(),
        address: "/address".into(),
        operation,
        topic_field: "topic".into(),
        address_field: "address".into(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendor_is_subscribed_to_what_is_missing_and_to_nothing_twice() {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let ours = "https://hooks.example.com/default/orders";
    for (id, topic, address) in [(1, "orders/create", ours), (2, "orders/updated", "https://elsewhere.example.com")] {
        let there = json!({"id": id, "topic": topic, "address": address});
        bench.shop.put_record("webhooks", &id.to_string(), &there).await.unwrap();
    }
    let refused =
        Fault::Status { code: 422, headers: std::collections::BTreeMap::new(), body: json!({"errors": "no"}) };
    bench.shop.add_fault(&FaultRule::new(refused).method("POST")).await.unwrap();
    let receiver = bench.plan.receiver.as_mut().unwrap();
    receiver.origin = Some("https://hooks.example.com".into());
    receiver.subscription = Some(subscription(&["orders/create", "orders/updated"]));
    bench.write_plan();
    let (worker, _) = started(&bench).await;
    let report = until_report(&worker, "it is said", |report| names(report, Reason::SubscriptionMissing)).await;
    let message = &report.problems[0].message;
    assert!(message.contains("orders/updated") && !message.contains("orders/create"), "{message}");
    bench.shop.clear_faults().await.unwrap();
    until_report(&worker, "it is over", |report| !names(report, Reason::SubscriptionMissing)).await;
    let all = bench.shop.records("webhooks", 0, 10).await.unwrap();
    let sent: Vec<_> = all.items.iter().filter(|one| one["address"] == ours).map(|one| one["topic"].clone()).collect();
    assert_eq!((all.total, sent), (3, vec![json!("orders/create"), json!("orders/updated")]));
    worker.stop().await;
}
