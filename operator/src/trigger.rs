//! Who is to be looked at when something changes: pure maps from objects to targets, and the memory that tells a change from an
//! echo. Which objects a target stands for at the moment is looked up in the cache by whoever asks.

use std::{
    collections::{BTreeSet, HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use crosstie_crds::{
    Connector, Integration, SyncReport,
    names::{LABEL_CONNECTOR, LABEL_INTEGRATION},
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Pod, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::Serialize;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name there.
    pub name: String,
}

impl Key {
    /// A key.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// An object's key.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// Another name in the same namespace.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        Self::new(&self.namespace, name)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Whom to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// This Integration.
    Integration(Key),
    /// This Connector.
    Connector(Key),
    /// Every Integration that uses this Connector, or another of its rate group.
    UsersOf(Key),
    /// Both Connectors of this Integration.
    EndsOf(Key),
    /// Every Connector whose `secretRef` names this Secret.
    HoldersOf(Key),
    /// Every Integration with a flow whose fixtures are in this ConfigMap.
    TriedWith(Key),
}

/// What a kind of object says when it changes: what about it matters, as a hash, and whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    fingerprint: u64,
    targets: Box<[Target]>,
}

/// An Integration matters by its spec and what people annotate, not by the status that the operator writes itself.
pub fn integration(object: &Integration) -> Touch {
    let key = Key::of(&object.metadata);
    let ends = [&object.spec.source, &object.spec.destination].map(|end| key.sibling(&end.connector_ref.name));
    let [source, destination] = &ends;
    let mut targets = vec![
        Target::Connector(source.clone()),
        Target::Connector(destination.clone()),
        Target::UsersOf(source.clone()),
        Target::UsersOf(destination.clone()),
    ];
    targets.extend(object.spec.alert_connectors().into_iter().map(|name| Target::Connector(key.sibling(name))));
    targets.push(Target::Integration(key));
    Touch { fingerprint: fingerprint(&wish(&object.metadata)), targets: targets.into() }
}

/// A Connector matters by its spec, and by what its status says to those who use it.
pub fn connector(object: &Connector) -> Touch {
    let key = Key::of(&object.metadata);
    let status = object.status.as_ref();
    let condition = |kind: &str| {
        let found = status?.conditions.iter().find(|condition| condition.type_ == kind)?;
        Some((&found.status, &found.reason, &found.message))
    };
    let said = ["Ready", "VersionSupported"].map(condition);
    let version = status.and_then(|status| status.api_version.as_ref());
    let generation = status.and_then(|status| status.observed_generation);
    Touch {
        fingerprint: fingerprint(&(wish(&object.metadata), generation, said, version)),
        targets: [Target::Connector(key.clone()), Target::UsersOf(key)].into(),
    }
}

/// A report matters by everything in it.
pub fn report(object: &SyncReport) -> Touch {
    let key = Key::of(&object.metadata);
    Touch {
        fingerprint: fingerprint(&(&object.metadata.uid, object.metadata.generation, &object.status)),
        targets: [Target::Integration(key.clone()), Target::EndsOf(key)].into(),
    }
}

/// A Deployment matters by its spec and status.
pub fn deployment(object: &Deployment) -> Touch {
    let meta = &object.metadata;
    Touch { fingerprint: fingerprint(&(&meta.uid, wish(meta), &object.status)), targets: owners(meta).into() }
}

/// A pod matters by what it goes through, also to the Connectors, which count workers.
pub fn pod(object: &Pod) -> Touch {
    let meta = &object.metadata;
    let mut targets = owners(meta);
    for target in targets.clone() {
        if let Target::Integration(key) = target {
            targets.push(Target::EndsOf(key));
        }
    }
    Touch { fingerprint: fingerprint(&(&meta.uid, &meta.deletion_timestamp, &object.status)), targets: targets.into() }
}

/// Any owned object matters whenever it is written, by whomever.
pub fn owned(meta: &ObjectMeta) -> Touch {
    Touch { fingerprint: fingerprint(&(&meta.uid, &meta.resource_version)), targets: owners(meta).into() }
}

/// A person's credentials Secret.
pub fn credentials(object: &Secret) -> Touch {
    let meta = &object.metadata;
    Touch {
        fingerprint: fingerprint(&(&meta.uid, &meta.resource_version)),
        targets: [Target::HoldersOf(Key::of(meta))].into(),
    }
}

/// A ConfigMap with fixtures.
pub fn fixtures(object: &ConfigMap) -> Touch {
    let meta = &object.metadata;
    Touch {
        fingerprint: fingerprint(&(&meta.uid, &meta.resource_version)),
        targets: [Target::TriedWith(Key::of(meta))].into(),
    }
}

fn owners(meta: &ObjectMeta) -> Vec<Target> {
    let key = Key::of(meta);
    let label = |name: &str| meta.labels.as_ref().and_then(|labels| labels.get(name));
    let integration = label(LABEL_INTEGRATION).map(|name| Target::Integration(key.sibling(name)));
    let connector = label(LABEL_CONNECTOR)
        .into_iter()
        .flat_map(|name| [Target::Connector(key.sibling(name)), Target::UsersOf(key.sibling(name))]);
    integration.into_iter().chain(connector).collect()
}

fn wish(meta: &ObjectMeta) -> impl Serialize + '_ {
    (&meta.uid, meta.generation, &meta.annotations, &meta.labels, &meta.deletion_timestamp)
}

fn fingerprint(value: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    // A value that cannot be JSON would count as never changing; metadata and status always are.
    serde_json::to_vec(value).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

/// Remembers what was last seen of each object of one kind, so that echoes touch nobody, and objects that vanished while nobody was
/// listening are noticed.
#[derive(Debug, Default)]
pub struct Tracker {
    seen: HashMap<Key, Touch>,
    relisted: Option<HashMap<Key, Touch>>,
}

impl Tracker {
    /// A full list begins.
    pub fn begin(&mut self) {
        self.relisted = Some(HashMap::new());
    }

    /// An object is there. Says whom that concerns, also those whom it concerned before.
    pub fn applied(&mut self, key: Key, touch: Touch) -> BTreeSet<Target> {
        let before = self.seen.get(&key);
        let concerned = match before {
            Some(before) if *before == touch => BTreeSet::new(),
            Some(before) => before.targets.iter().chain(&touch.targets).cloned().collect(),
            None => touch.targets.iter().cloned().collect(),
        };
        match &mut self.relisted {
            Some(relisted) => relisted.insert(key, touch),
            None => self.seen.insert(key, touch),
        };
        concerned
    }

    /// An object is gone.
    pub fn deleted(&mut self, key: &Key) -> BTreeSet<Target> {
        self.seen.remove(key).into_iter().flat_map(|touch| touch.targets).collect()
    }

    /// The full list ended: what was seen before and not in it is gone.
    pub fn finish(&mut self) -> BTreeSet<Target> {
        let Some(relisted) = self.relisted.take() else { return BTreeSet::new() };
        let before = std::mem::replace(&mut self.seen, relisted);
        before
            .into_iter()
            .filter(|(key, _)| !self.seen.contains_key(key))
            .flat_map(|(_, touch)| touch.targets)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(fingerprint: u64, name: &str) -> Touch {
        Touch { fingerprint, targets: [Target::Connector(Key::new("shop", name))].into() }
    }

    fn concerned(names: &[&str]) -> BTreeSet<Target> {
        names.iter().map(|name| Target::Connector(Key::new("shop", name))).collect()
    }

    #[test]
    fn an_echo_concerns_nobody() {
        let mut tracker = Tracker::default();
        let key = Key::new("shop", "orders");
        assert_eq!(tracker.applied(key.clone(), touch(1, "a")), concerned(&["a"]));
        assert_eq!(tracker.applied(key.clone(), touch(1, "a")), concerned(&[]));
        assert_eq!(tracker.applied(key, touch(2, "a")), concerned(&["a"]));
    }

    #[test]
    fn a_changed_reference_concerns_the_old_and_the_new() {
        let mut tracker = Tracker::default();
        let key = Key::new("shop", "orders");
        tracker.applied(key.clone(), touch(1, "a"));
        assert_eq!(tracker.applied(key, touch(2, "b")), concerned(&["a", "b"]));
    }

    #[test]
    fn what_vanished_unseen_is_noticed_with_the_next_full_list() {
        let mut tracker = Tracker::default();
        tracker.applied(Key::new("shop", "orders"), touch(1, "a"));
        tracker.applied(Key::new("shop", "refunds"), touch(1, "b"));
        tracker.begin();
        assert_eq!(tracker.applied(Key::new("shop", "orders"), touch(1, "a")), concerned(&[]));
        assert_eq!(tracker.finish(), concerned(&["b"]));
        assert_eq!(tracker.deleted(&Key::new("shop", "orders")), concerned(&["a"]));
    }

    #[test]
    fn the_operators_own_status_writes_do_not_wake_it() {
        let text = include_str!("../tests/integration.json");
        let mut object: Integration = serde_json::from_str(text).unwrap();
        let before = integration(&object);
        object.status = Some(crosstie_crds::IntegrationStatus { observed_generation: Some(1), ..Default::default() });
        object.metadata.resource_version = Some("12".into());
        assert_eq!(integration(&object), before);
        object.metadata.generation = Some(2);
        assert_ne!(integration(&object), before);
    }
}
