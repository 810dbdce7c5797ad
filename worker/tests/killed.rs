//! The worker's process is killed at moments nobody chose, while the vendor fails and records change, and nothing is lost, nothing is applied
//! twice and nothing goes backwards. `CROSSTIE_KILLS` and `CROSSTIE_RECORDS` set the size; `make soak` runs the full one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use common::{
    Bench,
    hooks::Hooks,
    process::{Process, free_port, random},
    until,
};
use crosstie_engine::{
    plan::{Allowance, Brings, Trigger},
    template::Template,
};
use crosstie_vendors::wire::{Fault, FaultRule, LogEntry, Stats, WriteKind};
use rand::{RngExt, rngs::StdRng};
use serde_json::json;

/// How long everything may take to settle after the last kill.
const PATIENCE: Duration = Duration::from_mins(10);
/// Enough that calls which never get an answer leave room for others.
const SHARE: Allowance = Allowance { requests: 10_000, per_seconds: 1, concurrency: 128 };

/// Kinds of faults that strike in all of these tests.
const FAULTS: usize = 4;

fn size(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What the source was changed to, and what the books were told, key by key.
#[derive(Default)]
struct History {
    /// The newest state of each record that was changed.
    newest: BTreeMap<u32, u32>,
    /// The states that were applied, in the order in which they took effect.
    applied: BTreeMap<u32, Vec<u32>>,
    /// How far the books' log was read.
    read: u64,
}

impl History {
    /// Changes some records at random.
    async fn change(&mut self, bench: &Bench, records: u32, random: &mut StdRng) {
        for _ in 0..random.random_range(0..6) {
            let id = random.random_range(1..=records);
            let state = self.newest.entry(id).or_default();
            *state += 1;
            bench.shop.patch_record("orders", &id.to_string(), &json!({"state": state.to_string()})).await.unwrap();
        }
    }

    /// Reads what was written meanwhile.
    async fn read(&mut self, bench: &Bench) {
        loop {
            let page = bench.books.log(self.read).await.unwrap();
            assert!(page.oldest_kept <= self.read + 1, "the books' log lost entries");
            let Some(last) = page.entries.last() else { return };
            self.read = last.sequence;
            let mut writes: Vec<(u64, u32, u32)> = page.entries.iter().filter_map(write).collect();
            writes.sort_unstable();
            for (_, id, state) in writes {
                self.applied.entry(id).or_default().push(state);
            }
        }
    }

    /// Records whose newest state is not in the books.
    fn missing(&self, records: u32) -> Vec<u32> {
        let newest = |id| self.newest.get(&id).copied().unwrap_or(0);
        (1..=records)
            .filter(|&id| self.applied.get(&id).and_then(|states| states.last()) != Some(&newest(id)))
            .collect()
    }

    /// Reads until the newest state of every record is in the books.
    async fn until_complete(&mut self, bench: &Bench, records: u32) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read(bench).await;
            let missing = self.missing(records);
            if missing.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{} records did not arrive, such as {:?}",
                missing.len(),
                missing.first()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Records of which a state was applied twice, and those that went back to an older one.
    fn faults(&self) -> (Vec<u32>, Vec<u32>) {
        let with = |fault: fn(&[u32]) -> bool| {
            let found = self.applied.iter().filter(|(_, states)| states.windows(2).any(fault));
            found.map(|(id, _)| *id).collect()
        };
        (with(|pair| pair[0] == pair[1]), with(|pair| pair[0] > pair[1]))
    }
}

/// Commit, record and state of a write that took effect.
fn write(entry: &LogEntry) -> Option<(u64, u32, u32)> {
    entry.effect.filter(|effect| matches!(effect, WriteKind::Created | WriteKind::Updated))?;
    let id = entry.key.as_ref()?.rsplit('/').next()?.parse().ok()?;
    let state = entry.path.rsplit_once("state=")?.1.split('&').next()?;
    Some((entry.commit?, id, state.parse().ok()?))
}

/// A bench whose writes say in their URL which state of the record they carry, with a vendor that fails as vendors do.
async fn bench(records: u32, seed: u64) -> Bench {
    let mut bench = Bench::new().await;
    let flow = &mut bench.plan.flows[0];
    flow.triggers = vec![Trigger::EverySeconds(1)];
    flow.map.insert("memo".into(), "record.?state.orValue('0')".into());
    flow.operation.query.insert("state".into(), Template::parse("{body.memo}").unwrap());
    bench.write_plan();
    bench.write_shares(SHARE);
    bench.seed(records.into()).await;
    let faults: [(Fault, u8); FAULTS] = [
        (Fault::TimeoutAfterCommit {}, 10),
        (Fault::RateLimited { retry_after_seconds: Some(0.2) }, 1),
        (Fault::Status { code: 500, headers: BTreeMap::new(), body: json!({}) }, 1),
        (Fault::Slow { millis: 80 }, 20),
    ];
    for (place, (fault, percent)) in (0_u64..).zip(faults) {
        let rule = FaultRule::new(fault).method("PUT").percent(percent, seed.wrapping_add(place));
        bench.books.add_fault(&rule).await.unwrap();
    }
    bench
}

/// What never happened proves nothing.
fn assert_all_struck(stats: &Stats) {
    let struck = stats.faults.values().filter(|times| **times > 0).count();
    assert_eq!(struck, FAULTS, "not each kind of fault struck: {:?}", stats.faults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_failures_and_changes_nothing_is_lost_applied_twice_or_goes_backwards() {
    let (records, kills) = (size("CROSSTIE_RECORDS", 5000), size("CROSSTIE_KILLS", 20));
    let (seed, mut random) = random();
    let bench = bench(records, seed).await;
    let mut history = History::default();
    let mut in_flight = 0;
    for number in 0..kills {
        history.change(&bench, records, &mut random).await;
        let mut process = Process::start(&bench);
        // Each life is to carry its part, so that the last kill still meets work; but every fourth is killed some time after its start.
        let part = records / kills;
        let enough = u64::from(part * number + random.random_range(0..=part));
        let deadline = Instant::now() + Duration::from_secs(20);
        while number % 4 != 3
            && bench.books.stats().await.unwrap().writes.distinct < enough
            && Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
        let stats = bench.books.stats().await.unwrap();
        process.kill();
        in_flight += stats.in_flight;
        history.read(&bench).await;
        println!("kill {number}: {} booked, {} requests under way", stats.writes.distinct, stats.in_flight);
    }
    history.change(&bench, records, &mut random).await;
    let _last = Process::start(&bench);
    history.until_complete(&bench, records).await;
    // It stays so: another poll, with its look-back, writes nothing.
    let polls = bench.shop.stats().await.unwrap().total_requests;
    until("the shop was read again", || async { bench.shop.stats().await.unwrap().total_requests > polls + 2 }).await;
    history.read(&bench).await;
    let stats = bench.books.stats().await.unwrap();
    let changes: u32 = history.newest.values().sum();
    println!("{records} records, {changes} changes, {kills} kills, {in_flight} requests under way at them");
    println!("faults: {:?}; writes: {} to {} keys", stats.faults, stats.writes.applied, stats.writes.distinct);
    assert!(in_flight > 0, "no kill met a call under way");
    assert_all_struck(&stats);
    let (twice, backwards) = history.faults();
    println!("lost 0, applied twice {}, out of order {}", twice.len(), backwards.len());
    assert_eq!((twice, backwards), (Vec::new(), Vec::new()));
    assert_eq!(
        history.applied.values().map(Vec::len).sum::<usize>() as u64,
        stats.writes.applied,
        "some were not seen"
    );
}

/// Sends what changes by webhooks, in any order and more than once, until each is acknowledged.
struct Vendor {
    hooks: Hooks,
    /// The states that were acknowledged, key by key.
    acknowledged: BTreeMap<u32, u32>,
    sent: u64,
    refused: u64,
}

impl Vendor {
    /// Sends a state of a record. Vendors send again what is not acknowledged, so a receiver that is down loses nothing.
    async fn send(&mut self, id: u32, state: u32, record: &serde_json::Value) {
        let event = format!("{id}-{state}");
        loop {
            self.sent += 1;
            let answer = self.hooks.try_send("orders/updated", &event, record).await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                let newest = self.acknowledged.entry(id).or_default();
                *newest = state.max(*newest);
                return;
            }
            self.refused += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_what_webhooks_and_polls_bring_of_the_same_records_arrives_once_and_in_order() {
    webhooks_through_kills(1).await;
}

/// Nothing is read after the first states: what was acknowledged and is not there at the end is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_what_was_acknowledged_and_is_never_read_arrives_once_and_in_order() {
    webhooks_through_kills(24 * 3600).await;
}

/// Kills a worker again and again that reads the shop every so many seconds and receives what changes there.
async fn webhooks_through_kills(every: u32) {
    let (records, kills) = (size("CROSSTIE_WEBHOOKS", 500), size("CROSSTIE_WEBHOOK_KILLS", 10));
    let (seed, mut random) = random();
    let mut bench = bench(records, seed).await;
    bench.plan.receiver = Some(common::hooks::receiver());
    // States within the same instant are told apart by asking, as the vendor's own clock cannot.
    bench.plan.flows[0].stream.one = Some(common::one());
    bench.plan.flows[0].triggers = vec![Trigger::EverySeconds(every)];
    bench.plan.flows[0].events = vec![common::hooks::route("orders/*", Brings::Record(String::new()))];
    bench.write_plan();
    bench.write_secrets(&[("v1", "hush")]);
    let port = free_port();
    let mut vendor = Vendor {
        hooks: Hooks::to(([127, 0, 0, 1], port).into(), "hush"),
        acknowledged: BTreeMap::new(),
        sent: 0,
        refused: 0,
    };
    let mut history = History::default();
    let mut process = Some(Process::receiving(&bench, port, &[]));
    bench.until_booked(records.into()).await;
    let last = bench.shop.log(0).await.unwrap().entries.last().map_or(0, |entry| entry.sequence);
    let mut next_kill = 0;
    for number in 0..records {
        let id = random.random_range(1..=records);
        let state = history.newest.get(&id).copied().unwrap_or(0) + 1;
        history.newest.insert(id, state);
        bench.shop.patch_record("orders", &id.to_string(), &json!({"state": state.to_string()})).await.unwrap();
        let record = bench.shop.record("orders", &id.to_string()).await.unwrap().expect("it is there");
        if number * kills >= next_kill * records {
            next_kill += 1;
            // In the middle of a webhook as often as not.
            let mut killed = process.take().expect("it runs");
            let wait = Duration::from_millis(random.random_range(0..30));
            let kill = async {
                tokio::time::sleep(wait).await;
                killed.kill();
                Process::receiving(&bench, port, &[])
            };
            let ((), again) = tokio::join!(vendor.send(id, state, &record), kill);
            process = Some(again);
            history.read(&bench).await;
        } else {
            vendor.send(id, state, &record).await;
        }
        if random.random_bool(0.1) {
            vendor.send(id, state, &record).await;
        }
    }
    history.until_complete(&bench, records).await;
    let (twice, backwards) = history.faults();
    println!(
        "{records} webhooks of {} orders, sent {} times, {} times in vain; {kills} kills; applied twice {}, out of order {}",
        vendor.acknowledged.len(),
        vendor.sent,
        vendor.refused,
        twice.len(),
        backwards.len()
    );
    assert!(vendor.refused > 0, "no kill met a webhook");
    let lists = |entry: &&LogEntry| entry.path.contains("orders.json");
    let read = bench.shop.log(last).await.unwrap().entries.iter().filter(lists).count();
    assert_eq!(read > 0, every == 1, "the orders were read {read} times");
    assert_all_struck(&bench.books.stats().await.unwrap());
    assert_eq!((twice, backwards), (Vec::new(), Vec::new()));
}
