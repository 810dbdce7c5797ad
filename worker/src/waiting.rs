//! Turning times into waits. Waits are cut into short ones, because the wall clock they are computed from may be set.

use std::time::Duration;

use jiff::Timestamp;

/// Longest wait before the clock is looked at again.
const LONGEST: Duration = Duration::from_secs(15);
/// Shortest wait, so that a time which rounds to the present is not asked for in a tight loop.
const SHORTEST: Duration = Duration::from_millis(1);

/// From now until a time; nothing when it is past.
pub fn until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now)).unwrap_or_default()
}

/// The wait, but neither so long nor so short that it could do harm.
pub fn capped(wait: Duration) -> Duration {
    wait.clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_past_is_no_wait_and_one_far_ahead_is_looked_at_again() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(until(Timestamp::MIN, now), Duration::ZERO);
        assert_eq!(until(Timestamp::from_second(3).unwrap(), now), Duration::from_secs(3));
        assert_eq!(capped(until(Timestamp::MAX, now)), LONGEST);
        assert_eq!(capped(Duration::ZERO), SHORTEST);
    }
}
