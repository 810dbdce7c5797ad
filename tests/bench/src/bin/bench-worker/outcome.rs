//! What a run came to, medians of several, and how they are printed.

use std::{fmt, io};

use crosstie_bench::figure::Bench;

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Records moved.
    pub records: f64,
    /// From the first write to the last.
    pub seconds: f64,
    /// Processor time, user and system, of the process from its start to its end.
    pub processor_seconds: f64,
    /// Peak of resident memory.
    pub memory_mib: f64,
    /// From the start of the process to its first write.
    pub first_record_seconds: f64,
    /// Processor time of the simulator meanwhile.
    pub simulator_seconds: f64,
}

impl Outcome {
    /// The median of each figure.
    pub fn median(outcomes: &[Self]) -> Option<Self> {
        let median = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = outcomes.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied()
        };
        Some(Self {
            records: median(|outcome| outcome.records)?,
            seconds: median(|outcome| outcome.seconds)?,
            processor_seconds: median(|outcome| outcome.processor_seconds)?,
            memory_mib: median(|outcome| outcome.memory_mib)?,
            first_record_seconds: median(|outcome| outcome.first_record_seconds)?,
            simulator_seconds: median(|outcome| outcome.simulator_seconds)?,
        })
    }

    /// Prints the figures.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self, bench: Bench, prefix: &str) -> io::Result<()> {
        let figures = [
            ("records_per_second", self.per_second(), "1/s"),
            ("cpu_seconds_per_100000", self.processor_seconds_per_100_000(), "s"),
            ("peak_rss", self.memory_mib, "MiB"),
            ("start_to_first_record", self.first_record_seconds, "s"),
            ("simulator_cpu_seconds_per_100000", self.simulator_seconds * 100_000.0 / self.records, "s"),
        ];
        figures.iter().try_for_each(|(metric, value, unit)| bench.figure(&format!("{prefix}{metric}"), *value, unit))
    }

    /// Prints how many times the figures of `against` these are.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print_ratios(&self, bench: Bench, prefix: &str, against: &str, other: &Self) -> io::Result<()> {
        let ratios = [
            ("records_per_second", self.per_second() / other.per_second()),
            ("cpu_seconds_per_100000", self.processor_seconds_per_100_000() / other.processor_seconds_per_100_000()),
            ("peak_rss", self.memory_mib / other.memory_mib),
        ];
        ratios.iter().try_for_each(|(metric, value)| bench.ratio(&format!("{prefix}{metric}"), *value, against))
    }

    fn per_second(&self) -> f64 {
        self.records / self.seconds
    }

    fn processor_seconds_per_100_000(&self) -> f64 {
        self.processor_seconds * 100_000.0 / self.records
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "  {:.0} records/s, {:.2} CPU s per 100,000 (simulator {:.2} s), {:.1} MiB, first record after {:.0} ms",
            self.per_second(),
            self.processor_seconds_per_100_000(),
            self.simulator_seconds * 100_000.0 / self.records,
            self.memory_mib,
            self.first_record_seconds * 1000.0
        )
    }
}
