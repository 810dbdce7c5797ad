//! `bench-worker`: what the worker costs, beside a raw loop that does the same job without durability and without CEL. Both run as processes of
//! their own, one after the other and several times over, each from a fresh simulator to the same one; the medians are printed.

mod contestant;
mod job;
mod outcome;
mod simulator;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use crosstie_bench::{
    figure::{self, Bench},
    machine,
};

use self::{
    contestant::{Contestant, Programs},
    job::Job,
    outcome::Outcome,
};

const BENCH: Bench = Bench("worker");

/// Measures what the worker costs
#[derive(Debug, Parser)]
struct Options {
    /// The worker's binary, as it is shipped
    #[arg(long, value_name = "FILE")]
    worker: PathBuf,
    /// Where the worker's store is made; on a real disk
    #[arg(long, env = "CROSSTIE_BENCH_STATE", value_name = "FOLDER", default_value = "/var/tmp")]
    state: PathBuf,
    /// Records to move
    #[arg(long, env = "CROSSTIE_BENCH_RECORDS", default_value_t = 100_000)]
    records: u64,
    /// How often each is run
    #[arg(long, env = "CROSSTIE_BENCH_RUNS", default_value_t = 3)]
    runs: usize,
    /// Runs only this one and prints no ratios: for profiles
    #[arg(long, value_enum)]
    only: Option<Contestant>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.runs > 0, "--runs has to be at least 1");
    let note = machine::note(BENCH.0, &options.state);
    ensure!(
        note.file_system() != "tmpfs",
        "{} is no disk but memory, where syncing costs nothing: choose another folder with --state",
        options.state.display()
    );
    figure::line(&note)?;
    let programs = Programs::beside_this_one(options.worker)?;
    let job = Job { records: options.records, in_flight: 32 };
    let contestants = options.only.map_or_else(|| vec![Contestant::RawLoop, Contestant::Worker], |only| vec![only]);
    let mut outcomes: Vec<(Contestant, Vec<Outcome>)> = contestants.into_iter().map(|one| (one, Vec::new())).collect();
    let mut sample = None;
    for run in 1..=options.runs {
        for (contestant, outcomes) in &mut outcomes {
            eprintln!("run {run} of {}: {}", options.runs, contestant.name());
            let (outcome, written) = contestant.run(&programs, &job, &options.state).await?;
            eprintln!("{outcome}");
            ensure!(
                *sample.get_or_insert_with(|| written.clone()) == written,
                "{} wrote something else than was written before it: the job is not the same",
                contestant.name()
            );
            outcomes.push(outcome);
        }
    }
    report(&outcomes)
}

/// Prints the medians, and ratios where both ran.
fn report(outcomes: &[(Contestant, Vec<Outcome>)]) -> Result<()> {
    let median = |wanted: Contestant| {
        outcomes
            .iter()
            .find(|(contestant, _)| *contestant == wanted)
            .and_then(|(_, outcomes)| Outcome::median(outcomes))
    };
    let (worker, raw_loop) = (median(Contestant::Worker), median(Contestant::RawLoop));
    if let Some(raw_loop) = &raw_loop {
        raw_loop.print(BENCH, "raw_loop_")?;
    }
    if let Some(worker) = &worker {
        worker.print(BENCH, "")?;
    }
    if let (Some(worker), Some(raw_loop)) = (worker, raw_loop) {
        worker.print_ratios(BENCH, &raw_loop)?;
    }
    Ok(())
}
