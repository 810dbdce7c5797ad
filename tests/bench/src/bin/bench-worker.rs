//! `bench-worker`: what the worker costs, beside a raw loop that does the same job without durability and CEL.

use anyhow::Result;
use crosstie_bench::{figure, machine};

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    figure::line(&machine::note("worker", folder.path()))?;
    Ok(())
}
