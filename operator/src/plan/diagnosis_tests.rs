//! Pods as the API server shows them, and what is said about them.

use serde_json::{Value, json};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A pod of second 0 with this status.
fn pod(status: &Value) -> Pod {
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "orders-sync-1", "creationTimestamp": "1970-01-01T00:00:00Z"},
        "status": status,
    }))
    .unwrap()
}

fn container(state: &Value, last: &Value, restarts: i32) -> Value {
    json!({"phase": "Running", "containerStatuses": [{
        "name": "worker", "image": "w:1", "imageID": "", "ready": false,
        "restartCount": restarts, "state": state, "lastState": last,
    }]})
}

fn seen(status: &Value, now: i64) -> Worker {
    worker(None, [&pod(status)], at(now))
}

fn reason(status: &Value, now: i64) -> Option<Reason> {
    seen(status, now).trouble.map(|trouble| trouble.reason)
}

#[test]
fn a_pod_that_just_started_is_no_trouble() {
    let worker = seen(&container(&json!({"waiting": {"reason": "ContainerCreating"}}), &json!({}), 0), 5);
    assert_eq!((worker.trouble, worker.patience_ends), (None, Some(at(120))));
}

#[test]
fn a_ready_pod_is_seen_since_when() {
    let status = json!({"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:07Z"},
    ]});
    assert_eq!(seen(&status, 1000).pod.unwrap().ready_since, Some(at(7)));
}

#[test]
fn images_that_cannot_be_pulled_are_named() {
    for waiting in ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"] {
        let trouble = seen(&container(&json!({"waiting": {"reason": waiting}}), &json!({}), 0), 5).trouble.unwrap();
        assert_eq!(trouble.reason, Reason::ImageUnavailable, "{waiting}");
        assert!(trouble.message.contains("w:1"), "{}", trouble.message);
    }
}

#[test]
fn a_crash_loop_is_seen_also_between_two_crashes() {
    let ended = json!({"terminated": {"exitCode": 101, "reason": "Error"}});
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let first = seen(&container(&waiting, &ended, 1), 5).trouble.unwrap();
    assert_eq!(first.reason, Reason::WorkerCrashLooping);
    assert!(first.message.contains("exit code 101"), "{}", first.message);
    let up = json!({"running": {"startedAt": "1970-01-01T00:00:01Z"}});
    assert_eq!(seen(&container(&up, &ended, 3), 5).trouble.unwrap(), first);
    assert_eq!(seen(&container(&ended, &json!({}), 3), 5).trouble.unwrap(), first);
    assert_eq!(reason(&container(&up, &ended, 1), 5), None);
}

#[test]
fn running_out_of_memory_says_what_to_raise() {
    let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let trouble = seen(&container(&waiting, &ended, 4), 5).trouble.unwrap();
    assert!(trouble.message.contains("limits.memory"), "{}", trouble.message);
}

#[test]
fn a_pod_that_fits_nowhere_says_why() {
    let status = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"},
    ]});
    let trouble = seen(&status, 5).trouble.unwrap();
    assert_eq!(trouble.reason, Reason::WorkerUnavailable);
    assert!(trouble.message.contains("0/3 nodes"), "{}", trouble.message);
}

#[test]
fn patience_ends_with_what_the_pod_waits_for() {
    let creating = container(&json!({"waiting": {"reason": "ContainerCreating"}}), &json!({}), 0);
    assert!(seen(&creating, 121).trouble.unwrap().message.contains("volumes"));
    let up = container(&json!({"running": {}}), &json!({}), 0);
    assert!(seen(&up, 121).trouble.unwrap().message.contains("does not become ready"));
}

#[test]
fn pods_that_ended_or_are_on_their_way_out_are_not_the_worker() {
    let mut leaving = pod(&json!({"phase": "Running"}));
    leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
    let evicted = pod(&json!({"phase": "Failed", "reason": "Evicted"}));
    assert_eq!(worker(None, [&leaving, &evicted], at(5)), Worker::default());
    assert!(is_running(&leaving) && !is_live(&leaving) && !is_running(&evicted));
}

#[test]
fn a_quota_that_forbids_pods_is_told() {
    let deployment: Deployment = serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "orders-sync"},
        "spec": {"selector": {}, "template": {}},
        "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}]},
    }))
    .unwrap();
    let trouble = worker(Some(&deployment), [], at(5)).trouble.unwrap();
    assert!(trouble.message.contains("exceeded quota"), "{}", trouble.message);
}

#[test]
fn a_container_that_cannot_be_made_is_told_without_what_changes_with_each_attempt() {
    let waiting = |reason: &str, message: &str| {
        let state = json!({"waiting": {"reason": reason, "message": message}});
        seen(&container(&state, &json!({}), 0), 5).trouble.unwrap()
    };
    let missing = waiting("CreateContainerConfigError", "secret \"x\" not found");
    assert!(missing.message.contains("secret \"x\" not found"), "{}", missing.message);
    let first = waiting("RunContainerError", "failed to start containerd task \"a1\"");
    assert_eq!(first, waiting("RunContainerError", "failed to start containerd task \"b2\""));
    assert_eq!(first.reason, Reason::WorkerUnavailable);
}
