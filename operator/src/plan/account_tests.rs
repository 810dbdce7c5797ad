//! Which account a worker's pods are made with, and that nothing but another account makes them anew.

use super::*;
use crate::plan::objects::ANNOTATION_ACCOUNT;

/// The worker's Deployment that is wanted.
fn worker(seen: &Seen) -> Object {
    find(&want(seen), ObjectKind::Deployment, "orders-sync").unwrap().clone()
}

fn noted(worker: &Object) -> [Option<&str>; 2] {
    [&worker.body, &worker.body["spec"]["template"]]
        .map(|object| object["metadata"]["annotations"].get(ANNOTATION_ACCOUNT)?.as_str())
}

/// Runs on a Deployment that an earlier operator made: without a note, and otherwise as it should be.
fn unnoted() -> Seen {
    let bare = running();
    let object = objects::deployment(
        &Owner::integration(&bare.integration),
        &template(),
        &Mounted { ends: ["shopify", "netsuite"], alerts: Vec::new() },
        None,
        1,
        false,
        None,
    );
    let mut deployment = deployment(1);
    let annotations = [(ANNOTATION_APPLIED_HASH.to_owned(), object.hash)];
    Arc::make_mut(&mut deployment).metadata.annotations = Some(annotations.into());
    Seen { deployment: Some(deployment), ..bare }
}

#[test]
fn another_account_of_the_same_name_makes_another_pod_and_nothing_else_does() {
    let before = worker(&running());
    assert_eq!(noted(&before), [Some(ACCOUNT); 2]);
    assert_eq!(worker(&with_account(running(), ACCOUNT, 9_000)).hash, before.hash);
    let replaced = worker(&with_account(running(), "account-2", 9_000));
    assert_eq!(noted(&replaced), [Some("account-2"); 2]);
    assert_ne!(replaced.hash, before.hash);
}

#[test]
fn while_an_account_is_gone_it_is_made_again_and_the_worker_stays_as_it_is() {
    let mut seen = running();
    seen.owned.remove(&(ObjectKind::ServiceAccount, "orders-sync".to_owned()));
    let want = want(&seen);
    assert!(find(&want, ObjectKind::ServiceAccount, "orders-sync").is_some());
    assert!(find(&want, ObjectKind::Deployment, "orders-sync").is_none());
    assert!(!want.steps.iter().any(|step| matches!(step, Step::Scale { .. })), "{:?}", want.steps);
    assert_eq!(ready(&want).0, "Flowing");
}

#[test]
fn a_deployment_of_an_earlier_operator_is_not_rolled_out_for_a_note() {
    let seen = unnoted();
    let applied = seen.deployment.as_ref().unwrap().metadata.annotations.as_ref().unwrap().clone();
    let wanted = worker(&seen);
    assert_eq!(noted(&wanted), [None; 2]);
    assert_eq!(applied[ANNOTATION_APPLIED_HASH], wanted.hash, "it is not written at all");
}

#[test]
fn it_is_noted_with_the_next_change_there_is() {
    let newer = WorkerTemplate { image: "w:2".into(), ..template() };
    let want = integration(&unnoted(), &newer, now());
    let worker = find(&want, ObjectKind::Deployment, "orders-sync").unwrap();
    assert_eq!(noted(worker), [Some(ACCOUNT); 2]);
}

#[test]
fn it_is_noted_when_a_pod_is_older_than_the_account() {
    // The pod of the fixtures is of second 0.
    assert_eq!(noted(&worker(&with_account(unnoted(), "account-2", 1))), [Some("account-2"); 2]);
    let mut leaving = with_account(unnoted(), "account-2", 1);
    for pod in &mut leaving.pods {
        Arc::make_mut(pod).metadata.deletion_timestamp = Some(time(2));
    }
    assert_eq!(noted(&worker(&leaving)), [None; 2], "a pod that leaves is replaced anyway");
}
