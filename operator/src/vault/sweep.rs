//! The loop that reads secrets: at once what is asked for, then each one every interval, sooner after a fault. Secrets whose turn comes at
//! about the same time are read together. One read of a secret at a time, a bounded number of reads altogether.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    LARGEST_BATCH, Read, SecretKey, Vault, VaultFault,
    fetch::{Held, complete},
    secrets::Secrets,
};

/// How many secrets are being read at the most.
const MOST_READING: usize = 4 * LARGEST_BATCH;
/// How soon after a batch began the next one does, unless there is enough to fill it. What is asked for meanwhile goes along.
const GATHER: Duration = Duration::from_millis(500);
/// Wait before the first read after a fault; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest wait after a fault, unless the interval is shorter.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// What the loop needs to know.
pub struct Sweep<V, U, J> {
    /// The vault that is read.
    pub vault: Arc<V>,
    /// Where outcomes go.
    pub secrets: Arc<Secrets>,
    /// The secrets that Connectors use now and are allowed to.
    pub used: U,
    /// How often each is read.
    pub interval: Duration,
    /// A random number from 0 to 1, so that reads spread over the interval.
    pub jitter: J,
}

impl<V, U, J> Sweep<V, U, J>
where
    V: Vault,
    U: Fn() -> BTreeSet<SecretKey> + Send,
    J: Fn() -> f64 + Send,
{
    /// Runs until it is stopped. Reads that are under way then are given up: they changed nothing.
    pub async fn run(self, mut asked: mpsc::UnboundedReceiver<SecretKey>, stop: CancellationToken) {
        let mut schedule = Schedule { ahead: self.interval / 10, ..Schedule::default() };
        let mut batches = FuturesUnordered::new();
        let mut reads = FuturesUnordered::new();
        loop {
            while let Some(batch) = schedule.next_batch(Instant::now()) {
                let batch = self.still_used(batch, &mut schedule);
                if !batch.is_empty() {
                    batches.push(self.begin(batch));
                }
            }
            let next = schedule.next();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(key) = asked.recv() => schedule.ask(key, Instant::now()),
                Some(currents) = batches.next(), if !batches.is_empty() => {
                    reads.extend(currents.into_iter().map(|(key, current)| self.finish(key, current)));
                }
                Some((key, outcome)) = reads.next(), if !reads.is_empty() => {
                    let wait = schedule.wait_after(&key, outcome.is_err(), self.interval, (self.jitter)());
                    self.secrets.store(&key, outcome);
                    schedule.done(key, Instant::now() + wait);
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Those that are still used; the others are forgotten.
    fn still_used(&self, batch: Vec<SecretKey>, schedule: &mut Schedule) -> Vec<SecretKey> {
        let used = (self.used)();
        let (batch, unused): (Vec<_>, Vec<_>) = batch.into_iter().partition(|key| used.contains(key));
        for key in unused {
            schedule.forget(&key);
            self.secrets.forget(&key);
        }
        batch
    }

    async fn begin(&self, batch: Vec<SecretKey>) -> Vec<(SecretKey, Read)> {
        let currents = self.vault.read_current(&batch).await;
        batch.into_iter().zip(currents).collect()
    }

    async fn finish(&self, key: SecretKey, current: Read) -> (SecretKey, Result<Held, VaultFault>) {
        let known = self.secrets.held(&key);
        let outcome = complete(&*self.vault, &key, known.as_ref(), current).await;
        (key, outcome)
    }
}

/// When which secret is read next.
#[derive(Default)]
struct Schedule {
    queue: BTreeSet<(Instant, SecretKey)>,
    due: HashMap<SecretKey, Instant>,
    reading: HashSet<SecretKey>,
    faults: HashMap<SecretKey, u32>,
    /// When the last batch began.
    begun: Option<Instant>,
    /// How much sooner than its turn a secret is read to go along with others.
    ahead: Duration,
}

impl Schedule {
    fn ask(&mut self, key: SecretKey, now: Instant) {
        if !self.reading.contains(&key) && !self.due.contains_key(&key) {
            self.set(key, now);
        }
    }

    fn set(&mut self, key: SecretKey, at: Instant) {
        self.queue.insert((at, key.clone()));
        self.due.insert(key, at);
    }

    /// Takes those that are due, of one region, and fills up with those that soon will be. None while there is no room, or when waiting a
    /// moment may fill the batch.
    fn next_batch(&mut self, now: Instant) -> Option<Vec<SecretKey>> {
        let (_, first) = self.queue.first().filter(|(at, _)| *at <= now)?;
        if self.reading.len() + LARGEST_BATCH > MOST_READING {
            return None;
        }
        let soon = self.queue.iter().take_while(|(at, _)| *at <= now + self.ahead);
        let batch: Vec<(Instant, SecretKey)> =
            soon.filter(|(_, key)| key.region == first.region).take(LARGEST_BATCH).cloned().collect();
        if batch.len() < LARGEST_BATCH && self.gathering_until().is_some_and(|end| now < end) {
            return None;
        }
        self.begun = Some(now);
        let taken = batch.into_iter().map(|entry| {
            self.queue.remove(&entry);
            self.due.remove(&entry.1);
            self.reading.insert(entry.1.clone());
            entry.1
        });
        Some(taken.collect())
    }

    fn gathering_until(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + GATHER)
    }

    /// When to look again; nothing while only the end of a read can make room.
    fn next(&self) -> Option<Instant> {
        let (at, _) = self.queue.first()?;
        let room = self.reading.len() + LARGEST_BATCH <= MOST_READING;
        room.then(|| self.gathering_until().map_or(*at, |end| end.max(*at)))
    }

    fn wait_after(&mut self, key: &SecretKey, failed: bool, interval: Duration, jitter: f64) -> Duration {
        if !failed {
            self.faults.remove(key);
            return interval.mul_f64(0.9 + 0.2 * jitter);
        }
        let faults = self.faults.entry(key.clone()).or_insert(0);
        let wait = FIRST_RETRY.saturating_mul(1 << (*faults).min(10)).min(LONGEST_RETRY).min(interval);
        *faults = faults.saturating_add(1);
        wait.mul_f64(0.8 + 0.2 * jitter)
    }

    fn done(&mut self, key: SecretKey, next: Instant) {
        self.reading.remove(&key);
        self.set(key, next);
    }

    fn forget(&mut self, key: &SecretKey) {
        self.reading.remove(key);
        self.faults.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use crosstie_crds::condition::Reason;

    use super::*;
    use crate::vault::{
        Stage,
        fetch::tests::{Answer, Scripted, key},
    };

    fn start(answers: Vec<Answer>) -> (Arc<Scripted>, Arc<Secrets>, CancellationToken) {
        let vault = Arc::new(Scripted::new(answers));
        let (secrets, asked) = Secrets::new();
        let secrets = Arc::new(secrets);
        let stop = CancellationToken::new();
        let sweep = Sweep {
            vault: vault.clone(),
            secrets: secrets.clone(),
            used: || BTreeSet::from([key()]),
            interval: Duration::from_mins(5),
            jitter: || 0.5,
        };
        tokio::spawn(sweep.run(asked, stop.clone()));
        (vault, secrets, stop)
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_version_is_found_by_the_sweep() {
        let (_vault, secrets, stop) = start(vec![
            Ok(Some(("v1", r#"{"token":"a"}"#))),
            Ok(None),
            Ok(Some(("v2", r#"{"token":"b"}"#))),
            Ok(Some(("v1", r#"{"token":"a"}"#))),
            Ok(Some(("v2", r#"{"token":"b"}"#))),
        ]);
        let mut changes = secrets.changes();
        assert_eq!(secrets.look(&key()), None);
        changes.recv().await.unwrap();
        assert_eq!(secrets.held(&key()).unwrap().current.version_id, "v1");
        let before = Instant::now();
        changes.recv().await.unwrap();
        assert_eq!(before.elapsed().as_secs(), 300);
        assert_eq!(secrets.held(&key()).unwrap().current.version_id, "v2");
        stop.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_is_tried_again_long_before_the_next_sweep() {
        let (_vault, secrets, stop) = start(vec![
            Err(VaultFault::new(Reason::VaultUnavailable, "away")),
            Ok(Some(("v1", r#"{"token":"a"}"#))),
            Ok(None),
        ]);
        let mut changes = secrets.changes();
        secrets.look(&key());
        changes.recv().await.unwrap();
        let before = Instant::now();
        changes.recv().await.unwrap();
        assert!(before.elapsed() <= FIRST_RETRY, "{:?}", before.elapsed());
        assert!(secrets.look(&key()).unwrap().fault.is_none());
        stop.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn many_questions_at_once_cost_one_fetch() {
        let (vault, secrets, stop) = start(vec![Ok(Some(("v1", r#"{"token":"a"}"#))), Ok(None)]);
        let mut changes = secrets.changes();
        for _ in 0..50 {
            secrets.look(&key());
        }
        changes.recv().await.unwrap();
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(*vault.asked.lock().unwrap(), [Stage::Current, Stage::Previous]);
        stop.cancel();
    }

    fn numbered(number: usize) -> SecretKey {
        SecretKey { region: None, secret_id: format!("shop/{number}") }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_alone_is_read_at_once_and_what_follows_goes_together() {
        let mut schedule = Schedule::default();
        let start = Instant::now();
        schedule.ask(numbered(0), start);
        assert_eq!(schedule.next_batch(start), Some(vec![numbered(0)]));
        for number in 1..=3 {
            schedule.ask(numbered(number), start);
        }
        assert_eq!(schedule.next_batch(start), None);
        assert_eq!(schedule.next(), Some(start + GATHER));
        assert_eq!(schedule.next_batch(start + GATHER).map(|batch| batch.len()), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_does_not_wait_and_only_so_many_are_read_at_once() {
        let mut schedule = Schedule::default();
        let start = Instant::now();
        for number in 0..=MOST_READING {
            schedule.ask(numbered(number), start);
        }
        let sizes: Vec<usize> = std::iter::from_fn(|| schedule.next_batch(start)).map(|batch| batch.len()).collect();
        assert_eq!(sizes, [LARGEST_BATCH; MOST_READING / LARGEST_BATCH]);
        assert_eq!(schedule.next(), None, "only the end of a read makes room");
    }

    #[tokio::test(start_paused = true)]
    async fn the_sweep_takes_along_whose_turn_comes_soon_but_no_other_region() {
        let mut schedule = Schedule { ahead: Duration::from_secs(30), ..Schedule::default() };
        let start = Instant::now();
        let elsewhere = SecretKey { region: Some("eu-west-1".into()), ..numbered(9) };
        schedule.set(numbered(0), start);
        schedule.set(numbered(1), start + Duration::from_secs(30));
        schedule.set(numbered(2), start + Duration::from_secs(31));
        schedule.set(elsewhere, start);
        assert_eq!(schedule.next_batch(start), Some(vec![numbered(0), numbered(1)]));
    }

    #[test]
    fn waits_after_faults_grow_and_end_at_the_interval() {
        let mut schedule = Schedule::default();
        let mut waits = |interval| schedule.wait_after(&key(), true, Duration::from_secs(interval), 1.0).as_secs();
        assert_eq!([waits(300), waits(300), waits(300), waits(300), waits(300), waits(300)], [2, 4, 8, 16, 32, 60]);
        assert_eq!(waits(5), 5);
    }
}
