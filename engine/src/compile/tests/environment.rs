//! Sandboxes: what presets know of them, and what is found.

use crosstie_crds::{Connector, condition::Reason};
use serde_json::{Value, json};
use url::Url;

use super::{compile, netsuite, only, orders, shopify, with};
use crate::{
    compile::{Findings, Settings, connector, environment},
    plan::{Allowance, Environment},
    preset,
};

fn sandbox(object: Value) -> Value {
    with(object, "/spec/environment", json!("Sandbox"))
}

fn at(preset: &str, base_url: &str) -> Value {
    json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "x", "namespace": "shop"},
        "spec": {
            "preset": preset, "baseURL": base_url, "environment": "Sandbox",
            "credentials": {"awsSecretsManager": {"secretId": "shop/x"}},
        },
    })
}

/// What the vendor allows, or what is found.
fn allowed(object: Value) -> Result<Allowance, Vec<String>> {
    let object: Connector = serde_json::from_value(object).unwrap();
    let compiled = connector(&object, &Settings::default());
    let findings = compiled.findings.iter().map(ToString::to_string).collect();
    compiled.value.map(|system| system.allowance).ok_or(findings)
}

#[test]
fn every_preset_says_what_there_is_to_try_things_in() {
    for name in preset::names() {
        let sandbox = preset::find(name).unwrap().sandbox.as_ref();
        assert!(sandbox.is_some_and(|sandbox| !sandbox.name.is_empty()), "{name}");
    }
}

#[test]
fn a_sandbox_allows_what_the_vendor_says_of_one_and_a_connector_has_the_last_word() {
    let real = with(at("Stripe", "https://api.stripe.com"), "/spec/environment", json!("Production"));
    assert_eq!(allowed(real).unwrap().requests, 100);
    let tried = at("Stripe", "https://api.stripe.com");
    assert_eq!(allowed(tried.clone()).unwrap(), Allowance { requests: 25, per_seconds: 1, concurrency: 20 });
    let own = with(tried, "/spec/rateLimit", json!({"requests": 5, "perSeconds": 2}));
    assert_eq!(allowed(own).unwrap(), Allowance { requests: 5, per_seconds: 2, concurrency: 20 });
}

#[test]
fn a_sandbox_is_where_the_vendor_has_them() {
    for (preset, base_url, is_one) in [
        ("NetSuite", "https://123456-sb1.suitetalk.api.netsuite.com", true),
        ("NetSuite", "https://123456.suitetalk.api.netsuite.com", false),
        ("Salesforce", "https://acme--uat.sandbox.my.salesforce.com", true),
        ("Salesforce", "https://acme--uat.my.salesforce.com", true),
        ("Salesforce", "https://acme-dev-ed.develop.my.salesforce.com", true),
        ("Salesforce", "https://acme.my.salesforce.com", false),
        ("Zendesk", "https://acme1600000000.zendesk.com", true),
    ] {
        match allowed(at(preset, base_url)) {
            Ok(_) => assert!(is_one, "{base_url}"),
            Err(findings) => {
                assert!(!is_one && findings.len() == 1, "{base_url}: {findings:?}");
                assert!(
                    findings[0].starts_with("spec.baseURL: ") && findings[0].contains("write its address"),
                    "{findings:?}"
                );
            }
        }
    }
}

#[test]
fn a_vendor_without_a_sandbox_is_found() {
    let object: Connector = serde_json::from_value(at("REST", "https://depot.example.com")).unwrap();
    let without = preset::Preset { sandbox: None, ..preset::find("REST").unwrap().clone() };
    let mut findings = Findings::new();
    let base_url = Url::parse(&object.spec.base_url).unwrap();
    environment::resolve(&object.spec, Some(&without), Some(&base_url), &mut findings);
    assert!(findings.list[0].to_string().starts_with("spec.environment: the preset REST knows no sandbox"));
    let mut none = Findings::new();
    environment::resolve(&object.spec, None, Some(&base_url), &mut none);
    assert_eq!(none.list, [], "who describes a system alone knows what it is");
}

#[test]
fn nothing_flows_between_a_sandbox_and_what_is_real() {
    let accounts = with(sandbox(netsuite()), "/spec/baseURL", json!("https://123-sb1.suitetalk.api.netsuite.com"));
    let plan = compile(sandbox(shopify()), accounts.clone(), orders()).value.unwrap();
    assert_eq!(plan.environment, Environment::Sandbox);
    assert_eq!(compile(shopify(), netsuite(), orders()).value.unwrap().environment, Environment::Production);
    for (source, destination) in [(shopify(), accounts), (sandbox(shopify()), netsuite())] {
        let (reason, message) = only(&compile(source, destination, orders()));
        assert_eq!(reason, Reason::PlanInvalid);
        assert!(message.contains("Connector shopify is in") && message.contains("same spec.environment"), "{message}");
    }
}
