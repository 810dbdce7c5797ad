//! A plan that fails on its fixtures: what goes on, what does not start, what status says.

use super::{super::super::verification::Verification, *};
use crate::plan::diagnosis::Trouble;

pub(super) fn failing(seen: Seen) -> Seen {
    let trouble = Trouble { reason: Reason::FixtureFailed, message: "fixture `a` differs".into() };
    Seen { verification: Verification::Failed(trouble), ..seen }
}

/// Of a spec that compiles to the plan p2.
pub(super) fn changed(seen: Seen) -> Seen {
    let compiled = Compilation { plan: Some((plan(), "p2".into())), findings: Vec::new() };
    Seen { compiled: Some(Arc::new(compiled)), ..seen }
}

fn condition(want: &Want, kind: ConditionType) -> Option<(String, String)> {
    let status = want.status_after(None, now());
    let found = status.conditions.into_iter().find(|condition| condition.type_ == kind.as_str())?;
    Some((found.status, found.reason))
}

fn told(truth: &str, reason: &str) -> (String, String) {
    (truth.to_owned(), reason.to_owned())
}

#[test]
fn a_new_plan_that_fails_leaves_the_last_good_one_running_and_ready() {
    let want = want(&failing(changed(running())));
    assert_eq!(applied(&want), [("ConfigMap", "orders-shares")], "shares do not hang on the plan");
    assert_eq!(want.steps.len(), 1, "{:?}", want.steps);
    let (reason, message) = ready(&want);
    assert_eq!(reason, "Flowing");
    assert!(message.contains("goes on with plan p1, and plan p2 is held back: fixture `a` differs"), "{message}");
    assert_eq!(condition(&want, ConditionType::Ready), Some(told("True", "Flowing")));
    assert_eq!(condition(&want, ConditionType::Verified), Some(told("False", "FixtureFailed")));
    assert_eq!(condition(&want, ConditionType::Stalled), Some(told("True", "FixtureFailed")));
    assert_eq!(want.status_after(None, now()).plan.unwrap().hash, "p1");
}

#[test]
fn a_flow_that_only_the_held_plan_has_is_not_waited_for() {
    let seen = with_spec(failing(changed(running())), |object| {
        let mut more = object.spec.flows[0].clone();
        more.name = "refunds".into();
        object.spec.flows.push(more);
    });
    assert_eq!(ready(&want(&seen)).0, "Flowing");
}

#[test]
fn a_first_plan_that_fails_never_starts() {
    let want = want(&failing(fresh()));
    assert_eq!(want.steps, []);
    assert_eq!(ready(&want), ("FixtureFailed".to_owned(), "fixture `a` differs".to_owned()));
    assert_eq!(condition(&want, ConditionType::Stalled), Some(told("True", "FixtureFailed")));
}

#[test]
fn a_first_plan_that_fails_neither_replaces_the_plan_of_one_that_rests() {
    let rests = |seen: Seen| with_spec(Seen { granted: None, ..seen }, |object| object.spec.suspend = true);
    assert_eq!(want(&rests(failing(fresh()))).steps, []);
    assert_eq!(applied(&want(&rests(fresh()))), [("ConfigMap", "orders-plan")]);
}

#[test]
fn going_back_to_the_last_good_plan_heals_at_once() {
    let passed = |seen: Seen| Seen { verification: Verification::Passed(3), ..seen };
    let want = want(&passed(running()));
    assert_eq!(ready(&want).1, "every flow was read and delivered");
    assert_eq!(condition(&want, ConditionType::Verified), Some(told("True", "FixturesPassed")));
    assert_eq!(condition(&want, ConditionType::Stalled), None);
}

#[test]
fn a_fixture_that_changes_takes_no_plan_from_a_worker_that_has_it() {
    let want = want(&failing(running()));
    assert!(find(&want, ObjectKind::ConfigMap, "orders-plan").is_some());
    assert!(find(&want, ObjectKind::Deployment, "orders-sync").is_some(), "it is looked after as ever");
    assert_eq!(ready(&want).0, "Flowing");
    assert_eq!(condition(&want, ConditionType::Verified), Some(told("False", "FixtureFailed")));
    assert_eq!(condition(&want, ConditionType::Stalled), None);
}

#[test]
fn a_gate_that_warns_hands_the_plan_out_and_says_what_failed() {
    let warns = |object: &mut Integration| {
        object.spec.verification = Some(serde_json::from_value(json!({"gate": "Warn"})).unwrap());
    };
    let want = want(&with_spec(failing(changed(running())), warns));
    let published = find(&want, ObjectKind::ConfigMap, "orders-plan").unwrap();
    assert_eq!(published.body["metadata"]["annotations"][ANNOTATION_PLAN_HASH], "p2");
    assert_eq!(condition(&want, ConditionType::Verified), Some(told("False", "FixtureFailed")));
    assert_eq!(ready(&want).0, "RollingOut");
}

#[test]
fn a_worker_that_fails_with_the_last_good_plan_is_said_to_fail() {
    let mut entry = report();
    let message = "no answer".to_owned();
    entry.problems.push(Problem { reason: Reason::DestinationUnavailable, flow: None, message, since: time(NOW - 60) });
    let seen = Seen { report: Some(reports(vec![entry])), ..failing(changed(running())) };
    assert_eq!(ready(&want(&seen)).0, "DestinationUnavailable");
}
