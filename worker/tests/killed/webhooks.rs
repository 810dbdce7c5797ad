//! Webhooks and polls bring the same records, or webhooks alone; the process is killed as it receives them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crosstie_engine::plan::{Brings, Trigger};
use crosstie_vendors::wire::LogEntry;
use rand::RngExt;
use serde_json::json;

use crate::{
    common::{
        self,
        hooks::Hooks,
        process::{Process, free_port, random},
    },
    history::History,
    looked_up::bench,
    rest::failures,
    trial::{assert_struck, size},
};

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
    history.until_complete(&bench, records, BTreeSet::new).await;
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
    assert_struck(&bench.books.stats().await.unwrap(), &failures());
    assert_eq!((twice, backwards), (Vec::new(), Vec::new()));
}
