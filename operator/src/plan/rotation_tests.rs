//! Rotations in every state.

use std::sync::Arc;

use crosstie_engine::credentials::CredentialVersion;

use super::*;
use crate::{
    plan::age,
    vault::{Account, Identity},
};

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 24 * 60 * 60).unwrap()
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
    let stage = |stored: &Stored| with(stored, &[], &Said::default(), |facts| facts.status().stage);
    assert_eq!(stage(&stored("v2", Some("v1"))).as_deref(), Some("AWSCURRENT"));
    assert_eq!(stage(&stored("v3", Some("v2"))).as_deref(), Some("AWSPREVIOUS"));
    assert_eq!(stage(&stored("v4", Some("v3"))), None);
    assert_eq!(stage(&Stored::Asked), None);
    let in_kubernetes =
        with(&stored("v2", None), &[], &Said::default(), |facts| Facts { has_stages: false, ..facts }.status().stage);
    assert_eq!(in_kubernetes, None);
}

#[test]
fn a_restart_does_not_forget_what_status_said_of_the_same_version() {
    let before = with(&stored("v2", None), &[], &rotating(), |facts| facts.status());
    let after = with(&Stored::Asked, &[], &Said::default(), |facts| Facts { before: Some(&before), ..facts }.status());
    assert_eq!(after, before);
    let other = CredentialStatus { version_id: "v1".into(), ..before };
    let after = with(&Stored::Asked, &[], &Said::default(), |facts| Facts { before: Some(&other), ..facts }.status());
    assert_eq!((after.stage, after.rotated_at, after.next_rotation_time), (None, None, None));
}

#[test]
fn age_counts_from_when_a_version_was_made_else_from_when_it_was_seen() {
    let age = |said: &Said, now| with(&stored("v2", None), &[], said, |facts| age::days(&[facts.lasting(None)], now));
    assert_eq!(age(&rotating(), at(100)), Some(10));
    assert_eq!(age(&Said::default(), at(105)), Some(5));
}

#[test]
fn a_version_that_was_superseded_is_never_rotated() {
    let identity = Identity::Operator;
    let key = SecretKey { account: Account { region: None, identity }, secret_id: "shop/shopify".into() };
    let secret = |stored: &Stored| with(stored, &[], &rotating(), |facts| facts.lasting(Some(key.clone())).secret);
    assert_eq!(secret(&stored("v2", Some("v1"))), Some(key.clone()));
    assert_eq!(secret(&stored("v3", Some("v2"))), None);
}
