//! Figures: one JSON line each.

use std::io::{self, Write as _};

use serde::Serialize;

/// A benchmark whose figures are being printed.
#[derive(Clone, Copy, Debug)]
pub struct Bench(
    /// Its name, as in `BENCH=worker`.
    pub &'static str,
);

/// One figure.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figure<'a> {
    bench: &'a str,
    metric: &'a str,
    value: f64,
    unit: &'a str,
    /// What a ratio compares with.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<&'a str>,
}

impl Bench {
    /// Prints a measured figure.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn figure(self, metric: &str, value: f64, unit: &str) -> io::Result<()> {
        line(&Figure { bench: self.0, metric, value: rounded(value), unit, against: None })
    }

    /// Prints how many times another's figure ours is.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn ratio(self, metric: &str, value: f64, against: &str) -> io::Result<()> {
        line(&Figure { bench: self.0, metric, value: rounded(value), unit: "1", against: Some(against) })
    }
}

/// Prints anything as one JSON line.
///
/// # Errors
/// When standard output cannot be written.
pub fn line(content: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, content)?;
    writeln!(out)?;
    out.flush()
}

/// Four significant digits: more would claim a precision that no run has.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_four_digits() {
        assert_eq!(
            [rounded(12_345.678), rounded(0.123_456), rounded(0.0)].map(|value| value.to_string()),
            ["12350", "0.1235", "0"]
        );
    }

    #[test]
    fn only_a_ratio_says_what_it_compares_with() {
        let figure =
            Figure { bench: "worker", metric: "records_per_second", value: 1234.5, unit: "1/s", against: None };
        let ratio = Figure { against: Some("raw-loop"), ..figure };
        assert_eq!(
            serde_json::to_string(&figure).unwrap(),
            r#"{"bench":"worker","metric":"records_per_second","value":1234.5,"unit":"1/s"}"#
        );
        assert!(serde_json::to_string(&ratio).unwrap().ends_with(r#""against":"raw-loop"}"#));
    }
}
