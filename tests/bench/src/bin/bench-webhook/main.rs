//! `bench-webhook`: how many webhooks the worker acknowledges, durably, and how soon, beside a bare receiver with the same group commit. Both run as
//! processes of their own, in turns, each with a fresh store; the medians are printed. Source and destination are away, so that only receiving is
//! measured.

mod contestant;
mod load;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use crosstie_bench::{
    figure::{self, Bench},
    machine,
};

use self::{contestant::Contestant, load::Events};

const BENCH: Bench = Bench("webhook");

/// Measures what receiving webhooks costs
#[derive(Debug, Parser)]
struct Options {
    /// The worker's binary, as it is shipped
    #[arg(long, value_name = "FILE")]
    worker: PathBuf,
    /// Where the stores are made; on a real disk
    #[arg(long, env = "CROSSTIE_BENCH_STATE", value_name = "FOLDER", default_value = "/var/tmp")]
    state: PathBuf,
    /// Events sent as fast as they are acknowledged
    #[arg(long, env = "CROSSTIE_BENCH_EVENTS", default_value_t = 50_000)]
    events: usize,
    /// Events a second, where the time to the answer is measured
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// For how many seconds
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Connections that send
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How often each is run
    #[arg(long, env = "CROSSTIE_BENCH_RUNS", default_value_t = 3)]
    runs: usize,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Acknowledgements a second, as fast as it goes.
    per_second: f64,
    /// Half of the answers at the given rate came within so many milliseconds.
    median: f64,
    /// 99 of 100 did.
    p99: f64,
    /// Processor seconds of the whole run.
    processor_seconds: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(
        options.runs > 0 && options.connections > 0 && options.rate > 0,
        "runs, connections and rate have to be at least 1"
    );
    let note = machine::note(BENCH.0, &options.state);
    ensure!(
        note.file_system() != "tmpfs",
        "{} is no disk but memory: choose another folder with --state",
        options.state.display()
    );
    figure::line(&note)?;
    let timed = usize::try_from(options.rate * options.seconds)?;
    let events = Events::signed(options.events, timed, contestant::SECRET)?;
    let mut outcomes = [(Contestant::Bare, Vec::new()), (Contestant::Worker, Vec::new())];
    for run in 1..=options.runs {
        for (contestant, outcomes) in &mut outcomes {
            eprintln!("run {run} of {}: {}", options.runs, contestant.name());
            let outcome = once(*contestant, &options, &events).await?;
            eprintln!(
                "{:.0} acknowledged a second; at {} a second half within {:.2} ms, 99% within {:.2} ms; {:.1} s of processor",
                outcome.per_second, options.rate, outcome.median, outcome.p99, outcome.processor_seconds
            );
            outcomes.push(outcome);
        }
    }
    let [bare, worker] = outcomes.map(|(_, outcomes)| medians(&outcomes));
    for (name, outcome) in [("bare_", bare), ("", worker)] {
        BENCH.figure(&format!("{name}acknowledged_per_second"), outcome.per_second, "1/s")?;
        BENCH.figure(&format!("{name}answer_median"), outcome.median, "ms")?;
        BENCH.figure(&format!("{name}answer_p99"), outcome.p99, "ms")?;
        BENCH.figure(&format!("{name}processor_seconds"), outcome.processor_seconds, "s")?;
    }
    BENCH.ratio("acknowledged_per_second", worker.per_second / bare.per_second, "bare")?;
    BENCH.ratio("answer_p99", worker.p99 / bare.p99, "bare")?;
    BENCH.ratio("processor_seconds", worker.processor_seconds / bare.processor_seconds, "bare")?;
    Ok(())
}

async fn once(contestant: Contestant, options: &Options, events: &Events) -> Result<Outcome> {
    let mut receiver = contestant.start(&options.worker, &options.state).await?;
    let per_second = events.flood(receiver.address, options.connections).await?;
    let mut waits = events.paced(receiver.address, options.connections, options.rate).await?;
    waits.sort_by(f64::total_cmp);
    let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or(f64::NAN);
    Ok(Outcome { per_second, median: at(50), p99: at(99), processor_seconds: receiver.process.end()? })
}

fn medians(outcomes: &[Outcome]) -> Outcome {
    let median = |of: fn(&Outcome) -> f64| {
        let mut values: Vec<f64> = outcomes.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Outcome {
        per_second: median(|outcome| outcome.per_second),
        median: median(|outcome| outcome.median),
        p99: median(|outcome| outcome.p99),
        processor_seconds: median(|outcome| outcome.processor_seconds),
    }
}
