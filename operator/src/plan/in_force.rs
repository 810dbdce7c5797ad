//! Which plan workers are to run: the one that the spec compiles to, or the one that was published last while that one may not go out.

use crosstie_crds::names;
use crosstie_engine::plan::Plan;

use super::{
    objects::{ANNOTATION_PLAN_HASH, ObjectKind},
    seen::Seen,
    verification::{Held, holds},
};

/// A plan that was published, read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The plan.
    pub plan: Plan,
    /// Its hash.
    pub hash: String,
}

/// The plan that the spec compiles to, and its hash.
pub fn compiled(seen: &Seen) -> Option<(&Plan, &str)> {
    let (plan, hash) = seen.compiled.as_ref()?.plan.as_ref()?;
    Some((plan, hash))
}

/// The same, unless its fixtures hold it back, or credentials were handed out that lack what it needs: then the last good one goes on.
pub fn publishable(seen: &Seen) -> Option<(&Plan, &str)> {
    compiled(seen).filter(|(plan, _)| {
        if held(seen) != Held::No {
            return false;
        }
        let systems = [&plan.source, &plan.destination];
        let mut ends = systems.iter().zip(&seen.credentials);
        ends.all(|(system, held)| held.as_ref().is_none_or(|held| held.hold(&system.credential_keys())))
    })
}

/// Whether fixtures keep the plan from the worker. One that workers have already is never taken from them.
pub fn held(seen: &Seen) -> Held {
    match compiled(seen) {
        Some((_, hash)) if last_good(seen) != Some(hash) && holds(seen) => {
            if ran(seen) {
                Held::LastGoodRuns
            } else {
                Held::NothingRuns
            }
        }
        Some(_) | None => Held::No,
    }
}

/// Hash of the plan that was published last.
pub fn last_good(seen: &Seen) -> Option<&str> {
    let plan = names::plan(seen.integration.metadata.name.as_deref().unwrap_or_default());
    let published = seen.owned.get(&(ObjectKind::ConfigMap, plan)).and_then(|meta| meta.annotations.as_ref());
    let annotated = published.and_then(|all| all.get(ANNOTATION_PLAN_HASH)).map(String::as_str);
    annotated.or_else(|| seen.last_good.as_deref().map(|good| good.hash.as_str()))
}

/// Whether a worker was made for a plan that was published. One that rested from the beginning has its plan and nothing else.
pub fn ran(seen: &Seen) -> bool {
    let plan = names::plan(seen.integration.metadata.name.as_deref().unwrap_or_default());
    let worker = |(kind, name): &(ObjectKind, String)| *kind != ObjectKind::ConfigMap || *name != plan;
    last_good(seen).is_some() && (seen.deployment.is_some() || seen.owned.keys().any(worker))
}

/// The plan that workers are to run, as far as it is known.
pub fn plan(seen: &Seen) -> Option<&Plan> {
    let good = || Some(&seen.last_good.as_deref()?.plan);
    publishable(seen).map(|(plan, _)| plan).or_else(good)
}
