//! The field that belongs to the destination: what people make of it there, and that no write over a record that is there carries it.

use serde_json::Value;

use super::{Vendor, id};
use crate::{history::Means, property::Property, source::State, world::FLIGHT_SECONDS};

/// A body without the field.
pub(super) fn rest(body: &Value) -> Value {
    let mut rest = body.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.remove(State::OWNED);
    }
    rest
}

impl Vendor {
    /// People change what is theirs of every record that is there.
    pub fn edit(&mut self, now: i64) {
        let Means { owned: true, .. } = self.means else { return };
        let there: Vec<String> = self.booked.keys().filter(|record| self.has_any(record)).cloned().collect();
        self.theirs.extend(there.into_iter().map(|record| (record, format!("by hand at {now}").into())));
    }

    /// A write is about to be applied: what it says of the field is kept. What came to be there a moment ago may not have been seen when the write was decided.
    pub(super) fn takes(&mut self, now: i64, body: &Value, deletes: bool) {
        let record = id(body);
        if deletes {
            self.theirs.remove(&record);
            return;
        }
        let Some(theirs) = body.get(State::OWNED) else { return };
        if self.there_since(&record).is_some_and(|since| since + i64::from(FLIGHT_SECONDS) <= now) {
            self.violate(Property::WhatIsTheDestinationsStays, || {
                format!("a write over {record} carried what belongs to the destination")
            });
        }
        self.theirs.insert(record, theirs.clone());
    }

    /// Whether this is there, whatever people made of what is theirs.
    pub(crate) fn has(&self, body: &Value) -> bool {
        let last = self.booked.get(&id(body)).and_then(|all| all.last());
        last.is_some_and(|booked| booked.body == Some(rest(body)))
    }

    /// Whether this was ever there.
    pub(crate) fn once_had(&self, body: &Value) -> bool {
        let (all, body) = (self.booked.get(&id(body)), Some(rest(body)));
        all.is_some_and(|all| all.iter().any(|booked| booked.body == body))
    }

    /// Since when a record is there without a break, if it is.
    fn there_since(&self, record: &str) -> Option<i64> {
        let booked = self.booked.get(record)?;
        booked.iter().rev().take_while(|booked| booked.body.is_some()).last().map(|booked| booked.at)
    }

    /// The record as it is shown: with what people made of what is theirs.
    pub(super) fn with_theirs(&self, record: &str, mut body: Value) -> Value {
        if let Some(theirs) = self.theirs.get(record) {
            body[State::OWNED] = theirs.clone();
        }
        body
    }
}
