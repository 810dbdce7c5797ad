//! A worker's process that is killed again and again while records change, until one is left alone and carries all to its end.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    time::{Duration, Instant},
};

use crosstie_vendors::wire::{Fault, FaultRule, Stats};
use futures::future::LocalBoxFuture;
use rand::{RngExt, rngs::StdRng};
use serde_json::json;

use crate::{
    clock::Clock,
    common::{Bench, process::Process, until},
    history::History,
};

/// Longest life of a process that makes no progress.
const LONGEST_LIFE: Duration = Duration::from_secs(20);
/// Half of a day and a bit: how far a clock leaps at once.
const HALF_A_DAY: u16 = 45_000;

/// How many records there are, and how many kills, unless the environment says otherwise.
pub fn sized(records: u32, kills: u32) -> (u32, u32) {
    (size("CROSSTIE_RECORDS", records), size("CROSSTIE_KILLS", kills))
}

/// A number that the environment may set.
pub fn size(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Has the destination fail at calls of a method: each fault at a share of them in percent.
pub async fn strike(bench: &Bench, method: &str, faults: &[(Fault, u8)], seed: u64) {
    for (place, (fault, percent)) in (0_u64..).zip(faults) {
        let rule = FaultRule::new(fault.clone()).method(method).percent(*percent, seed.wrapping_add(place));
        bench.books.add_fault(&rule).await.unwrap();
    }
}

/// That each of these faults struck: what never happened proves nothing.
pub fn assert_struck(stats: &Stats, faults: &[(Fault, u8)]) {
    for (fault, _) in faults {
        let times = stats.faults.get(fault.kind()).copied().unwrap_or(0);
        assert!(times > 0, "{fault:?} never struck: {:?}", stats.faults);
    }
}

/// What is tried.
pub struct Trial {
    bench: Bench,
    records: u32,
    kills: u32,
    random: StdRng,
    clock: Option<Clock>,
    /// Days that passed, where any do.
    days: Option<i64>,
}

/// What came of it. The last process still runs.
pub struct End {
    _process: Process,
    _clock: Option<Clock>,
    pub bench: Bench,
    pub history: History,
    /// What the destination received.
    pub stats: Stats,
    /// Requests that were under way when the process was killed.
    pub in_flight: u64,
}

impl Trial {
    pub fn of(bench: Bench, (records, kills): (u32, u32), random: StdRng) -> Self {
        Self { bench, records, kills, random, clock: None, days: None }
    }

    /// The process's clock runs faster than the machine's, so that it gives up soon what is never answered.
    pub fn hurrying(self) -> Self {
        Self { clock: Some(Clock::new()), ..self }
    }

    /// Now and then more than a day passes between two lives, so that the destination forgets its keys.
    pub fn through_days(self) -> Self {
        Self { days: Some(0), ..self.hurrying() }
    }

    /// Runs it. Records that are excused need not arrive.
    pub fn run<'a>(self, excused: impl Fn(&Bench) -> BTreeSet<u32> + 'a) -> LocalBoxFuture<'a, End> {
        Box::pin(self.carry_through(excused))
    }

    async fn carry_through(mut self, excused: impl Fn(&Bench) -> BTreeSet<u32>) -> End {
        let (mut history, mut in_flight) = (History::default(), 0);
        for number in 0..self.kills {
            history.change(&self.bench, self.records, &mut self.random).await;
            let mut process = self.start();
            self.let_it_work(number).await;
            let stats = self.bench.books.stats().await.unwrap();
            process.kill();
            in_flight += stats.in_flight;
            history.read(&self.bench).await;
            println!("kill {number}: {} booked, {} requests under way", stats.writes.distinct, stats.in_flight);
            if number % 3 == 1 {
                self.let_a_day_pass().await;
            }
        }
        history.change(&self.bench, self.records, &mut self.random).await;
        let process = self.start();
        let Self { bench, records, kills, clock, .. } = self;
        history.until_complete(&bench, records, || excused(&bench)).await;
        // It stays so: another poll, with its look-back, writes nothing.
        let polls = bench.shop.stats().await.unwrap().total_requests;
        until("the shop was read again", || async { bench.shop.stats().await.unwrap().total_requests > polls + 2 })
            .await;
        history.read(&bench).await;
        let stats = bench.books.stats().await.unwrap();
        let changes: u32 = history.newest.values().sum();
        println!("{records} records, {changes} changes, {kills} kills, {in_flight} requests under way at them");
        for line in &stats.requests {
            println!("{} {} {}: {}", line.method, line.route, line.status, line.count);
        }
        println!("faults: {:?}; writes: {} to {} keys", stats.faults, stats.writes.applied, stats.writes.distinct);
        End { _process: process, _clock: clock, bench, history, stats, in_flight }
    }

    fn start(&self) -> Process {
        let environment: Vec<(&str, OsString)> = self.clock.iter().flat_map(Clock::environment).collect();
        Process::start_with(&self.bench, &environment)
    }

    /// Each life is to carry its part, so that the last kill still meets work; but every fourth is killed some time after its start.
    async fn let_it_work(&mut self, number: u32) {
        let part = self.records / self.kills;
        let enough = u64::from(part * number + self.random.random_range(0..=part));
        let deadline = Instant::now() + LONGEST_LIFE;
        while number % 4 != 3
            && self.bench.books.stats().await.unwrap().writes.distinct < enough
            && Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(self.random.random_range(0..200))).await;
    }

    /// A day and an hour pass, for the process's clock and the destination's, where days are to pass.
    async fn let_a_day_pass(&mut self) {
        let Some((clock, days)) = self.clock.as_ref().zip(self.days.as_mut()) else { return };
        *days += 1;
        clock.leap(HALF_A_DAY);
        clock.leap(HALF_A_DAY);
        let offset = *days * 2 * i64::from(HALF_A_DAY) * 1000;
        self.bench.books.change_settings(&json!({"clockOffsetMillis": offset})).await.unwrap();
    }
}

impl End {
    /// That no state was applied twice, and none after a newer one.
    pub fn assert_once_and_in_order(&self) {
        let (twice, backwards) = self.history.faults();
        println!("lost 0, applied twice {}, out of order {}", twice.len(), backwards.len());
        assert_eq!((twice, backwards), (Vec::new(), Vec::new()));
        self.assert_all_was_seen();
    }

    /// What was not seen, or never happened, proves nothing.
    pub fn assert_all_was_seen(&self) {
        assert!(self.in_flight > 0, "no kill met a call under way");
        assert_eq!(self.history.writes(), self.stats.writes.applied, "some writes were not seen");
    }

    /// That each of these faults struck.
    pub fn assert_struck(&self, faults: &[(Fault, u8)]) {
        assert_struck(&self.stats, faults);
    }

    /// That keys were sent again, and no key with two bodies.
    pub fn assert_keys_told(&self) {
        println!("{} requests were answered as before", self.history.replays);
        assert!(self.history.replays > 0, "no key was sent again");
        assert_eq!(self.stats.with_status(422), 0, "a key came with another body");
    }

    /// That it was asked what is there.
    pub fn assert_looked_up(&self) {
        let looks = self.stats.requests.iter().filter(|count| count.method == "GET");
        assert!(looks.map(|count| count.count).sum::<u64>() > 0, "nothing was looked up");
    }
}
