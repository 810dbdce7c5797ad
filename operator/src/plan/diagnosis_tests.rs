//! Pods as the API server shows them, and what is said about them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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
    assert_eq!((worker.trouble, worker.overdue, worker.patience_ends), (None, None, Some(at(45))));
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
    let killed = json!({"exitCode": 137, "reason": "OOMKilled"});
    let told = "runc create failed: container init was OOM-killed (memory limit too low?)";
    let starved = json!({"exitCode": 128, "reason": "StartError", "message": told});
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    for ended in [killed, starved] {
        let trouble = seen(&container(&waiting, &json!({ "terminated": ended }), 4), 5).trouble.unwrap();
        assert!(trouble.message.contains("limits.memory"), "{}", trouble.message);
    }
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

/// What is told once patience has ended.
fn overdue(worker: Worker) -> String {
    assert_eq!((worker.trouble, worker.patience_ends), (None, None));
    let overdue = worker.overdue.unwrap();
    assert_eq!(overdue.reason, Reason::WorkerUnavailable);
    overdue.message
}

#[test]
fn patience_ends_with_what_the_pod_waits_for() {
    let scheduled = |mut status: Value, condition: &Value| {
        status["conditions"] = json!([condition]);
        status
    };
    let creating = container(&json!({"waiting": {"reason": "ContainerCreating"}}), &json!({}), 0);
    let yes = json!({"type": "PodScheduled", "status": "True"});
    assert!(overdue(seen(&scheduled(creating, &yes), 45)).contains("image, volumes or files"));
    let up = container(&json!({"running": {}}), &json!({}), 0);
    assert!(overdue(seen(&scheduled(up, &yes), 45)).contains("does not become ready"));
    let gated =
        json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gated by x"});
    assert!(overdue(seen(&scheduled(json!({"phase": "Pending"}), &gated), 45)).contains("no node: gated by x"));
    assert!(overdue(seen(&json!({"phase": "Pending"}), 45)).contains("the provisioner of its volume"));
}

#[test]
fn a_container_that_others_put_before_the_worker_is_looked_at_too() {
    let mut status = container(&json!({"waiting": {"reason": "PodInitializing"}}), &json!({}), 0);
    let mesh = container(&json!({"waiting": {"reason": "ImagePullBackOff"}}), &json!({}), 0);
    status["initContainerStatuses"] = mesh["containerStatuses"].clone();
    assert_eq!(reason(&status, 5), Some(Reason::ImageUnavailable));
}

/// The worker's Deployment, made in second 0, with these conditions.
fn deployment(replicas: i32, conditions: &Value) -> Deployment {
    serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "orders-sync", "creationTimestamp": "1970-01-01T00:00:00Z"},
        "spec": {"replicas": replicas, "selector": {}, "template": {}},
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

#[test]
fn a_deployment_without_a_pod_is_told_once_patience_has_ended() {
    let seen = |replicas, conditions: &Value, now| worker(Some(&deployment(replicas, conditions)), [], at(now));
    let unavailable = json!([{"type": "Available", "status": "False", "lastTransitionTime": "1970-01-01T00:01:00Z"}]);
    assert_eq!(seen(1, &unavailable, 104).patience_ends, Some(at(105)));
    assert!(overdue(seen(1, &unavailable, 105)).contains("no pod for Deployment orders-sync"));
    assert!(overdue(seen(1, &json!([]), 45)).contains("no pod"), "nobody looks after Deployments");
    assert_eq!(seen(0, &unavailable, 105), Worker::default(), "it is to have none");
    let scaled_up = json!([{"type": "Available", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z"}]);
    assert_eq!(seen(1, &scaled_up, 1000), Worker::default(), "since when is not known");
}

#[test]
fn a_pod_that_does_not_end_is_told_when_it_should_have() {
    let mut leaving = pod(&json!({"phase": "Running"}));
    leaving.metadata.deletion_timestamp = Some(Time(at(45)));
    let seen = |now| worker(Some(&deployment(1, &json!([]))), [&leaving], at(now));
    assert_eq!(seen(44).patience_ends, Some(at(45)));
    assert!(overdue(seen(45)).contains("kubectl delete pod orders-sync-1 --force"));
}

#[test]
fn pods_that_ended_or_are_on_their_way_out_are_not_the_worker() {
    let mut leaving = pod(&json!({"phase": "Running"}));
    leaving.metadata.deletion_timestamp = Some(Time(at(45)));
    let evicted = pod(&json!({"phase": "Failed", "reason": "Evicted"}));
    assert_eq!(worker(None, [&leaving, &evicted], at(5)).pod, None);
    assert!(is_running(&leaving) && !is_live(&leaving) && !is_running(&evicted));
}

#[test]
fn a_quota_that_forbids_pods_is_told() {
    let failure = json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}]);
    let deployment = deployment(1, &failure);
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
