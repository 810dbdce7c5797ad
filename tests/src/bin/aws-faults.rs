//! The fault proxy as a program, to run for as long as a cluster does. Only the command line lives here.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::Parser;
use crosstie_tests::aws_faults;
use tokio::net::TcpListener;

/// Stands before the AWS emulator and denies, throttles, delays, loses and ages what it is told to
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// URL of the emulator
    #[arg(long)]
    emulator: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Options { listen, emulator } = Options::parse();
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    aws_faults::serve(listener, &emulator).await
}
