//! Comparing what is known with a list that was read to its end: part by part, so that no transaction is long, and what it does not hold waits in the
//! queue like anything else.

use crosstie_engine::window::PollState;
use tokio::time::sleep;

use super::Reader;
use crate::{
    delivery::{Unanswered, fetch},
    store::{Incoming, SweptPart},
    trouble,
};

/// Keys that are compared in one transaction.
const KEYS: u32 = 1000;

/// The last of some records of a list that can be asked for by its key.
pub(super) fn last_key(records: &[Incoming]) -> Option<String> {
    records.iter().rev().find_map(|record| match record {
        Incoming::Record { key, .. } => Some(key.clone()),
        Incoming::Word { .. } | Incoming::Faulty { .. } => None,
    })
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
        let begins = self.poll.sweep.as_ref().is_some_and(|sweep| sweep.after.is_empty());
        if begins && !self.is_believed().await {
            let run = self.last_run.unwrap_or_else(|| lane.now());
            let left = PollState { sweep: None, ..self.poll.clone() };
            return self.take(Vec::new(), left, run).await.is_ok();
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
        self.poll.sweep.is_none()
    }

    /// Whether what is not on the list may be gone: not where the list is empty, and not where its source does not find by itself what it holds. What
    /// sees nothing, for a token that was changed or a path that is wrong, says nothing of what is there.
    async fn is_believed(&mut self) -> bool {
        let lane = self.lane;
        let Some(key) = self.listed.take() else {
            tracing::debug!(
                flow = lane.flow.name,
                "the source's list is empty: nothing is deleted for not being on it"
            );
            return false;
        };
        let found = match fetch(lane, &key).await {
            Ok(found) => found.is_some(),
            Err(Unanswered::Refused(_)) => false,
            // The next list is as good.
            Err(Unanswered::Wait(_)) => return false,
        };
        lane.facts.set_finds_what_is_listed(found);
        if !found {
            tracing::warn!(
                flow = lane.flow.name,
                "a record that the source lists is not found by itself: nothing is deleted for not being on the list; check the stream's `one`"
            );
        }
        found
    }
}
