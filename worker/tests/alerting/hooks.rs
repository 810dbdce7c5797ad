//! Alerts as signed requests: what is in them, an outage from beginning to end, and a worker that is killed between sending and storing.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use base64::{Engine, prelude::BASE64_STANDARD};
use crosstie_engine::{
    alert::{Kind, Message},
    plan::{Alert, AlertWay},
    template::Template,
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::{alert, hand_out, refusing, tell};
use crate::common::{Bench, process::Process, until};
use crosstie_vendors::wire::{Fault, FaultRule};

/// The secret that requests are signed with, before base64.
const SECRET: &[u8] = b"a secret of 24 bytes....";

/// A receiver that remembers what it got.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Message>>>,
    /// How many requests, from the first, are left without an answer.
    silent: usize,
}

impl Receiver {
    async fn start(silent: usize) -> (Self, SocketAddr) {
        let receiver = Self { silent, ..Self::default() };
        let router = Router::new().route("/hooks/crosstie", post(take)).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, address)
    }

    fn got(&self) -> Vec<Message> {
        self.got.lock().unwrap().clone()
    }

    async fn until_got(&self, count: usize) -> Vec<Message> {
        until(&format!("{count} requests"), || async { self.got().len() >= count }).await;
        self.got()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers[name].to_str().unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(format!("{}.{}.", text("webhook-id"), text("webhook-timestamp")).as_bytes());
    mac.update(&body);
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(text("webhook-signature"), format!("v1,{signature}"));
    assert_eq!(text("authorization"), "Bearer t-1");
    let message: Message = serde_json::from_slice(&body).unwrap();
    assert_eq!(message.id, text("webhook-id"));
    let number = {
        let mut got = receiver.got.lock().unwrap();
        got.push(message);
        got.len()
    };
    if number <= receiver.silent {
        tokio::time::sleep(Duration::from_hours(1)).await;
    }
    StatusCode::NO_CONTENT
}

fn hook(bench: &Bench, address: SocketAddr) -> Alert {
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(SECRET));
    hand_out(bench, "pager", "v1", &json!({"token": "t-1", "signing": secret}));
    let spec = json!({
        "baseURL": format!("http://{address}"), "auth": {"bearer": {"token": "{token}"}},
        "credentials": {"secretRef": {"name": "x"}},
    });
    let signing_secret = Some(Template::parse("{signing}").unwrap());
    alert("pager", "pager", &spec, |_| AlertWay::Webhook { path: "/hooks/crosstie".into(), signing_secret })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_told_once_and_so_is_its_end() {
    let mut bench = Bench::new().await;
    bench.plan.retry.retries = 0;
    let (receiver, address) = Receiver::start(0).await;
    let hook = hook(&bench, address);
    tell(&mut bench, hook);
    let fault = Fault::Status { code: 503, headers: std::collections::BTreeMap::new(), body: json!({}) };
    bench.books.add_fault(&FaultRule::new(fault)).await.unwrap();
    bench.seed(20).await;
    let worker = bench.start().await;
    let began = receiver.until_got(1).await.remove(0);
    assert_eq!((began.kind, began.cause.as_str()), (Kind::Began, "SystemFailing"));
    assert!(began.items[0].count > 0 && began.items[0].message.contains("503"), "{began:?}");
    bench.books.clear_faults().await.unwrap();
    bench.until_booked(20).await;
    let all = receiver.until_got(2).await;
    assert_eq!(all[1].kind, Kind::Resolved);
    assert!(all[1].until.is_some() && all[1].since <= all[1].until.unwrap() && all[1].items.is_empty());
    worker.stop().await;
    assert_eq!(receiver.got().len(), 2, "{:?}", receiver.got());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_before_the_answer_sends_the_same_message_again_and_then_never() {
    let mut bench = refusing(1).await;
    let (receiver, address) = Receiver::start(1).await;
    let hook = hook(&bench, address);
    tell(&mut bench, hook);
    let mut process = Process::start(&bench);
    receiver.until_got(1).await;
    process.kill();
    let second = Process::start(&bench);
    let got = receiver.until_got(2).await;
    assert_eq!(got[0], got[1], "the same message, with the same id");
    second.stop().await;
    // What was accepted is gone from the store: a third worker has something else to say, and no more than that.
    bench.books.clear_faults().await.unwrap();
    bench.order(1, "changed").await;
    let third = Process::start(&bench);
    let got = receiver.until_got(3).await;
    assert_eq!((got.len(), got[2].kind), (3, Kind::Resolved), "{got:?}");
    third.stop().await;
}
