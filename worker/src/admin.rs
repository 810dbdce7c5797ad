//! The HTTP server for probes and metrics. It shows names, counts and reasons, never keys or values of records, and changes nothing.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};

use crate::{board::Board, metrics::Metrics, report::Reporter};

/// Content type of the metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What requests are answered from.
#[derive(Clone)]
pub struct Admin {
    /// What the worker knows of itself.
    pub board: Arc<Board>,
    /// What it counted.
    pub metrics: Arc<Metrics>,
    /// Refreshes figures before they are shown.
    pub reporter: Arc<Reporter>,
}

/// The router for probes and metrics.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn livez(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.board.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "the supervisor is stuck\n")
    }
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.board.unready() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    // Depths and credential versions are read when they are asked for, not kept.
    admin.reporter.report().await;
    ([(header::CONTENT_TYPE, OPEN_METRICS)], admin.metrics.encode())
}
