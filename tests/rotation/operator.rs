//! What the tests here stand on: the operator's real process in a namespace of its own on etcd and API server alone, with the AWS emulator behind the
//! fault proxy. The process is killed without warning, and started again.

use std::{fs::File, path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use crosstie_crds::{condition::Reason, names};
use crosstie_tests::{
    aws::{self, KEY_ID, REGION},
    aws_faults::AwsFaults,
    cluster::{Cluster, built, repository},
    emulator::Emulator,
    kubectl::Kubectl,
    wait::{Seen, until},
};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// A namespace, AWS, and an operator that may or may not run.
pub struct World {
    pub namespace: String,
    pub kubectl: Kubectl,
    pub faults: AwsFaults,
    pub secrets: aws::Secrets,
    pub log: PathBuf,
    kubeconfig: PathBuf,
    queue: String,
    port: u16,
    operator: Option<Child>,
    other: Option<Child>,
    _emulator: Emulator,
}

impl World {
    /// Everything but the operator.
    pub async fn start(namespace: &str) -> Result<Self> {
        let cluster = Cluster::find().await?;
        let kubectl = Kubectl::new(&cluster);
        let folder = repository().join("crds/generated");
        kubectl.run(&["apply", "--server-side", "-f", folder.to_str().context("a path that is no text")?]).await?;
        until("the kinds are served", async || {
            let listed = kubectl.run(&["get", "connectors,integrations,syncreports", "-A"]).await;
            Ok(listed.map_or_else(|error| Seen::NotYet(format!("{error:#}")), |_| Seen::Yes(())))
        })
        .await?;
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        kubectl.apply(&object.to_string()).await?;
        let emulator = Emulator::start("secretsmanager,sts,sqs,events").await?;
        let faults = AwsFaults::start(emulator.url()).await?;
        let queue = emulator.queue_of_changes("changes").await?;
        Ok(Self {
            namespace: namespace.into(),
            secrets: aws::Secrets::of(emulator.url(), KEY_ID, REGION),
            log: std::env::temp_dir().join(format!("crosstie-{namespace}-{}.log", std::process::id())),
            port: free_port().await?,
            kubeconfig: cluster.kubeconfig,
            operator: None,
            other: None,
            _emulator: emulator,
            kubectl,
            faults,
            queue,
        })
    }

    /// Starts the operator, whose log is appended to. The same replica as before takes its Lease again.
    pub fn run(&mut self, filter: &str) -> Result<()> {
        self.operator = Some(self.spawn(filter, "operator", self.port)?);
        Ok(())
    }

    /// Starts a second one that takes a Lease of its own, so that both lead.
    pub async fn run_another(&mut self) -> Result<()> {
        self.other = Some(self.spawn("info", "another", free_port().await?)?);
        Ok(())
    }

    fn spawn(&self, filter: &str, identity: &str, port: u16) -> Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(built("crosstie-operator")?);
        command
            .args(["--worker-image", "crosstie/worker:none", "--identity", identity, "--log-filter", filter])
            .args(["--lease-name", identity, "--egress-allow-cidrs", "127.0.0.0/8"])
            .args(["--namespaces", &self.namespace, "--operator-namespace", &self.namespace])
            .args(["--sweep-interval-seconds", "2", "--queue-url", &self.queue])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("AWS_ENDPOINT_URL", self.faults.url())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        command.spawn().context("the operator cannot be started")
    }

    /// SIGKILL, unless it does not run anyway.
    pub async fn kill(&mut self) -> Result<()> {
        for mut operator in [self.operator.take(), self.other.take()].into_iter().flatten() {
            ensure!(operator.try_wait()?.is_none(), "the operator ended by itself; its log is {}", self.log.display());
            operator.kill().await?;
        }
        Ok(())
    }

    /// Its metrics.
    pub async fn metrics(&self) -> Result<String> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(http.get(format!("http://127.0.0.1:{}/metrics", self.port)).send().await?.text().await?)
    }

    /// Applies a Connector of the example under a name, with a secret of its own.
    pub async fn connector(&self, name: &str) -> Result<()> {
        let text = std::fs::read_to_string(repository().join("examples/orders/connectors.yaml"))?;
        let mut object: Value =
            serde_saphyr::from_str(text.split("\n---\n").next().context("the example has no Connector")?)?;
        object["metadata"] = json!({"name": name, "namespace": self.namespace});
        object["spec"]["credentials"]["awsSecretsManager"]["secretId"] = json!(self.secret(name));
        self.kubectl.apply(&object.to_string()).await.map(drop)
    }

    /// Name of a Connector's secret at AWS.
    pub fn secret(&self, connector: &str) -> String {
        format!("{}/{connector}", self.namespace)
    }

    /// The document in a Connector's Secret, if there is one already.
    pub async fn document(&self, connector: &str) -> Result<Option<Value>> {
        let secret = self.kubectl.get(&self.namespace, "secret", &names::credentials(connector)).await?;
        let Some(secret) = secret else { return Ok(None) };
        let data = secret["data"][names::CREDENTIALS_FILE].as_str().context("a Secret without the document")?;
        Ok(Some(serde_json::from_slice(&decode(data)?)?))
    }

    /// Waits until a condition of a Connector has a reason, and gives the condition.
    pub async fn says(&self, connector: &str, reason: Reason) -> Result<Value> {
        until(&format!("{connector} says {reason}"), async || {
            let object = self.kubectl.get(&self.namespace, "connector", connector).await?.unwrap_or_default();
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let said = conditions.into_iter().find(|condition| condition["reason"] == reason.to_string());
            Ok(said.map_or_else(|| Seen::NotYet(object["status"].to_string()), Seen::Yes))
        })
        .await
    }

    /// What the status of a Connector says of its credentials.
    pub async fn status(&self, connector: &str) -> Result<Value> {
        let object = self.kubectl.get(&self.namespace, "connector", connector).await?;
        Ok(object.map(|object| object["status"]["credentials"].clone()).unwrap_or_default())
    }
}

/// Base64, as far as the API server writes it.
fn decode(text: &str) -> Result<Vec<u8>> {
    let digit = |letter: u8| -> Result<u32> {
        let all = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let place = all.iter().position(|digit| *digit == letter).context("no Base64")?;
        Ok(u32::try_from(place)?)
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').collect();
    let mut bytes = Vec::new();
    for part in letters.chunks(4) {
        let mut bits = 0;
        for letter in part {
            bits = bits << 6 | digit(*letter)?;
        }
        bits <<= 6 * (4 - part.len());
        bytes.extend(bits.to_be_bytes().into_iter().skip(1).take(part.len() - 1));
    }
    Ok(bytes)
}

async fn free_port() -> Result<u16> {
    Ok(tokio::net::TcpListener::bind("127.0.0.1:0").await.context("no free port")?.local_addr()?.port())
}
