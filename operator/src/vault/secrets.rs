//! What was last read of each secret, shared by all Connectors that use it. Reading never waits: what is unknown is asked
//! for, and whoever needs it is told when it has come.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crosstie_crds::condition::Reason;
use tokio::sync::{broadcast, mpsc};

use super::{Description, SecretKey, VaultFault, fetch::Held};

/// How many changes a slow listener may lag behind before it is told that it missed some.
const CHANGES_KEPT: usize = 1024;

/// What is known of one secret. Values that were read once stay in use while a fault lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The last values that were read.
    pub held: Option<Held>,
    /// Why the last read failed, if it did.
    pub fault: Option<VaultFault>,
    /// Why the vault did not start the rotation of the current version that it was asked for, if it was.
    pub not_rotated: Option<VaultFault>,
}

/// What is asked of the sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing is known of this secret yet.
    Unknown(SecretKey),
    /// This one is said to have changed: what is known, and what is being read now, may be older.
    Changed(SecretKey, Word),
    /// This version is too old: the vault is to replace it.
    Rotate(SecretKey, String),
}

/// Word of a change, in the order they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(u64);

/// An entry, and how new it is.
#[derive(Debug, Default)]
struct Known {
    entry: Entry,
    /// Counts the changes of the entry.
    changes: u64,
    /// The newest word of a change that came before the read of what is known here.
    answers: Word,
}

/// The shared memory of secrets.
pub struct Secrets {
    entries: RwLock<HashMap<SecretKey, Known>>,
    words: AtomicU64,
    wanted: mpsc::UnboundedSender<Ask>,
    changes: broadcast::Sender<SecretKey>,
}

impl Secrets {
    /// An empty memory, and the list of what is asked for.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Ask>) {
        let (wanted, asked) = mpsc::unbounded_channel();
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        (Self { entries: RwLock::default(), words: AtomicU64::default(), wanted, changes }, asked)
    }

    /// What is known of a secret. When nothing is, it is asked for, and [`Secrets::changes`] tells when it has come.
    pub fn look(&self, key: &SecretKey) -> Option<Entry> {
        let entry = self.read(key, |known| known.entry.clone());
        if entry.is_none() {
            // Nobody listens only while the operator is stopping.
            let _ = self.wanted.send(Ask::Unknown(key.clone()));
        }
        entry
    }

    /// Has a secret read again at once, because it is said to have changed.
    pub fn hurry(&self, key: &SecretKey) -> Word {
        let word = Word(self.words.fetch_add(1, Ordering::Relaxed) + 1);
        let _ = self.wanted.send(Ask::Changed(key.clone(), word));
        word
    }

    /// Has the vault asked to replace a version, once.
    pub fn rotate(&self, key: &SecretKey, version_id: String) {
        let _ = self.wanted.send(Ask::Rotate(key.clone(), version_id));
    }

    /// Whether what is known was read after this word of a change, and says how the secret is: that AWS could not be asked does not.
    pub fn answers(&self, key: &SecretKey, word: Word) -> bool {
        self.read(key, |known| known.answers >= word).unwrap_or_default()
    }

    /// How often what is known of a secret has changed.
    pub fn count_changes(&self, key: &SecretKey) -> u64 {
        self.read(key, |known| known.changes).unwrap_or_default()
    }

    /// Secrets whose versions or faults change from now on.
    pub fn changes(&self) -> broadcast::Receiver<SecretKey> {
        self.changes.subscribe()
    }

    /// What is known, without asking.
    pub(super) fn held(&self, key: &SecretKey) -> Option<Held> {
        self.read(key, |known| known.entry.held.clone()).flatten()
    }

    fn read<T>(&self, key: &SecretKey, take: impl FnOnce(&Known) -> T) -> Option<T> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(key).map(take)
    }

    /// Takes over the outcome of a read that began after this word, and tells listeners and the log if it changed anything.
    pub(super) fn store(&self, key: &SecretKey, outcome: Result<Held, VaultFault>, word: Word) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let news = !entries.contains_key(key);
        let known = entries.entry(key.clone()).or_default();
        let after = match outcome {
            Ok(held) => {
                let same = known
                    .entry
                    .held
                    .as_ref()
                    .is_some_and(|before| before.current.version_id == held.current.version_id);
                let not_rotated = known.entry.not_rotated.clone().filter(|_| same);
                Entry { held: Some(held), fault: None, not_rotated }
            }
            Err(fault) => Entry { fault: Some(fault), ..known.entry.clone() },
        };
        let asked_in_vain = after.fault.as_ref().is_some_and(is_passing);
        if !asked_in_vain {
            known.answers = known.answers.max(word);
        }
        if news || known.entry != after {
            match &after {
                Entry { fault: Some(fault), .. } => tracing::warn!(secret = %key, reason = %fault.reason, "{fault}"),
                Entry { held: Some(held), fault: None, .. } => {
                    tracing::info!(secret = %key, version = held.current.version_id, "read");
                }
                Entry { held: None, fault: None, .. } => {}
            }
            known.entry = after;
            known.changes += 1;
            let _ = self.changes.send(key.clone());
        }
    }

    /// Takes over what a list says of a secret that was read without a description, and tells listeners.
    pub(super) fn describe(&self, key: &SecretKey, says: &Description) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = entries.get_mut(key) else { return };
        let Some(held) = known.entry.held.as_mut().filter(|held| held.description.is_none()) else { return };
        held.description = Some(says.clone());
        known.changes += 1;
        let _ = self.changes.send(key.clone());
    }

    /// Notes what came of asking for a rotation.
    pub(super) fn asked_to_rotate(&self, key: &SecretKey, outcome: Result<(), VaultFault>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = entries.get_mut(key) else { return };
        match &outcome {
            Ok(()) => tracing::info!(secret = %key, "the rotation of credentials that were too old was started"),
            Err(fault) => tracing::warn!(secret = %key, "{fault}"),
        }
        let after = outcome.err();
        if known.entry.not_rotated != after {
            known.entry.not_rotated = after;
            known.changes += 1;
            let _ = self.changes.send(key.clone());
        }
    }

    /// Drops what is known of a secret that nobody uses any more.
    pub(super) fn forget(&self, key: &SecretKey) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Whether a fault says nothing about the secret: AWS could not be asked.
fn is_passing(fault: &VaultFault) -> bool {
    matches!(fault.reason, Reason::Throttled | Reason::VaultUnavailable)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crosstie_engine::credentials::CredentialVersion;

    use super::*;
    use crate::vault::fetch::tests::key;

    fn held(version: &str) -> Held {
        let values = [("token".to_owned(), "hush".to_owned())].into();
        let current = Arc::new(CredentialVersion { version_id: version.into(), values });
        Held { current, previous: None, previous_version_id: None, made_at: None, description: None }
    }

    #[test]
    fn the_last_good_values_survive_a_fault() {
        let (secrets, _asked) = Secrets::new();
        secrets.store(&key(), Ok(held("v1")), Word::default());
        secrets.store(&key(), Err(VaultFault::new(Reason::VaultUnavailable, "away")), Word::default());
        let entry = secrets.look(&key()).unwrap();
        assert_eq!(entry.held, Some(held("v1")));
        assert_eq!(entry.fault.unwrap().reason, Reason::VaultUnavailable);
    }

    #[test]
    fn listeners_hear_of_changes_only() {
        let (secrets, _asked) = Secrets::new();
        let mut changes = secrets.changes();
        secrets.store(&key(), Ok(held("v1")), Word::default());
        secrets.store(&key(), Ok(held("v1")), Word::default());
        secrets.store(&key(), Ok(held("v2")), Word::default());
        assert_eq!(changes.try_recv().unwrap(), key());
        assert_eq!(changes.try_recv().unwrap(), key());
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn a_list_describes_what_was_not_described_and_nothing_else() {
        let (secrets, _asked) = Secrets::new();
        let said = |rotates| Description { current: "v1".into(), previous: None, rotates, next_rotation: None };
        secrets.describe(&key(), &said(true));
        assert_eq!(secrets.held(&key()), None);
        secrets.store(&key(), Ok(held("v1")), Word::default());
        let mut changes = secrets.changes();
        secrets.describe(&key(), &said(true));
        secrets.describe(&key(), &said(false));
        assert_eq!(secrets.held(&key()).unwrap().description, Some(said(true)));
        assert_eq!(changes.try_recv().unwrap(), key());
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn what_is_unknown_is_asked_for() {
        let (secrets, mut asked) = Secrets::new();
        assert_eq!(secrets.look(&key()), None);
        assert_eq!(asked.try_recv().unwrap(), Ask::Unknown(key()));
        let word = secrets.hurry(&key());
        assert_eq!(asked.try_recv().unwrap(), Ask::Changed(key(), word));
    }

    #[test]
    fn a_word_is_answered_by_what_was_read_after_it_and_by_nothing_in_vain() {
        let (secrets, _asked) = Secrets::new();
        let (first, second) = (secrets.hurry(&key()), secrets.hurry(&key()));
        assert!(!secrets.answers(&key(), first));
        secrets.store(&key(), Err(VaultFault::new(Reason::Throttled, "too many")), second);
        assert!(!secrets.answers(&key(), first), "AWS could not be asked");
        secrets.store(&key(), Ok(held("v1")), first);
        assert!(secrets.answers(&key(), first) && !secrets.answers(&key(), second));
        let changes = secrets.count_changes(&key());
        secrets.store(&key(), Ok(held("v1")), second);
        assert!(secrets.answers(&key(), second), "also when nothing had changed");
        assert_eq!(secrets.count_changes(&key()), changes);
        secrets.store(&key(), Err(VaultFault::new(Reason::SecretMissing, "gone")), second);
        assert_eq!(secrets.count_changes(&key()), changes + 1);
    }

    #[test]
    fn printing_an_entry_shows_no_value() {
        let entry = Entry { held: Some(held("v1")), ..Entry::default() };
        let printed = format!("{entry:?}");
        assert!(printed.contains("v1") && !printed.contains("hush"), "{printed}");
    }
}
