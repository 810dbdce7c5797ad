//! Every reason an Integration can have, and the facts that lead to it.

use crosstie_crds::sync_report::FlowReport;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::plan::diagnosis::LivePod;

const NOW: i64 = 10_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn now() -> Timestamp {
    at(NOW)
}

fn trouble(reason: Reason) -> Trouble {
    Trouble { reason, message: "m".into() }
}

fn problem(reason: Reason) -> Problem {
    Problem { reason, flow: Some("orders".into()), message: "m".into(), since: Time(at(NOW - 60)) }
}

fn report() -> WorkerReport {
    WorkerReport {
        pod: "orders-sync-1".into(),
        reported_at: Time(at(NOW - 10)),
        started_at: Time(at(NOW - 1000)),
        plan_hash: Some("p1".into()),
        shares_hash: None,
        store_id: None,
        credentials: Vec::new(),
        apis: Vec::new(),
        flows: vec![FlowReport {
            flow: "orders".into(),
            last_sync_time: Some(Time(at(NOW - 10))),
            next_run_time: Some(Time(at(NOW + 890))),
            ..FlowReport::default()
        }],
        problems: Vec::new(),
    }
}

/// Data flows.
fn flowing() -> Facts {
    let pod = LivePod { name: "orders-sync-1".into(), ready_since: Some(at(NOW - 900)), nudge: None };
    Facts {
        compiled: Some("p1".into()),
        published: Some("p1".into()),
        flows: vec!["orders".into()],
        worker: Worker { pod: Some(pod), ..Worker::default() },
        pods_left: true,
        report: Some(report()),
        last_report: Some(report()),
        ..Facts::default()
    }
}

fn with_problem(reason: Reason) -> Facts {
    Facts { report: Some(WorkerReport { problems: vec![problem(reason)], ..report() }), ..flowing() }
}

fn without_pod() -> Facts {
    Facts { worker: Worker::default(), pods_left: false, report: None, last_report: None, ..flowing() }
}

fn with_trouble(reason: Reason) -> Facts {
    let mut facts = flowing();
    facts.worker.pod.as_mut().unwrap().ready_since = None;
    facts.worker.trouble = Some(trouble(reason));
    facts
}

/// Facts for which `Ready` has this reason; `None` for reasons that only other conditions or Connectors have.
fn facts_for(reason: Reason) -> Option<Facts> {
    Some(match reason {
        Reason::Flowing => flowing(),
        Reason::Suspended => Facts { suspended: true, ..without_pod() },
        Reason::Starting => without_pod(),
        Reason::RollingOut => Facts { published: Some("p2".into()), ..flowing() },
        Reason::ConnectorNotFound
        | Reason::PresetUnknown
        | Reason::PlanInvalid
        | Reason::PlanTooLarge
        | Reason::ConnectorNotReady => Facts { refused: Some(trouble(reason)), ..flowing() },
        Reason::FixtureFailed | Reason::FixturesUnusable => Facts {
            verification: Verification::Failed(trouble(reason)),
            held: Held::NothingRuns,
            published: None,
            ..without_pod()
        },
        Reason::StateLost => Facts { blocked: Some(trouble(reason)), ..without_pod() },
        Reason::WorkerCrashLooping | Reason::ImageUnavailable | Reason::WorkerUnavailable => with_trouble(reason),
        Reason::ReportStale => {
            let mut facts = flowing();
            facts.report.as_mut().unwrap().reported_at = Time(at(NOW - 46));
            facts
        }
        Reason::SecretMissing
        | Reason::SecretMalformed
        | Reason::KeyMissing
        | Reason::SecretNotAllowed
        | Reason::HostNotAllowed
        | Reason::AccessDenied
        | Reason::VaultUnavailable
        | Reason::CredentialsRejected
        | Reason::ReauthRequired
        | Reason::TokenUnavailable
        | Reason::StoreFailed
        | Reason::SourceUnavailable
        | Reason::DestinationUnavailable
        | Reason::Throttled
        | Reason::EgressRefused
        | Reason::SubscriptionMissing
        | Reason::MappingFailing
        | Reason::RecordsFailing
        | Reason::DeadLettersFull
        | Reason::QueueFull
        | Reason::InternalError => with_problem(reason),
        Reason::Available
        | Reason::Resolved
        | Reason::Fresh
        | Reason::Compiled
        | Reason::WorkerRunning
        | Reason::NoDeadLetters
        | Reason::AlertsAccepted
        | Reason::FixturesPassed
        | Reason::VersionCurrent
        | Reason::VersionDeprecated
        | Reason::SunsetNear
        | Reason::OtherVersionServed
        | Reason::VersionUnsupported
        | Reason::RotationRejected
        | Reason::CredentialsOld
        | Reason::DeadLetters
        | Reason::OutcomeUnknown
        | Reason::AlertsFailing
        | Reason::RecordsLeftBehind => return None,
    })
}

const EVERY_REASON: [Reason; 56] = [
    Reason::FixturesPassed,
    Reason::FixtureFailed,
    Reason::FixturesUnusable,
    Reason::AlertsAccepted,
    Reason::AlertsFailing,
    Reason::VersionCurrent,
    Reason::VersionDeprecated,
    Reason::SunsetNear,
    Reason::OtherVersionServed,
    Reason::VersionUnsupported,
    Reason::Flowing,
    Reason::Suspended,
    Reason::Available,
    Reason::Resolved,
    Reason::Fresh,
    Reason::Compiled,
    Reason::WorkerRunning,
    Reason::NoDeadLetters,
    Reason::Starting,
    Reason::RollingOut,
    Reason::ConnectorNotFound,
    Reason::ConnectorNotReady,
    Reason::PresetUnknown,
    Reason::PlanInvalid,
    Reason::PlanTooLarge,
    Reason::SecretMissing,
    Reason::SecretMalformed,
    Reason::KeyMissing,
    Reason::SecretNotAllowed,
    Reason::HostNotAllowed,
    Reason::AccessDenied,
    Reason::VaultUnavailable,
    Reason::CredentialsOld,
    Reason::CredentialsRejected,
    Reason::RotationRejected,
    Reason::ReauthRequired,
    Reason::TokenUnavailable,
    Reason::WorkerCrashLooping,
    Reason::ImageUnavailable,
    Reason::WorkerUnavailable,
    Reason::ReportStale,
    Reason::StateLost,
    Reason::StoreFailed,
    Reason::SourceUnavailable,
    Reason::DestinationUnavailable,
    Reason::Throttled,
    Reason::EgressRefused,
    Reason::SubscriptionMissing,
    Reason::MappingFailing,
    Reason::RecordsFailing,
    Reason::DeadLettersFull,
    Reason::QueueFull,
    Reason::DeadLetters,
    Reason::OutcomeUnknown,
    Reason::InternalError,
    Reason::RecordsLeftBehind,
];

fn find(drafts: &[Draft], kind: ConditionType) -> Option<&Draft> {
    drafts.iter().find(|draft| draft.kind == kind)
}

#[test]
fn every_reason_is_derived_from_facts_of_its_own() {
    for reason in EVERY_REASON {
        let Some(facts) = facts_for(reason) else { continue };
        let verdict = verdict(&facts, now());
        assert_eq!(verdict.reason, reason);
        assert_eq!(verdict.ready, matches!(reason, Reason::Flowing | Reason::Suspended), "{reason}");
        assert!(!verdict.message.is_empty(), "{reason}");
    }
}

#[test]
fn what_sets_records_aside_leaves_the_rest_flowing() {
    for reason in [Reason::DeadLetters, Reason::OutcomeUnknown, Reason::RotationRejected] {
        assert_eq!(verdict(&with_problem(reason), now()).reason, Reason::Flowing, "{reason}");
    }
    let drafts = conditions(&with_problem(Reason::OutcomeUnknown), None, now());
    assert_eq!(find(&drafts, ConditionType::Synced).unwrap().reason, Reason::OutcomeUnknown);
}

#[test]
fn a_refused_rotation_is_told_while_data_flows() {
    let verdict = verdict(&with_problem(Reason::RotationRejected), now());
    assert!(verdict.ready && verdict.message.ends_with("; m"), "{}", verdict.message);
}

#[test]
fn a_worker_cannot_report_itself_healthy() {
    let mut facts = with_problem(Reason::Flowing);
    facts.report.as_mut().unwrap().plan_hash = None;
    assert_eq!(verdict(&facts, now()).reason, Reason::RollingOut);
}

#[test]
fn a_suspended_integration_is_ready_whatever_else_is_wrong() {
    let facts = Facts { suspended: true, refused: Some(trouble(Reason::PlanInvalid)), ..flowing() };
    let drafts = conditions(&facts, None, now());
    let ready = find(&drafts, ConditionType::Ready).unwrap();
    assert_eq!((ready.truth, ready.reason), (Truth::True, Reason::Suspended));
    assert_eq!(find(&drafts, ConditionType::PlanCompiled).unwrap().reason, Reason::PlanInvalid);
    assert_eq!(find(&drafts, ConditionType::Stalled), None);
    assert_eq!(find(&drafts, ConditionType::Reconciling).unwrap().message, "the worker is stopping");
}

#[test]
fn a_spec_that_does_not_compile_says_that_the_last_good_plan_goes_on() {
    let verdict = verdict(&Facts { refused: Some(trouble(Reason::PlanInvalid)), ..flowing() }, now());
    assert_eq!(verdict.message, "m; the worker goes on with plan p1");
    let first = Facts { refused: Some(trouble(Reason::PlanInvalid)), published: None, ..without_pod() };
    assert_eq!(super::verdict(&first, now()).message, "m");
}

#[test]
fn only_what_a_person_must_cure_is_stalled() {
    for reason in EVERY_REASON {
        let Some(facts) = facts_for(reason) else { continue };
        let drafts = conditions(&facts, None, now());
        let expected = matches!(
            reason,
            Reason::PresetUnknown
                | Reason::PlanInvalid
                | Reason::PlanTooLarge
                | Reason::FixtureFailed
                | Reason::StateLost
        );
        assert_eq!(find(&drafts, ConditionType::Stalled).is_some(), expected, "{reason}");
        let working = matches!(reason, Reason::Starting | Reason::RollingOut);
        assert_eq!(find(&drafts, ConditionType::Reconciling).is_some(), working, "{reason}");
    }
}

#[test]
fn a_worker_is_given_time_for_its_first_report() {
    let mut facts = Facts { report: None, last_report: None, ..flowing() };
    facts.worker.pod.as_mut().unwrap().ready_since = Some(at(NOW - 44));
    let early = verdict(&facts, now());
    assert_eq!((early.reason, early.until), (Reason::Starting, Some(at(NOW + 1))));
    assert_eq!(verdict(&facts, at(NOW + 1)).reason, Reason::ReportStale);
}

#[test]
fn a_worker_that_stops_reporting_is_noticed() {
    let quiet = verdict(&flowing(), now());
    assert_eq!((quiet.reason, quiet.until), (Reason::Flowing, Some(at(NOW - 10 + 45))));
    assert_eq!(verdict(&flowing(), at(NOW + 35)).reason, Reason::ReportStale);
}

#[test]
fn a_worker_with_a_wrong_clock_is_not_called_silent() {
    let mut facts = Facts { heard: Some(at(NOW - 5)), ..flowing() };
    facts.report.as_mut().unwrap().reported_at = Time(at(NOW - 4000));
    assert_eq!(verdict(&facts, now()).reason, Reason::Flowing);
    facts.report.as_mut().unwrap().reported_at = Time(at(NOW + 4000));
    assert_eq!(verdict(&facts, at(NOW + 40)).reason, Reason::ReportStale);
}

#[test]
fn a_flow_that_was_never_read_is_not_flowing() {
    let mut facts = flowing();
    facts.flows.push("refunds".into());
    let verdict = verdict(&facts, now());
    assert_eq!(verdict.reason, Reason::Starting);
    assert!(verdict.message.contains("refunds"), "{}", verdict.message);
}

#[test]
fn a_store_that_failed_is_told_before_the_crashes_it_causes() {
    let mut facts = with_trouble(Reason::WorkerCrashLooping);
    facts.report.as_mut().unwrap().problems = vec![problem(Reason::StateLost)];
    assert_eq!(verdict(&facts, now()).reason, Reason::StateLost);
}

#[test]
fn what_a_worker_says_of_itself_is_told_before_that_it_does_not_become_ready() {
    let mut facts = with_trouble(Reason::WorkerUnavailable);
    facts.worker.overdue = facts.worker.trouble.take();
    assert_eq!(verdict(&facts, now()).reason, Reason::WorkerUnavailable);
    facts.report.as_mut().unwrap().problems = vec![problem(Reason::SecretMalformed)];
    assert_eq!(verdict(&facts, now()).reason, Reason::SecretMalformed);
    let drafts = conditions(&facts, None, now());
    assert_eq!(find(&drafts, ConditionType::WorkerAvailable).unwrap().reason, Reason::WorkerUnavailable);
}

#[test]
fn a_worker_of_which_nothing_is_seen_is_told_when_patience_has_ended() {
    let worker = Worker { patience_ends: Some(at(NOW + 1)), ..Worker::default() };
    let waiting = verdict(&Facts { worker, ..without_pod() }, now());
    assert_eq!((waiting.reason, waiting.until), (Reason::Starting, Some(at(NOW + 1))));
    let worker = Worker { overdue: Some(trouble(Reason::WorkerUnavailable)), ..Worker::default() };
    assert_eq!(verdict(&Facts { worker, ..without_pod() }, now()).reason, Reason::WorkerUnavailable);
}

#[test]
fn a_crash_is_told_before_what_was_reported_earlier() {
    let mut facts = with_trouble(Reason::WorkerCrashLooping);
    facts.report.as_mut().unwrap().problems = vec![problem(Reason::SourceUnavailable)];
    assert_eq!(verdict(&facts, now()).reason, Reason::WorkerCrashLooping);
}

#[test]
fn a_failed_write_is_told_and_does_not_call_flowing_data_stopped() {
    let drafts = conditions(&flowing(), Some("Deployment orders-sync could not be written"), now());
    assert_eq!(find(&drafts, ConditionType::Ready).unwrap().reason, Reason::Flowing);
    assert_eq!(find(&drafts, ConditionType::Reconciling).unwrap().reason, Reason::InternalError);
    let drafts = conditions(&without_pod(), Some("Deployment orders-sync could not be written"), now());
    assert_eq!(find(&drafts, ConditionType::Ready).unwrap().reason, Reason::InternalError);
}

#[test]
fn dead_letters_have_a_condition_of_their_own() {
    let mut facts = flowing();
    facts.report.as_mut().unwrap().flows[0].dead_letters = 3;
    let drafts = conditions(&facts, None, now());
    let dead = find(&drafts, ConditionType::DeadLettersEmpty).unwrap();
    assert_eq!((dead.truth, dead.reason), (Truth::False, Reason::DeadLetters));
    assert!(!dead.message.contains('3'), "a figure would make each dead letter a transition: {}", dead.message);
    assert_eq!(find(&drafts, ConditionType::Ready).unwrap().truth, Truth::True);
}

#[test]
fn the_same_facts_a_little_later_give_the_same_conditions() {
    for reason in EVERY_REASON {
        let Some(facts) = facts_for(reason) else { continue };
        let later = now() + SignedDuration::from_secs(5);
        assert_eq!(conditions(&facts, None, now()), conditions(&facts, None, later), "{reason}");
    }
}

#[test]
fn whoever_is_to_be_told_of_troubles_and_is_not_shows_while_data_flows() {
    assert_eq!(
        find(&conditions(&flowing(), None, now()), ConditionType::AlertsDelivered),
        None,
        "nobody is to be told"
    );
    let told = Facts { alerts: true, ..flowing() };
    let drafts = conditions(&told, None, now());
    let draft = find(&drafts, ConditionType::AlertsDelivered).unwrap();
    assert_eq!((draft.truth, draft.reason), (Truth::True, Reason::AlertsAccepted));
    let report = WorkerReport { problems: vec![problem(Reason::AlertsFailing)], ..report() };
    let drafts = conditions(&Facts { report: Some(report), ..told }, None, now());
    let draft = find(&drafts, ConditionType::AlertsDelivered).unwrap();
    assert_eq!((draft.truth, draft.reason, draft.message.as_str()), (Truth::False, Reason::AlertsFailing, "m"));
    let ready = find(&drafts, ConditionType::Ready).unwrap();
    assert_eq!((ready.truth, ready.reason), (Truth::True, Reason::Flowing));
    assert!(ready.message.ends_with("; m"), "{}", ready.message);
}
