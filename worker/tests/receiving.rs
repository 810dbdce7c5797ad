//! What the receiver does about callers that send too much, or nothing that is verified: it stays up, and good webhooks are taken meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;

use common::{
    Bench,
    hooks::{Hooks, PATH, route},
    process::{Process, free_port},
    until, until_report,
};
use crosstie_engine::plan::Brings;
use crosstie_worker::Worker;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// A flow that reads so seldom that whatever arrives was brought by a webhook.
const SELDOM: u32 = 100_000;
/// As large as bodies may be here.
const MEBIBYTE: usize = 1024 * 1024;

fn order(id: u64, note: &str) -> Value {
    json!({"id": id, "name": "#1", "note": note, "cancelled_at": null, "updated_at": "2026-07-01T00:00:00Z"})
}

/// A bench whose bodies may be as large as they may by default, behind a proxy that says who calls.
async fn bench() -> Bench {
    let mut bench = Bench::with_webhooks(SELDOM).await;
    let receiver = bench.plan.receiver.as_mut().unwrap();
    receiver.max_body_bytes = u32::try_from(MEBIBYTE).unwrap();
    receiver.trusted_proxies = vec!["127.0.0.0/8".into()];
    bench.write_plan();
    bench
}

async fn started(bench: &Bench) -> (Worker, Hooks) {
    let worker = bench.start().await;
    until("a crew is at work", || async { worker.unready().is_none() }).await;
    let hooks = Hooks::to(worker.webhooks_address().unwrap(), "hush");
    (worker, hooks)
}

fn counted(worker: &Worker, line: &str) -> bool {
    worker.metrics().lines().any(|found| found == format!("crosstie_worker_webhooks_refused_total{line}"))
}

/// The status of the answer to a request of a caller.
async fn from(caller: &str, request: RequestBuilder) -> u16 {
    request.header("X-Forwarded-For", caller).send().await.unwrap().status().as_u16()
}

/// Sends a webhook of a length as far as this many bytes of its body, and perhaps nothing more on that connection. The status of the answer; none
/// where the connection was ended while it was sent.
async fn part_sent(to: SocketAddr, caller: &str, (bytes, length): (usize, usize), ends: bool) -> Option<u16> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let head =
        format!("POST {PATH} HTTP/1.1\r\nHost: hooks\r\nX-Forwarded-For: {caller}\r\nContent-Length: {length}\r\n\r\n");
    // Whoever is refused cannot send all of it.
    let _refused = stream.write_all(&[head.into_bytes(), vec![b' '; bytes]].concat()).await;
    if ends {
        stream.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    let _refused = stream.read_to_end(&mut answer).await;
    std::str::from_utf8(&answer).ok()?.get(9..12)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_half_sent_by_the_hundred_fill_no_memory_and_good_webhooks_are_taken_meanwhile() {
    let bench = bench().await;
    let port = free_port();
    let process = Process::receiving(&bench, port, &[]);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let hooks = Hooks::to(address, "hush");
    until("it receives", || async {
        hooks.try_send("orders/create", "1", &order(1, "a")).await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let mut senders = JoinSet::new();
    for _ in 0..200 {
        senders.spawn(part_sent(address, "192.0.2.1", (MEBIBYTE - 1, MEBIBYTE), false));
    }
    let (mut ended, mut held) = (0, 0);
    while let Some(status) = senders.join_next().await {
        (ended, held) = (ended + 1, held + u32::from(status.unwrap() == Some(408)));
        if ended == 150 {
            // Small ones of anybody, and larger ones of anybody else.
            let small = hooks.signed("orders/create", "2", order(2, "b").to_string().into_bytes());
            assert_eq!(from("192.0.2.1", small).await, 200);
            let larger = order(3, &"c".repeat(MEBIBYTE / 2)).to_string().into_bytes();
            assert_eq!(from("192.0.2.2", hooks.signed("orders/create", "3", larger)).await, 200);
        }
    }
    assert!(held < 20, "{held} MiB of one caller were held at once");
    let peak = process.peak_memory().expect("it still runs");
    assert!(peak < 96, "{peak} MiB were held");
    bench.until_booked(3).await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_too_large_or_break_off_count_as_failures_of_their_caller() {
    let bench = bench().await;
    let (worker, _) = started(&bench).await;
    let (address, too_large) = (worker.webhooks_address().unwrap(), (1, MEBIBYTE + 1));
    for _ in 0..20 {
        assert_eq!(part_sent(address, "192.0.2.1", too_large, true).await, Some(413));
        assert_eq!(part_sent(address, "192.0.2.2", (1, 2), true).await, Some(400));
    }
    for caller in ["192.0.2.1", "192.0.2.2"] {
        until("it is refused", || async { part_sent(address, caller, too_large, true).await == Some(429) }).await;
    }
    assert_eq!(part_sent(address, "192.0.2.3", too_large, true).await, Some(413), "nobody else is");
    assert!(counted(&worker, r#"{outcome="broken_off"} 20"#), "{}", worker.metrics());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_caller_that_keeps_failing_only_small_webhooks_are_verified_until_one_is() {
    let bench = bench().await;
    let (worker, hooks) = started(&bench).await;
    let forged = hooks.signing_with("guess");
    let (small, large) = (order(1, "a"), order(2, &"b".repeat(100_000)));
    until("a forged one is refused with 429", || async {
        let answer = forged.try_send("orders/create", "1", &small).await.unwrap();
        let status = answer.status().as_u16();
        assert!(status == 401 || status == 429 && answer.headers().contains_key("retry-after"), "{status}");
        status == 429
    })
    .await;
    let unread = part_sent(worker.webhooks_address().unwrap(), "127.0.0.1", (1, 100_000), false).await;
    assert_eq!(unread, Some(429), "a large one is not read");
    assert_eq!(hooks.send("orders/create", "3", &small).await, 200, "a small one is verified");
    assert_eq!(hooks.send("orders/create", "2", &large).await, 200, "which clears the caller");
    assert_eq!(forged.send("orders/create", "4", &small).await, 401);
    bench.until_booked(2).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_no_flow_asked_for_is_taken_when_it_is_sent_again_to_a_flow_that_does() {
    let mut bench = bench().await;
    let wanted = bench.plan.flows[0].events.clone();
    bench.plan.flows[0].events = vec![route("refunds/*", Brings::Record(String::new()))];
    bench.write_plan();
    let (worker, hooks) = started(&bench).await;
    assert_eq!(hooks.send("orders/paid", "1", &order(1, "a")).await, 200);
    bench.plan.flows[0].events = wanted;
    bench.write_plan();
    let hash = bench.plan.hash();
    until_report(&worker, "the new plan is at work", |report| report.plan_hash.as_deref() == Some(hash.as_str())).await;
    assert_eq!(hooks.send("orders/paid", "1", &order(1, "a")).await, 200);
    bench.until_booked(1).await;
    worker.stop().await;
}
