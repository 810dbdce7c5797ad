//! The records of one resource and their indexes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use super::record::{field, micros};
use super::{Layout, Place, Record, RecordId, Sort};

/// Another record already has this external id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("external id {external} belongs to record {holder}; use another external id, or write to that record")]
pub(crate) struct Conflict {
    /// The external id.
    pub(crate) external: String,
    /// The record that has it.
    pub(crate) holder: RecordId,
}

/// The records of one resource.
#[derive(Debug)]
pub(crate) struct Collection {
    layout: Layout,
    records: BTreeMap<RecordId, Record>,
    by_created: BTreeSet<Place>,
    by_updated: BTreeSet<Place>,
    by_external: HashMap<Arc<str>, RecordId>,
    last_number: u64,
}

impl Collection {
    /// An empty one.
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            layout,
            records: BTreeMap::new(),
            by_created: BTreeSet::new(),
            by_updated: BTreeSet::new(),
            by_external: HashMap::new(),
            last_number: 0,
        }
    }

    /// How its records are laid out.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// How many records it holds.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// An id that was never used here, above `floor`.
    pub(crate) fn fresh_id(&mut self, floor: u64) -> u64 {
        self.last_number = self.last_number.max(floor) + 1;
        self.last_number
    }

    /// One record.
    pub(crate) fn get(&self, id: &RecordId) -> Option<&Record> {
        self.records.get(id)
    }

    /// The id of the record with this external id.
    pub(crate) fn by_external(&self, external: &str) -> Option<&RecordId> {
        self.by_external.get(external)
    }

    /// All records in the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RecordId, &Record)> {
        self.records.iter()
    }

    /// The records between two places of a sorted order, forwards or backwards.
    pub(crate) fn walk(
        &self,
        sort: Sort,
        range: (Bound<Place>, Bound<Place>),
        backwards: bool,
    ) -> Box<dyn Iterator<Item = (Place, &Record)> + '_> {
        if is_void(&range) {
            return Box::new(std::iter::empty());
        }
        let index = match sort {
            Sort::Created => &self.by_created,
            Sort::Updated => &self.by_updated,
            Sort::Id => {
                let ids = (range.0.map(|place| place.1), range.1.map(|place| place.1));
                let found = self.records.range(ids).map(|(id, record)| ((0, id.clone()), record));
                return if backwards { Box::new(found.rev()) } else { Box::new(found) };
            }
        };
        let places = index.range(range);
        let find = |place: &Place| self.records.get(&place.1).map(|record| (place.clone(), record));
        if backwards { Box::new(places.rev().filter_map(find)) } else { Box::new(places.filter_map(find)) }
    }

    /// Writes a record, replacing the one with this id; the value's id field is set to `id`.
    ///
    /// # Errors
    /// [`Conflict`] when another record has the same external id; nothing is changed then.
    pub(crate) fn put(&mut self, id: &RecordId, mut value: Value) -> Result<(), Conflict> {
        self.stamp_id(id, &mut value);
        let record = self.index_values(&value);
        if let Some(external) = &record.external
            && let Some(holder) = self.by_external.get(external)
            && holder != id
        {
            return Err(Conflict { external: external.to_string(), holder: holder.clone() });
        }
        self.remove(id);
        if let RecordId::Number(number) = id {
            self.last_number = self.last_number.max(*number);
        }
        self.by_created.insert((record.created, id.clone()));
        self.by_updated.insert((record.updated, id.clone()));
        if let Some(external) = &record.external {
            self.by_external.insert(Arc::clone(external), id.clone());
        }
        self.records.insert(id.clone(), record);
        Ok(())
    }

    /// Removes a record.
    pub(crate) fn remove(&mut self, id: &RecordId) -> Option<Record> {
        let record = self.records.remove(id)?;
        self.by_created.remove(&(record.created, id.clone()));
        self.by_updated.remove(&(record.updated, id.clone()));
        if let Some(external) = &record.external {
            self.by_external.remove(external);
        }
        Some(record)
    }

    fn stamp_id(&self, id: &RecordId, value: &mut Value) {
        if let Value::Object(fields) = value {
            let written = match id {
                RecordId::Number(number) if self.layout.numeric_id => Value::from(*number),
                other => Value::from(other.to_string()),
            };
            if fields.get(self.layout.id_field) != Some(&written) {
                fields.shift_remove(self.layout.id_field);
                fields.shift_insert(0, self.layout.id_field.to_owned(), written);
            }
        }
    }

    fn index_values(&self, value: &Value) -> Record {
        let at = |name: Option<&str>| name.and_then(|name| field(value, name));
        Record {
            created: at(self.layout.created_field).and_then(micros).unwrap_or(0),
            updated: at(self.layout.updated_field).and_then(micros).unwrap_or(0),
            external: at(self.layout.external_field)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(Arc::from),
            flags: (self.layout.flags)(value),
            text: value.to_string().into(),
        }
    }
}

fn is_void(range: &(Bound<Place>, Bound<Place>)) -> bool {
    match range {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn orders() -> Collection {
        Collection::new(Layout {
            id_field: "id",
            numeric_id: true,
            created_field: None,
            updated_field: Some("updated_at"),
            external_field: Some("externalId"),
            flags: |_| 0,
        })
    }

    fn put(collection: &mut Collection, id: u64, second: u32, external: Option<&str>) -> Result<(), Conflict> {
        let time = format!("2026-07-01T00:00:{second:02}Z");
        collection.put(&RecordId::Number(id), json!({"updated_at": time, "externalId": external}))
    }

    fn ids(collection: &Collection, range: (Bound<Place>, Bound<Place>), backwards: bool) -> Vec<u64> {
        let number = |(place, _): (Place, &Record)| match place.1 {
            RecordId::Number(number) => number,
            RecordId::Text(_) => 0,
        };
        collection.walk(Sort::Updated, range, backwards).map(number).collect()
    }

    #[test]
    fn equal_times_are_ordered_by_id() {
        let mut collection = orders();
        for (id, second) in [(3, 5), (1, 5), (2, 4)] {
            put(&mut collection, id, second, None).unwrap();
        }
        assert_eq!(ids(&collection, (Bound::Unbounded, Bound::Unbounded), false), [2, 1, 3]);
        assert_eq!(ids(&collection, (Bound::Unbounded, Bound::Unbounded), true), [3, 1, 2]);
    }

    #[test]
    fn a_changed_record_moves_in_the_index() {
        let mut collection = orders();
        put(&mut collection, 1, 1, None).unwrap();
        put(&mut collection, 2, 2, None).unwrap();
        put(&mut collection, 1, 3, None).unwrap();
        assert_eq!(ids(&collection, (Bound::Unbounded, Bound::Unbounded), false), [2, 1]);
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_empty() {
        let mut collection = orders();
        put(&mut collection, 1, 1, None).unwrap();
        let (low, high) = ((9, RecordId::MIN), (1, RecordId::MIN));
        assert!(ids(&collection, (Bound::Included(low.clone()), Bound::Excluded(high)), false).is_empty());
        assert!(ids(&collection, (Bound::Excluded(low.clone()), Bound::Excluded(low)), false).is_empty());
    }

    #[test]
    fn an_external_id_belongs_to_one_record() {
        let mut collection = orders();
        put(&mut collection, 1, 1, Some("x")).unwrap();
        let conflict = put(&mut collection, 2, 1, Some("x")).unwrap_err();
        assert_eq!(conflict.holder, RecordId::Number(1));
        assert_eq!(collection.len(), 1);
        collection.remove(&RecordId::Number(1));
        put(&mut collection, 2, 1, Some("x")).unwrap();
    }

    #[test]
    fn a_number_with_a_leading_zero_is_a_text() {
        assert_eq!(RecordId::parse("7"), RecordId::Number(7));
        assert_eq!(RecordId::parse("007"), RecordId::Text("007".into()));
    }

    #[test]
    fn an_id_is_never_given_twice() {
        let mut collection = orders();
        let first = collection.fresh_id(100);
        put(&mut collection, first, 1, None).unwrap();
        collection.remove(&RecordId::Number(first));
        assert!(collection.fresh_id(100) > first);
    }
}
