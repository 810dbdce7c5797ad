//! How access tokens are got: what presets know of it, and what is found.

use crosstie_crds::Connector;
use serde_json::{Value, json};

use super::{compile, netsuite, orders, shopify, with};
use crate::{
    compile::{Settings, connector},
    grant::{AssertionAlgorithm, ClientAuthentication, Grant, GrantKind},
};

fn object(preset: &str, oauth2: &Value) -> Value {
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "crm", "namespace": "shop"},
        "spec": {
            "preset": preset, "baseURL": "https://acme.example.com/base",
            "credentials": {"awsSecretsManager": {"secretId": "shop/crm"}, "oauth2": oauth2},
        },
    })
}

fn resolved(object: Value) -> Result<Option<Grant>, Vec<String>> {
    let object: Connector = serde_json::from_value(object).unwrap();
    let compiled = connector(&object, &Settings::default());
    match compiled.value {
        Some(system) => Ok(system.grant),
        None => Err(compiled.findings.iter().map(ToString::to_string).collect()),
    }
}

fn grant(preset: &str, oauth2: &Value) -> Grant {
    resolved(object(preset, oauth2)).unwrap().unwrap()
}

#[test]
fn presets_know_where_tokens_are_got_and_a_connector_says_that_it_wants_some() {
    let salesforce = grant("Salesforce", &json!({}));
    assert_eq!((salesforce.kind, salesforce.client), (GrantKind::ClientCredentials, ClientAuthentication::Body));
    assert_eq!(salesforce.token_url.as_str(), "https://acme.example.com/services/oauth2/token");
    assert_eq!(salesforce.lifetime_seconds, 3600);
    let hubspot = grant("HubSpot", &json!({"refreshTokenSecretId": "shop/refresh", "lifetimeSeconds": 1800}));
    assert_eq!((hubspot.kind, hubspot.lifetime_seconds), (GrantKind::RefreshToken, 1800));
    let netsuite = grant("NetSuite", &json!({}));
    let assertion = netsuite.assertion.unwrap();
    assert_eq!(assertion.algorithm, AssertionAlgorithm::Ps256);
    assert_eq!(assertion.key_id.unwrap().to_string(), "{certificateId}");
    assert_eq!(
        (assertion.issuer.to_string().as_str(), netsuite.scopes.as_slice()),
        ("{clientId}", &["rest_webservices".to_owned()][..])
    );
    assert_eq!(assertion.audience.to_string(), netsuite.token_url.as_str());
    let refresh = json!({"refreshTokenSecretId": "shop/refresh"});
    for (preset, token_url) in [
        ("HubSpot", "https://acme.example.com/oauth/v1/token"),
        ("Klaviyo", "https://acme.example.com/oauth/token"),
        ("Slack", "https://acme.example.com/api/oauth.v2.access"),
        ("Zendesk", "https://acme.example.com/oauth/tokens"),
    ] {
        let found = grant(preset, &refresh);
        assert_eq!((found.kind, found.token_url.as_str()), (GrantKind::RefreshToken, token_url));
        let body = if ["Klaviyo", "Slack"].contains(&preset) {
            ClientAuthentication::Basic
        } else {
            ClientAuthentication::Body
        };
        assert_eq!(found.client, body, "{preset}");
    }
    let mut without = object("Salesforce", &json!({}));
    without["spec"]["credentials"].as_object_mut().unwrap().remove("oauth2");
    assert_eq!(resolved(without), Ok(None), "what is stored is a token then");
}

#[test]
fn another_grant_has_another_hash() {
    let hash = |oauth2: Value| grant("Salesforce", &oauth2).hash();
    assert_eq!(hash(json!({})), hash(json!({"grant": "ClientCredentials"})));
    assert_ne!(hash(json!({})), hash(json!({"scopes": ["api"]})));
}

#[test]
fn what_cannot_be_is_found_with_its_place_and_what_to_do() {
    let own = |oauth2: Value| with(object("REST", &json!({})), "/spec/credentials/oauth2", oauth2);
    let kubernetes = json!({"secretRef": {"name": "x"}, "oauth2": {"refreshTokenSecretId": "shop/refresh"}});
    let cases = [
        (own(json!({"tokenURL": "/token"})), "oauth2.grant: set it"),
        (own(json!({"grant": "ClientCredentials"})), "oauth2.tokenURL: say where"),
        (own(json!({"grant": "ClientCredentials", "tokenURL": "ftp://x"})), "oauth2.tokenURL: write an http"),
        (
            own(json!({"grant": "ClientCredentials", "tokenURL": "https://login.example.com/token"})),
            "oauth2.tokenURL: the client's secret may not be sent to login.example.com: add it to spec.egress.allowHosts",
        ),
        (own(json!({"grant": "JwtBearer", "tokenURL": "/token"})), "oauth2.assertion: say what"),
        (own(json!({"grant": "RefreshToken", "tokenURL": "/token"})), "oauth2.refreshTokenSecretId: name the secret"),
        (
            own(json!({"grant": "RefreshToken", "tokenURL": "/token", "refreshTokenSecretId": "shop/crm"})),
            "oauth2.refreshTokenSecretId: name another",
        ),
        (
            own(json!({"grant": "ClientCredentials", "tokenURL": "/token", "refreshTokenSecretId": "shop/refresh"})),
            "oauth2.refreshTokenSecretId: leave it out",
        ),
        (
            with(object("HubSpot", &json!({})), "/spec/credentials", kubernetes),
            "oauth2.grant: a refresh token is kept in AWS",
        ),
    ];
    for (object, expected) in cases {
        let findings = resolved(object).unwrap_err();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].starts_with(&format!("spec.credentials.{expected}")), "{findings:?} and not {expected}");
    }
    let mut elsewhere = own(json!({"grant": "ClientCredentials", "tokenURL": "https://login.example.com/token"}));
    elsewhere["spec"]["egress"] = json!({"allowHosts": ["Login.example.com"]});
    assert!(resolved(elsewhere).unwrap().is_some());
}

#[test]
fn no_plan_says_how_tokens_are_got() {
    let granted = with(netsuite(), "/spec/credentials/oauth2", json!({}));
    let [plain, granted] = [netsuite(), granted].map(|end| compile(shopify(), end, orders()).value.unwrap());
    assert_eq!(plain, granted);
    assert!(!granted.to_json().contains("oauth2/v1/token"));
}
