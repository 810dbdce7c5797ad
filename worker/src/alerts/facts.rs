//! What is wrong now, in the engine's terms. Pure.

use std::collections::BTreeMap;

use crosstie_crds::condition::Reason;
use crosstie_engine::alert::{Cause, Wrong};
use jiff::Timestamp;

use crate::{
    problems::{self, Facts, FlowFacts},
    store::LetterDigest,
};

/// Everything that is wrong and belongs to a cause of alerts: problems, and each flow's dead letters.
pub fn wrong(facts: &Facts, letters: &[LetterDigest], now: Timestamp) -> Vec<Wrong> {
    let mut found: BTreeMap<(Reason, Option<String>), Wrong> = BTreeMap::new();
    for present in problems::all(facts, now) {
        if Cause::of(present.reason).is_none() {
            continue;
        }
        let key = (present.reason, present.flow.clone());
        match found.get_mut(&key) {
            Some(wrong) if wrong.message.contains(&present.message) => {}
            Some(wrong) => wrong.message = format!("{}; {}", wrong.message, present.message),
            None => _ = found.insert(key, plain(present.reason, present.flow, present.message)),
        }
    }
    for flow in &facts.flows {
        count(flow, &mut found, now);
    }
    let mut all: Vec<Wrong> = found.into_values().collect();
    all.extend(facts.flows.iter().zip(letters).filter_map(|(flow, digest)| of_letters(flow, digest)));
    all
}

fn plain(reason: Reason, flow: Option<String>, message: String) -> Wrong {
    Wrong { reason, flow, message, since: None, count: 0, newest: 0, request_ids: Vec::new() }
}

/// Adds how often and since when to what is wrong with a flow.
fn count(flow: &FlowFacts, found: &mut BTreeMap<(Reason, Option<String>), Wrong>, now: Timestamp) {
    for (call, trouble) in flow.failing.iter().filter(|(_, trouble)| problems::shows(trouble, now)) {
        if let Some(wrong) = found.get_mut(&(problems::reason(call, trouble), Some(flow.flow.clone()))) {
            wrong.count = wrong.count.saturating_add(trouble.failures);
            wrong.since = Some(wrong.since.map_or(trouble.since, |since| since.min(trouble.since)));
            wrong.request_ids.extend(trouble.request_ids.iter().cloned());
        }
    }
    if let Some(wrong) = found.get_mut(&(Reason::OutcomeUnknown, Some(flow.flow.clone()))) {
        wrong.count = flow.held;
    }
}

fn of_letters(flow: &FlowFacts, digest: &LetterDigest) -> Option<Wrong> {
    let LetterDigest { count: letters @ 1.., newest, since, cause, request_ids } = digest else { return None };
    let cause = cause.as_deref().unwrap_or("`kubectl crosstie dlq list` says why");
    let message = match letters {
        1 => format!("1 record was set aside: {cause}"),
        letters => format!("{letters} records were set aside, most of the newest for this: {cause}"),
    };
    let (count, newest, since) = (*letters, *newest, *since);
    let flow = Some(flow.flow.clone());
    Some(Wrong { reason: Reason::DeadLetters, flow, message, since, count, newest, request_ids: request_ids.clone() })
}

#[cfg(test)]
mod tests {
    use crosstie_connect::FailureKind;

    use super::*;
    use crate::{board::Hindrance, gate::Trouble, problems::Call};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn trouble(kind: FailureKind, since: i64, id: &str) -> Trouble {
        let (detail, since) = ("`books` answered 503".to_owned(), at(since));
        Trouble { kind, detail, since, open: true, failures: 7, request_ids: vec![id.into()] }
    }

    fn flow(name: &str) -> FlowFacts {
        FlowFacts { flow: name.into(), destination: "books".into(), ..FlowFacts::default() }
    }

    #[test]
    fn calls_of_a_flow_that_fail_alike_are_one_with_the_sum_of_their_failures() {
        let failing = vec![
            (Call::Send("upsert".into()), trouble(FailureKind::ServerError, 50, "r-1")),
            (Call::LookUp("upsert".into()), trouble(FailureKind::TimedOut, 40, "r-2")),
            (Call::Pages("orders".into()), trouble(FailureKind::RateLimited, 60, "r-3")),
        ];
        let facts = Facts { flows: vec![FlowFacts { failing, ..flow("orders") }], ..Facts::default() };
        let wrong = wrong(&facts, &[LetterDigest::default()], at(100));
        let [destination, throttled] = wrong.as_slice() else { panic!("{wrong:?}") };
        assert_eq!(
            (destination.reason, destination.count, destination.since),
            (Reason::DestinationUnavailable, 14, Some(at(40)))
        );
        assert_eq!(destination.request_ids, ["r-1", "r-2"]);
        assert_eq!((throttled.reason, throttled.count), (Reason::Throttled, 7));
    }

    #[test]
    fn the_letters_of_each_flow_are_one_and_what_is_no_trouble_is_left_out() {
        let starting = Hindrance { reason: Reason::Starting, message: "waits for the plan".into() };
        let facts =
            Facts { hindrances: vec![starting], flows: vec![flow("orders"), flow("refunds")], ..Facts::default() };
        let digest = LetterDigest {
            count: 1000,
            newest: 1004,
            since: Some(at(9)),
            cause: Some("`books` answered 422".into()),
            request_ids: vec!["r-1".into()],
        };
        let wrong = wrong(&facts, &[digest, LetterDigest::default()], at(100));
        let [letters] = wrong.as_slice() else { panic!("{wrong:?}") };
        assert_eq!((letters.flow.as_deref(), letters.count, letters.newest), (Some("orders"), 1000, 1004));
        assert!(letters.message.contains("1000 records") && letters.message.contains("422"), "{}", letters.message);
    }
}
