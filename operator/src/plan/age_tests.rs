//! Secrets of every age, one or two of them.

use super::*;
use crate::{
    plan::conditions::Truth,
    vault::{Account, Identity},
};

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * DAY).unwrap()
}

fn key(secret_id: &str) -> SecretKey {
    SecretKey { account: Account { region: None, identity: Identity::Operator }, secret_id: secret_id.into() }
}

/// Version v2 of a secret that AWS rotates.
fn lasting(since: Option<i64>) -> Lasting {
    Lasting {
        what: "the credentials",
        version_id: "v2".into(),
        since: since.map(at),
        secret: Some(key("shop/crm")),
        said: Said { rotates: Some(true), ..Said::default() },
    }
}

fn refresh_token(since: i64) -> Lasting {
    Lasting {
        what: "the refresh token",
        version_id: "r1".into(),
        secret: Some(key("shop/crm-refresh")),
        said: Said { rotates: Some(false), ..Said::default() },
        ..lasting(Some(since))
    }
}

fn said(all: &[Lasting], then: OnMaxAge, now: Timestamp) -> (Truth, Reason, String) {
    let draft = fresh(all, Some((30, then)), now).unwrap();
    (draft.truth, draft.reason, draft.message)
}

#[test]
fn a_secret_is_fresh_until_the_day_it_is_too_old() {
    let all = [lasting(Some(90))];
    let before = said(&all, OnMaxAge::Alert, Timestamp::from_second(120 * DAY - 1).unwrap());
    assert_eq!((before.0, before.1), (Truth::True, Reason::Fresh));
    let (truth, reason, message) = said(&all, OnMaxAge::Alert, at(120));
    assert_eq!((truth, reason), (Truth::False, Reason::CredentialsOld));
    assert_eq!(message, said(&all, OnMaxAge::Alert, at(200)).2, "one that changed each day would be written each day");
    assert_eq!(message, "version v2 of the credentials is at least 30 days old: rotate it");
    assert!(said(&all, OnMaxAge::Rotate, at(120)).2.contains("was asked to rotate it"));
    assert_eq!(fresh(&all, None, at(900)), None);
}

#[test]
fn of_several_each_that_is_too_old_is_named_and_the_oldest_gives_the_age() {
    let all = [lasting(Some(90)), refresh_token(100)];
    assert_eq!(days(&all, at(125)), Some(35));
    let first = said(&all, OnMaxAge::Alert, at(125)).2;
    assert!(first.contains("v2") && !first.contains("r1"), "{first}");
    let both = said(&all, OnMaxAge::Rotate, at(130)).2;
    assert!(both.contains("v2 of the credentials") && both.contains("asked to rotate it; version r1"), "{both}");
    assert!(both.ends_with("has no rotation configured there"), "{both}");
    let young = said(&all, OnMaxAge::Alert, at(110));
    assert_eq!((young.0, young.2.as_str()), (Truth::True, "less than 30 days old: the credentials, the refresh token"));
}

#[test]
fn an_age_that_is_not_known_keeps_no_other_from_being_told() {
    let all = [lasting(None), refresh_token(90)];
    assert_eq!(said(&all, OnMaxAge::Alert, at(110)).0, Truth::Unknown);
    assert_eq!(days(&all, at(110)), Some(20));
    assert_eq!(said(&all, OnMaxAge::Alert, at(120)).1, Reason::CredentialsOld);
    assert_eq!((days(&[lasting(None)], at(110)), days(&[], at(110))), (None, None));
    assert_eq!(fresh(&[], Some((30, OnMaxAge::Alert)), at(110)), None);
}

#[test]
fn a_clock_that_is_behind_makes_nothing_younger_than_new() {
    assert_eq!(days(&[lasting(Some(100))], at(50)), Some(0));
}

#[test]
fn the_vault_is_asked_to_rotate_only_what_is_current_too_old_and_has_a_rotation() {
    let rotate = |all: &[Lasting], then, now| to_rotate(all, Some((30, then)), now);
    let all = [lasting(Some(90)), refresh_token(90)];
    assert_eq!(rotate(&all, OnMaxAge::Rotate, at(120)), [(key("shop/crm"), "v2".to_owned())]);
    assert_eq!(rotate(&all, OnMaxAge::Rotate, at(119)), []);
    assert_eq!(rotate(&all, OnMaxAge::Alert, at(120)), []);
    assert_eq!(to_rotate(&all, None, at(900)), []);
    assert_eq!(rotate(&[Lasting { secret: None, ..lasting(Some(90)) }], OnMaxAge::Rotate, at(120)), []);
    for rotates in [None, Some(false)] {
        let one = [Lasting { said: Said { rotates, ..Said::default() }, ..lasting(Some(90)) }];
        assert_eq!(rotate(&one, OnMaxAge::Rotate, at(120)), []);
        let message = said(&one, OnMaxAge::Rotate, at(120)).2;
        assert!(!message.contains("was asked"), "{message}");
    }
}
