//! Goldens of every owned object, as YAML a reviewer can read.

use crosstie_crds::integration::DeletionPolicy;
use crosstie_engine::{
    compile::ResolvedState,
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{Allowance, Plan},
    rate::Shares,
};
use serde_json::json;

use super::*;
use crate::plan::shares::{Part, Published};

fn integration_owner() -> Owner {
    let object: Integration = serde_json::from_str(include_str!("../../../tests/integration.json")).unwrap();
    Owner::integration(&object)
}

fn template() -> WorkerTemplate {
    WorkerTemplate {
        image: "registry.example.com/crosstie-worker:0.1.0".into(),
        pull_policy: "IfNotPresent",
        pull_secrets: vec!["registry".into()],
        log_format: "json",
        network_policy: true,
        proxy: None,
    }
}

fn between(ends: [&'static str; 2]) -> Mounted<'static> {
    Mounted { ends, alerts: Vec::new() }
}

fn small_plan() -> Plan {
    let system = |connector: &str| {
        json!({
            "connector": connector,
            "baseUrl": format!("https://{connector}.example.com/"),
            "apiVersion": "2026-07",
            "authentication": {"bearer": {"token": "{token}"}},
            "egress": {"allowHosts": [], "allowCidrs": []},
            "allowance": {"requests": 40, "perSeconds": 20, "concurrency": 8},
            "servedVersionHeader": null,
            "requestIdHeader": null,
        })
    };
    serde_json::from_value(json!({
        "formatVersion": 1,
        "integration": {"namespace": "shop", "name": "orders"},
        "source": system("shopify"),
        "destination": system("netsuite"),
        "flows": [],
        "retry": {"retries": 3, "initialSeconds": 120, "factor": 2, "maxSeconds": 3600},
    }))
    .unwrap()
}

fn shares_of_two() -> (Shares, Published) {
    let allowance = Allowance { requests: 20, per_seconds: 20, concurrency: 4 };
    let shares = Shares { source: allowance, destination: allowance };
    let part = |account: &str| Part { account: account.into(), parts: 2, before: 1 };
    let published =
        Published { source: part("connector/shopify"), destination: part("group/erp"), hash: shares.hash() };
    (shares, published)
}

fn document(token: &str) -> CredentialsDocument {
    let version = |id: &str| CredentialVersion {
        version_id: id.into(),
        values: [("token".to_owned(), format!("{token}-{id}"))].into(),
    };
    CredentialsDocument { connector: "shopify".into(), current: version("v2"), previous: Some(version("v1")) }
}

fn connector_owner() -> Owner {
    let object: Connector = serde_json::from_value(json!({
        "apiVersion": "crosstie.dev/v1alpha1",
        "kind": "Connector",
        "metadata": {"name": "shopify", "namespace": "shop", "uid": "connector-uid"},
        "spec": {"preset": "Shopify", "baseURL": "https://a.example.com", "credentials": {}},
    }))
    .unwrap();
    Owner::connector(&object)
}

fn seen_at() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_780_000_000).unwrap()
}

#[test]
fn a_workers_identity_may_touch_its_own_report_only() {
    let owner = integration_owner();
    let bodies = [service_account(&owner), role(&owner), role_binding(&owner), sync_report(&owner)];
    insta::assert_yaml_snapshot!(bodies.map(|object| object.body));
}

#[test]
fn the_plan_and_the_shares_are_config_maps() {
    let owner = integration_owner();
    let (allowances, published) = shares_of_two();
    let bodies = [
        plan(&owner, &small_plan(), &small_plan().hash()),
        shares(&owner, &allowances, &published, None),
        shares(&owner, &allowances, &published, Some("store-a")),
    ];
    insta::assert_yaml_snapshot!(bodies.map(|object| object.body));
}

#[test]
fn the_credentials_secret_holds_both_versions() {
    insta::assert_yaml_snapshot!(credentials(&connector_owner(), &document("t"), seen_at()).body);
}

#[test]
fn the_volume_claim_outlives_the_integration_under_retain_only() {
    let owner = integration_owner();
    let state = |deletion_policy| ResolvedState {
        storage: "1Gi".into(),
        storage_class_name: Some("fast".into()),
        deletion_policy,
    };
    let bodies = [
        volume_claim(&owner, &state(DeletionPolicy::Retain), Some("store-a")),
        volume_claim(&owner, &state(DeletionPolicy::Delete), None),
    ];
    insta::assert_yaml_snapshot!(bodies.map(|object| object.body));
}

#[test]
fn the_network_policy_closes_all_but_the_health_port_and_the_metadata_address() {
    insta::assert_yaml_snapshot!(network_policy(&integration_owner(), false).body);
}

#[test]
fn the_deployment_meets_the_restricted_standard() {
    let object = deployment(
        &integration_owner(),
        &template(),
        &between(["shopify", "netsuite"]),
        None,
        1,
        false,
        Some("account-uid"),
    );
    insta::assert_yaml_snapshot!(object.body);
}

#[test]
fn credentials_of_alerts_are_mounted_and_a_worker_starts_without_them() {
    let connectors = Mounted { alerts: vec!["mail.server", "slack"], ..between(["a", "b"]) };
    let object = deployment(&integration_owner(), &template(), &connectors, None, 1, false, Some("account-uid"));
    let pod = &object.body["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "credentials-alerts-0").unwrap();
    assert_eq!(volume["secret"]["secretName"], "mail.server-credentials");
    assert_eq!(volume["secret"]["optional"], true);
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["name"] == "credentials-alerts-1").unwrap();
    assert_eq!(mount["mountPath"], "/etc/crosstie/credentials/alerts/slack");
}

#[test]
fn suspending_changes_the_number_of_workers_and_not_their_template() {
    let owner = integration_owner();
    let one = deployment(&owner, &template(), &between(["a", "b"]), None, 1, false, Some("account-uid"));
    let none = deployment(&owner, &template(), &between(["a", "b"]), None, 0, false, Some("account-uid"));
    assert_eq!(one.body.pointer("/spec/template"), none.body.pointer("/spec/template"));
    assert_ne!(one.hash, none.hash);
}

#[test]
fn the_hash_of_credentials_is_made_of_ids_and_not_of_values() {
    let owner = connector_owner();
    let hash = |document: &CredentialsDocument| credentials(&owner, document, seen_at()).hash;
    assert_eq!(hash(&document("short")), hash(&document("other")));
    let mut rotated = document("short");
    rotated.current.version_id = "v3".into();
    assert_ne!(hash(&rotated), hash(&document("short")));
}

#[test]
fn printing_an_object_shows_no_content() {
    let object = credentials(&connector_owner(), &document("hush"), seen_at());
    let printed = format!("{object:?}");
    assert!(printed.contains("shopify-credentials") && !printed.contains("data"), "{printed}");
}

#[test]
fn every_object_carries_its_hash_and_its_owner() {
    let owner = integration_owner();
    for object in [
        service_account(&owner),
        role(&owner),
        role_binding(&owner),
        sync_report(&owner),
        network_policy(&owner, false),
    ] {
        let metadata = &object.body["metadata"];
        assert_eq!(metadata["annotations"][ANNOTATION_APPLIED_HASH], object.hash.as_str());
        assert_eq!(metadata["ownerReferences"][0]["uid"], "integration-uid");
        assert_eq!(metadata["labels"][LABEL_INTEGRATION], "orders");
    }
}
