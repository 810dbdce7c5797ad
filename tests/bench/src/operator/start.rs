//! How long the operator takes from its start to its first look at an object, and how long the API server takes for its part of that.
//!
//! The operator's log says when it leads and when it has seen the cluster; a Connector that was created while it was away says, by its status, when
//! the first look at an object is over.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::{api::Api, objects};

/// How long the operator may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked whether it is so far.
const LOOK: Duration = Duration::from_millis(5);
/// What the operator logs when it holds its Lease.
const LEADS: &str = "this replica leads";
/// What it logs when everything was listed once.
const SEEN: &str = "the cluster has been seen";

/// How to start the operator.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// The kubeconfig file it is given.
    pub kubeconfig: PathBuf,
    /// URL of what answers as AWS.
    pub aws: String,
    /// Where its log goes; written anew at each start.
    pub log: PathBuf,
}

/// The running operator.
#[derive(Debug)]
pub struct Operator {
    /// Its process. It ends with this value.
    pub process: Child,
    log: PathBuf,
    started: Timestamp,
}

/// Times since the operator was started.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Until it led.
    pub leading: Duration,
    /// Until it had seen the cluster.
    pub seen: Duration,
}

impl Program {
    /// Starts the operator.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<Operator> {
        let log = std::fs::File::create(&self.log).with_context(|| format!("cannot write {}", self.log.display()))?;
        let started = Timestamp::now();
        let mut command = Command::new(&self.path);
        command
            .args(["--worker-image", "crosstie/worker:bench", "--listen", "127.0.0.1:0", "--identity", "bench"])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("AWS_ENDPOINT_URL", &self.aws)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .stdin(Stdio::null())
            // Standard output is for figures.
            .stdout(log)
            .kill_on_drop(true);
        let process = command.spawn().with_context(|| format!("cannot start {}", self.path.display()))?;
        Ok(Operator { process, log: self.log.clone(), started })
    }
}

impl Operator {
    /// Waits until it has seen the cluster.
    ///
    /// # Errors
    /// When it ends or takes too long.
    pub async fn seen(&mut self) -> Result<Times> {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = std::fs::read_to_string(&self.log)?;
            if let (Some(leading), Some(seen)) = (logged(&log, LEADS), logged(&log, SEEN)) {
                let since = |at: Timestamp| Duration::try_from(at.duration_since(self.started)).unwrap_or_default();
                return Ok(Times { leading: since(leading), seen: since(seen) });
            }
            self.lives()?;
            ensure!(Instant::now() < end, "the operator does not see the cluster; its log is {}", self.log.display());
            sleep(LOOK).await;
        }
    }

    /// Waits until the status of a Connector was written. Gives the time since the start.
    ///
    /// # Errors
    /// When it ends or takes too long.
    pub async fn looked_at(&mut self, api: &Api, path: &str) -> Result<Duration> {
        let end = Instant::now() + PATIENCE;
        while api.get(path).await?["status"]["observedGeneration"].is_null() {
            self.lives()?;
            ensure!(Instant::now() < end, "the operator writes no status; its log is {}", self.log.display());
            sleep(LOOK).await;
        }
        Ok(Duration::try_from(Timestamp::now().duration_since(self.started)).unwrap_or_default())
    }

    /// Ends it without warning, as a node that fails would.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    fn lives(&mut self) -> Result<()> {
        ensure!(self.process.try_wait()?.is_none(), "the operator has ended; its log is {}", self.log.display());
        Ok(())
    }
}

/// When a message was logged first.
fn logged(log: &str, message: &str) -> Option<Timestamp> {
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut times = entries
        .filter(|entry| entry["message"] == message)
        .filter_map(|entry| entry["timestamp"].as_str()?.parse().ok());
    times.next()
}

/// What the API server alone takes for kinds that it was never asked for: to list all of them once, and to stream all of them once.
#[derive(Clone, Copy, Debug)]
pub struct Bare {
    /// All lists, at the same moment.
    pub list: Duration,
    /// All streams, at the same moment.
    pub stream: Duration,
    /// How often they were refused because the kind was not in memory yet.
    pub refusals: u32,
}

/// Measures lists and streams of new kinds, each of which is made for it, without the operator.
///
/// # Errors
/// When the API server refuses.
pub async fn bare(api: &Api) -> Result<Bare> {
    let listed = paths(api, "list.bare.crosstie.dev").await?;
    let begun = Instant::now();
    let refused = try_join_all(listed.iter().map(|path| api.list(path))).await?;
    let list = begun.elapsed();
    let streamed = paths(api, "stream.bare.crosstie.dev").await?;
    let begun = Instant::now();
    let streams = try_join_all(streamed.iter().map(|path| api.stream(path))).await?;
    Ok(Bare { list, stream: begun.elapsed(), refusals: refused.into_iter().chain(streams).sum() })
}

/// Makes new kinds and gives their paths.
async fn paths(api: &Api, group: &str) -> Result<Vec<String>> {
    let copies = objects::copies(group)?;
    for definition in &copies {
        api.create(super::api::DEFINITIONS, definition).await?;
    }
    api.established(&copies).await?;
    let plurals = copies.iter().filter_map(|definition| definition["spec"]["names"]["plural"].as_str());
    Ok(plurals.map(|plural| format!("/apis/{group}/v1alpha1/{plural}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_message_is_read_from_the_log() {
        let log =
            "started\n{\"timestamp\":\"2027-01-01T00:00:00.250000Z\",\"message\":\"this replica leads\"}\n{\"times";
        assert_eq!(logged(log, LEADS), Some("2027-01-01T00:00:00.25Z".parse().unwrap()));
        assert_eq!(logged(log, SEEN), None);
    }
}
