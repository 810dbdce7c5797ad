//! When a flow reads next.

use std::{str::FromStr, time::Duration};

use jiff::Timestamp;

use crate::plan::Trigger;

/// Why a trigger never fires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{expression}` is not a cron expression of five fields (minute, hour, day of month, month, day of week), for example `0 * * * *`"
)]
pub struct ScheduleError {
    /// The expression.
    pub expression: String,
}

/// Checks a cron expression.
///
/// # Errors
/// [`ScheduleError`].
pub fn check_cron(expression: &str) -> Result<(), ScheduleError> {
    parse(expression).map(|_| ())
}

fn parse(expression: &str) -> Result<croner::Cron, ScheduleError> {
    let error = || ScheduleError { expression: expression.to_owned() };
    if expression.split_whitespace().count() != 5 {
        return Err(error());
    }
    croner::Cron::from_str(expression).map_err(|_| error())
}

/// The next time that any of the triggers fires strictly after `last`, the last time one did; the present when none ever did.
pub fn next(triggers: &[Trigger], last: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let Some(last) = last else { return now };
    triggers.iter().filter_map(|trigger| after(trigger, last)).min().unwrap_or(Timestamp::MAX)
}

fn after(trigger: &Trigger, last: Timestamp) -> Option<Timestamp> {
    match trigger {
        Trigger::EverySeconds(seconds) => last.checked_add(Duration::from_secs(u64::from(*seconds))).ok(),
        Trigger::Cron(expression) => {
            let last = chrono::DateTime::from_timestamp(last.as_second(), 0)?;
            let next = parse(expression).ok()?.find_next_occurrence(&last, false).ok()?;
            Timestamp::from_second(next.timestamp()).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_flow_that_never_ran_runs_at_once() {
        let now = at("2026-07-01T10:00:00Z");
        assert_eq!(next(&[Trigger::Cron("0 0 * * *".into())], None, now), now);
    }

    #[test]
    fn the_earliest_trigger_wins_and_missed_times_are_in_the_past() {
        let triggers = [Trigger::EverySeconds(900), Trigger::Cron("5 * * * *".into())];
        let next = next(&triggers, Some(at("2026-07-01T10:00:30Z")), at("2026-07-01T12:00:00Z"));
        assert_eq!(next, at("2026-07-01T10:05:00Z"));
    }

    #[test]
    fn what_is_no_cron_expression_is_refused() {
        for expression in ["", "* * * *", "0 0 0 * * *", "61 * * * *", "a b c d e"] {
            assert!(check_cron(expression).is_err(), "{expression}");
        }
    }
}
