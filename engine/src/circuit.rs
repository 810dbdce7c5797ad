//! The circuit of one operation: closed while the system is well, open while calls would only fail, half open when one probe may pass. A
//! pure state machine; the clock comes in.

use std::time::Duration;

use jiff::Timestamp;

use crate::delivery::Rule;

/// System failures in a row that open a circuit.
pub const FAILURES_TO_OPEN: u32 = 3;
/// The first wait of an open circuit; it doubles with each failed probe.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between probes.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// State of one operation's circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Calls pass; so many failed in a row lately.
    Closed {
        /// System failures since the last success.
        failures: u32,
    },
    /// No call passes until a time.
    Open {
        /// When it first opened.
        since: Timestamp,
        /// When a probe may pass.
        until: Timestamp,
        /// Failed probes so far.
        probes: u32,
    },
    /// One probe is under way.
    Probing {
        /// When it first opened.
        since: Timestamp,
        /// Failed probes so far.
        probes: u32,
    },
}

/// Whether a call may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Pass,
    /// It may, as the only one: use another key than the last probe's.
    Probe,
    /// Not before a time; `None` while a probe is under way.
    Wait(Option<Timestamp>),
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Asks for a call to pass.
    #[must_use]
    pub fn admit(self, now: Timestamp) -> (Self, Admission) {
        match self {
            Self::Closed { .. } => (self, Admission::Pass),
            Self::Open { since, until, probes } if now >= until => (Self::Probing { since, probes }, Admission::Probe),
            Self::Open { until, .. } => (self, Admission::Wait(Some(until))),
            Self::Probing { .. } => (self, Admission::Wait(None)),
        }
    }

    /// A call showed that the system is well. While it is open only calls that were under way before can show that, and what the vendor asked
    /// for since stands.
    #[must_use]
    pub fn well(self) -> Self {
        match self {
            Self::Closed { .. } | Self::Probing { .. } => Self::default(),
            Self::Open { .. } => self,
        }
    }

    /// A call failed by the system's fault. `at_least` is what the vendor asked to wait; asking opens at once.
    #[must_use]
    pub fn unwell(self, now: Timestamp, at_least: Option<Duration>) -> Self {
        let at_least = at_least.filter(|_| Rule::WaitsAreKept.holds());
        let (since, probes) = match self {
            Self::Closed { failures } if failures + 1 < FAILURES_TO_OPEN && at_least.is_none() => {
                return Self::Closed { failures: failures + 1 };
            }
            Self::Closed { .. } => (now, 0),
            // Calls that were under way when it opened say nothing new.
            Self::Open { since, until, probes } => {
                let until = at_least.map_or(until, |wait| until.max(later(now, wait)));
                return Self::Open { since, until, probes };
            }
            Self::Probing { since, probes } => (since, probes.saturating_add(1)),
        };
        let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(probes)).min(LONGEST_WAIT);
        let until = later(now, at_least.map_or(doubled, |wait| wait.max(doubled)));
        Self::Open { since, until, probes }
    }

    /// A probe ended without saying anything of the system: another may pass at once.
    #[must_use]
    pub fn undecided(self, now: Timestamp) -> Self {
        match self {
            Self::Probing { since, probes } => Self::Open { since, until: now, probes },
            Self::Closed { .. } | Self::Open { .. } => self,
        }
    }

    /// Since when no calls pass freely.
    pub fn open_since(self) -> Option<Timestamp> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { since, .. } | Self::Probing { since, .. } => Some(since),
        }
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_single_failure_does_not_open_it_and_three_in_a_row_do() {
        let one = Circuit::default().unwell(at(0), None);
        assert_eq!(one.admit(at(0)).1, Admission::Pass);
        assert_eq!(one.well().unwell(at(1), None).unwell(at(2), None).admit(at(2)).1, Admission::Pass);
        let open = one.unwell(at(1), None).unwell(at(2), None);
        assert_eq!(open.admit(at(2)).1, Admission::Wait(Some(at(3))));
    }

    #[test]
    fn being_asked_to_wait_opens_it_at_once_for_that_long() {
        let open = Circuit::default().unwell(at(0), Some(Duration::from_secs(40)));
        assert_eq!(open.admit(at(39)).1, Admission::Wait(Some(at(40))));
        assert_eq!(open.admit(at(40)).1, Admission::Probe);
    }

    #[test]
    fn one_probe_at_a_time_and_longer_waits_after_each_that_fails() {
        let mut circuit = Circuit::default().unwell(at(0), Some(Duration::ZERO));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let Circuit::Open { until, .. } = circuit else { panic!("{circuit:?}") };
            waits.push(until.as_second() - now);
            now = until.as_second();
            let (probing, admission) = circuit.admit(at(now));
            assert_eq!(admission, Admission::Probe);
            assert_eq!(probing.admit(at(now)).1, Admission::Wait(None));
            circuit = probing.unwell(at(now), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(circuit.open_since(), Some(at(0)));
        assert_eq!(circuit.well(), circuit, "a call that was under way before it opened");
        assert_eq!(circuit.admit(at(now + 60)).0.well(), Circuit::default());
    }

    #[test]
    fn failures_of_calls_already_under_way_do_not_lengthen_the_wait() {
        let open = Circuit::default().unwell(at(0), Some(Duration::from_secs(1)));
        assert_eq!(open.unwell(at(0), None), open);
    }
}
