//! What the operator itself wrote, while its cache does not show it yet. A cache is always a little behind; without this, a status
//! would be computed from one's own past and an object be written twice. All of it can be lost at any time.

mod compiled;

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crosstie_crds::{ConnectorStatus, IntegrationStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    plan::{in_force, objects::ObjectKind, shares::Published, verification::Verification},
    trigger::Key,
    vault::SecretKey,
};

pub use compiled::{Compiled, Source};

/// A map behind a lock that survives a panic elsewhere.
#[derive(Debug)]
pub struct Table<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Table<K, V> {
    /// The map, for as long as it takes.
    pub fn lock(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of one entry.
    pub fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).cloned()
    }
}

impl<S: Clone> Table<Key, WrittenStatus<S>> {
    /// The status that was written, while the cache shows an older one. After that only the cache keeps it.
    pub fn ahead_of(&self, key: &Key, cached: &ObjectMeta) -> Option<S> {
        let mut all = self.lock();
        let written = all.get_mut(key)?;
        if written.uid == cached.uid && written.version.zip(version(cached)).is_some_and(|(ours, theirs)| ours > theirs)
        {
            return written.status.as_deref().cloned();
        }
        written.status = None;
        None
    }
}

/// A version of an object: comparable for one object, larger is newer.
pub fn version(meta: &ObjectMeta) -> Option<u128> {
    meta.resource_version.as_ref().and_then(|version| version.parse().ok())
}

/// What an object was after the operator last wrote it, or first saw it written as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Hash of what was applied.
    pub hash: String,
    /// The object's uid.
    pub uid: Option<String>,
    /// Its resource version.
    pub version: Option<u128>,
    /// Its generation, for kinds that have one.
    pub generation: Option<i64>,
}

/// A status as it was written.
#[derive(Clone, Debug)]
pub struct WrittenStatus<S> {
    /// The object's uid.
    pub uid: Option<String>,
    /// Its resource version after the write.
    pub version: Option<u128>,
    /// The status, until the cache shows it. Nearly all that are remembered have none any more.
    pub status: Option<Box<S>>,
    /// When figures were last written.
    pub figures_at: Timestamp,
}

/// What the fixtures said of a plan, with what was tried.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Hash of the plan, and the fixtures.
    pub of: (String, FixtureVersions),
    /// The outcome.
    pub verification: Verification,
}

/// A plan that was published, with whose it is.
#[derive(Clone, Debug)]
pub struct LastGood {
    /// Uid of the Integration.
    pub integration: Option<String>,
    /// The plan.
    pub published: Arc<in_force::Published>,
}

/// By flow and name: uid and resource version of each ConfigMap with fixtures; none for one that is not there.
pub type FixtureVersions = Vec<(String, String, Option<(Option<String>, Option<String>)>)>;

/// By pod: when its newest report was written by its own clock, and when it came in by ours.
pub type Heard = BTreeMap<String, (Timestamp, Option<Timestamp>)>;

/// Everything that is remembered, for one scope.
#[derive(Debug, Default)]
pub struct Memory {
    /// Owned objects.
    pub written: Table<(ObjectKind, Key), Written>,
    /// Statuses of Integrations.
    pub integrations: Table<Key, WrittenStatus<IntegrationStatus>>,
    /// Statuses of Connectors.
    pub connectors: Table<Key, WrittenStatus<ConnectorStatus>>,
    /// Published shares, of Integrations that exist and of those whose pods are still there.
    pub shares: Table<Key, Published>,
    /// Compiled specs.
    pub compiled: Table<Key, Arc<Compiled>>,
    /// What fixtures said of plans.
    pub verified: Table<Key, Verified>,
    /// Plans that go on while newer ones may not go out.
    pub last_good: Table<Key, LastGood>,
    /// The newest report of each pod, and when it came in unless it was there before.
    pub heard: Table<Key, Heard>,
    /// How often each secret of each Connector had changed when its status was last written, or needed no writing.
    pub told: Table<Key, Vec<(SecretKey, u64)>>,
    /// Failures in a row, by controller and object.
    pub failures: Table<(&'static str, Key), u32>,
}

impl Memory {
    /// Drops what is remembered of an Integration that is gone. Its shares stay until its pods are gone too.
    pub fn forget_integration(&self, key: &Key) {
        self.integrations.lock().remove(key);
        self.compiled.lock().remove(key);
        self.verified.lock().remove(key);
        self.last_good.lock().remove(key);
        self.heard.lock().remove(key);
        self.failures.lock().remove(&("integration", key.clone()));
        let own = [&key.name, &crosstie_crds::names::worker(&key.name), &crosstie_crds::names::plan(&key.name)]
            .map(|name| key.sibling(name));
        let rest = [crosstie_crds::names::shares(&key.name), crosstie_crds::names::state(&key.name)];
        let rest = rest.map(|name| key.sibling(&name));
        self.written.lock().retain(|(_, object), _| !own.contains(object) && !rest.contains(object));
    }

    /// Drops what is remembered of a Connector that is gone.
    pub fn forget_connector(&self, key: &Key) {
        self.connectors.lock().remove(key);
        self.told.lock().remove(key);
        self.failures.lock().remove(&("connector", key.clone()));
        let secret = key.sibling(&crosstie_crds::names::credentials(&key.name));
        self.written.lock().remove(&(ObjectKind::Secret, secret));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_remembered_until_the_cache_shows_it() {
        let table: Table<Key, WrittenStatus<u8>> = Table::default();
        let key = Key::new("shop", "orders");
        let uid = Some("u".to_owned());
        let entry =
            WrittenStatus { uid, version: Some(7), status: Some(Box::new(1)), figures_at: Timestamp::UNIX_EPOCH };
        table.lock().insert(key.clone(), entry);
        let cached = |uid: &str, version: u32| ObjectMeta {
            uid: Some(uid.into()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        };
        assert_eq!(table.ahead_of(&key, &cached("u", 6)), Some(1));
        assert_eq!(table.ahead_of(&key, &cached("u", 7)), None);
        assert_eq!(table.get(&key).unwrap().status, None, "the cache keeps it now");
        assert_eq!(table.ahead_of(&Key::new("shop", "other"), &cached("u", 6)), None);
    }

    #[test]
    fn a_status_of_an_object_that_was_made_anew_is_not_taken_for_it() {
        let table: Table<Key, WrittenStatus<u8>> = Table::default();
        let key = Key::new("shop", "orders");
        let entry = WrittenStatus {
            uid: Some("before".into()),
            version: Some(7),
            status: Some(Box::new(1)),
            figures_at: Timestamp::UNIX_EPOCH,
        };
        table.lock().insert(key.clone(), entry);
        let anew = ObjectMeta { uid: Some("u".into()), resource_version: Some("6".into()), ..ObjectMeta::default() };
        assert_eq!(table.ahead_of(&key, &anew), None);
    }
}
