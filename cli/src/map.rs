//! `map`: one record through a flow.

use std::{fs, io::Read as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use crosstie_engine::mapping::NoResolve;
use serde_json::Value;

use crate::{files::Files, flows};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// The Integration's name; not needed when the files hold one only
    #[arg(long)]
    integration: Option<String>,
    /// The flow's name; not needed when the Integration has one only
    #[arg(long)]
    flow: Option<String>,
    /// File with the record as JSON, as the source gives it; - for standard input
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let manifests = arguments.files.read()?;
    let integration = flows::integration(&manifests, arguments.integration.as_deref())?;
    let mapping = flows::mapping(flows::flow(integration, arguments.flow.as_deref())?)?;
    let record: Value = serde_json::from_str(&text(&arguments.record)?).context("the record is no JSON")?;
    if !mapping.selects(&record, &NoResolve)? {
        println!("left out: `when` is false for this record");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", serde_json::to_string_pretty(&mapping.apply(&record, &NoResolve)?)?);
    Ok(ExitCode::SUCCESS)
}

fn text(path: &PathBuf) -> Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
