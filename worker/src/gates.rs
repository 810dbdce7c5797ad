//! The gates that a lane's calls pass: one an operation, so that one that fails holds up no other. Reading pages, reading single records of a
//! stream, each write and each look-up are operations of their own. Which gates there are is decided here; what one does is in `gate`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crosstie_connect::Clock;
use crosstie_engine::{
    circuit::Admission,
    plan::{Flow, Stream},
};
use jiff::Timestamp;

use crate::gate::Gate;

/// How long a record waits, at most, before it is seen whether its operation's circuit lets it pass.
const LONGEST: Duration = Duration::from_secs(15);
/// How long it waits when nobody knows for how long: while another record's probe is under way.
const UNKNOWN: Duration = Duration::from_secs(1);

/// The gates of a write operation.
#[derive(Clone, Debug, Default)]
pub struct OperationGates {
    /// Before its calls.
    pub send: Arc<Gate>,
    /// Before the look-ups that tell what became of its calls.
    pub look_up: Arc<Gate>,
}

/// The gates of one flow.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    /// Before the pages of its stream.
    pub pages: Arc<Gate>,
    /// Before the single records of a stream, by its name.
    pub singles: BTreeMap<String, Arc<Gate>>,
    /// Of its operation.
    pub write: OperationGates,
    /// Of its delete operation.
    pub delete: Option<OperationGates>,
}

/// Leave to call through an open circuit, as the only one. Until it is dropped no other call passes: what the call said of the system must be
/// told the gate before.
pub struct Probe {
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
}

impl Probe {
    /// Whether it is a gate's.
    pub fn is_of(&self, gate: &Arc<Gate>) -> bool {
        Arc::ptr_eq(&self.gate, gate)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Nothing, where the gate was told.
        self.gate.undecided(self.clock.now());
    }
}

/// Asks a gate for a call to pass.
pub fn admit(gate: &Arc<Gate>, clock: &Arc<dyn Clock>) -> Admitted {
    match gate.admit(clock.now()) {
        Admission::Pass => Admitted::Pass,
        Admission::Probe => Admitted::Probe(Probe { gate: Arc::clone(gate), clock: Arc::clone(clock) }),
        Admission::Wait(until) => Admitted::Wait(until),
    }
}

/// What a gate answers.
pub enum Admitted {
    /// The call may pass.
    Pass,
    /// It may, as the only one.
    Probe(Probe),
    /// Not before a time; none is known while a probe is under way.
    Wait(Option<Timestamp>),
}

/// What the gates say to handing records out.
pub enum Handing {
    /// Some may pass.
    Free,
    /// One may pass a gate, as the only one.
    Probe(Probe),
    /// None may before a time; none is known while a probe is under way.
    Wait(Option<Timestamp>),
}

impl Gates {
    /// The gates of the flow's writes, or of its deletes.
    pub fn of(&self, deletes: bool) -> &OperationGates {
        self.delete.as_ref().filter(|_| deletes).unwrap_or(&self.write)
    }

    /// Whether records may be handed out. What a record's operation is shows only when it is mapped: while one operation fails and the other
    /// does not, each is handed out, and those of the failing one wait for its circuit.
    pub fn handing(&self, clock: &Arc<dyn Clock>) -> Handing {
        let now = clock.now();
        if self.sends().any(|gate| gate.outlook(now) == Admission::Pass) {
            return Handing::Free;
        }
        let mut times = Vec::new();
        for gate in self.sends() {
            match admit(gate, clock) {
                Admitted::Pass => return Handing::Free,
                Admitted::Probe(probe) => return Handing::Probe(probe),
                Admitted::Wait(time) => times.extend(time),
            }
        }
        Handing::Wait(times.into_iter().min())
    }

    /// Completes at the next change of a gate that records are handed out by.
    pub async fn changed(&self) {
        match &self.delete {
            None => self.write.send.changed().await,
            Some(delete) => tokio::select! {
                () = self.write.send.changed() => {}
                () = delete.send.changed() => {}
            },
        }
    }

    fn sends(&self) -> impl Iterator<Item = &Arc<Gate>> {
        std::iter::once(&self.write.send).chain(self.delete.as_ref().map(|delete| &delete.send))
    }

    /// Something that could be why the source fails was changed: the next calls show.
    pub fn reset_source(&self) {
        std::iter::once(&self.pages).chain(self.singles.values()).for_each(|gate| gate.reset());
    }

    /// Something that could be why the destination fails was changed: the next calls show.
    pub fn reset_destination(&self) {
        for gates in std::iter::once(&self.write).chain(&self.delete) {
            gates.send.reset();
            gates.look_up.reset();
        }
    }
}

/// When a record that a circuit holds up is to be seen again.
pub fn again(until: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let later = |wait| now.checked_add(wait).unwrap_or(Timestamp::MAX);
    until.map_or_else(|| later(UNKNOWN), |until| until.min(later(LONGEST)))
}

/// All gates of a plan's flows: the flows that call the same operation share its gates.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    pages: BTreeMap<String, Arc<Gate>>,
    singles: BTreeMap<String, Arc<Gate>>,
    operations: BTreeMap<String, OperationGates>,
}

impl Shelf {
    /// What is known of the systems that are the same as before; nothing of one that is another now.
    #[must_use]
    pub fn taken_over(&self, same_source: bool, same_destination: bool) -> Self {
        let mut shelf = self.clone();
        if !same_source {
            (shelf.pages, shelf.singles) = Default::default();
        }
        if !same_destination {
            shelf.operations = BTreeMap::new();
        }
        shelf
    }

    /// The gates of a flow, open for now: a loop that was stopped may have left a probe under way, and a changed plan may be what heals.
    pub fn of(&mut self, flow: &Flow) -> Gates {
        let streams = flow.lookups.iter().chain(Some(&flow.stream)).filter(|stream| stream.one.is_some());
        let gates = Gates {
            pages: Arc::clone(self.pages.entry(flow.name.clone()).or_default()),
            singles: streams.map(|stream| (stream.name.clone(), self.single(stream))).collect(),
            write: self.operation(&flow.operation.name),
            delete: flow.delete_operation.as_ref().map(|operation| self.operation(&operation.name)),
        };
        gates.reset_source();
        gates.reset_destination();
        gates
    }

    fn single(&mut self, stream: &Stream) -> Arc<Gate> {
        Arc::clone(self.singles.entry(stream.name.clone()).or_default())
    }

    fn operation(&mut self, name: &str) -> OperationGates {
        self.operations.entry(name.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use crosstie_connect::{CallFailure, FailureKind, SystemClock};

    use super::*;

    fn limited() -> CallFailure {
        CallFailure::new(FailureKind::RateLimited, "slow down").after(Some(Duration::from_hours(1)))
    }

    fn two() -> (Gates, Arc<dyn Clock>) {
        let gates = Gates { delete: Some(OperationGates::default()), ..Gates::default() };
        (gates, Arc::new(SystemClock))
    }

    #[test]
    fn records_are_handed_out_while_one_operation_passes() {
        let (gates, clock) = two();
        gates.of(true).send.unwell(&limited(), clock.now());
        assert!(matches!(gates.handing(&clock), Handing::Free));
        gates.of(false).send.unwell(&limited(), clock.now());
        assert!(matches!(gates.handing(&clock), Handing::Wait(Some(_))));
        gates.reset_destination();
        assert!(matches!(gates.handing(&clock), Handing::Free));
    }

    #[test]
    fn look_ups_that_fail_hold_up_nobody_else() {
        let (gates, clock) = two();
        gates.of(false).look_up.unwell(&limited(), clock.now());
        assert!(matches!(gates.handing(&clock), Handing::Free));
        assert!(matches!(admit(&gates.of(false).look_up, &clock), Admitted::Wait(Some(_))));
    }

    #[test]
    fn a_probe_that_is_dropped_without_a_word_lets_another_one_pass() {
        let (gates, clock) = (Gates::default(), Arc::new(SystemClock) as Arc<dyn Clock>);
        let before = clock.now() - jiff::SignedDuration::from_hours(2);
        gates.write.send.unwell(&limited(), before);
        let Handing::Probe(probe) = gates.handing(&clock) else { panic!("nobody probes") };
        assert!(probe.is_of(&gates.write.send) && matches!(gates.handing(&clock), Handing::Wait(None)));
        drop(probe);
        let Handing::Probe(probe) = gates.handing(&clock) else { panic!("nobody probes") };
        gates.write.send.well();
        drop(probe);
        assert!(matches!(gates.handing(&clock), Handing::Free));
    }

    #[test]
    fn a_record_that_a_circuit_holds_up_is_seen_again_soon() {
        let now = Timestamp::UNIX_EPOCH;
        let later = |seconds| now + jiff::SignedDuration::from_secs(seconds);
        assert_eq!([None, Some(later(7)), Some(later(600))].map(|until| again(until, now)), [1, 7, 15].map(later));
    }
}
