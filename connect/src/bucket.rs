//! When the next request may leave, as arithmetic: the generic cell rate algorithm, and beside it a count of what left within the span. The present
//! comes in as an argument.
//!
//! Requests are spread evenly, with bursts after a pause of at most a tenth of the share and at most twice its concurrency. Whatever left in bursts,
//! no span of `per_seconds`, wherever it begins, sees more than `requests`. The spacing is a fortieth wider than it would have to be, and so is the
//! span: requests that arrive a little late or early, and those of others with shares of the same account, then still fit. That fortieth is all
//! that it costs.

use std::{collections::VecDeque, time::Duration};

use crosstie_engine::plan::Allowance;
use tokio::time::Instant;

use crate::{quota::Quota, signals::LONGEST_RETRY_AFTER};

/// Up to how many requests a span each is remembered. Beyond, bursts are a fiftieth, which the spacing makes up for.
const MOST_REMEMBERED: u32 = 1000;

/// When requests may leave.
#[derive(Debug)]
pub struct Bucket {
    pace: Spacing,
    /// When the last ones left that are still counted.
    left: VecDeque<Instant>,
    /// When the bucket is empty again, so to say: when all that left is paid for.
    due: Option<Instant>,
    closed_until: Option<Instant>,
    /// By how much the spacing is stretched; 1 is not at all.
    slowness: u32,
    held: Option<Held>,
}

/// What a share makes of the pace.
#[derive(Clone, Copy, Debug)]
struct Spacing {
    interval: Duration,
    burst: u32,
    /// So many in each span, where each is remembered.
    counted: Option<(usize, Duration)>,
}

/// What the vendor says is left: no closer than this until then.
#[derive(Clone, Copy, Debug)]
struct Held {
    interval: Duration,
    until: Instant,
}

impl Bucket {
    /// A bucket that nothing has left yet.
    pub fn new(share: Allowance) -> Self {
        let (left, pace) = (VecDeque::new(), spacing(share));
        Self { pace, left, due: None, closed_until: None, slowness: 1, held: None }
    }

    /// Takes on another share. What left under the old one stays paid for at the new price.
    pub fn set_share(&mut self, share: Allowance, now: Instant) {
        self.pace = spacing(share);
        let latest = after(now, self.pace.interval.saturating_mul(self.pace.burst));
        self.due = self.due.map(|due| due.min(latest));
    }

    /// Lets nothing leave before a time. An earlier time than one already set changes nothing.
    pub fn close_until(&mut self, until: Instant) {
        self.closed_until = Some(self.closed_until.map_or(until, |closed| closed.max(until)));
    }

    /// Keeps to what is left of a vendor's quota, of which `weight` (0..1) is ours: spread over the time until it is whole again. Where that time is
    /// not said, a quota that is nearly used up stretches the spacing.
    pub fn follow(&mut self, quota: &Quota, weight: f64, now: Instant) {
        let Some(resets_in) = quota.resets_in else {
            self.slowness = slowness(quota);
            return;
        };
        let resets_in = resets_in.min(LONGEST_RETRY_AFTER);
        let until = after(now, resets_in);
        if quota.remaining == 0 {
            self.close_until(until);
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "no quota has so many requests that it mattered")]
        let ours = (quota.remaining as f64 * weight).max(1.0);
        self.held = Some(Held { interval: resets_in.div_f64(ours), until });
    }

    /// Lets a request leave, or says when to ask again.
    pub fn leave(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(closed) = self.closed_until.filter(|closed| *closed > now) {
            return Err(closed);
        }
        let own = self.pace.interval.saturating_mul(self.slowness);
        let held = self.held.filter(|held| held.until > now && held.interval > own);
        // What is left until a reset says nothing of the time after it.
        let interval = held.map_or(own, |held| held.interval.min((held.until - now).max(own)));
        let burst = if self.slowness > 1 || held.is_some() { 1 } else { self.pace.burst };
        let due = self.due.map_or(now, |due| due.max(now));
        let ahead = due.saturating_duration_since(now);
        let tolerance = interval.saturating_mul(burst - 1);
        if ahead > tolerance {
            return Err(after(now, ahead.saturating_sub(tolerance)));
        }
        if let Some((most, span)) = self.pace.counted {
            while self.left.front().is_some_and(|first| now.saturating_duration_since(*first) >= span) {
                self.left.pop_front();
            }
            if let Some(first) = self.left.front().filter(|_| self.left.len() >= most) {
                return Err(after(*first, span));
            }
            self.left.push_back(now);
        } else {
            self.left.clear();
        }
        self.due = Some(after(due, interval));
        Ok(())
    }
}

/// By how much to stretch the spacing, from how full the vendor says its bucket is.
fn slowness(quota: &Quota) -> u32 {
    let Some(limit) = quota.limit.filter(|limit| *limit > 0) else { return 1 };
    match limit.saturating_sub(quota.remaining).saturating_mul(100) / limit {
        0..80 => 1,
        80..95 => 2,
        _ => 4,
    }
}

/// Spacing and burst of a share.
fn spacing(share: Allowance) -> Spacing {
    let requests = share.requests.max(1);
    let span = Duration::from_secs(u64::from(share.per_seconds.max(1))) * 41 / 40;
    let counts = requests <= MOST_REMEMBERED;
    let burst = (requests / if counts { 10 } else { 50 }).min(share.concurrency.saturating_mul(2)).max(1);
    let steady = if counts { requests } else { requests - burst + 1 };
    let counted = usize::try_from(requests).ok().filter(|_| counts).map(|most| (most, span));
    Spacing { interval: span / steady, burst, counted }
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

    const SHARES: [(u32, u32, u32); 8] =
        [(1, 1, 1), (2, 1, 8), (40, 20, 4), (190, 10, 10), (1000, 10, 5), (5000, 10, 50), (7, 3, 2), (1, 60, 1)];

    #[test]
    fn no_span_ever_sees_more_requests_than_the_share() {
        for (requests, per_seconds, concurrency) in SHARES {
            let start = Instant::now();
            let left = departures(
                &mut Bucket::new(share(requests, per_seconds, concurrency)),
                start,
                3 * requests as usize + 3,
            );
            for (index, first) in left.iter().enumerate() {
                let within =
                    left[index..].iter().take_while(|time| **time - first < f64::from(per_seconds) - 1e-6).count();
                assert!(within <= requests as usize, "{within} of {requests} in {per_seconds} s from {first}");
            }
        }
    }

    #[test]
    fn at_least_95_percent_of_the_share_can_be_used() {
        for (requests, per_seconds, concurrency) in SHARES {
            let count = 1 + 20 * requests as usize;
            let left = departures(&mut Bucket::new(share(requests, per_seconds, concurrency)), Instant::now(), count);
            let rate = 20.0 * f64::from(requests) / left.last().unwrap();
            let allowed = f64::from(requests) / f64::from(per_seconds);
            assert!(rate >= 0.95 * allowed, "{requests} in {per_seconds} s: {rate}");
        }
    }

    #[test]
    fn a_burst_after_a_pause_costs_nothing_later() {
        let start = Instant::now();
        let left = departures(&mut Bucket::new(share(40, 20, 4)), start, 44);
        assert_eq!(left[3].to_bits(), 0.0_f64.to_bits(), "four leave at once");
        assert!(left[43] < 22.0, "{left:?}");
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

    fn quota(limit: u64, remaining: u64, resets_in: Option<u64>) -> Quota {
        Quota { limit: Some(limit), remaining, resets_in: resets_in.map(Duration::from_secs) }
    }

    #[test]
    fn a_vendors_bucket_that_fills_up_spaces_requests_out_until_it_drains() {
        let now = Instant::now();
        let mut bucket = Bucket::new(share(100, 10, 4));
        bucket.follow(&quota(40, 1, None), 1.0, now);
        let left = departures(&mut bucket, now, 3);
        assert!(left[1] - left[0] > 0.4 && left[2] - left[1] > 0.4, "{left:?}");
        bucket.follow(&quota(40, 30, None), 1.0, now);
        let later = now + Duration::from_mins(1);
        assert!((0..8).all(|_| bucket.leave(later).is_ok()), "bursts are back");
    }

    #[test]
    fn what_is_left_of_a_quota_is_spread_until_it_is_whole_again() {
        let now = Instant::now();
        let mut bucket = Bucket::new(share(100, 10, 4));
        // 8 are left for 20 s, and half of them are ours.
        bucket.follow(&quota(200, 8, Some(20)), 0.5, now);
        let left = departures(&mut bucket, now, 4);
        assert!((left[3] - 15.0).abs() < 1e-6, "{left:?}");
        let later = now + Duration::from_secs(21);
        assert!(
            (0..8).all(|_| bucket.leave(later).is_ok()),
            "what is left until a reset says nothing of the time after it"
        );
    }

    #[test]
    fn nothing_leaves_while_nothing_is_left() {
        let now = Instant::now();
        let mut bucket = Bucket::new(share(100, 10, 4));
        bucket.follow(&quota(200, 0, Some(7)), 0.5, now);
        assert_eq!(bucket.leave(now), Err(now + Duration::from_secs(7)));
        assert_eq!(bucket.leave(now + Duration::from_secs(7)), Ok(()));
        bucket.follow(&quota(200, 0, Some(u64::MAX)), 0.5, now);
        assert_eq!(bucket.leave(now), Err(now + LONGEST_RETRY_AFTER), "a wait of ages is bounded");
    }

    #[test]
    fn a_larger_share_does_not_wait_out_the_old_spacing() {
        let now = Instant::now();
        let mut bucket = Bucket::new(share(1, 3600, 1));
        assert_eq!(bucket.leave(now), Ok(()));
        bucket.set_share(share(10, 1, 1), now);
        assert_eq!(bucket.leave(now + Duration::from_millis(103)), Ok(()));
    }

    #[test]
    fn absurd_shares_are_no_panic() {
        let now = Instant::now();
        for absurd in [share(0, 0, 0), share(u32::MAX, 1, u32::MAX), share(1, u32::MAX, 1)] {
            let mut bucket = Bucket::new(absurd);
            bucket.follow(&quota(0, u64::MAX, None), 1.0, now);
            bucket.follow(&quota(u64::MAX, u64::MAX, Some(0)), 0.0, now);
            assert_eq!(bucket.leave(now), Ok(()));
            let _ = bucket.leave(now);
        }
    }
}
