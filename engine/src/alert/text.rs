//! Messages in words: for mails, for Slack, and the commands to look closer with.

use super::{Cause, Item, Kind, Message};
use crate::plan::ObjectName;

/// Longest text that Slack shows whole, in characters.
const LONGEST_SLACK: usize = 3500;

/// What a message is about in one line.
pub(super) fn title(integration: &ObjectName, cause: Cause, kind: Kind, count: u64) -> String {
    let ObjectName { namespace, name } = integration;
    let what = match cause {
        Cause::DeadLetters if kind == Kind::Resolved => "no record lies in the dead letters any more".to_owned(),
        Cause::DeadLetters if count == 1 => "1 record lies in the dead letters".to_owned(),
        Cause::DeadLetters => format!("{count} records lie in the dead letters"),
        Cause::SystemFailing if kind == Kind::Resolved => "the systems answer again".to_owned(),
        Cause::SystemFailing => "a system has failed for long, and records wait".to_owned(),
        Cause::CredentialsRejected if kind == Kind::Resolved => "credentials are not refused any more".to_owned(),
        Cause::CredentialsRejected => "credentials are refused".to_owned(),
        Cause::OutcomeUnknown if kind == Kind::Resolved => "no write of unknown outcome is held any more".to_owned(),
        Cause::OutcomeUnknown if count == 1 => "1 write of unknown outcome is held".to_owned(),
        Cause::OutcomeUnknown => format!("{count} writes of unknown outcome are held"),
        Cause::MappingFailing if kind == Kind::Resolved => "the mapping works again".to_owned(),
        Cause::MappingFailing => "the mapping fails on most records".to_owned(),
        Cause::WorkerTrouble if kind == Kind::Resolved => "the worker works again".to_owned(),
        Cause::WorkerTrouble => "the worker cannot work".to_owned(),
    };
    let tag = match kind {
        Kind::Began => "",
        Kind::Grew => "more: ",
        Kind::Lasts => "still: ",
        Kind::Resolved => "resolved: ",
    };
    format!("{namespace}/{name}: {tag}{what}")
}

/// Commands to look closer with.
pub(super) fn commands(integration: &ObjectName, cause: Cause) -> Vec<String> {
    let ObjectName { namespace, name } = integration;
    let status = format!("kubectl crosstie status {name} -n {namespace}");
    match cause {
        Cause::DeadLetters => vec![format!("kubectl crosstie dlq list {name} -n {namespace}"), status],
        Cause::SystemFailing | Cause::OutcomeUnknown | Cause::MappingFailing => vec![status],
        Cause::CredentialsRejected => vec![status, format!("kubectl get connectors -n {namespace} -o wide")],
        Cause::WorkerTrouble => {
            vec![status, format!("kubectl logs -n {namespace} -l crosstie.dev/integration={name} --tail=100")]
        }
    }
}

/// A message as plain text, without its title.
pub(super) fn body(message: &Message) -> String {
    let mut lines = vec![span(message)];
    lines.extend(message.items.iter().map(|item| format!("- {}", sentence(item))));
    if message.omitted > 0 {
        lines.push(format!("- and {} more", message.omitted));
    }
    if !message.commands.is_empty() {
        lines.push("Look closer with:".to_owned());
        lines.extend(message.commands.iter().map(|command| format!("  {command}")));
    }
    lines.join("\n")
}

/// A message as Slack shows it.
pub(super) fn slack(message: &Message) -> String {
    let mut lines = vec![format!("*{}*", escaped(&message.title)), span(message)];
    lines.extend(message.items.iter().map(|item| format!("• {}", escaped(&sentence(item)))));
    if message.omitted > 0 {
        lines.push(format!("• and {} more", message.omitted));
    }
    let commands: Vec<String> = message.commands.iter().map(|command| format!("`{}`", escaped(command))).collect();
    let commands = commands.join("\n");
    let room = LONGEST_SLACK.saturating_sub(commands.chars().count());
    let text = lines.join("\n");
    // What is said first is what matters; the commands show the rest.
    let text = match text.char_indices().nth(room) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    if commands.is_empty() { text } else { format!("{text}\n{commands}") }
}

fn span(message: &Message) -> String {
    match message.until {
        Some(until) => format!("From {:.0} to {until:.0}.", message.since),
        None => format!("Since {:.0}.", message.since),
    }
}

fn sentence(item: &Item) -> String {
    let mut text = match &item.flow {
        Some(flow) => format!("flow {flow}, {}: {}", item.reason, item.message),
        None => format!("{}: {}", item.reason, item.message),
    };
    let mut details = Vec::new();
    if item.count > 0 {
        details.push(if item.count == 1 { "once".to_owned() } else { format!("{} times", item.count) });
    }
    details.extend(item.since.map(|since| format!("since {since:.0}")));
    if !item.request_ids.is_empty() {
        details.push(format!("request ids {}", item.request_ids.join(", ")));
    }
    if !details.is_empty() {
        text = format!("{text} ({})", details.join("; "));
    }
    text
}

/// Text in which Slack sees no mention, link or markup of its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use crosstie_crds::condition::Reason;
    use jiff::Timestamp;

    use super::*;
    use crate::alert::{Wrong, message::Subject};

    fn message(wrong: &[Wrong]) -> Message {
        let integration = ObjectName { namespace: "shop".into(), name: "orders".into() };
        let subject = Subject { integration: &integration, alert: "ops", cause: Cause::DeadLetters };
        Message::wrong(&subject, Kind::Began, Timestamp::UNIX_EPOCH, wrong, Timestamp::UNIX_EPOCH)
    }

    fn dead(flow: usize) -> Wrong {
        Wrong {
            reason: Reason::DeadLetters,
            flow: Some(format!("flow-{flow}")),
            message: "most of them for this: `books` answered 422 <!channel>".into(),
            since: Some(Timestamp::UNIX_EPOCH),
            count: 500,
            newest: 9,
            request_ids: (0..9).map(|id| format!("r-{id}")).collect(),
        }
    }

    #[test]
    fn a_message_says_what_failed_how_often_since_when_the_request_ids_and_the_command() {
        let message = message(&[dead(1), dead(2)]);
        assert_eq!(message.title, "shop/orders: 1000 records lie in the dead letters");
        assert_eq!(
            message.text(),
            "Since 1970-01-01T00:00:00Z.\n\
             - flow flow-1, DeadLetters: most of them for this: `books` answered 422 <!channel> (500 times; since 1970-01-01T00:00:00Z; \
             request ids r-0, r-1, r-2, r-3, r-4)\n\
             - flow flow-2, DeadLetters: most of them for this: `books` answered 422 <!channel> (500 times; since 1970-01-01T00:00:00Z; \
             request ids r-0, r-1, r-2, r-3, r-4)\n\
             Look closer with:\n  kubectl crosstie dlq list orders -n shop\n  kubectl crosstie status orders -n shop"
        );
    }

    #[test]
    fn what_a_vendor_says_mentions_nobody_in_slack_and_a_long_text_keeps_its_commands() {
        let wrong: Vec<Wrong> = (0..40).map(|flow| Wrong { message: "<!channel> ".repeat(60), ..dead(flow) }).collect();
        let message = message(&wrong);
        assert_eq!((message.items.len(), message.omitted), (8, 32));
        let text = message.slack();
        assert!(!text.contains("<!") && text.contains("&lt;!channel&gt;"), "{text}");
        assert!(text.chars().count() < 4000 && text.ends_with("`kubectl crosstie status orders -n shop`"), "{text}");
    }
}
