//! The `crosstie-operator` program: settings, logs, signals. Everything else is in the library.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use crosstie_operator::{run, settings::Settings, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

// Two threads are enough for a program that waits, and keep its memory small.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also where logging itself could not start.
            eprintln!("crosstie-operator: {error:#}");
            tracing::error!(error = format!("{error:#}"), "ended");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> anyhow::Result<()> {
    let settings = Settings::parse();
    telemetry::log(settings.log_format, &settings.log_filter).context("logging cannot start: check --log-filter")?;
    settings.checked_proxy().context("workers cannot use the proxy: check HTTPS_PROXY and NO_PROXY")?;
    // One crypto provider for everything; that it is set already is no harm.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let signalled = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        signalled.cancel();
    });
    run::run(settings, stop).await
}
