//! The worker's process is killed on a disk that loses what was not synced, and each record still arrives exactly once. What an answer of the
//! store stands on is thereby synced before it: a page's cursor, an intent before its call, a settlement before the next step of its key.
//!
//! The disk is `lossy/disk.c`, loaded in front of libc; the debug build of the worker is dynamic, so that it can be. It needs a C compiler, like
//! the build of SQLite itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use common::{
    Bench,
    process::{Process, random},
    until,
};
use crosstie_engine::plan::Trigger;
use crosstie_vendors::wire::{Fault, FaultRule, WriteTotals};
use rand::{RngExt, rngs::StdRng};
use tempfile::TempDir;

const RECORDS: u64 = 1500;
const KILLS: u32 = 15;
/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk that keeps, of what was not synced before a kill, what chance lets it keep.
struct LossyDisk {
    folder: TempDir,
    state: PathBuf,
}

impl LossyDisk {
    fn new(state: PathBuf) -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap(), state };
        fs::create_dir(disk.shadow()).unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(disk.library())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lossy/disk.c"))
            .arg("-ldl")
            .status();
        assert!(compiled.expect("a C compiler named cc").success(), "disk.c does not compile");
        disk
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("disk.so")
    }

    fn shadow(&self) -> PathBuf {
        self.folder.path().join("synced")
    }

    fn environment(&self, lies: bool) -> Vec<(&'static str, OsString)> {
        let mut all = vec![
            ("LD_PRELOAD", self.library().into_os_string()),
            ("LOSSY_FOLDER", self.state.clone().into_os_string()),
            ("LOSSY_SHADOW", self.shadow().into_os_string()),
        ];
        all.extend(lies.then(|| ("LOSSY_LIES", "1".into())));
        all
    }

    /// What a power cut leaves: all that was synced, and of the rest each sector with this chance.
    fn cut(&self, chance: f64, random: &mut StdRng) {
        for name in self.names() {
            let (live, synced) = (self.state.join(&name), self.shadow().join(&name));
            // SQLite's index of the log is made anew after a crash, and the lock file holds nothing.
            if name.ends_with("-shm") {
                fs::remove_file(&live).unwrap();
                continue;
            }
            let written = fs::read(&live).unwrap_or_default();
            let mut left = fs::read(&synced).unwrap_or_default();
            let longer = random.random_bool(chance);
            if longer {
                left.resize(written.len(), 0);
            }
            for (place, sector) in (0..).step_by(SECTOR).zip(written.chunks(SECTOR)) {
                let room = left.len().saturating_sub(place).min(sector.len());
                if room > 0 && random.random_bool(chance) {
                    left[place..place + room].copy_from_slice(&sector[..room]);
                }
            }
            if left.is_empty() && !synced.exists() {
                fs::remove_file(&live).unwrap();
            } else {
                fs::write(&live, &left).unwrap();
                fs::write(&synced, &left).unwrap();
            }
        }
    }

    fn names(&self) -> BTreeSet<String> {
        let both = [self.shadow(), self.state.clone()];
        let entries = both.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "store.lock").collect()
    }
}

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
