//! `resync`: has a worker read its flows again, over the Kubernetes API with the person's own rights.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use crosstie_crds::resync::{Ask, Begun};
use jiff::{Span, SpanRelativeTo, Timestamp, civil::Date, tz::TimeZone};

use crate::{cluster::Of, worker::Worker};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: Of,
    /// Only this flow; may be given several times. All of them when left out
    #[arg(long = "flow", value_name = "NAME")]
    flows: Vec<String>,
    /// From where on: `Beginning` for everything there is, a time or a day in UTC such as 2026-07-01T00:00:00Z or 2026-07-01, or how long ago, such as
    /// 3d or 12h
    #[arg(long, value_name = "TIME")]
    from: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let from = start(&arguments.from, Timestamp::now())?;
    let ask = Ask { flows: arguments.flows.clone(), from };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { Worker::reach(&arguments.of).await?.resync(&ask).await })?;
    print!("{}", told(&answer.flows, from));
    let refused = answer.flows.iter().any(|begun| begun.problem.is_some());
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The time that is meant; none is the beginning.
fn start(text: &str, now: Timestamp) -> Result<Option<Timestamp>> {
    if text.eq_ignore_ascii_case("beginning") {
        return Ok(None);
    }
    let ago = || {
        let span = text.parse::<Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        span.is_positive().then(|| now.checked_sub(span).ok())?
    };
    let day = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let time = text.parse::<Timestamp>().ok().or_else(ago).or_else(day);
    let readable = "is no time: write Beginning, 2026-07-01T00:00:00Z, 2026-07-01, or how long ago, such as 3d";
    ensure!(time.is_some(), "--from {text} {readable}");
    ensure!(time.is_none_or(|time| time <= now), "--from {text} lies ahead: nothing can be read again from there");
    Ok(time)
}

/// A line a flow.
fn told(flows: &[Begun], from: Option<Timestamp>) -> String {
    let from = from.map_or_else(|| "the beginning".to_owned(), |time| format!("{time:.0}"));
    let line = |begun: &Begun| match &begun.problem {
        None => format!("{}: is read again from {from}; only what differs is written\n", begun.flow),
        Some(problem) => format!("{}: is not read again: {problem}\n", begun.flow),
    };
    flows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_the_beginning_a_time_a_day_or_how_long_ago() {
        let now: Timestamp = "2026-07-10T12:00:00Z".parse().unwrap();
        let from = |text| start(text, now).map(|time| time.map(|time| time.to_string()));
        assert_eq!(from("Beginning").unwrap(), None);
        assert_eq!(from("2026-07-01T06:00:00+02:00").unwrap().unwrap(), "2026-07-01T04:00:00Z");
        assert_eq!(from("2026-07-01").unwrap().unwrap(), "2026-07-01T00:00:00Z");
        assert_eq!(from("36h").unwrap().unwrap(), "2026-07-09T00:00:00Z");
        for text in ["", "soon", "-3d", "0s"] {
            let error = start(text, now).unwrap_err().to_string();
            assert!(error.contains("2026-07-01"), "{error}");
        }
        assert!(start("2026-07-11", now).unwrap_err().to_string().contains("lies ahead"));
    }

    #[test]
    fn each_flow_is_told_whether_it_is_read_again() {
        let begun = |flow: &str, problem: Option<&str>| Begun { flow: flow.into(), problem: problem.map(Into::into) };
        let told = told(&[begun("orders", None), begun("users", Some("its stream has no cursor"))], None);
        assert!(told.contains("orders: is read again from the beginning"), "{told}");
        assert!(told.contains("users: is not read again: its stream has no cursor"), "{told}");
    }
}
