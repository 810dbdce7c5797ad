//! `calls`: the log of calls to vendors of an Integration, over the Kubernetes API with the person's own rights.

use std::process::ExitCode;

use anyhow::Result;
use crosstie_crds::calls::{Call, Calls, Gap, Why};
use jiff::{SignedDuration, Timestamp};

use crate::{
    cluster::{Of, Output},
    dlq::duration,
    worker::Worker,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    choice: Choice,
    /// How many of the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    most: u32,
    /// How they are printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What is asked of calls; all of it has to be true.
#[derive(Clone, Debug, Default, clap::Args)]
struct Choice {
    /// Only calls for this flow
    #[arg(long, value_name = "NAME", value_parser = name)]
    flow: Option<String>,
    /// Only calls to this Connector
    #[arg(long, value_name = "NAME", value_parser = name)]
    system: Option<String>,
    /// Only calls that failed: refused, without an answer, or with one that says that the vendor did not do its part
    #[arg(long)]
    failed: bool,
    /// Only calls with this status: one such as 429, a class such as 5xx, or `none` for those without an answer
    #[arg(long, value_name = "STATUS", value_parser = statuses)]
    status: Option<Statuses>,
    /// Only calls made within this time, for example 30m, 2h or 3d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    since: Option<SignedDuration>,
}

/// Statuses from the lowest to the highest; 0 is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Statuses {
    lowest: u16,
    highest: u16,
}

fn statuses(text: &str) -> Result<Statuses, String> {
    let wrong = || "write a status such as 429, a class such as 5xx, or none".to_owned();
    if text == "none" {
        return Ok(Statuses { lowest: 0, highest: 0 });
    }
    let is_one = |status: &u16| (100..=999).contains(status);
    if let Some(class) = text.strip_suffix("xx") {
        let lowest = class.parse::<u16>().ok().and_then(|class| class.checked_mul(100)).filter(is_one);
        return lowest.map(|lowest| Statuses { lowest, highest: lowest + 99 }).ok_or_else(wrong);
    }
    let status = text.parse::<u16>().ok().filter(is_one).ok_or_else(wrong)?;
    Ok(Statuses { lowest: status, highest: status })
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !text.is_empty() && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("names have letters, digits, `-`, `.` and `_`".to_owned())
    }
}

impl Choice {
    /// The choice as a part of a query.
    fn query(&self, now: Timestamp) -> String {
        let since = self.since.and_then(|since| now.checked_sub(since).ok());
        let parts = [
            self.flow.as_ref().map(|flow| format!("&flow={flow}")),
            self.system.as_ref().map(|system| format!("&system={system}")),
            self.failed.then(|| "&failed=true".to_owned()),
            self.status.map(|Statuses { lowest, highest }| format!("&lowest={lowest}&highest={highest}")),
            since.map(|since| format!("&since={since}")),
        ];
        parts.into_iter().flatten().collect()
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let most = usize::try_from(arguments.most).unwrap_or(usize::MAX);
    let query = arguments.choice.query(Timestamp::now());
    let found = runtime.block_on(async { Worker::reach(&arguments.of).await?.calls(&query, most).await })?;
    match arguments.output {
        Output::Table => print!("{}{}", table(&found.calls), remarks(&found)),
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&found.calls)?);
            eprint!("{}", remarks(&found));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line a call.
fn table(calls: &[Call]) -> String {
    if calls.is_empty() {
        return "no calls\n".to_owned();
    }
    let head = ["TIME", "SYSTEM", "CALL", "STATUS", "OUTCOME", "MS", "FLOW", "KEY", "ATTEMPT", "REQUEST ID", "PATH"];
    let rows: Vec<[String; 11]> = std::iter::once(head.map(str::to_owned)).chain(calls.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String; 11]| {
        let cells = row.iter().zip(widths.iter().copied()).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row(call: &Call) -> [String; 11] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let key = call.key.clone().or(call.records.map(|records| format!("({records} records)")));
    [
        format!("{:.0}", call.time),
        call.system.clone(),
        format!("{} {}", call.purpose, call.name),
        or_none(call.status.map(|status| status.to_string())),
        call.outcome.clone(),
        call.milliseconds.to_string(),
        or_none(call.flow.clone()),
        or_none(key),
        or_none(call.attempt.map(|attempt| attempt.to_string())),
        or_none(call.request_id.clone()),
        format!("{} {}", call.method, call.path),
    ]
}

/// What has to be said of the log, so that nobody takes it for whole where it is not.
fn remarks(found: &Calls) -> String {
    let days = found.days.unwrap_or_default();
    if found.days == Some(0) {
        return "no calls are logged: spec.callLogDays is 0\n".to_owned();
    }
    let remark = |Gap { why, calls, until }: &Gap| match why {
        Why::TooMany => format!(
            "{calls} calls up to {until:.0} are no longer in the log, although they were made in the last {days} days: there were more than it holds\n"
        ),
        Why::NotStored => {
            format!("{calls} calls up to {until:.0} are not in the log: the worker's store did not take them in time\n")
        }
    };
    found.gaps.iter().map(remark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(status: Option<u16>, outcome: &str) -> Call {
        Call {
            number: 7,
            time: Timestamp::from_second(1_790_000_000).unwrap(),
            system: "netsuite".into(),
            purpose: "Write".into(),
            name: "upsertSalesOrder".into(),
            method: "PUT".into(),
            path: "/salesOrder/eid:1".into(),
            status,
            outcome: outcome.into(),
            failed: status.is_none(),
            milliseconds: 120,
            request_id: Some("r-1".into()),
            flow: Some("orders".into()),
            key: Some("1".into()),
            attempt: Some(2),
            records: None,
        }
    }

    #[test]
    fn each_call_is_a_line_with_the_vendors_id_and_what_it_came_to() {
        let batch = Call { key: None, attempt: None, records: Some(50), request_id: None, ..call(None, "TimedOut") };
        let printed = table(&[call(Some(204), "Done"), batch]);
        let lines: Vec<&str> = printed.lines().collect();
        assert!(lines[0].starts_with("TIME                  SYSTEM    CALL"), "{printed}");
        let first = "2026-09-21T14:13:20Z  netsuite  Write upsertSalesOrder  204     Done      120  orders  1             2        r-1         PUT /salesOrder/eid:1";
        assert_eq!(lines[1], first);
        assert!(lines[2].contains("-       TimedOut") && lines[2].contains("(50 records)  -        -"), "{printed}");
        assert_eq!(table(&[]), "no calls\n");
    }

    #[test]
    fn what_is_asked_for_is_asked_of_the_worker() {
        let now = Timestamp::from_second(1_790_003_600).unwrap();
        let choice = Choice {
            flow: Some("orders".into()),
            system: Some("netsuite".into()),
            failed: true,
            status: Some(statuses("5xx").unwrap()),
            since: Some(duration("1h").unwrap()),
        };
        let query = "&flow=orders&system=netsuite&failed=true&lowest=500&highest=599&since=2026-09-21T14:13:20Z";
        assert_eq!(choice.query(now), query);
        assert_eq!(Choice::default().query(now), "");
    }

    #[test]
    fn statuses_are_one_a_class_or_none() {
        let read = |text| statuses(text).map(|Statuses { lowest, highest }| (lowest, highest));
        assert_eq!([read("429"), read("4xx"), read("none")], [Ok((429, 429)), Ok((400, 499)), Ok((0, 0))]);
        for text in ["", "xx", "0xx", "99xx", "42", "1000", "ok"] {
            assert!(read(text).unwrap_err().contains("5xx"), "{text}");
        }
        assert!(name("orders-2.a_b").is_ok() && name("a b&c").is_err() && name("").is_err());
    }

    #[test]
    fn a_log_that_is_not_whole_says_so() {
        let until = Timestamp::from_second(1_790_000_000).unwrap();
        let gap = |why, calls| Gap { why, calls, until };
        let gaps = vec![gap(Why::TooMany, 500), gap(Why::NotStored, 3)];
        let said = remarks(&Calls { calls: Vec::new(), next: None, days: Some(3), gaps });
        assert!(
            said.contains("500 calls up to 2026-09-21T14:13:20Z are no longer") && said.contains("last 3 days"),
            "{said}"
        );
        assert!(said.contains("3 calls up to") && said.contains("not take them in time"), "{said}");
        let off = remarks(&Calls { calls: Vec::new(), next: None, days: Some(0), gaps: Vec::new() });
        assert!(off.contains("spec.callLogDays is 0"), "{off}");
    }
}
