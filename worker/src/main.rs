//! `crosstie-worker`: parses the command line, runs a worker, and stops it on SIGTERM or SIGINT.

use clap::Parser;
use crosstie_worker::{Options, Worker};
use tokio::signal::unix::{SignalKind, signal};

/// musl's allocator has one lock for all threads; with it, waiting for that lock was most of what the worker did.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    options.start_logging()?;
    let settings = options.settings()?;
    // Two threads are enough for what is mostly waiting, and keep the memory small.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).max_blocking_threads(8).enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let worker = Worker::start(settings).await?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: calls under way may finish");
        worker.stop().await;
        tracing::info!("stopped");
        Ok(())
    })
}
