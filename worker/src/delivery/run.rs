//! Handing records out: one loop a flow, which claims some records ahead and carries each as soon as a slot is free and the circuit lets it
//! pass, with as many others as may share its call; while the circuit only lets a probe pass, one at a time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crosstie_engine::delivery::call_size;
use jiff::Timestamp;
use tokio::{
    task::{JoinError, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    batch::{carry_batch, is_batch, next_call},
    carry::carry,
};
use crate::{
    gates::Handing,
    lane::{Lane, MENDED, REMEMBERED},
    slots::Slot,
    store::Claimed,
    trouble,
    waiting::{capped, until},
};

/// Most records claimed ahead by one flow whose calls take no more; bounds what is in memory.
const MOST_AHEAD: usize = 64;

/// Delivers a flow's records until it is told to stop, then lets those under way finish.
pub async fn run(lane: Arc<Lane>, stop: CancellationToken) {
    remember(&lane).await;
    let mut desk = Desk { lane, ahead: VecDeque::new(), under_way: JoinSet::new() };
    while !stop.is_cancelled() {
        let lane = Arc::clone(&desk.lane);
        let slot = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            slot = lane.slots.take() => slot,
        };
        let pause = desk.hand_out(slot).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = desk.under_way.join_next() => note(&lane, &ended),
            () = wait(&lane, pause) => {}
        }
    }
    // Claims of records that were not begun end here.
    desk.ahead.clear();
    while let Some(ended) = desk.under_way.join_next().await {
        note(&desk.lane, &ended);
    }
}

/// Takes over how records ended under this plan before: a flow that fails does not look well because its worker was started anew.
async fn remember(lane: &Lane) {
    let (plan_hash, enough) = (lane.plan_hash.clone(), u64::try_from(MENDED).unwrap_or(u64::MAX));
    let ends = lane.store.last_ends(lane.scope, plan_hash, REMEMBERED, enough).await;
    // What is not known then shows again with the next records that fail.
    lane.facts.deliveries.ended_before(lane.store_trouble.looked(ends).unwrap_or_default());
}

struct Desk {
    lane: Arc<Lane>,
    /// Claimed and not begun.
    ahead: VecDeque<Box<Claimed>>,
    under_way: JoinSet<()>,
}

/// Why nothing more is handed out at the moment.
enum Pause {
    /// Nothing is; go on.
    No,
    /// The circuit is open: until a time, or until the probe under way says something.
    Circuit(Option<Timestamp>),
    /// Nothing is due before a time, or before something new comes.
    Idle(Option<Timestamp>),
    /// As many dead letters lie there as may.
    Full,
    /// The store failed.
    Store,
}

impl Desk {
    /// Begins one call, if one may be begun: with one record, or with as many as there are and may share it. None waits for more to come.
    async fn hand_out(&mut self, slot: Slot) -> Pause {
        let now = self.lane.now();
        let batch_size = self.lane.flow.batch_size;
        let a_call = usize::try_from(batch_size).unwrap_or(usize::MAX).max(1);
        let (probe, most) = match self.lane.gates.handing(&self.lane.clock) {
            Handing::Free => (None, (MOST_AHEAD / a_call).max(1) * a_call),
            Handing::Probe(probe) => (Some(probe), 1),
            Handing::Wait(time) => return Pause::Circuit(time),
        };
        let pause = self.claim_ahead(most, now).await;
        let mut records = next_call(&mut self.ahead, call_size(batch_size, probe.is_some()));
        let lane = Arc::clone(&self.lane);
        if is_batch(&records) {
            self.under_way.spawn(async move { carry_batch(&lane, records, probe, slot).await });
            return Pause::No;
        }
        let Some(record) = records.pop() else { return pause };
        self.under_way.spawn(async move { carry(&lane, record, probe, slot).await });
        Pause::No
    }

    /// Claims records when none is left. Says what to wait for when there are none.
    async fn claim_ahead(&mut self, most: usize, now: Timestamp) -> Pause {
        if !self.ahead.is_empty() {
            return Pause::No;
        }
        match self.lane.store_trouble.looked(self.lane.store.claim(self.lane.scope, most, now).await) {
            Err(_) => Pause::Store,
            Ok(claim) => {
                // Each in a place of its own, because they pass through several hands.
                self.ahead.extend(claim.records.into_iter().map(Box::new));
                if claim.full { Pause::Full } else { Pause::Idle(claim.next_due) }
            }
        }
    }
}

async fn wait(lane: &Lane, pause: Pause) {
    match pause {
        Pause::No => {}
        Pause::Circuit(time) => {
            let changed = lane.gates.changed();
            // The cap stands in for a change that came between asking and listening.
            let longest = time.map_or(Duration::from_millis(250), |time| until(time, lane.now()));
            tokio::select! {
                () = sleep(capped(longest)) => {}
                () = changed => {}
            }
        }
        Pause::Idle(due) => {
            let longest = due.map_or(Duration::MAX, |due| until(due, lane.now()));
            tokio::select! {
                () = sleep(capped(longest)) => {}
                () = lane.wake.notified() => {}
            }
        }
        Pause::Full | Pause::Store => sleep(trouble::PAUSE).await,
    }
}

fn note(lane: &Lane, ended: &Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        // The record is still in the queue, and its intent, if there is one, is resolved when it is handed out again.
        tracing::error!(flow = lane.flow.name, "carrying a record broke off inside Crosstie; it is tried again");
    }
}
