//! `kubectl` as a person uses it, with JSON in and out.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::cluster::{Cluster, built, run};

/// `kubectl` for one cluster.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// For a cluster.
    pub fn new(cluster: &Cluster) -> Self {
        Self { program: cluster.programs.join("kubectl"), kubeconfig: cluster.kubeconfig.clone() }
    }

    /// The same as somebody with no more rights than a service account has.
    ///
    /// # Errors
    /// When there is no such account, or the file of its own cannot be written.
    pub async fn with_rights_of(&self, namespace: &str, account: &str) -> Result<Self> {
        let token = self.run(&["-n", namespace, "create", "token", account]).await?;
        let own = self.run(&["config", "view", "--raw", "--flatten", "--minify", "-o", "json"]).await?;
        let mut own: Value = serde_json::from_str(&own)?;
        own["users"] = json!([{"name": account, "user": {"token": token}}]);
        own["contexts"][0]["context"]["user"] = json!(account);
        let kubeconfig = self.kubeconfig.with_file_name(format!("{namespace}-{account}.kubeconfig"));
        std::fs::write(&kubeconfig, own.to_string())?;
        Ok(Self { program: self.program.clone(), kubeconfig })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        command
    }

    /// Runs it and gives what it printed.
    ///
    /// # Errors
    /// With everything it said, when it fails.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        run(&mut self.command(arguments)).await
    }

    /// Runs `kubectl crosstie`, found on the path as any plugin.
    ///
    /// # Errors
    /// With everything it said, when it fails.
    pub async fn crosstie(&self, arguments: &[&str]) -> Result<String> {
        let plugin = built("kubectl-crosstie")?;
        let mut folders: Vec<PathBuf> = plugin.parent().map(PathBuf::from).into_iter().collect();
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new(&self.program);
        command.env("PATH", std::env::join_paths(folders)?).env("KUBECONFIG", &self.kubeconfig);
        run(command.arg("crosstie").args(arguments)).await
    }

    /// Applies documents, given as YAML or JSON.
    ///
    /// # Errors
    /// With what the API server said, when it refuses one.
    pub async fn apply(&self, documents: &str) -> Result<String> {
        self.feed(&["apply", "-f", "-"], documents).await
    }

    /// Runs it with documents as its input and gives what it printed.
    ///
    /// # Errors
    /// With everything it said, when it fails.
    pub async fn feed(&self, arguments: &[&str], documents: &str) -> Result<String> {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().context("kubectl has no input")?;
        input.write_all(documents.as_bytes()).await?;
        drop(input);
        let output = child.wait_with_output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("kubectl {} failed: {said}", arguments.join(" "));
        }
        Ok(said)
    }

    /// One object, or none when it does not exist.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn get(&self, namespace: &str, kind: &str, name: &str) -> Result<Option<Value>> {
        let text = self.run(&["-n", namespace, "get", kind, name, "--ignore-not-found", "-o", "json"]).await?;
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&text).with_context(|| format!("kubectl get {kind} {name} gave no JSON"))?))
    }

    /// All objects of some kinds.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn list(&self, namespace: &str, kinds: &str) -> Result<Vec<Value>> {
        let text = self.run(&["-n", namespace, "get", kinds, "-o", "json"]).await?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }
}
