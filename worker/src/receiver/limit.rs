//! Token buckets by key, of which only so many are remembered. Pure: time is an argument.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    time::Duration,
};

use jiff::Timestamp;

/// Most keys that are remembered. Beyond it those are forgotten that have the most room.
const MOST_KEYS: usize = 10_000;

/// What a key may take: so many at once, and so many again in each span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// How many.
    pub burst: u32,
    /// The span.
    pub per_seconds: u32,
}

/// What each key has left.
#[derive(Debug)]
pub struct Buckets<K>(HashMap<K, Level>);

#[derive(Clone, Copy, Debug)]
struct Level {
    left: f64,
    at: Timestamp,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Takes one for a key. How long to wait, if nothing is left; then nothing is taken.
    pub fn take(&mut self, key: K, bucket: Bucket, now: Timestamp) -> Option<Duration> {
        if self.0.len() >= MOST_KEYS && !self.0.contains_key(&key) {
            self.make_room(bucket, now);
        }
        let level = self.0.entry(key).or_insert(Level { left: f64::from(bucket.burst), at: now });
        let left = filled(level, bucket, now);
        *level = Level { left, at: now };
        if left < 1.0 {
            return Some(wait(1.0 - left, bucket));
        }
        level.left -= 1.0;
        None
    }

    /// How long to wait until a key has one left; none when it has.
    pub fn spent(&mut self, key: &K, bucket: Bucket, now: Timestamp) -> Option<Duration> {
        self.lacks(key, 1, bucket, now)
    }

    /// How long to wait until every key has one left for each time it stands in the list; none when they have. More than a bucket ever holds passes
    /// once it is full.
    pub fn room_for(&mut self, keys: &[K], bucket: Bucket, now: Timestamp) -> Option<Duration>
    where
        K: Ord,
    {
        let mut counts: BTreeMap<&K, u32> = BTreeMap::new();
        for key in keys {
            *counts.entry(key).or_default() += 1;
        }
        counts.into_iter().filter_map(|(key, count)| self.lacks(key, count.min(bucket.burst), bucket, now)).max()
    }

    /// Gives a key all of it back.
    pub fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }

    fn lacks(&mut self, key: &K, count: u32, bucket: Bucket, now: Timestamp) -> Option<Duration> {
        let level = self.0.get_mut(key)?;
        // After a clock was set back, what was given is given back from now on, not only once the clock has caught up.
        level.at = level.at.min(now);
        let left = filled(level, bucket, now);
        (left < f64::from(count)).then(|| wait(f64::from(count) - left, bucket))
    }

    /// Forgets the fuller half: what is full need not be remembered, and who has little left is.
    fn make_room(&mut self, bucket: Bucket, now: Timestamp) {
        let mut levels: Vec<f64> = self.0.values().map(|level| filled(level, bucket, now)).collect();
        levels.sort_by(f64::total_cmp);
        let middle = levels.get(levels.len() / 2).copied().unwrap_or_default();
        let mut spare = self.0.len() / 2;
        self.0.retain(|_, level| {
            let goes = spare > 0 && filled(level, bucket, now) >= middle;
            spare -= usize::from(goes);
            !goes
        });
    }
}

fn filled(level: &Level, bucket: Bucket, now: Timestamp) -> f64 {
    let passed = now.duration_since(level.at).as_secs_f64().max(0.0);
    let rate = f64::from(bucket.burst) / f64::from(bucket.per_seconds.max(1));
    (level.left + passed * rate).min(f64::from(bucket.burst))
}

fn wait(lacking: f64, bucket: Bucket) -> Duration {
    let rate = f64::from(bucket.burst.max(1)) / f64::from(bucket.per_seconds.max(1));
    Duration::try_from_secs_f64((lacking / rate).ceil()).unwrap_or(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUNDRED_A_MINUTE: Bucket = Bucket { burst: 100, per_seconds: 60 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_key_has_its_own_share_and_gets_it_back_with_time() {
        let mut buckets = Buckets::default();
        for _ in 0..100 {
            assert_eq!(buckets.take("a", HUNDRED_A_MINUTE, at(0)), None);
        }
        assert_eq!(buckets.take("a", HUNDRED_A_MINUTE, at(0)), Some(Duration::from_secs(1)));
        assert_eq!(buckets.take("b", HUNDRED_A_MINUTE, at(0)), None);
        let later = (0..200).filter(|_| buckets.take("a", HUNDRED_A_MINUTE, at(30)).is_none()).count();
        assert_eq!(later, 50, "half a minute gives half of it back");
        assert_eq!(buckets.take("a", HUNDRED_A_MINUTE, at(10)), Some(Duration::from_secs(1)), "a clock that goes back");
    }

    #[test]
    fn several_are_taken_together_or_not_at_all() {
        let mut buckets = Buckets::default();
        let three = Bucket { burst: 3, per_seconds: 3 };
        let keys = ["a", "a", "b"];
        assert_eq!(buckets.room_for(&keys, three, at(0)), None);
        for key in keys {
            assert_eq!(buckets.take(key, three, at(0)), None);
        }
        assert_eq!(buckets.room_for(&keys, three, at(0)), Some(Duration::from_secs(1)));
        assert_eq!(buckets.room_for(&keys, three, at(1)), None);
        assert_eq!(buckets.room_for(&["a"; 9], three, at(3)), None, "more than it ever holds passes when it is full");
    }

    #[test]
    fn a_clock_that_was_set_back_gives_back_with_time_from_where_it_is() {
        let mut buckets = Buckets::default();
        for key in ["a", "b", "c"].repeat(101) {
            let _taken = buckets.take(key, HUNDRED_A_MINUTE, at(1_000_000));
        }
        // Whoever is only asked about, by either question, is not behind one that takes.
        assert!(buckets.take("a", HUNDRED_A_MINUTE, at(10)).is_some(), "nothing is given for going back");
        assert!(buckets.spent(&"b", HUNDRED_A_MINUTE, at(10)).is_some());
        assert!(buckets.room_for(&["c"], HUNDRED_A_MINUTE, at(10)).is_some());
        for key in ["a", "b", "c"] {
            let later = (0..200).filter(|_| buckets.take(key, HUNDRED_A_MINUTE, at(40)).is_none()).count();
            assert_eq!(later, 50, "{key}");
        }
    }

    #[test]
    fn of_too_many_keys_those_with_little_left_are_remembered() {
        let mut buckets = Buckets::default();
        let one = Bucket { burst: 2, per_seconds: 1000 };
        for _ in 0..3 {
            let _taken = buckets.take(0, one, at(0));
        }
        for key in 1..30_000 {
            assert_eq!(buckets.take(key, one, at(0)), None);
        }
        assert!(buckets.0.len() <= MOST_KEYS);
        assert!(buckets.take(0, one, at(0)).is_some(), "whoever is spent stays so");
        buckets.forget(&0);
        assert_eq!(buckets.spent(&0, one, at(0)), None);
    }
}
