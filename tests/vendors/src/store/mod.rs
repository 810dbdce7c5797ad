//! The records of one instance, indexed so that a page costs O(log n + page) however many records there are.
//!
//! A record is kept as the JSON text the vendor would send, beside the few values the indexes need: a page is then a
//! concatenation, and a record takes little more memory than its text. Nothing here knows a vendor; what differs between
//! them is in [`Layout`].

mod collection;
mod record;

use std::collections::HashMap;

use serde_json::Value;

pub(crate) use collection::{Collection, Conflict};
pub(crate) use record::{Layout, Place, Record, RecordId, Sort, field, micros, set_field};

use crate::ledger::Ledger;
use crate::message::Effect;
use crate::wire::WriteKind;

/// Gives the layout of a resource; none when the vendor has no such resource.
pub(crate) type LayoutOf = fn(&str) -> Option<Layout>;

/// Everything one instance holds: the records and the ledger of writes, behind one lock.
#[derive(Debug)]
pub(crate) struct State {
    layout_of: LayoutOf,
    collections: HashMap<String, Collection>,
    pub(crate) ledger: Ledger,
}

impl State {
    pub(crate) fn new(layout_of: LayoutOf) -> Self {
        Self { layout_of, collections: HashMap::new(), ledger: Ledger::default() }
    }

    /// A collection, made when the vendor knows the resource and this is its first use.
    pub(crate) fn collection(&mut self, resource: &str) -> Option<&mut Collection> {
        if !self.collections.contains_key(resource) {
            let layout = (self.layout_of)(resource)?;
            self.collections.insert(resource.to_owned(), Collection::new(layout));
        }
        self.collections.get_mut(resource)
    }

    /// Writes a record on a client's behalf and enters it in the ledger. None when there is no such resource.
    pub(crate) fn commit(&mut self, resource: &str, id: &RecordId, value: Value) -> Option<Result<Effect, Conflict>> {
        let collection = self.collection(resource)?;
        let kind = if collection.get(id).is_some() { WriteKind::Updated } else { WriteKind::Created };
        let name = value.get("Name").and_then(Value::as_str).map(ToOwned::to_owned);
        if let Err(conflict) = collection.put(id, value) {
            return Some(Err(conflict));
        }
        let key = ledger_key(resource, id, collection.get(id));
        Some(Ok(self.enter(key, kind, name)))
    }

    /// Removes a record on a client's behalf and enters it in the ledger. None when there is no such record.
    pub(crate) fn erase(&mut self, resource: &str, id: &RecordId) -> Option<Effect> {
        let removed = self.collection(resource)?.remove(id)?;
        let key = ledger_key(resource, id, Some(&removed));
        Some(self.enter(key, WriteKind::Deleted, None))
    }

    fn enter(&mut self, key: String, kind: WriteKind, name: Option<String>) -> Effect {
        let commit = self.ledger.enter(&key, kind);
        Effect { key, kind, commit, name }
    }
}

fn ledger_key(resource: &str, id: &RecordId, record: Option<&Record>) -> String {
    match record.and_then(|record| record.external.as_deref()) {
        Some(external) => format!("{resource}/{external}"),
        None => format!("{resource}/id:{id}"),
    }
}
