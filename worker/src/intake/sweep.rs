//! Comparing what is known with a list that was read to its end: part by part, so that no transaction is long, and what it does not hold waits in the
//! queue like anything else.

use tokio::time::sleep;

use super::Reader;
use crate::{store::SweptPart, trouble};

/// Keys that are compared in one transaction.
const KEYS: u32 = 1000;

impl Reader<'_> {
    /// Compares a part. Says whether it was the last.
    pub(super) async fn sweep(&mut self) -> bool {
        let lane = self.lane;
        if !lane.flow.deletes_unlisted {
            // The plan changed meanwhile.
            self.poll.sweep = None;
            return true;
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
}
