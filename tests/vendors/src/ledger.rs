//! Who was written how often: the evidence for "nothing lost, nothing twice".
//!
//! Lives next to the records under the same lock, so that a write and its entry cannot be seen apart.

use std::collections::BTreeMap;

use crate::wire::{KeyList, WriteKind, WriteTotals, Writes, WritesPage};

const LISTED_KEYS: usize = 100;

/// Every write through the vendor's API, by key.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    keys: BTreeMap<Box<str>, Writes>,
    totals: WriteTotals,
    commits: u64,
}

impl Ledger {
    /// Enters a write and returns its place in the order of all writes, from 1.
    pub(crate) fn enter(&mut self, key: &str, kind: WriteKind) -> u64 {
        let writes = match self.keys.get_mut(key) {
            Some(writes) => writes,
            None => self.keys.entry(key.into()).or_default(),
        };
        let before = writes.creates + writes.updates;
        match kind {
            WriteKind::Created => {
                writes.creates += 1;
                self.totals.creates += 1;
                if writes.creates == 2 {
                    note(&mut self.totals.keys_with_more_than_one_create, key);
                }
            }
            WriteKind::Updated => {
                writes.updates += 1;
                self.totals.updates += 1;
            }
            WriteKind::Deleted => {
                writes.deletes += 1;
                self.totals.deletes += 1;
            }
        }
        if kind != WriteKind::Deleted {
            self.totals.applied += 1;
            match before {
                0 => self.totals.distinct += 1,
                1 => note(&mut self.totals.keys_with_more_than_one_write, key),
                _ => {}
            }
        }
        self.commits += 1;
        self.commits
    }

    /// The totals so far.
    pub(crate) fn totals(&self) -> WriteTotals {
        self.totals.clone()
    }

    /// What was done to one key; nothing, for a key never written.
    pub(crate) fn of(&self, key: &str) -> Writes {
        self.keys.get(key).copied().unwrap_or_default()
    }

    /// A part of the list of keys.
    pub(crate) fn page(&self, offset: usize, limit: usize) -> WritesPage {
        let items = self.keys.iter().skip(offset).take(limit).map(|(key, writes)| (key.to_string(), *writes));
        WritesPage { items: items.collect(), total: self.keys.len() }
    }

    /// Forgets everything but the order of writes, which goes on.
    pub(crate) fn reset(&mut self) {
        self.keys.clear();
        self.totals = WriteTotals::default();
    }
}

fn note(list: &mut KeyList, key: &str) {
    list.count += 1;
    if list.keys.len() < LISTED_KEYS {
        list.keys.push(key.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_written_twice_is_listed_once() {
        let mut ledger = Ledger::default();
        ledger.enter("salesOrder/1", WriteKind::Created);
        ledger.enter("salesOrder/1", WriteKind::Updated);
        ledger.enter("salesOrder/1", WriteKind::Updated);
        ledger.enter("salesOrder/2", WriteKind::Created);
        let totals = ledger.totals();
        assert_eq!((totals.applied, totals.distinct, totals.creates, totals.updates), (4, 2, 2, 2));
        assert_eq!(totals.keys_with_more_than_one_write.keys, ["salesOrder/1"]);
        assert_eq!(totals.keys_with_more_than_one_create.count, 0);
    }

    #[test]
    fn a_record_made_again_after_a_delete_counts_as_two_creates() {
        let mut ledger = Ledger::default();
        ledger.enter("a/1", WriteKind::Created);
        ledger.enter("a/1", WriteKind::Deleted);
        ledger.enter("a/1", WriteKind::Created);
        assert_eq!(ledger.totals().keys_with_more_than_one_create.keys, ["a/1"]);
        assert_eq!(ledger.of("a/1"), Writes { creates: 2, updates: 0, deletes: 1 });
    }

    #[test]
    fn the_listed_keys_are_bounded_and_the_count_is_not() {
        let mut ledger = Ledger::default();
        for key in 0..150 {
            ledger.enter(&format!("a/{key}"), WriteKind::Created);
            ledger.enter(&format!("a/{key}"), WriteKind::Updated);
        }
        let twice = ledger.totals().keys_with_more_than_one_write;
        assert_eq!((twice.count, twice.keys.len()), (150, LISTED_KEYS));
    }

    #[test]
    fn a_reset_keeps_the_order_of_writes_going() {
        let mut ledger = Ledger::default();
        ledger.enter("a/1", WriteKind::Created);
        ledger.reset();
        assert_eq!(ledger.enter("a/1", WriteKind::Updated), 2);
        assert_eq!(ledger.totals().applied, 1);
    }
}
