//! Rate limits: the leaky bucket. Pure: the time is an argument.

use crate::wire::RateLimit;

/// The level of one bucket.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    level: f64,
    checked_millis: u64,
}

/// What the bucket says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admission {
    /// Whether there was room.
    pub(crate) admitted: bool,
    /// Requests in the bucket, this one included when it was admitted.
    pub(crate) used: u32,
}

impl Bucket {
    /// Adds one request at `now_millis` (of any clock that does not go back) if there is room.
    pub(crate) fn admit(&mut self, limit: RateLimit, now_millis: u64) -> Admission {
        let size = f64::from(limit.bucket_size);
        let elapsed = std::time::Duration::from_millis(now_millis.saturating_sub(self.checked_millis));
        self.checked_millis = self.checked_millis.max(now_millis);
        self.level = (self.level - elapsed.as_secs_f64() * limit.leak_per_second).clamp(0.0, size);
        let admitted = self.level + 1.0 <= size;
        if admitted {
            self.level += 1.0;
        }
        Admission { admitted, used: whole(self.level) }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a level lies between 0 and a u32")]
fn whole(level: f64) -> u32 {
    level.ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit { bucket_size: 3, leak_per_second: 2.0 };

    #[test]
    fn a_full_bucket_refuses() {
        let mut bucket = Bucket::default();
        let admitted: Vec<bool> = (0..5).map(|_| bucket.admit(LIMIT, 0).admitted).collect();
        assert_eq!(admitted, [true, true, true, false, false]);
    }

    #[test]
    fn a_refused_request_takes_no_room() {
        let mut bucket = Bucket::default();
        for _ in 0..10 {
            bucket.admit(LIMIT, 0);
        }
        assert!(bucket.admit(LIMIT, 500).admitted, "one leaked out in half a second");
        assert!(!bucket.admit(LIMIT, 500).admitted);
    }

    #[test]
    fn an_idle_bucket_empties_and_no_further() {
        let mut bucket = Bucket::default();
        bucket.admit(LIMIT, 0);
        assert_eq!(bucket.admit(LIMIT, 60_000), Admission { admitted: true, used: 1 });
    }
}
