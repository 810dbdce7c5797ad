//! The worker's process is killed at moments nobody chose, and each record still arrives exactly once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{Bench, until};
use crosstie_engine::plan::Trigger;
use crosstie_vendors::wire::{Fault, FaultRule};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const RECORDS: u64 = 5000;
const KILLS: u32 = 20;

struct Process(Child);

impl Process {
    fn start(bench: &Bench) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_crosstie-worker"))
            .arg("--no-report")
            .args(["--listen", "127.0.0.1:0", "--log-format", "text", "--log-filter", "error"])
            .arg("--files")
            .arg(bench.files())
            .arg("--state")
            .arg(bench.state())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// SIGKILL: nothing of the process runs any more.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_twenty_times_delivers_each_record_exactly_once() {
    let seed =
        std::env::var("CROSSTIE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("kill moments come from CROSSTIE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut bench = Bench::new().await;
    bench.plan.flows[0].triggers = vec![Trigger::EverySeconds(1)];
    bench.write_plan();
    bench.seed(RECORDS).await;
    // Some writes take a while, so that kills meet requests under way, and some take effect only after the process is gone.
    let slow = FaultRule::new(Fault::Slow { millis: 80 }).method("PUT").percent(30, seed);
    bench.books.add_fault(&slow).await.unwrap();
    let mut in_flight = 0;
    for number in 0..KILLS {
        let before = bench.books.stats().await.unwrap().writes.applied;
        let mut process = Process::start(&bench);
        // Killed some time after it began to write again, or, in every fourth round, some time after its start.
        if number % 4 != 3 {
            let deadline = Instant::now() + Duration::from_secs(20);
            while bench.books.stats().await.unwrap().writes.applied == before && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1000))).await;
        let stats = bench.books.stats().await.unwrap();
        process.kill();
        in_flight += stats.in_flight;
        println!("kill {number}: {} booked, {} requests under way", stats.writes.applied, stats.in_flight);
    }
    let _last = Process::start(&bench);
    let deadline = Instant::now() + Duration::from_mins(5);
    until_all_booked(&bench, deadline).await;
    let totals = bench.books.stats().await.unwrap().writes;
    println!("requests under way at kills: {in_flight}; totals: {totals:?}");
    assert_eq!((totals.distinct, totals.creates, totals.updates), (RECORDS, RECORDS, 0));
    assert_eq!(totals.keys_with_more_than_one_write.count, 0, "{:?}", totals.keys_with_more_than_one_write.keys);
    // It stays so: another poll, with its look-back, writes nothing.
    let polls = bench.shop.stats().await.unwrap().total_requests;
    until("the shop was read again", || async { bench.shop.stats().await.unwrap().total_requests > polls + 2 }).await;
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, RECORDS);
}

async fn until_all_booked(bench: &Bench, deadline: Instant) {
    loop {
        let distinct = bench.books.stats().await.unwrap().writes.distinct;
        if distinct == RECORDS {
            return;
        }
        assert!(Instant::now() < deadline, "{distinct} of {RECORDS} records arrived");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
