//! Storing what became of claimed records, and saying so in log and metrics.

use crosstie_engine::delivery::{Change, IntentChange, Postponement, Settled};

use crate::{
    lane::Lane,
    metrics::Outcome,
    store::{Answer, Burial, Claimed, ParentKey, Settlement, StoreError, Verdict},
};

/// Stores what became of records, all of it together, however long that takes: what a vendor has confirmed must not be forgotten while the
/// process lives.
pub async fn conclude<'c>(lane: &Lane, changes: impl Iterator<Item = (&'c Claimed, Change)>) -> Result<(), StoreError> {
    let mut claimed = Vec::new();
    let mut verdicts = Vec::new();
    for (record, change) in changes {
        verdicts.extend(verdict(lane, record, change));
        claimed.push(record);
    }
    match verdicts.as_slice() {
        [] => return Ok(()),
        [one] => lane.store_trouble.insist(|| store_one(lane, one.clone())).await?,
        many => lane.store_trouble.insist(|| lane.store.conclude(many.to_vec())).await?,
    }
    if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Settle(_))) {
        lane.dependents.iter().for_each(|wake| wake.notify_one());
    }
    for verdict in &verdicts {
        note(lane, verdict);
    }
    for record in claimed {
        record.guard.stored();
    }
    Ok(())
}

/// Stores that a record waits for another flow's.
pub async fn await_parent(lane: &Lane, claimed: &Claimed, parent: ParentKey, change: Change) -> Result<(), StoreError> {
    let Change::AwaitParent(until) = change else { return conclude(lane, [(claimed, change)].into_iter()).await };
    lane.store_trouble.insist(|| lane.store.await_parent(claimed.id, parent.clone(), until)).await?;
    claimed.guard.stored();
    Ok(())
}

fn store_one(lane: &Lane, verdict: Verdict) -> Answer<'_, ()> {
    match verdict {
        Verdict::Settle(settlement) => lane.store.settle(settlement),
        Verdict::Postpone(record, postponement) => lane.store.postpone(record, postponement),
        Verdict::Bury(burial) => lane.store.bury(burial),
    }
}

/// What is stored of a change; nothing of one that waits for a parent, which only comes with the parent's key.
fn verdict(lane: &Lane, claimed: &Claimed, change: Change) -> Option<Verdict> {
    let (record, now) = (claimed.id, lane.now());
    match change {
        Change::Settle(how) => {
            // What was sent is settled as the state it was made of.
            let facts = &claimed.facts;
            let seen = facts.intent.as_ref().map_or(&facts.seen, |open| &open.seen).clone();
            let (scope, key, is_parent) = (claimed.scope, claimed.key.clone(), !lane.dependents.is_empty());
            let singles = lane.flow.stream.one.is_some();
            let (paired, twin) = (lane.paired.is_some(), claimed.twin.clone());
            Some(Verdict::Settle(Settlement { record, scope, key, seen, how, is_parent, singles, paired, twin, now }))
        }
        Change::Postpone(postponement) => Some(Verdict::Postpone(record, postponement)),
        Change::Bury(failures) => {
            let (shown, plan_hash) = (claimed.shown.clone(), lane.plan_hash.clone());
            Some(Verdict::Bury(Burial { record, shown, failures, plan_hash, now }))
        }
        Change::AwaitParent(_) => None,
    }
}

fn note(lane: &Lane, verdict: &Verdict) {
    let flow = &lane.flow.name;
    match verdict {
        Verdict::Settle(settlement) => {
            if matches!(settlement.how, Settled::Delivered { .. } | Settled::Deleted) {
                lane.facts.deliveries.ended(None);
            }
            note_settled(lane, settlement);
        }
        Verdict::Postpone(_, postponement) => {
            if postponement.intent == IntentChange::Hold {
                lane.facts.deliveries.ended(Some("its outcome is not known, and nothing can tell it".to_owned()));
            }
            say_retry(flow, postponement);
        }
        Verdict::Bury(burial) => {
            tracing::warn!(
                flow,
                cause = burial.failures.cause,
                status = burial.failures.status,
                attempts = burial.failures.attempts,
                "a record went to the dead letters"
            );
            lane.facts.deliveries.ended(Some(burial.failures.cause.clone()));
            lane.metrics.handled(flow, Outcome::Buried);
        }
    }
}

/// Counts a record that is done, and a change of its twin that is not carried any more.
fn note_settled(lane: &Lane, settlement: &Settlement) {
    let overruled = settlement.twin.as_ref().and_then(|twin| twin.overruled);
    match lane.paired.as_ref().zip(overruled) {
        Some((paired, overruled)) if overruled == paired.direction => {
            lane.metrics.handled(&lane.flow.name, Outcome::Superseded);
        }
        Some((paired, _)) => {
            lane.metrics.handled(&lane.flow.name, outcome(&settlement.how));
            if let Some((other, _)) = paired.other() {
                lane.metrics.handled(&other.flow.name, Outcome::Superseded);
            }
        }
        None => lane.metrics.handled(&lane.flow.name, outcome(&settlement.how)),
    }
}

/// Says that a record failed by its own fault and is tried again; that it waits for the system's sake is said when the circuit opens.
fn say_retry(flow: &str, postponement: &Postponement) {
    let failures = &postponement.failures;
    if !postponement.by_system && failures.attempts > 0 {
        tracing::warn!(
            flow,
            cause = failures.cause,
            status = failures.status,
            attempts = failures.attempts,
            again_at = %postponement.due,
            "a record failed and is tried again"
        );
    }
}

fn outcome(how: &Settled) -> Outcome {
    match how {
        Settled::Delivered { .. } => Outcome::Delivered,
        Settled::Unchanged { .. } => Outcome::Unchanged,
        Settled::LeftOut => Outcome::LeftOut,
        Settled::Missing => Outcome::Missing,
        Settled::Deleted => Outcome::Deleted,
        Settled::Superseded => Outcome::Superseded,
    }
}
