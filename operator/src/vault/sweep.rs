//! The loop that reads secrets: at once what is asked for, then each one at least once an interval, sooner after a fault. Secrets whose turn comes
//! at about the same time are read together. One read of a secret at a time. When each one's turn is, `schedule` decides.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use crosstie_crds::condition::Reason;
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Read, SecretKey, Vault, VaultFault,
    fetch::{Held, complete},
    schedule::{Ended, Schedule},
    secrets::{Ask, Secrets, Word},
};

/// How often the vault is asked to replace the same version at the most.
const ROTATE_AGAIN: Duration = Duration::from_hours(1);

/// What the loop needs to know.
pub struct Sweep<V, U, J> {
    /// The vault that is read.
    pub vault: Arc<V>,
    /// Where outcomes go.
    pub secrets: Arc<Secrets>,
    /// The secrets that Connectors use now and are allowed to.
    pub used: U,
    /// How often each is read at least.
    pub interval: Duration,
    /// A random number from 0 to 1, so that neither two operators nor retries keep step.
    pub jitter: J,
}

impl<V, U, J> Sweep<V, U, J>
where
    V: Vault,
    U: Fn() -> BTreeSet<SecretKey> + Send,
    J: Fn() -> f64 + Send,
{
    /// Runs until it is stopped. Reads that are under way then are given up: they changed nothing.
    pub async fn run(self, mut asked: mpsc::UnboundedReceiver<Ask>, stop: CancellationToken) {
        let mut schedule = Schedule::new(self.interval, Instant::now(), (self.jitter)());
        // The newest word of a change of each secret that no read has followed yet.
        let mut words: HashMap<SecretKey, Word> = HashMap::new();
        // Versions that the vault was asked to replace lately.
        let mut rotated: HashMap<(SecretKey, String), Instant> = HashMap::new();
        let mut rotations = FuturesUnordered::new();
        let mut batches = FuturesUnordered::new();
        let mut reads = FuturesUnordered::new();
        loop {
            while let Some(batch) = schedule.next_batch(Instant::now()) {
                let batch = self.still_used(batch, |key| {
                    schedule.forget(key);
                    words.remove(key);
                });
                if !batch.is_empty() {
                    let word = |key: SecretKey| (words.get(&key).copied().unwrap_or_default(), key);
                    batches.push(self.begin(batch.into_iter().map(word).collect()));
                }
            }
            let next = schedule.next();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ask) = asked.recv() => match ask {
                    Ask::Unknown(key) => schedule.ask(key, Instant::now()),
                    Ask::Changed(key, word) => {
                        words.insert(key.clone(), word);
                        schedule.hurry(key, Instant::now());
                    }
                    Ask::Rotate(key, version) => {
                        let now = Instant::now();
                        rotated.retain(|_, at| now - *at < ROTATE_AGAIN);
                        if let Entry::Vacant(first) = rotated.entry((key, version)) {
                            rotations.push(self.rotate(first.key().clone()));
                            first.insert(now);
                        }
                    }
                },
                Some((key, outcome)) = rotations.next(), if !rotations.is_empty() => {
                    if outcome.is_ok() {
                        schedule.hurry(key.clone(), Instant::now());
                    }
                    self.secrets.asked_to_rotate(&key, outcome);
                }
                Some(begun) = batches.next(), if !batches.is_empty() => {
                    reads.extend(begun.into_iter().map(|begun| self.finish(begun)));
                }
                Some((key, word, outcome)) = reads.next(), if !reads.is_empty() => {
                    let ended = ended(&outcome);
                    self.secrets.store(&key, outcome, word);
                    if words.get(&key) == Some(&word) && self.secrets.answers(&key, word) {
                        words.remove(&key);
                    }
                    schedule.done(key, ended, Instant::now(), (self.jitter)());
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Those that are still used; the others are forgotten.
    fn still_used(&self, batch: Vec<SecretKey>, mut forget: impl FnMut(&SecretKey)) -> Vec<SecretKey> {
        let used = (self.used)();
        let (batch, unused): (Vec<_>, Vec<_>) = batch.into_iter().partition(|key| used.contains(key));
        for key in unused {
            forget(&key);
            self.secrets.forget(&key);
            if used.iter().all(|other| other.account != key.account) {
                self.vault.forget(&key.account);
            }
        }
        batch
    }

    async fn begin(&self, batch: Vec<(Word, SecretKey)>) -> Vec<Begun> {
        let (words, keys): (Vec<Word>, Vec<SecretKey>) = batch.into_iter().unzip();
        let currents = self.vault.read_current(&keys).await;
        let begun = keys.into_iter().zip(words).zip(currents);
        begun.map(|((key, word), current)| Begun { key, word, current }).collect()
    }

    async fn finish(&self, Begun { key, word, current }: Begun) -> (SecretKey, Word, Result<Held, VaultFault>) {
        let known = self.secrets.held(&key);
        let outcome = complete(&*self.vault, &key, known.as_ref(), current).await;
        (key, word, outcome)
    }

    async fn rotate(&self, (key, version): (SecretKey, String)) -> (SecretKey, Result<(), VaultFault>) {
        let outcome = self.vault.rotate(&key, &version).await;
        (key, outcome)
    }
}

/// A secret whose current version was read.
struct Begun {
    key: SecretKey,
    /// The newest word of a change that came before.
    word: Word,
    current: Read,
}

fn ended(outcome: &Result<Held, VaultFault>) -> Ended {
    match outcome {
        Ok(_) => Ended::Well,
        Err(fault) if fault.reason == Reason::Throttled => Ended::Throttled,
        Err(_) => Ended::Badly,
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
