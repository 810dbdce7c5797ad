//! `bench-connect`: what the client's layers (egress guard, cache, authentication, throttle, classification, following, observation) cost over a bare
//! HTTP client. Both ask the same server on loopback for the same record, one request at a time and in turns, and read it as JSON.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use crosstie_bench::figure::Bench;
use crosstie_connect::{CredentialStore, Outgoing, Surroundings, VendorClient, Written};
use crosstie_engine::{
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{Operation, Stream, System},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const BENCH: Bench = Bench("connect");
/// What the server answers to everything: a record of some size.
const RECORD: &str = r#"{"id":"77","email":"a@example.com","lines":[{"sku":"a-1","quantity":1,"price":"10.00"},{"sku":"b-2","quantity":2,"price":"5.50"},{"sku":"c-3","quantity":3,"price":"7.25"}],"note":"nothing in particular, but long enough to be read"}"#;

/// Measures what the client's layers cost
#[derive(Debug, Parser)]
struct Options {
    /// Requests in each round
    #[arg(long, env = "CROSSTIE_BENCH_REQUESTS", default_value_t = 2_000)]
    requests: u32,
    /// Rounds of each
    #[arg(long, env = "CROSSTIE_BENCH_RUNS", default_value_t = 11)]
    runs: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.requests > 0 && options.runs > 0, "--requests and --runs have to be at least 1");
    let address = server()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&options, address))
}

async fn measure(options: &Options, address: SocketAddr) -> Result<()> {
    let bare = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{address}/records/77");
    let client = client(address)?;
    let (stream, operation) = (stream()?, operation()?);
    let body = json!({"id": "77", "email": "a@example.com"});
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

/// A server on a thread of its own that answers every request with the record.
fn server() -> Result<SocketAddr> {
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
                tokio::spawn(async move { serve(connection).await.ok() });
            }
        })
    });
    Ok(address)
}

async fn serve(mut connection: TcpStream) -> Result<()> {
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
            connection.write_all(answer.as_bytes()).await?;
        }
    }
}

fn client(address: SocketAddr) -> Result<VendorClient> {
    let system: System = serde_json::from_value(json!({
        "connector": "shop", "baseUrl": format!("http://{address}/"), "apiVersion": null,
        "authentication": {"bearer": {"token": "{token}"}},
        "egress": {"allowHosts": [], "allowCidrs": ["127.0.0.0/8"]},
        "allowance": {"requests": 1_000_000, "perSeconds": 1, "concurrency": 64},
        "servedVersionHeader": null, "requestIdHeader": "X-Request-Id",
    }))?;
    let current = CredentialVersion {
        version_id: "v1".into(),
        values: BTreeMap::from([("token".to_owned(), "secret".to_owned())]),
    };
    let credentials = CredentialStore::new(&CredentialsDocument { connector: "shop".into(), current, previous: None });
    Ok(VendorClient::surrounded(&system, credentials, system.allowance, &Surroundings::default())?)
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
