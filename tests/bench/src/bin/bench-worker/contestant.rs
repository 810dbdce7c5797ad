//! Those who do the job, each as a process of its own, and what a run of one measures.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use crosstie_bench::{process::Running, usage};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    job::{Job, TOKEN},
    outcome::Outcome,
    simulator::Simulator,
};

/// How long after the last write has arrived the process may still work on it.
const AFTERMATH: Duration = Duration::from_millis(300);

/// Who does the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contestant {
    /// The worker's binary with its store.
    Worker,
    /// A loop that reads, maps and writes, and keeps nothing.
    RawLoop,
    /// Somebody else's program for such jobs, which keeps nothing either.
    Benthos,
}

/// The programs that take part.
#[derive(Debug)]
pub struct Programs {
    worker: PathBuf,
    raw_loop: PathBuf,
    simulator: PathBuf,
    benthos: Option<PathBuf>,
}

impl Programs {
    /// The worker and Benthos as they are given, and the others from the folder of this program. Benthos takes no part where it is missing.
    ///
    /// # Errors
    /// When one of the others is missing.
    pub fn beside_this_one(worker: PathBuf, benthos: Option<PathBuf>) -> Result<Self> {
        let this = env::current_exe()?;
        let folder = this.parent().context("this program lies in no folder")?;
        let programs = Self {
            worker,
            raw_loop: folder.join("raw-loop"),
            simulator: folder.join("crosstie-vendors"),
            benthos: benthos.filter(|program| program.is_file()),
        };
        for program in [&programs.worker, &programs.raw_loop, &programs.simulator] {
            ensure!(program.is_file(), "{} is missing: run `make bench`", program.display());
        }
        Ok(programs)
    }

    /// Those who can take part.
    pub fn contestants(&self) -> Vec<Contestant> {
        let all = [Contestant::RawLoop, Contestant::Benthos, Contestant::Worker];
        all.into_iter().filter(|one| *one != Contestant::Benthos || self.benthos.is_some()).collect()
    }
}

impl Contestant {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::RawLoop => "raw-loop",
            Self::Benthos => "benthos",
        }
    }

    /// Does the job once, from a fresh simulator and with a fresh store below `state`. Gives a sample of what was written, too.
    ///
    /// # Errors
    /// When anything fails, also when a record was not written exactly once.
    pub async fn run(self, programs: &Programs, job: &Job, state: &Path) -> Result<(Outcome, Vec<Value>)> {
        eprintln!("  filling the shop");
        let simulator = Simulator::start(&programs.simulator, job).await?;
        let folder = tempfile::Builder::new().prefix("crosstie-bench-").tempdir_in(state)?;
        let mut command = self.command(programs, job, &simulator, folder.path())?;
        let before = simulator.processor_seconds()?;
        let started = Timestamp::now();
        let mut process = Running::start(&mut command)?;
        let first = simulator.first_write().await?;
        let last = simulator.last_write(job.records).await?;
        sleep(AFTERMATH).await;
        let simulator_seconds = simulator.processor_seconds()? - before;
        let memory_mib = usage::peak_memory_mib(process.0.id())?;
        let processor_seconds = process.end()?;
        simulator.each_once(job.records).await?;
        let sample = simulator.sample().await?;
        simulator.stop().await?;
        let outcome = Outcome {
            #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
            records: job.records as f64,
            seconds: last.duration_since(first).as_secs_f64(),
            processor_seconds,
            memory_mib,
            first_record_seconds: first.duration_since(started).as_secs_f64(),
            simulator_seconds,
        };
        Ok((outcome, sample))
    }

    fn command(self, programs: &Programs, job: &Job, simulator: &Simulator, folder: &Path) -> Result<Command> {
        let (shop, books) = (simulator.shop.base_url(), simulator.books.base_url());
        Ok(match self {
            Self::Worker => {
                let files = folder.join("files");
                job.mount(&files, &shop, &books)?;
                let mut command = Command::new(&programs.worker);
                command.args([
                    "--no-report",
                    "--listen",
                    "127.0.0.1:0",
                    "--letters-listen",
                    "127.0.0.1:0",
                    "--log-filter",
                    "warn",
                ]);
                command.arg("--files").arg(files).arg("--state").arg(folder.join("state"));
                command
            }
            Self::RawLoop => {
                let mut command = Command::new(&programs.raw_loop);
                command.args(["--source", &shop, "--destination", &books, "--token", TOKEN]);
                command.args(["--in-flight", &job.in_flight.to_string()]);
                if let Some(batch) = job.batch {
                    command.args(["--batch", &batch.to_string()]);
                }
                command
            }
            Self::Benthos => {
                let program =
                    programs.benthos.as_ref().context("Benthos is missing: run tests/cluster/build benthos")?;
                let mut command = Command::new(program);
                command.arg("run").arg(job.for_benthos()?);
                command.envs([("SHOP", shop.as_str()), ("BOOKS", books.as_str()), ("TOKEN", TOKEN)]);
                command
            }
        })
    }
}
