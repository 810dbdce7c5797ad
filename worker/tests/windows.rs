//! Reading a source window by window, through the real worker and the simulator: order, ties, records that change or commit late, where to begin,
//! clocks that disagree, and a backfill that is stopped and killed. Pages by position are tried in the engine, because no simulated vendor has
//! a stream of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{
    Bench,
    process::{Process, random},
    until, until_report,
};
use crosstie_engine::plan::{Allowance, StartFrom, Trigger};
use crosstie_vendors::wire::{Fault, FaultRule, SeedRequest};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use serde_json::json;

const MEBIBYTE: u64 = 1024 * 1024;
/// Most memory that a worker may hold, in MiB, however many records there are.
const MOST_MEMORY: u64 = 64;
/// What the store's log may be, in bytes, and what is there without any record.
const LOG: u64 = 20 * MEBIBYTE;
/// What a record may leave behind once it is delivered: its place in the ledger, in bytes.
const LEFT_OF_A_RECORD: u64 = 512;

/// A bench whose pages hold so many records.
async fn paged(limit: u32) -> Bench {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].stream.query.insert("limit".into(), limit.to_string());
    bench.write_plan();
    bench
}

/// Makes each page of the shop take so long.
async fn slow_pages(bench: &Bench, millis: u64) {
    bench.shop.add_fault(&FaultRule::new(Fault::Slow { millis }).method("GET")).await.unwrap();
}

/// How many requests the shop answered.
async fn asked(bench: &Bench) -> u64 {
    bench.shop.stats().await.unwrap().total_requests
}

/// An order with a time of its own.
async fn order_of(bench: &Bench, id: u64, updated: Timestamp) {
    let order = json!({"id": id, "name": format!("#{id}"), "note": "late", "cancelled_at": null, "updated_at": updated.to_string(),
        "created_at": updated.to_string()});
    bench.shop.put_record("orders", &id.to_string(), &order).await.unwrap();
}

/// Waits until the shop was read twice more from beginning to end.
async fn until_read_again(bench: &Bench) {
    let before = asked(bench).await;
    until("the shop was read again", || async { asked(bench).await > before + 2 }).await;
}

async fn assert_each_booked_once(bench: &Bench, count: u64) {
    bench.until_booked(count).await;
    until_read_again(bench).await;
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.applied, writes.distinct, writes.updates), (count, count, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_not_ascending_is_read_whole() {
    let mut bench = paged(20).await;
    bench.plan.flows[0].stream.query.insert("order".into(), "updated_at desc".into());
    bench.write_plan();
    bench.seed(300).await;
    let worker = bench.start().await;
    assert_each_booked_once(&bench, 300).await;
    bench.order(301, "newest comes first").await;
    assert_each_booked_once(&bench, 301).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_the_same_time_on_many_pages_are_all_read() {
    let bench = paged(20).await;
    let start_time = "2026-01-01T00:00:00Z".parse().unwrap();
    let same = SeedRequest {
        resource: "orders".into(),
        count: 250,
        start_id: 1,
        start_time,
        step_millis: 0,
        seed: 7,
        lines: None,
    };
    bench.shop.seed(&same).await.unwrap();
    let worker = bench.start().await;
    assert_each_booked_once(&bench, 250).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_change_while_pages_are_read_arrive_as_they_are_last() {
    let (_, mut random) = random();
    for order in ["updated_at asc", "updated_at desc"] {
        let mut bench = paged(20).await;
        bench.plan.flows[0].stream.query.insert("order".into(), order.into());
        bench.write_plan();
        bench.seed(300).await;
        slow_pages(&bench, 30).await;
        let worker = bench.start().await;
        let mut changed = std::collections::BTreeMap::new();
        // While the fifteen pages of the first window are read, and a while longer.
        for number in 0..60_u32 {
            let id = random.random_range(1..=300_u64);
            let note = format!("change {number}");
            bench.shop.patch_record("orders", &id.to_string(), &json!({"note": note})).await.unwrap();
            changed.insert(id, note);
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        bench.until_booked(300).await;
        for (id, note) in &changed {
            until(&format!("order {id} is booked with its last note, read {order}"), || async {
                bench.booked(*id).await.is_some_and(|booked| booked["memo"] == note.as_str())
            })
            .await;
        }
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_commits_late_within_the_lookback_is_read() {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].stream.cursor.as_mut().unwrap().lookback_seconds = 60;
    bench.write_plan();
    bench.order(1, "in time").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    until_read_again(&bench).await;
    // Both appear now; the first with a time inside of what is read again, the other before it.
    order_of(&bench, 2, Timestamp::now() - SignedDuration::from_secs(40)).await;
    order_of(&bench, 3, Timestamp::now() - SignedDuration::from_mins(10)).await;
    assert_each_booked_once(&bench, 2).await;
    assert!(
        bench.booked(2).await.is_some() && bench.booked(3).await.is_none(),
        "the lookback is a promise with an end"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_begins_where_it_is_told_to() {
    let day = |day: u32| format!("2026-01-{day:02}T12:00:00Z").parse::<Timestamp>().unwrap();
    let cases =
        [(StartFrom::Beginning, vec![1, 2, 3, 4]), (StartFrom::Time(day(2)), vec![2, 3, 4]), (StartFrom::Now, vec![4])];
    for (start, expected) in cases {
        let mut bench = Bench::new().await;
        bench.plan.flows[0].start_from = start;
        bench.write_plan();
        for id in 1..=3 {
            order_of(&bench, id, day(u32::try_from(id).unwrap())).await;
        }
        let worker = bench.start().await;
        until_report(&worker, "the first read is over", |report| {
            report.flows.first().is_some_and(|flow| flow.last_sync_time.is_some())
        })
        .await;
        bench.order(4, "after the start").await;
        assert_each_booked_once(&bench, expected.len() as u64).await;
        let mut booked = Vec::new();
        for id in 1..=4 {
            booked.extend(bench.booked(id).await.map(|_| id));
        }
        assert_eq!(booked, expected, "{start:?}");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_whose_clock_is_hours_ahead_or_behind_loses_nothing() {
    for hours in [-3_i64, 3] {
        let mut bench = Bench::new().await;
        bench.plan.flows[0].start_from = StartFrom::Now;
        bench.write_plan();
        bench.shop.change_settings(&json!({"clockOffsetMillis": hours * 3_600_000})).await.unwrap();
        let worker = bench.start().await;
        until_report(&worker, "the first read is over", |report| {
            report.flows.first().is_some_and(|flow| flow.last_sync_time.is_some())
        })
        .await;
        for id in 1..=3 {
            bench.order(id, "x").await;
            bench.until_booked(id).await;
        }
        bench.shop.patch_record("orders", "1", &json!({"note": "y"})).await.unwrap();
        until(&format!("the change arrives, {hours} hours away"), || async {
            bench.booked(1).await.is_some_and(|booked| booked["memo"] == "y")
        })
        .await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_between_windows_loses_nothing() {
    let bench = Bench::new().await;
    bench.shop.change_settings(&json!({"clockOffsetMillis": 120_000})).await.unwrap();
    bench.order(1, "x").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    until_read_again(&bench).await;
    // The shop's clock falls two minutes back, less than is read again.
    bench.shop.change_settings(&json!({"clockOffsetMillis": 0})).await.unwrap();
    bench.order(2, "y").await;
    assert_each_booked_once(&bench, 2).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_that_is_stopped_and_killed_goes_on_where_it_was() {
    let records: u64 =
        std::env::var("CROSSTIE_BACKFILL").map_or(20_000, |text| text.parse().expect("a number of records"));
    let pages = records.div_ceil(250);
    let mut bench = paged(250).await;
    bench.plan.flows[0].triggers = vec![Trigger::EverySeconds(86_400)];
    bench.write_plan();
    bench.write_shares(Allowance { requests: 100_000, per_seconds: 1, concurrency: 32 });
    bench.seed(records).await;
    // Slow enough that each life ends within the backfill.
    slow_pages(&bench, if pages < 100 { 100 } else { 1 }).await;
    let lives = 6;
    let (began, mut memory) = (std::time::Instant::now(), 0);
    for life in 1..=lives {
        let process = Process::start(&bench);
        let until_page = pages * life / (lives + 1);
        common::until_within(Duration::from_mins(20), &format!("page {until_page} was read"), || async {
            asked(&bench).await >= until_page
        })
        .await;
        memory = memory.max(process.peak_memory().unwrap());
        if life % 2 == 0 {
            process.stop().await;
        } else {
            drop(process);
        }
        let booked = bench.books.stats().await.unwrap().writes.distinct;
        println!("life {life}: {} requests to the shop, {booked} of {records} booked", asked(&bench).await);
    }
    let last = Process::start(&bench);
    common::until_within(Duration::from_hours(1), "everything is booked", || async {
        bench.books.stats().await.unwrap().writes.distinct >= records
    })
    .await;
    memory = memory.max(last.peak_memory().unwrap());
    let files = ["store.db", "store.db-wal"].map(|name| std::fs::metadata(bench.state().join(name)));
    let size: u64 = files.into_iter().filter_map(Result::ok).map(|file| file.len()).sum();
    println!(
        "{records} records in {:.0?}; the worker held at most {memory} MiB; its store is {} MiB",
        began.elapsed(),
        size / MEBIBYTE
    );
    assert!(memory < MOST_MEMORY, "the worker held {memory} MiB");
    // Each record was three times as large as what of it is to be left.
    assert!(size < LOG + records * LEFT_OF_A_RECORD, "the store of {records} records is {size} bytes");
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.applied, writes.distinct, writes.keys_with_more_than_one_write.count), (records, records, 0));
    // One request asks for the source's time, and each end of a life may repeat a page.
    let asked = asked(&bench).await;
    assert!(asked <= pages + 2 * lives + 2, "{asked} requests for {pages} pages: it began again from the start");
}
