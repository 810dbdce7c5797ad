//! Writing the report: this pod's entry of the Integration's `SyncReport`, by server-side apply under a field manager of the pod's own, so that
//! pods never touch each other's entries.

use std::{sync::Arc, time::Duration};

use crosstie_connect::Clock;
use crosstie_crds::sync_report::{SyncReport, WorkerReport};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{observe::Reporter, pace::Pace};

/// How often it is looked whether there is something to report.
const LOOK: Duration = Duration::from_millis(500);
/// How long is waited after a write that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long a write may take.
const LONGEST_WRITE: Duration = Duration::from_secs(10);
/// Longest name of a field manager that Kubernetes takes, in bytes.
const LONGEST_MANAGER: usize = 128;

/// Where reports go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportTarget {
    /// Namespace of the Integration.
    pub namespace: String,
    /// Name of the Integration, which is also its `SyncReport`'s.
    pub integration: String,
}

/// Writes reports until it is told to stop. Needs no API server to be there: it is tried again.
pub async fn publish(target: ReportTarget, reporter: Arc<Reporter>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut publisher = Publisher { target, reporter, clock, api: None, pace: Pace::default(), failing: false };
    tokio::select! {
        () = stop.cancelled() => {}
        () = publisher.run() => {}
    }
}

struct Publisher {
    target: ReportTarget,
    reporter: Arc<Reporter>,
    clock: Arc<dyn Clock>,
    api: Option<Api<SyncReport>>,
    pace: Pace,
    failing: bool,
}

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("there is no way to the Kubernetes API: run in a pod with a service account, or pass --no-report")]
    NoCluster(#[source] kube::Error),
    #[error(
        "the SyncReport `{name}` was not written: check the worker's Role and that the Integration exists; it is tried again"
    )]
    Refused {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("the Kubernetes API did not answer in time; it is tried again")]
    Late,
}

impl Publisher {
    async fn run(&mut self) {
        loop {
            let report = self.reporter.report().await;
            let now = self.clock.now();
            if self.pace.is_due(&report, now) {
                match self.write(&report).await {
                    Ok(()) => {
                        self.pace.written(&report, now);
                        self.failing = false;
                    }
                    Err(error) => {
                        self.complain(&error);
                        sleep(AFTER_FAILURE).await;
                    }
                }
            }
            sleep(LOOK).await;
        }
    }

    fn complain(&mut self, error: &PublishError) {
        if !std::mem::replace(&mut self.failing, true) {
            let source = std::error::Error::source(error).map(tracing::field::display);
            tracing::warn!(%error, source, "the report was not written");
        }
    }

    async fn write(&mut self, report: &WorkerReport) -> Result<(), PublishError> {
        let api = self.api().await?;
        let name = self.target.integration.clone();
        let params = PatchParams::apply(&manager(&report.pod)).force();
        let patch = Patch::Apply(document(&name, report));
        let written =
            timeout(LONGEST_WRITE, api.patch_status(&name, &params, &patch)).await.map_err(|_| PublishError::Late)?;
        written.map(|_| ()).map_err(|source| PublishError::Refused { name, source })
    }

    async fn api(&mut self) -> Result<Api<SyncReport>, PublishError> {
        if let Some(api) = &self.api {
            return Ok(api.clone());
        }
        let client = Client::try_default().await.map_err(PublishError::NoCluster)?;
        let api = Api::namespaced(client, &self.target.namespace);
        self.api = Some(api.clone());
        Ok(api)
    }
}

fn document(name: &str, report: &WorkerReport) -> serde_json::Value {
    json!({
        "apiVersion": SyncReport::api_version(&()),
        "kind": SyncReport::kind(&()),
        "metadata": {"name": name},
        "status": {"workers": [report]},
    })
}

/// The field manager of a pod. A long pod name is cut from the front: its end tells pods apart.
fn manager(pod: &str) -> String {
    const PREFIX: &str = "crosstie-worker-";
    let surplus = (PREFIX.len() + pod.len()).saturating_sub(LONGEST_MANAGER);
    let kept = pod.char_indices().map(|(at, _)| at).find(|at| *at >= surplus).unwrap_or(pod.len());
    format!("{PREFIX}{}", &pod[kept..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_manager_is_never_too_long_and_keeps_what_tells_pods_apart() {
        assert_eq!(manager("orders-sync-abc"), "crosstie-worker-orders-sync-abc");
        let long = manager(&format!("{}-x7k2p", "a".repeat(240)));
        assert_eq!(long.len(), LONGEST_MANAGER);
        assert!(long.ends_with("-x7k2p"));
    }
}
