//! `raw-receiver`: the least that acknowledging webhooks durably can cost with the libraries the worker uses: each body is put into one table of an
//! SQLite database, all that wait at the same moment in one transaction that is synced, and then answered. Nothing is verified, parsed or delivered.
//! It says on its first line of standard output where it listens, and waits to be ended.

use std::{path::PathBuf, thread};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::any,
};
use clap::Parser;
use rusqlite::Connection;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

/// Most bodies in one transaction, as in the worker's store.
const MOST_IN_A_BATCH: usize = 256;

/// Takes webhooks and keeps them
#[derive(Debug, Parser)]
struct Options {
    /// The database
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
}

struct Received {
    id: String,
    body: Bytes,
    stored: oneshot::Sender<()>,
}

type Queue = mpsc::Sender<Received>;

fn main() -> Result<()> {
    let options = Options::parse();
    let connection = Connection::open(&options.database)?;
    connection.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 4000; \
         CREATE TABLE event (id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;",
    )?;
    let (queue, waiting) = mpsc::channel(1024);
    thread::spawn(move || keep(&connection, waiting));
    // As many threads as the worker has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, Router::new().fallback(any(receive)).with_state(queue)).await?;
        Ok(())
    })
}

async fn receive(State(queue): State<Queue>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let id = headers.get("x-shopify-webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let (stored, wait) = oneshot::channel();
    if queue.send(Received { id, body, stored }).await.is_err() || wait.await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::OK
}

/// Stores what comes in until nobody sends any more, or the disk fails: then nothing is acknowledged.
fn keep(connection: &Connection, mut waiting: mpsc::Receiver<Received>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < MOST_IN_A_BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        if store(connection, &batch).is_err() {
            return;
        }
        for received in batch {
            // Whoever sent it may be gone.
            let _gone = received.stored.send(());
        }
    }
}

fn store(connection: &Connection, batch: &[Received]) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO event (id, body) VALUES (?1, ?2)")?;
    for received in batch {
        insert.execute((&received.id, &received.body[..])).context("cannot store a webhook")?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(())
}
