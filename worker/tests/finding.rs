//! Writes that look before they write, by a whole worker: answers that never come, jobs, and an error language that says no with status 200. Every
//! record arrives exactly once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Bench, until};
use crosstie_engine::plan::{Operation, System};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

/// A desk of tickets without upsert: a search by external id, creates and updates. Some creates take effect and are answered too late.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<Tickets>>);

#[derive(Default)]
struct Tickets {
    /// By the number that the desk gave them.
    by_number: BTreeMap<usize, Value>,
    creates: usize,
    updates: usize,
}

impl Respond for Desk {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut desk = self.0.lock().unwrap();
        let body = || serde_json::from_slice::<Value>(&request.body).unwrap()["fields"].clone();
        match request.method.as_str() {
            "GET" => {
                let wanted = request.url.query_pairs().find(|(name, _)| name == "ext").unwrap().1.into_owned();
                let found = desk.by_number.iter().filter(|(_, fields)| fields["externalId"] == wanted.as_str());
                let found: Vec<Value> = found.map(|(id, fields)| json!({"id": id, "fields": fields})).collect();
                ResponseTemplate::new(200).set_body_json(json!({"issues": found}))
            }
            "POST" => {
                desk.creates += 1;
                let id = desk.by_number.len() + 1;
                desk.by_number.insert(id, body());
                let answer = ResponseTemplate::new(200).set_body_json(json!({"ok": true, "id": id}));
                // Every third takes effect, and its answer comes too late.
                if desk.creates.is_multiple_of(3) { answer.set_delay(Duration::from_secs(3)) } else { answer }
            }
            _ => {
                desk.updates += 1;
                let id: usize = request.url.path().rsplit('/').next().unwrap().parse().unwrap();
                desk.by_number.insert(id, body());
                ResponseTemplate::new(200).set_body_json(json!({"ok": true}))
            }
        }
    }
}

fn operation() -> Operation {
    let lookup = json!({
        "path": "/search", "query": {"ext": "{body.externalId}"}, "key": "/fields/externalId", "keyField": "externalId",
        "settleSeconds": 1, "place": "/issues",
        "evidence": {"record": "/fields", "identifier": "/id", "proof": "Fields"},
    });
    serde_json::from_value(json!({
        "name": "upsertTicket", "method": "POST", "path": "/tickets", "query": {}, "headers": {},
        "shape": {"wrap": "/fields"}, "identifier": {"pointer": "/id"},
        "find": {"lookup": lookup, "method": "PUT", "path": "/tickets/{identifier}", "query": {}, "shape": {"wrap": "/fields"}},
        "outcome": {"idempotency": null, "lookup": lookup},
    }))
    .unwrap()
}

/// A bench whose destination is a server of the test's own.
async fn bench(server: &MockServer, operation: Operation, change: impl Fn(&mut System)) -> Bench {
    let mut bench = Bench::new().await;
    let plan = &mut bench.plan;
    plan.destination.base_url = server.uri().parse().unwrap();
    change(&mut plan.destination);
    plan.flows[0].operation = operation;
    plan.format_version = plan.format();
    bench.write_plan();
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creates_whose_answers_never_come_are_found_and_none_is_made_twice() {
    let (server, desk) = (MockServer::start().await, Desk::default());
    Mock::given(any()).respond_with(desk.clone()).mount(&server).await;
    let mut bench = bench(&server, operation(), |_| {}).await;
    bench.give_up_soon();
    for id in 1..=12 {
        bench.order(id, "first").await;
    }
    let worker = bench.start().await;
    let with = |note: &'static str| {
        let desk = desk.clone();
        move || {
            let desk = desk.0.lock().unwrap();
            let noted = desk.by_number.values().filter(|fields| fields["memo"] == note).count();
            std::future::ready(noted == 12)
        }
    };
    until("every order is a ticket", with("first")).await;
    for id in 1..=12 {
        bench.order(id, "second").await;
    }
    until("every ticket is updated", with("second")).await;
    worker.stop().await;
    let desk = desk.0.lock().unwrap();
    assert_eq!((desk.by_number.len(), desk.creates), (12, 12), "{:?}", desk.by_number);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_with_status_200_is_none_delivered_and_a_limit_with_status_403_loses_nothing() {
    /// Refuses order 2 for ever, and limits every first write of the others.
    #[derive(Clone, Default)]
    struct Chat(Arc<Mutex<BTreeMap<String, u32>>>);

    impl Respond for Chat {
        fn respond(&self, request: &Request) -> ResponseTemplate {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let key = body["externalId"].as_str().unwrap().to_owned();
            let mut seen = self.0.lock().unwrap();
            let times = seen.entry(key.clone()).or_default();
            *times += 1;
            match (key.as_str(), *times) {
                ("2", _) => ResponseTemplate::new(200).set_body_json(json!({"ok": false, "error": "no_channel"})),
                (_, 1) => ResponseTemplate::new(403).set_body_json(json!([{"errorCode": "REQUEST_LIMIT_EXCEEDED"}])),
                _ => ResponseTemplate::new(200).set_body_json(json!({"ok": true})),
            }
        }
    }

    let (server, chat) = (MockServer::start().await, Chat::default());
    Mock::given(any()).respond_with(chat.clone()).mount(&server).await;
    let mut post: Operation = operation();
    (post.find, post.identifier, post.outcome.lookup) = (None, None, None);
    post.shape = crosstie_engine::plan::Shape::default();
    let limited =
        json!({"statuses": [403], "body": {"pointer": "/*/errorCode", "test": {"in": ["REQUEST_LIMIT_EXCEEDED"]}}});
    let refused = json!({"statuses": [200], "body": {"pointer": "/ok", "test": {"in": ["false"]}}});
    let rules = json!([{"when": limited, "means": "RateLimited"}, {"when": refused, "means": "RecordFailure", "message": "/error"}]);
    let bench = bench(&server, post, |system| system.errors = serde_json::from_value(rules.clone()).unwrap()).await;
    for id in 1..=3 {
        bench.order(id, "note").await;
    }
    let worker = bench.start().await;
    let report = common::until_report(&worker, "the refused one is set aside", |report| {
        report.flows.iter().any(|flow| flow.dead_letters == 1)
    })
    .await;
    assert!(report.flows.iter().all(|flow| flow.dead_letters == 1));
    let written = || {
        let seen = chat.0.lock().unwrap();
        std::future::ready(["1", "3"].iter().all(|key| seen.get(*key) == Some(&2)))
    };
    until("the others were written once each after they were limited", written).await;
    worker.stop().await;
}
