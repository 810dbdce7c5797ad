//! Comparing what is known with a list that was read to its end: part by part, so that no transaction is long, and what it does not hold waits in the
//! queue like anything else.

use crosstie_engine::window::PollState;
use tokio::time::sleep;

use super::Reader;
use crate::{
    delivery::{Unanswered, fetch},
    store::{Incoming, SweptPart},
    trouble,
    waiting::{capped, until},
};

/// Keys that are compared in one transaction.
const KEYS: u32 = 1000;

/// Whether the source finds by itself what it lists: what it does not find is deleted, and a wrong path finds nothing.
#[derive(Default)]
pub(super) struct Singles {
    /// A record of the list that was read last.
    listed: Option<String>,
    /// One of the list was found.
    find: bool,
}

impl Singles {
    /// These records are on the list.
    pub(super) fn listed(&mut self, records: &[Incoming]) {
        let key = records.iter().rev().find_map(|record| match record {
            Incoming::Record { key, .. } => Some(key.clone()),
            Incoming::Word { .. } | Incoming::Faulty { .. } => None,
        });
        self.listed = key.or(self.listed.take());
    }
}

/// Whether a list may be compared now.
enum Compare {
    Go,
    Later,
    Never,
}

impl Reader<'_> {
    /// Compares a part. Says whether it was the last.
    pub(super) async fn sweep(&mut self) -> bool {
        let lane = self.lane;
        if !lane.flow.deletes_unlisted {
            // The plan changed meanwhile.
            self.poll.sweep = None;
            return true;
        }
        match self.proven().await {
            Compare::Go => {}
            Compare::Later => return false,
            Compare::Never => {
                let (run, poll) = (self.last_run.unwrap_or_else(|| lane.now()), self.poll.clone());
                let left = PollState { sweep: None, ..poll };
                return self.take(Vec::new(), left, run).await.is_ok();
            }
        }
        let (scope, poll, key) = (lane.scope, self.poll.clone(), lane.flow.stream.key.clone());
        let part = SweptPart { scope, poll, key, limit: KEYS, now: lane.now() };
        let Ok((taken, poll)) = lane.store_trouble.changed(lane.store.sweep(part).await) else {
            sleep(trouble::PAUSE).await;
            return false;
        };
        self.poll = poll;
        self.backlog = taken.backlog;
        if taken.kept > 0 {
            let (flow, records) = (&lane.flow.name, taken.kept);
            tracing::info!(flow, records, "records are not on the source's list any more: each is asked for by itself");
            lane.wake.notify_one();
        }
        lane.metrics.taken(&lane.flow.name, taken);
        if self.poll.sweep.is_none() {
            self.singles.listed = None;
        }
        self.poll.sweep.is_none()
    }

    /// Asks, before the first list is compared, for a record that is on it.
    async fn proven(&mut self) -> Compare {
        let lane = self.lane;
        if self.singles.find {
            return Compare::Go;
        }
        // An empty list has none that could be asked for.
        let Some(key) = self.singles.listed.clone() else { return Compare::Go };
        let found = match fetch(lane, &key).await {
            Ok(found) => found.is_some(),
            Err(Unanswered::Wait(time)) => {
                sleep(capped(until(time, lane.now()))).await;
                return Compare::Later;
            }
            Err(Unanswered::Refused(_)) => false,
        };
        lane.facts.set_finds_what_is_listed(found);
        self.singles.find = found;
        if found {
            return Compare::Go;
        }
        tracing::warn!(
            flow = lane.flow.name,
            "a record that the source lists is not found by itself: nothing is deleted for not being on the list; check the stream's `one`"
        );
        self.singles.listed = None;
        Compare::Never
    }
}
