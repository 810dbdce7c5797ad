//! `kubectl crosstie`: what people do with Crosstie by hand. Arguments and output live here; every decision is `engine`'s, so that what this says is
//! what the operator would say.

mod calls;
mod cluster;
mod connector;
mod dlq;
mod events;
mod files;
mod flows;
mod lint;
mod map;
mod resync;
mod status;
mod test;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Check and try Connectors and Integrations, with a cluster or without
#[derive(Debug, Parser)]
#[command(name = "kubectl crosstie", bin_name = "kubectl crosstie", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what the operator would say of files, without a cluster; fails when there is anything to say
    Lint(files::Files),
    /// Map one record through a flow, without a cluster, and print what would be written
    Map(map::Arguments),
    /// Map fixtures through their flows, without a cluster, and show what differs; fails when anything does
    Test(files::Files),
    /// Look at the vendor presets
    #[command(subcommand)]
    Connector(connector::Command),
    /// Say how an Integration in the cluster is doing, flow by flow
    Status(cluster::Of),
    /// Look at, replay and drop the dead letters of an Integration in the cluster
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Read flows of an Integration in the cluster again; what the destination has as it would be mapped now is not written once more
    Resync(resync::Arguments),
    /// List the events that webhooks brought to an Integration in the cluster, newest first
    Events(events::Arguments),
    /// List the calls that an Integration in the cluster made to vendors, newest first: when, what they came to, and the vendor's id of each
    Calls(calls::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Lint(arguments) => lint::run(&arguments),
        Command::Map(arguments) => map::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Connector(command) => connector::run(&command),
        Command::Status(arguments) => status::run(&arguments),
        Command::Dlq(command) => dlq::run(&command),
        Command::Resync(arguments) => resync::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Calls(arguments) => calls::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
