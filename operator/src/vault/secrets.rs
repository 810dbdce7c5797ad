//! What was last read of each secret, shared by all Connectors that use it. Reading never waits: what is unknown is asked
//! for, and whoever needs it is told when it has come.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use tokio::sync::{broadcast, mpsc};

use super::{SecretKey, VaultFault, fetch::Held};

/// How many changes a slow listener may lag behind before it is told that it missed some.
const CHANGES_KEPT: usize = 1024;

/// What is known of one secret. Values that were read once stay in use while a fault lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The last values that were read.
    pub held: Option<Held>,
    /// Why the last read failed, if it did.
    pub fault: Option<VaultFault>,
}

/// The shared memory of secrets.
pub struct Secrets {
    entries: RwLock<HashMap<SecretKey, Entry>>,
    wanted: mpsc::UnboundedSender<SecretKey>,
    changes: broadcast::Sender<SecretKey>,
}

impl Secrets {
    /// An empty memory, and the list of what is asked for.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<SecretKey>) {
        let (wanted, asked) = mpsc::unbounded_channel();
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        (Self { entries: RwLock::default(), wanted, changes }, asked)
    }

    /// What is known of a secret. When nothing is, it is asked for, and [`Secrets::changes`] tells when it has come.
    pub fn look(&self, key: &SecretKey) -> Option<Entry> {
        let entry = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if entry.is_none() {
            // Nobody listens only while the operator is stopping.
            let _ = self.wanted.send(key.clone());
        }
        entry
    }

    /// Secrets whose versions or faults change from now on.
    pub fn changes(&self) -> broadcast::Receiver<SecretKey> {
        self.changes.subscribe()
    }

    /// What is known, without asking.
    pub(super) fn held(&self, key: &SecretKey) -> Option<Held> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(key).and_then(|entry| entry.held.clone())
    }

    /// Takes over the outcome of a read, and tells listeners and the log if it changed anything.
    pub(super) fn store(&self, key: &SecretKey, outcome: Result<Held, VaultFault>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let before = entries.get(key).cloned();
        let after = match outcome {
            Ok(held) => Entry { held: Some(held), fault: None },
            Err(fault) => Entry { held: before.as_ref().and_then(|entry| entry.held.clone()), fault: Some(fault) },
        };
        if before.as_ref() != Some(&after) {
            match &after {
                Entry { fault: Some(fault), .. } => tracing::warn!(secret = %key, reason = %fault.reason, "{fault}"),
                Entry { held: Some(held), .. } => {
                    tracing::info!(secret = %key, version = held.current.version_id, "read");
                }
                Entry { held: None, fault: None } => {}
            }
            entries.insert(key.clone(), after);
            let _ = self.changes.send(key.clone());
        }
    }

    /// Drops what is known of a secret that nobody uses any more.
    pub(super) fn forget(&self, key: &SecretKey) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crosstie_crds::condition::Reason;
    use crosstie_engine::credentials::CredentialVersion;

    use super::*;
    use crate::vault::fetch::tests::key;

    fn held(version: &str) -> Held {
        let values = [("token".to_owned(), "hush".to_owned())].into();
        Held { current: Arc::new(CredentialVersion { version_id: version.into(), values }), previous: None }
    }

    #[test]
    fn the_last_good_values_survive_a_fault() {
        let (secrets, _asked) = Secrets::new();
        secrets.store(&key(), Ok(held("v1")));
        secrets.store(&key(), Err(VaultFault::new(Reason::VaultUnavailable, "away")));
        let entry = secrets.look(&key()).unwrap();
        assert_eq!(entry.held, Some(held("v1")));
        assert_eq!(entry.fault.unwrap().reason, Reason::VaultUnavailable);
    }

    #[test]
    fn listeners_hear_of_changes_only() {
        let (secrets, _asked) = Secrets::new();
        let mut changes = secrets.changes();
        secrets.store(&key(), Ok(held("v1")));
        secrets.store(&key(), Ok(held("v1")));
        secrets.store(&key(), Ok(held("v2")));
        assert_eq!(changes.try_recv().unwrap(), key());
        assert_eq!(changes.try_recv().unwrap(), key());
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn what_is_unknown_is_asked_for() {
        let (secrets, mut asked) = Secrets::new();
        assert_eq!(secrets.look(&key()), None);
        assert_eq!(asked.try_recv().unwrap(), key());
    }

    #[test]
    fn printing_an_entry_shows_no_value() {
        let entry = Entry { held: Some(held("v1")), fault: None };
        let printed = format!("{entry:?}");
        assert!(printed.contains("v1") && !printed.contains("hush"), "{printed}");
    }
}
