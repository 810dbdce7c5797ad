//! What the source was changed to, and what the destination was told, key by key.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crosstie_vendors::wire::{LogEntry, WriteKind};
use rand::{RngExt, rngs::StdRng};
use serde_json::json;

use crate::common::Bench;

/// How long nothing may arrive of what is missing.
const PATIENCE: Duration = Duration::from_mins(2);

/// What was changed, and what was written.
#[derive(Default)]
pub struct History {
    /// The newest state of each record that was changed.
    pub newest: BTreeMap<u32, u32>,
    /// The states that were applied, in the order in which they took effect, by their places in the order of all writes.
    applied: BTreeMap<u32, BTreeMap<u64, u32>>,
    /// Requests with a key that were answered as before.
    pub replays: u64,
    /// How far the destination's log was read.
    read: u64,
}

impl History {
    /// Changes some records at random.
    pub async fn change(&mut self, bench: &Bench, records: u32, random: &mut StdRng) {
        for _ in 0..random.random_range(0..6) {
            let id = random.random_range(1..=records);
            let state = self.newest.entry(id).or_default();
            *state += 1;
            bench.shop.patch_record("orders", &id.to_string(), &json!({"state": state.to_string()})).await.unwrap();
        }
    }

    /// Reads what was written meanwhile.
    pub async fn read(&mut self, bench: &Bench) {
        loop {
            let page = bench.books.log(self.read).await.unwrap();
            assert!(page.oldest_kept <= self.read + 1, "the destination's log lost entries");
            let Some(last) = page.entries.last() else { return };
            self.read = last.sequence;
            for entry in &page.entries {
                let written = written(entry);
                let is_well = (200..300).contains(&entry.status);
                self.replays += u64::from(written.is_empty() && is_well && entry.idempotency_key.is_some());
                for (commit, id, state) in written {
                    self.applied.entry(id).or_default().insert(commit, state);
                }
            }
        }
    }

    /// Records whose newest state is not there.
    fn missing(&self, records: u32) -> BTreeSet<u32> {
        let newest = |id| self.newest.get(&id).copied().unwrap_or(0);
        let is_there = |id: &u32| {
            let last = self.applied.get(id).and_then(BTreeMap::last_key_value);
            last.is_some_and(|(_, state)| *state == newest(*id))
        };
        (1..=records).filter(|id| !is_there(id)).collect()
    }

    /// Reads until the newest state of every record is there, but of those that are excused.
    pub async fn until_complete(&mut self, bench: &Bench, records: u32, excused: impl Fn() -> BTreeSet<u32>) {
        let (mut writes, mut deadline) = (0, Instant::now() + PATIENCE);
        loop {
            self.read(bench).await;
            let missing = &self.missing(records) - &excused();
            if missing.is_empty() {
                return;
            }
            if self.writes() > writes {
                (writes, deadline) = (self.writes(), Instant::now() + PATIENCE);
            }
            let some: Vec<&u32> = missing.iter().take(5).collect();
            assert!(Instant::now() < deadline, "{} records did not arrive, such as {some:?}", missing.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many writes took effect.
    pub fn writes(&self) -> u64 {
        self.applied.values().map(|states| states.len() as u64).sum()
    }

    /// Records of which a state was applied twice, and those that went back to an older one.
    pub fn faults(&self) -> (Vec<u32>, Vec<u32>) {
        let with = |fault: fn(u32, u32) -> bool| {
            let found = self.applied.iter().filter(|(_, states)| {
                let mut pairs = states.values().zip(states.values().skip(1));
                pairs.any(|(before, after)| fault(*before, *after))
            });
            found.map(|(id, _)| *id).collect()
        };
        (with(|before, after| before == after), with(|before, after| before > after))
    }
}

/// Commit, record and state of each write of a request that took effect. The state is what the record is named, or what the URL says.
fn written(entry: &LogEntry) -> Vec<(u64, u32, u32)> {
    let said = entry.path.rsplit_once("state=").and_then(|(_, rest)| rest.split('&').next());
    let one = |key: &str, name: Option<&str>, commit: u64| {
        let id: u32 = key.rsplit(['/', ':']).next()?.parse().ok()?;
        let state: u32 = name.or(said)?.parse().ok()?;
        Some((commit, id, state))
    };
    let is_there = |effect: WriteKind| matches!(effect, WriteKind::Created | WriteKind::Updated);
    let rows = entry.rows.iter().filter(|row| is_there(row.effect));
    let rows = rows.filter_map(|row| one(&row.key, row.name.as_deref(), row.commit));
    let alone = entry.effect.filter(|effect| is_there(*effect)).and_then(|_| {
        let (key, commit) = entry.key.as_ref().zip(entry.commit)?;
        one(key, entry.name.as_deref(), commit)
    });
    rows.chain(alone).collect()
}
