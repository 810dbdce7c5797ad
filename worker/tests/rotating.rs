//! Rotations under load, at the worker's process: what a vendor that revokes and accepts keys in its own time costs. Keys and signing secrets change
//! in the mounted files, as the operator writes them; records come by signed webhooks, fifty a second at the most. No record may fail: the plan
//! allows no retry, so that a single counted attempt would be a dead letter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    Bench, PATIENCE,
    hooks::Hooks,
    process::{Process, free_port},
    until,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// A flow that reads so seldom that whatever arrives was brought by a webhook.
const SELDOM: u32 = 100_000;
/// Between two webhooks: fifty a second.
const PACE: Duration = Duration::from_millis(20);
/// How many records pass in each part of a rotation.
const SOME: u64 = 4;

/// How many rotations there are; the whole number runs under `make soak`.
fn rotations() -> u64 {
    std::env::var("CROSSTIE_ROTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

fn key(number: u64) -> String {
    format!("books-key-{number}")
}

fn signing(number: u64) -> String {
    format!("signing-secret-{number}")
}

fn version(number: u64) -> String {
    format!("v{number}")
}

/// What the simulator's log shows of a key.
fn fingerprint(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A vendor that sends webhooks all the time, signed with each of some secrets in turn.
struct Vendor {
    secrets: Arc<Mutex<Vec<String>>>,
    enough: CancellationToken,
    sending: JoinHandle<(u64, Vec<(u64, u16)>)>,
}

impl Vendor {
    fn start(port: u16, secret: String) -> Self {
        let (secrets, enough) = (Arc::new(Mutex::new(vec![secret])), CancellationToken::new());
        let sending = tokio::spawn(send(Hooks::to(([127, 0, 0, 1], port).into(), ""), secrets.clone(), enough.clone()));
        Self { secrets, enough, sending }
    }

    fn signs_with(&self, numbers: &[u64]) {
        *self.secrets.lock().unwrap() = numbers.iter().map(|number| signing(*number)).collect();
    }

    /// Sends no more, and says how many were sent and which of them were answered otherwise than by 200.
    async fn stop(&mut self) -> (u64, Vec<(u64, u16)>) {
        self.enough.cancel();
        (&mut self.sending).await.unwrap()
    }
}

async fn send(hooks: Hooks, secrets: Arc<Mutex<Vec<String>>>, enough: CancellationToken) -> (u64, Vec<(u64, u16)>) {
    let (mut sent, mut refused) = (0, Vec::new());
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !enough.is_cancelled() {
        pace.tick().await;
        sent += 1;
        let secret = {
            let secrets = secrets.lock().unwrap();
            secrets[usize::try_from(sent).unwrap() % secrets.len()].clone()
        };
        let order = json!({"id": sent, "name": format!("#{sent}"), "note": "x", "cancelled_at": null, "updated_at": "2026-07-01T00:00:00Z"});
        let status = hooks.signing_with(&secret).send("orders/create", &format!("w-{sent}"), &order).await;
        if status != 200 {
            refused.push((sent, status));
        }
    }
    (sent, refused)
}

/// The worker's process under load, with what the vendor of the books was asked.
struct Load {
    bench: Bench,
    process: Process,
    vendor: Vendor,
    metrics: String,
    /// The requests of each order: when, the status, and the key's fingerprint.
    requests: HashMap<String, Vec<String>>,
    /// Fingerprints of the keys that were refused.
    refused: HashSet<String>,
    sequence: u64,
}

impl Load {
    async fn start() -> Self {
        let mut bench = Bench::with_webhooks(SELDOM).await;
        // An attempt that counts is the last one.
        bench.plan.retry.retries = 0;
        bench.write_plan();
        bench.books.set_tokens(&[&key(0)]).await.unwrap();
        bench.write_credentials("destination", "books", (&version(0), &key(0)), None);
        bench.write_secrets(&[(&version(0), &signing(0))]);
        let (port, listen) = (free_port(), free_port());
        let process =
            Process::receiving(&bench, port, &[("CROSSTIE_LISTEN", OsString::from(format!("127.0.0.1:{listen}")))]);
        let ready = format!("http://127.0.0.1:{listen}/readyz");
        until("the worker is ready", || async {
            reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        let vendor = Vendor::start(port, signing(0));
        let metrics = format!("http://127.0.0.1:{listen}/metrics");
        let mut load =
            Self { bench, process, vendor, metrics, requests: HashMap::new(), refused: HashSet::new(), sequence: 0 };
        load.some_pass("before the first rotation").await;
        load
    }

    /// The operator's part: the new version becomes the current one, and the one before stays beside it.
    fn hand_out(&self, number: u64) {
        let (new, old) = (number, number - 1);
        self.bench.write_secrets(&[(&version(new), &signing(new)), (&version(old), &signing(old))]);
        let (current, previous) = ((&*version(new), &*key(new)), (&*version(old), &*key(old)));
        self.bench.write_credentials("destination", "books", current, Some(previous));
    }

    /// Reads what the vendor of the books was asked meanwhile.
    async fn read(&mut self) {
        loop {
            let page = self.bench.books.log(self.sequence).await.unwrap().entries;
            let Some(last) = page.last() else { return };
            self.sequence = last.sequence;
            for entry in page {
                let key = entry.token_fingerprint.unwrap_or_default();
                let line = format!("{} {} {key}", entry.time, entry.status);
                if entry.status == 401 {
                    self.refused.insert(key);
                }
                self.requests.entry(entry.path).or_default().push(line);
            }
        }
    }

    /// Waits until some more records were written.
    async fn some_pass(&mut self, when: &str) {
        let before = self.bench.books.stats().await.unwrap().writes.distinct;
        self.bench.until_booked(before + SOME).await;
        self.read().await;
        assert!(self.process.runs(), "the worker ended {when}");
    }

    /// Waits until the vendor refused a key.
    async fn until_refused(&mut self, number: u64) {
        let wanted = fingerprint(&key(number));
        let refused = tokio::time::timeout(PATIENCE, async {
            while !self.refused.contains(&wanted) {
                tokio::time::sleep(PACE).await;
                self.read().await;
            }
        });
        assert!(refused.await.is_ok(), "waited in vain until {} is tried and refused", key(number));
    }

    /// The end: everything that was sent is written, once, and nothing failed on the way. Gives the requests of each order.
    async fn settled(mut self) -> HashMap<String, Vec<String>> {
        let (sent, rejected) = self.vendor.stop().await;
        assert_eq!(rejected, [], "webhooks were rejected");
        self.bench.until_booked(sent).await;
        assert!(self.process.runs(), "the worker ended");
        let metrics = reqwest::get(&self.metrics).await.unwrap().text().await.unwrap();
        assert!(metrics.contains(r#"crosstie_worker_dead_letters{flow="orders"} 0"#), "{metrics}");
        assert!(!metrics.contains("webhooks_refused_total{"), "{metrics}");
        let writes = self.bench.books.stats().await.unwrap().writes;
        assert_eq!((writes.distinct, writes.applied), (sent, sent), "each order is written once");
        self.read().await;
        let most = self.requests.values().map(Vec::len).max().unwrap_or_default();
        println!("{sent} records, {} keys refused, at most {most} requests a record", self.refused.len());
        self.requests
    }
}

fn assert_repeated_at_most_once(requests: &HashMap<String, Vec<String>>) {
    for (path, requests) in requests {
        assert!(requests.len() <= 2, "{path} was sent more than twice: {requests:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_accepts_the_new_key_late_and_revokes_the_old_one_after_an_overlap_costs_no_record() {
    let mut load = Load::start().await;
    for number in 1..=rotations() {
        load.hand_out(number);
        // The delay: the new key exists, and the vendor does not take it yet.
        load.until_refused(number).await;
        load.some_pass("while the new key is not accepted").await;
        load.vendor.signs_with(&[number - 1, number]);
        load.bench.books.set_tokens(&[&key(number - 1), &key(number)]).await.unwrap();
        load.some_pass("in the overlap").await;
        load.bench.books.set_tokens(&[&key(number)]).await.unwrap();
        load.some_pass("after the old key was revoked").await;
        load.vendor.signs_with(&[number]);
    }
    assert_repeated_at_most_once(&load.settled().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instant_revocation_costs_at_most_one_retry_a_request() {
    let mut load = Load::start().await;
    for number in 1..=rotations() {
        load.hand_out(number);
        load.until_refused(number).await;
        load.some_pass("while the new key is not accepted").await;
        load.vendor.signs_with(&[number]);
        // One key ends in the instant in which the other begins.
        load.bench.books.set_tokens(&[&key(number)]).await.unwrap();
        load.some_pass("after the switch").await;
    }
    assert_repeated_at_most_once(&load.settled().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_before_the_worker_hears_of_the_new_one_makes_records_wait_and_fails_none() {
    let mut load = Load::start().await;
    for number in 1..=rotations().div_ceil(4) {
        load.bench.books.set_tokens(&[&key(number)]).await.unwrap();
        load.until_refused(number - 1).await;
        load.hand_out(number);
        load.some_pass("with the new key").await;
        load.vendor.signs_with(&[number]);
    }
    // What waited may meet the next revocation, and the version before it is tried where nobody knows that it is refused; but none twice.
    for (path, requests) in load.settled().await {
        let keys: HashSet<&str> = requests.iter().filter_map(|request| request.rsplit(' ').next()).collect();
        assert_eq!(keys.len(), requests.len(), "{path} was sent twice with one key: {requests:#?}");
    }
}
