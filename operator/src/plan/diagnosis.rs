//! What Kubernetes says about a worker's pod, in words that stay the same while the matter does: no counts, no ages.

use crosstie_crds::condition::Reason;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ContainerStatus, Pod, PodCondition, PodStatus},
};

/// How long a pod may take to be made, to get a node, volumes and image, and to become ready, before status says what it waits for. It waits on all
/// the same: a slow registry or a store that is repaired may take longer. Below the minute within which every fault is to be said.
const PATIENCE: SignedDuration = SignedDuration::from_secs(45);

/// The worker as Kubernetes sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worker {
    /// The live pod, if there is one.
    pub pod: Option<LivePod>,
    /// What is wrong, if anything is.
    pub trouble: Option<Trouble>,
    /// What a pod that is still starting waits for, once patience with it has ended: to be told where nobody knows better.
    pub overdue: Option<Trouble>,
    /// When that patience ends.
    pub patience_ends: Option<Timestamp>,
}

/// A pod that is neither finished nor on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePod {
    /// Its name.
    pub name: String,
    /// Since when it has been ready, if it is.
    pub ready_since: Option<Timestamp>,
    /// The nudge annotation.
    pub nudge: Option<String>,
}

/// What is wrong with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The reason that conditions will show.
    pub reason: Reason,
    /// What failed, on what, and what to do.
    pub message: String,
}

impl Trouble {
    fn new(reason: Reason, message: String) -> Self {
        Self { reason, message }
    }
}

/// Whether a pod may still run something.
pub fn is_running(pod: &Pod) -> bool {
    !matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// Whether a pod runs and is to go on.
pub fn is_live(pod: &Pod) -> bool {
    is_running(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Looks at a worker's Deployment and pods.
pub fn worker<'a>(deployment: Option<&Deployment>, pods: impl IntoIterator<Item = &'a Pod>, now: Timestamp) -> Worker {
    let pods: Vec<&Pod> = pods.into_iter().collect();
    let newest = pods
        .iter()
        .filter(|pod| is_live(pod))
        .max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0));
    let Some(pod) = newest else {
        let leaving = pods.iter().find(|pod| is_running(pod));
        return without_pod(deployment, leaving.copied(), now);
    };
    let name = pod.metadata.name.clone().unwrap_or_default();
    let status = pod.status.as_ref();
    let ready_since = status.and_then(|status| condition_time(status, "Ready"));
    let live = LivePod {
        name: name.clone(),
        ready_since,
        nudge: pod
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(crosstie_crds::names::ANNOTATION_NUDGE))
            .cloned(),
    };
    if ready_since.is_some() {
        return Worker { pod: Some(live), ..Worker::default() };
    }
    let trouble = status.and_then(|status| {
        unschedulable(&name, status).or_else(|| containers(status).find_map(|it| failing(&name, it)))
    });
    let since = pod.metadata.creation_timestamp.as_ref().map(|created| created.0);
    Worker { pod: Some(live), trouble, ..Worker::default() }
        .waits(since.map(|since| since + PATIENCE), now, || not_ready(&name, status))
}

impl Worker {
    /// The same with what it waits for, which is told from `end` on.
    fn waits(self, end: Option<Timestamp>, now: Timestamp, what: impl FnOnce() -> Trouble) -> Self {
        match end {
            Some(end) if end <= now => Self { overdue: Some(what()), ..self },
            end => Self { patience_ends: end, ..self },
        }
    }
}

/// A worker of which no pod lives; one may be on its way out, and the next is made after that.
fn without_pod(deployment: Option<&Deployment>, leaving: Option<&Pod>, now: Timestamp) -> Worker {
    let worker = Worker { trouble: deployment.and_then(cannot_make_pods), ..Worker::default() };
    if let Some(pod) = leaving {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        // The time by which it is to be gone, not the one at which that was asked for.
        let end = pod.metadata.deletion_timestamp.as_ref().map(|end| end.0);
        return worker.waits(end, now, || {
            let message = format!(
                "worker pod {name} should have ended and has not, and the next one starts after it: see kubectl describe pod {name}; where its \
                 node is gone for good, kubectl delete pod {name} --force"
            );
            Trouble::new(Reason::WorkerUnavailable, message)
        });
    }
    let Some(deployment) = deployment else { return worker };
    worker.waits(without_pod_since(deployment).map(|at| at + PATIENCE), now, || {
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let message =
            format!("Kubernetes has made no pod for Deployment {name}: see kubectl describe deployment {name}");
        Trouble::new(Reason::WorkerUnavailable, message)
    })
}

/// Since when a Deployment that is to have a pod has had none that was ready; none where that cannot be told.
fn without_pod_since(deployment: &Deployment) -> Option<Timestamp> {
    let replicas = deployment.spec.replicas;
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_ref());
    let available = conditions.and_then(|all| all.iter().find(|it| it.type_.as_deref() == Some("Available")));
    let since = match available {
        _ if replicas == Some(0) => None,
        Some(available) if available.status.as_deref() == Some("False") => available.last_transition_time.as_ref(),
        Some(_) => None,
        None => deployment.metadata.creation_timestamp.as_ref(),
    };
    since.map(|since| since.0)
}

/// Those that run before the worker first: where others put some into every pod, the worker waits for them.
fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.init_container_statuses.iter().chain(&status.container_statuses).flatten()
}

fn condition_time(status: &PodStatus, kind: &str) -> Option<Timestamp> {
    let condition = condition(status, kind)?;
    (condition.status == "True")
        .then(|| condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0))
}

fn condition<'s>(status: &'s PodStatus, kind: &str) -> Option<&'s PodCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn cannot_make_pods(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failed = |kind: Option<&str>, status: Option<&str>| kind == Some("ReplicaFailure") && status == Some("True");
    let failure = conditions.iter().find(|all| failed(all.type_.as_deref(), all.status.as_deref()))?;
    let detail = failure.message.as_deref().unwrap_or("no further message");
    Some(Trouble::new(Reason::WorkerUnavailable, format!("Kubernetes cannot make the worker's pod: {detail}")))
}

fn unschedulable(name: &str, status: &PodStatus) -> Option<Trouble> {
    let scheduled = condition(status, "PodScheduled")?;
    (scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable")).then(|| {
        let detail = scheduled.message.as_deref().unwrap_or("no further message");
        Trouble::new(Reason::WorkerUnavailable, format!("worker pod {name} fits on no node: {detail}"))
    })
}

fn failing(name: &str, container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "ImageInspectError"
        | "RegistryUnavailable" => Some(Trouble::new(
            Reason::ImageUnavailable,
            format!(
                "image {} of worker pod {name} cannot be pulled: correct the operator's worker image or its pull secrets; \
                 kubectl describe pod {name} has the registry's answer",
                container.image
            ),
        )),
        // Says which file or key is missing, in the same words each time.
        "CreateContainerConfigError" => {
            let detail = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or("no further message");
            let message = format!("worker pod {name} cannot be configured: {detail}");
            Some(Trouble::new(Reason::WorkerUnavailable, message))
        }
        // Its words hold the id of each attempt, so they are left to `describe`.
        "CreateContainerError" | "RunContainerError" => {
            let message =
                format!("worker pod {name} cannot be started ({reason}): kubectl describe pod {name} says why");
            Some(Trouble::new(Reason::WorkerUnavailable, message))
        }
        _ => crashing(name, container, reason),
    }
}

/// A container that ended by itself more than once, whether it waits to be started again, is down, or is up for the moment.
fn crashing(name: &str, container: &ContainerStatus, waiting_for: &str) -> Option<Trouble> {
    let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().and_then(|state| state.terminated.clone())
    };
    let last = ended(&container.state).or_else(|| ended(&container.last_state))?;
    if waiting_for != "CrashLoopBackOff" && container.restart_count < 2 {
        return None;
    }
    // A container that does not even start within its memory is ended by its runtime, which says so in words only.
    let starved = last.message.as_deref().is_some_and(|message| message.contains("OOM-killed"));
    let message = if starved || last.reason.as_deref() == Some("OOMKilled") {
        format!("worker pod {name} keeps running out of memory: raise spec.workers.resources.limits.memory")
    } else {
        format!(
            "worker pod {name} keeps crashing with exit code {}: see kubectl logs {name} --previous",
            last.exit_code
        )
    };
    Some(Trouble::new(Reason::WorkerCrashLooping, message))
}

fn not_ready(name: &str, status: Option<&PodStatus>) -> Trouble {
    let started = status.is_some_and(|status| {
        containers(status).any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
    });
    let scheduled = status.and_then(|status| condition(status, "PodScheduled"));
    let message = match scheduled {
        _ if started => format!("worker pod {name} runs but does not become ready: see kubectl logs {name}"),
        Some(scheduled) if scheduled.status == "True" => {
            format!("worker pod {name} waits for its image, volumes or files: see kubectl describe pod {name}")
        }
        Some(PodCondition { message: Some(detail), .. }) => format!("worker pod {name} has no node: {detail}"),
        Some(_) | None => format!(
            "worker pod {name} has no node: the scheduler, or the provisioner of its volume, has not said why; see kubectl describe pod {name}"
        ),
    };
    Trouble::new(Reason::WorkerUnavailable, message)
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;
