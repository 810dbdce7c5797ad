//! `events`: the log of events that webhooks brought to an Integration, over the Kubernetes API with the person's own rights.

use std::process::ExitCode;

use anyhow::Result;
use crosstie_crds::letters::Event;

use crate::{
    cluster::{Of, Output},
    worker::Worker,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: Of,
    /// How many of the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    most: u32,
    /// Only those with this text in their topic
    #[arg(long, value_name = "TEXT")]
    topic: Option<String>,
    /// How they are printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let most = usize::try_from(arguments.most).unwrap_or(usize::MAX);
    let mut events = runtime.block_on(async { Worker::reach(&arguments.of).await?.events(most).await })?;
    events.retain(|event| arguments.topic.as_ref().is_none_or(|topic| event.topic.contains(topic)));
    match arguments.output {
        Output::Table => print!("{}", table(&events)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&events)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// A line an event.
fn table(events: &[Event]) -> String {
    if events.is_empty() {
        return "no events\n".to_owned();
    }
    let id = |event: &Event| event.id.clone().unwrap_or_else(|| "-".to_owned());
    let width = |longest: Option<usize>, name: &str| longest.unwrap_or_default().max(name.len());
    let topics = width(events.iter().map(|event| event.topic.chars().count()).max(), "TOPIC");
    let ids = width(events.iter().map(|event| id(event).chars().count()).max(), "ID");
    let head = format!("{:<20}  {:<topics$}  {:<ids$}  {:>6}  OUTCOME\n", "RECEIVED", "TOPIC", "ID", "AGAIN");
    let line = |event: &Event| {
        let received = format!("{:.0}", event.received_at);
        let (topic, id, again) = (&event.topic, id(event), event.repeats);
        format!("{received:<20}  {topic:<topics$}  {id:<ids$}  {again:>6}  {}\n", outcome(event))
    };
    std::iter::once(head).chain(events.iter().map(line)).collect()
}

fn outcome(event: &Event) -> &'static str {
    match (event.flows, event.news) {
        (0, _) => "no flow asks for its topic",
        (_, 0) => "known already",
        (_, _) => "taken",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, topic: &str, flows: u64, news: u64) -> Event {
        let id = id.map(ToOwned::to_owned);
        let received_at = jiff::Timestamp::from_second(1_790_000_000).unwrap();
        Event {
            number: 1,
            source: "shop".into(),
            id,
            topic: topic.into(),
            hash: "h".into(),
            received_at,
            repeats: 4,
            flows,
            news,
        }
    }

    #[test]
    fn each_event_is_a_line_that_says_what_became_of_it() {
        let printed =
            table(&[event(Some("evt_1"), "orders/create", 1, 1), event(None, "*", 1, 0), event(None, "x", 0, 0)]);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines[0], "RECEIVED              TOPIC          ID      AGAIN  OUTCOME");
        assert_eq!(lines[1], "2026-09-21T14:13:20Z  orders/create  evt_1       4  taken");
        assert!(lines[2].ends_with("known already") && lines[3].ends_with("no flow asks for its topic"), "{printed}");
        assert_eq!(table(&[]), "no events\n");
    }
}
