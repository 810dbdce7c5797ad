//! Passing the gate before an operation: whether a call may be made now, and what its outcome says of the system.

use std::sync::Arc;

use crosstie_connect::CallFailure;
use crosstie_engine::{delivery::Weather, retry::Tally};
use jiff::Timestamp;

use crate::{
    gate::Gate,
    gates::{Admitted, Probe, admit, again},
    lane::Lane,
};

/// Somebody who wants to call.
pub struct Passage<'a> {
    lane: &'a Lane,
    /// The leave to call through an open circuit.
    probe: Option<Probe>,
}

impl<'a> Passage<'a> {
    pub fn new(lane: &'a Lane, probe: Option<Probe>) -> Self {
        Self { lane, probe }
    }

    /// Whether it is to be found out whether the destination is well again.
    pub fn probes(&self) -> bool {
        self.probe.is_some()
    }

    /// Gives the leave to somebody else.
    pub fn take_leave(&mut self) -> Option<Probe> {
        self.probe.take()
    }

    /// Takes a leave back.
    pub fn keep_leave(&mut self, probe: Option<Probe>) {
        self.probe = probe;
    }

    /// Asks an operation's gate. Between claim and call its circuit may have opened, and what a record's operation is shows only when it is
    /// mapped: it then waits for the circuit, until this time.
    pub fn held_back(&mut self, gate: &Arc<Gate>) -> Option<Timestamp> {
        if self.probe.as_ref().is_some_and(|probe| probe.is_of(gate)) {
            return None;
        }
        self.probe = None;
        match admit(gate, &self.lane.clock) {
            Admitted::Pass => None,
            Admitted::Probe(probe) => {
                self.probe = Some(probe);
                None
            }
            Admitted::Wait(until) => Some(again(until, self.lane.now())),
        }
    }

    /// A call showed that its operation is well. When that closes the circuit, what waited for it is due.
    pub async fn well(&mut self, gate: &Gate) -> Weather {
        let closed = gate.well();
        self.probe = None;
        if closed {
            self.hasten().await;
        }
        Weather::default()
    }

    /// A send failed. With the gate's tally before it, and whether it is nothing to the system.
    pub async fn failed(
        &mut self,
        gate: &Gate,
        operation: &str,
        failure: &CallFailure,
        (before, spared): (Tally, bool),
    ) -> Weather {
        let lane = self.lane;
        lane.metrics.call_failed(&lane.flow.name, failure.kind);
        tracing::debug!(flow = lane.flow.name, kind = failure.kind.as_str(), detail = failure.detail, "a write failed");
        if spared {
            return Weather { before, after: before, open: gate.is_open() };
        }
        self.unwell(gate, operation, failure).await
    }

    /// Counts a failure of the system. When that opens the circuit, records that wait for the system's sake become due: from then on the
    /// circuit decides.
    pub async fn unwell(&mut self, gate: &Gate, operation: &str, failure: &CallFailure) -> Weather {
        let lane = self.lane;
        let (weather, opened) = gate.unwell(failure, lane.now());
        self.probe = None;
        if opened {
            tracing::warn!(
                flow = lane.flow.name,
                operation,
                kind = failure.kind.as_str(),
                detail = failure.detail,
                "the destination is not well: records wait in order"
            );
            self.hasten().await;
        }
        weather
    }

    async fn hasten(&self) {
        let lane = self.lane;
        let hastened = lane.store.hasten(lane.scope, lane.now()).await;
        // Without it those records wait for their own time instead of the circuit's.
        let _later = lane.store_trouble.changed(hastened);
        lane.wake.notify_one();
    }
}
