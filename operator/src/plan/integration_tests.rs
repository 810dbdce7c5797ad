//! Integrations through their life: what is done, what is left alone, what status says.

use std::sync::Arc;

use crosstie_crds::{condition::ConditionType, sync_report::Problem};
use crosstie_engine::compile::Finding;
use serde_json::json;

use super::*;
use crate::plan::objects::{ANNOTATION_PLAN_HASH, CredentialVersions};

#[path = "account_tests.rs"]
mod account_of_pods;
#[path = "integration_fixtures.rs"]
mod fixtures;
use fixtures::*;
#[path = "gate_tests.rs"]
mod gate;
#[path = "remake_tests.rs"]
mod remake;

fn want(seen: &Seen) -> Want {
    integration(seen, &template(), now())
}

fn applied(want: &Want) -> Vec<(&'static str, &str)> {
    let objects = want.steps.iter().filter_map(|step| match step {
        Step::Apply(object) => Some((object.kind.as_str(), object.name.as_str())),
        _ => None,
    });
    objects.collect()
}

fn find<'w>(want: &'w Want, kind: ObjectKind, name: &str) -> Option<&'w Object> {
    want.steps.iter().find_map(|step| match step {
        Step::Apply(object) if object.kind == kind && object.name == name => Some(object),
        _ => None,
    })
}

fn ready(want: &Want) -> (String, String) {
    let status = want.status_after(None, now());
    let ready = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.as_str()).unwrap();
    (ready.reason.clone(), ready.message.clone())
}

fn lost(mut seen: Seen) -> Seen {
    seen.owned.remove(&(ObjectKind::VolumeClaim, "orders-state".to_owned()));
    seen
}

fn broken(seen: Seen) -> Seen {
    let finding = Finding { reason: Reason::PlanInvalid, path: "spec.flows[orders]".into(), message: "m".into() };
    let compiled = Some(Arc::new(Compilation { plan: None, findings: vec![finding] }));
    Seen { compiled, granted: None, ..seen }
}

#[test]
fn everything_is_made_in_an_order_in_which_each_finds_what_it_needs() {
    let mut expected = vec![
        ("ServiceAccount", "orders-sync"),
        ("Role", "orders-sync"),
        ("RoleBinding", "orders-sync"),
        ("SyncReport", "orders"),
        ("NetworkPolicy", "orders-sync"),
        ("PersistentVolumeClaim", "orders-state"),
        ("ConfigMap", "orders-plan"),
        ("ConfigMap", "orders-shares"),
    ];
    let first = want(&fresh());
    assert_eq!(applied(&first), expected, "a worker waits for its account to be seen");
    assert_eq!(ready(&first).0, "Starting");
    expected.push(("Deployment", "orders-sync"));
    assert_eq!(applied(&want(&with_account(fresh(), ACCOUNT, 0))), expected);
}

#[test]
fn a_running_integration_flows_and_shows_its_figures() {
    let want = want(&running());
    assert_eq!(ready(&want).0, "Flowing");
    let status = want.status_after(None, now());
    assert_eq!(status.plan.unwrap().applied_hash.as_deref(), Some("p1"));
    assert_eq!(status.flows[0].delivered, 12);
    assert!(!want.steps.iter().any(|step| !matches!(step, Step::Apply(_))), "{:?}", want.steps);
}

#[test]
fn looking_again_changes_nothing() {
    let first = want(&running()).status_after(None, now());
    let again = with_spec(running(), |object| object.status = Some(first.clone()));
    let later = now() + SignedDuration::from_secs(30);
    let second = integration(&again, &template(), later);
    assert_eq!(second.status_after(None, later), first);
    assert_eq!(second.steps, want(&running()).steps);
}

#[test]
fn the_first_reported_store_is_remembered_in_both_places() {
    let mut seen = running();
    seen.owned.insert((ObjectKind::VolumeClaim, "orders-state".to_owned()), mine(&[]));
    seen.owned.insert((ObjectKind::ConfigMap, "orders-shares".to_owned()), mine(&[]));
    let want = want(&seen);
    let claim = find(&want, ObjectKind::VolumeClaim, "orders-state").unwrap();
    assert_eq!(claim.body["metadata"]["annotations"][ANNOTATION_STORE_ID], "store-a");
    let shares = find(&want, ObjectKind::ConfigMap, "orders-shares").unwrap();
    assert_eq!(shares.body["data"][objects::STORE_ID_FILE], "store-a");
}

#[test]
fn one_that_is_suspended_from_the_start_gets_its_plan_and_nothing_else() {
    let seen = with_spec(fresh(), |object| object.spec.suspend = true);
    assert!(rests(&seen.integration, &seen.owned));
    let seen = Seen { granted: None, ..seen };
    let want = want(&seen);
    assert_eq!(applied(&want), [("ConfigMap", "orders-plan")]);
    assert_eq!(ready(&want).0, "Suspended");
    let mut ran = seen;
    ran.owned.insert((ObjectKind::ConfigMap, "orders-plan".to_owned()), mine(&[]));
    assert!(rests(&ran.integration, &ran.owned));
    ran.owned.insert((ObjectKind::VolumeClaim, "orders-state".to_owned()), mine(&[]));
    assert!(!rests(&ran.integration, &ran.owned), "what an earlier life left is looked after");
}

#[test]
fn suspending_stops_the_worker_and_keeps_the_rest() {
    let want = want(&with_spec(running(), |object| object.spec.suspend = true));
    assert_eq!(find(&want, ObjectKind::Deployment, "orders-sync").unwrap().body["spec"]["replicas"], 0);
    assert!(find(&want, ObjectKind::VolumeClaim, "orders-state").is_some());
    assert_eq!(ready(&want).0, "Suspended");
}

#[test]
fn a_new_spec_that_does_not_compile_leaves_the_last_good_plan_running() {
    let want = want(&broken(running()));
    assert_eq!(want.steps, []);
    let (reason, message) = ready(&want);
    assert_eq!(reason, "PlanInvalid");
    assert!(message.ends_with("the worker goes on with plan p1"), "{message}");
    assert_eq!(want.status_after(None, now()).plan.unwrap().hash, "p1");
}

#[test]
fn a_first_spec_that_does_not_compile_makes_nothing() {
    let want = want(&broken(fresh()));
    assert_eq!(want.steps, []);
    assert_eq!(want.status_after(None, now()).plan, None);
}

#[test]
fn suspending_works_also_with_a_spec_that_does_not_compile() {
    let suspended = with_spec(broken(running()), |object| object.spec.suspend = true);
    let stop = Step::Scale { deployment: "orders-sync".into(), replicas: 0 };
    assert_eq!(want(&suspended).steps, [stop]);
    let stopped = Seen { deployment: Some(deployment(0)), pods: Vec::new(), ..broken(running()) };
    let start = Step::Scale { deployment: "orders-sync".into(), replicas: 1 };
    assert_eq!(want(&stopped).steps, [start]);
}

#[test]
fn a_connector_that_is_gone_is_told_and_the_worker_goes_on() {
    let seen =
        Seen { source: None, compiled: None, granted: None, credentials: [None, Some(versions("d1"))], ..running() };
    let want = want(&seen);
    assert_eq!(want.steps, []);
    let (reason, message) = ready(&want);
    assert_eq!(reason, "ConnectorNotFound");
    assert!(message.contains("Connector shopify does not exist in namespace shop"), "{message}");
}

#[test]
fn no_worker_is_made_before_credentials_are_there() {
    let want = want(&Seen { credentials: [Some(versions("s1")), None], ..with_account(fresh(), ACCOUNT, 0) });
    assert!(find(&want, ObjectKind::Deployment, "orders-sync").is_none());
    assert!(find(&want, ObjectKind::ConfigMap, "orders-plan").is_some());
    assert_eq!(ready(&want).0, "Starting");
}

#[test]
fn a_connector_that_is_not_ready_lends_its_reason() {
    let mut seen = fresh();
    let status = Arc::make_mut(seen.source.as_mut().unwrap()).status.as_mut().unwrap();
    (status.conditions[0].status, status.conditions[0].reason) = ("False".into(), "SecretMissing".into());
    status.conditions[0].message = "secret shop/shopify does not exist".into();
    let (reason, message) = ready(&want(&Seen { credentials: [None, Some(versions("d1"))], ..seen }));
    assert_eq!(reason, "ConnectorNotReady");
    assert_eq!(message, "Connector shopify is not ready, SecretMissing: secret shop/shopify does not exist");
}

#[test]
fn a_lost_volume_stops_the_worker_and_is_not_made_anew() {
    let want = want(&lost(running()));
    assert!(find(&want, ObjectKind::VolumeClaim, "orders-state").is_none());
    assert!(want.steps.contains(&Step::Scale { deployment: "orders-sync".into(), replicas: 0 }));
    let (reason, message) = ready(&want);
    assert_eq!(reason, "StateLost");
    assert!(
        message.ends_with("kubectl annotate integration orders --overwrite crosstie.dev/accept-state-loss=store-a"),
        "{message}"
    );
    let shares = find(&want, ObjectKind::ConfigMap, "orders-shares").unwrap();
    assert_eq!(shares.body["data"][objects::STORE_ID_FILE], "store-a", "what was lost must not be forgotten");
}

#[test]
fn an_accepted_loss_begins_anew() {
    let accept = |object: &mut Integration| {
        let annotation = (ANNOTATION_ACCEPT_STATE_LOSS.to_owned(), "store-a".to_owned());
        object.metadata.annotations = Some([annotation].into());
    };
    let seen = Seen { pods: Vec::new(), report: None, deployment: Some(deployment(0)), ..lost(running()) };
    let want = want(&with_spec(seen, accept));
    assert!(find(&want, ObjectKind::VolumeClaim, "orders-state").is_some());
    let shares = find(&want, ObjectKind::ConfigMap, "orders-shares").unwrap();
    assert_eq!(shares.body["data"].get(objects::STORE_ID_FILE), None);
    assert_eq!(find(&want, ObjectKind::Deployment, "orders-sync").unwrap().body["spec"]["replicas"], 1);
}

#[test]
fn a_retained_volume_is_adopted_with_its_store() {
    let mut seen = with_account(fresh(), ACCOUNT, 0);
    let claim = ObjectMeta { owner_references: None, ..mine(&[(ANNOTATION_STORE_ID, "store-z")]) };
    seen.owned.insert((ObjectKind::VolumeClaim, "orders-state".to_owned()), claim);
    let want = want(&seen);
    let shares = find(&want, ObjectKind::ConfigMap, "orders-shares").unwrap();
    assert_eq!(shares.body["data"][objects::STORE_ID_FILE], "store-z");
    assert!(find(&want, ObjectKind::Deployment, "orders-sync").is_some());
}

#[test]
fn a_pod_is_nudged_until_it_shows_what_was_published() {
    let rotated = Seen { credentials: [Some(versions("s2")), Some(versions("d1"))], ..running() };
    let want = want(&rotated);
    let nudges: Vec<&Step> = want.steps.iter().filter(|step| matches!(step, Step::Nudge { .. })).collect();
    assert_eq!(nudges.len(), 1, "{:?}", want.steps);
    assert_eq!(want.look_again, now() + SignedDuration::from_secs(2));
    assert_eq!(ready(&want).0, "Flowing", "a rotation costs nothing");
}

#[test]
fn entries_of_pods_that_are_gone_are_removed_one_at_a_time() {
    let gone = WorkerReport { pod: "orders-sync-0".into(), reported_at: time(NOW - 900), ..report() };
    let seen = Seen { report: Some(reports(vec![gone.clone(), report()])), ..running() };
    let forget = Step::Forget { report: "orders".into(), index: 0, pod: "orders-sync-0".into() };
    assert!(want(&seen).steps.contains(&forget));
    let only = Seen { report: Some(reports(vec![gone])), pods: Vec::new(), ..running() };
    let want = want(&only);
    assert!(!want.steps.iter().any(|step| matches!(step, Step::Forget { .. })), "the last figures are kept");
    assert_eq!(want.status_after(None, now()).flows[0].delivered, 12);
}

#[test]
fn what_is_no_longer_wanted_is_deleted_but_never_what_others_own() {
    let mut seen = running();
    seen.owned.insert((ObjectKind::NetworkPolicy, "orders-sync".to_owned()), mine(&[]));
    seen.owned.insert((ObjectKind::ConfigMap, "orders-old".to_owned()), mine(&[]));
    seen.owned.insert((ObjectKind::ConfigMap, "stranger".to_owned()), ObjectMeta::default());
    let template = WorkerTemplate { network_policy: false, ..template() };
    let want = integration(&seen, &template, now());
    let deleted: Vec<&str> = want
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Delete { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(deleted, ["orders-old", "orders-sync"]);
}

#[test]
fn a_problem_of_the_worker_is_what_status_says() {
    let problem = Problem {
        reason: Reason::DestinationUnavailable,
        flow: Some("orders".into()),
        message: "POST answered 503".into(),
        since: time(NOW - 60),
    };
    let seen = Seen { report: Some(reports(vec![WorkerReport { problems: vec![problem], ..report() }])), ..running() };
    assert_eq!(ready(&want(&seen)), ("DestinationUnavailable".into(), "flow orders: POST answered 503".into()));
}

#[test]
fn a_deployment_that_somebody_scaled_while_nobody_looked_is_scaled_back() {
    let first = want(&running());
    let applied = find(&first, ObjectKind::Deployment, "orders-sync").unwrap().hash.clone();
    let mut scaled = deployment(0);
    Arc::make_mut(&mut scaled).metadata.annotations = Some([(ANNOTATION_APPLIED_HASH.to_owned(), applied)].into());
    let back = Step::Scale { deployment: "orders-sync".into(), replicas: 1 };
    assert!(want(&Seen { deployment: Some(scaled), ..running() }).steps.contains(&back));
}

#[test]
fn a_plan_that_needs_other_keys_waits_for_credentials_that_hold_them() {
    let mut plan = plan();
    plan.source.authentication =
        serde_json::from_value(json!({"basic": {"username": "{email}", "password": "{token}"}})).unwrap();
    let compiled = Some(Arc::new(Compilation { plan: Some((plan, "p2".into())), findings: Vec::new() }));
    let seen = Seen { compiled, ..running() };
    let before = want(&seen);
    assert_eq!(applied(&before), [("ConfigMap", "orders-shares")], "others count on the shares, whichever plan runs");
    assert_eq!(before.status_after(None, now()).plan.unwrap().hash, "p1");
    assert_eq!(ready(&before).0, "Starting");
    let keys = vec!["email".into(), "token".into()];
    let held = CredentialVersions { keys, ..versions("s2") };
    let after = want(&Seen { credentials: [Some(held), Some(versions("d1"))], ..seen });
    let published = find(&after, ObjectKind::ConfigMap, "orders-plan").unwrap();
    assert_eq!(published.body["metadata"]["annotations"][ANNOTATION_PLAN_HASH], "p2");
}

/// A plan that takes webhooks.
fn receiving() -> Plan {
    let receiver = json!({
        "path": "/shop/orders", "origin": "https://hooks.example.com", "refusalStatus": 401, "maxBodyBytes": 1024, "auditDays": 7,
        "verification": {"token": {"at": {"header": "X-Token"}, "value": "{webhookToken}"}},
    });
    Plan { receiver: Some(serde_json::from_value(receiver).unwrap()), ..plan() }
}

#[test]
fn webhooks_reach_the_worker_while_a_flow_takes_them_and_no_longer() {
    let mut object = object();
    object.spec.receiver = serde_json::from_value(json!({"host": "hooks.example.com", "ingress": {}})).unwrap();
    let compiled = Some(Arc::new(Compilation { plan: Some((receiving(), "p2".into())), findings: Vec::new() }));
    let seen = Seen { integration: Arc::new(object), compiled, ..running() };
    let taking = want(&seen);
    let body = |kind, name| find(&taking, kind, name).unwrap().body.clone();
    let service = body(ObjectKind::Service, "orders-webhooks");
    assert_eq!(
        service["spec"]["ports"][0],
        json!({"name": "webhooks", "port": 80, "protocol": "TCP", "targetPort": "webhooks"})
    );
    let ingress = body(ObjectKind::Ingress, "orders-webhooks");
    let path = &ingress["spec"]["rules"][0]["http"]["paths"][0];
    assert_eq!((&path["path"], &path["pathType"]), (&json!("/shop/orders"), &json!("Exact")));
    let container = body(ObjectKind::Deployment, "orders-sync")["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container["ports"][1]["containerPort"], 8082);
    assert!(container["env"].to_string().contains("0.0.0.0:8082"), "{}", container["env"]);
    let policy = body(ObjectKind::NetworkPolicy, "orders-sync");
    assert_eq!(policy["spec"]["ingress"][0]["ports"][1]["port"], 8082);
    let status = taking.status_after(None, now()).receiver.unwrap();
    assert_eq!(status.url.as_deref(), Some("https://hooks.example.com/shop/orders"));
    assert_eq!((status.service.as_str(), status.path.as_str()), ("orders-webhooks", "/shop/orders"));

    let mut left = running();
    for kind in [ObjectKind::Service, ObjectKind::Ingress] {
        left.owned.insert((kind, "orders-webhooks".to_owned()), mine(&[]));
    }
    let after = want(&left);
    for kind in [ObjectKind::Service, ObjectKind::Ingress] {
        assert!(after.steps.contains(&Step::Delete { kind, name: "orders-webhooks".into() }), "{:?}", after.steps);
    }
    let container = &find(&after, ObjectKind::Deployment, "orders-sync").unwrap().body["spec"]["template"]["spec"];
    assert_eq!(container["containers"][0]["ports"].as_array().unwrap().len(), 1, "nothing listens for nobody");
}
