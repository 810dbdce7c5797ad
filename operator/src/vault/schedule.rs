//! When which secret is read. Pure: moments are arguments. Every secret has a moment of its own within the period, so that a sweep is a steady
//! trickle and no burst; faults push a secret's next moment, and no other's.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use super::{Account, Identity, LARGEST_BATCH, SecretKey};

/// How many secrets of one region are being read at the most: a region that does not answer holds up itself only.
const MOST_READING: usize = 4 * LARGEST_BATCH;
/// How soon after a batch of an account began the next one does, unless there is enough to fill it. What is asked for meanwhile goes along.
const GATHER: Duration = Duration::from_millis(500);
/// Wait before the first read after a fault; it doubles with each further one.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The same after AWS said that there are too many calls.
const FIRST_RETRY_THROTTLED: Duration = Duration::from_secs(5);
/// The longest wait after a fault, unless the period is shorter. A minute after AWS is back everything has been read.
const LONGEST_RETRY: Duration = Duration::from_secs(45);
/// How much of the interval a secret may be read sooner than its moment, to go along with others. The period is shorter by as much, so that
/// nothing is ever read more seldom than the interval says.
const AHEAD: f64 = 0.1;
/// The golden ratio: multiples of it, without their whole part, lie evenly between 0 and 1 however many there are.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With values.
    Well,
    /// With a fault.
    Badly,
    /// AWS took no more calls.
    Throttled,
}

/// When which secret is read next.
pub(super) struct Schedule {
    period: Duration,
    ahead: Duration,
    /// What all moments are counted from.
    begin: Instant,
    /// Where in the period the first secret's moment lies, from 0 to 1: two operators do not sweep in step.
    offset: f64,
    /// How many secrets got a moment so far.
    given: u32,
    turns: HashMap<SecretKey, Turn>,
    lanes: HashMap<Account, Lane>,
    reading: HashMap<Option<String>, usize>,
}

/// What is known of one secret's turn.
struct Turn {
    /// Its moment within the period.
    phase: Duration,
    /// When it is read next; none while it is being read.
    due: Option<Instant>,
    /// It changed while it was being read: what was read may be older.
    again: bool,
    faults: u32,
    throttled: bool,
}

/// The secrets of one account, which can be read together.
#[derive(Default)]
struct Lane {
    queue: BTreeSet<(Instant, SecretKey)>,
    /// When the last batch began.
    begun: Option<Instant>,
}

impl Lane {
    /// Until when it pays to wait for more; nothing in a role, whose only secret is there already.
    fn gathering_until(&self, account: &Account) -> Option<Instant> {
        match account.identity {
            Identity::Operator => self.begun.map(|begun| begun + GATHER),
            Identity::Role { .. } => None,
        }
    }
}

impl Schedule {
    /// Reads everything at least once an interval. `offset` is a random number from 0 to 1.
    pub(super) fn new(interval: Duration, begin: Instant, offset: f64) -> Self {
        Self {
            period: interval.mul_f64(1.0 - AHEAD),
            ahead: interval.mul_f64(AHEAD),
            begin,
            offset,
            given: 0,
            turns: HashMap::new(),
            lanes: HashMap::new(),
            reading: HashMap::new(),
        }
    }

    /// Nothing is known of the secret: it is read at once, unless that is planned or under way already.
    pub(super) fn ask(&mut self, key: SecretKey, now: Instant) {
        if !self.turns.contains_key(&key) {
            self.admit(&key);
            self.set(key, now);
        }
    }

    /// The secret is said to have changed: it is read at once, or once more if it is being read just now. A secret that AWS takes no calls for keeps
    /// its wait.
    pub(super) fn hurry(&mut self, key: SecretKey, now: Instant) {
        let Some(turn) = self.turns.get_mut(&key) else { return self.ask(key, now) };
        match turn.due {
            None => turn.again = true,
            Some(due) if turn.throttled || due <= now => {}
            Some(_) => self.set(key, now),
        }
    }

    /// Gives the secret its moment.
    fn admit(&mut self, key: &SecretKey) {
        let part = (self.offset + f64::from(self.given) * GOLDEN).fract();
        self.given = self.given.wrapping_add(1);
        let phase = self.period.mul_f64(part);
        self.turns.insert(key.clone(), Turn { phase, due: None, again: false, faults: 0, throttled: false });
    }

    fn set(&mut self, key: SecretKey, at: Instant) {
        let Some(turn) = self.turns.get_mut(&key) else { return };
        let lane = self.lanes.entry(key.account.clone()).or_default();
        if let Some(before) = turn.due.replace(at) {
            lane.queue.remove(&(before, key.clone()));
        }
        lane.queue.insert((at, key));
    }

    /// Takes those that are due, of the account that has waited longest, and fills up with those that soon will be. None while there is no room,
    /// or when waiting a moment may fill the batch.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<Vec<SecretKey>> {
        let ready = self.lanes.iter().filter_map(|(account, lane)| Some((self.ready_at(account, lane)?, account)));
        let (at, account) = ready.min_by_key(|(at, _)| *at)?;
        if at > now {
            return None;
        }
        let account = account.clone();
        let lane = self.lanes.get_mut(&account)?;
        lane.begun = Some(now);
        let horizon = now + self.ahead;
        let mut batch = Vec::new();
        while batch.len() < LARGEST_BATCH
            && let Some(entry) = lane.queue.first().filter(|(at, _)| *at <= horizon).cloned()
        {
            lane.queue.remove(&entry);
            if let Some(turn) = self.turns.get_mut(&entry.1) {
                turn.due = None;
            }
            batch.push(entry.1);
        }
        *self.reading.entry(account.region).or_default() += batch.len();
        Some(batch)
    }

    /// When a batch of this account may begin; nothing while nothing waits, or only the end of a read can make room.
    fn ready_at(&self, account: &Account, lane: &Lane) -> Option<Instant> {
        let (first, _) = lane.queue.first()?;
        let reading = self.reading.get(&account.region).copied().unwrap_or_default();
        if reading + LARGEST_BATCH > MOST_READING {
            return None;
        }
        // With a full batch there is nothing to wait for.
        let horizon = *first + self.ahead;
        let full = lane.queue.iter().take(LARGEST_BATCH).take_while(|(at, _)| *at <= horizon).count() == LARGEST_BATCH;
        let gathering = lane.gathering_until(account).filter(|_| !full);
        Some(gathering.map_or(*first, |end| end.max(*first)))
    }

    /// When to look again; nothing while only the end of a read can make room.
    pub(super) fn next(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|(account, lane)| self.ready_at(account, lane)).min()
    }

    /// A read is over. `jitter` is a random number from 0 to 1.
    pub(super) fn done(&mut self, key: SecretKey, ended: Ended, now: Instant, jitter: f64) {
        self.leave(&key);
        // It may have been read a little before its moment, which then is over.
        let moment = self.moment_after(&key, now + self.ahead);
        let period = self.period;
        let Some(turn) = self.turns.get_mut(&key) else { return };
        turn.throttled = ended == Ended::Throttled;
        let again = std::mem::take(&mut turn.again) && !turn.throttled;
        let first = match ended {
            Ended::Well => {
                turn.faults = 0;
                return self.set(key, if again { now } else { moment });
            }
            Ended::Badly => FIRST_RETRY,
            Ended::Throttled => FIRST_RETRY_THROTTLED,
        };
        let wait = first.saturating_mul(1 << turn.faults.min(10)).min(LONGEST_RETRY).min(period);
        turn.faults = turn.faults.saturating_add(1);
        self.set(key, if again { now } else { now + wait.mul_f64(0.8 + 0.2 * jitter) });
    }

    /// The secret's own next moment.
    fn moment_after(&self, key: &SecretKey, now: Instant) -> Instant {
        let phase = self.turns.get(key).map_or(Duration::ZERO, |turn| turn.phase);
        let first = self.begin + phase;
        let passed = now.saturating_duration_since(first);
        if now < first {
            return first;
        }
        let periods = (passed.as_secs_f64() / self.period.as_secs_f64()).floor() + 1.0;
        // Rounding must not lead back to what has passed.
        let next = first + self.period.mul_f64(periods);
        if next > now { next } else { next + self.period }
    }

    /// Nobody uses the secret, which was taken with the last batch, any more.
    pub(super) fn forget(&mut self, key: &SecretKey) {
        self.leave(key);
        self.turns.remove(key);
        if self.lanes.get(&key.account).is_some_and(|lane| lane.queue.is_empty()) {
            self.lanes.remove(&key.account);
        }
    }

    fn leave(&mut self, key: &SecretKey) {
        if let Some(reading) = self.reading.get_mut(&key.account.region) {
            *reading = reading.saturating_sub(1);
            if *reading == 0 {
                self.reading.remove(&key.account.region);
            }
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
