//! A store that is damaged, and a disk that is full: both are said, nothing is made anew, and nothing is lost or repeated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{fs, path::Path, time::Duration};

use common::{
    Bench,
    disk::LossyDisk,
    hooks::Hooks,
    names,
    process::{Process, free_port, random},
    until, until_report,
};
use crosstie_crds::{condition::Reason, sync_report::WorkerReport};
use crosstie_vendors::wire::{Fault, FaultRule};
use crosstie_worker::Worker;
use serde_json::json;

const PAGE: usize = 4096;
/// How long calls under way may take at a stop; one that stores nothing need not wait for them.
const PATIENCE_OF_STOPS: Duration = Duration::from_secs(20);

/// Overwrites a database from this page on, where it stands.
fn damage(path: &Path, first_page: usize) {
    let mut bytes = fs::read(path).unwrap();
    assert!(bytes.len() > (first_page + 1) * PAGE, "the database is too small to be damaged there");
    bytes[first_page * PAGE..].fill(0xAA);
    fs::write(path, bytes).unwrap();
}

async fn until_damage_is_said(worker: &Worker) -> WorkerReport {
    let report = until_report(worker, "the damage is said", |report| names(report, Reason::StoreFailed)).await;
    let problem = report.problems.iter().find(|problem| problem.reason == Reason::StoreFailed).unwrap();
    assert!(problem.message.starts_with("the state is damaged: restore the volume"), "{}", problem.message);
    report
}

/// So many orders in the shop, and books that strike writes with a fault.
async fn waiting(count: u64, fault: Fault) -> Bench {
    let bench = Bench::new().await;
    bench.books.add_fault(&FaultRule::new(fault).method("PUT")).await.unwrap();
    bench.seed(count).await;
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_damaged_before_the_start_is_said_and_left_as_it_is() {
    let away = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    let bench = waiting(300, away).await;
    let worker = bench.start().await;
    until_report(&worker, "orders wait", |report| report.flows.first().is_some_and(|flow| flow.queue_depth == 300))
        .await;
    worker.stop().await;
    let database = bench.state().join("store.db");
    for first_page in [0, 3] {
        let good = fs::read(&database).unwrap();
        damage(&database, first_page);
        let damaged = fs::read(&database).unwrap();
        let asked = bench.shop.stats().await.unwrap().total_requests;
        let worker = bench.start().await;
        until_damage_is_said(&worker).await;
        worker.stop().await;
        assert!(fs::read(&database).unwrap() == damaged, "what is damaged is evidence: nobody writes to it");
        assert_eq!(bench.shop.stats().await.unwrap().total_requests, asked, "nothing is read as if nothing were known");
        fs::write(&database, good).unwrap();
    }
    bench.books.clear_faults().await.unwrap();
    let worker = bench.start().await;
    bench.until_booked(300).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_the_middle_of_a_run_is_said_and_nothing_is_made_anew() {
    // As many as are read ahead, more than SQLite keeps in memory, and books so slow that most of them are still to be delivered.
    let bench = waiting(6_000, Fault::Slow { millis: 200 }).await;
    let worker = bench.start().await;
    until_report(&worker, "as many wait as are read ahead", |report| {
        report.flows.first().is_some_and(|flow| flow.queue_depth >= 4_000)
    })
    .await;
    // Folded into the database, so that the log does not cover what is damaged.
    worker.stop().await;
    let before = bench.books.stats().await.unwrap().writes.applied;
    let worker = bench.start().await;
    bench.until_booked(before + 20).await;
    let store = worker.report().await.store_id;
    damage(&bench.state().join("store.db"), 20);
    let report = until_damage_is_said(&worker).await;
    assert_eq!(report.store_id, store, "no other store took its place");
    // What can no longer be stored is not waited for.
    let stopped = tokio::time::timeout(PATIENCE_OF_STOPS, worker.stop()).await;
    assert!(stopped.is_ok(), "the stop waits for a store that takes nothing any more");
    let twice = bench.books.stats().await.unwrap().writes.keys_with_more_than_one_write;
    assert_eq!(twice.count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_waited_out_also_through_a_kill_and_nothing_is_lost_or_repeated() {
    const FULL: &str = "the state's volume is full";
    let bench = Bench::new().await;
    let disk = LossyDisk::new(bench.state());
    for id in 1..=5 {
        bench.order(id, "x").await;
    }
    let mut process = Process::start_with(&bench, &disk.environment(false));
    bench.until_booked(5).await;
    disk.set_full(true);
    for id in 6..=200 {
        bench.order(id, &"x".repeat(1000)).await;
    }
    bench.until_logged(FULL).await;
    process.kill();
    fs::remove_file(bench.log()).unwrap();
    let _process = Process::start_with(&bench, &disk.environment(false));
    bench.until_logged(FULL).await;
    let before = bench.books.stats().await.unwrap().writes.applied;
    disk.set_full(false);
    bench.until_booked(200).await;
    let writes = bench.books.stats().await.unwrap().writes;
    assert!(before < 200, "the disk was full too late");
    assert_eq!((writes.distinct, writes.creates, writes.applied), (200, 200, 200));
}

/// A vendor whose webhooks meet a full disk.
struct Flood {
    hooks: Hooks,
    /// The orders that were acknowledged.
    acknowledged: Vec<u64>,
    next: u64,
}

impl Flood {
    /// The status that an order is answered with; 0 for no answer.
    async fn send(&self, id: u64) -> u16 {
        let order = json!({"id": id, "name": format!("#{id}"), "note": "a", "cancelled_at": null, "updated_at": "2026-07-01T00:00:00Z"});
        let sent = self.hooks.try_send("orders/create", &id.to_string(), &order).await;
        sent.map_or(0, |answer| answer.status().as_u16())
    }

    /// Sends an order until it is acknowledged, as vendors do.
    async fn until_acknowledged(&mut self) {
        let id = self.next;
        until(&format!("order {id} is acknowledged"), || async { self.send(id).await == 200 }).await;
        self.acknowledged.push(id);
        self.next += 1;
    }

    /// Sends orders until one is refused because it cannot be stored.
    async fn until_full(&mut self) {
        for _ in 0..5000 {
            match self.send(self.next).await {
                200 => self.acknowledged.push(self.next),
                503 => return,
                // Whether it was stored nobody knows: it was not acknowledged.
                other => assert_eq!(other, 0),
            }
            self.next += 1;
        }
        panic!("the disk never was full");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_acknowledges_no_webhook_and_what_was_acknowledged_arrives_when_there_is_room_again() {
    // Read so seldom that whatever arrives was brought by a webhook.
    let bench = Bench::with_webhooks(100_000).await;
    let disk = LossyDisk::new(bench.state());
    let port = free_port();
    let mut process = Process::receiving(&bench, port, &disk.environment(false));
    let hooks = Hooks::to(([127, 0, 0, 1], port).into(), "hush");
    let mut flood = Flood { hooks, acknowledged: Vec::new(), next: 1 };
    // Nothing is delivered until there is room again: what arrives then was stored before.
    let down = FaultRule::new(Fault::Status { code: 503, headers: [].into(), body: json!({}) });
    bench.books.add_fault(&down).await.unwrap();
    flood.until_acknowledged().await;
    disk.set_full(true);
    flood.until_full().await;
    // The same process takes what it refused once there is room.
    disk.set_full(false);
    flood.until_acknowledged().await;
    disk.set_full(true);
    flood.until_full().await;
    process.kill();
    disk.cut(0.5, &mut random().1);
    disk.set_full(false);
    bench.books.clear_faults().await.unwrap();
    let _again = Process::receiving(&bench, free_port(), &disk.environment(false));
    // What was stored and not acknowledged may arrive too, and before the others.
    let acknowledged = &flood.acknowledged;
    until("what was acknowledged arrived", || async {
        for id in acknowledged {
            if bench.booked(*id).await.is_none() {
                return false;
            }
        }
        true
    })
    .await;
    for id in acknowledged {
        assert_eq!(bench.writes(*id).await, 1, "order {id}");
    }
}
