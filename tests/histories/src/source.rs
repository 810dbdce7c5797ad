//! The source: records with a time and a content, listed by time and then key, in pages by position.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    history::{Fetch, Means, Shows},
    world::PARENTS,
};

/// A state of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Which record.
    pub key: u8,
    /// When it changed, by the source's clock: its version.
    pub time: i64,
    /// Its content; none when it is marked as deleted.
    pub content: Option<u8>,
    /// Tells it from any other state there ever was; later ones have higher ones.
    pub mark: u32,
}

/// What a single read shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchAnswer {
    /// The record, in this state.
    Shown(State),
    /// Nothing.
    Absent,
    /// The source failed.
    Failed,
}

/// The source.
#[derive(Debug, Default)]
pub struct Source {
    /// Every state there ever was, by record, in order.
    states: BTreeMap<u8, Vec<State>>,
    marks: u32,
    /// States that were read and taken, by mark.
    listed: BTreeSet<u32>,
    /// States that no reader of pages could notice, by mark.
    unnoticeable: BTreeSet<u32>,
}

impl Source {
    /// Changes a record, or marks it as deleted. Its time never goes backwards.
    pub fn change(&mut self, key: u8, content: Option<u8>, time: i64) {
        self.marks += 1;
        let states = self.states.entry(key).or_default();
        let time = states.last().map_or(time, |last| last.time.max(time));
        states.push(State { key, time, content, mark: self.marks });
    }

    /// A page of what changed at or after a time: so many records from a position on.
    ///
    /// Where records do not show their time, one that is touched without another change looks as before in another place. When it comes to lie
    /// where reading stands, nothing tells that what lies before it moved there meanwhile: that is noted.
    pub(crate) fn page(&mut self, means: Means, from: Option<i64>, position: usize, length: usize) -> Vec<State> {
        let mut records: Vec<State> =
            self.current().filter(|state| from.is_none_or(|from| state.time >= from)).cloned().collect();
        records.sort_by_key(|state| (state.time, state.key));
        let before: Vec<u32> = records.iter().take(position).map(|state| state.mark).collect();
        let page: Vec<State> = records.into_iter().skip(position).take(length).collect();
        if page.iter().any(|state| self.looks_listed(state, means)) {
            self.unnoticeable.extend(before.into_iter().filter(|mark| !self.listed.contains(mark)));
        }
        page
    }

    /// States were read and taken. A page that came to somebody who died before it was stored, or went back, was not read.
    pub(crate) fn taken(&mut self, states: &[State]) {
        self.listed.extend(states.iter().map(|state| state.mark));
    }

    /// Whether a state that was not listed looks like one of its record that was.
    fn looks_listed(&self, state: &State, means: Means) -> bool {
        let mut same =
            self.states.get(&state.key).into_iter().flatten().filter(|other| self.listed.contains(&other.mark));
        !self.listed.contains(&state.mark) && same.any(|other| other.record(means) == state.record(means))
    }

    /// Whether no reader of pages could notice a state.
    pub(crate) fn is_unnoticeable(&self, state: &State) -> bool {
        self.unnoticeable.contains(&state.mark)
    }

    /// The newest state of each record.
    pub fn current(&self) -> impl Iterator<Item = &State> {
        self.states.values().filter_map(|states| states.last())
    }

    /// The state that a record had so many states ago. Where no single record can be fetched, states that share a time with a later one are
    /// skipped: which of them is the newer one only the order of reading can tell, and an event that comes late would tell it wrong.
    pub fn past(&self, key: u8, age: usize, singles: bool) -> Option<State> {
        let states = self.states.get(&key)?;
        let ordered = states
            .iter()
            .enumerate()
            .filter(|(number, state)| singles || states.get(number + 1).is_none_or(|next| next.time > state.time));
        let ordered: Vec<&State> = ordered.map(|(_, state)| state).collect();
        let index = ordered.len().checked_sub(1 + age)?;
        Some(ordered[index].clone())
    }

    /// A single record, as the source shows it now. One that lags shows it before its last version, where there are versions to tell.
    pub fn single(&self, key: &str, fetch: Fetch, versions: bool) -> FetchAnswer {
        let states = key.parse().ok().and_then(|key: u8| self.states.get(&key));
        let Some(newest) = states.and_then(|states| states.last()) else { return FetchAnswer::Absent };
        let before = || states.into_iter().flatten().rfind(|state| state.time < newest.time);
        match fetch {
            Fetch::Fresh => FetchAnswer::Shown(newest.clone()),
            Fetch::Lagging => FetchAnswer::Shown(before().filter(|_| versions).unwrap_or(newest).clone()),
            Fetch::Fails => FetchAnswer::Failed,
            Fetch::Absent => FetchAnswer::Absent,
        }
    }

    /// Whether a state looks like one that its record had up to a mark.
    pub(crate) fn looks_as_before(&self, state: &State, mark: u32, means: Means) -> bool {
        let mut before = self.states.get(&state.key).into_iter().flatten().filter(|before| before.mark <= mark);
        before.any(|before| before.record(means) == state.record(means))
    }

    /// Whether a record was ever such that it is not to be at the destination.
    pub(crate) fn was_ever(&self, key: u8, such: impl Fn(&State) -> bool) -> bool {
        self.states.get(&key).is_some_and(|states| states.iter().any(such))
    }

    /// How many states there were so far.
    pub(crate) fn marks(&self) -> u32 {
        self.marks
    }
}

impl State {
    /// The content of records that do not match.
    pub const OUT: u8 = 2;

    /// Whether it is such that the flow's condition leaves it out.
    pub fn is_out(&self) -> bool {
        self.content == Some(Self::OUT)
    }

    /// The same of a record, or of a body.
    pub fn shows_out(value: &Value) -> bool {
        value["content"].as_str().and_then(|content| content.parse().ok()) == Some(Self::OUT)
    }

    /// What the records of a key depend on: another flow's record.
    pub fn parent(key: u8, means: Means) -> Option<u8> {
        (means.parents && key > 0).then_some(key % PARENTS)
    }

    /// Where it stands among its record's states: by its version, and, where one can be fetched anew, by when it came to be.
    pub fn order(&self, means: Means) -> i64 {
        let mark = i64::from(self.mark);
        match means.shows {
            Shows::Versions => self.time,
            Shows::VersionsAndSingles => (self.time << 20) + mark,
            Shows::SinglesOnly => mark,
        }
    }

    /// The record as the source shows it. The mark is shown only where states are traced.
    pub fn record(&self, means: Means) -> Value {
        let content = self.content.unwrap_or_default().to_string();
        let time = means.shows.versions().then_some(self.time);
        let mut record =
            json!({"id": self.key.to_string(), "time": time, "content": content, "deleted": self.content.is_none()});
        if means.traced {
            record["mark"] = self.mark.into();
            record["order"] = self.order(means).into();
        }
        if let Some(parent) = Self::parent(self.key, means) {
            record["parent"] = parent.to_string().into();
        }
        if means.owned {
            record[Self::OWNED] = format!("of {}", self.content.unwrap_or_default()).into();
        }
        record
    }

    /// What comes in of it: the record, or no more than which one it is.
    pub fn told(&self, means: Means) -> Value {
        if means.words { json!({"id": self.key.to_string()}) } else { self.record(means) }
    }

    /// The body that the record is mapped to. Without a trace it has the content alone, so that two states can have the same one.
    pub fn body(record: &Value) -> Value {
        let mut body = json!({"id": record["id"], "content": record["content"]});
        for field in Self::TRACE.into_iter().chain(["parent", Self::OWNED]).filter(|field| !record[*field].is_null()) {
            body[field] = record[field].clone();
        }
        body
    }

    /// The field of body and record that belongs to the destination, where one does.
    pub const OWNED: &str = "theirs";

    /// The fields of body and record that only traced ones have.
    pub const TRACE: [&str; 2] = ["mark", "order"];
}
