//! Connectors whose credentials are access tokens, in every state of them.

use std::collections::BTreeSet;

use crosstie_crds::{
    Connector, ConnectorStatus,
    condition::ConditionType,
    connector::{OnMaxAge, RotationPolicy},
    sync_report::CredentialReport,
};
use crosstie_engine::compile;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};

use super::*;
use crate::{
    broker::{
        Failure,
        ledger::{Claim, Spent},
    },
    plan::{
        Step,
        conditions::Truth,
        connector::{Seen, Want, connector},
    },
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn object(oauth2: &Value) -> Connector {
    serde_json::from_value(json!({
        "apiVersion": "crosstie.dev/v1alpha1",
        "kind": "Connector",
        "metadata": {"name": "crm", "namespace": "shop", "uid": "u", "generation": 1},
        "spec": {
            "baseURL": "https://acme.example.com",
            "credentials": {"awsSecretsManager": {"secretId": "shop/crm"}, "oauth2": oauth2},
            "auth": {"bearer": {"token": "{token}"}},
        },
    }))
    .unwrap()
}

fn refreshing() -> Value {
    json!({"grant": "RefreshToken", "tokenURL": "/token", "refreshTokenSecretId": "shop/crm-refresh"})
}

fn version(id: &str, values: &[(&str, &str)]) -> Arc<CredentialVersion> {
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Arc::new(CredentialVersion { version_id: id.into(), values })
}

fn refresh_version() -> Arc<CredentialVersion> {
    version("r1", &[("refreshToken", "rt")])
}

fn stored(version: Arc<CredentialVersion>) -> Stored {
    Stored::Known { current: Some(version), previous: None, fault: None }
}

fn client() -> Stored {
    stored(version("v1", &[("clientId", "id"), ("clientSecret", "hush")]))
}

/// A Connector of whose tokens nothing is remembered yet.
fn seen(oauth2: &Value, client: Stored) -> Seen {
    let object = object(oauth2);
    let refresh = SecretKey::of_refresh_token(&object);
    let refresh =
        refresh.map(|secret| RefreshToken { secret, stored: stored(refresh_version()), said: Said::default() });
    Seen {
        compiled: compile::connector(&object, &compile::Settings::default()),
        connector: Arc::new(object),
        stored: client,
        said: Said::default(),
        tokens: Some(Observed { refresh, entry: None }),
        secret: None,
        integrations: 0,
        signing_keys: BTreeSet::new(),
        workers: Vec::new(),
        apis: Vec::new(),
    }
}

fn source(seen: &Seen) -> Source {
    let grant = seen.compiled.value.as_ref().unwrap().grant.as_ref().unwrap();
    let refresh = seen.tokens.as_ref().unwrap().refresh.as_ref().map(|_| "r1".to_owned());
    Source { client: "v1".into(), refresh, grant: grant.hash() }
}

/// A ledger with a token from second 1000 to second 2000.
fn ledger(seen: &Seen) -> Ledger {
    let token = Token {
        version: (*version("t1", &[("token", "at"), ("clientId", "id")])).clone(),
        issued_at: at(1000),
        expires_at: at(2000),
        source: source(seen),
        early: 0,
    };
    Ledger { current: Some(token), ..Ledger::default() }
}

fn remembering(seen: Seen, ledger: Ledger, failure: Option<Failure>) -> Seen {
    let entry = Entry { ledger: Some(Arc::new(ledger)), failure, ..Entry::default() };
    let tokens = Observed { entry: Some(entry), ..seen.tokens.clone().unwrap() };
    Seen { tokens: Some(tokens), ..seen }
}

fn said(want: &Want, now: i64, kind: ConditionType) -> (String, Reason) {
    let status = want.status_after(None, at(now));
    let found = status.conditions.iter().find(|condition| condition.type_ == kind.as_str()).unwrap();
    (found.status.clone(), serde_json::from_value(found.reason.clone().into()).unwrap())
}

fn assert_said(want: &Want, now: i64, kind: ConditionType, truth: Truth, reason: Reason) {
    assert_eq!(said(want, now, kind), (truth.as_str().to_owned(), reason));
}

#[test]
fn what_is_not_remembered_is_asked_for_and_nothing_stored_is_handed_out() {
    let want = connector(&seen(&refreshing(), client()), at(1000));
    let errand = want.errand.as_ref().unwrap();
    assert_eq!(errand.refresh.as_ref().unwrap().secret_id, "shop/crm-refresh");
    assert_eq!((errand.source.client.as_str(), errand.source.refresh.as_deref()), ("v1", Some("r1")));
    assert!(want.steps.is_empty(), "{:?}", want.steps);
    assert_said(&want, 1000, ConditionType::Ready, Truth::False, Reason::Starting);
    let mut waiting = seen(&refreshing(), Stored::Asked);
    assert!(connector(&waiting, at(1000)).errand.is_none(), "the client's credentials have not come yet");
    waiting = seen(&refreshing(), client());
    if let Some(refresh) = &mut waiting.tokens.as_mut().unwrap().refresh {
        refresh.stored = Stored::Asked;
    }
    assert!(connector(&waiting, at(1000)).errand.is_none(), "the refresh token has not come yet");
}

#[test]
fn an_access_token_is_handed_out_alone_and_said_until_when_it_is_valid() {
    let seen = seen(&refreshing(), client());
    let seen = remembering(seen.clone(), ledger(&seen), None);
    let want = connector(&seen, at(1400));
    let [Step::Apply(secret)] = want.steps.as_slice() else { panic!("{:?}", want.steps) };
    let file = secret.body["data"]["credentials.json"].as_str().unwrap();
    // {"connector":"crm","current":{"values":{"token":"at"},"versionId":"t1"}}
    assert_eq!(
        file,
        "eyJjb25uZWN0b3IiOiJjcm0iLCJjdXJyZW50Ijp7InZhbHVlcyI6eyJ0b2tlbiI6ImF0In0sInZlcnNpb25JZCI6InQxIn19"
    );
    assert!(want.errand.is_none());
    assert_eq!(want.look_again, at(1500), "half its life");
    let status = want.status_after(None, at(1400)).credentials.unwrap();
    assert_eq!((status.version_id.as_str(), status.stage), ("t1", None));
    assert_eq!(status.expires_at.map(|time| time.0), Some(at(2000)));
    assert_said(&want, 1400, ConditionType::Ready, Truth::True, Reason::Available);
    assert!(connector(&seen, at(1500)).errand.is_some());
}

#[test]
fn a_token_that_a_worker_says_is_refused_is_renewed_early() {
    let seen = seen(&refreshing(), client());
    let mut seen = remembering(seen.clone(), ledger(&seen), None);
    let report = |rejected: Option<&str>| CredentialReport {
        connector: "crm".into(),
        loaded_version_id: "t1".into(),
        used_version_id: "t1".into(),
        accepted: Some(true),
        rejected_version_id: rejected.map(str::to_owned),
    };
    for (rejected, errand) in [(None, false), (Some("t0"), false), (Some("t1"), true)] {
        seen.workers = vec![None, Some(report(rejected))];
        assert_eq!(connector(&seen, at(1100)).errand.is_some(), errand, "{rejected:?}");
    }
    seen.workers = vec![Some(CredentialReport { accepted: Some(false), ..report(Some("t1")) })];
    let want = connector(&seen, at(1100));
    assert_said(&want, 1100, ConditionType::CredentialsResolved, Truth::False, Reason::CredentialsRejected);
    let conditions = want.status_after(None, at(1100)).conditions;
    let told = conditions.iter().find(|condition| condition.reason == Reason::CredentialsRejected.as_str()).unwrap();
    assert!(told.message.contains("another access token is asked for"), "nobody can store one: {}", told.message);
}

#[test]
fn a_refresh_token_of_no_use_is_said_at_once_and_the_connector_is_ready_for_as_long_as_its_token_lasts() {
    let seen = seen(&refreshing(), client());
    let spent = Spent { refresh: "r1".into(), message: "authorise the client again".into(), refused: None };
    let seen = remembering(seen.clone(), Ledger { spent: Some(spent), ..ledger(&seen) }, None);
    for (now, ready, reason) in [(1900, Truth::True, Reason::Available), (2000, Truth::False, Reason::ReauthRequired)] {
        let want = connector(&seen, at(now));
        assert!(want.errand.is_none());
        assert_said(&want, now, ConditionType::CredentialsResolved, Truth::False, Reason::ReauthRequired);
        assert_said(&want, now, ConditionType::Ready, ready, reason);
        assert_eq!(want.steps.len(), 1, "the last token stays");
    }
    assert_eq!(connector(&seen, at(1900)).look_again, at(2000), "when it ends it has to be said");
}

#[test]
fn a_server_that_is_away_is_waited_for_unless_something_changed() {
    let fresh = seen(&json!({"grant": "ClientCredentials", "tokenURL": "/token"}), client());
    let failure = Failure {
        fault: VaultFault::new(Reason::TokenUnavailable, "away"),
        source: source(&fresh),
        not_before: at(1700),
        count: 3,
    };
    let seen = remembering(fresh.clone(), ledger(&fresh), Some(failure));
    let want = connector(&seen, at(1600));
    assert!(want.errand.is_none());
    assert_eq!(want.look_again, at(1700));
    assert_said(&want, 1600, ConditionType::CredentialsResolved, Truth::Unknown, Reason::TokenUnavailable);
    assert_said(&want, 1600, ConditionType::Ready, Truth::True, Reason::Available);
    assert_said(&connector(&seen, at(2100)), 2100, ConditionType::Ready, Truth::False, Reason::TokenUnavailable);
    let changed = Seen { stored: stored(version("v2", &[("clientId", "id")])), ..seen };
    assert!(connector(&changed, at(1600)).errand.is_some());
}

#[test]
fn somebody_elses_claim_is_waited_for() {
    let fresh = seen(&refreshing(), client());
    let claim = Claim { id: "c".into(), until: at(1660), source: source(&fresh) };
    let seen = remembering(fresh.clone(), Ledger { claim: Some(claim), ..ledger(&fresh) }, None);
    let want = connector(&seen, at(1600));
    assert!(want.errand.is_none());
    assert_eq!(want.look_again, at(1660));
    assert!(connector(&seen, at(1660)).errand.is_some());
}

#[test]
fn a_clients_secret_that_may_not_go_to_the_connectors_host_is_sent_nowhere() {
    let bound = version("v1", &[("clientId", "id"), ("clientSecret", "hush"), ("allowedHosts", "other.example.com")]);
    let want = connector(&seen(&refreshing(), stored(bound)), at(1000));
    assert!(want.errand.is_none());
    assert_said(&want, 1000, ConditionType::Ready, Truth::False, Reason::HostNotAllowed);
}

#[test]
fn a_vault_that_is_away_takes_no_token_from_anybody() {
    let fresh = seen(&refreshing(), client());
    let fault = Some(VaultFault::new(Reason::VaultUnavailable, "away"));
    let away = Stored::Known { current: None, previous: None, fault };
    let seen = Seen { stored: away, ..remembering(fresh.clone(), ledger(&fresh), None) };
    let want = connector(&seen, at(1600));
    assert!(want.errand.is_none());
    assert_eq!(want.steps.len(), 1);
    assert_said(&want, 1600, ConditionType::Ready, Truth::True, Reason::Available);
    assert_said(&want, 1600, ConditionType::CredentialsResolved, Truth::Unknown, Reason::VaultUnavailable);
}

const DAY: i64 = 24 * 60 * 60;

/// May be 30 days old. Of what the token is got with, the client's secret was made at the day `client`, the refresh token at the day `refresh`; the
/// token itself was got at the day `now`.
fn aged(oauth2: &Value, [client, refresh, now]: [i64; 3]) -> Seen {
    let mut seen = seen(oauth2, self::client());
    Arc::make_mut(&mut seen.connector).spec.rotation =
        Some(RotationPolicy { max_age_days: Some(30), on_max_age: Some(OnMaxAge::Rotate) });
    let said = |day: i64| Said { made_at: Some(at(day * DAY)), rotates: Some(true), ..Said::default() };
    seen.said = Said { next_rotation: Some(at(900 * DAY)), ..said(client) };
    if let Some(token) = &mut seen.tokens.as_mut().unwrap().refresh {
        token.said = said(refresh);
    }
    let mut kept = ledger(&seen);
    if let Some(token) = &mut kept.current {
        (token.issued_at, token.expires_at) = (at(now * DAY), at(now * DAY + 3600));
    }
    remembering(seen, kept, None)
}

fn told(want: &Want, now: i64) -> (String, String) {
    let status = want.status_after(None, at(now * DAY));
    let found = status.conditions.iter().find(|found| found.type_ == ConditionType::CredentialsFresh.as_str()).unwrap();
    (found.reason.clone(), found.message.clone())
}

#[test]
fn the_age_that_counts_is_that_of_the_clients_secret_and_not_of_the_token() {
    let oauth2 = json!({"grant": "ClientCredentials", "tokenURL": "/token"});
    let young = connector(&aged(&oauth2, [0, 0, 29]), at(29 * DAY));
    assert_eq!(told(&young, 29).0, "Fresh");
    assert_eq!(young.to_rotate(at(29 * DAY)), []);
    let seen = aged(&oauth2, [0, 0, 30]);
    let old = connector(&seen, at(30 * DAY));
    let (reason, message) = told(&old, 30);
    assert_eq!(reason, "CredentialsOld");
    assert!(message.contains("version v1 of the client's credentials") && message.contains("was asked"), "{message}");
    let key = SecretKey::of(&seen.connector).unwrap();
    assert_eq!(old.to_rotate(at(30 * DAY)), [(key, "v1".to_owned())]);
    assert_said(&old, 30 * DAY, ConditionType::Ready, Truth::True, Reason::Available);
    let status = old.status_after(None, at(30 * DAY)).credentials.unwrap();
    assert_eq!((status.version_id.as_str(), status.age_days), ("t1", Some(30)));
    assert_eq!(status.rotated_at.map(|time| time.0), Some(at(30 * DAY)), "when the token was got");
    assert_eq!(status.next_rotation_time.map(|time| time.0), Some(at(900 * DAY)));
}

#[test]
fn a_refresh_token_ages_beside_the_clients_secret() {
    let old = connector(&aged(&refreshing(), [20, 0, 30]), at(30 * DAY));
    let (reason, message) = told(&old, 30);
    assert_eq!(reason, "CredentialsOld");
    assert!(message.contains("version r1 of the refresh token") && !message.contains("v1"), "{message}");
    let rotated = old.to_rotate(at(30 * DAY));
    assert_eq!(rotated.iter().map(|(key, _)| key.secret_id.as_str()).collect::<Vec<_>>(), ["shop/crm-refresh"]);
    assert_eq!(old.status_after(None, at(30 * DAY)).credentials.unwrap().age_days, Some(30));
    // One that its server replaces all the time is never old.
    assert_eq!(told(&connector(&aged(&refreshing(), [20, 30, 30]), at(30 * DAY)), 30).0, "Fresh");
}

#[test]
fn a_restart_forgets_no_age_of_what_tokens_are_got_with() {
    let seen = aged(&refreshing(), [0, 0, 30]);
    let before = connector(&seen, at(30 * DAY)).status_after(None, at(30 * DAY));
    let mut object = seen.connector.as_ref().clone();
    object.status = Some(before.clone());
    let tokens = Observed {
        refresh: seen
            .tokens
            .as_ref()
            .unwrap()
            .refresh
            .clone()
            .map(|refresh| RefreshToken { stored: Stored::Asked, ..refresh }),
        ..seen.tokens.clone().unwrap()
    };
    let again = Seen {
        connector: Arc::new(object),
        stored: Stored::Asked,
        said: Said::default(),
        tokens: Some(tokens),
        ..seen
    };
    let want = connector(&again, at(30 * DAY));
    let after = want.status_after(None, at(30 * DAY));
    let fresh = |status: &ConnectorStatus| {
        let is = |found: &&Condition| found.type_ == ConditionType::CredentialsFresh.as_str();
        status.conditions.iter().find(is).cloned().unwrap()
    };
    assert_eq!(fresh(&after), fresh(&before));
    assert_eq!(after.credentials.unwrap().age_days, Some(30));
    assert_eq!(want.to_rotate(at(30 * DAY)), []);
}

#[test]
fn what_holds_nothing_secret_has_no_age_and_neither_has_a_kubernetes_secret() {
    let seen = seen(&refreshing(), client());
    let key = SecretKey::of(&seen.connector).unwrap();
    let said = Said { made_at: Some(at(0)), ..Said::default() };
    let aging = |secret, client: &Stored| aging(secret, (client, &said), None);
    let names = |aging: Aging| match aging {
        Aging::GotWith(all) => all.into_iter().map(|lasting| lasting.version_id).collect::<Vec<_>>(),
        Aging::HandedOut | Aging::NotKnown => panic!("{aging:?}"),
    };
    assert_eq!(names(aging(Some(&key), &stored(version("v1", &[("clientId", "id"), ("privateKey", "hush")])))), ["v1"]);
    let public = stored(version("v1", &[("clientId", "id"), ("allowedHosts", "acme.example.com")]));
    assert!(names(aging(Some(&key), &public)).is_empty());
    assert!(names(aging(None, &client())).is_empty());
    assert_eq!(aging(Some(&key), &Stored::Asked), Aging::NotKnown);
}
