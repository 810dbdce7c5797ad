//! The simulator as a process of its own, so that its cost is not anybody else's: started for one run, filled, and asked what it received.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use crosstie_bench::usage;
use crosstie_vendors::{
    control::Client,
    wire::{LogEntry, SeedRequest},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::job::{Job, TOKEN};

/// Lines of each order; makes a record of about 1.5 KB.
const LINES: u64 = 3;
/// What the vendors add to a record.
const ADDED: [&str; 7] = ["id", "createdDate", "lastModifiedDate", "tranId", "Id", "CreatedDate", "LastModifiedDate"];
/// How long nothing may happen before a run is given up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is said how far a run is.
const PROGRESS: Duration = Duration::from_secs(5);

/// A simulator with a shop full of orders and empty books.
pub struct Simulator {
    process: Child,
    /// The shop's control.
    pub shop: Client,
    /// The books' control.
    pub books: Client,
    /// What orders are called there.
    resource: &'static str,
}

impl Simulator {
    /// Starts one and fills the shop.
    ///
    /// # Errors
    /// When it does not start or refuses.
    pub async fn start(program: &Path, job: &Job) -> Result<Self> {
        let mut process = Command::new(program)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = process.stdout.take().context("the simulator has no standard output")?;
        let line = BufReader::new(output).lines().next_line().await?.unwrap_or_default();
        let url = line.strip_prefix("listening on ").context("the simulator did not say where it listens")?;
        let (vendor, resource) =
            if job.batch.is_some() { ("salesforce", "Order__c") } else { ("netsuite", "salesOrder") };
        let (shop, books) = (Client::new(url, "shopify", "shop")?, Client::new(url, vendor, "books")?);
        for control in [&shop, &books] {
            control.set_tokens(&[TOKEN]).await?;
            control.change_settings(&json!({"rateLimit": null, "concurrencyLimit": null})).await?;
        }
        let request = SeedRequest {
            resource: "orders".into(),
            count: job.records,
            start_id: 1,
            start_time: "2026-01-01T00:00:00Z".parse()?,
            step_millis: 10,
            seed: 7,
            lines: Some(LINES),
        };
        ensure!(shop.seed(&request).await? == job.records, "the shop was not filled");
        Ok(Self { process, shop, books, resource })
    }

    /// Its processor seconds so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn processor_seconds(&self) -> Result<f64> {
        usage::processor_seconds(self.process.id().context("the simulator has ended")?)
    }

    /// Waits for the first write, and gives the time at which it arrived.
    ///
    /// # Errors
    /// When none comes.
    pub async fn first_write(&self) -> Result<Timestamp> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(first) = self.books.log(0).await?.entries.iter().find(|entry| is_write(entry)) {
                return Ok(first.time);
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!("nothing was written within {} s", PATIENCE.as_secs())
    }

    /// Waits until so many different records are written, says meanwhile how many are, and gives the time at which the last one arrived. Asks
    /// seldom: being asked costs the simulator time.
    ///
    /// # Errors
    /// When nothing is written any more before that.
    pub async fn last_write(&self, records: u64) -> Result<Timestamp> {
        let (mut before, mut deadline, mut said) = (0, Instant::now() + PATIENCE, Instant::now());
        loop {
            let written = self.books.stats().await?.writes.distinct;
            if written == records {
                break;
            }
            if written > before {
                (before, deadline) = (written, Instant::now() + PATIENCE);
            }
            if said.elapsed() >= PROGRESS {
                said = Instant::now();
                eprintln!("  {written} of {records} records");
            }
            ensure!(Instant::now() < deadline, "{written} of {records} records were written, and then nothing");
            sleep(Duration::from_millis(100)).await;
        }
        let newest = self.books.log(u64::MAX - 1).await?.newest;
        let last = self.books.log(newest.saturating_sub(1)).await?.entries.into_iter().rfind(is_write);
        Ok(last.context("the log of the simulator is empty")?.time)
    }

    /// Fails unless each record was written exactly once.
    ///
    /// # Errors
    /// When one was not.
    pub async fn each_once(&self, records: u64) -> Result<()> {
        let writes = self.books.stats().await?.writes;
        ensure!(
            (writes.applied, writes.distinct) == (records, records),
            "{} writes of {} records instead of one write of each of {records}",
            writes.applied,
            writes.distinct
        );
        Ok(())
    }

    /// Some of what was written, without what the vendor adds: two contestants that did the same job agree on it.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn sample(&self) -> Result<Vec<Value>> {
        let mut sample = Vec::new();
        for id in 1..=100 {
            let Some(mut record) = self.books.record(self.resource, &format!("eid:{id}")).await? else { continue };
            if let Value::Object(fields) = &mut record {
                fields.retain(|name, _| !ADDED.contains(&name.as_str()));
            }
            sample.push(with_doubles(record));
        }
        Ok(sample)
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn stop(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }
}

/// The same with every number as a double: `59` and `59.0` are one amount.
fn with_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(with_doubles).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, with_doubles(value))).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

fn is_write(entry: &LogEntry) -> bool {
    entry.effect.is_some() || !entry.rows.is_empty()
}
