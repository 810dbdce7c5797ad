//! Several records in one call, through the real worker and the simulator's Salesforce: rows refused, calls refused whole, answers lost, and the
//! process killed. `CROSSTIE_KILLS` and `CROSSTIE_RECORDS` set the size of the last one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use common::{
    Bench, PATIENCE,
    org::BATCH,
    process::{Process, random},
    until, until_report,
};
use crosstie_vendors::wire::{Fault, FaultRule, LogEntry};
use rand::RngExt;
use serde_json::json;

fn status(code: u16) -> Fault {
    Fault::Status { code, headers: BTreeMap::new(), body: json!([{"errorCode": "NO", "message": "no"}]) }
}

/// Strikes writes that carry this record, in a batch or alone. No other record's number begins with it.
async fn strike(bench: &Bench, code: u16, record: u32) {
    let batch = FaultRule::new(status(code)).path_contains("composite");
    bench.books.add_fault(&batch.body_contains(&format!(r#""External_Id__c":"{record}""#))).await.unwrap();
    let alone = FaultRule::new(status(code)).method("PATCH");
    bench.books.add_fault(&alone.path_contains(&format!("External_Id__c/{record}"))).await.unwrap();
}

/// Writes in batches, and writes of single records, so far.
async fn calls(bench: &Bench) -> (usize, usize) {
    let entries = bench.books.log(0).await.unwrap().entries;
    let patches: Vec<_> = entries.iter().filter(|entry| entry.method == "PATCH").collect();
    let batches = patches.iter().filter(|entry| entry.path.starts_with(BATCH)).count();
    (batches, patches.len() - batches)
}

/// That each record was written once.
async fn assert_once(bench: &Bench, records: u64) {
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.applied, writes.distinct), (records, records));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_go_together_and_a_row_that_is_refused_is_set_aside_alone() {
    let bench = Bench::with_org(120, 50).await;
    let rows = Fault::RefuseRows { percent: 100, containing: Some(r#""External_Id__c":"120""#.into()), seed: 0 };
    bench.books.add_fault(&FaultRule::new(rows)).await.unwrap();
    // It is tried again when nothing else is there to share a call with.
    let alone = FaultRule::new(status(422)).method("PATCH").path_contains("External_Id__c/120");
    bench.books.add_fault(&alone).await.unwrap();
    let worker = bench.start().await;
    let report = until_report(&worker, "it is set aside, and the others are settled", |report| {
        report.flows.first().is_some_and(|flow| flow.dead_letters == 1 && flow.queue_depth == 0)
    })
    .await;
    assert_eq!(report.flows[0].delivered, 119);
    assert_once(&bench, 119).await;
    let letter = worker.letters().list(0, 10).await.unwrap().remove(0);
    assert_eq!((letter.key.as_str(), letter.attempts), ("120", 3));
    let (batches, alone) = calls(&bench).await;
    assert!(batches >= 3 && batches + alone <= 8, "{batches} calls of many and {alone} of one for 120 records");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_too_large_is_split_until_it_fits_and_counts_against_nobody() {
    let bench = Bench::with_org(60, 60).await;
    let too_large = FaultRule::new(status(413)).path_contains("composite").body_contains(r#""External_Id__c":"60""#);
    bench.books.add_fault(&too_large).await.unwrap();
    let worker = bench.start().await;
    bench.until_booked(60).await;
    let report = until_report(&worker, "all are settled", |report| {
        report.flows.first().is_some_and(|flow| flow.queue_depth == 0)
    })
    .await;
    assert_eq!((report.flows[0].delivered, report.flows[0].dead_letters), (60, 0));
    assert_once(&bench, 60).await;
    let (batches, alone) = calls(&bench).await;
    assert!(batches >= 6 && alone >= 1, "{batches} calls of many and {alone} of one");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_has_every_batch_refused_is_found_and_set_aside_and_the_others_arrive() {
    let bench = Bench::with_org(60, 60).await;
    strike(&bench, 422, 60).await;
    let worker = bench.start().await;
    let report = until_report(&worker, "it is set aside", |report| {
        report.flows.first().is_some_and(|flow| flow.dead_letters == 1)
    })
    .await;
    bench.until_booked(59).await;
    let report = if report.flows[0].queue_depth == 0 {
        report
    } else {
        until_report(&worker, "all are settled", |report| {
            report.flows.first().is_some_and(|flow| flow.queue_depth == 0)
        })
        .await
    };
    assert_eq!((report.flows[0].delivered, report.flows[0].dead_letters), (59, 1));
    let letter = worker.letters().list(0, 10).await.unwrap().remove(0);
    assert_eq!(
        (letter.key.as_str(), letter.status, letter.attempts),
        ("60", Some(422), 3),
        "only refusals alone count"
    );
    assert_once(&bench, 59).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_at_which_the_destination_fails_is_found_when_others_pass_meanwhile() {
    let bench = Bench::with_org(20, 20).await;
    strike(&bench, 500, 20).await;
    let worker = bench.start().await;
    let mut next = 1000;
    until("it is set aside, and the others arrive", || {
        next += 1;
        let (bench, worker) = (&bench, &worker);
        async move {
            bench.order(next, "passes").await;
            let report = worker.report().await;
            let dead = report.flows.first().is_some_and(|flow| flow.dead_letters == 1);
            dead && bench.books.record("Order__c", "eid:19").await.unwrap().is_some()
        }
    })
    .await;
    let letter = worker.letters().list(0, 1).await.unwrap().remove(0);
    assert_eq!((letter.key.as_str(), letter.status), ("20", Some(500)));
    let twice = bench.books.stats().await.unwrap().writes.keys_with_more_than_one_write;
    assert_eq!(twice.count, 0, "{:?}", twice.keys);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_whose_answer_never_came_are_looked_up_record_by_record_and_nothing_is_written_twice() {
    let mut bench = Bench::with_org(400, 20).await;
    bench.give_up_soon();
    let faults = [
        (Fault::TimeoutAfterCommit {}, 20),
        (Fault::ErrorAfterCommit { code: 500 }, 10),
        (Fault::TruncatedBody {}, 10),
        (Fault::DropConnection {}, 10),
        (Fault::RefuseRows { percent: 10, containing: None, seed: 3 }, 30),
    ];
    for (seed, (fault, percent)) in (0..).zip(faults) {
        bench.books.add_fault(&FaultRule::new(fault).method("PATCH").percent(percent, seed)).await.unwrap();
    }
    let worker = bench.start().await;
    bench.until_booked(400).await;
    until_report(&worker, "all are settled", |report| report.flows.first().is_some_and(|flow| flow.queue_depth == 0))
        .await;
    assert_once(&bench, 400).await;
    let totals = bench.books.stats().await.unwrap();
    assert!(totals.faults.len() > 3, "{:?}", totals.faults);
    worker.stop().await;
}

/// Commit, record and state of each write that a request caused.
fn written(entry: &LogEntry) -> Vec<(u64, u32, u32)> {
    let one = |key: &str, name: Option<&String>, commit: u64| {
        Some((commit, key.rsplit('/').next()?.parse().ok()?, name?.parse().ok()?))
    };
    let rows = entry.rows.iter().filter_map(|row| one(&row.key, row.name.as_ref(), row.commit));
    let alone = entry.key.as_ref().zip(entry.commit).and_then(|(key, commit)| one(key, entry.name.as_ref(), commit));
    rows.chain(alone).collect()
}

/// The states that were applied, in the order in which they took effect, by record.
async fn applied(bench: &Bench) -> BTreeMap<u32, Vec<u32>> {
    let (mut writes, mut read) = (Vec::new(), 0);
    loop {
        let page = bench.books.log(read).await.unwrap();
        assert!(page.oldest_kept <= read + 1, "the org's log lost entries");
        let Some(last) = page.entries.last() else { break };
        read = last.sequence;
        writes.extend(page.entries.iter().flat_map(written));
    }
    writes.sort_unstable();
    let mut applied: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (_, id, state) in writes {
        applied.entry(id).or_default().push(state);
    }
    applied
}

fn size(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_in_the_middle_of_batches_nothing_is_lost_applied_twice_or_goes_backwards() {
    let (records, kills) = (size("CROSSTIE_RECORDS", 1500), size("CROSSTIE_KILLS", 8));
    let (seed, mut random) = random();
    let bench = Bench::with_org(records.into(), 25).await;
    let faults = [
        (Fault::TimeoutAfterCommit {}, 10),
        (Fault::ErrorAfterCommit { code: 500 }, 3),
        (Fault::RefuseRows { percent: 5, containing: None, seed }, 10),
        (Fault::RateLimited { retry_after_seconds: Some(0.2) }, 1),
        (Fault::Slow { millis: 60 }, 40),
    ];
    for (place, (fault, percent)) in (0_u64..).zip(faults) {
        let rule = FaultRule::new(fault).method("PATCH").percent(percent, seed.wrapping_add(place));
        bench.books.add_fault(&rule).await.unwrap();
    }
    let mut newest: BTreeMap<u32, u32> = (1..=records).map(|id| (id, 0)).collect();
    let mut in_flight = 0;
    for number in 0..kills {
        for _ in 0..random.random_range(0..40) {
            let id = random.random_range(1..=records);
            let state = newest.get_mut(&id).unwrap();
            *state += 1;
            bench.shop.patch_record("orders", &id.to_string(), &json!({"state": state.to_string()})).await.unwrap();
        }
        let mut process = Process::start(&bench);
        let part = records / kills;
        let enough = u64::from(part * number + random.random_range(0..=part));
        let deadline = Instant::now() + Duration::from_secs(10);
        while bench.books.stats().await.unwrap().writes.distinct < enough && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..100))).await;
        in_flight += bench.books.stats().await.unwrap().in_flight;
        process.kill();
    }
    let struck = bench.books.stats().await.unwrap().faults;
    bench.books.clear_faults().await.unwrap();
    let _last = Process::start(&bench);
    let deadline = Instant::now() + 3 * PATIENCE;
    let applied = loop {
        let applied = applied(&bench).await;
        let arrived = |(id, state): (&u32, &u32)| applied.get(id).and_then(|states| states.last()) == Some(state);
        if newest.iter().all(arrived) {
            break applied;
        }
        let missing: BTreeSet<&u32> = newest.iter().filter(|pair| !arrived(*pair)).map(|(id, _)| id).collect();
        assert!(Instant::now() < deadline, "{} records did not arrive, such as {:?}", missing.len(), missing.first());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let with = |fault: fn(&[u32]) -> bool| -> Vec<u32> {
        applied.iter().filter(|(_, states)| states.windows(2).any(fault)).map(|(id, _)| *id).collect()
    };
    let (twice, backwards) = (with(|pair| pair[0] == pair[1]), with(|pair| pair[0] > pair[1]));
    println!("{records} records, {kills} kills, {in_flight} requests under way at them, faults {struck:?}");
    println!("lost 0, applied twice {}, out of order {}", twice.len(), backwards.len());
    assert_eq!((twice, backwards), (Vec::new(), Vec::new()));
    let writes = bench.books.stats().await.unwrap().writes.applied;
    assert_eq!(applied.values().map(Vec::len).sum::<usize>() as u64, writes, "some were not seen");
}
