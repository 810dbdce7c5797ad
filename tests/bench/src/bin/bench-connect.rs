//! `bench-connect`: what the client's layers (egress guard, cache, authentication, throttle, classification, following, observation) cost over a bare
//! HTTP client. Both ask the same server on loopback for the same record, one request at a time and in turns, and read it as JSON. And how much of
//! an account's allowance four workers with equal shares of it use, in real time, at a server that refuses what is too much.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use crosstie_bench::{
    figure::{self, Bench},
    machine,
};
use crosstie_connect::{CredentialStore, Outgoing, Surroundings, VendorClient, Written};
use crosstie_engine::{
    body::Body,
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{Allowance, Operation, Stream, System},
    rate,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const BENCH: Bench = Bench("connect");
/// What the throttled account allows, and how many share it.
const ACCOUNT: Allowance = Allowance { requests: 40, per_seconds: 20, concurrency: 8 };
const WORKERS: u32 = 4;
const PLENTY: Allowance = Allowance { requests: 1_000_000, per_seconds: 1, concurrency: 64 };
/// What the server answers to everything: a record of some size.
const RECORD: &str = r#"{"id":"77","email":"a@example.com","lines":[{"sku":"a-1","quantity":1,"price":"10.00"},{"sku":"b-2","quantity":2,"price":"5.50"},{"sku":"c-3","quantity":3,"price":"7.25"}],"note":"nothing in particular, but long enough to be read"}"#;
const REFUSAL: &str = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";

/// Measures what the client's layers cost
#[derive(Debug, Parser)]
struct Options {
    /// Requests in each round
    #[arg(long, env = "CROSSTIE_BENCH_REQUESTS", default_value_t = 2_000)]
    requests: u32,
    /// Rounds of each
    #[arg(long, env = "CROSSTIE_BENCH_RUNS", default_value_t = 11)]
    runs: usize,
    /// Seconds for which the throttle is watched; 0 leaves it out
    #[arg(long, env = "CROSSTIE_BENCH_THROTTLE_SECONDS", default_value_t = 300)]
    throttle_seconds: u32,
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.requests > 0 && options.runs > 0, "--requests and --runs have to be at least 1");
    figure::line(&machine::note(BENCH.0, &std::env::temp_dir()))?;
    let address = server(Arc::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&options, address))?;
    if options.throttle_seconds > 0 {
        let account = Arc::new(Account { most: Some(ACCOUNT), ..Account::default() });
        let address = server(Arc::clone(&account))?;
        runtime.block_on(throttle(options.throttle_seconds, address, &account))?;
    }
    Ok(())
}

/// Requests that workers with equal shares get through, as a part of what the account allows, and how many were too many.
async fn throttle(seconds: u32, address: SocketAddr, account: &Account) -> Result<()> {
    let share = rate::share(&ACCOUNT, WORKERS);
    let end = Instant::now() + Duration::from_secs(u64::from(seconds));
    let workers = (0..WORKERS).map(|_| async {
        let (client, stream) = (client(address, ACCOUNT, share)?, stream()?);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match tokio::time::timeout(left, client.read_one(&stream, "77")).await {
                Ok(read) => drop(read),
                Err(_) => break,
            }
        }
        Ok::<_, anyhow::Error>(())
    });
    futures::future::try_join_all(workers).await?;
    let (answered, refused) = account.counts();
    let allowed = f64::from(seconds) * f64::from(ACCOUNT.requests) / f64::from(ACCOUNT.per_seconds);
    BENCH.ratio("throttle_requests", f64::from(answered) / allowed, "allowance")?;
    BENCH.figure("throttle_refused", f64::from(refused), "1")?;
    Ok(())
}

/// An account of the server's: it answers so many requests in any span and refuses the others. Without a limit it answers all.
#[derive(Default)]
struct Account {
    most: Option<Allowance>,
    arrived: Mutex<Arrived>,
}

#[derive(Default)]
struct Arrived {
    within: VecDeque<Instant>,
    answered: u32,
    refused: u32,
}

impl Account {
    /// Whether a request is answered.
    fn admits(&self) -> bool {
        let Some(most) = self.most else { return true };
        let (span, now) = (Duration::from_secs(u64::from(most.per_seconds)), Instant::now());
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        while arrived.within.front().is_some_and(|first| now.duration_since(*first) >= span) {
            arrived.within.pop_front();
        }
        let admits = arrived.within.len() < usize::try_from(most.requests).unwrap_or(usize::MAX);
        if admits {
            arrived.within.push_back(now);
            arrived.answered += 1;
        } else {
            arrived.refused += 1;
        }
        admits
    }

    /// How many were answered and refused.
    fn counts(&self) -> (u32, u32) {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        (arrived.answered, arrived.refused)
    }
}

async fn measure(options: &Options, address: SocketAddr) -> Result<()> {
    let bare = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{address}/records/77");
    let client = client(address, PLENTY, PLENTY)?;
    let (stream, operation) = (stream()?, operation()?);
    let body = Body::from(json!({"id": "77", "email": "a@example.com"}));
    let mut rounds: [Vec<f64>; 4] = Default::default();
    // The first round of each opens connections and is not counted.
    for round in 0..=options.runs {
        let figures = [
            timed(options.requests, async || bare_read(&bare, &url).await).await?,
            timed(options.requests, async || {
                client.read_one(&stream, "77").await?.context("there is no record").map(drop)
            })
            .await?,
            timed(options.requests, async || bare_write(&bare, &url, &body).await).await?,
            timed(options.requests, async || {
                let outgoing = Outgoing { body: &body, identifier: None, idempotency_key: Some("key") };
                let written = client.write(&operation, outgoing).await;
                ensure!(matches!(written, Written::Applied { .. }), "not written: {written:?}");
                Ok(())
            })
            .await?,
        ];
        if round > 0 {
            rounds.iter_mut().zip(figures).for_each(|(rounds, figure)| rounds.push(figure));
        }
    }
    let [bare_read, read, bare_write, write] = rounds.map(median);
    for (what, bare, ours) in [("read", bare_read, read), ("write", bare_write, write)] {
        BENCH.figure(&format!("bare_{what}"), bare, "us")?;
        BENCH.figure(what, ours, "us")?;
        BENCH.figure(&format!("{what}_overhead"), ours - bare, "us")?;
        BENCH.ratio(what, ours / bare, "bare")?;
    }
    Ok(())
}

/// Microseconds that one of so many requests takes, one after the other.
async fn timed(requests: u32, mut once: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..requests {
        once().await?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(requests))
}

async fn bare_read(client: &reqwest::Client, url: &str) -> Result<()> {
    let answer = client.get(url).bearer_auth("secret").header("accept", "application/json").send().await?;
    let record: Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
    ensure!(record["id"] == "77", "another record");
    Ok(())
}

async fn bare_write(client: &reqwest::Client, url: &str, body: &Value) -> Result<()> {
    let request = client.put(url).bearer_auth("secret").header("idempotency-key", "key");
    let request = request.header("content-type", "application/json").body(serde_json::to_vec(body)?);
    let record: Value = serde_json::from_slice(&request.send().await?.error_for_status()?.bytes().await?)?;
    ensure!(record["id"] == "77", "another record");
    Ok(())
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

/// A server on a thread of its own that answers every request that the account has with the record.
fn server(account: Arc<Account>) -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (connection, _) = listener.accept().await?;
                // A client that goes away ends its own connection and nothing else.
                let account = Arc::clone(&account);
                tokio::spawn(async move { serve(connection, &account).await.ok() });
            }
        })
    });
    Ok(address)
}

async fn serve(mut connection: TcpStream, account: &Account) -> Result<()> {
    connection.set_nodelay(true)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nx-request-id: r-1\r\n\r\n{RECORD}",
        RECORD.len()
    );
    let mut request = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = connection.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(Ok(0), str::parse::<usize>)? {
            request.clear();
            let answer = if account.admits() { &answer } else { REFUSAL };
            connection.write_all(answer.as_bytes()).await?;
        }
    }
}

/// A client with a share of an account.
fn client(address: SocketAddr, account: Allowance, share: Allowance) -> Result<VendorClient> {
    let system: System = serde_json::from_value(json!({
        "connector": "shop", "baseUrl": format!("http://{address}/"), "apiVersion": null,
        "authentication": {"bearer": {"token": "{token}"}},
        "egress": {"allowHosts": [], "allowCidrs": ["127.0.0.0/8"]},
        "allowance": account,
        "servedVersionHeader": null, "requestIdHeader": "X-Request-Id",
    }))?;
    let current = CredentialVersion {
        version_id: "v1".into(),
        values: BTreeMap::from([("token".to_owned(), "secret".to_owned())]),
    };
    let credentials = CredentialStore::new(&CredentialsDocument { connector: "shop".into(), current, previous: None });
    Ok(VendorClient::surrounded(&system, credentials, share, &Surroundings::default())?)
}

fn stream() -> Result<Stream> {
    Ok(serde_json::from_value(json!({
        "name": "records", "path": "/records", "query": {}, "records": "", "key": "/id", "version": "/v", "cursor": null,
        "pagination": "none", "one": {"path": "/records/{key}", "query": {}, "record": ""},
    }))?)
}

fn operation() -> Result<Operation> {
    Ok(serde_json::from_value(json!({
        "name": "put", "method": "PUT", "path": "/records/{body.id}", "query": {}, "headers": {},
        "identifier": {"pointer": "/id"},
        "outcome": {"idempotency": {"header": "Idempotency-Key", "windowSeconds": 86_400}, "lookup": null},
    }))?)
}
