//! `bench-worker`: what the worker costs, beside a raw loop that does the same job without durability and without CEL, and beside Benthos, which does it
//! without durability. They run as processes of their own, one after the other and several times over, each from a fresh simulator to the same one; the
//! medians are printed. The job is done in single writes, and in batches.

mod contestant;
mod job;
mod outcome;
mod simulator;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use crosstie_bench::{
    figure::{self, Bench},
    machine,
};
use serde_json::Value;

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
    /// Benthos, as `tests/cluster/build benthos` makes it; it takes no part without
    #[arg(long, value_name = "FILE")]
    benthos: Option<PathBuf>,
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
    /// Runs only this kind of writes
    #[arg(long, value_enum)]
    writes: Option<Writes>,
}

/// Kinds of writes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Writes {
    /// One record a call, 32 calls under way.
    Single,
    /// 100 records a call, 32 calls under way.
    Batches,
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
    let programs = Programs::beside_this_one(options.worker.clone(), options.benthos.clone())?;
    let (single, batches) = (Job { records: options.records, in_flight: 32, batch: None }, Some(100));
    let jobs = match options.writes {
        None => vec![single, Job { batch: batches, ..single }],
        Some(Writes::Single) => vec![single],
        Some(Writes::Batches) => vec![Job { batch: batches, ..single }],
    };
    let contestants = options.only.map_or_else(|| programs.contestants(), |only| vec![only]);
    if options.only.is_none() && !contestants.contains(&Contestant::Benthos) {
        eprintln!("Benthos takes no part, because its program is missing: run tests/cluster/build benthos");
    }
    let mut entries: Vec<Entry> = jobs.iter().map(|job| Entry::new(*job, &contestants)).collect();
    for run in 1..=options.runs {
        for entry in &mut entries {
            entry.run(&options, run, &programs).await?;
        }
    }
    entries.iter().try_for_each(Entry::report)
}

/// A job, and what those who did it came to.
struct Entry {
    job: Job,
    outcomes: Vec<(Contestant, Vec<Outcome>)>,
    sample: Option<Vec<Value>>,
}

impl Entry {
    fn new(job: Job, contestants: &[Contestant]) -> Self {
        Self { job, outcomes: contestants.iter().map(|one| (*one, Vec::new())).collect(), sample: None }
    }

    async fn run(&mut self, options: &Options, run: usize, programs: &Programs) -> Result<()> {
        let writes = if self.job.batch.is_some() { "batches" } else { "single writes" };
        for (contestant, outcomes) in &mut self.outcomes {
            eprintln!("run {run} of {}: {}, {writes}, {} records", options.runs, contestant.name(), self.job.records);
            let (outcome, written) = contestant.run(programs, &self.job, &options.state).await?;
            eprintln!("{outcome}");
            ensure!(
                *self.sample.get_or_insert_with(|| written.clone()) == written,
                "{} wrote something else than was written before it: the job is not the same",
                contestant.name()
            );
            outcomes.push(outcome);
        }
        Ok(())
    }

    /// Prints the medians, and the worker's ratios to the others that ran.
    fn report(&self) -> Result<()> {
        let median = |wanted: Contestant| {
            let outcomes = self.outcomes.iter().find(|(contestant, _)| *contestant == wanted);
            outcomes.and_then(|(_, outcomes)| Outcome::median(outcomes))
        };
        let batches = if self.job.batch.is_some() { "batches_" } else { "" };
        let others = [Contestant::RawLoop, Contestant::Benthos].map(|one| (one.name(), median(one)));
        let others: Vec<(&str, Outcome)> =
            others.into_iter().filter_map(|(name, outcome)| Some((name, outcome?))).collect();
        for (name, other) in &others {
            other.print(BENCH, &format!("{}_{batches}", name.replace('-', "_")))?;
        }
        let Some(worker) = median(Contestant::Worker) else { return Ok(()) };
        worker.print(BENCH, batches)?;
        others.iter().try_for_each(|(name, other)| Ok(worker.print_ratios(BENCH, batches, name, other)?))
    }
}
