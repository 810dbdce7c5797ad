//! The worker's process is killed on a disk that loses what was not synced, and each record still arrives exactly once. What an answer of the
//! store stands on is thereby synced before it: a page's cursor, an intent before its call, a settlement before the next step of its key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{
    Bench,
    disk::LossyDisk,
    process::{Process, random},
    until,
};
use crosstie_engine::plan::Trigger;
use crosstie_vendors::wire::{Fault, FaultRule, WriteTotals};
use rand::RngExt;

const RECORDS: u64 = 1500;
const KILLS: u32 = 15;

/// Carries all records through so many power cuts, and says what the books saw. A disk that lies is not expected to come to an end.
async fn carry_through_power_cuts(lies: bool) -> WriteTotals {
    let (seed, mut random) = random();
    let mut bench = Bench::new().await;
    bench.plan.flows[0].triggers = vec![Trigger::EverySeconds(1)];
    bench.write_plan();
    bench.seed(RECORDS).await;
    let slow = FaultRule::new(Fault::Slow { millis: 80 }).method("PUT").percent(30, seed);
    bench.books.add_fault(&slow).await.unwrap();
    let disk = LossyDisk::new(bench.state());
    let mut applied = 0;
    for number in 0..KILLS {
        let mut process = Process::start_with(&bench, &disk.environment(lies));
        // Every fourth is killed some time after its start, the others after they wrote again.
        let deadline = Instant::now() + Duration::from_secs(20);
        while number % 4 != 3
            && bench.books.stats().await.unwrap().writes.applied == applied
            && Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..600))).await;
        process.kill();
        // A disk that lies would soon hold no database any more, and the worker would say so and stop, which is right too.
        let chance = if lies { 0.0 } else { [0.0, 0.5, 0.9][random.random_range(0..3)] };
        disk.cut(chance, &mut random);
        let writes = bench.books.stats().await.unwrap().writes;
        applied = writes.applied;
        println!("cut {number}, of the rest {chance} kept: {} booked, {applied} writes", writes.distinct);
        if lies && writes.keys_with_more_than_one_write.count > 0 {
            return writes;
        }
    }
    let _last = Process::start_with(&bench, &disk.environment(lies));
    bench.until_booked(RECORDS).await;
    // It stays so: another poll, with its look-back, writes nothing.
    let polls = bench.shop.stats().await.unwrap().total_requests;
    until("the shop was read again", || async { bench.shop.stats().await.unwrap().total_requests > polls + 2 }).await;
    bench.books.stats().await.unwrap().writes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_synced_may_be_lost_and_each_record_still_arrives_exactly_once() {
    let writes = carry_through_power_cuts(false).await;
    assert_eq!((writes.distinct, writes.creates, writes.updates), (RECORDS, RECORDS, 0));
    assert_eq!(writes.keys_with_more_than_one_write.count, 0, "{:?}", writes.keys_with_more_than_one_write.keys);
}

/// The same as a worker that does not sync: the test above finds what such a one loses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_only_says_that_it_synced_is_found_out() {
    let writes = carry_through_power_cuts(true).await;
    assert!(writes.keys_with_more_than_one_write.count > 0, "nothing was written twice: the test above proves nothing");
}
