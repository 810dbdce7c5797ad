//! The loop that reads secrets: at once what is asked for, then each one at least once an interval, sooner after a fault. Secrets whose turn comes
//! at about the same time are read together. One read of a secret at a time. When each one's turn is, `schedule` decides; when an account is listed,
//! `listings`.

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
    Account, Listing, Read, SecretKey, Vault, VaultFault,
    fetch::{Held, Listed, complete},
    listings::Listings,
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
        let mut plan = Plan {
            schedule: Schedule::new(self.interval, Instant::now(), (self.jitter)()),
            listings: Listings::new(self.interval),
            words: HashMap::new(),
        };
        // Versions that the vault was asked to replace lately.
        let mut rotated: HashMap<(SecretKey, String), Instant> = HashMap::new();
        let mut rotations = FuturesUnordered::new();
        let mut batches = FuturesUnordered::new();
        let mut reads = FuturesUnordered::new();
        let mut lists = FuturesUnordered::new();
        loop {
            while let Some(batch) = plan.schedule.next_batch(Instant::now()) {
                let used = (self.used)();
                if let Some(SecretKey { account, .. }) = batch.first() {
                    plan.listings.see(account, within(&used, account).count(), Instant::now());
                }
                let batch = self.still_used(batch, &used, |key| plan.forget(key));
                if !batch.is_empty() {
                    let word = |key: SecretKey| (plan.words.get(&key).copied().unwrap_or_default(), key);
                    batches.push(self.begin(batch.into_iter().map(word).collect()));
                }
            }
            let listed = plan.listings.begin(Instant::now());
            lists.extend(listed.into_iter().map(|(account, most_calls)| self.list(account, most_calls)));
            let next = plan.schedule.next().into_iter().chain(plan.listings.next()).min();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ask) = asked.recv() => match ask {
                    Ask::Unknown(key) => plan.schedule.ask(key, Instant::now()),
                    Ask::Changed(key, word) => {
                        plan.words.insert(key.clone(), word);
                        plan.hurry(key);
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
                        plan.hurry(key.clone());
                    }
                    self.secrets.asked_to_rotate(&key, outcome);
                }
                Some(begun) = batches.next(), if !batches.is_empty() => {
                    let together = begun.len();
                    reads.extend(begun.into_iter().map(|begun| {
                        let known = self.secrets.held(&begun.key);
                        let listed = plan.listed(&begun.key, known.as_ref(), together);
                        self.finish(begun, known, listed)
                    }));
                }
                Some((account, wanted, listing)) = lists.next(), if !lists.is_empty() => {
                    let doubtful = self.compare(&wanted, &listing);
                    plan.listings.end(&account, listing, doubtful.len(), Instant::now());
                    for key in doubtful {
                        plan.hurry(key);
                    }
                }
                Some((key, word, outcome)) = reads.next(), if !reads.is_empty() => {
                    let ended = ended(&outcome);
                    self.secrets.store(&key, outcome, word);
                    if plan.words.get(&key) == Some(&word) && self.secrets.answers(&key, word) {
                        plan.words.remove(&key);
                    }
                    plan.schedule.done(key, ended, Instant::now(), (self.jitter)());
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Those that are still used; the others are forgotten.
    fn still_used(
        &self,
        batch: Vec<SecretKey>,
        used: &BTreeSet<SecretKey>,
        mut forget: impl FnMut(&SecretKey),
    ) -> Vec<SecretKey> {
        let (batch, unused): (Vec<_>, Vec<_>) = batch.into_iter().partition(|key| used.contains(key));
        for key in unused {
            forget(&key);
            self.secrets.forget(&key);
            if within(used, &key.account).next().is_none() {
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

    async fn finish(
        &self,
        Begun { key, word, current }: Begun,
        known: Option<Held>,
        listed: Listed,
    ) -> (SecretKey, Word, Result<Held, VaultFault>) {
        let outcome = complete(&*self.vault, &key, known.as_ref(), &listed, current).await;
        (key, word, outcome)
    }

    async fn list(&self, account: Account, most_calls: usize) -> (Account, Vec<SecretKey>, Listing) {
        let wanted: Vec<SecretKey> = within(&(self.used)(), &account).cloned().collect();
        let listing = self.vault.list(&wanted, most_calls).await;
        (account, wanted, listing)
    }

    /// Compares a list with what is held. Gives the secrets that have to be asked about by themselves, at once: those of which it says something
    /// else, and those that it was to describe and did not. Another current version is found by reading, as if there were no list.
    fn compare(&self, wanted: &[SecretKey], listing: &Listing) -> Vec<SecretKey> {
        let is_doubtful = |key: &&SecretKey| {
            let Some(held) = self.secrets.held(key) else { return false };
            let says = listing.descriptions.get(*key);
            if let Some(says) = says.filter(|says| held.is_confirmed_by(says)) {
                self.secrets.describe(key, says);
                return false;
            }
            held.description.is_none() || says.is_some_and(|says| says.current == held.current.version_id)
        };
        wanted.iter().filter(is_doubtful).cloned().collect()
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

/// What is to be done when.
struct Plan {
    schedule: Schedule,
    listings: Listings,
    /// The newest word of a change of each secret that no read has followed yet.
    words: HashMap<SecretKey, Word>,
}

impl Plan {
    /// The secret is read at once, and asked about by itself.
    fn hurry(&mut self, key: SecretKey) {
        self.listings.distrust(&key);
        self.schedule.hurry(key, Instant::now());
    }

    fn forget(&mut self, key: &SecretKey) {
        self.schedule.forget(key);
        self.words.remove(key);
        self.listings.distrust(key);
    }

    /// What lists say of a secret whose current version was read with others. After word of a change only the secret itself counts.
    fn listed(&mut self, key: &SecretKey, held: Option<&Held>, together: usize) -> Listed {
        if self.words.contains_key(key) {
            return Listed::Nothing;
        }
        self.listings.of(key, held, together, Instant::now())
    }
}

/// The secrets of one account.
fn within<'a>(used: &'a BTreeSet<SecretKey>, account: &'a Account) -> impl Iterator<Item = &'a SecretKey> {
    used.iter().filter(move |key| key.account == *account)
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

#[cfg(test)]
#[path = "sweep_lists_tests.rs"]
mod lists_tests;
