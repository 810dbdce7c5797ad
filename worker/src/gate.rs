//! The gate before one operation: its circuit, its tally, and what is wrong with it at the moment. It holds
//! the state; the arithmetic is the engine's.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crosstie_connect::{CallFailure, FailureKind};
use crosstie_engine::{
    circuit::{Admission, Circuit},
    delivery::Weather,
    retry::Tally,
};
use jiff::Timestamp;
use tokio::sync::Notify;

/// How many request ids of failed calls are remembered.
const REQUEST_IDS: usize = 3;

/// What is wrong with a system at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Kind of the last failure.
    pub kind: FailureKind,
    /// The last failure in words, without values of records.
    pub detail: String,
    /// Since when no call went well.
    pub since: Timestamp,
    /// Whether calls are held back.
    pub open: bool,
    /// How many calls have failed since.
    pub failures: u64,
    /// The vendor's ids of the last of them, the newest first, as far as it gave any.
    pub request_ids: Vec<String>,
}

/// A gate. Shared by whoever calls through it.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    circuit: Circuit,
    tally: Tally,
    trouble: Option<Trouble>,
}

impl Gate {
    /// Asks for a call to pass. Whoever is let pass as the probe must say how it went, or that it was undecided.
    pub fn admit(&self, now: Timestamp) -> Admission {
        let mut state = self.state();
        let (circuit, admission) = state.circuit.admit(now);
        state.circuit = circuit;
        admission
    }

    /// What asking for a call to pass would be answered now, without asking.
    pub fn outlook(&self, now: Timestamp) -> Admission {
        self.state().circuit.admit(now).1
    }

    /// A call showed that the system is well. Says whether that closed the circuit just now.
    pub fn well(&self) -> bool {
        let mut state = self.state();
        let was_open = state.circuit.open_since().is_some();
        state.circuit = state.circuit.well();
        state.tally.well += 1;
        let open = state.circuit.open_since().is_some();
        if !open {
            state.trouble = None;
        }
        drop(state);
        self.changed.notify_waiters();
        was_open && !open
    }

    /// A call failed by the system's fault. Says what that does, and whether it opened the circuit just now.
    pub fn unwell(&self, failure: &CallFailure, now: Timestamp) -> (Weather, bool) {
        let at_least = match failure.kind {
            // These fail for every record alike until something is changed, so one is enough.
            FailureKind::CredentialsRejected | FailureKind::EgressRefused | FailureKind::Unsupported => {
                Some(Duration::ZERO)
            }
            FailureKind::RateLimited => failure.retry_after,
            FailureKind::Unreachable
            | FailureKind::TimedOut
            | FailureKind::ServerError
            | FailureKind::Refused
            | FailureKind::PageExpired
            | FailureKind::Malformed
            | FailureKind::BodyTooLarge => failure.retry_after.filter(|wait| !wait.is_zero()),
        };
        let mut state = self.state();
        let before = state.tally;
        let was_open = state.circuit.open_since().is_some();
        state.circuit = state.circuit.unwell(now, at_least);
        state.tally.unwell += 1;
        let open = state.circuit.open_since().is_some();
        let before_it = state.trouble.take();
        let since = before_it.as_ref().map_or(now, |trouble| trouble.since);
        let failures = before_it.as_ref().map_or(0, |trouble| trouble.failures).saturating_add(1);
        let earlier = before_it.into_iter().flat_map(|trouble| trouble.request_ids);
        let request_ids = failure.request_id.clone().into_iter().chain(earlier).take(REQUEST_IDS).collect();
        let (kind, detail) = (failure.kind, failure.detail.clone());
        state.trouble = Some(Trouble { kind, detail, since, open, failures, request_ids });
        let weather = Weather { before, after: state.tally, open };
        drop(state);
        self.changed.notify_waiters();
        (weather, open && !was_open)
    }

    /// A probe ended without saying anything of the system.
    pub fn undecided(&self, now: Timestamp) {
        let mut state = self.state();
        state.circuit = state.circuit.undecided(now);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Something that could have been the cause was changed, such as the credentials: the next call shows.
    pub fn reset(&self) {
        let mut state = self.state();
        state.circuit = Circuit::default();
        drop(state);
        self.changed.notify_waiters();
    }

    /// The tally as it is.
    pub fn tally(&self) -> Tally {
        self.state().tally
    }

    /// Whether calls are held back.
    pub fn is_open(&self) -> bool {
        self.state().circuit.open_since().is_some()
    }

    /// What is wrong at the moment.
    pub fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.clone()
    }

    /// Completes at the next change after the call of this method.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn refused_credentials_open_it_at_once_and_new_ones_close_it() {
        let gate = Gate::default();
        let (weather, opened) = gate.unwell(&CallFailure::new(FailureKind::CredentialsRejected, "refused"), at(0));
        assert!(weather.open && opened);
        assert_eq!(gate.admit(at(0)), Admission::Wait(Some(at(1))));
        gate.reset();
        assert_eq!(gate.admit(at(0)), Admission::Pass);
        assert!(gate.trouble().is_some(), "what was wrong is known until a call goes well");
        gate.well();
        assert_eq!(gate.trouble(), None);
    }

    #[test]
    fn what_is_wrong_dates_from_the_first_failure_and_shows_the_last() {
        let gate = Gate::default();
        gate.unwell(&CallFailure::new(FailureKind::Unreachable, "no connection"), at(1));
        let (weather, opened) = gate.unwell(&CallFailure::new(FailureKind::ServerError, "answered 503"), at(2));
        assert!(!weather.open && !opened);
        assert_eq!((weather.before.unwell, weather.after.unwell), (1, 2));
        let trouble = gate.trouble().unwrap();
        assert_eq!((trouble.kind, trouble.since, trouble.open), (FailureKind::ServerError, at(1), false));
        let (_, opened) = gate.unwell(&CallFailure::new(FailureKind::ServerError, "answered 503"), at(3));
        assert!(opened);
    }

    #[test]
    fn a_probe_that_says_nothing_lets_another_one_pass() {
        let gate = Gate::default();
        gate.unwell(
            &CallFailure::new(FailureKind::RateLimited, "slow down").after(Some(Duration::from_secs(5))),
            at(0),
        );
        assert_eq!(gate.admit(at(5)), Admission::Probe);
        assert_eq!(gate.admit(at(5)), Admission::Wait(None));
        gate.undecided(at(5));
        assert_eq!(gate.admit(at(5)), Admission::Probe);
    }
}
