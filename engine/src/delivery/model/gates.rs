//! The circuits before the model's calls: one an operation.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    circuit::{Admission, Circuit},
    delivery::{Rule, Weather},
    retry::Tally,
};

/// What is called at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A write.
    Write,
    /// A delete.
    Delete,
    /// A look-up.
    LookUp,
}

/// One operation's circuit and tally.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    circuit: Circuit,
    /// Calls so far.
    pub tally: Tally,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Gates([Gate; 3]);

/// What the circuits say to handing records out.
pub enum Handing {
    /// Some may pass.
    Free,
    /// One may call this, as the only one.
    Probe(Call),
    /// None may.
    Wait,
}

impl Gates {
    fn index(call: Call) -> usize {
        if !Rule::CircuitsArePerOperation.holds() {
            return 0;
        }
        match call {
            Call::Write => 0,
            Call::Delete => 1,
            Call::LookUp => 2,
        }
    }

    /// Whether two calls have one circuit.
    pub fn shared(one: Call, other: Call) -> bool {
        Self::index(one) == Self::index(other)
    }

    /// The gate before a call.
    pub fn of(&self, call: Call) -> Gate {
        self.0[Self::index(call)]
    }

    /// Asks for a call to pass.
    pub fn admit(&mut self, call: Call, now: Timestamp) -> Admission {
        let gate = &mut self.0[Self::index(call)];
        let (circuit, admission) = gate.circuit.admit(now);
        gate.circuit = circuit;
        admission
    }

    /// Whether records may be handed out.
    pub fn handing(&mut self, now: Timestamp) -> Handing {
        let calls = [Call::Write, Call::Delete];
        if calls.iter().any(|call| self.of(*call).circuit.admit(now).1 == Admission::Pass) {
            return Handing::Free;
        }
        let probes = calls.into_iter().find(|call| self.admit(*call, now) == Admission::Probe);
        probes.map_or(Handing::Wait, Handing::Probe)
    }

    /// A call went well. Says whether that closed its circuit.
    pub fn well(&mut self, call: Call) -> bool {
        let gate = &mut self.0[Self::index(call)];
        let was_open = gate.circuit.open_since().is_some();
        gate.circuit = gate.circuit.well();
        gate.tally.well += 1;
        was_open && gate.circuit.open_since().is_none()
    }

    /// A call failed by the system's fault. Says whether that opened its circuit.
    pub fn unwell(&mut self, call: Call, now: Timestamp, at_least: Option<Duration>) -> (Weather, bool) {
        let gate = &mut self.0[Self::index(call)];
        let (before, was_open) = (gate.tally, gate.circuit.open_since().is_some());
        gate.circuit = gate.circuit.unwell(now, at_least);
        gate.tally.unwell += 1;
        let open = gate.circuit.open_since().is_some();
        (Weather { before, after: gate.tally, open }, open && !was_open)
    }

    /// What the circuit said without a call being counted.
    pub fn weather(&self, call: Call) -> Weather {
        let gate = self.of(call);
        Weather { before: gate.tally, after: gate.tally, open: gate.circuit.open_since().is_some() }
    }

    /// A probe ended without saying anything of the system.
    pub fn undecided(&mut self, call: Call, now: Timestamp) {
        let gate = &mut self.0[Self::index(call)];
        gate.circuit = gate.circuit.undecided(now);
    }
}
