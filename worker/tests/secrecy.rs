//! Secret values that can be told from everything else go through a worker: accepted, refused, superseded, malformed, on the way to systems that
//! fail. Whatever the worker says of itself is then searched for them: its log at the most talkative, report, metrics, probes, dead letters,
//! what its types print, and the files of its state. The search is also made to find what was printed on purpose.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use common::{Bench, hooks::Hooks, names, until, until_report};
use crosstie_connect::CredentialStore;
use crosstie_crds::condition::Reason;
use crosstie_engine::{credentials::CredentialsDocument, plan::Authentication, template::Template};
use crosstie_vendors::wire::{Fault, FaultRule};
use crosstie_worker::Worker;
use serde_json::{Value, json};

/// What every seeded value begins with, and nothing else contains. A part of a value that is shown is found as well.
const MARK: &str = "CTSEED";
/// What the search has to find: printed on purpose.
const CONTROL: &str = "CTSEED-on-purpose";
/// Values that one rotation brings.
const IN_A_ROTATION: usize = 4;

/// How many values there are; the whole number runs under `make soak`.
fn count() -> usize {
    std::env::var("CROSSTIE_SECRETS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// Seeded values, each given once.
#[derive(Default)]
struct Seeds(usize);

impl Seeds {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("{MARK}{:06}q{:016x}", self.0, self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// A log that is kept in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// From now on everything is logged here that anything in this process says, at every level.
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// The surroundings of each place where a seeded value stands, plain or in Base64, other than the control.
fn shown(bytes: &[u8]) -> Vec<String> {
    let encoded = BASE64_STANDARD.encode(MARK);
    let mut found = Vec::new();
    for mark in [MARK, encoded.as_str()] {
        for (at, window) in bytes.windows(mark.len()).enumerate() {
            if window == mark.as_bytes() && !bytes[at..].starts_with(CONTROL.as_bytes()) {
                let around = &bytes[at.saturating_sub(200)..(at + 60).min(bytes.len())];
                found.push(String::from_utf8_lossy(around).into_owned());
            }
        }
    }
    found
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The content of every file below a folder.
fn content(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            all.extend(content(&entry.path()));
        } else {
            all.extend(fs::read(entry.path()).unwrap_or_default());
        }
    }
    all
}

/// A version of credentials with these values.
fn document(connector: &str, number: usize, current: &Value, previous: Option<&Value>) -> String {
    let version = |number: usize, values: &Value| json!({"versionId": format!("version-{number}"), "values": values});
    let mut document = json!({"connector": connector, "current": version(number, current)});
    if let Some(previous) = previous {
        document["previous"] = version(number - 1, previous);
    }
    document.to_string()
}

fn order(id: usize, note: &str) -> Value {
    json!({"id": id, "name": format!("#{id}"), "note": note, "cancelled_at": null, "updated_at": "2026-07-01T00:00:00Z"})
}

/// Everything the worker says of itself, by where.
async fn said(worker: &Worker, bench: &Bench, log: &Log) -> Vec<(String, Vec<u8>)> {
    let report = worker.report().await;
    let letters = worker.letters().list(0, 1000).await.unwrap();
    let mut said = vec![
        ("log".to_owned(), log.bytes()),
        ("report".to_owned(), format!("{report:?}{}", serde_json::to_string(&report).unwrap()).into_bytes()),
        ("metrics".to_owned(), worker.metrics().into_bytes()),
        ("dead letters".to_owned(), format!("{letters:?}").into_bytes()),
        ("state".to_owned(), content(&bench.state())),
    ];
    let (admin, people) = (worker.address().unwrap(), worker.letters_address().unwrap());
    let each = letters.iter().map(|letter| format!("http://{people}/letters/{}", letter.id));
    for url in each.chain([
        format!("http://{people}/letters"),
        format!("http://{people}/events"),
        format!("http://{admin}/metrics"),
        format!("http://{admin}/readyz"),
        format!("http://{admin}/livez"),
    ]) {
        said.push((url.clone(), reqwest::get(&url).await.unwrap().bytes().await.unwrap().to_vec()));
    }
    said
}

/// Waits until both ends' credentials are of a version.
async fn until_loaded(worker: &Worker, version: &str) {
    until_report(worker, &format!("{version} is loaded"), |report| {
        report.credentials.len() == 2 && report.credentials.iter().all(|entry| entry.loaded_version_id == version)
    })
    .await;
}

/// Rotations whose new keys are accepted, but for every fourth, which the vendor refuses; a webhook signed with each secret and one with none.
async fn rotate(bench: &Bench, worker: &Worker, seeds: &mut Seeds, printed: &mut Vec<u8>) {
    let address = worker.webhooks_address().unwrap();
    let mut before: Option<(Value, Value)> = None;
    for number in 1..=count() / IN_A_ROTATION {
        let (token, secret, key, other) = (seeds.next(), seeds.next(), seeds.next(), seeds.next());
        let source = json!({"token": token, "webhookSecret": secret});
        let destination = json!({"token": key, "unused": other});
        bench.shop.set_tokens(&[&token]).await.unwrap();
        let old = before.as_ref().and_then(|(_, destination)| destination["token"].as_str()).unwrap_or(&key);
        let refuses = number % 4 == 0;
        bench.books.set_tokens(&[if refuses { old } else { &key }]).await.unwrap();
        let (old_source, old_destination) = (before.as_ref().map(|old| &old.0), before.as_ref().map(|old| &old.1));
        bench.write("credentials/source/credentials.json", &document("shop", number, &source, old_source));
        let text = document("books", number, &destination, old_destination);
        bench.write("credentials/destination/credentials.json", &text);
        let parsed: CredentialsDocument = serde_json::from_str(&text).unwrap();
        writeln!(printed, "{parsed:?} {:?} {:?}", parsed.current, CredentialStore::new(&parsed)).unwrap();
        until_loaded(worker, &format!("version-{number}")).await;
        let (hooks, body) = (Hooks::to(address, &secret), order(number, "plain"));
        assert_eq!(hooks.send("orders/create", &format!("w-{number}"), &body).await, 200);
        // Too many of these would be held against the caller.
        if number <= 3 {
            hooks.signing_with("wrong").send("orders/create", "forged", &body).await;
        }
        until("the order is booked", || async { bench.booked(number as u64).await.is_some() }).await;
        if !refuses {
            before = Some((source, destination));
        }
    }
}

/// Files that cannot be used, of which a careless error would show a part.
async fn spoil(bench: &Bench, worker: &Worker, seeds: &mut Seeds) {
    let whole = document("books", 1, &json!({"token": seeds.next()}), None);
    let spoilt = [
        whole[..whole.len() - 3].to_owned(),
        whole.replace(r#""token":"#, r#""token":true,"#),
        json!({"connector": "books", "current": {"versionId": "v", "values": seeds.next()}}).to_string(),
        json!({"connector": "books", "current": seeds.next()}).to_string(),
        json!({"connector": "books", (seeds.next()): {}}).to_string(),
        seeds.next(),
    ];
    for text in spoilt {
        bench.write("credentials/destination/credentials.json", &text);
        until_report(worker, "it is said", |report| names(report, Reason::SecretMalformed)).await;
        bench.write("credentials/destination/credentials.json", &whole);
        until_report(worker, "it is taken back", |report| !names(report, Reason::SecretMalformed)).await;
    }
}

/// An order that ends in the dead letters.
async fn bury(bench: &Bench, worker: &Worker) {
    let refusal = Fault::Status { code: 422, headers: BTreeMap::new(), body: json!({"error": "no"}) };
    bench.books.add_fault(&FaultRule::new(refusal).path_contains("eid:99999")).await.unwrap();
    bench.order(99_999, CONTROL).await;
    until_report(worker, "an order is set aside", |report| report.flows[0].dead_letters == 1).await;
}

/// Keys in places from which they may get into errors: in addresses of requests that fail, and in values that no header may have.
async fn misplace(bench: &mut Bench, worker: &Worker, seeds: &mut Seeds) {
    let template = |text: &str| Template::parse(text).unwrap();
    let placed = [
        Authentication::Query { name: "key".into(), value: template("{token}") },
        Authentication::Basic { username: template("ab"), password: template("{token}") },
        Authentication::Bearer { token: template("{token}") },
    ];
    let mut id = 100_000;
    let mut number = 1_000_000;
    for authentication in placed {
        bench.plan.destination.authentication = authentication;
        bench.write_plan();
        for ending in ["", "\nnot for a header"] {
            let values = json!({"token": format!("{}{ending}", seeds.next())});
            number += 1;
            let version = format!("version-{number}");
            bench.books.add_fault(&FaultRule::new(Fault::DropConnection {}).times(2)).await.unwrap();
            id += 1;
            bench.order(id, CONTROL).await;
            bench.write("credentials/destination/credentials.json", &document("books", number, &values, None));
            until_report(worker, "the key is loaded and something is said", |report| {
                report.credentials.iter().any(|entry| entry.loaded_version_id == version) && !report.problems.is_empty()
            })
            .await;
            bench.books.clear_faults().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_value_is_in_anything_that_a_worker_says_or_keeps() {
    let log = Log::start();
    let mut bench = Bench::with_webhooks(1).await;
    let (mut seeds, mut printed) = (Seeds::default(), Vec::new());
    let worker = bench.start().await;
    until("a crew is at work", || async { worker.unready().is_none() }).await;
    rotate(&bench, &worker, &mut seeds, &mut printed).await;
    bury(&bench, &worker).await;
    spoil(&bench, &worker, &mut seeds).await;
    misplace(&mut bench, &worker, &mut seeds).await;
    until("the control is in the queue", || async { has(&content(&bench.state()), CONTROL) }).await;
    tracing::trace!("{CONTROL}");
    let mut said = said(&worker, &bench, &log).await;
    said.push(("what types print".to_owned(), printed));
    worker.stop().await;
    for (place, bytes) in &said {
        let found = shown(bytes);
        assert!(found.is_empty(), "{} values are in the {place}, the first one here:\n{}", found.len(), found[0]);
    }
    // It was looked where it had to be: what was printed on purpose is found, and versions are called by their ids.
    let of = |place: &str| &said.iter().find(|(name, _)| name == place).unwrap().1;
    assert!(has(of("log"), CONTROL) && has(of("state"), CONTROL), "the search finds nothing at all");
    assert!(
        said.iter().any(|(url, bytes)| url.contains("/letters/") && has(bytes, CONTROL)),
        "no dead letter was read"
    );
    for place in ["report", "metrics", "what types print"] {
        assert!(has(of(place), "version-"), "the {place} says nothing of credentials");
    }
    assert!(seeds.0 >= count() / IN_A_ROTATION * IN_A_ROTATION, "{} values", seeds.0);
    println!("{} values, {} bytes searched", seeds.0, said.iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
}

#[test]
fn the_search_finds_a_value_plain_and_encoded_and_not_the_control() {
    let value = Seeds::default().next();
    let basic = BASE64_STANDARD.encode(format!("ab:{value}"));
    for text in [format!("token={value}"), format!("Basic {basic}"), value[..12].to_owned()] {
        assert_eq!(shown(text.as_bytes()).len(), 1, "{text}");
    }
    assert!(shown(CONTROL.as_bytes()).is_empty());
}
