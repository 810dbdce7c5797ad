//! Look-ups in the source for mappings: single records, each read once however many ask for it at the same time, and remembered for a short
//! while within bounded memory. A source that fails is the system's fault: it counts for the source's circuit, and whoever asked waits.

use std::{sync::Arc, time::Duration};

use crosstie_connect::{CallFailure, FailureKind};
use crosstie_engine::{
    circuit::Admission,
    mapping::{Looked, Lookup},
    plan::Stream,
};
use jiff::{SignedDuration, Timestamp};
use moka::{Expiry, future::Cache};
use serde_json::Value;

use crate::{gate::Gate, lane::Lane};

/// Memory that remembered records take, in bytes of their JSON.
const MOST_BYTES: u64 = 8 * 1024 * 1024;
/// What a record that is not there counts for, and what each counts for beside its JSON.
const OVERHEAD_BYTES: usize = 256;
/// How long a record is remembered.
const LIFE: Duration = Duration::from_secs(30);
/// How long it is remembered that there is none. Shorter, because a record that refers to it makes it likely that it comes.
const LIFE_OF_ABSENCE: Duration = Duration::from_secs(5);
/// How long to wait after a failure that did not open the circuit, and while somebody else's probe is under way.
const PAUSE: SignedDuration = SignedDuration::from_secs(2);

/// Number of the version of the credentials that it was read with, stream, and key.
type Key = (u64, String, String);
type Found = Option<Arc<Remembered>>;

struct Remembered {
    record: Value,
    bytes: usize,
}

/// Why a look-up has no answer.
#[derive(Clone, Debug)]
pub enum Unanswered {
    /// The source is not well: ask again, not before this time.
    Wait(Timestamp),
    /// The source refuses that key, and nothing else is wrong: the fault of the record that asks.
    Refused(String),
}

/// The records that mappings looked up lately. Shared by the flows of one source.
pub struct LookUps {
    remembered: Cache<Key, Found>,
}

impl Default for LookUps {
    fn default() -> Self {
        let bytes = |(_, stream, key): &Key, found: &Found| {
            let record = found.as_ref().map_or(0, |found| found.bytes);
            u32::try_from(record + stream.len() + key.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        Self { remembered: Cache::builder().max_capacity(MOST_BYTES).weigher(bytes).expire_after(Lives).build() }
    }
}

impl LookUps {
    /// The record of a key, remembered or read now.
    pub async fn answer(&self, lane: &Lane, wanted: &Lookup) -> Result<Looked, Unanswered> {
        let Some(stream) = lane.flow.lookups.iter().find(|stream| stream.name == wanted.stream) else {
            let refused = format!("the plan does not say how single records of `{}` are read", wanted.stream);
            return Err(Unanswered::Refused(refused));
        };
        // Other credentials may be another account's, which has other records.
        let version = lane.source.credentials().in_turn();
        let key = (version, wanted.stream.clone(), wanted.key.clone());
        let read = read(lane, stream, &wanted.key);
        let entry = self.remembered.entry(key.clone()).or_try_insert_with(read).await;
        let entry = entry.map_err(|unanswered| (*unanswered).clone())?;
        if entry.is_fresh() && lane.source.credentials().in_turn() != version {
            // It was perhaps read with the others: they came meanwhile, or these were refused.
            self.remembered.invalidate(&key).await;
        }
        lane.metrics.looked_up(&wanted.stream, !entry.is_fresh());
        Ok(entry.into_value().map_or(Looked::Absent, |found| Looked::Found(found.record.clone())))
    }
}

struct Lives;

impl Expiry<Key, Found> for Lives {
    fn expire_after_create(&self, _: &Key, found: &Found, _: std::time::Instant) -> Option<Duration> {
        Some(if found.is_some() { LIFE } else { LIFE_OF_ABSENCE })
    }
}

/// A record of the lane's own stream, as its source shows it now; none when the source no longer has it.
pub async fn fetch(lane: &Lane, key: &str) -> Result<Option<Value>, Unanswered> {
    let stream = &lane.flow.stream;
    ask(lane, stream, lane.singles.read_one(stream, key)).await
}

async fn read(lane: &Lane, stream: &Stream, key: &str) -> Result<Found, Unanswered> {
    let record = ask(lane, stream, lane.singles.consult(stream, key)).await?;
    Ok(record.map(|record| Arc::new(Remembered { bytes: record.to_string().len(), record })))
}

async fn ask(
    lane: &Lane,
    stream: &Stream,
    reading: impl Future<Output = Result<Option<Value>, CallFailure>>,
) -> Result<Option<Value>, Unanswered> {
    let passage = Passage::through(lane, stream)?;
    match reading.await {
        Ok(record) => {
            passage.well();
            Ok(record)
        }
        Err(failure) if is_of_the_key(&failure) => {
            passage.well();
            Err(Unanswered::Refused(failure.detail))
        }
        Err(failure) => Err(Unanswered::Wait(passage.unwell(&failure))),
    }
}

/// Whether the vendor answered as it does to a key it does not like, such as letters where it counts; or with another record.
fn is_of_the_key(failure: &CallFailure) -> bool {
    failure.kind == FailureKind::Refused && matches!(failure.status, Some(200..=299 | 400 | 409 | 414 | 422))
}

/// A call that the gate of a stream's single records let pass. Given up halfway it says nothing of the source.
struct Passage<'a> {
    lane: &'a Lane,
    gate: &'a Gate,
    ended: bool,
}

impl<'a> Passage<'a> {
    /// Passes, or says until when to wait.
    fn through(lane: &'a Lane, stream: &Stream) -> Result<Self, Unanswered> {
        let (gate, now) = (lane.gates.singles.get(&stream.name), lane.now());
        let Some(gate) = gate else {
            return Err(Unanswered::Refused(format!(
                "the plan does not say how single records of `{}` are read",
                stream.name
            )));
        };
        match gate.admit(now) {
            Admission::Pass | Admission::Probe => Ok(Self { lane, gate, ended: false }),
            Admission::Wait(until) => Err(Unanswered::Wait(until.unwrap_or_else(|| later(now)))),
        }
    }

    fn well(mut self) {
        self.ended = true;
        self.gate.well();
    }

    /// Counts a failure, and says until when to wait.
    fn unwell(mut self, failure: &CallFailure) -> Timestamp {
        self.ended = true;
        let (flow, now) = (&self.lane.flow.name, self.lane.now());
        self.lane.metrics.call_failed(flow, failure.kind);
        let (_, opened) = self.gate.unwell(failure, now);
        if opened {
            let (kind, detail) = (failure.kind.as_str(), &failure.detail);
            tracing::warn!(flow, kind, detail, "records cannot be looked up at the source: those that need it wait");
        }
        later(now)
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.gate.undecided(self.lane.now());
        }
    }
}

fn later(now: Timestamp) -> Timestamp {
    now.checked_add(PAUSE).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
