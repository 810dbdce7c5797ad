//! Who is told when something is wrong: the simulator's Slack, a mail server that others wrote (aiosmtpd, from `tests/setup`), and a receiver of
//! webhooks. Nothing is lost while they are down, nothing is told a thousand times, and what is killed in between is sent again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "alerting/hooks.rs"]
mod hooks;
#[path = "alerting/mail.rs"]
mod mail;

use std::collections::BTreeMap;

use common::{Bench, names, until, until_report};
use crosstie_connect::Surroundings;
use crosstie_crds::{Connector, condition::Reason, letters::MOST};
use crosstie_engine::{
    alert::Cause,
    compile::{self, Settings},
    plan::{Alert, AlertWay},
};
use crosstie_vendors::{
    control::Client,
    wire::{Fault, FaultRule},
};
use crosstie_worker::Worker;
use serde_json::{Value, json};

/// A channel through a Connector of this spec, told of everything within seconds.
fn alert(name: &str, connector: &str, spec: &Value, way: impl FnOnce(&compile::Offered) -> AlertWay) -> Alert {
    let document = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": connector, "namespace": "default"},
        "spec": spec,
    });
    let connector: Connector = serde_json::from_value(document).unwrap();
    let settings = Settings { allow_cidrs: vec!["127.0.0.0/8".into()] };
    let compiled = compile::offered(&connector, &settings);
    let offered = compiled.value.unwrap_or_else(|| panic!("{:?}", compiled.findings));
    let way = way(&offered);
    let (causes, group_seconds, repeat_seconds) = (Cause::ALL.to_vec(), 1, 14_400);
    Alert { name: name.into(), system: offered.system, way, causes, group_seconds, repeat_seconds }
}

/// Through the simulator's Slack.
fn slack(chat: &Client, channel: &str) -> Alert {
    let spec = json!({"preset": "Slack", "baseURL": chat.base_url(), "credentials": {"secretRef": {"name": "x"}}});
    alert("ops", "chat", &spec, |offered| {
        let operation = offered.operations.iter().find(|operation| operation.name == "postMessage").unwrap();
        AlertWay::Slack { operation: Box::new(operation.clone()), channel: channel.into() }
    })
}

/// Gives the worker credentials for a Connector that alerts go through.
fn hand_out(bench: &Bench, connector: &str, version: &str, values: &Value) {
    let document = json!({"connector": connector, "current": {"versionId": version, "values": values}});
    bench.write(&format!("credentials/alerts/{connector}/credentials.json"), &document.to_string());
}

/// A bench whose books refuse everything, and whose records are tried once.
async fn refusing(orders: u64) -> Bench {
    let mut bench = Bench::new().await;
    bench.plan.retry.retries = 0;
    bench.write_plan();
    bench.seed(orders).await;
    let headers = BTreeMap::from([("X-N-OperationId".to_owned(), "op-1".to_owned())]);
    let fault = Fault::Status { code: 400, headers, body: json!({"title": "Invalid value hush-1"}) };
    bench.books.add_fault(&FaultRule::new(fault)).await.unwrap();
    bench
}

/// Tells somebody from now on.
fn tell(bench: &mut Bench, alert: Alert) {
    bench.plan.alerts = vec![alert];
    bench.plan.format_version = bench.plan.format();
    assert_eq!(bench.plan.format_version, 4);
    bench.write_plan();
}

async fn until_dead(worker: &Worker, letters: i64) {
    until_report(worker, "they are set aside", |report| {
        report.flows.first().is_some_and(|flow| flow.dead_letters == letters && flow.queue_depth == 0)
    })
    .await;
}

async fn replay_all(worker: &Worker) {
    let mut last = 0;
    loop {
        let letters = worker.letters().list(last, MOST).await.unwrap();
        let Some(newest) = letters.last() else { return };
        last = newest.id;
        let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
        worker.letters().replay(&ids).await.unwrap();
    }
}

async fn posts(chat: &Client) -> Vec<String> {
    let page = chat.records("messages", 0, 100).await.unwrap();
    let mut posts: Vec<(String, String)> = page
        .items
        .iter()
        .map(|post| (post["ts"].as_str().unwrap().to_owned(), post["text"].as_str().unwrap().to_owned()))
        .collect();
    posts.sort();
    posts.into_iter().map(|(_, text)| text).collect()
}

async fn until_posted(chat: &Client, count: usize) -> Vec<String> {
    until(&format!("{count} posts"), || async { posts(chat).await.len() >= count }).await;
    posts(chat).await
}

async fn chat(bench: &Bench) -> Client {
    let chat = bench.simulator.control("slack", "chat").unwrap();
    chat.set_tokens(&["xoxb-1"]).await.unwrap();
    hand_out(bench, "chat", "v1", &json!({"token": "xoxb-1"}));
    chat
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_dead_letters_are_one_post_and_that_they_are_gone_is_another() {
    let mut bench = refusing(1000).await;
    let chat = chat(&bench).await;
    let worker = bench.start().await;
    until_dead(&worker, 1000).await;
    let slack = slack(&chat, "C0SUPPORT");
    tell(&mut bench, slack);
    let text = until_posted(&chat, 1).await.remove(0);
    for said in [
        "default/orders: 1000 records lie in the dead letters",
        "flow orders, DeadLetters",
        "answered 400",
        "1000 times",
        "request ids op-1",
        "`kubectl crosstie dlq list orders -n default`",
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    assert!(!text.contains("hush-1"), "{text}");
    bench.books.clear_faults().await.unwrap();
    replay_all(&worker).await;
    let texts = until_posted(&chat, 2).await;
    assert!(texts[1].contains("resolved: no record lies in the dead letters any more"), "{texts:?}");
    worker.stop().await;
    // What was told is remembered: a worker that starts anew tells nothing again.
    let worker = bench.start().await;
    until_report(&worker, "it runs again", |report| report.flows.iter().all(|flow| flow.last_sync_time.is_some()))
        .await;
    worker.stop().await;
    assert_eq!(posts(&chat).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_slack_refuses_with_200_waits_shows_in_the_report_and_is_posted_when_it_takes_it() {
    let mut bench = refusing(3).await;
    let chat = chat(&bench).await;
    chat.set_tokens(&[]).await.unwrap();
    let slack = slack(&chat, "C0SUPPORT");
    tell(&mut bench, slack);
    let worker = bench.start().await;
    let report =
        until_report(&worker, "it is said that nobody is told", |report| names(report, Reason::AlertsFailing)).await;
    let problem = report.problems.iter().find(|problem| problem.reason == Reason::AlertsFailing).unwrap();
    assert!(problem.message.contains("alert `ops` tells nobody"), "{}", problem.message);
    assert!(worker.metrics().contains(r#"crosstie_worker_alerts_failing{alert="ops"} 1"#));
    worker.stop().await;
    chat.set_tokens(&["xoxb-1"]).await.unwrap();
    let worker = bench.start().await;
    let texts = until_posted(&chat, 1).await;
    assert!(texts[0].contains("3 records lie in the dead letters"), "{texts:?}");
    until_report(&worker, "it is over", |report| !names(report, Reason::AlertsFailing)).await;
    until("it is counted", || async { worker.metrics().contains(r#"alerts_total{alert="ops",outcome="taken"} 1"#) })
        .await;
    worker.stop().await;
    assert_eq!(posts(&chat).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_its_channel_refuses_keeps_back_none_about_something_else() {
    let mut bench = refusing(1).await;
    let chat = chat(&bench).await;
    let no = Fault::Status { code: 400, headers: BTreeMap::new(), body: json!("no") };
    chat.add_fault(&FaultRule::new(no).body_contains("dead letters")).await.unwrap();
    let slack = slack(&chat, "C0SUPPORT");
    tell(&mut bench, slack);
    let worker = bench.start().await;
    until_report(&worker, "it is refused", |report| names(report, Reason::AlertsFailing)).await;
    bench.books.clear_faults().await.unwrap();
    bench.books.set_tokens(&["another"]).await.unwrap();
    bench.order(900, "late").await;
    let texts = until_posted(&chat, 1).await;
    assert!(texts[0].contains("CredentialsRejected"), "{texts:?}");
    chat.clear_faults().await.unwrap();
    let texts = until_posted(&chat, 2).await;
    assert!(texts[1].contains("1 record lies in the dead letters"), "{texts:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_for_the_channel_data_flows_and_it_is_said_that_nobody_would_be_told() {
    let mut bench = Bench::new().await;
    bench.seed(5).await;
    let chat = bench.simulator.control("slack", "chat").unwrap();
    let slack = slack(&chat, "C0SUPPORT");
    tell(&mut bench, slack);
    let worker = bench.start().await;
    bench.until_booked(5).await;
    let report = until_report(&worker, "it is said", |report| names(report, Reason::AlertsFailing)).await;
    assert!(report.problems[0].message.contains("credentials of Connector `chat`"), "{:?}", report.problems);
    worker.stop().await;
}

/// What the worker is given in tests beside the bench's.
fn settings(bench: &Bench, change: impl FnOnce(&mut Surroundings)) -> crosstie_worker::Settings {
    let mut settings = bench.settings();
    settings.surroundings.timeouts = crosstie_connect::Timeouts::default();
    change(&mut settings.surroundings);
    settings
}
