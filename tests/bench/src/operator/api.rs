//! The API server, as a client that creates and watches: no more than the benchmark needs, so that it costs little itself.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::StreamExt as _;
use reqwest::{Certificate, Client, Identity, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Annotation of the bookmark behind everything that was there.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

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

    /// Waits until the API server serves the kinds of these definitions. Nothing is asked of the kinds themselves.
    ///
    /// # Errors
    /// When it does not within a minute.
    pub async fn established(&self, definitions: &[Value]) -> Result<()> {
        let end = Instant::now() + Duration::from_mins(1);
        for definition in definitions {
            let name = definition["metadata"]["name"].as_str().context("a definition without a name")?;
            while !is_established(&self.get(&format!("{DEFINITIONS}/{name}")).await?) {
                ensure!(Instant::now() < end, "{name} is not established");
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Lists everything of a kind. Gives how often it was refused: see [`Api::stream`].
    ///
    /// # Errors
    /// When it is refused for another reason.
    pub async fn list(&self, path: &str) -> Result<u32> {
        let (response, refusals) = self.patiently(path).await?;
        response.bytes().await?;
        Ok(refusals)
    }

    /// Streams everything of a kind, as a cache does when it begins, to the end of what is there. Gives how often it was refused: an API server that is
    /// asked for a kind for the first time begins to keep it in memory and refuses until it does; then it is asked again after ten milliseconds.
    ///
    /// # Errors
    /// When it is refused for another reason, or the stream ends.
    pub async fn stream(&self, path: &str) -> Result<u32> {
        let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
        let (response, refusals) = self.patiently(&format!("{path}?{query}")).await?;
        let mut parts = response.bytes_stream();
        let mut text = Vec::new();
        while let Some(part) = parts.next().await {
            text.extend_from_slice(&part?);
            if text.windows(INITIAL_EVENTS_END.len()).any(|window| window == INITIAL_EVENTS_END.as_bytes()) {
                return Ok(refusals);
            }
        }
        anyhow::bail!("the stream of {path} ended")
    }

    async fn patiently(&self, path: &str) -> Result<(Response, u32)> {
        for refusals in 0..1000 {
            let response = self.client.get(format!("{}{path}", self.server)).send().await?;
            if response.status() != StatusCode::TOO_MANY_REQUESTS {
                return Ok((good(response).await?, refusals));
            }
            sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("{path} is refused again and again")
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

fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

async fn good(response: Response) -> Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    anyhow::bail!("{} answered {status}: {}", response.url().clone(), response.text().await.unwrap_or_default())
}
