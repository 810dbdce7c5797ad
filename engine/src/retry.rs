//! Waiting times, and when a failure counts against a record. Chance comes in as an argument.

use std::time::Duration;

use crate::plan::RetryPolicy;

/// Share of other calls, in percent, that must have succeeded between two attempts of a record for a 429 or 5xx to count against it.
pub const OTHERS_SUCCEED_PERCENT: u64 = 90;

/// The wait before retry number `retry` (1 is the first), without jitter.
pub fn backoff(policy: &RetryPolicy, retry: u32) -> Duration {
    let exponent = retry.saturating_sub(1);
    let factor = u64::from(policy.factor).saturating_pow(exponent);
    let seconds = u64::from(policy.initial_seconds).saturating_mul(factor);
    Duration::from_secs(seconds.min(u64::from(policy.max_seconds)))
}

/// How long all retries of a policy take together, without jitter.
pub fn patience(policy: &RetryPolicy) -> Duration {
    (1..=policy.retries).map(|retry| backoff(policy, retry)).fold(Duration::ZERO, Duration::saturating_add)
}

/// A wait stretched by up to a tenth, so that records that failed together are not retried together. `chance` is in 0..1.
pub fn jittered(wait: Duration, chance: f64) -> Duration {
    wait.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 10.0)
}

/// Calls on one operation, counted since the worker started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// Calls that succeeded, or were refused for a reason of the record's own: the system was well.
    pub well: u64,
    /// Calls that failed by the system's fault.
    pub unwell: u64,
}

impl Tally {
    /// Whether a failure that could be the system's or the record's own counts against the record: only when other calls went well
    /// since its last attempt. `then` is the tally right after that attempt, `self` the tally before counting this failure.
    pub fn blames_record(&self, then: &Self) -> bool {
        let well = self.well.saturating_sub(then.well);
        let unwell = self.unwell.saturating_sub(then.unwell);
        well > 0 && well * 100 >= (well + unwell) * OTHERS_SUCCEED_PERCENT
    }
}

/// Whether a record goes to the dead letters after failing `attempts` times by its own fault.
pub fn exhausted(policy: &RetryPolicy, attempts: u32) -> bool {
    attempts > policy.retries
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { retries: 3, initial_seconds: 120, factor: 2, max_seconds: 300 };

    #[test]
    fn waits_grow_by_the_factor_up_to_the_longest() {
        let waits: Vec<u64> = (1..=4).map(|retry| backoff(&POLICY, retry).as_secs()).collect();
        assert_eq!(waits, [120, 240, 300, 300]);
        assert_eq!(backoff(&RetryPolicy { factor: 10, ..POLICY }, u32::MAX).as_secs(), 300);
    }

    #[test]
    fn all_retries_take_as_long_as_their_waits() {
        assert_eq!(patience(&POLICY).as_secs(), 120 + 240 + 300);
        assert_eq!(patience(&RetryPolicy { retries: 0, ..POLICY }), Duration::ZERO);
    }

    #[test]
    fn three_retries_means_four_attempts() {
        assert!(!exhausted(&POLICY, 3));
        assert!(exhausted(&POLICY, 4));
    }

    #[test]
    fn an_outage_blames_no_record_and_a_poisoned_record_is_blamed() {
        let then = Tally { well: 100, unwell: 1 };
        assert!(!Tally { well: 100, unwell: 9 }.blames_record(&then), "nothing passed meanwhile");
        assert!(!Tally { well: 104, unwell: 5 }.blames_record(&then), "half of the others failed too");
        assert!(Tally { well: 110, unwell: 2 }.blames_record(&then), "10 of 11 others passed");
    }
}
