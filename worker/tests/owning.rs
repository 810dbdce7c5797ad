//! Fields that belong to the destination or are given once: what people enter in them stays, also where the process is killed between looking a record
//! up and settling its first write, alone or in a batch. `CROSSTIE_KILLS` and `CROSSTIE_RECORDS` set the size of the last ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use common::{
    Bench, PATIENCE,
    process::{Process, random},
    until, until_report, until_within,
};
use crosstie_crds::sync_report::WorkerReport;
use crosstie_engine::plan::{Allowance, Ownership};
use crosstie_vendors::wire::{Fault, FaultRule};
use rand::RngExt;
use serde_json::{Value, json};

/// Enough that calls which never get an answer leave room for others.
const SHARE: Allowance = Allowance { requests: 10_000, per_seconds: 1, concurrency: 64 };

fn paths(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

/// The memo is given once, the other reference number belongs to the books.
async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    bench.plan.flows[0].operation.ownership =
        Ownership { destination_owned: paths(&["otherRefNum"]), create_only: paths(&["memo"]) };
    bench.plan.flows[0].map.insert("shipMethod".into(), "record.?ship.orValue('post')".into());
    bench.plan.format_version = bench.plan.format();
    assert_eq!(bench.plan.format_version, 5);
    bench.write_plan();
    bench
}

/// A person changes a sales order in the books.
async fn edited(bench: &Bench, id: u64, change: Value) {
    bench.books.patch_record("salesOrder", &format!("eid:{id}"), &change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_entered_in_owned_fields_stays_whatever_the_source_makes_of_them() {
    let bench = bench().await;
    bench.order(1, "first").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("first"), &json!("#1")), "a create carries all");
    edited(&bench, 1, json!({"memo": "by hand", "otherRefNum": "PO-9"})).await;
    bench.shop.patch_record("orders", "1", &json!({"note": "second", "name": "#1b", "ship": "courier"})).await.unwrap();
    until("the change arrived", || async { bench.booked(1).await.unwrap()["shipMethod"] == "courier" }).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("by hand"), &json!("PO-9")));
    until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!(bench.writes(1).await, 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_there_before_keeps_what_is_the_destinations() {
    let bench = bench().await;
    bench.order(1, "first").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    worker.stop().await;
    edited(&bench, 1, json!({"memo": "by hand", "otherRefNum": "PO-9", "shipMethod": "none"})).await;
    // A worker that knows nothing of what was written before.
    std::fs::remove_dir_all(bench.state()).unwrap();
    let worker = bench.start().await;
    until("it is written over", || async { bench.booked(1).await.unwrap()["shipMethod"] == "post" }).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("by hand"), &json!("PO-9")));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_whose_answer_never_came_is_settled_though_people_changed_what_is_theirs() {
    let bench = bench().await;
    let lost = FaultRule::new(Fault::ErrorAfterCommit { code: 500 }).method("PUT").times(1);
    bench.books.add_fault(&lost).await.unwrap();
    // Nothing tells what became of it before a person changed it.
    let down = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    bench.order(1, "first").await;
    let worker = bench.start().await;
    bench.until_booked(1).await;
    let down = bench.books.add_fault(&FaultRule::new(down).method("GET")).await.unwrap();
    edited(&bench, 1, json!({"memo": "by hand", "otherRefNum": "PO-9"})).await;
    bench.books.remove_fault(down).await.unwrap();
    until_report(&worker, "it is settled", |report| report.flows[0].delivered == 1).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("by hand"), &json!("PO-9")));
    assert_eq!(bench.writes(1).await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_a_record_is_there_is_asked_again_when_the_destination_does_not_say() {
    let bench = bench().await;
    let down = Fault::Status { code: 503, headers: [].into(), body: json!({}) };
    let down = bench.books.add_fault(&FaultRule::new(down).method("GET")).await.unwrap();
    bench.order(1, "first").await;
    let worker = bench.start().await;
    until_report(&worker, "it waits", |report| report.flows.first().is_some_and(|flow| flow.queue_depth == 1)).await;
    until("it was asked", || async { bench.books.stats().await.unwrap().total_requests > 1 }).await;
    assert!(bench.booked(1).await.is_none(), "nothing is written that could overwrite something");
    bench.books.remove_fault(down).await.unwrap();
    bench.until_booked(1).await;
    let report = until_report(&worker, "nothing waits", |report| report.flows[0].queue_depth == 0).await;
    assert_eq!((report.flows[0].dead_letters, bench.writes(1).await), (0, 1));
    worker.stop().await;
}

/// A sales order that people entered themselves.
async fn entered(bench: &Bench, id: u64) {
    let order = json!({"externalId": id.to_string(), "entity": {"id": "1"}, "memo": "by hand", "otherRefNum": "PO-9", "shipMethod": "none"});
    bench.books.put_record("salesOrder", &(5_000 + id).to_string(), &order).await.unwrap();
}

/// Whether so many records were delivered, and none waits.
fn settled(report: &WorkerReport, records: i64) -> bool {
    report.flows.first().is_some_and(|flow| (flow.delivered, flow.queue_depth) == (records, 0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_write_over_what_people_entered_is_killed_before_it_is_settled_and_leaves_what_is_theirs() {
    let bench = bench().await;
    entered(&bench, 1).await;
    bench.order(1, "first").await;
    let lost = FaultRule::new(Fault::TimeoutAfterCommit {}).method("PUT");
    bench.books.add_fault(&lost).await.unwrap();
    let mut process = Process::start(&bench);
    until("it is written over", || async { bench.booked(1).await.unwrap()["shipMethod"] == "post" }).await;
    process.kill();
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("by hand"), &json!("PO-9")));
    edited(&bench, 1, json!({"memo": "again", "otherRefNum": "PO-10"})).await;
    bench.books.clear_faults().await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "it is settled", |report| settled(report, 1)).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("again"), &json!("PO-10")));
    assert_eq!(bench.writes(1).await, 1, "what it wrote proves the write");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_is_killed_before_it_is_settled_and_what_people_changed_since_stays() {
    let bench = bench().await;
    bench.order(1, "first").await;
    bench.books.add_fault(&FaultRule::new(Fault::TimeoutAfterCommit {}).method("PUT")).await.unwrap();
    let mut process = Process::start(&bench);
    bench.until_booked(1).await;
    process.kill();
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("first"), &json!("#1")), "a create carries all");
    edited(&bench, 1, json!({"memo": "by hand", "otherRefNum": "PO-9"})).await;
    bench.books.clear_faults().await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "it is settled", |report| settled(report, 1)).await;
    bench.shop.patch_record("orders", "1", &json!({"note": "second", "name": "#1b", "ship": "courier"})).await.unwrap();
    until("the change arrived", || async { bench.booked(1).await.unwrap()["shipMethod"] == "courier" }).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("by hand"), &json!("PO-9")));
    assert_eq!(bench.writes(1).await, 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_never_arrived_is_not_sent_over_what_people_entered_after_the_kill() {
    let bench = bench().await;
    bench.order(1, "first").await;
    bench.books.add_fault(&FaultRule::new(Fault::DropConnection {}).method("PUT")).await.unwrap();
    let mut process = Process::start(&bench);
    until("the create was sent", || async {
        bench.books.stats().await.unwrap().faults.get("dropConnection").is_some_and(|struck| *struck > 0)
    })
    .await;
    process.kill();
    // Looked up as not there, and stored to be sent with all its fields.
    entered(&bench, 1).await;
    bench.books.clear_faults().await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "it is settled", |report| settled(report, 1)).await;
    let booked = bench.booked(1).await.unwrap();
    assert_eq!(booked["shipMethod"], "post", "what is ours is written");
    assert_eq!((&booked["memo"], &booked["otherRefNum"]), (&json!("by hand"), &json!("PO-9")));
    assert_eq!(bench.writes(1).await, 1);
    worker.stop().await;
}

/// So many orders that go to an org in one call, whose region belongs to it. Every second one was there before.
async fn org(records: u64, batch_size: u32) -> Bench {
    let mut bench = Bench::with_org(records, batch_size).await;
    let flow = &mut bench.plan.flows[0];
    flow.map.insert("Region__c".into(), "record.name".into());
    flow.operation.ownership = Ownership { destination_owned: paths(&["Region__c"]), create_only: Vec::new() };
    bench.plan.format_version = bench.plan.format();
    bench.write_plan();
    bench.write_shares(SHARE);
    for id in (1..=records).step_by(2) {
        ORG.enter(&bench, id).await;
    }
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_leaves_what_is_the_destinations_row_by_row_also_through_a_kill_and_what_people_change_meanwhile() {
    let bench = org(10, 10).await;
    let lost = FaultRule::new(Fault::TimeoutAfterCommit {}).method("PATCH");
    bench.books.add_fault(&lost).await.unwrap();
    let mut process = Process::start(&bench);
    bench.until_booked(10).await;
    process.kill();
    let region = async |id: u64| ORG.found(&bench, id).await.unwrap()["Region__c"].clone();
    for id in 1..=10 {
        let order = bench.shop.record("orders", &id.to_string()).await.unwrap().unwrap();
        let expected = if id % 2 == 1 { json!(before(id)) } else { order["name"].clone() };
        assert_eq!(region(id).await, expected, "order {id}");
    }
    for id in 1..=10 {
        ORG.edit(&bench, id, "by hand").await;
    }
    bench.books.clear_faults().await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "all are settled", |report| settled(report, 10)).await;
    for id in 1..=10 {
        assert_eq!(region(id).await, "by hand", "order {id}");
    }
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.applied, writes.distinct), (10, 10), "what they wrote proves the writes");
    worker.stop().await;
}

/// Where orders go, and what of them belongs to whom.
struct Ground {
    resource: &'static str,
    method: &'static str,
    /// The field that is the destination's.
    owned: &'static str,
    /// The field that is ours, and what it is of an order that never changed.
    ours: (&'static str, &'static str),
}

const BOOKS: Ground =
    Ground { resource: "salesOrder", method: "PUT", owned: "otherRefNum", ours: ("shipMethod", "post") };
const ORG: Ground = Ground { resource: "Order__c", method: "PATCH", owned: "Region__c", ours: ("Name", "0") };

/// What people entered in what is theirs before the worker wrote anything.
fn before(id: u64) -> String {
    format!("before {id}")
}

impl Ground {
    async fn found(&self, bench: &Bench, id: u64) -> Option<Value> {
        bench.books.record(self.resource, &format!("eid:{id}")).await.unwrap()
    }

    /// People enter an order themselves.
    async fn enter(&self, bench: &Bench, id: u64) {
        let (place, mut order) = match self.resource {
            "salesOrder" => (format!("{}", 50_000 + id), json!({"externalId": id.to_string(), "entity": {"id": "1"}})),
            _ => (format!("a01{id:012}AAA"), json!({"External_Id__c": id.to_string()})),
        };
        (order[self.owned], order[self.ours.0]) = (json!(before(id)), json!("none"));
        bench.books.put_record(self.resource, &place, &order).await.unwrap();
    }

    /// People change what is theirs.
    async fn edit(&self, bench: &Bench, id: u64, text: &str) {
        let mut change = json!({});
        change[self.owned] = json!(text);
        bench.books.patch_record(self.resource, &format!("eid:{id}"), &change).await.unwrap();
    }

    async fn fail(&self, bench: &Bench, seed: u64) {
        let faults = [
            (Fault::TimeoutAfterCommit {}, 8),
            (Fault::DropConnection {}, 8),
            (Fault::ErrorAfterCommit { code: 500 }, 4),
            (Fault::Slow { millis: 60 }, 40),
        ];
        for (place, (fault, percent)) in (0_u64..).zip(faults) {
            let rule = FaultRule::new(fault).method(self.method).percent(percent, seed.wrapping_add(place));
            bench.books.add_fault(&rule).await.unwrap();
        }
    }
}

fn size(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// How many orders there are. Every second one was there before.
fn records() -> u64 {
    size("CROSSTIE_RECORDS", 300)
}

/// Orders change, people change what is theirs of those that they see, and the process is killed again and again. In the end every order is as the
/// source has it last, and what people entered is there.
async fn through_kills(bench: &Bench, ground: &Ground) {
    let (records, kills) = (records(), size("CROSSTIE_KILLS", 6));
    let (seed, mut random) = random();
    ground.fail(bench, seed).await;
    let mut newest: BTreeMap<u64, String> = (1..=records).map(|id| (id, ground.ours.1.to_owned())).collect();
    let (mut edited, mut in_flight) = (BTreeSet::new(), 0);
    for number in 0..kills {
        for change in 0..random.random_range(0..30) {
            let (id, state) = (random.random_range(1..=records), format!("{number}-{change}"));
            bench.shop.patch_record("orders", &id.to_string(), &json!({"ship": state, "state": state})).await.unwrap();
            newest.insert(id, state);
        }
        let mut process = Process::start(bench);
        let enough = records * number / kills + random.random_range(0..=records / kills);
        let deadline = Instant::now() + Duration::from_secs(10);
        while bench.books.stats().await.unwrap().writes.distinct < enough && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for id in 1..=records {
            if !edited.contains(&id) && random.random_bool(0.4) && ground.found(bench, id).await.is_some() {
                ground.edit(bench, id, &format!("by hand {id}")).await;
                edited.insert(id);
            }
        }
        in_flight += bench.books.stats().await.unwrap().in_flight;
        process.kill();
    }
    let struck = bench.books.stats().await.unwrap().faults;
    bench.books.clear_faults().await.unwrap();
    let _last = Process::start(bench);
    until_within(3 * PATIENCE, "the newest state of every order arrived", || async {
        for (id, state) in &newest {
            if ground.found(bench, *id).await.is_none_or(|order| order[ground.ours.0] != **state) {
                return false;
            }
        }
        true
    })
    .await;
    println!("{records} orders, {kills} kills, {in_flight} requests under way at them, faults {struck:?}");
    for id in 1..=records {
        let order = bench.shop.record("orders", &id.to_string()).await.unwrap().unwrap();
        let expected = match (edited.contains(&id), id % 2 == 1) {
            (true, _) => json!(format!("by hand {id}")),
            (false, true) => json!(before(id)),
            (false, false) => order["name"].clone(),
        };
        assert_eq!(ground.found(bench, id).await.unwrap()[ground.owned], expected, "order {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_and_failures_no_write_reaches_what_is_the_destinations() {
    let bench = bench().await;
    bench.write_shares(SHARE);
    bench.seed(records()).await;
    for id in (1..=records()).step_by(2) {
        BOOKS.enter(&bench, id).await;
    }
    through_kills(&bench, &BOOKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_and_failures_no_batch_reaches_what_is_the_destinations() {
    let bench = org(records(), 25).await;
    through_kills(&bench, &ORG).await;
}
