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
    use std::sync::Mutex;

    use axum::{Json, Router, extract::Request, http::StatusCode, response::IntoResponse};
    use crosstie_connect::SystemClock;
    use serde_json::Value;

    use super::*;
    use crate::{board::Board, metrics::Metrics};

    /// A request as an API server got it: method, path with query, content type, body.
    type Got = (String, String, String, Value);

    /// An API server that answers every request with a status and what it was sent.
    async fn api_server(status: StatusCode) -> (Client, Arc<Mutex<Vec<Got>>>) {
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let seen = Arc::clone(&got);
        let answer = move |request: Request| {
            let seen = Arc::clone(&seen);
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                let kind = head.headers["content-type"].to_str().unwrap().to_owned();
                seen.lock().unwrap().push((head.method.to_string(), head.uri.to_string(), kind, body.clone()));
                let mut object = body;
                object["spec"] = json!({"integrationRef": {"name": "orders"}});
                (status, Json(object)).into_response()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        let _chosen = rustls::crypto::aws_lc_rs::default_provider().install_default();
        (Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap(), got)
    }

    fn publisher(client: Client) -> Publisher {
        let board = Arc::new(Board::new(SystemClock.now(), Arc::default()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = Arc::new(Metrics::default());
        let reporter = Arc::new(Reporter::new(board, metrics, Arc::clone(&clock), "orders-sync-1".into()));
        let target = ReportTarget { namespace: "shop".into(), integration: "orders".into() };
        let api = Some(Api::namespaced(client, "shop"));
        Publisher { target, reporter, clock, api, pace: Pace::default(), failing: false }
    }

    #[tokio::test]
    async fn a_pod_applies_its_own_entry_to_the_status_and_nothing_else() {
        let (client, got) = api_server(StatusCode::OK).await;
        let publisher = &mut publisher(client);
        let report = publisher.reporter.report().await;
        publisher.write(&report).await.unwrap();
        let (method, uri, kind, body) = got.lock().unwrap().remove(0);
        assert_eq!((method.as_str(), kind.as_str()), ("PATCH", "application/apply-patch+yaml"));
        let (path, query) = uri.split_once('?').unwrap();
        assert_eq!(path, "/apis/crosstie.dev/v1alpha1/namespaces/shop/syncreports/orders/status");
        assert!(
            query.contains("fieldManager=crosstie-worker-orders-sync-1") && query.contains("force=true"),
            "{query}"
        );
        let entries = body["status"]["workers"].as_array().unwrap();
        assert_eq!((entries.len(), &entries[0]["pod"]), (1, &json!("orders-sync-1")));
        assert!(body.get("spec").is_none() && body["metadata"] == json!({"name": "orders"}), "{body}");
    }

    #[tokio::test]
    async fn a_refused_report_is_an_error_that_names_it() {
        let (client, _) = api_server(StatusCode::FORBIDDEN).await;
        let publisher = &mut publisher(client);
        let report = publisher.reporter.report().await;
        let error = publisher.write(&report).await.unwrap_err();
        assert!(matches!(error, PublishError::Refused { .. }) && error.to_string().contains("`orders`"), "{error:?}");
    }

    #[test]
    fn a_field_manager_is_never_too_long_and_keeps_what_tells_pods_apart() {
        assert_eq!(manager("orders-sync-abc"), "crosstie-worker-orders-sync-abc");
        let long = manager(&format!("{}-x7k2p", "a".repeat(240)));
        assert_eq!(long.len(), LONGEST_MANAGER);
        assert!(long.ends_with("-x7k2p"));
    }
}
