//! The loop that reads secrets: at once what is asked for, then each one every interval, sooner after a fault. One read
//! of a secret at a time, a bounded number of reads altogether.

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
    SecretKey, Vault, VaultFault,
    fetch::{Held, fetch},
    secrets::Secrets,
};

/// How many reads are under way at the most.
const CONCURRENT_READS: usize = 16;
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
        let mut schedule = Schedule::default();
        let mut reads = FuturesUnordered::new();
        loop {
            let room = reads.len() < CONCURRENT_READS;
            for key in schedule.take_due(Instant::now(), CONCURRENT_READS - reads.len().min(CONCURRENT_READS)) {
                if (self.used)().contains(&key) {
                    reads.push(self.read(key));
                } else {
                    schedule.forget(&key);
                    self.secrets.forget(&key);
                }
            }
            let next = schedule.next().filter(|_| room);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(key) = asked.recv() => schedule.ask(key, Instant::now()),
                Some((key, outcome)) = reads.next(), if !reads.is_empty() => {
                    let wait = schedule.wait_after(&key, outcome.is_err(), self.interval, (self.jitter)());
                    self.secrets.store(&key, outcome);
                    schedule.done(key, Instant::now() + wait);
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    async fn read(&self, key: SecretKey) -> (SecretKey, Result<Held, VaultFault>) {
        let known = self.secrets.held(&key);
        let outcome = fetch(&*self.vault, &key, known.as_ref()).await;
        (key, outcome)
    }
}

/// When which secret is read next.
#[derive(Default)]
struct Schedule {
    due: HashMap<SecretKey, Instant>,
    reading: HashSet<SecretKey>,
    faults: HashMap<SecretKey, u32>,
}

impl Schedule {
    fn ask(&mut self, key: SecretKey, now: Instant) {
        if !self.reading.contains(&key) {
            self.due.entry(key).or_insert(now);
        }
    }

    fn take_due(&mut self, now: Instant, limit: usize) -> Vec<SecretKey> {
        let due: Vec<SecretKey> =
            self.due.iter().filter(|&(_, &at)| at <= now).map(|(key, _)| key.clone()).take(limit).collect();
        for key in &due {
            self.due.remove(key);
            self.reading.insert(key.clone());
        }
        due
    }

    fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
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
        self.due.insert(key, next);
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

    #[test]
    fn waits_after_faults_grow_and_end_at_the_interval() {
        let mut schedule = Schedule::default();
        let mut waits = |interval| schedule.wait_after(&key(), true, Duration::from_secs(interval), 1.0).as_secs();
        assert_eq!([waits(300), waits(300), waits(300), waits(300), waits(300), waits(300)], [2, 4, 8, 16, 32, 60]);
        assert_eq!(waits(5), 5);
    }
}
