//! Connectors in every state of their credentials.

use crosstie_crds::connector::{CredentialState, RotationPolicy};
use crosstie_engine::{
    compile::{self, Finding},
    credentials::CredentialVersion,
};
use serde_json::json;

use super::*;
use crate::vault::VaultFault;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn object() -> Connector {
    serde_json::from_value(json!({
        "apiVersion": "crosstie.dev/v1alpha1",
        "kind": "Connector",
        "metadata": {"name": "shopify", "namespace": "shop", "uid": "connector-uid", "generation": 3},
        "spec": {
            "baseURL": "https://acme.example.com",
            "apiVersion": "2026-07",
            "credentials": {"awsSecretsManager": {"secretId": "shop/shopify"}},
            "auth": {"bearer": {"token": "{token}"}},
        },
    }))
    .unwrap()
}

fn version(id: &str) -> Arc<CredentialVersion> {
    let values = [("token".to_owned(), "hush".to_owned())].into();
    Arc::new(CredentialVersion { version_id: id.into(), values })
}

fn known(current: &str, previous: Option<&str>) -> Stored {
    Stored::Known { current: Some(version(current)), previous: previous.map(version), fault: None }
}

fn fault(reason: Reason) -> VaultFault {
    VaultFault::new(reason, "m")
}

fn secret(version: &str) -> ObjectMeta {
    let annotations = [
        (objects::ANNOTATION_VERSION_ID.to_owned(), version.to_owned()),
        (objects::ANNOTATION_SEEN_AT.to_owned(), "1970-01-01T00:00:50Z".to_owned()),
    ];
    ObjectMeta { annotations: Some(annotations.into()), ..ObjectMeta::default() }
}

fn seen(stored: Stored) -> Seen {
    let object = object();
    Seen {
        compiled: compile::connector(&object, &compile::Settings::default()),
        connector: Arc::new(object),
        stored,
        said: Said::default(),
        tokens: None,
        secret: None,
        integrations: 2,
        signing_keys: BTreeSet::new(),
        workers: Vec::new(),
        apis: Vec::new(),
    }
}

fn status(seen: &Seen) -> ConnectorStatus {
    connector(seen, at(100)).status_after(None, at(100))
}

fn said(status: &ConnectorStatus, kind: ConditionType) -> (String, String) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind.as_str());
    condition.map(|condition| (condition.status.clone(), condition.reason.clone())).unwrap_or_default()
}

fn assert_said(status: &ConnectorStatus, kind: ConditionType, truth: Truth, reason: Reason) {
    assert_eq!(said(status, kind), (truth.as_str().to_owned(), reason.as_str().to_owned()), "{status:#?}");
}

fn report(used: &str, accepted: Option<bool>, rejected: Option<&str>) -> CredentialReport {
    CredentialReport {
        connector: "shopify".into(),
        loaded_version_id: "v2".into(),
        used_version_id: used.into(),
        accepted,
        rejected_version_id: rejected.map(str::to_owned),
    }
}

#[test]
fn credentials_are_handed_out_with_their_ids_and_the_connector_is_ready() {
    let seen = seen(known("v2", Some("v1")));
    let want = connector(&seen, at(100));
    let [Step::Apply(object)] = want.steps.as_slice() else { panic!("{:?}", want.steps) };
    assert_eq!(object.name, "shopify-credentials");
    let status = want.status_after(None, at(100));
    assert_said(&status, ConditionType::Ready, Truth::True, Reason::Available);
    assert_said(&status, ConditionType::CredentialsResolved, Truth::True, Reason::Resolved);
    let credentials = status.credentials.unwrap();
    assert_eq!((credentials.version_id.as_str(), credentials.previous_version_id.as_deref()), ("v2", Some("v1")));
    assert_eq!(credentials.seen_at.map(|seen| seen.0), Some(at(100)));
    let requested = status.api_version.and_then(|version| version.requested);
    assert_eq!((requested.as_deref(), status.integrations), (Some("2026-07"), Some(2)));
}

#[test]
fn a_version_keeps_the_time_it_was_first_seen() {
    let seen = Seen { secret: Some(secret("v2")), ..seen(known("v2", None)) };
    assert_eq!(status(&seen).credentials.unwrap().seen_at.map(|seen| seen.0), Some(at(50)));
    let rotated = Seen { secret: Some(secret("v1")), ..seen.clone() };
    assert_eq!(status(&rotated).credentials.unwrap().seen_at.map(|seen| seen.0), Some(at(100)));
}

#[test]
fn credentials_that_are_too_old_are_said_and_leave_the_connector_ready() {
    let mut seen = Seen { secret: Some(secret("v2")), ..seen(known("v2", None)) };
    let day = 24 * 60 * 60;
    let said = |seen: &Seen, now| connector(seen, at(now)).status_after(None, at(now));
    assert_eq!(self::said(&said(&seen, 400 * day), ConditionType::CredentialsFresh), (String::new(), String::new()));
    Arc::make_mut(&mut seen.connector).spec.rotation =
        Some(RotationPolicy { max_age_days: Some(30), on_max_age: Some(OnMaxAge::Rotate) });
    seen.said = Said { made_at: Some(at(0)), rotates: Some(true), ..Said::default() };
    assert_said(&said(&seen, 29 * day), ConditionType::CredentialsFresh, Truth::True, Reason::Fresh);
    assert_eq!(connector(&seen, at(29 * day)).to_rotate(at(29 * day)), []);
    let old = said(&seen, 30 * day);
    assert_said(&old, ConditionType::CredentialsFresh, Truth::False, Reason::CredentialsOld);
    assert_said(&old, ConditionType::Ready, Truth::True, Reason::Available);
    assert_eq!(old.credentials.as_ref().unwrap().age_days, Some(30));
    let key = SecretKey::of(&seen.connector).unwrap();
    assert_eq!(connector(&seen, at(30 * day)).to_rotate(at(30 * day)), [(key, "v2".to_owned())]);
    let restarted = Seen { stored: Stored::Asked, said: Said::default(), ..seen };
    let mut object = restarted.connector.as_ref().clone();
    object.status = Some(old.clone());
    let again = said(&Seen { connector: Arc::new(object), ..restarted }, 30 * day);
    assert_eq!(again, old, "a restart changes nothing");
}

#[test]
fn a_version_that_may_not_go_to_the_connectors_host_stays_behind_and_the_rotation_is_held() {
    let bound = CredentialVersion {
        version_id: "v2".into(),
        values: [("token".to_owned(), "hush".to_owned()), ("allowedHosts".to_owned(), "other.example.com".to_owned())]
            .into(),
    };
    let stored = Stored::Known { current: Some(Arc::new(bound)), previous: Some(version("v1")), fault: None };
    let seen = Seen { secret: Some(secret("v1")), ..seen(stored) };
    assert!(connector(&seen, at(100)).steps.is_empty());
    let status = status(&seen);
    assert_said(&status, ConditionType::Ready, Truth::True, Reason::Available);
    assert_said(&status, ConditionType::CredentialsResolved, Truth::False, Reason::HostNotAllowed);
    let credentials = status.credentials.unwrap();
    assert_eq!((credentials.version_id.as_str(), credentials.stage.as_deref()), ("v1", Some("AWSPREVIOUS")));
    assert_eq!(credentials.state, Some(CredentialState::Held));
}

#[test]
fn a_key_that_alerts_are_signed_with_goes_out_if_it_is_there_and_takes_the_connector_from_nobody_if_not() {
    let keys = |stored| {
        let seen = Seen { signing_keys: ["signing".to_owned()].into(), ..seen(stored) };
        let want = connector(&seen, at(100));
        assert_said(&want.status_after(None, at(100)), ConditionType::Ready, Truth::True, Reason::Available);
        want.publishing.unwrap().keys
    };
    assert_eq!(keys(known("v2", None)), ["token"]);
    let mut with = (*version("v2")).clone();
    with.values.insert("signing".into(), "hush".into());
    with.values.insert("other".into(), "hush".into());
    assert_eq!(
        keys(Stored::Known { current: Some(Arc::new(with)), previous: None, fault: None }),
        ["signing", "token"]
    );
}

#[test]
fn without_credentials_every_fault_is_the_connectors_own() {
    for reason in [
        Reason::SecretMissing,
        Reason::SecretMalformed,
        Reason::AccessDenied,
        Reason::VaultUnavailable,
        Reason::Throttled,
        Reason::SecretNotAllowed,
    ] {
        let stored = match reason {
            Reason::SecretNotAllowed => Stored::Refused(fault(reason)),
            _ => Stored::Known { current: None, previous: None, fault: Some(fault(reason)) },
        };
        let seen = seen(stored);
        assert_said(&status(&seen), ConditionType::Ready, Truth::False, reason);
        assert!(connector(&seen, at(100)).steps.is_empty());
    }
}

#[test]
fn an_outage_of_the_vault_leaves_a_connector_ready_that_has_credentials() {
    for reason in [Reason::VaultUnavailable, Reason::Throttled] {
        let stored = Stored::Known { current: Some(version("v1")), previous: None, fault: Some(fault(reason)) };
        let status = status(&Seen { secret: Some(secret("v1")), ..seen(stored) });
        assert_said(&status, ConditionType::Ready, Truth::True, Reason::Available);
        assert_said(&status, ConditionType::CredentialsResolved, Truth::Unknown, reason);
    }
}

#[test]
fn an_outage_right_after_a_restart_is_no_reason_to_stop_either() {
    let stored = Stored::Known { current: None, previous: None, fault: Some(fault(Reason::VaultUnavailable)) };
    let status = status(&Seen { secret: Some(secret("v1")), ..seen(stored) });
    assert_said(&status, ConditionType::Ready, Truth::True, Reason::Available);
    assert_eq!(status.credentials.unwrap().version_id, "v1");
}

#[test]
fn a_fault_that_leaves_the_last_good_version_in_use_is_told_and_leaves_the_connector_ready() {
    for reason in [Reason::SecretMissing, Reason::SecretMalformed, Reason::AccessDenied] {
        let stored = Stored::Known { current: Some(version("v1")), previous: None, fault: Some(fault(reason)) };
        let status = status(&Seen { secret: Some(secret("v1")), ..seen(stored) });
        assert_said(&status, ConditionType::Ready, Truth::True, Reason::Available);
        assert_said(&status, ConditionType::CredentialsResolved, Truth::False, reason);
        assert!(status.conditions[1].message.contains("version v1 of the credentials stays in use"));
        assert_eq!(status.credentials.unwrap().version_id, "v1");
    }
}

/// A version without the key that is needed.
fn lacking(id: &str) -> Arc<CredentialVersion> {
    Arc::new(CredentialVersion { version_id: id.into(), values: [("tokn".to_owned(), "hush".to_owned())].into() })
}

#[test]
fn a_new_version_that_lacks_a_key_stays_behind_as_long_as_the_one_before_has_it() {
    let told = |stored, secret| self::status(&Seen { secret: Some(secret), ..seen(stored) });
    let newest = |previous| Stored::Known { current: Some(lacking("v3")), previous, fault: None };
    // The one in use is older than what the vault still tells of.
    let mut forgotten = secret("v1");
    forgotten.annotations.as_mut().unwrap().insert(objects::ANNOTATION_KEYS.into(), "token".into());
    for status in [told(newest(Some(version("v2"))), secret("v2")), told(newest(Some(lacking("v2"))), forgotten)] {
        assert_said(&status, ConditionType::Ready, Truth::True, Reason::Available);
        assert_said(&status, ConditionType::CredentialsResolved, Truth::False, Reason::KeyMissing);
        assert_eq!(status.credentials.unwrap().state, Some(CredentialState::Held));
    }
    let mut signing = (*lacking("v3")).clone();
    signing.values.insert("signing".into(), "hush".into());
    let stored = Stored::Known { current: Some(Arc::new(signing)), previous: Some(version("v2")), fault: None };
    let signing_keys = ["signing".to_owned()].into();
    let status = self::status(&Seen { secret: Some(secret("v2")), signing_keys, ..seen(stored) });
    assert_said(&status, ConditionType::Ready, Truth::True, Reason::Available);
    // The spec asks for another key than it did, and nobody has that.
    for status in [told(newest(None), secret("v3")), told(newest(Some(lacking("v2"))), secret("v2"))] {
        assert_said(&status, ConditionType::Ready, Truth::False, Reason::KeyMissing);
    }
}

#[test]
fn a_spec_that_does_not_compile_is_stalled_and_hands_out_nothing() {
    let mut seen = seen(known("v2", None));
    seen.compiled.value = None;
    seen.compiled.findings = vec![
        Finding { reason: Reason::PresetUnknown, path: "spec.preset".into(), message: "no such".into() },
        Finding { reason: Reason::PlanInvalid, path: "spec.auth".into(), message: "unset".into() },
    ];
    assert!(connector(&seen, at(100)).steps.is_empty());
    let status = status(&seen);
    assert_said(&status, ConditionType::Ready, Truth::False, Reason::PresetUnknown);
    assert_said(&status, ConditionType::Stalled, Truth::True, Reason::PresetUnknown);
    assert_eq!(status.conditions[0].message, "spec.preset: no such; spec.auth: unset");
}

#[test]
fn waiting_for_the_first_answer_is_reconciling() {
    let status = status(&seen(Stored::Asked));
    assert_said(&status, ConditionType::Ready, Truth::False, Reason::Starting);
    assert_said(&status, ConditionType::Reconciling, Truth::True, Reason::Starting);
}

#[test]
fn a_failed_write_shows_what_workers_really_have() {
    let seen = Seen { secret: Some(secret("v1")), ..seen(known("v2", None)) };
    let status = connector(&seen, at(100)).status_after(Some("Secret could not be written"), at(100));
    assert_eq!(status.credentials.as_ref().unwrap().version_id, "v1");
    assert_said(&status, ConditionType::Ready, Truth::True, Reason::Available);
    assert_said(&status, ConditionType::Reconciling, Truth::True, Reason::InternalError);
}

#[test]
fn workers_are_counted_by_the_version_they_use() {
    let workers = vec![Some(report("v2", Some(true), None)), Some(report("v1", Some(true), None)), None];
    let seen = Seen { secret: Some(secret("v2")), workers, ..seen(known("v2", Some("v1"))) };
    assert_eq!(status(&seen).credentials.unwrap().workers.as_deref(), Some("1/3"));
}

#[test]
fn a_refused_rotation_names_both_versions_and_leaves_the_connector_ready() {
    let workers = vec![Some(report("v1", Some(true), Some("v2")))];
    let seen = Seen { secret: Some(secret("v2")), workers, ..seen(known("v2", Some("v1"))) };
    let status = status(&seen);
    assert_said(&status, ConditionType::Ready, Truth::True, Reason::Available);
    assert_said(&status, ConditionType::CredentialsResolved, Truth::False, Reason::RotationRejected);
    let message = &status.conditions[1].message;
    assert!(message.contains("v1") && message.contains("v2"), "{message}");
}

#[test]
fn one_workers_word_does_not_take_a_connector_from_others() {
    let refused = Some(report("v2", Some(false), Some("v2")));
    let workers = vec![refused.clone(), Some(report("v2", Some(true), None))];
    let both = Seen { secret: Some(secret("v2")), workers, ..seen(known("v2", None)) };
    assert_said(&status(&both), ConditionType::CredentialsResolved, Truth::True, Reason::Resolved);
    let all = Seen { workers: vec![refused], ..both };
    assert_said(&status(&all), ConditionType::CredentialsResolved, Truth::False, Reason::CredentialsRejected);
    assert_said(&status(&all), ConditionType::Ready, Truth::True, Reason::Available);
}

#[test]
fn looking_again_changes_nothing() {
    let mut seen = Seen { secret: Some(secret("v2")), ..seen(known("v2", Some("v1"))) };
    let first = status(&seen);
    let mut object = object();
    object.status = Some(first.clone());
    seen.connector = Arc::new(object);
    let second = connector(&seen, at(5000)).status_after(None, at(5000));
    assert_eq!(second, first);
}

#[test]
fn a_restart_changes_nothing_before_the_vault_has_answered() {
    let fault = Some(fault(Reason::SecretMissing));
    for stored in
        [known("v2", Some("v1")), Stored::Known { current: Some(version("v2")), previous: Some(version("v1")), fault }]
    {
        let mut secret = secret("v2");
        let annotations = secret.annotations.as_mut().unwrap();
        annotations.insert(objects::ANNOTATION_PREVIOUS_VERSION_ID.into(), "v1".into());
        let before = Seen { secret: Some(secret), ..seen(stored) };
        let first = status(&before);
        let mut object = object();
        object.status = Some(first.clone());
        let after = Seen { stored: Stored::Asked, connector: Arc::new(object), ..before };
        assert_eq!(connector(&after, at(5000)).status_after(None, at(5000)), first);
    }
}

#[test]
fn no_value_is_in_status_or_in_what_is_printed() {
    let seen = seen(known("v2", Some("v1")));
    let want = connector(&seen, at(100));
    assert!(!format!("{want:?}").contains("hush"));
    assert!(!serde_json::to_string(&want.status_after(None, at(100))).unwrap().contains("hush"));
}
