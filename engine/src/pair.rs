//! Records that two flows carry to and fro: what of a record is a change, what is only the trace of what the other flow wrote, and who wins where
//! both ends changed the same. Pure; the worker reads, evaluates and stores.
//!
//! A record is compared field by field, in the terms of the flow that carries it: each field of its map by itself, as an [`Image`]. Of each field
//! is remembered what it was when it was looked at last, and what it becomes by the writes of the other flow that were not seen yet: that flow
//! evaluates this one's map on the record as it stands and on the record with what it writes. A field that becomes something else by that is expected to
//! be that, and any other is expected to stay. Anything else is a change, whoever made it: a person between a write and the next look, also one who took
//! the write back, or the system, which stored something else than was written. Such an answer goes back. Two systems may answer each other for ever, and
//! nothing tells their answers from people's changes: after [`MOST_ROUNDS`] they go back ever more rarely, and none is dropped.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    canonical,
    delivery::Seen,
    mapping::{FieldPath, Mapping},
    plan::Direction,
    version::Version,
};

/// How often in a row a change of a record is carried at once that came before the last write to it was seen to arrive.
pub const MOST_ROUNDS: u32 = 6;
/// How long after the last write the first one waits that comes after those, in seconds; each further one waits twice as long as the one before it.
const FIRST_PAUSE: i64 = 60;
/// How long one waits at most, in seconds.
const LONGEST_PAUSE: i64 = 3600;
/// In place of a hash: no field is this.
const OWED: &str = "?";
/// How many writes that were not seen yet are remembered of a field.
const MOST_EXPECTED: usize = 8;

/// A record in the terms of a flow: a hash of each field of its map; an empty one for nothing and null. Numbers and truths are compared as texts,
/// because systems keep them as such. A field that is not in it cannot be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(BTreeMap<String, String>);

impl Image {
    /// Of a mapped body.
    pub fn of(mapping: &Mapping, body: &Value) -> Self {
        Self(mapping.paths().map(|path| (path.to_string(), hash(path.within(body)))).collect())
    }

    /// Of the fields that could be evaluated; see [`Mapping::each`].
    pub fn each(values: &BTreeMap<String, Option<Value>>) -> Self {
        Self(values.iter().map(|(path, value)| (path.clone(), hash(value.as_ref()))).collect())
    }

    /// The same without some fields.
    #[must_use]
    pub fn without(mut self, fields: &[String]) -> Self {
        self.0.retain(|path, _| !fields.contains(path));
        self
    }
}

fn hash(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(value) => canonical::short_hash(&in_texts(value)),
    }
}

fn in_texts(value: &Value) -> Value {
    match value {
        Value::Null | Value::String(_) => value.clone(),
        Value::Bool(truth) => truth.to_string().into(),
        Value::Number(number) => number.to_string().trim_end_matches(".0").into(),
        Value::Array(items) => items.iter().map(in_texts).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), in_texts(value))).collect(),
    }
}

/// What is remembered of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What it was when it was looked at last, or before it was last written.
    known: String,
    /// What it becomes by writes of the other flow that were not seen yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expected: Vec<String>,
}

/// What is remembered of a record, in the terms of the flow that carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces {
    /// Its fields, by their paths in the map.
    #[serde(default)]
    fields: BTreeMap<String, Trace>,
    /// How many writes in a row answered each other up to the last one to it that was not seen yet.
    #[serde(default)]
    rounds: u32,
    /// Its state before the other flow wrote to it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Seen>,
    /// When the other flow wrote to it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written: Option<Timestamp>,
}

/// What is remembered of a pair of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In the terms of the flow in the direction Forward.
    pub forward: Traces,
    /// In the terms of the other one.
    pub reverse: Traces,
}

/// What changed of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The fields to carry.
    pub fields: BTreeSet<String>,
    /// How many writes answered each other before.
    pub round: u32,
    /// Before when they are not carried, because both ends go on changing what they are given.
    pub not_before: Option<Timestamp>,
}

/// A write that is made because of a change.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// How many writes answered each other before.
    pub round: u32,
    /// When it is made.
    pub at: Timestamp,
}

/// A record as it is shown: in the terms of its flow, and its state. One that is `stale` is shown as it was before it was last written.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The fields.
    pub image: &'a Image,
    /// The state.
    pub seen: &'a Seen,
    /// When it is shown.
    pub at: Timestamp,
    /// Whether it is late.
    pub stale: bool,
}

impl Traces {
    /// A look at a record.
    pub fn look<'a>(&self, image: &'a Image, seen: &'a Seen, at: Timestamp) -> Look<'a> {
        let stale = self.since.as_ref().is_some_and(|since| match seen.version.compare(&since.version) {
            Some(Ordering::Less) => true,
            // Single reads of a source that orders nothing do not lag.
            Some(Ordering::Equal) => seen.version != Version::Unordered && seen.hash == since.hash,
            Some(Ordering::Greater) | None => false,
        });
        Look { image, seen, at, stale }
    }

    /// What changed of a record. Of a field that nothing is remembered of, to be nothing is no change.
    pub fn news(&self, look: Look<'_>) -> News {
        let is_news = |path: &str, hash: &str| match self.fields.get(path) {
            None => !hash.is_empty(),
            Some(trace) => !trace.explains(hash, look.stale),
        };
        let fields = look.image.0.iter().filter(|(path, hash)| is_news(path.as_str(), hash.as_str()));
        let fields = fields.map(|(path, _)| path.clone()).collect();
        News { fields, round: self.rounds, not_before: self.pause(look.at) }
    }

    /// Until when the record rests after the writes that answered each other. A last write that is still to come is of a clock that was set back, and
    /// holds nothing up.
    fn pause(&self, now: Timestamp) -> Option<Timestamp> {
        let written = self.written.filter(|written| *written <= now)?;
        let doublings = self.rounds.checked_sub(MOST_ROUNDS + 1)?;
        let pause = 1_i64.checked_shl(doublings).and_then(|times| FIRST_PAUSE.checked_mul(times));
        let pause = pause.filter(|pause| (1..LONGEST_PAUSE).contains(pause)).unwrap_or(LONGEST_PAUSE);
        written.checked_add(SignedDuration::from_secs(pause)).ok().filter(|until| *until > now)
    }

    /// The record was looked at. Of one that was shown late, what did not change says nothing.
    fn looked(&mut self, look: Look<'_>) {
        let fields = self.news(look).fields;
        for (path, hash) in &look.image.0 {
            if !look.stale || fields.contains(path) {
                self.fields.entry(path.clone()).or_default().is(hash);
            }
        }
        if self.fields.values().all(|trace| trace.expected.is_empty()) {
            self.rounds = 0;
        }
    }

    /// The other flow writes to the record: what it is before, where there is one, and what becomes of it.
    fn expect(&mut self, before: Option<Look<'_>>, effect: &Effect, Answer { round, at }: Answer) {
        let fields = before.map(|before| self.news(before).fields).unwrap_or_default();
        for (path, hash) in &effect.after.0 {
            let was = before.and_then(|before| before.image.0.get(path));
            if was == Some(hash) {
                // Both ends changed to the same, as far as this map tells; of what it joins of several fields, the other end may have another part. It is
                // carried whatever becomes of it meanwhile, if it is what was written that made it.
                if fields.contains(path) && effect.blank.0.get(path) != was {
                    self.owe(&BTreeSet::from([path.clone()]));
                }
                continue;
            }
            let trace = self.fields.entry(path.clone()).or_default();
            // A change that is written over is not carried any more, also where a look lags behind and shows it once again.
            was.iter().filter(|_| before.is_none_or(|before| !before.stale)).for_each(|was| trace.is(was));
            trace.expected.retain(|expected| expected != hash);
            if !trace.expected.is_empty() || trace.known != *hash {
                trace.expected.push(hash.clone());
            }
            let surplus = trace.expected.len().saturating_sub(MOST_EXPECTED);
            trace.expected.drain(..surplus);
        }
        self.rounds = round.saturating_add(1);
        self.written = Some(at);
        self.since = before.map(|before| before.seen.clone());
    }

    /// These fields are to be carried at the next look, whatever they are then.
    fn owe(&mut self, fields: &BTreeSet<String>) {
        for path in fields {
            self.fields.insert(path.clone(), Trace { known: OWED.into(), expected: Vec::new() });
        }
    }

    fn has(&self, path: &str) -> bool {
        self.fields.contains_key(path)
    }
}

impl Trace {
    /// Whether a field that is this was not changed. What it was before a write it is again only where somebody took the write back, or where the
    /// record is shown late.
    fn explains(&self, hash: &str, stale: bool) -> bool {
        let is_known = (self.expected.is_empty() || stale) && self.known == hash;
        is_known || self.expected.iter().any(|expected| expected == hash)
    }

    /// The field is this.
    fn is(&mut self, hash: &str) {
        let arrived = self.expected.iter().position(|expected| expected == hash);
        // What was written before it has arrived too, or never will. Of a change that nobody expected, nothing that was does any more.
        self.expected.drain(..arrived.map_or(self.expected.len(), |place| place + 1));
        hash.clone_into(&mut self.known);
    }
}

impl Memory {
    /// What is remembered in the terms of the flow of a direction.
    pub fn of(&self, direction: Direction) -> &Traces {
        match direction {
            Direction::Forward => &self.forward,
            Direction::Reverse => &self.reverse,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, direction: Direction) -> &mut Traces {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Reverse => &mut self.reverse,
        }
    }

    /// The memory once the record that the flow of a direction carries was looked at.
    #[must_use]
    pub fn looked(&self, direction: Direction, look: Look<'_>) -> Self {
        let mut memory = self.clone();
        memory.of_mut(direction).looked(look);
        memory
    }

    /// The memory once the flow of a direction has written to the twin. Its own record was looked at before.
    #[must_use]
    pub fn written(&self, direction: Direction, twin: Twin<'_>, effect: &Effect, answer: Answer) -> Self {
        let mut memory = self.clone();
        memory.of_mut(direction.back()).expect(twin.before, effect, answer);
        memory
    }

    /// The memory once the flow of a direction has left a change of its own record out, because of these fields of the twin: they are carried also if
    /// they are changed back meanwhile.
    #[must_use]
    pub fn yielded(&self, direction: Direction, fields: &BTreeSet<String>) -> Self {
        let mut memory = self.clone();
        memory.of_mut(direction.back()).owe(fields);
        memory
    }
}

/// What a write makes of the record at the other end, in the terms of the flow that carries it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// What it becomes.
    pub after: Image,
    /// What it would become if the written fields were null: what depends on them is then something else.
    pub blank: Image,
}

/// The record at the other end, in the terms of the flow that carries it back.
#[derive(Clone, Copy, Debug)]
pub struct Twin<'a> {
    /// What it is; none while there is no record.
    pub before: Option<Look<'a>>,
    /// Whether its own flow would carry what changed of it.
    pub takes_part: bool,
}

impl Twin<'_> {
    /// Fields of the twin that changed and were not carried yet, and that a write makes something else of. Whether the write is made all the same, or
    /// yields, its direction says.
    pub fn overruled(&self, memory: &Memory, direction: Direction, after: &Image) -> BTreeSet<String> {
        let Some(before) = self.before.filter(|_| self.takes_part) else { return BTreeSet::new() };
        let news = memory.of(direction.back()).news(before);
        let changes = |path: &String| before.image.0.get(path) != after.0.get(path);
        news.fields.into_iter().filter(changes).collect()
    }

    /// Whether one of these fields was known before: of records that meet for the first time, none was changed against the other.
    pub fn were_known(memory: &Memory, direction: Direction, fields: &BTreeSet<String>) -> bool {
        fields.iter().any(|field| memory.of(direction.back()).has(field))
    }
}

/// The part of a mapped body that these fields make, by their paths in the map.
pub fn part(mapping: &Mapping, body: &Value, fields: &BTreeSet<String>) -> Value {
    let mut part = Map::new();
    for path in mapping.paths().filter(|path| fields.contains(&path.to_string())) {
        if let Some(value) = path.within(body) {
            path.place(&mut part, value.clone());
        }
    }
    Value::Object(part)
}

/// These fields of a mapped body, each of them null.
pub fn blank(mapping: &Mapping, fields: &BTreeSet<String>) -> Value {
    let mut blank = Map::new();
    mapping
        .paths()
        .filter(|path| fields.contains(&path.to_string()))
        .for_each(|path| path.place(&mut blank, Value::Null));
    Value::Object(blank)
}

/// A record as it stands with a body written to it, at a pointer within it, as far as that can be told without the system: members that the body
/// names are as it has them, objects are merged.
pub fn overlaid(record: &Value, pointer: &str, body: &Value) -> Value {
    let mut written = body.clone();
    for name in pointer.split('/').skip(1).collect::<Vec<_>>().into_iter().rev() {
        let name = name.replace("~1", "/").replace("~0", "~");
        written = Value::Object(Map::from_iter([(name, written)]));
    }
    let mut record = record.clone();
    merge(&mut record, written);
    record
}

fn merge(into: &mut Value, written: Value) {
    match (into, written) {
        (Value::Object(into), Value::Object(written)) => {
            for (name, value) in written {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, written) => *into = written,
    }
}

/// Where in a record stands what an operation writes: where it puts the body, if a mapping of such records reads there; else at the record's top.
pub fn place(mapping: &Mapping, wrap: &str) -> String {
    let within = |read: &String| read.strip_prefix(wrap).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if mapping.reads().iter().any(within) { wrap.to_owned() } else { String::new() }
}

/// Whether two paths of a mapped body meet: one of them is the other, or within it.
pub fn meet(one: &str, other: &str) -> bool {
    FieldPath::of(one).zip(FieldPath::of(other)).is_some_and(|(one, other)| one.conflicts_with(&other))
}

#[cfg(test)]
mod tests;
