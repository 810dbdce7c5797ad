//! Two flows that carry the same records to and fro: what one wrote is no change to the other, what people change arrives, and no record is made
//! twice. What was written is counted at the simulator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::{Bench, PLENTY, process::Process, process::random, until, until_report};
use crosstie_crds::{Connector, Integration};
use crosstie_engine::{
    compile::{self, Settings},
    plan::{RetryPolicy, Trigger},
};
use crosstie_vendors::{
    control::Client,
    wire::{Fault, FaultRule, WriteTotals},
};
use crosstie_worker::Worker;
use rand::RngExt;
use serde_json::{Value, json};

fn connector(name: &str, client: &Client) -> Connector {
    let spec = json!({"preset": "HubSpot", "baseURL": client.base_url(), "credentials": {"secretRef": {"name": "x"}}});
    let document = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    });
    serde_json::from_value(document).unwrap()
}

/// Deals, to and fro. On the way the name loses its small letters; the stage is known on the right alone until it says so.
fn deals() -> Integration {
    let flow = |name: &str, direction: &str, back: &str, dealname: &str| {
        json!({
            "name": name, "direction": direction, "triggers": [{"everySeconds": 60}], "stream": "deals",
            "startFrom": "Beginning",
            "pair": {"flow": back, "key": "record.properties.?external_id.orValue(null)"},
            "when": "record.properties.?pipeline.orValue('') != 'withdrawn'", "onWhenFalse": "Delete",
            "map": {
                "external_id": "record.id", "dealname": dealname, "amount": "record.properties.?amount",
            },
            "write": {"operation": "upsertDeal", "deleteOperation": "archiveDeal"},
        })
    };
    let mut back = flow("deals-back", "Reverse", "deals", "record.properties.dealname");
    back["map"]["dealstage"] = json!("record.properties.?dealstage");
    let document = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Integration", "metadata": {"name": "deals", "namespace": "shop"},
        "spec": {
            "source": {"connectorRef": {"name": "left"}}, "destination": {"connectorRef": {"name": "right"}},
            "flows": [flow("deals", "Forward", "deals-back", "upper(record.properties.dealname)"), back],
        },
    });
    serde_json::from_value(document).unwrap()
}

/// Two accounts that share deals; `shop` is the left one, `books` the right one.
async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    bench.give_up_soon();
    bench.shop = bench.simulator.control("hubspot", "left").unwrap();
    bench.books = bench.simulator.control("hubspot", "right").unwrap();
    for client in [&bench.shop, &bench.books] {
        client.set_tokens(&["token-1"]).await.unwrap();
        client.change_settings(&json!({"rateLimit": null, "concurrencyLimit": null})).await.unwrap();
    }
    let (left, right) = (connector("left", &bench.shop), connector("right", &bench.books));
    let settings = Settings { allow_cidrs: vec!["127.0.0.0/8".into()] };
    let compiled = compile::integration(&deals(), &left, &right, &settings);
    assert_eq!(compiled.findings, []);
    bench.plan = compiled.value.unwrap();
    for flow in &mut bench.plan.flows {
        flow.triggers = vec![Trigger::EverySeconds(1)];
        for operation in [Some(&mut flow.operation), flow.delete_operation.as_mut()].into_iter().flatten() {
            let find = operation.find.as_mut().map(|find| &mut find.lookup);
            for lookup in [operation.outcome.lookup.as_mut(), find].into_iter().flatten() {
                lookup.settle_seconds = 1;
            }
        }
    }
    bench.plan.retry = RetryPolicy { retries: 3, initial_seconds: 1, factor: 1, max_seconds: 1 };
    bench.write_plan();
    bench.write_shares(PLENTY);
    for (end, connector) in [("source", "left"), ("destination", "right")] {
        bench.write_credentials(end, connector, ("v1", "token-1"), None);
    }
    bench
}

async fn writes(client: &Client) -> WriteTotals {
    client.stats().await.unwrap().writes
}

/// Creates, updates and deletes.
async fn counts(client: &Client) -> (u64, u64, u64) {
    let writes = writes(client).await;
    (writes.creates, writes.updates, writes.deletes)
}

async fn all(client: &Client) -> Vec<Value> {
    client.records("deals", 0, 1000).await.unwrap().items
}

async fn put(client: &Client, id: &str, properties: Value) {
    client.put_record("deals", id, &json!({"properties": properties})).await.unwrap();
}

async fn edit(client: &Client, id: &str, properties: Value) {
    client.patch_record("deals", id, &json!({"properties": properties})).await.unwrap();
}

async fn property(client: &Client, id: &str, name: &str) -> Value {
    client.record("deals", id).await.unwrap().unwrap()["properties"][name].clone()
}

/// The deal of an account that has one.
async fn only(client: &Client) -> Value {
    let mut deals = all(client).await;
    assert_eq!(deals.len(), 1, "{deals:?}");
    deals.remove(0)
}

fn id(deal: &Value) -> String {
    deal["id"].as_str().unwrap().to_owned()
}

/// Waits until both flows have settled so many states, and nothing waits.
async fn settled(worker: &Worker, forward: i64, reverse: i64) {
    until_report(worker, &format!("{forward} and {reverse} are settled"), |report| {
        let done = |flow: usize| {
            report.flows.get(flow).map(|flow| (flow.delivered + flow.unchanged, flow.queue_depth, flow.dead_letters))
        };
        done(0) == Some((forward, 0, 0)) && done(1) == Some((reverse, 0, 0))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_either_end_is_written_once_to_the_other_and_never_back() {
    let bench = bench().await;
    put(&bench.shop, "1", json!({"dealname": "Spring", "amount": "10"})).await;
    let worker = bench.start().await;
    settled(&worker, 1, 1).await;
    let right = id(&only(&bench.books).await);
    assert_eq!((counts(&bench.books).await, counts(&bench.shop).await), ((1, 0, 0), (0, 0, 0)));
    edit(&bench.shop, "1", json!({"dealname": "Summer"})).await;
    settled(&worker, 2, 2).await;
    assert_eq!(property(&bench.books, &right, "dealname").await, "SUMMER");
    assert_eq!((counts(&bench.books).await, counts(&bench.shop).await), ((1, 1, 0), (0, 0, 0)));
    // Of what changed on the right only that goes to the left: the name there keeps its small letters.
    edit(&bench.books, &right, json!({"amount": "12", "dealstage": "won"})).await;
    settled(&worker, 3, 3).await;
    let left = only(&bench.shop).await["properties"].clone();
    assert_eq!(
        [&left["dealname"], &left["amount"], &left["dealstage"]],
        [&json!("Summer"), &json!("12"), &json!("won")]
    );
    assert_eq!((counts(&bench.books).await, counts(&bench.shop).await), ((1, 1, 0), (0, 1, 0)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_made_at_the_destination_is_made_once_at_the_source_and_changed_from_there() {
    let bench = bench().await;
    put(&bench.books, "7", json!({"dealname": "Autumn", "amount": "5"})).await;
    let worker = bench.start().await;
    settled(&worker, 1, 1).await;
    let left = only(&bench.shop).await;
    assert_eq!((&left["properties"]["external_id"], &left["properties"]["dealname"]), (&json!("7"), &json!("Autumn")));
    assert_eq!((counts(&bench.books).await, counts(&bench.shop).await), ((0, 0, 0), (1, 0, 0)));
    edit(&bench.shop, &id(&left), json!({"amount": "6"})).await;
    settled(&worker, 2, 2).await;
    let right = only(&bench.books).await["properties"].clone();
    assert_eq!((&right["amount"], &right["dealname"]), (&json!("6"), &json!("Autumn")));
    assert_eq!((counts(&bench.books).await, counts(&bench.shop).await), ((0, 1, 0), (1, 0, 0)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_both_ends_were_changed_forward_wins_and_it_is_said() {
    let bench = bench().await;
    put(&bench.shop, "1", json!({"dealname": "Spring", "amount": "10"})).await;
    let worker = bench.start().await;
    settled(&worker, 1, 1).await;
    worker.stop().await;
    let right = id(&only(&bench.books).await);
    edit(&bench.books, &right, json!({"amount": "right", "dealstage": "won"})).await;
    edit(&bench.shop, "1", json!({"amount": "left"})).await;
    let worker = bench.start().await;
    until("the pair is equal", || async {
        let (left, right) = (only(&bench.shop).await, only(&bench.books).await);
        let both = |name: &str, value: &str| left["properties"][name] == value && right["properties"][name] == value;
        both("amount", "left") && both("dealstage", "won")
    })
    .await;
    // What became of the record that lost: once more than its states.
    until_report(&worker, "nothing waits", |report| report.flows.iter().all(|flow| flow.queue_depth == 0)).await;
    let report = worker.report().await;
    assert!(report.flows[1].unchanged >= 1, "{:?}", report.flows);
    assert_eq!((counts(&bench.books).await.1, counts(&bench.shop).await.1), (1, 1), "one write each way");
    let metrics = worker.metrics();
    assert!(
        metrics.lines().any(|line| line.contains("deals-back") && line.contains("superseded") && !line.ends_with(" 0")),
        "{metrics}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_yields_to_a_corrected_map_makes_the_other_flow_carry_it() {
    let mut bench = bench().await;
    put(&bench.shop, "1", json!({"dealname": "Spring", "amount": "10"})).await;
    let worker = bench.start().await;
    settled(&worker, 1, 1).await;
    worker.stop().await;
    // Nobody looks at the record for that, as its source has nothing new to show.
    bench.plan.flows[0].map.insert("dealname".into(), "lower(record.properties.dealname)".into());
    bench.write_plan();
    let worker = bench.start().await;
    let right = id(&only(&bench.books).await);
    edit(&bench.books, &right, json!({"dealname": "Winter"})).await;
    until("the pair is equal", || async { property(&bench.books, &right, "dealname").await == "spring" }).await;
    until_report(&worker, "nothing waits", |report| report.flows.iter().all(|flow| flow.queue_depth == 0)).await;
    assert_eq!(property(&bench.shop, "1", "dealname").await, "Spring", "what was written is no change");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_right_behind_a_write_is_not_taken_for_its_echo() {
    let bench = bench().await;
    put(&bench.shop, "1", json!({"dealname": "Spring", "amount": "10"})).await;
    let worker = bench.start().await;
    settled(&worker, 1, 1).await;
    let right = id(&only(&bench.books).await);
    for amount in 20..23 {
        let older = amount.to_string();
        edit(&bench.shop, "1", json!({"amount": older})).await;
        until("it is written", || async { property(&bench.books, &right, "amount").await == older }).await;
        let newer = format!("{amount}.5");
        edit(&bench.books, &right, json!({"amount": newer})).await;
        until("it is carried back", || async { property(&bench.shop, "1", "amount").await == newer }).await;
    }
    assert_eq!((counts(&bench.books).await.1, counts(&bench.shop).await.1), (3, 3));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_goes_over_once_and_neither_comes_back_nor_makes_the_record_anew() {
    let bench = bench().await;
    for number in ["1", "2"] {
        put(&bench.shop, number, json!({"dealname": "Spring", "amount": number})).await;
    }
    let worker = bench.start().await;
    settled(&worker, 2, 2).await;
    let right: BTreeMap<String, Value> = all(&bench.books)
        .await
        .into_iter()
        .map(|deal| (deal["properties"]["external_id"].as_str().unwrap().to_owned(), deal))
        .collect();
    // One goes on the left, the other one on the right.
    edit(&bench.shop, "1", json!({"pipeline": "withdrawn"})).await;
    edit(&bench.books, &id(&right["2"]), json!({"pipeline": "withdrawn"})).await;
    until("both are gone", || async { all(&bench.books).await.len() == 1 && all(&bench.shop).await.len() == 1 }).await;
    assert_eq!((counts(&bench.books).await, counts(&bench.shop).await), ((2, 0, 1), (0, 0, 1)));
    // A state of what was deleted is shown late.
    let late = &right["1"];
    put(&bench.books, &id(late), late["properties"].clone()).await;
    until_report(&worker, "it was looked at", |report| {
        report.flows[1].unchanged >= 3 && report.flows[1].queue_depth == 0
    })
    .await;
    assert_eq!((counts(&bench.books).await, counts(&bench.shop).await), ((2, 0, 1), (0, 0, 1)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_store_makes_no_record_twice() {
    let bench = bench().await;
    put(&bench.shop, "1", json!({"dealname": "Spring", "amount": "10"})).await;
    put(&bench.books, "7", json!({"dealname": "Autumn", "amount": "5"})).await;
    let worker = bench.start().await;
    settled(&worker, 2, 2).await;
    worker.stop().await;
    std::fs::remove_dir_all(bench.state()).unwrap();
    let worker = bench.start().await;
    until_report(&worker, "all are settled", |report| {
        report.flows.len() == 2
            && report.flows.iter().all(|flow| flow.delivered + flow.unchanged >= 2 && flow.queue_depth == 0)
    })
    .await;
    assert_eq!((counts(&bench.books).await.0, counts(&bench.shop).await.0), (1, 1));
    assert_eq!((all(&bench.books).await.len(), all(&bench.shop).await.len()), (2, 2));
    worker.stop().await;
}

/// Whether each account has so many deals, and each pair the same amount.
async fn are_equal(bench: &Bench, count: usize) -> bool {
    let amounts = |deals: Vec<Value>| {
        let amount = |deal: Value| (deal["properties"]["dealname"].to_string(), deal["properties"]["amount"].clone());
        deals.into_iter().map(amount).collect::<BTreeMap<String, Value>>()
    };
    let (left, right) = (all(&bench.shop).await, all(&bench.books).await);
    assert!(left.len() <= count && right.len() <= count, "a record was made twice: {left:?} {right:?}");
    left.len() == count && amounts(left) == amounts(right)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_end_equal_although_the_worker_is_killed_again_and_again() {
    const DEALS: u64 = 12;
    let bench = bench().await;
    let (_, mut random) = random();
    for number in 1..=DEALS {
        put(&bench.shop, &number.to_string(), json!({"dealname": format!("LEFT {number}"), "amount": "0"})).await;
        put(&bench.books, &(1000 + number).to_string(), json!({"dealname": format!("RIGHT {number}"), "amount": "0"}))
            .await;
    }
    // Some writes take effect and are never answered.
    for (client, seed) in [(&bench.shop, 3), (&bench.books, 4)] {
        let lost = FaultRule::new(Fault::TimeoutAfterCommit {}).method("PATCH").percent(15, seed).times(6);
        client.add_fault(&lost).await.unwrap();
        let create = r#""external_id":""#;
        let lost = FaultRule::new(Fault::TimeoutAfterCommit {}).method("POST").body_contains(create).times(1);
        client.add_fault(&lost).await.unwrap();
    }
    let mut amount = 0;
    for _ in 0..8 {
        let mut worker = Process::start(&bench);
        for _ in 0..random.random_range(2..6) {
            let (client, first) = if random.random_bool(0.5) { (&bench.shop, 0) } else { (&bench.books, 1000) };
            let number = first + random.random_range(1..=DEALS);
            amount += 1;
            edit(client, &number.to_string(), json!({"amount": amount.to_string()})).await;
            tokio::time::sleep(std::time::Duration::from_millis(random.random_range(0..400))).await;
        }
        worker.kill();
    }
    let worker = bench.start().await;
    until("the pairs are equal", || are_equal(&bench, usize::try_from(DEALS * 2).unwrap())).await;
    until_report(&worker, "nothing waits", |report| {
        report.flows.len() == 2 && report.flows.iter().all(|flow| flow.queue_depth == 0 && flow.dead_letters == 0)
    })
    .await;
    assert_eq!((counts(&bench.books).await.0, counts(&bench.shop).await.0), (DEALS, DEALS));
    let before = (counts(&bench.books).await.1, counts(&bench.shop).await.1);
    // Nothing is written while nobody changes anything: several more looks at both ends.
    let looks = bench.shop.stats().await.unwrap().total_requests;
    until("both are looked at again", || async { bench.shop.stats().await.unwrap().total_requests > looks + 4 }).await;
    assert_eq!(before, (counts(&bench.books).await.1, counts(&bench.shop).await.1));
    // Each edit was written at most once, and once more where a kill or a lost answer left it in doubt.
    assert!(before.0 + before.1 <= 2 * amount, "{before:?} writes of {amount} edits");
    worker.stop().await;
}
