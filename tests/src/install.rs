//! The operator as a person installs it: images loaded, chart installed with Helm.

use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use crate::cluster::{Cluster, repository, run};

/// Namespace that the operator runs in.
pub const NAMESPACE: &str = "crosstie-system";

/// Loads both images into the cluster.
///
/// # Errors
/// When an image is missing or refused.
pub async fn load_images(cluster: &Cluster, images: &Path) -> Result<()> {
    for name in ["operator.tar", "worker.tar"] {
        cluster.run("load", &[&images.join(name).to_string_lossy()]).await?;
    }
    Ok(())
}

/// Installs or upgrades the chart, pointed at what is AWS here and with more values, and waits until the operator is available.
///
/// # Errors
/// With what Helm said.
pub async fn operator(cluster: &Cluster, aws: &str, more: &[String]) -> Result<()> {
    let address = &cluster.address;
    let values = [
        "image.tag=dev".to_owned(),
        "image.pullPolicy=Never".into(),
        "worker.image.tag=dev".into(),
        "worker.image.pullPolicy=Never".into(),
        format!("aws.endpointURL={aws}"),
        format!("aws.region={}", crate::aws::REGION),
        "aws.existingSecret=aws-keys".into(),
        "credentials.sweepIntervalSeconds=2".into(),
        format!("egress.allowCIDRs[0]={address}/32"),
    ];
    let mut command = Command::new(cluster.programs.join("helm"));
    command.args(["upgrade", "--install", "crosstie"]).arg(repository().join("charts/crosstie"));
    command.args(["--namespace", NAMESPACE, "--wait", "--timeout", "120s"]);
    command.arg("--kubeconfig").arg(&cluster.kubeconfig);
    for value in values.iter().chain(more) {
        command.args(["--set", value]);
    }
    run(&mut command).await.map(drop)
}
