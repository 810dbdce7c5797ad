//! `test`: fixtures through the mappings of their flows.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use crosstie_engine::fixture::{Difference, Fixture};

use crate::{
    files::{Files, Manifests},
    flows,
};

/// Longest value that is printed whole, in characters.
const LONGEST: usize = 120;

pub(crate) fn run(files: &Files) -> Result<ExitCode> {
    let manifests = files.read()?;
    if manifests.fixtures.is_empty() {
        bail!("the files hold no fixtures: a fixture is a YAML document with fixture (its name), record and expect");
    }
    let mut failed = 0;
    let width = manifests.fixtures.iter().map(|fixture| fixture.name.chars().count()).max().unwrap_or_default();
    println!("{:<10} {:<width$}  RESULT", "FLOW", "CASE");
    for fixture in &manifests.fixtures {
        let (flow, found) = differences(&manifests, fixture).with_context(|| format!("fixture `{}`", fixture.name))?;
        println!("{flow:<10} {:<width$}  {}", fixture.name, if found.is_empty() { "ok" } else { "differs" });
        for difference in &found {
            println!("    {}", difference.told(LONGEST));
        }
        failed += usize::from(!found.is_empty());
    }
    let all = manifests.fixtures.len();
    println!("\n{all} cases: {} as expected, {failed} not", all - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn differences<'a>(manifests: &'a Manifests, fixture: &Fixture) -> Result<(&'a str, Vec<Difference>)> {
    let integration = flows::integration(manifests, fixture.integration.as_deref())?;
    let flow = flows::flow(integration, fixture.flow.as_deref())?;
    Ok((&flow.name, fixture.differences(&flows::mapping(flow)?)))
}
