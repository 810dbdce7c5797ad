use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn failing(call: fn(String) -> Call, kind: FailureKind, open: bool) -> FlowFacts {
    let (failures, request_ids) = (1, Vec::new());
    let trouble = Trouble { kind, detail: "`books` answered 503".into(), since: at(0), open, failures, request_ids };
    FlowFacts { failing: vec![(call("called".into()), trouble)], ..flow() }
}

fn reasons(facts: &Facts, second: i64) -> Vec<Reason> {
    derive(facts, at(second)).into_iter().map(|problem| problem.reason).collect()
}

fn flow() -> FlowFacts {
    FlowFacts { flow: "orders".into(), operation: "upsert".into(), ..FlowFacts::default() }
}

#[test]
fn a_failure_shows_at_once_when_the_circuit_is_open_and_after_a_while_when_it_is_not() {
    let facts = |open| Facts { flows: vec![failing(Call::Send, FailureKind::ServerError, open)], ..Facts::default() };
    assert_eq!(reasons(&facts(true), 0), [Reason::DestinationUnavailable]);
    assert_eq!(reasons(&facts(false), 9), []);
    assert_eq!(reasons(&facts(false), 10), [Reason::DestinationUnavailable]);
}

#[test]
fn each_kind_of_failure_has_its_own_reason() {
    let reason = |kind| reasons(&Facts { flows: vec![failing(Call::Pages, kind, true)], ..Facts::default() }, 0);
    assert_eq!(reason(FailureKind::TimedOut), [Reason::SourceUnavailable]);
    assert_eq!(reason(FailureKind::RateLimited), [Reason::Throttled]);
    assert_eq!(reason(FailureKind::CredentialsRejected), [Reason::CredentialsRejected]);
    assert_eq!(reason(FailureKind::EgressRefused), [Reason::EgressRefused]);
}

#[test]
fn each_call_that_fails_is_named_with_its_system() {
    let calls: [fn(String) -> Call; 4] = [Call::Pages, Call::Single, Call::Send, Call::LookUp];
    let said = [
        (Reason::SourceUnavailable, "reading `called`"),
        (Reason::SourceUnavailable, "single records of `called`"),
        (Reason::DestinationUnavailable, "calling `called`"),
        (Reason::DestinationUnavailable, "looking up what became of calls of `called`"),
    ];
    for (call, (reason, words)) in calls.into_iter().zip(said) {
        let flows = vec![failing(call, FailureKind::TimedOut, true)];
        let problem = derive(&Facts { flows, ..Facts::default() }, at(0)).remove(0);
        assert_eq!(problem.reason, reason);
        assert!(problem.message.contains(words), "{}", problem.message);
    }
}

#[test]
fn the_most_important_comes_first_and_there_are_never_too_many() {
    let flows = (0..40).map(|_| FlowFacts { held: 1, ..failing(Call::Send, FailureKind::TimedOut, true) });
    let lost = Hindrance { reason: Reason::StateLost, message: "gone".into() };
    let facts = Facts {
        hindrances: vec![lost],
        store_trouble: Some("full".into()),
        flows: flows.collect(),
        ..Facts::default()
    };
    let reasons = reasons(&facts, 0);
    assert_eq!(reasons.len(), MOST_PROBLEMS);
    assert_eq!(reasons[..3], [Reason::StateLost, Reason::StoreFailed, Reason::DestinationUnavailable]);
}

#[test]
fn a_rotation_is_rejected_only_while_the_version_before_works() {
    let report = |used: &str, accepted| CredentialReport {
        loaded_version_id: "v2".into(),
        used_version_id: Some(used.into()),
        accepted,
        rejected_version_id: Some("v2".into()),
    };
    let facts = |report| Facts { credentials: vec![("shop".into(), report)], ..Facts::default() };
    let problems = derive(&facts(report("v1", Some(true))), at(0));
    assert_eq!(problems[0].reason, Reason::RotationRejected);
    assert!(problems[0].message.contains("v1") && problems[0].message.contains("v2"));
    assert_eq!(reasons(&facts(report("v1", Some(false))), 0), []);
    assert_eq!(reasons(&facts(report("v2", Some(true))), 0), []);
}

#[test]
fn a_long_message_is_cut_to_its_bound() {
    let facts = Facts { store_trouble: Some("ü".repeat(2000)), ..Facts::default() };
    assert_eq!(derive(&facts, at(0))[0].message.chars().count(), LONGEST_MESSAGE);
}

#[test]
fn a_flow_that_stands_says_why_and_is_not_hidden_by_what_stops_nothing() {
    let full = FlowFacts { dead_letters: MOST_DEAD_LETTERS, ..flow() };
    let behind = FlowFacts { no_room_since: Some(at(0)), queue_depth: 50_001, awaiting_parent: 50_000, ..flow() };
    let refused = FlowFacts { delivery_failure: Some("3 of the last 3 did not arrive".into()), ..flow() };
    let unmapped = FlowFacts { mapping_failure: Some("no such key".into()), ..refused.clone() };
    for (flow, expected) in [
        (full, Reason::DeadLettersFull),
        (behind.clone(), Reason::QueueFull),
        (refused, Reason::RecordsFailing),
        (unmapped, Reason::MappingFailing),
    ] {
        assert_eq!(reasons(&Facts { flows: vec![flow], ..Facts::default() }, 600), [expected]);
    }
    assert_eq!(reasons(&Facts { flows: vec![behind], ..Facts::default() }, 599), [], "a backfill pauses too");
    let hindrance = Hindrance { reason: Reason::KeyMissing, message: "no signing secret".into() };
    let unalerted = (0..MOST_PROBLEMS).map(|number| (format!("channel {number}"), "no".to_owned())).collect();
    let crowded = Facts { hindrances: vec![hindrance], unalerted, ..Facts::default() };
    assert_eq!(reasons(&crowded, 0)[0], Reason::KeyMissing);
}
