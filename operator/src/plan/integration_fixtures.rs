//! Fixtures: one Integration, from nothing to running.

use std::sync::Arc;

use crosstie_crds::{
    Connector, SyncReport,
    sync_report::{CredentialReport, FlowReport, SyncReportStatus},
};
use crosstie_engine::plan::Allowance;
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::{OwnerReference, Time},
};
use serde_json::json;

use super::super::*;
use crate::plan::{
    objects::{ANNOTATION_ACCOUNT, ANNOTATION_PLAN_HASH, CredentialVersions},
    shares::{self, Granted},
    verification::Verification,
};

pub(super) const NOW: i64 = 10_000;
pub(super) const POD: &str = "orders-sync-1";
/// Uid of the account that the worker was made with.
pub(super) const ACCOUNT: &str = "account-1";

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

pub(super) fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

pub(super) fn template() -> WorkerTemplate {
    WorkerTemplate {
        image: "w:1".into(),
        pull_policy: "IfNotPresent",
        pull_secrets: Vec::new(),
        log_format: "json",
        network_policy: true,
        proxy: None,
    }
}

pub(super) fn object() -> Integration {
    serde_json::from_str(include_str!("../../tests/integration.json")).unwrap()
}

pub(super) fn connector(name: &str) -> Arc<Connector> {
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Available", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z",
    });
    let object = serde_json::from_value(json!({
        "apiVersion": "crosstie.dev/v1alpha1",
        "kind": "Connector",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1},
        "spec": {"preset": "X", "baseURL": "https://a.example.com", "credentials": {}},
        "status": {"observedGeneration": 1, "conditions": [ready]},
    }));
    Arc::new(object.unwrap())
}

pub(super) fn plan() -> Plan {
    let system = |connector: &str| {
        json!({
            "connector": connector,
            "baseUrl": "https://a.example.com/",
            "apiVersion": null,
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

pub(super) fn granted() -> Granted {
    let end = |account: &str| shares::End {
        account: account.into(),
        whole: Allowance { requests: 40, per_seconds: 20, concurrency: 8 },
    };
    shares::grant(&end("connector/shopify"), &end("connector/netsuite"), None, &[])
}

pub(super) fn versions(id: &str) -> CredentialVersions {
    CredentialVersions { version_id: id.into(), previous_version_id: None, seen_at: None, keys: vec!["token".into()] }
}

pub(super) fn mine(annotations: &[(&str, &str)]) -> ObjectMeta {
    ObjectMeta {
        owner_references: Some(vec![OwnerReference { uid: "integration-uid".into(), ..OwnerReference::default() }]),
        annotations: Some(annotations.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()),
        ..ObjectMeta::default()
    }
}

/// Just applied, with Connectors that are ready; nothing exists yet.
pub(super) fn fresh() -> Seen {
    Seen {
        integration: Arc::new(object()),
        source: Some(connector("shopify")),
        destination: Some(connector("netsuite")),
        compiled: Some(Arc::new(Compilation { plan: Some((plan(), "p1".into())), findings: Vec::new() })),
        verification: Verification::Unasked,
        last_good: None,
        owned: BTreeMap::new(),
        credentials: [Some(versions("s1")), Some(versions("d1"))],
        deployment: None,
        pods: Vec::new(),
        report: None,
        heard: BTreeMap::new(),
        granted: Some(granted()),
    }
}

pub(super) fn report() -> WorkerReport {
    let credential = |connector: &str, version: &str| CredentialReport {
        connector: connector.into(),
        loaded_version_id: version.into(),
        used_version_id: version.into(),
        accepted: Some(true),
        rejected_version_id: None,
    };
    WorkerReport {
        pod: POD.into(),
        reported_at: time(NOW - 10),
        started_at: time(NOW - 500),
        plan_hash: Some("p1".into()),
        shares_hash: Some(granted().published.hash),
        store_id: Some("store-a".into()),
        credentials: vec![credential("shopify", "s1"), credential("netsuite", "d1")],
        apis: Vec::new(),
        flows: vec![FlowReport {
            flow: "orders".into(),
            delivered: 12,
            last_sync_time: Some(time(NOW - 10)),
            next_run_time: Some(time(NOW + 890)),
            ..FlowReport::default()
        }],
        problems: Vec::new(),
    }
}

pub(super) fn reports(workers: Vec<WorkerReport>) -> Arc<SyncReport> {
    let mut report = SyncReport::new(
        "orders",
        crosstie_crds::SyncReportSpec {
            integration_ref: crosstie_crds::connector::LocalReference { name: "orders".into() },
        },
    );
    report.status = Some(SyncReportStatus { workers });
    Arc::new(report)
}

pub(super) fn deployment(replicas: i32) -> Arc<Deployment> {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "orders-sync", "annotations": {ANNOTATION_ACCOUNT: ACCOUNT}},
        "spec": {"replicas": replicas, "selector": {}, "template": {}},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

pub(super) fn pod() -> Arc<Pod> {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": POD, "creationTimestamp": "1970-01-01T00:00:00Z"},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:07Z"},
        ]},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

/// With an account of this uid, made at this second.
pub(super) fn with_account(mut seen: Seen, uid: &str, made_at: i64) -> Seen {
    let meta = ObjectMeta { uid: Some(uid.into()), creation_timestamp: Some(time(made_at)), ..mine(&[]) };
    seen.owned.insert((ObjectKind::ServiceAccount, "orders-sync".to_owned()), meta);
    seen
}

/// Runs, and reports all that was published.
pub(super) fn running() -> Seen {
    let shares = [(ANNOTATION_STORE_ID, "store-a")];
    let seen = Seen {
        owned: [
            ((ObjectKind::VolumeClaim, "orders-state".to_owned()), mine(&shares)),
            ((ObjectKind::ConfigMap, "orders-shares".to_owned()), mine(&shares)),
            ((ObjectKind::ConfigMap, "orders-plan".to_owned()), mine(&[(ANNOTATION_PLAN_HASH, "p1")])),
        ]
        .into(),
        deployment: Some(deployment(1)),
        pods: vec![pod()],
        report: Some(reports(vec![report()])),
        ..fresh()
    };
    with_account(seen, ACCOUNT, 0)
}

pub(super) fn with_spec(seen: Seen, change: impl FnOnce(&mut Integration)) -> Seen {
    let mut object = (*seen.integration).clone();
    change(&mut object);
    Seen { integration: Arc::new(object), ..seen }
}
