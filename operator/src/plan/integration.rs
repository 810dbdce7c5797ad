//! From an observed Integration to what should be: everything it owns, in order, and the facts its status is derived from.
//!
//! A Connector that is deleted while it is used takes its credentials Secret with it. The worker is not stopped for that: it holds
//! the values it has mounted and goes on, and status says what is missing. A pod that must start again cannot, because the Secret
//! is gone; that is the moment data stops, and it is announced before. Stopping at once would turn a slip into an outage,
//! and keeping a copy of the values would keep them after a person took them away.

use std::collections::{BTreeMap, BTreeSet};

use crosstie_crds::{
    Integration, IntegrationStatus,
    condition::Reason,
    integration::{DriftStatus, PlanStatus},
    names::{self, ANNOTATION_APPLIED_HASH, ANNOTATION_STORE_ID},
    sync_report::WorkerReport,
};
use crosstie_engine::{canonical, compile, plan::Plan};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use super::seen::{Compilation, Seen};

use super::{
    Step, account,
    conditions::{self, Draft},
    diagnosis, figures,
    health::{self, Facts},
    in_force, lifecycle, nudge,
    objects::{self, ANNOTATION_ACCEPT_STATE_LOSS, Mounted, Object, ObjectKind, Owner, WorkerTemplate},
    state::{self, State, StateSeen},
    trouble,
    verification::Held,
};

/// How soon an Integration is looked at again when nothing calls for it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// Conditions that an Integration always has, beside the one of its APIs' versions.
const LASTING_CONDITIONS: usize = 5;
/// How soon to look again while others have to make room in a rate allowance.
const WAIT_FOR_ROOM: SignedDuration = SignedDuration::from_secs(5);

/// What should be.
#[derive(Clone, Debug)]
pub struct Want {
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// When to look again.
    pub look_again: Timestamp,
    seen: Seen,
    facts: Facts,
}

/// Whether an Integration is suspended and never ran. Such a one has its plan and nothing else: a volume, an account and rights are made when
/// there is a worker to use them.
pub fn rests(integration: &Integration, owned: &BTreeMap<(ObjectKind, String), ObjectMeta>) -> bool {
    let plan = names::plan(integration.metadata.name.as_deref().unwrap_or_default());
    integration.spec.suspend && owned.keys().all(|(kind, name)| *kind == ObjectKind::ConfigMap && *name == plan)
}

/// Plans for an Integration.
pub fn integration(seen: &Seen, template: &WorkerTemplate, now: Timestamp) -> Want {
    let planner = Planner::new(seen, template, now);
    let mut steps = planner.objects();
    let (nudges, nudge_again) = planner.nudges();
    steps.extend(nudges);
    steps.extend(planner.forget());
    steps.extend(planner.prune(&steps));
    let facts = planner.facts();
    let mut times = vec![now + LOOK_AGAIN];
    times.extend(nudge_again);
    times.extend(health::verdict(&facts, now).until);
    times.extend(seen.granted.as_ref().filter(|granted| granted.waiting).map(|_| now + WAIT_FOR_ROOM));
    let look_again = times.into_iter().min().unwrap_or(now).max(now);
    Want { steps, look_again, seen: seen.clone(), facts }
}

impl Want {
    /// The status after the steps were carried out, or failed with this message.
    pub fn status_after(&self, failure: Option<&str>, now: Timestamp) -> IntegrationStatus {
        let meta = &self.seen.integration.metadata;
        let before = self.seen.integration.status.as_ref();
        let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let mut drafts = health::conditions(&self.facts, failure, now);
        let (current, drift) = self.api_versions();
        // Behind the others of its kind, before kstatus' own.
        drafts.insert(drafts.len().min(LASTING_CONDITIONS), current);
        let report = self.facts.report.as_ref().or(self.facts.last_report.as_ref());
        let (sync, flows) = report.map(|report| figures::figures(report, &self.facts.flows)).unzip();
        let receiver = in_force::plan(&self.seen).and_then(|plan| plan.receiver.as_ref());
        let name = meta.name.as_deref().unwrap_or_default();
        IntegrationStatus {
            observed_generation: meta.generation,
            conditions: conditions::merge(old, &drafts, meta.generation, now),
            plan: self.facts.published.as_ref().map(|hash| PlanStatus {
                hash: hash.clone(),
                applied_hash: report.and_then(|report| report.plan_hash.clone()),
            }),
            drift,
            receiver: receiver.map(|receiver| objects::receiver_status(name, receiver)),
            sync,
            flows: flows.unwrap_or_default(),
        }
    }

    fn api_versions(&self) -> (Draft, Option<DriftStatus>) {
        let [source, destination] = ends(&self.seen.integration);
        lifecycle::current([(source, self.seen.source.as_deref()), (destination, self.seen.destination.as_deref())])
    }
}

/// Names of an Integration's Connectors, source first.
pub fn ends(integration: &Integration) -> [&str; 2] {
    [&integration.spec.source, &integration.spec.destination].map(|end| end.connector_ref.name.as_str())
}

/// Names of all Connectors an Integration uses: source, destination, and those that its alerts go through. Some may be the same.
pub fn used(integration: &Integration) -> Vec<&str> {
    ends(integration).into_iter().chain(integration.spec.alert_connectors()).collect()
}

struct Planner<'a> {
    seen: &'a Seen,
    template: &'a WorkerTemplate,
    now: Timestamp,
    owner: Owner,
    worker: diagnosis::Worker,
    state: State,
}

impl<'a> Planner<'a> {
    fn new(seen: &'a Seen, template: &'a WorkerTemplate, now: Timestamp) -> Self {
        let owner = Owner::integration(&seen.integration);
        let worker = diagnosis::worker(seen.deployment.as_deref(), seen.pods.iter().map(AsRef::as_ref), now);
        let mut planner = Self { seen, template, now, owner, worker, state: State::Held { store_id: None } };
        planner.state = planner.state();
        planner
    }

    fn state(&self) -> State {
        let report = self.report();
        let annotations = self.seen.integration.metadata.annotations.as_ref();
        let shares = self.owned(ObjectKind::ConfigMap, &names::shares(&self.owner.name));
        let replicas = self.seen.deployment.as_ref().and_then(|deployment| deployment.spec.replicas);
        state::derive(&StateSeen {
            claim: self.owned(ObjectKind::VolumeClaim, &names::state(&self.owner.name)),
            owner_uid: &self.owner.reference.uid,
            recorded: shares
                .filter(|meta| owned_by(meta, &self.owner.reference.uid))
                .and_then(|meta| annotation(meta, ANNOTATION_STORE_ID)),
            reported: report.and_then(|report| report.store_id.as_deref()),
            worker_says_lost: report
                .is_some_and(|report| report.problems.iter().any(|problem| problem.reason == Reason::StateLost)),
            started: replicas.unwrap_or(0) > 0,
            accepted: annotations.and_then(|all| all.get(ANNOTATION_ACCEPT_STATE_LOSS)).map(String::as_str),
        })
    }

    fn owned(&self, kind: ObjectKind, name: &str) -> Option<&'a ObjectMeta> {
        self.seen.owned.get(&(kind, name.to_owned()))
    }

    /// The live pod's entry.
    fn report(&self) -> Option<&'a WorkerReport> {
        let pod = &self.worker.pod.as_ref()?.name;
        self.reports().find(|report| report.pod == *pod)
    }

    fn reports(&self) -> impl Iterator<Item = &'a WorkerReport> {
        self.seen.report.iter().filter_map(|report| report.status.as_ref()).flat_map(|status| &status.workers)
    }

    fn publishable(&self) -> Option<(&'a Plan, &'a str)> {
        in_force::publishable(self.seen)
    }

    /// Hash of the plan that workers are to run: the new one, or the last good one.
    fn published(&self) -> Option<String> {
        self.publishable().map(|(_, hash)| hash).or_else(|| in_force::last_good(self.seen)).map(str::to_owned)
    }

    /// What is owned, in an order in which each finds what it needs.
    fn objects(&self) -> Vec<Step> {
        let Some((plan, hash)) = self.publishable() else { return self.kept() };
        if self.seen.granted.is_none() {
            return vec![Step::Apply(objects::plan(&self.owner, plan, hash))];
        }
        let mut steps: Vec<Step> = self.surroundings(plan, hash).into_iter().map(Step::Apply).collect();
        steps.extend(self.worker_step(plan, self.seen.integration.spec.alert_connectors()));
        steps
    }

    /// While the plan may not go out: what is gone is made again as the last good one wants it, a worker whose account was replaced as well, and
    /// nothing else is touched.
    fn kept(&self) -> Vec<Step> {
        // Shares have nothing to do with what a plan maps: others count on them, whichever plan runs.
        let shares = self.shares().filter(|_| in_force::ran(self.seen));
        let good = self.seen.last_good.as_deref().filter(|_| in_force::ran(self.seen));
        let gone = |object: &Object| self.owned(object.kind, &object.name).is_none();
        let shared = |object: &Object| shares.as_ref().is_some_and(|shares| shares.name == object.name);
        let missing = good.map(|good| self.surroundings(&good.plan, &good.hash)).unwrap_or_default();
        let missing: Vec<Object> = missing.into_iter().filter(|object| gone(object) && !shared(object)).collect();
        let again = self.seen.deployment.is_none() || account::was_replaced(self.seen);
        let worker = good.filter(|_| again).and_then(|good| {
            let alerts: BTreeSet<&str> = good.plan.alerts.iter().map(|alert| alert.system.connector.as_str()).collect();
            self.worker_step(&good.plan, alerts.into_iter().collect())
        });
        let steps = shares.iter().cloned().chain(missing).map(Step::Apply);
        steps.chain(worker.or_else(|| self.scale())).collect()
    }

    /// Everything but the Deployment.
    fn surroundings(&self, plan: &Plan, hash: &str) -> Vec<Object> {
        let owner = &self.owner;
        let mut list = vec![
            objects::service_account(owner),
            objects::role(owner),
            objects::role_binding(owner),
            objects::sync_report(owner),
        ];
        let receiver = plan.receiver.as_ref();
        list.extend(self.template.network_policy.then(|| objects::network_policy(owner, receiver.is_some())));
        if let Some(receiver) = receiver {
            list.push(objects::service(owner));
            let spec = self.seen.integration.spec.receiver.clone().unwrap_or_default();
            list.extend(objects::ingress(owner, &spec, receiver));
        }
        if let State::Held { store_id } = &self.state {
            let state = compile::state(&self.seen.integration);
            list.push(objects::volume_claim(owner, &state, store_id.as_deref()));
        }
        list.push(objects::plan(owner, plan, hash));
        list.extend(self.shares());
        list
    }

    fn shares(&self) -> Option<Object> {
        let granted = self.seen.granted.as_ref()?;
        Some(objects::shares(&self.owner, &granted.shares, &granted.published, self.store_id()))
    }

    fn store_id(&self) -> Option<&str> {
        match &self.state {
            State::Held { store_id } => store_id.as_deref(),
            State::Going { store_id } | State::Lost { store_id } => {
                Some(store_id.as_str()).filter(|&id| id != state::UNRECORDED)
            }
            State::Waiting => None,
        }
    }

    /// The Deployment, unless it could not start: without credentials there is nothing to mount, without its store nothing may run, and without
    /// an account there is nobody to run as.
    fn worker_step(&self, plan: &Plan, alerts: Vec<&str>) -> Option<Step> {
        let can_start = matches!(self.state, State::Held { .. } | State::Going { .. })
            && self.seen.credentials.iter().all(Option::is_some);
        if !can_start {
            return self.scale();
        }
        let spec = &self.seen.integration.spec;
        let resources = spec.workers.as_ref().and_then(|workers| workers.resources.as_ref());
        let replicas = i32::from(!spec.suspend);
        let ends = [&plan.source, &plan.destination].map(|system| system.connector.as_str());
        let mounted = Mounted { ends, alerts };
        let receives = plan.receiver.is_some();
        let made = account::deployment(self.seen, |account| {
            objects::deployment(&self.owner, self.template, &mounted, resources, replicas, receives, account)
        });
        let Some(object) = made else { return self.scale() };
        // Scaled by somebody while nobody looked: the hash cannot tell, the Deployment itself does.
        let scaled = self.seen.deployment.as_ref().is_some_and(|deployment| {
            annotation(&deployment.metadata, ANNOTATION_APPLIED_HASH) == Some(&object.hash)
                && deployment.spec.replicas != Some(replicas)
        });
        if scaled { self.scale() } else { Some(Step::Apply(object)) }
    }

    /// Starts or stops a Deployment that otherwise stays as it is: with the last good plan, or without a store.
    fn scale(&self) -> Option<Step> {
        let deployment = self.seen.deployment.as_ref()?;
        let now = deployment.spec.replicas.unwrap_or(1);
        let runs = match self.state {
            State::Held { .. } | State::Going { .. } => !self.seen.integration.spec.suspend,
            State::Waiting | State::Lost { .. } => false,
        };
        (now != i32::from(runs))
            .then(|| Step::Scale { deployment: names::worker(&self.owner.name), replicas: i32::from(runs) })
    }

    /// Nudges for the live pod while its report does not show what was published.
    fn nudges(&self) -> (Option<Step>, Option<Timestamp>) {
        let (Some(pod), Some(report)) = (&self.worker.pod, self.report()) else { return (None, None) };
        let plan = self.published();
        let shares = self.seen.granted.as_ref().map(|granted| granted.published.hash.clone());
        let loaded = ends(&self.seen.integration).into_iter().zip(&self.seen.credentials).all(|(name, stored)| {
            let loaded = report.credentials.iter().find(|entry| entry.connector == name);
            match (stored, loaded) {
                (Some(stored), Some(loaded)) => stored.version_id == loaded.loaded_version_id,
                (Some(_), None) => false,
                (None, _) => true,
            }
        });
        let shown = loaded && report.plan_hash == plan && (shares.is_none() || report.shares_hash == shares);
        if shown {
            return (None, None);
        }
        let versions = self.seen.credentials.iter().map(|stored| stored.as_ref().map(|stored| &stored.version_id));
        let hash = canonical::short_hash(&(plan, shares, versions.collect::<Vec<_>>()));
        let decided = nudge::decide(pod.nudge.as_deref(), &hash, self.now);
        (decided.value.map(|value| Step::Nudge { pod: pod.name.clone(), value }), decided.again)
    }

    /// Entries of pods that are gone. The newest entry stays while there is no live one: its figures are the last known.
    fn forget(&self) -> Option<Step> {
        let known =
            |report: &WorkerReport| self.seen.pods.iter().any(|pod| pod.metadata.name.as_ref() == Some(&report.pod));
        let keep = if self.report().is_some() { None } else { self.last_report() };
        let (index, gone) = self
            .reports()
            .enumerate()
            .find(|(_, report)| !known(report) && keep.is_none_or(|keep| keep.pod != report.pod))?;
        Some(Step::Forget { report: self.owner.name.clone(), index, pod: gone.pod.clone() })
    }

    fn last_report(&self) -> Option<&'a WorkerReport> {
        self.reports().max_by_key(|report| report.reported_at.clone())
    }

    /// What this Integration owns and no longer wants. Nothing goes while the spec does not compile: the last good plan runs on.
    fn prune(&self, steps: &[Step]) -> Vec<Step> {
        if self.publishable().is_none() {
            return Vec::new();
        }
        let wanted = |kind: ObjectKind, name: &str| {
            matches!(kind, ObjectKind::Deployment | ObjectKind::VolumeClaim | ObjectKind::Secret)
                || steps
                    .iter()
                    .any(|step| matches!(step, Step::Apply(object) if object.kind == kind && object.name == name))
        };
        self.seen
            .owned
            .iter()
            .filter(|((kind, name), meta)| {
                owned_by(meta, &self.owner.reference.uid) && meta.deletion_timestamp.is_none() && !wanted(*kind, name)
            })
            .map(|((kind, name), _)| Step::Delete { kind: *kind, name: name.clone() })
            .collect()
    }

    /// Names of the flows that are to be read: those of the spec, or, while its plan is kept from the worker, those that this one reports.
    fn flows(&self) -> Vec<String> {
        match (in_force::held(self.seen), self.report()) {
            (Held::LastGoodRuns, Some(report)) => report.flows.iter().map(|flow| flow.flow.clone()).collect(),
            (Held::No | Held::NothingRuns | Held::LastGoodRuns, _) => {
                self.seen.integration.spec.flows.iter().map(|flow| flow.name.clone()).collect()
            }
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            suspended: self.seen.integration.spec.suspend,
            compiled: in_force::compiled(self.seen).map(|(_, hash)| hash.to_owned()),
            refused: trouble::refused(self.seen),
            blocked: trouble::state(&self.state, &self.owner.name).or_else(|| trouble::connectors(self.seen)),
            published: self.published(),
            verification: self.seen.verification.clone(),
            held: in_force::held(self.seen),
            flows: self.flows(),
            alerts: !self.seen.integration.spec.alerts.is_empty(),
            worker: self.worker.clone(),
            pods_left: self.seen.pods.iter().any(|pod| diagnosis::is_running(pod)),
            report: self.report().cloned(),
            heard: self.report().and_then(|report| self.seen.heard.get(&report.pod).copied()),
            last_report: self.last_report().cloned(),
        }
    }
}

fn annotation<'m>(meta: &'m ObjectMeta, key: &str) -> Option<&'m str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

fn owned_by(meta: &ObjectMeta, uid: &str) -> bool {
    meta.owner_references.iter().flatten().any(|owner| owner.uid == uid)
}

#[cfg(test)]
#[path = "integration_tests.rs"]
mod tests;
