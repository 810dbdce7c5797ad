//! What is wrong at the moment, in the words that conditions show: derived from facts each time, never kept. Pure. Messages hold no record's
//! values and no response bodies.

use std::time::Duration;

use crosstie_connect::{CredentialReport, FailureKind};
use crosstie_crds::condition::Reason;
use jiff::Timestamp;

use crate::{
    board::Hindrance,
    gate::Trouble,
    store::{MOST_DEAD_LETTERS, Scope},
};

/// How long a system may fail, with its circuit still closed, before that counts as wrong.
const GRACE: Duration = Duration::from_secs(10);
/// How long reading may wait for room before that counts as wrong: a long past is read in pauses.
const LONGEST_FULL: Duration = Duration::from_mins(10);
/// Longest message, in characters.
const LONGEST_MESSAGE: usize = 512;
/// Most problems.
const MOST_PROBLEMS: usize = 16;

/// Reasons in the order of importance; others come before those that stop nothing, from [`Reason::OutcomeUnknown`] on.
const IMPORTANCE: [Reason; 19] = [
    Reason::StateLost,
    Reason::StoreFailed,
    Reason::PlanInvalid,
    Reason::CredentialsRejected,
    Reason::SecretMalformed,
    Reason::EgressRefused,
    Reason::DestinationUnavailable,
    Reason::SourceUnavailable,
    Reason::Throttled,
    Reason::DeadLettersFull,
    Reason::MappingFailing,
    Reason::RecordsFailing,
    Reason::QueueFull,
    Reason::OutcomeUnknown,
    Reason::RotationRejected,
    Reason::SubscriptionMissing,
    Reason::AlertsFailing,
    Reason::RecordsLeftBehind,
    Reason::Starting,
];

/// The facts.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What the supervisor posted.
    pub hindrances: Vec<Hindrance>,
    /// What is wrong with the store.
    pub store_trouble: Option<String>,
    /// What is known of each Connector's credentials.
    pub credentials: Vec<(String, CredentialReport)>,
    /// What is known of each flow.
    pub flows: Vec<FlowFacts>,
    /// Scopes that no flow of the plan has and in which records wait, and how many.
    pub left_behind: Vec<(Scope, u64)>,
    /// Channels that do not take alerts: their names, and why.
    pub unalerted: Vec<(String, String)>,
}

/// What is known of one flow.
#[derive(Clone, Debug, Default)]
pub struct FlowFacts {
    /// Its name.
    pub flow: String,
    /// Name of the source's Connector.
    pub source: String,
    /// Name of the destination's Connector.
    pub destination: String,
    /// Name of the operation.
    pub operation: String,
    /// What is wrong with its calls.
    pub failing: Vec<(Call, Trouble)>,
    /// Why mapping fails for most records.
    pub mapping_failure: Option<String>,
    /// Why most records do not reach the destination.
    pub delivery_failure: Option<String>,
    /// Records held.
    pub held: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Records waiting.
    pub queue_depth: u64,
    /// Of them, those that wait for another flow's record.
    pub awaiting_parent: u64,
    /// Since when nothing is read because too much waits.
    pub no_room_since: Option<Timestamp>,
}

/// A kind of call that a flow makes, by the name of what is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Pages of a stream.
    Pages(String),
    /// Single records of a stream.
    Single(String),
    /// An operation.
    Send(String),
    /// Look-ups of what became of an operation's calls.
    LookUp(String),
}

/// A problem as it is now, without since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The reason.
    pub reason: Reason,
    /// The flow; none for all.
    pub flow: Option<String>,
    /// What failed, on what, and what to do.
    pub message: String,
}

impl Present {
    fn new(reason: Reason, flow: Option<&str>, message: &str) -> Self {
        let message = match message.char_indices().nth(LONGEST_MESSAGE - 1) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message.to_owned(),
        };
        Self { reason, flow: flow.map(ToOwned::to_owned), message }
    }
}

/// What is wrong, most important first, as much as is reported.
pub fn derive(facts: &Facts, now: Timestamp) -> Vec<Present> {
    let mut problems = all(facts, now);
    problems.truncate(MOST_PROBLEMS);
    problems
}

/// Everything that is wrong, most important first.
pub fn all(facts: &Facts, now: Timestamp) -> Vec<Present> {
    let mut problems: Vec<Present> =
        facts.hindrances.iter().map(|hindrance| Present::new(hindrance.reason, None, &hindrance.message)).collect();
    problems.extend(facts.store_trouble.iter().map(|trouble| Present::new(Reason::StoreFailed, None, trouble)));
    problems.extend(facts.credentials.iter().filter_map(|(connector, report)| rotation(connector, report)));
    for flow in &facts.flows {
        problems.extend(of_flow(flow, now));
    }
    problems.extend(facts.left_behind.iter().map(|(scope, records)| left_behind(scope, *records)));
    problems.extend(facts.unalerted.iter().map(|(channel, why)| {
        let message = format!("alert `{channel}` tells nobody, and what it has to say waits: {why}");
        Present::new(Reason::AlertsFailing, None, &message)
    }));
    problems.sort_by_key(|problem| rank(problem.reason));
    problems
}

fn rank(reason: Reason) -> usize {
    let place = |reason| IMPORTANCE.iter().position(|known| *known == reason);
    // Doubled, so that there is room before a place.
    place(reason)
        .map(|place| 2 * place + 1)
        .or_else(|| place(Reason::OutcomeUnknown).map(|place| 2 * place))
        .unwrap_or(0)
}

fn rotation(connector: &str, report: &CredentialReport) -> Option<Present> {
    let rejected = report.rejected_version_id.as_deref()?;
    let used = report.used_version_id.as_deref().filter(|used| *used != rejected)?;
    if report.accepted != Some(true) {
        return None;
    }
    let message = format!(
        "Connector `{connector}`: the vendor refuses the current credentials (version {rejected}), while the previous ones (version {used}) \
         still work and are in use: activate the new credentials at the vendor, or rotate again"
    );
    Some(Present::new(Reason::RotationRejected, None, &message))
}

fn of_flow(flow: &FlowFacts, now: Timestamp) -> Vec<Present> {
    let name = Some(flow.flow.as_str());
    let mut problems = Vec::new();
    for (call, trouble) in flow.failing.iter().filter(|(_, trouble)| shows(trouble, now)) {
        let (source, destination) = (&flow.source, &flow.destination);
        let (unavailable, what) = match call {
            Call::Pages(stream) => {
                (Reason::SourceUnavailable, format!("reading `{stream}` from Connector `{source}` fails"))
            }
            Call::Single(stream) => (
                Reason::SourceUnavailable,
                format!(
                    "reading single records of `{stream}` from Connector `{source}` fails, and records that need one wait"
                ),
            ),
            Call::Send(operation) => (
                Reason::DestinationUnavailable,
                format!("calling `{operation}` of Connector `{destination}` fails, and records wait in order"),
            ),
            Call::LookUp(operation) => (
                Reason::DestinationUnavailable,
                format!(
                    "looking up what became of calls of `{operation}` of Connector `{destination}` fails, and records in doubt wait"
                ),
            ),
        };
        problems.push(of_system(unavailable, name, &what, trouble));
    }
    if let Some(failure) = &flow.mapping_failure {
        let message = format!("the mapping fails on most records: {failure}");
        problems.push(Present::new(Reason::MappingFailing, name, &message));
    }
    problems.extend(full(flow, now));
    if let Some(failure) = flow.delivery_failure.as_ref().filter(|_| flow.mapping_failure.is_none()) {
        let message = format!(
            "most records do not reach Connector `{}`: {failure}; look at them with `kubectl crosstie dlq list`",
            flow.destination
        );
        problems.push(Present::new(Reason::RecordsFailing, name, &message));
    }
    if flow.held > 0 {
        let message = format!(
            "{} writes by `{}` of Connector `{}` have an unknown outcome and are held, because the operation declares no idempotency key or \
             look-up that could still tell: check them at the destination, then set `onUnknownOutcome: Resend`, which sends them again; a look-up \
             that is declared now tells of later writes only",
            flow.held, flow.operation, flow.destination
        );
        problems.push(Present::new(Reason::OutcomeUnknown, name, &message));
    }
    problems
}

/// What there is too much of.
fn full(flow: &FlowFacts, now: Timestamp) -> Vec<Present> {
    let name = Some(flow.flow.as_str());
    let mut problems = Vec::new();
    if flow.dead_letters >= MOST_DEAD_LETTERS {
        let message = format!(
            "{} records lie in the dead letters, and no more are kept: the others wait, so that none is lost; replay or drop some: \
             `kubectl crosstie dlq list`",
            flow.dead_letters
        );
        problems.push(Present::new(Reason::DeadLettersFull, name, &message));
    }
    let lasts =
        |since: &Timestamp| Duration::try_from(now.duration_since(*since)).is_ok_and(|lasts| lasts >= LONGEST_FULL);
    if let Some(since) = flow.no_room_since.filter(lasts) {
        let message = format!(
            "nothing was read since {since}, because {} records wait, {} of them for records of another flow: see what keeps them, \
             and bring what they wait for or drop it",
            flow.queue_depth, flow.awaiting_parent
        );
        problems.push(Present::new(Reason::QueueFull, name, &message));
    }
    problems
}

fn left_behind(scope: &Scope, records: u64) -> Present {
    let Scope { flow, source, destination, environment } = scope;
    let message = format!(
        "{records} records of flow `{flow}` from Connector `{source}` to Connector `{destination}` ({environment:?}) wait in the store, and no \
         flow of the plan takes them on: give flow, Connectors and environment these names again to deliver them"
    );
    Present::new(Reason::RecordsLeftBehind, Some(flow), &message)
}

/// Whether a trouble has lasted long enough to be shown.
pub fn shows(trouble: &Trouble, now: Timestamp) -> bool {
    trouble.open || Duration::try_from(now.duration_since(trouble.since)).is_ok_and(|lasts| lasts >= GRACE)
}

fn of_system(unavailable: Reason, flow: Option<&str>, what: &str, trouble: &Trouble) -> Present {
    Present::new(reason_of(unavailable, trouble), flow, &format!("{what}: {}", trouble.detail))
}

/// The reason that a call's trouble is shown under.
pub fn reason(call: &Call, trouble: &Trouble) -> Reason {
    let unavailable = match call {
        Call::Pages(_) | Call::Single(_) => Reason::SourceUnavailable,
        Call::Send(_) | Call::LookUp(_) => Reason::DestinationUnavailable,
    };
    reason_of(unavailable, trouble)
}

fn reason_of(unavailable: Reason, trouble: &Trouble) -> Reason {
    match trouble.kind {
        FailureKind::RateLimited => Reason::Throttled,
        FailureKind::CredentialsRejected => Reason::CredentialsRejected,
        FailureKind::EgressRefused => Reason::EgressRefused,
        FailureKind::Unreachable
        | FailureKind::TimedOut
        | FailureKind::ServerError
        | FailureKind::Refused
        | FailureKind::PageExpired
        | FailureKind::Malformed
        | FailureKind::BodyTooLarge
        | FailureKind::Unsupported => unavailable,
    }
}

#[cfg(test)]
mod tests;
