//! `map`: one record through a flow.

use std::{fs, io::Read as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};
use crosstie_crds::Integration;
use crosstie_engine::mapping::{Mapping, MappingSource, NoResolve};
use serde_json::Value;

use crate::files::{self, Manifests};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Files or folders with the Integration
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
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
    let manifests = files::read(&arguments.files)?;
    let integration = choose(&manifests, arguments.integration.as_deref())?;
    let flows = &integration.spec.flows;
    let flow = match &arguments.flow {
        Some(name) => {
            flows.iter().find(|flow| flow.name == *name).with_context(|| format!("there is no flow {name}"))?
        }
        None if flows.len() == 1 => &flows[0],
        None => bail!("the Integration has {} flows: choose one with --flow", flows.len()),
    };
    let map = flow.map.iter().map(|(field, expression)| (field.clone(), expression.0.clone())).collect();
    let when = flow.when.as_ref().map(|expression| expression.0.as_str());
    let mapping = Mapping::compile(&MappingSource { when, map: &map }).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("the mapping does not compile:\n{}", lines.join("\n"))
    })?;
    let record: Value = serde_json::from_str(&text(&arguments.record)?).context("the record is no JSON")?;
    if !mapping.selects(&record, &NoResolve)? {
        println!("left out: `when` is false for this record");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", serde_json::to_string_pretty(&mapping.apply(&record, &NoResolve)?)?);
    Ok(ExitCode::SUCCESS)
}

fn choose<'a>(manifests: &'a Manifests, name: Option<&str>) -> Result<&'a Integration> {
    let mut found = manifests.integrations.iter().filter(|((_, found), _)| name.is_none_or(|name| found == name));
    let (_, first) = found.next().context("the files hold no such Integration")?;
    if found.next().is_some() {
        bail!("the files hold several Integrations: choose one with --integration");
    }
    Ok(first)
}

fn text(path: &PathBuf) -> Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
