//! `connector`: the vendor presets that are built in; a Connector tried against its vendor; a Connector to begin with, from an OpenAPI document.

mod aws;
mod check;
mod guess;
mod import;
mod openapi;
mod presets;
mod scaffold;
mod stored;
mod token;

use std::process::ExitCode;

use anyhow::Result;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the presets
    List(presets::List),
    /// Show a preset as it is laid under a Connector's spec
    Show(presets::Show),
    /// Call the vendor once, without a cluster, and say precisely what is wrong
    Check(check::Arguments),
    /// Print a Connector to begin with, from a vendor's OpenAPI document
    Import(import::Arguments),
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::List(arguments) => presets::list(arguments),
        Command::Show(arguments) => presets::show(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Import(arguments) => import::run(arguments),
    }
}
