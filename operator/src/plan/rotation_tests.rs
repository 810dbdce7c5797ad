//! Rotations in every state, and credentials of every age.

use std::sync::Arc;

use crosstie_engine::credentials::CredentialVersion;

use super::*;
use crate::plan::conditions::Truth;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * DAY).unwrap()
}

fn version(id: &str) -> Arc<CredentialVersion> {
    Arc::new(CredentialVersion { version_id: id.into(), values: [("token".into(), "hush".into())].into() })
}

fn stored(current: &str, previous: Option<&str>) -> Stored {
    Stored::Known { current: Some(version(current)), previous: previous.map(version), fault: None }
}

fn handed_out(id: &str) -> CredentialVersions {
    CredentialVersions {
        version_id: id.into(),
        previous_version_id: Some("v1".into()),
        seen_at: Some(at(100)),
        keys: vec!["token".into()],
    }
}

fn report(used: &str, rejected: Option<&str>) -> CredentialReport {
    CredentialReport {
        connector: "shopify".into(),
        loaded_version_id: "v2".into(),
        used_version_id: used.into(),
        accepted: Some(true),
        rejected_version_id: rejected.map(str::to_owned),
    }
}

fn rotating() -> Said {
    Said { made_at: Some(at(90)), rotates: Some(true), next_rotation: Some(at(120)), ..Said::default() }
}

/// Gives what `ask` makes of facts of version v2.
fn with<T>(stored: &Stored, workers: &[Option<CredentialReport>], said: &Said, ask: impl FnOnce(Facts) -> T) -> T {
    let handed_out = handed_out("v2");
    ask(Facts { handed_out: &handed_out, stored, has_stages: true, kept_back: false, workers, said, before: None })
}

#[test]
fn a_rotation_is_settled_only_when_every_worker_is_seen_to_use_the_newest_version() {
    use CredentialState::{Held, Rolling, Settled};
    let worker = |used: &str, rejected: Option<&str>| Some(report(used, rejected));
    let cases = [
        ("v2", vec![], Settled),
        ("v2", vec![worker("v2", None), worker("v2", None)], Settled),
        ("v2", vec![worker("v2", None), worker("v1", None)], Rolling),
        ("v2", vec![worker("v2", None), None], Rolling),
        ("v3", vec![worker("v2", None)], Rolling),
        ("v2", vec![worker("v2", None), worker("v1", Some("v2"))], Held),
    ];
    for (newest, workers, state) in cases {
        let found = with(&stored(newest, Some("v1")), &workers, &Said::default(), |facts| facts.state());
        assert_eq!(found, state, "{newest}, {workers:?}");
    }
    let kept = with(&stored("v3", Some("v2")), &[worker("v2", None)], &Said::default(), |facts| {
        Facts { kept_back: true, ..facts }.state()
    });
    assert_eq!(kept, Held);
}

#[test]
fn a_version_that_was_superseded_is_never_shown_as_the_current_stage() {
    let stage = |stored: &Stored| with(stored, &[], &Said::default(), |facts| facts.status(at(100)).stage);
    assert_eq!(stage(&stored("v2", Some("v1"))).as_deref(), Some("AWSCURRENT"));
    assert_eq!(stage(&stored("v3", Some("v2"))).as_deref(), Some("AWSPREVIOUS"));
    assert_eq!(stage(&stored("v4", Some("v3"))), None);
    assert_eq!(stage(&Stored::Asked), None);
    let in_kubernetes = with(&stored("v2", None), &[], &Said::default(), |facts| {
        Facts { has_stages: false, ..facts }.status(at(100)).stage
    });
    assert_eq!(in_kubernetes, None);
}

#[test]
fn a_restart_does_not_forget_what_status_said_of_the_same_version() {
    let before = with(&stored("v2", None), &[], &rotating(), |facts| facts.status(at(100)));
    let after =
        with(&Stored::Asked, &[], &Said::default(), |facts| Facts { before: Some(&before), ..facts }.status(at(100)));
    assert_eq!(after, before);
    let other = CredentialStatus { version_id: "v1".into(), ..before };
    let after =
        with(&Stored::Asked, &[], &Said::default(), |facts| Facts { before: Some(&other), ..facts }.status(at(100)));
    assert_eq!((after.stage, after.rotated_at, after.next_rotation_time), (None, None, None));
}

#[test]
fn age_counts_from_when_a_version_was_made_else_from_when_it_was_seen() {
    let age = |said: &Said, now| with(&stored("v2", None), &[], said, |facts| facts.status(now).age_days);
    assert_eq!(age(&rotating(), at(100)), Some(10));
    assert_eq!(age(&Said::default(), at(105)), Some(5));
    assert_eq!(age(&Said::default(), at(50)), Some(0), "a clock that is behind");
}

#[test]
fn credentials_are_fresh_until_the_day_they_are_too_old() {
    let fresh = |now, then| {
        let draft = with(&stored("v2", None), &[], &rotating(), |facts| facts.fresh(Some((30, then)), now)).unwrap();
        (draft.truth, draft.reason, draft.message)
    };
    let before = fresh(Timestamp::from_second(120 * DAY - 1).unwrap(), OnMaxAge::Alert);
    assert_eq!((before.0, before.1), (Truth::True, Reason::Fresh));
    let (truth, reason, message) = fresh(at(120), OnMaxAge::Alert);
    assert_eq!((truth, reason), (Truth::False, Reason::CredentialsOld));
    assert_eq!(message, fresh(at(200), OnMaxAge::Alert).2, "a message that changed each day would be written each day");
    assert!(message.contains("v2") && message.contains("30 days") && message.contains("rotate it"), "{message}");
    assert!(fresh(at(120), OnMaxAge::Rotate).2.contains("was asked to rotate it"));
    assert_eq!(with(&stored("v2", None), &[], &rotating(), |facts| facts.fresh(None, at(900))), None);
}

#[test]
fn the_vault_is_asked_to_rotate_only_what_is_current_too_old_and_has_a_rotation() {
    let rotate = |stored: &Stored, said: &Said, then, now| {
        with(stored, &[], said, |facts| facts.to_rotate(Some((30, then)), now))
    };
    let current = stored("v2", None);
    assert_eq!(rotate(&current, &rotating(), OnMaxAge::Rotate, at(120)).as_deref(), Some("v2"));
    assert_eq!(rotate(&current, &rotating(), OnMaxAge::Rotate, at(119)), None);
    assert_eq!(rotate(&current, &rotating(), OnMaxAge::Alert, at(120)), None);
    assert_eq!(
        rotate(&stored("v3", Some("v2")), &rotating(), OnMaxAge::Rotate, at(120)),
        None,
        "it was rotated already"
    );
    for rotates in [None, Some(false)] {
        let said = Said { rotates, ..rotating() };
        assert_eq!(rotate(&current, &said, OnMaxAge::Rotate, at(120)), None);
        let draft = with(&current, &[], &said, |facts| facts.fresh(Some((30, OnMaxAge::Rotate)), at(120))).unwrap();
        assert!(!draft.message.contains("was asked"), "{}", draft.message);
    }
}
