//! A mail server that pods reach: aiosmtpd, as the worker's tests have it, here without TLS and login, as a relay within a cluster is.

use anyhow::Result;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{
    cluster::{Cluster, cache, repository},
    wait::{Seen, until},
};

/// Port of the mail server on the cluster's address.
pub const MAIL_PORT: u16 = 7125;
/// Its name among the cluster's programs.
const NAME: &str = "mail";

/// The mail server of a cluster, shared by the tests on it.
#[derive(Clone, Debug)]
pub struct MailServer {
    cluster: Cluster,
}

impl MailServer {
    /// Starts it unless it runs.
    ///
    /// # Errors
    /// When it never takes connections.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let address = (cluster.address.as_str(), MAIL_PORT);
        if TcpStream::connect(address).await.is_err() {
            let python = cache()?.join("python/bin/python");
            let script = repository().join("worker/tests/alerting/mail.py");
            let (python, script, port) = (python.to_string_lossy(), script.to_string_lossy(), MAIL_PORT.to_string());
            cluster.spawn(NAME, &[&python, &script, "plain", "-", "-", "0", &cluster.address, &port]).await?;
        }
        until("the mail server takes connections", async || {
            let answered = TcpStream::connect(address).await;
            Ok(answered.map_or_else(|error| Seen::NotYet(error.to_string()), |_| Seen::Yes(())))
        })
        .await?;
        Ok(Self { cluster: cluster.clone() })
    }

    /// The base URL of a Connector for it.
    pub fn base_url(&self) -> String {
        format!("smtp://{}:{MAIL_PORT}", self.cluster.address)
    }

    /// The mails that came from an address so far, oldest first.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub async fn mails(&self, from: &str) -> Result<Vec<Value>> {
        let log = self.cluster.run("logs", &[NAME]).await?;
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter(|mail| mail["from"] == from).collect())
    }
}
