//! How Connectors authenticate: what compiles, and what is found.

use serde_json::{Value, json};

use super::{compile, only, orders, shopify, with};
use crate::plan::{Authentication, Plan};

fn destination(auth: &Value) -> Value {
    let upsert = json!({"name": "upsertSalesOrder", "method": "PUT", "path": "/o/{body.externalId}", "outcome": {}});
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "own", "namespace": "shop"},
        "spec": {
            "baseURL": "https://own.example.com", "apiVersion": "7", "auth": auth,
            "credentials": {"awsSecretsManager": {"secretId": "shop/own"}}, "operations": [upsert],
        },
    })
}

fn planned(auth: &Value) -> Plan {
    let compiled = compile(shopify(), destination(auth), orders());
    assert_eq!(compiled.findings, []);
    let plan = compiled.value.unwrap();
    assert_eq!(Plan::parse(plan.to_json().as_bytes()).unwrap(), plan);
    plan
}

fn hmac(message: &str, value: &str) -> Value {
    json!({"hmac": {
        "algorithm": "SHA256", "secret": "{secret}", "message": message, "encoding": "Hex",
        "header": {"name": "X-Signature", "value": value}, "timestampHeader": "X-Time",
    }})
}

fn session(value: &str) -> Value {
    json!({"session": {
        "path": "/v{apiVersion}/log-in", "body": {"user": "{user}", "password": "{password}"}, "token": "/token",
        "header": {"name": "X-Session", "value": value},
    }})
}

#[test]
fn each_way_to_authenticate_names_the_keys_that_it_needs_and_asks_for_the_newest_format() {
    let oauth1 = json!({"oauth1": {
        "realm": "{account}", "consumerKey": "{ck}", "consumerSecret": "{cs}", "token": "{t}", "tokenSecret": "{ts}",
    }});
    let aws = json!({"awsSignatureV4": {
        "service": "execute-api", "region": "eu-west-1", "accessKeyId": "{id}", "secretAccessKey": "{secret}",
    }});
    for (auth, keys, format) in [
        (json!({"bearer": {"token": "{token}"}}), vec!["token"], 1),
        (json!({"query": {"name": "api_key", "value": "{key}"}}), vec!["key"], 3),
        (oauth1, vec!["account", "ck", "cs", "t", "ts"], 3),
        (aws, vec!["id", "secret"], 3),
        (
            hmac("{method}{path}{query}{bodySha256}{timestamp}{keyId}", "{keyId}:{signature}"),
            vec!["secret", "keyId", "keyId"],
            3,
        ),
        (session("Session {sessionToken}"), vec!["password", "user"], 3),
        (json!({"none": {}}), vec![], 3),
    ] {
        let plan = planned(&auth);
        assert_eq!((plan.destination.credential_keys(), super::format_but_for_errors(&plan)), (keys, format), "{auth}");
    }
}

#[test]
fn a_client_certificate_stands_beside_whatever_else_there_is() {
    let tls = json!({"certificate": "{certificate}", "key": "{privateKey}", "authorities": "{authorities}"});
    let connector = with(destination(&json!({"bearer": {"token": "{token}"}})), "/spec/tls", tls);
    let plan = compile(shopify(), connector, orders()).value.unwrap();
    assert_eq!(plan.destination.credential_keys(), ["token", "certificate", "privateKey", "authorities"]);
    assert_eq!(plan.format_version, 3);
}

#[test]
fn the_version_is_filled_into_the_path_of_a_log_in() {
    let Authentication::Session(session) = planned(&session("{sessionToken}")).destination.authentication else {
        panic!("no session")
    };
    assert_eq!((session.path.as_str(), session.form), ("/v7/log-in", false));
}

#[test]
fn what_is_signed_or_begun_has_to_be_sent() {
    for (auth, problem) in [
        (hmac("{body}", "{keyId}"), "auth.hmac.header.value: put {signature} into it"),
        (hmac("{body", "{signature}"), "auth.hmac.message"),
        (session("{token}"), "auth.session.header.value: put {sessionToken} into it"),
        (json!({}), "auth: set one of header, bearer, basic, query, oauth1"),
    ] {
        let message = only(&compile(shopify(), destination(&auth), orders())).1;
        assert!(message.contains(problem), "{message}");
    }
    let tls = with(destination(&json!({"none": {}})), "/spec/tls", json!({"certificate": "{c", "key": "{k}"}));
    let message = only(&compile(shopify(), tls, orders())).1;
    assert!(message.contains("spec.tls.certificate"), "{message}");
}
