//! When the next request may leave, as arithmetic: the generic cell rate algorithm. The present comes in as an argument.
//!
//! Requests are spread evenly, with bursts of at most a tenth of the share and at most twice its concurrency. The spacing is chosen such that
//! burst and steady flow together never exceed `requests` in any span of `per_seconds`, wherever it begins, so that a vendor that counts by
//! fixed spans and one that drains a bucket are both content. A tenth of the throughput is the most that this costs.

use std::time::Duration;

use crosstie_engine::plan::Allowance;
use tokio::time::Instant;

/// When requests may leave.
#[derive(Debug)]
pub struct Bucket {
    interval: Duration,
    burst: u32,
    /// When the bucket is empty again, so to say: when all that left is paid for.
    due: Option<Instant>,
    closed_until: Option<Instant>,
    /// By how much the spacing is stretched; 1 is not at all.
    slowness: u32,
}

impl Bucket {
    /// A bucket that nothing has left yet.
    pub fn new(share: Allowance) -> Self {
        let (interval, burst) = pace(share);
        Self { interval, burst, due: None, closed_until: None, slowness: 1 }
    }

    /// Takes on another share. What left under the old one stays paid for at the new price.
    pub fn set_share(&mut self, share: Allowance, now: Instant) {
        (self.interval, self.burst) = pace(share);
        let latest = after(now, self.interval.saturating_mul(self.burst));
        self.due = self.due.map(|due| due.min(latest));
    }

    /// Lets nothing leave before a time. An earlier time than one already set changes nothing.
    pub fn close_until(&mut self, until: Instant) {
        self.closed_until = Some(self.closed_until.map_or(until, |closed| closed.max(until)));
    }

    /// Stretches the spacing by a factor, without bursts; 1 ends that.
    pub fn slow(&mut self, factor: u32) {
        self.slowness = factor.max(1);
    }

    /// Lets a request leave, or says when to ask again.
    pub fn leave(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(closed) = self.closed_until.filter(|closed| *closed > now) {
            return Err(closed);
        }
        let interval = self.interval.saturating_mul(self.slowness);
        let burst = if self.slowness > 1 { 1 } else { self.burst };
        let due = self.due.map_or(now, |due| due.max(now));
        let ahead = due.saturating_duration_since(now);
        let tolerance = interval.saturating_mul(burst - 1);
        if ahead > tolerance {
            return Err(after(now, ahead.saturating_sub(tolerance)));
        }
        self.due = Some(after(due, interval));
        Ok(())
    }
}

/// Spacing and burst of a share.
fn pace(share: Allowance) -> (Duration, u32) {
    let requests = share.requests.max(1);
    let burst = (requests / 10).min(share.concurrency.saturating_mul(2)).max(1);
    let steady = requests - burst + 1;
    (Duration::from_secs(u64::from(share.per_seconds.max(1))) / steady, burst)
}

/// A time so much later; a year later where clocks end before that.
fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or_else(|| now + Duration::from_hours(24 * 365))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(requests: u32, per_seconds: u32, concurrency: u32) -> Allowance {
        Allowance { requests, per_seconds, concurrency }
    }

    /// Times, in seconds from the start, at which requests leave that are all waiting from the start.
    fn departures(bucket: &mut Bucket, start: Instant, count: usize) -> Vec<f64> {
        let mut now = start;
        let mut left = Vec::new();
        while left.len() < count {
            match bucket.leave(now) {
                Ok(()) => left.push((now - start).as_secs_f64()),
                Err(later) => {
                    assert!(later > now, "asked to come back at once");
                    now = later;
                }
            }
        }
        left
    }

    #[test]
    fn no_span_ever_sees_more_requests_than_the_share() {
        for (requests, per_seconds, concurrency) in
            [(1, 1, 1), (2, 1, 8), (40, 20, 4), (190, 10, 10), (1000, 10, 5), (7, 3, 2), (1, 60, 1)]
        {
            let start = Instant::now();
            let left = departures(
                &mut Bucket::new(share(requests, per_seconds, concurrency)),
                start,
                3 * requests as usize + 3,
            );
            for (index, first) in left.iter().enumerate() {
                let within = left[index..].iter().filter(|time| **time - first < f64::from(per_seconds) - 1e-6).count();
                assert!(within <= requests as usize, "{within} of {requests} in {per_seconds} s from {first}");
            }
        }
    }

    #[test]
    fn at_least_nine_tenths_of_the_share_can_be_used() {
        for (requests, per_seconds) in [(1, 1), (2, 1), (40, 20), (190, 10), (1000, 10)] {
            let left = departures(
                &mut Bucket::new(share(requests, per_seconds, 50)),
                Instant::now(),
                1 + 10 * requests as usize,
            );
            let rate = 10.0 * f64::from(requests) / left.last().unwrap();
            assert!(
                rate >= 0.9 * f64::from(requests) / f64::from(per_seconds),
                "{requests} in {per_seconds} s: {rate}"
            );
        }
    }

    #[test]
    fn a_closed_bucket_opens_at_its_time_and_an_earlier_time_does_not_open_it_sooner() {
        let now = Instant::now();
        let mut bucket = Bucket::new(share(10, 1, 1));
        bucket.close_until(now + Duration::from_secs(40));
        bucket.close_until(now + Duration::from_secs(4));
        assert_eq!(bucket.leave(now), Err(now + Duration::from_secs(40)));
        assert_eq!(bucket.leave(now + Duration::from_secs(40)), Ok(()));
    }

    #[test]
    fn a_slowed_bucket_spaces_requests_out_and_recovers() {
        let now = Instant::now();
        let mut bucket = Bucket::new(share(100, 10, 4));
        bucket.slow(4);
        let left = departures(&mut bucket, now, 3);
        assert!(left[1] - left[0] > 0.4 && left[2] - left[1] > 0.4, "{left:?}");
        bucket.slow(1);
        let later = now + Duration::from_mins(1);
        assert!((0..8).all(|_| bucket.leave(later).is_ok()), "bursts are back");
    }

    #[test]
    fn a_larger_share_does_not_wait_out_the_old_spacing() {
        let now = Instant::now();
        let mut bucket = Bucket::new(share(1, 3600, 1));
        assert_eq!(bucket.leave(now), Ok(()));
        bucket.set_share(share(10, 1, 1), now);
        assert_eq!(bucket.leave(now + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn absurd_shares_are_no_panic() {
        let now = Instant::now();
        for absurd in [share(0, 0, 0), share(u32::MAX, 1, u32::MAX), share(1, u32::MAX, 1)] {
            let mut bucket = Bucket::new(absurd);
            bucket.slow(u32::MAX);
            assert_eq!(bucket.leave(now), Ok(()));
            let _ = bucket.leave(now);
        }
    }
}
