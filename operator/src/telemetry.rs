//! What the operator says about itself: metrics, health and logs. Names of secrets and version ids may appear here, values never.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::LogFormat;

/// What a user's filter cannot lower, because these log requests and answers in full at their chattiest.
const QUIET: [&str; 6] = [
    "aws_smithy_runtime=info",
    "aws_runtime=info",
    "aws_config=info",
    "hyper_util=info",
    "kube_client=info",
    "h2=info",
];

/// Starts logging.
///
/// # Errors
/// When the filter is no filter, or logging was started before.
pub fn log(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(filter)?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse()?);
    }
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false),
            )
            .try_init()?,
        LogFormat::Text => registry.with(tracing_subscriber::fmt::layer().with_target(false)).try_init()?,
    }
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FateLabels {
    fate: &'static str,
}

/// The operator's metrics. Clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<ReconcileLabels, Counter>,
    durations: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    writes: Family<WriteLabels, Counter>,
    aws_calls: Family<CallLabels, Counter>,
    token_requests: Family<OutcomeLabels, Counter>,
    queue_messages: Family<FateLabels, Counter>,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("crosstie_operator");
        let reconciles = Family::default();
        let durations: Family<ControllerLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 3.0, 10)));
        let writes = Family::default();
        let aws_calls = Family::default();
        let token_requests = Family::default();
        let queue_messages = Family::default();
        let leader = Gauge::default();
        registry.register("reconciles", "Looks at an object, by controller and outcome", reconciles.clone());
        registry.register("reconcile_duration_seconds", "How long a look at an object takes", durations.clone());
        registry.register("writes", "Writes to the Kubernetes API, by kind and outcome", writes.clone());
        registry.register("aws_calls", "Calls to AWS, by operation and outcome", aws_calls.clone());
        registry.register(
            "token_requests",
            "Requests for access tokens by OAuth 2.0 grants, by outcome",
            token_requests.clone(),
        );
        registry.register(
            "queue_messages",
            "Messages of the queue that says which secrets changed, by what became of them",
            queue_messages.clone(),
        );
        registry.register("leader", "1 while this replica is the one that works", leader.clone());
        Self {
            registry: Arc::new(registry),
            reconciles,
            durations,
            writes,
            aws_calls,
            token_requests,
            queue_messages,
            leader,
        }
    }
}

impl Metrics {
    /// Counts a look at an object.
    pub fn reconciled(&self, controller: &'static str, ok: bool, took: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { controller, outcome: outcome(ok) }).inc();
        self.durations.get_or_create(&ControllerLabels { controller }).observe(took.as_secs_f64());
    }

    /// Counts a write to the Kubernetes API.
    pub fn wrote(&self, kind: &'static str, ok: bool) {
        self.writes.get_or_create(&WriteLabels { kind, outcome: outcome(ok) }).inc();
    }

    /// Counts a call to AWS.
    pub fn aws_call(&self, operation: &'static str, ok: bool) {
        self.aws_calls.get_or_create(&CallLabels { operation, outcome: outcome(ok) }).inc();
    }

    /// Counts a request for an access token.
    pub fn asked_for_token(&self, ok: bool) {
        self.token_requests.get_or_create(&OutcomeLabels { outcome: outcome(ok) }).inc();
    }

    /// Counts a message of the queue.
    pub fn queue_message(&self, fate: &'static str) {
        self.queue_messages.get_or_create(&FateLabels { fate }).inc();
    }

    /// Says whether this replica works.
    pub fn leading(&self, leading: bool) {
        self.leader.set(i64::from(leading));
    }
}

fn outcome(ok: bool) -> &'static str {
    if ok { "ok" } else { "error" }
}

/// Whether the operator can do its work: it stands by, or has seen the cluster.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether it can.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}

/// Serves `/healthz`, `/readyz` and `/metrics` until it is stopped.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: tokio::net::TcpListener,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .with_state((metrics, readiness));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn ready(State((_, readiness)): State<(Metrics, Readiness)>) -> impl IntoResponse {
    if readiness.0.load(Ordering::Acquire) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the cluster has not been seen yet")
    }
}

async fn exposition(State((metrics, _)): State<(Metrics, Readiness)>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &metrics.registry) {
        Ok(()) => {
            (StatusCode::OK, [("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [("content-type", "text/plain; charset=utf-8")], error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_counted_and_named() {
        let metrics = Metrics::default();
        metrics.aws_call("GetSecretValue", true);
        metrics.wrote("Deployment", false);
        metrics.queue_message("poison");
        metrics.reconciled("integration", true, Duration::from_millis(3));
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        for line in [
            "crosstie_operator_aws_calls_total{operation=\"GetSecretValue\",outcome=\"ok\"} 1",
            "crosstie_operator_queue_messages_total{fate=\"poison\"} 1",
            "crosstie_operator_writes_total{kind=\"Deployment\",outcome=\"error\"} 1",
            "crosstie_operator_reconcile_duration_seconds_count{controller=\"integration\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
