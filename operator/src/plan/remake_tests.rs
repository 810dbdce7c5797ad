//! Objects that somebody deletes by hand while the plan may not go out: the last good one wants them again.

use super::{super::super::in_force::Published, gate::*, *};
use crate::plan::objects::ANNOTATION_ACCOUNT;

/// Runs with all that it owns, and knows the last good plan.
fn whole(seen: Seen, plan: Plan) -> Seen {
    let mut seen = seen;
    for (kind, name) in applied(&want(&running())) {
        let kind = ObjectKind::ALL.into_iter().find(|known| known.as_str() == kind).unwrap();
        seen.owned.entry((kind, name.to_owned())).or_insert_with(|| mine(&[]));
    }
    Seen { last_good: Some(Arc::new(Published { plan, hash: "p1".into() })), ..seen }
}

fn without(mut seen: Seen, kind: ObjectKind, name: &str) -> Seen {
    seen.owned.remove(&(kind, name.to_owned())).unwrap();
    if kind == ObjectKind::Deployment {
        seen.deployment = None;
        seen.pods.clear();
    }
    seen
}

fn held() -> Seen {
    whole(failing(changed(running())), plan())
}

#[test]
fn while_a_plan_is_held_back_nothing_that_is_there_is_touched() {
    assert_eq!(applied(&want(&held())), [("ConfigMap", "orders-shares")]);
    assert_eq!(want(&held()).steps.len(), 1);
}

#[test]
fn a_deployment_deleted_while_a_plan_is_held_back_is_made_again_from_the_last_good_one() {
    let want = want(&without(held(), ObjectKind::Deployment, "orders-sync"));
    assert_eq!(applied(&want), [("ConfigMap", "orders-shares"), ("Deployment", "orders-sync")]);
    let (reason, message) = ready(&want);
    assert_eq!(reason, "Starting");
    assert!(message.contains("goes on with plan p1") || message.contains("waiting for Kubernetes"), "{message}");
    assert_eq!(want.status_after(None, now()).plan.unwrap().hash, "p1");
}

#[test]
fn a_worker_whose_account_was_replaced_meanwhile_is_made_again_from_the_last_good_plan() {
    let want = want(&with_account(held(), "account-2", 9_000));
    assert_eq!(applied(&want), [("ConfigMap", "orders-shares"), ("Deployment", "orders-sync")]);
    let body = &find(&want, ObjectKind::Deployment, "orders-sync").unwrap().body;
    assert_eq!(body["spec"]["template"]["metadata"]["annotations"][ANNOTATION_ACCOUNT], "account-2");
}

#[test]
fn every_other_object_deleted_meanwhile_is_made_again_and_no_other() {
    let deleted = [
        (ObjectKind::ServiceAccount, "orders-sync"),
        (ObjectKind::Role, "orders-sync"),
        (ObjectKind::RoleBinding, "orders-sync"),
        (ObjectKind::SyncReport, "orders"),
        (ObjectKind::NetworkPolicy, "orders-sync"),
        (ObjectKind::ConfigMap, "orders-plan"),
    ];
    for (kind, name) in deleted {
        let want = want(&without(held(), kind, name));
        assert_eq!(applied(&want), [("ConfigMap", "orders-shares"), (kind.as_str(), name)]);
        assert_eq!(ready(&want).0, "Flowing", "{name}");
    }
    let plan = want(&without(held(), ObjectKind::ConfigMap, "orders-plan"));
    let body = &find(&plan, ObjectKind::ConfigMap, "orders-plan").unwrap().body;
    assert_eq!(body["metadata"]["annotations"][ANNOTATION_PLAN_HASH], "p1", "the plan that is held back stays so");
    let shares = want(&without(held(), ObjectKind::ConfigMap, "orders-shares"));
    assert_eq!(applied(&shares), [("ConfigMap", "orders-shares")]);
}

#[test]
fn the_webhooks_that_only_the_last_good_plan_takes_find_their_way_again() {
    let seen = whole(failing(changed(running())), receiving());
    let made = want(&seen);
    assert!(find(&made, ObjectKind::Service, "orders-webhooks").is_some(), "{:?}", applied(&made));
    assert_eq!(made.status_after(None, now()).receiver.unwrap().path, "/shop/orders");
    let made = want(&without(seen, ObjectKind::Deployment, "orders-sync"));
    let container =
        find(&made, ObjectKind::Deployment, "orders-sync").unwrap().body["spec"]["template"]["spec"].clone();
    assert_eq!(container["containers"][0]["ports"].as_array().unwrap().len(), 2);
}

#[test]
fn the_same_holds_while_a_spec_does_not_compile_or_credentials_lack_what_it_needs() {
    let refused = Seen { granted: Some(granted()), ..broken(running()) };
    let made = want(&without(whole(refused, plan()), ObjectKind::Deployment, "orders-sync"));
    assert_eq!(applied(&made), [("ConfigMap", "orders-shares"), ("Deployment", "orders-sync")]);
    assert_eq!(ready(&made).0, "PlanInvalid");
    let mut needs_more = plan();
    needs_more.source.authentication =
        serde_json::from_value(json!({"basic": {"username": "{email}", "password": "{token}"}})).unwrap();
    let compiled = Some(Arc::new(Compilation { plan: Some((needs_more, "p2".into())), findings: Vec::new() }));
    let seen = without(whole(Seen { compiled, ..running() }, plan()), ObjectKind::Deployment, "orders-sync");
    assert_eq!(applied(&want(&seen)), [("ConfigMap", "orders-shares"), ("Deployment", "orders-sync")]);
}

#[test]
fn a_volume_that_was_deleted_meanwhile_is_not_made_anew() {
    let want = want(&without(held(), ObjectKind::VolumeClaim, "orders-state"));
    assert_eq!(find(&want, ObjectKind::VolumeClaim, "orders-state"), None);
    assert_eq!(ready(&want).0, "StateLost");
}
