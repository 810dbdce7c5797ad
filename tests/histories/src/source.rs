//! The source: records with a time and a content, listed by time and then key, in pages by position.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A state of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Which record.
    pub key: u8,
    /// When it changed, by the source's clock: its version.
    pub time: i64,
    /// Its content.
    pub content: u8,
    /// Tells it from any other state there ever was.
    pub mark: u32,
}

/// The source.
#[derive(Debug, Default)]
pub struct Source {
    /// Every state there ever was, by record, in order.
    states: BTreeMap<u8, Vec<State>>,
    marks: u32,
}

impl Source {
    /// Changes a record. Its time never goes backwards.
    pub fn change(&mut self, key: u8, content: u8, time: i64) {
        self.marks += 1;
        let states = self.states.entry(key).or_default();
        let time = states.last().map_or(time, |last| last.time.max(time));
        states.push(State { key, time, content, mark: self.marks });
    }

    /// A page of what changed at or after a time: so many records from a position on.
    pub fn page(&self, from: Option<i64>, position: usize, length: usize) -> Vec<State> {
        let mut records: Vec<&State> =
            self.current().filter(|state| from.is_none_or(|from| state.time >= from)).collect();
        records.sort_by_key(|state| (state.time, state.key));
        records.into_iter().skip(position).take(length).cloned().collect()
    }

    /// The newest state of each record.
    pub fn current(&self) -> impl Iterator<Item = &State> {
        self.states.values().filter_map(|states| states.last())
    }

    /// The state that a record had so many states ago. States that share a time with a later one are skipped: which of them is the newer one
    /// only the order of reading can tell, and an event that comes late would tell it wrong.
    pub fn past(&self, key: u8, age: usize) -> Option<State> {
        let states = self.states.get(&key)?;
        let ordered = states
            .iter()
            .enumerate()
            .filter(|(number, state)| states.get(number + 1).is_none_or(|next| next.time > state.time));
        let ordered: Vec<&State> = ordered.map(|(_, state)| state).collect();
        let index = ordered.len().checked_sub(1 + age)?;
        Some(ordered[index].clone())
    }
}

impl State {
    /// The record as the source shows it. The mark is shown only where states are traced.
    pub fn record(&self, traced: bool) -> Value {
        let mut record = json!({"id": self.key.to_string(), "time": self.time, "content": self.content.to_string()});
        if traced {
            record["mark"] = self.mark.into();
        }
        record
    }

    /// The body that the record is mapped to. Without a trace it has the content alone, so that two states can have the same one.
    pub fn body(record: &Value) -> Value {
        let mut body = json!({"id": record["id"], "content": record["content"]});
        if !record["mark"].is_null() {
            body["mark"] = record["mark"].clone();
            body["time"] = record["time"].clone();
        }
        body
    }
}
