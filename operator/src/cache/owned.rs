//! Metadata of the objects that the operator owns, of one kind. There are a dozen for each Integration and each is looked at once in minutes, so they are
//! kept as text: a fraction of what the members take one by one.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::Context as _;
use crosstie_crds::names::{LABEL_CONNECTOR, LABEL_INTEGRATION};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, runtime::watcher::Event};
use tokio::sync::watch;

use crate::trigger::Key;

type Entries = HashMap<Key, Entry>;

/// Metadata of one object.
struct Entry {
    /// Name of the Integration it belongs to, if it belongs to one.
    integration: Option<Box<str>>,
    /// All of it, as JSON.
    meta: Box<str>,
}

impl Entry {
    fn of(meta: &ObjectMeta) -> Self {
        let integration = meta.labels.as_ref().and_then(|labels| labels.get(LABEL_INTEGRATION));
        // Metadata is JSON always.
        let json = serde_json::to_string(meta).unwrap_or_default();
        Self { integration: integration.map(|name| name.as_str().into()), meta: json.into() }
    }

    /// As it was written down just so.
    fn meta(&self) -> ObjectMeta {
        serde_json::from_str(&self.meta).unwrap_or_default()
    }
}

/// What is seen of them.
#[derive(Clone)]
pub(super) struct Owned {
    entries: Arc<RwLock<Entries>>,
    listed: watch::Receiver<bool>,
}

/// What keeps that up to date.
pub(super) struct Keeper {
    entries: Arc<RwLock<Entries>>,
    listing: Entries,
    listed: watch::Sender<bool>,
}

/// Drops what nobody asks for: only what says whom an object belongs to is read of its labels.
pub(super) fn slim(meta: &mut ObjectMeta) {
    if let Some(labels) = &mut meta.labels {
        labels.retain(|label, _| label == LABEL_INTEGRATION || label == LABEL_CONNECTOR);
    }
}

/// An empty memory of one kind.
pub(super) fn new() -> (Owned, Keeper) {
    let entries: Arc<RwLock<Entries>> = Arc::default();
    let (sender, listed) = watch::channel(false);
    (Owned { entries: Arc::clone(&entries), listed }, Keeper { entries, listing: Entries::new(), listed: sender })
}

impl Keeper {
    /// Takes an event over. A full list takes the place of what was there when it has ended, and not before.
    pub(super) fn take<K: Resource>(&mut self, event: &Event<K>) {
        match event {
            Event::Init => self.listing = Entries::new(),
            Event::InitApply(object) => {
                self.listing.insert(Key::of(object.meta()), Entry::of(object.meta()));
            }
            Event::InitDone => {
                *self.write() = std::mem::take(&mut self.listing);
                self.listed.send_replace(true);
            }
            Event::Apply(object) => {
                self.write().insert(Key::of(object.meta()), Entry::of(object.meta()));
            }
            Event::Delete(object) => {
                self.write().remove(&Key::of(object.meta()));
            }
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owned {
    /// Waits until everything was listed once.
    ///
    /// # Errors
    /// When the watch is no longer polled.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        self.listed.clone().wait_for(|listed| *listed).await.context("a watch ended before everything was listed")?;
        Ok(())
    }

    /// One object's.
    pub(super) fn get(&self, key: &Key) -> Option<ObjectMeta> {
        self.read().get(key).map(Entry::meta)
    }

    /// Those of all objects of an Integration.
    pub(super) fn of(&self, integration: &Key) -> Vec<ObjectMeta> {
        let all = self.read();
        let mine = all.iter().filter(|(key, entry)| {
            entry.integration.as_deref() == Some(&integration.name) && key.namespace == integration.namespace
        });
        mine.map(|(_, entry)| entry.meta()).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "owned_tests.rs"]
mod tests;
