//! The cluster under test, through `tests/cluster/cluster`. Programs started here end with the cluster.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// The cluster that `CROSSTIE_CLUSTER` names, or the one a person gave with `CROSSTIE_KUBECONFIG`.
#[derive(Clone, Debug)]
pub struct Cluster {
    script: PathBuf,
    /// Its name.
    pub name: String,
    /// Kubeconfig file for programs in its network.
    pub kubeconfig: PathBuf,
    /// Kubeconfig file for people, who are outside.
    pub kubeconfig_for_people: PathBuf,
    /// Address at which pods reach servers started with [`Cluster::spawn`].
    pub address: String,
    /// Folder of its data: logs and the audit log.
    pub data: PathBuf,
    /// Folder of `kubectl` and `helm`.
    pub programs: PathBuf,
}

/// The repository's root.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder that holds what is built and downloaded.
///
/// # Errors
/// When no home folder is known.
pub fn cache() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("CROSSTIE_CACHE") {
        return Ok(cache.into());
    }
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Ok(base.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?.join("crosstie"))
}

impl Cluster {
    /// Finds the cluster, which must be up. Tests and demo run in its network, through `cluster exec`.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn find() -> Result<Self> {
        let name = std::env::var("CROSSTIE_CLUSTER").unwrap_or_else(|_| "crosstie".into());
        let script = repository().join("tests/cluster/cluster");
        let ask = async |arguments: &[&str]| run(Command::new(&script).args(arguments).args(["--name", &name])).await;
        Ok(Self {
            kubeconfig: ask(&["kubeconfig", "--inside"]).await?.into(),
            kubeconfig_for_people: ask(&["kubeconfig"]).await?.into(),
            address: ask(&["address"]).await?,
            data: ask(&["data"]).await?.into(),
            programs: ask(&["bin"]).await?.into(),
            script,
            name,
        })
    }

    /// Runs a subcommand of the script and gives what it printed.
    ///
    /// # Errors
    /// With what it said, when it fails.
    pub async fn run(&self, subcommand: &str, arguments: &[&str]) -> Result<String> {
        run(Command::new(&self.script).arg(subcommand).args(["--name", &self.name]).args(arguments)).await
    }

    /// Starts a program in the cluster's network, to run until the cluster goes down or it is stopped by name.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn spawn(&self, name: &str, command: &[&str]) -> Result<()> {
        let arguments: Vec<&str> = [name, "--"].iter().chain(command).copied().collect();
        self.run("spawn", &arguments).await.map(drop)
    }
}

/// A program of the workspace, built beside the running one.
///
/// # Errors
/// When it is not there.
pub fn built(name: &str) -> Result<PathBuf> {
    let running = std::env::current_exe()?;
    let found = running.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run this through make"))
}

/// Runs a command to its end and gives its trimmed output.
///
/// # Errors
/// With everything it said, when it fails.
pub async fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().await.with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{:?} failed ({}):\n{}{}",
            command.as_std(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
