//! Whether data flows, derived from facts each time: what compiled, what Kubernetes says of the pod, what the live worker reports.
//! Nothing here remembers a phase.

use crosstie_crds::{
    condition::{ConditionType, Reason},
    sync_report::{Problem, WorkerReport},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    conditions::{Draft, Truth},
    diagnosis::{Trouble, Worker},
    verification::{Held, Verification},
};

/// How long a ready worker may be silent before its first report, and between two: workers report at least every 25 s, and one attempt that fails
/// late is made up for by then. Below the minute within which every fault is to be said.
const SILENCE: SignedDuration = SignedDuration::from_secs(45);

/// Everything that health is derived from.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whether the spec says that nothing should run.
    pub suspended: bool,
    /// Hash of the plan the spec compiles to; `None` when it does not.
    pub compiled: Option<String>,
    /// Why the spec does not compile.
    pub refused: Option<Trouble>,
    /// What else keeps data from flowing before the worker is asked.
    pub blocked: Option<Trouble>,
    /// Hash of the plan that workers are to run.
    pub published: Option<String>,
    /// What the flows' fixtures say of the plan that the spec compiles to.
    pub verification: Verification,
    /// Whether they keep that plan from the worker.
    pub held: Held,
    /// Names of its flows.
    pub flows: Vec<String>,
    /// Whether anybody is to be told of troubles.
    pub alerts: bool,
    /// The worker as Kubernetes sees it.
    pub worker: Worker,
    /// Whether any pod is left, also one on its way out.
    pub pods_left: bool,
    /// What the live worker reports.
    pub report: Option<WorkerReport>,
    /// When that report came in, by the operator's clock; `None` when it was there before the operator.
    pub heard: Option<Timestamp>,
    /// The newest report, whether its worker lives or not.
    pub last_report: Option<WorkerReport>,
}

/// Whether data flows, why, and until when this can be said without looking again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it does, or should not.
    pub ready: bool,
    /// Why.
    pub reason: Reason,
    /// What failed, on what, and what to do.
    pub message: String,
    /// When the passing of time alone may change this.
    pub until: Option<Timestamp>,
}

impl Verdict {
    fn good(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: true, reason, message: message.into(), until: None }
    }

    fn bad(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), until: None }
    }

    fn until(self, until: Option<Timestamp>) -> Self {
        Self { until, ..self }
    }
}

impl From<&Trouble> for Verdict {
    fn from(trouble: &Trouble) -> Self {
        Self::bad(trouble.reason, trouble.message.clone())
    }
}

/// Tells whether data flows.
pub fn verdict(facts: &Facts, now: Timestamp) -> Verdict {
    if facts.suspended {
        return Verdict::good(Reason::Suspended, "spec.suspend is true: nothing runs, all state is kept");
    }
    if let Some(trouble) = facts.refused.as_ref().or(facts.blocked.as_ref()) {
        let verdict = Verdict::from(trouble);
        return match (&facts.published, &facts.worker.pod) {
            (Some(hash), Some(_)) if trouble.reason != Reason::StateLost => {
                Verdict { message: format!("{}; the worker goes on with plan {hash}", verdict.message), ..verdict }
            }
            (Some(_) | None, _) => verdict,
        };
    }
    match (&facts.verification, facts.held) {
        (Verification::Failed(trouble), Held::NothingRuns) => Verdict::from(trouble),
        (Verification::Failed(trouble), Held::LastGoodRuns) => {
            let verdict = worker(facts, now);
            let [held, runs] = [&facts.compiled, &facts.published].map(|hash| hash.as_deref().unwrap_or_default());
            let message = format!(
                "{}; the worker goes on with plan {runs}, and plan {held} is held back: {}",
                verdict.message, trouble.message
            );
            if verdict.ready { Verdict { message, ..verdict } } else { verdict }
        }
        (_, Held::No | Held::NothingRuns | Held::LastGoodRuns) => worker(facts, now),
    }
}

fn worker(facts: &Facts, now: Timestamp) -> Verdict {
    let problems = || facts.report.iter().flat_map(|report| &report.problems);
    if let Some(problem) = problems().find(|problem| matches!(problem.reason, Reason::StateLost | Reason::StoreFailed))
    {
        return said(problem);
    }
    if let Some(trouble) = &facts.worker.trouble {
        return Verdict::from(trouble).until(facts.worker.patience_ends);
    }
    let overdue = facts.worker.overdue.as_ref().map(Verdict::from);
    let Some(pod) = &facts.worker.pod else {
        let starting = || Verdict::bad(Reason::Starting, "waiting for Kubernetes to start the worker");
        return overdue.unwrap_or_else(starting).until(facts.worker.patience_ends);
    };
    let Some(ready_since) = pod.ready_since else {
        let verdict = problems().find(|problem| stops(problem.reason)).map(said).or(overdue);
        return verdict
            .unwrap_or_else(|| Verdict::bad(Reason::Starting, format!("worker pod {} is starting", pod.name)))
            .until(facts.worker.patience_ends);
    };
    let Some(report) = &facts.report else {
        let deadline = ready_since + SILENCE;
        if deadline > now {
            return Verdict::bad(Reason::Starting, format!("worker pod {} has not reported yet", pod.name))
                .until(Some(deadline));
        }
        let message = format!("worker pod {0} is ready but has never reported: see kubectl logs {0}", pod.name);
        return Verdict::bad(Reason::ReportStale, message);
    };
    reported(facts, report, now)
}

fn reported(facts: &Facts, report: &WorkerReport, now: Timestamp) -> Verdict {
    let deadline = overdue_at(facts, report);
    if deadline <= now {
        let message = format!("worker pod {0} has stopped reporting: see kubectl logs {0}", report.pod);
        return Verdict::bad(Reason::ReportStale, message);
    }
    let verdict = if let Some(problem) = report.problems.iter().find(|problem| stops(problem.reason)) {
        said(problem)
    } else if facts.published.is_some() && report.plan_hash != facts.published {
        let hash = facts.published.as_deref().unwrap_or_default();
        Verdict::bad(Reason::RollingOut, format!("plan {hash} was published, the worker has not taken it over yet"))
    } else if let Some(flow) = unread(facts, report) {
        Verdict::bad(Reason::Starting, format!("flow {flow} has not been read to its end yet"))
    } else {
        Verdict::good(Reason::Flowing, flowing(report))
    };
    verdict.until(Some(deadline))
}

/// When a report is overdue. It counts from when it came in, by the operator's clock; a report that was there before the operator
/// counts from when it was written, by the worker's.
fn overdue_at(facts: &Facts, report: &WorkerReport) -> Timestamp {
    facts.heard.unwrap_or(report.reported_at.0).checked_add(SILENCE).unwrap_or(Timestamp::MAX)
}

fn unread<'a>(facts: &'a Facts, report: &WorkerReport) -> Option<&'a str> {
    let read = |name: &String| report.flows.iter().any(|flow| flow.flow == *name && flow.last_sync_time.is_some());
    facts.flows.iter().find(|name| !read(name)).map(String::as_str)
}

fn flowing(report: &WorkerReport) -> String {
    let said = |problem: &&Problem| {
        matches!(problem.reason, Reason::RotationRejected | Reason::AlertsFailing | Reason::RecordsLeftBehind)
    };
    let aside = report.problems.iter().find(said);
    match aside {
        Some(problem) => format!("every flow was read and delivered; {}", problem.message),
        None => "every flow was read and delivered".to_owned(),
    }
}

fn said(problem: &Problem) -> Verdict {
    let message = match &problem.flow {
        Some(flow) => format!("flow {flow}: {}", problem.message),
        None => problem.message.clone(),
    };
    Verdict::bad(problem.reason, message)
}

/// Whether data does not flow while a worker reports this. Records set aside do not stop the others, and a refused rotation does
/// not while the version before it works. A worker cannot report what is good.
fn stops(reason: Reason) -> bool {
    match reason {
        Reason::Flowing
        | Reason::Suspended
        | Reason::Available
        | Reason::Resolved
        | Reason::Fresh
        | Reason::Compiled
        | Reason::WorkerRunning
        | Reason::NoDeadLetters
        | Reason::AlertsAccepted
        | Reason::FixturesPassed
        | Reason::VersionCurrent
        | Reason::VersionDeprecated
        | Reason::SunsetNear
        | Reason::OtherVersionServed
        | Reason::VersionUnsupported
        | Reason::DeadLetters
        | Reason::OutcomeUnknown
        | Reason::RotationRejected
        | Reason::AlertsFailing
        | Reason::CredentialsOld
        | Reason::RecordsLeftBehind => false,
        Reason::Starting
        | Reason::SubscriptionMissing
        | Reason::RollingOut
        | Reason::ConnectorNotFound
        | Reason::ConnectorNotReady
        | Reason::PresetUnknown
        | Reason::PlanInvalid
        | Reason::PlanTooLarge
        | Reason::FixtureFailed
        | Reason::FixturesUnusable
        | Reason::SecretMissing
        | Reason::SecretMalformed
        | Reason::KeyMissing
        | Reason::SecretNotAllowed
        | Reason::HostNotAllowed
        | Reason::AccessDenied
        | Reason::VaultUnavailable
        | Reason::CredentialsRejected
        | Reason::ReauthRequired
        | Reason::TokenUnavailable
        | Reason::WorkerCrashLooping
        | Reason::ImageUnavailable
        | Reason::WorkerUnavailable
        | Reason::ReportStale
        | Reason::StateLost
        | Reason::StoreFailed
        | Reason::SourceUnavailable
        | Reason::DestinationUnavailable
        | Reason::Throttled
        | Reason::EgressRefused
        | Reason::MappingFailing
        | Reason::RecordsFailing
        | Reason::DeadLettersFull
        | Reason::QueueFull
        | Reason::InternalError => true,
    }
}

/// Every condition of an Integration. `failure` is why objects could not be applied, if they could not.
pub fn conditions(facts: &Facts, failure: Option<&str>, now: Timestamp) -> Vec<Draft> {
    let verdict = match (verdict(facts, now), failure) {
        (Verdict { ready: false, reason: Reason::Starting, .. }, Some(failure)) => {
            Verdict::bad(Reason::InternalError, failure)
        }
        (verdict, Some(_) | None) => verdict,
    };
    let truth = if verdict.ready { Truth::True } else { Truth::False };
    let ready = Draft { kind: ConditionType::Ready, truth, reason: verdict.reason, message: verdict.message.clone() };
    let mut drafts =
        vec![ready, plan_compiled(facts), worker_available(facts), synced(facts, now), dead_letters(facts)];
    drafts.extend(alerts(facts, now));
    drafts.extend(facts.verification.condition());
    drafts.extend(reconciling(facts, &verdict, failure));
    drafts.extend(stalled(facts, &verdict));
    drafts
}

fn plan_compiled(facts: &Facts) -> Draft {
    let kind = ConditionType::PlanCompiled;
    match (&facts.refused, &facts.compiled) {
        (Some(trouble), _) => Draft::no(kind, trouble.reason, trouble.message.clone()),
        (None, Some(hash)) => Draft::yes(kind, Reason::Compiled, format!("plan {hash}")),
        (None, None) => Draft::unknown(kind, Reason::Starting, "the Connectors have not been looked at yet"),
    }
}

fn worker_available(facts: &Facts) -> Draft {
    let kind = ConditionType::WorkerAvailable;
    if let Some(pod) = facts.worker.pod.as_ref().filter(|pod| pod.ready_since.is_some()) {
        return Draft::yes(kind, Reason::WorkerRunning, format!("worker pod {} is ready", pod.name));
    }
    if facts.suspended {
        return Draft::no(kind, Reason::Suspended, "spec.suspend is true");
    }
    let trouble = facts.worker.trouble.as_ref().or(facts.worker.overdue.as_ref());
    let without_pod = || facts.refused.as_ref().or(facts.blocked.as_ref()).filter(|_| facts.worker.pod.is_none());
    match trouble.or_else(without_pod) {
        Some(trouble) => Draft::no(kind, trouble.reason, trouble.message.clone()),
        None => Draft::no(kind, Reason::Starting, "the worker is starting"),
    }
}

fn synced(facts: &Facts, now: Timestamp) -> Draft {
    let kind = ConditionType::Synced;
    if facts.suspended {
        return Draft::unknown(kind, Reason::Suspended, "spec.suspend is true");
    }
    let Some(report) = &facts.report else {
        return Draft::unknown(kind, Reason::Starting, "the worker has not reported yet");
    };
    if overdue_at(facts, report) <= now {
        return Draft::unknown(kind, Reason::ReportStale, "the worker has stopped reporting");
    }
    let problem =
        report.problems.iter().find(|problem| stops(problem.reason) || problem.reason == Reason::OutcomeUnknown);
    if let Some(problem) = problem {
        let verdict = said(problem);
        return Draft::no(kind, verdict.reason, verdict.message);
    }
    match unread(facts, report) {
        Some(flow) => Draft::unknown(kind, Reason::Starting, format!("flow {flow} has not been read to its end yet")),
        None => Draft::yes(kind, Reason::Flowing, "every flow's newest read and deliveries went through"),
    }
}

fn dead_letters(facts: &Facts) -> Draft {
    let kind = ConditionType::DeadLettersEmpty;
    let Some(report) = facts.report.as_ref().or(facts.last_report.as_ref()) else {
        return Draft::unknown(kind, Reason::Starting, "the worker has not reported yet");
    };
    // The number is a figure of status and would make each new dead letter a transition here.
    let flows: Vec<&str> =
        report.flows.iter().filter(|flow| flow.dead_letters > 0).map(|flow| flow.flow.as_str()).collect();
    if flows.is_empty() {
        return Draft::yes(kind, Reason::NoDeadLetters, "no record waits in the dead letters");
    }
    let message = format!(
        "records of flow {} wait in the dead letters: `kubectl crosstie dlq list` shows which and why; one that changes at the source is tried again",
        flows.join(", ")
    );
    Draft::no(kind, Reason::DeadLetters, message)
}

/// Whether those who are to be told of troubles are; of nobody, nothing is said.
fn alerts(facts: &Facts, now: Timestamp) -> Option<Draft> {
    let kind = ConditionType::AlertsDelivered;
    if !facts.alerts {
        return None;
    }
    if facts.suspended {
        return Some(Draft::unknown(kind, Reason::Suspended, "spec.suspend is true"));
    }
    let Some(report) = &facts.report else {
        return Some(Draft::unknown(kind, Reason::Starting, "the worker has not reported yet"));
    };
    if overdue_at(facts, report) <= now {
        return Some(Draft::unknown(kind, Reason::ReportStale, "the worker has stopped reporting"));
    }
    let problem = report.problems.iter().find(|problem| problem.reason == Reason::AlertsFailing);
    Some(match problem {
        Some(problem) => Draft::no(kind, problem.reason, problem.message.clone()),
        None => Draft::yes(kind, Reason::AlertsAccepted, "every alert was taken by its channel"),
    })
}

fn reconciling(facts: &Facts, verdict: &Verdict, failure: Option<&str>) -> Option<Draft> {
    let kind = ConditionType::Reconciling;
    if let Some(failure) = failure {
        return Some(Draft::yes(kind, Reason::InternalError, failure));
    }
    match verdict.reason {
        Reason::Starting | Reason::RollingOut => Some(Draft::yes(kind, verdict.reason, verdict.message.clone())),
        Reason::Suspended if facts.pods_left => Some(Draft::yes(kind, Reason::RollingOut, "the worker is stopping")),
        _ => None,
    }
}

/// Only what no time and nobody but a person can cure: a Connector or a secret may yet come, a vendor may recover.
fn stalled(facts: &Facts, verdict: &Verdict) -> Option<Draft> {
    if let (Verification::Failed(trouble), Held::NothingRuns | Held::LastGoodRuns) = (&facts.verification, facts.held)
        && trouble.reason == Reason::FixtureFailed
    {
        return Some(Draft::yes(ConditionType::Stalled, trouble.reason, trouble.message.clone()));
    }
    matches!(verdict.reason, Reason::PlanInvalid | Reason::PresetUnknown | Reason::PlanTooLarge | Reason::StateLost)
        .then(|| Draft::yes(ConditionType::Stalled, verdict.reason, verdict.message.clone()))
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
