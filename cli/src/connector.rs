//! `connector`: the vendor presets that are built in.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use crosstie_engine::preset;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the presets
    List,
    /// Show a preset whole, as it is laid under a Connector's spec
    Show {
        /// Name of the preset, for example Shopify
        preset: String,
    },
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::List => {
            println!("{:<12} {:<12} STREAMS / OPERATIONS", "PRESET", "API VERSION");
            for preset in preset::names().into_iter().filter_map(preset::find) {
                let streams = preset.streams.iter().map(|stream| stream.name.as_str());
                let operations = preset.operations.iter().map(|operation| operation.name.as_str());
                let offers: Vec<&str> = streams.chain(operations).collect();
                println!(
                    "{:<12} {:<12} {}",
                    preset.name,
                    preset.api_version.as_deref().unwrap_or("-"),
                    offers.join(", ")
                );
            }
        }
        Command::Show { preset } => {
            let known = || format!("there is no preset `{preset}`; there are {}", preset::names().join(", "));
            print!("{}", serde_saphyr::to_string(preset::find(preset).with_context(known)?)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
