//! An operator in a pod that a queue tells of changes: secrets are put into the emulator, its events come through EventBridge and SQS, and what counts is
//! the moment in which the worker's process uses the new version.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    aws_faults::AwsFaults,
    emulator::Emulator,
    install,
    wait::{PATIENCE, Seen, until},
    world::{World, aws_url, emulator_url},
};

/// Name of the queue.
const QUEUE: &str = "changes";
/// How long the operator leaves secrets alone that no message names, in seconds: longer than any test.
const SELDOM: u32 = 3600;
/// Port of a worker's metrics.
const METRICS: u16 = 8080;
/// Between two looks at them.
const PAUSE: Duration = Duration::from_millis(20);

/// The queue, and the operator that listens to it.
pub struct Push {
    world: World,
    emulator: Emulator,
    queue: String,
    http: reqwest::Client,
}

impl Push {
    /// Makes the queue, installs the operator anew, which then looks for itself so seldom that only messages count, and waits until it listens.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn install(world: &World) -> Result<Self> {
        let emulator = Emulator::at(&emulator_url(&world.cluster));
        let queue = emulator.queue_of_changes(QUEUE).await?;
        let values = [format!("credentials.queueURL={queue}"), format!("credentials.sweepIntervalSeconds={SELDOM}")];
        install::operator(&world.cluster, &aws_url(&world.cluster), &values).await?;
        let aws = AwsFaults::at(&aws_url(&world.cluster), "push")?;
        until("the operator listens to the queue", async || {
            let heard = aws.count("ReceiveMessage").await?;
            Ok(if heard > 0 { Seen::Yes(()) } else { Seen::NotYet("nobody asked the queue".into()) })
        })
        .await?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        Ok(Self { world: world.clone(), emulator, queue, http })
    }

    /// Installs the operator as it is otherwise.
    ///
    /// # Errors
    /// With what Helm said.
    pub async fn uninstall(self) -> Result<()> {
        install::operator(&self.world.cluster, &aws_url(&self.world.cluster), &[]).await
    }

    /// Puts a secret, and waits until the worker of an Integration uses that version for a Connector. Gives how long that took from before the secret
    /// was put.
    ///
    /// # Errors
    /// When it never does.
    pub async fn rotate(&self, at: &Pod, connector: &str, secret: &str, value: &Value) -> Result<Duration> {
        let begun = Instant::now();
        let version = self.world.secrets.put_json(secret, value).await?;
        let line = format!(r#"crosstie_worker_credential_version{{connector="{connector}",version="{version}"}} 1"#);
        loop {
            let shown = self.http.get(&at.metrics).send().await?.text().await?;
            if shown.contains(&line) {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > PATIENCE {
                bail!("version {version} of {connector} never came to {}", at.metrics);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until every message was deleted.
    ///
    /// # Errors
    /// When one never is.
    pub async fn empties(&self) -> Result<()> {
        until("the queue is empty", async || {
            let left = self.emulator.messages(&self.queue).await?;
            Ok(if left == (0, 0) { Seen::Yes(()) } else { Seen::NotYet(format!("{left:?} messages")) })
        })
        .await
    }
}

/// A worker's pod.
pub struct Pod {
    metrics: String,
}

impl Pod {
    /// The pod of an Integration's worker.
    ///
    /// # Errors
    /// When there is none with an address.
    pub async fn of(world: &World, namespace: &str, integration: &str) -> Result<Self> {
        let pods = world.kubectl.list(namespace, "pods").await?;
        let mine = |pod: &&Value| pod["metadata"]["labels"]["crosstie.dev/integration"] == integration;
        let address = pods.iter().find(mine).and_then(|pod| pod["status"]["podIP"].as_str());
        let address = address.with_context(|| format!("the worker of {integration} has no address"))?;
        Ok(Self { metrics: format!("http://{address}:{METRICS}/metrics") })
    }
}
