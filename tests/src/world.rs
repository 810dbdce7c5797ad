//! Everything a test stands on, started once a cluster: AWS emulator, vendor simulator, operator.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    aws::Secrets,
    aws_faults::{AwsFaults, CONTROL},
    cluster::{Cluster, built, cache},
    install,
    kubectl::Kubectl,
    wait::{Seen, until},
};

/// Port of the AWS emulator on the cluster's address.
pub const EMULATOR_PORT: u16 = 4566;
/// Port of the fault proxy before it: what is AWS to the operator.
pub const AWS_PORT: u16 = 4567;
/// Port of the vendor simulator on the cluster's address.
pub const VENDORS_PORT: u16 = 7100;

/// What a test stands on.
#[derive(Clone, Debug)]
pub struct World {
    /// The cluster.
    pub cluster: Cluster,
    /// `kubectl` for it.
    pub kubectl: Kubectl,
    /// The AWS emulator.
    pub secrets: Secrets,
    /// URL of the vendor simulator.
    pub vendors: String,
}

/// Where to find what was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Folder with `operator.tar` and `worker.tar`.
    pub images: PathBuf,
    /// The simulator's program.
    pub vendors: PathBuf,
}

impl Built {
    /// From `CROSSTIE_IMAGES`, and the simulator beside the running program.
    ///
    /// # Errors
    /// When either is missing.
    pub fn find() -> Result<Self> {
        let images =
            std::env::var_os("CROSSTIE_IMAGES").context("CROSSTIE_IMAGES names no folder: run this through make")?;
        Ok(Self { images: images.into(), vendors: built("crosstie-vendors")? })
    }
}

impl World {
    /// Finds the cluster and makes sure that everything runs on it.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn get() -> Result<Self> {
        let cluster = Cluster::find().await?;
        let built = Built::find()?;
        // Tests of one program run side by side; the first one starts everything.
        let lock = std::fs::File::create(cluster.data.join("world.lock"))?;
        let _held = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
        start_emulator(&cluster).await?;
        start_aws_faults(&cluster, &self::built("aws-faults")?).await?;
        start_vendors(&cluster, &built.vendors).await?;
        let world = Self::of(cluster);
        world.install(&built.images, &aws_url(&world.cluster)).await?;
        Ok(world)
    }

    /// The world of a cluster whose servers run already.
    pub fn of(cluster: Cluster) -> Self {
        Self {
            kubectl: Kubectl::new(&cluster),
            secrets: Secrets::at(&emulator_url(&cluster)),
            vendors: vendors_url(&cluster),
            cluster,
        }
    }

    /// The fault proxy, for a test of this name: its rules are its own.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn aws_faults(&self, owner: &str) -> Result<AwsFaults> {
        AwsFaults::at(&aws_url(&self.cluster), owner)
    }

    /// Loads the images and installs the operator, to which this URL is AWS, unless these very images are installed already.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn install(&self, images: &Path, aws: &str) -> Result<()> {
        let stamp = self.cluster.data.join("installed");
        let wanted = images.to_string_lossy().into_owned();
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        install::load_images(&self.cluster, images).await?;
        let namespace = install::NAMESPACE;
        let keys = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: aws-keys, namespace: {namespace}}}\n\
             stringData: {{AWS_ACCESS_KEY_ID: test, AWS_SECRET_ACCESS_KEY: test}}\n"
        );
        self.kubectl.apply(&keys).await?;
        install::operator(&self.cluster, aws, &[]).await?;
        std::fs::write(stamp, wanted)?;
        Ok(())
    }
}

/// URL of the AWS emulator.
pub fn emulator_url(cluster: &Cluster) -> String {
    format!("http://{}:{EMULATOR_PORT}", cluster.address)
}

/// URL of the fault proxy before it.
pub fn aws_url(cluster: &Cluster) -> String {
    format!("http://{}:{AWS_PORT}", cluster.address)
}

/// URL of the vendor simulator.
pub fn vendors_url(cluster: &Cluster) -> String {
    format!("http://{}:{VENDORS_PORT}", cluster.address)
}

/// Starts the AWS emulator unless it answers.
///
/// # Errors
/// When it never answers.
pub async fn start_emulator(cluster: &Cluster) -> Result<()> {
    let program = cache()?.join("python/bin/ministack");
    let port = format!("GATEWAY_PORT={EMULATOR_PORT}");
    let command = ["env", "SERVICES=secretsmanager,sts,sqs,events", &port, &program.to_string_lossy()];
    start(cluster, "ministack", &command, &format!("{}/_ministack/health", emulator_url(cluster))).await
}

/// Starts the fault proxy before the AWS emulator unless it answers.
///
/// # Errors
/// When it never answers.
pub async fn start_aws_faults(cluster: &Cluster, program: &Path) -> Result<()> {
    let listen = format!("{}:{AWS_PORT}", cluster.address);
    let command = [&program.to_string_lossy(), "--listen", &listen, "--emulator", &emulator_url(cluster)];
    start(cluster, "aws-faults", &command, &format!("{}{CONTROL}/calls", aws_url(cluster))).await
}

/// Starts the vendor simulator unless it answers.
///
/// # Errors
/// When it never answers.
pub async fn start_vendors(cluster: &Cluster, program: &Path) -> Result<()> {
    let listen = format!("{}:{VENDORS_PORT}", cluster.address);
    let command = [&program.to_string_lossy(), "--listen", &listen];
    start(cluster, "vendors", &command, &format!("{}/healthz", vendors_url(cluster))).await
}

async fn start(cluster: &Cluster, name: &str, command: &[&str], health: &str) -> Result<()> {
    if !answers(health).await {
        cluster.spawn(name, command).await?;
    }
    until(&format!("{name} answers at {health}"), async || {
        Ok(if answers(health).await { Seen::Yes(()) } else { Seen::NotYet("no answer".into()) })
    })
    .await
}

/// Whether a server answers with success.
async fn answers(url: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build();
    match client {
        Ok(client) => client.get(url).send().await.is_ok_and(|response| response.status().is_success()),
        Err(_) => false,
    }
}
