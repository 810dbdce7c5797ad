//! The API server, as a client that creates and watches: no more than the benchmark needs, so that it costs little itself.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::StreamExt as _;
use reqwest::{Certificate, Client, Identity, Response};
use serde::Deserialize;
use serde_json::Value;

/// A kind of object, by its path at the API server.
pub const CONNECTORS: &str = "/apis/crosstie.dev/v1alpha1/namespaces/bench/connectors";
/// See [`CONNECTORS`].
pub const INTEGRATIONS: &str = "/apis/crosstie.dev/v1alpha1/namespaces/bench/integrations";
/// See [`CONNECTORS`].
pub const NAMESPACES: &str = "/api/v1/namespaces";
/// See [`CONNECTORS`].
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The API server that a kubeconfig file names.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client,
    server: String,
}

#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    cluster: ClusterEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    certificate_authority_data: String,
}

#[derive(Deserialize)]
struct NamedUser {
    user: UserEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UserEntry {
    client_certificate_data: String,
    client_key_data: String,
}

impl Api {
    /// From a kubeconfig file with one cluster and one user, as `tests/cluster/cluster kubeconfig` names it.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(kubeconfig: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(kubeconfig)
            .with_context(|| format!("cannot read {}: run this through make", kubeconfig.display()))?;
        let config: Kubeconfig = serde_saphyr::from_str(&text)?;
        let cluster = &config.clusters.first().context("the kubeconfig names no cluster")?.cluster;
        let user = &config.users.first().context("the kubeconfig names no user")?.user;
        let mut identity = STANDARD.decode(&user.client_certificate_data)?;
        identity.extend(STANDARD.decode(&user.client_key_data)?);
        let authority = Certificate::from_pem(&STANDARD.decode(&cluster.certificate_authority_data)?)?;
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .identity(Identity::from_pem(&identity)?)
            .user_agent("crosstie-bench")
            .build()?;
        Ok(Self { client, server: cluster.server.clone() })
    }

    /// Creates an object.
    ///
    /// # Errors
    /// With what the API server said, when it refuses.
    pub async fn create(&self, path: &str, object: &Value) -> Result<()> {
        good(self.client.post(format!("{}{path}", self.server)).json(object).send().await?).await.map(drop)
    }

    /// Reads an object or a list.
    ///
    /// # Errors
    /// With what the API server said, when it refuses.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Ok(good(self.client.get(format!("{}{path}", self.server)).send().await?).await?.json().await?)
    }

    /// Watches everything of a kind from now on and calls `see` with each object that is written, until the watch ends, which is an error.
    ///
    /// # Errors
    /// When the watch ends.
    pub async fn watch(&self, path: &str, mut see: impl FnMut(&Value)) -> Result<()> {
        let version = self.get(&format!("{path}?limit=1")).await?["metadata"]["resourceVersion"].clone();
        let version = version.as_str().context("a list without a version")?;
        let url = format!("{}{path}?watch=1&resourceVersion={version}&timeoutSeconds=3600", self.server);
        let mut parts = good(self.client.get(url).send().await?).await?.bytes_stream();
        let mut buffer: Vec<u8> = Vec::new();
        while let Some(part) = parts.next().await {
            buffer.extend_from_slice(&part?);
            while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
                let event: Value = serde_json::from_slice(&buffer[..end])?;
                buffer.drain(..=end);
                ensure!(event["type"] != "ERROR", "the watch of {path} failed: {event}");
                see(&event["object"]);
            }
        }
        anyhow::bail!("the watch of {path} ended")
    }
}

async fn good(response: Response) -> Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    anyhow::bail!("{} answered {status}: {}", response.url().clone(), response.text().await.unwrap_or_default())
}
