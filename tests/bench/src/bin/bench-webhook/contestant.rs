//! Those who receive, each as a process of its own.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use crosstie_bench::process::{Running, write};
use crosstie_crds::{Connector, Integration};
use crosstie_engine::{
    compile::{self, Settings},
    plan::Allowance,
    rate::Shares,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The secret that webhooks are signed with.
pub const SECRET: &str = "bench";
/// Path that they are sent to.
pub const PATH: &str = "/bench/orders";
/// How long a receiver may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// A bare receiver.
    Bare,
    /// The worker.
    Worker,
}

/// A receiver at work.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub process: Running,
    _folder: TempDir,
}

impl Contestant {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare receiver",
            Self::Worker => "worker",
        }
    }

    /// Starts it with a fresh store below `state`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(self, worker: &Path, state: &Path) -> Result<Receiver> {
        let folder = tempfile::Builder::new().prefix("crosstie-bench-").tempdir_in(state)?;
        match self {
            Self::Bare => bare(folder),
            Self::Worker => started(worker, folder).await,
        }
    }
}

fn bare(folder: TempDir) -> Result<Receiver> {
    let this = env::current_exe()?;
    let program = this.parent().context("this program lies in no folder")?.join("raw-receiver");
    ensure!(program.is_file(), "{} is missing: run `make bench`", program.display());
    let mut command = Command::new(program);
    command.arg("--database").arg(folder.path().join("events.db"));
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = process.stdout.take().context("it says nothing")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().parse().context("it does not say where it listens")?;
    Ok(Receiver { address, process: Running(process), _folder: folder })
}

async fn started(worker: &Path, folder: TempDir) -> Result<Receiver> {
    let files = folder.path().join("files");
    mount(&files)?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Command::new(worker);
    command.args(["--no-report", "--listen", "127.0.0.1:0", "--letters-listen", "127.0.0.1:0", "--log-filter", "off"]);
    command.args(["--webhooks-listen", &address.to_string()]);
    command.arg("--files").arg(files).arg("--state").arg(folder.path().join("state"));
    let receiver = Receiver { address, process: Running::start(&mut command)?, _folder: folder };
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ready = async {
        while !client.get(format!("http://{address}{PATH}")).send().await.is_ok_and(|answer| answer.status() == 200) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.context("the worker does not receive")?;
    Ok(receiver)
}

/// The files that an operator would mount, for systems that are away.
fn mount(folder: &Path) -> Result<()> {
    let connector = |name: &str, preset: &str| -> Result<Connector> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": name, "namespace": "bench"},
            "spec": {"preset": preset, "baseURL": "http://127.0.0.1:1", "credentials": {"secretRef": {"name": "none"}}},
        }))?)
    };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders/integration.yaml");
    let mut document: Value = serde_saphyr::from_str(&fs::read_to_string(&example)?)?;
    document["metadata"] = json!({"name": "orders", "namespace": "bench"});
    document["spec"]["flows"][0]["triggers"] = json!([{"webhook": {"topics": ["orders/*"]}}]);
    let integration: Integration = serde_json::from_value(document)?;
    let settings = Settings { allow_cidrs: vec!["127.0.0.0/8".into()] };
    let (shop, books) = (connector("shopify", "Shopify")?, connector("netsuite", "NetSuite")?);
    let compiled = compile::integration(&integration, &shop, &books, &settings);
    let Some(plan) = compiled.value else { bail!("the example does not compile: {:?}", compiled.findings) };
    let share = Allowance { requests: 10, per_seconds: 1, concurrency: 1 };
    write(folder, "plan/plan.json", &plan.to_json())?;
    write(folder, "shares/shares.json", &Shares { source: share, destination: share }.to_json())?;
    for (end, connector) in [("source", "shopify"), ("destination", "netsuite")] {
        let values = json!({"token": "bench", "webhookSecret": SECRET});
        let document = json!({"connector": connector, "current": {"versionId": "1", "values": values}});
        write(folder, &format!("credentials/{end}/credentials.json"), &document.to_string())?;
    }
    Ok(())
}
