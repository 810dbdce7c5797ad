//! What people do about dead letters, over HTTP as `kubectl crosstie dlq` does it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::{
    Bench,
    hooks::{Hooks, route},
    until, until_report,
};
use crosstie_crds::letters::{Fate, Fates, Ids, Letter, Letters, MOST};
use crosstie_engine::plan::{Brings, Place, Rest};
use crosstie_vendors::wire::{Fault, FaultRule};
use crosstie_worker::Worker;
use serde_json::json;

/// Speaks with a worker's letters.
struct Desk {
    base: String,
    client: reqwest::Client,
}

impl Desk {
    fn of(worker: &Worker) -> Self {
        let base = format!("http://{}", worker.letters_address().unwrap());
        Self { base, client: reqwest::Client::new() }
    }

    async fn letters(&self) -> Vec<Letter> {
        let mut letters: Vec<Letter> = Vec::new();
        loop {
            let after = letters.last().map_or(0, |letter| letter.id);
            let page = self.client.get(format!("{}/letters?after={after}", self.base)).send().await.unwrap();
            let page: Letters = page.json().await.unwrap();
            if page.letters.is_empty() {
                return letters;
            }
            assert!(page.letters.len() <= MOST);
            letters.extend(page.letters);
        }
    }

    async fn letter(&self, id: i64) -> reqwest::Response {
        self.client.get(format!("{}/letters/{id}", self.base)).send().await.unwrap()
    }

    async fn ask(&self, what: &str, ids: &[i64]) -> reqwest::Response {
        let ids = Ids { ids: ids.to_vec() };
        self.client.post(format!("{}/letters/{what}", self.base)).json(&ids).send().await.unwrap()
    }

    async fn fates(&self, what: &str, ids: &[i64]) -> Vec<Fate> {
        self.ask(what, ids).await.json::<Fates>().await.unwrap().fates
    }
}

/// Waits until so many letters are reported.
async fn until_aside(worker: &Worker, count: u64) {
    let count = i64::try_from(count).unwrap();
    until_report(worker, "they are set aside", |report| {
        report.flows.first().is_some_and(|flow| {
            flow.dead_letters == count && flow.queue_depth == 0 && flow.oldest_dead_letter_time.is_some() == (count > 0)
        })
    })
    .await;
}

/// Points the stream's key at what no order has. Gives the right one.
fn misread(bench: &mut Bench) -> String {
    let key = std::mem::replace(&mut bench.plan.flows[0].stream.key, "/number".into());
    bench.write_plan();
    key
}

/// Corrects it, and waits until the worker works by that.
async fn correct(bench: &mut Bench, key: String, worker: &Worker) {
    bench.plan.flows[0].stream.key = key;
    bench.write_plan();
    let hash = bench.plan.hash();
    until_report(worker, "it works by the corrected plan", |report| report.plan_hash.as_deref() == Some(hash.as_str()))
        .await;
}

fn refused() -> FaultRule {
    FaultRule::new(Fault::Status { code: 422, headers: BTreeMap::new(), body: json!({"error": "jane@example.com"}) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_is_listed_without_values_shown_whole_replayed_once_and_then_gone() {
    let bench = Bench::new().await;
    bench.seed(3).await;
    bench.books.add_fault(&refused().path_contains("eid:2")).await.unwrap();
    let worker = bench.start().await;
    until_aside(&worker, 1).await;
    let desk = Desk::of(&worker);
    let [letter] = desk.letters().await.try_into().unwrap();
    assert_eq!((letter.key.as_str(), letter.status, letter.attempts), ("2", Some(422), 3));
    assert!(letter.payload.is_none() && letter.excerpt.is_none(), "a list holds no values");
    let whole: Letter = desk.letter(letter.id).await.json().await.unwrap();
    assert_eq!(whole.payload.unwrap()["id"], 2);
    assert!(whole.excerpt.unwrap().contains("jane@example.com"));
    assert_eq!(desk.letter(letter.id + 1).await.status(), 404);

    bench.books.clear_faults().await.unwrap();
    assert_eq!(desk.fates("replay", &[letter.id, 99, letter.id]).await, [Fate::Replayed, Fate::Gone, Fate::Replayed]);
    bench.until_booked(3).await;
    assert_eq!(desk.fates("replay", &[letter.id]).await, [Fate::Gone]);
    assert_eq!(desk.fates("drop", &[letter.id]).await, [Fate::Gone]);
    until_aside(&worker, 0).await;
    assert_eq!(bench.writes(2).await, 1);
    let too_many: Vec<i64> = (0..=i64::try_from(MOST).unwrap()).collect();
    assert_eq!(desk.ask("drop", &too_many).await.status(), 413);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_had_no_key_is_delivered_once_the_connector_names_the_right_one() {
    let mut bench = Bench::new().await;
    bench.seed(2).await;
    let key = misread(&mut bench);
    let worker = bench.start().await;
    until_aside(&worker, 2).await;
    let desk = Desk::of(&worker);
    let ids: Vec<i64> = desk.letters().await.iter().map(|letter| letter.id).collect();
    assert_eq!(desk.fates("replay", &ids).await, [Fate::Unreadable, Fate::Unreadable]);
    correct(&mut bench, key, &worker).await;
    assert_eq!(desk.fates("replay", &ids[..1]).await, [Fate::Replayed]);
    assert_eq!(desk.fates("drop", &ids[1..]).await, [Fate::Dropped]);
    bench.until_booked(1).await;
    until_aside(&worker, 0).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_could_not_be_read_is_replayed_and_taken_again_by_the_corrected_route() {
    let mut bench = Bench::with_webhooks(100_000).await;
    let deleted = |key: &str| Brings::Deleted {
        rest: Rest::Key(key.into()),
        version: Some(Place::Header("X-Shopify-Triggered-At".into())),
    };
    let flow = &mut bench.plan.flows[0];
    flow.stream.deleted = Some("/gone".into());
    flow.delete_operation = Some(common::delete_operation());
    // What is at `/data` has an order's shape, and so, nearly, has the event itself.
    flow.events = vec![
        route("order.gone", deleted("/dat/id")),
        route("order.new", Brings::Record(String::new())),
        route("order.*", Brings::Record("/dat".into())),
    ];
    bench.write_plan();
    let worker = bench.start().await;
    until("a crew is at work", || async { worker.unready().is_none() }).await;
    let hooks = Hooks::to(worker.webhooks_address().unwrap(), "hush");
    let event = |id: u64| {
        let data =
            json!({"id": id, "name": "#1", "note": "a", "cancelled_at": null, "updated_at": "2026-07-01T00:00:00Z"});
        json!({"id": format!("evt_{id}"), "updated_at": "2026-07-02T00:00:00Z", "data": data})
    };
    let without_key = json!({"data": event(3)["data"]});
    assert_eq!(hooks.send("order.changed", "1", &event(1)).await, 200);
    assert_eq!(hooks.send("order.changed", "2", &event(2)).await, 200);
    assert_eq!(hooks.send("order.new", "3", &without_key).await, 200);
    let gone = hooks.signed("order.gone", "4", event(1).to_string().into_bytes());
    let gone = gone.header("X-Shopify-Triggered-At", "2026-06-30T00:00:00Z").send().await.unwrap();
    assert_eq!(gone.status(), 200);
    until_aside(&worker, 4).await;
    let desk = Desk::of(&worker);
    let ids: Vec<i64> = desk.letters().await.iter().map(|letter| letter.id).collect();
    let stays = vec![Fate::Unreadable; 4];
    assert_eq!(desk.fates("replay", &ids).await, stays, "the event is no record");
    bench.plan.flows[0].events =
        vec![route("order.gone", deleted("/data/id")), route("order.*", Brings::Record("/data".into()))];
    let key = bench.plan.flows[0].stream.key.clone();
    correct(&mut bench, key, &worker).await;
    // One is sent again by the vendor, the others are replayed.
    assert_eq!(hooks.send("order.changed", "2", &event(2)).await, 200);
    assert_eq!(desk.fates("replay", &[ids[0], ids[2]]).await, [Fate::Replayed; 2]);
    bench.until_booked(3).await;
    // Dated by its own time, the deletion is older than what was written.
    desk.fates("replay", &[ids[3]]).await;
    desk.fates("drop", &[ids[1]]).await;
    until_aside(&worker, 0).await;
    assert!(bench.booked(1).await.is_some());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_letters_are_replayed_and_none_is_left_and_none_is_written_twice() {
    let orders = std::env::var("CROSSTIE_LETTERS").map_or(2000, |text| text.parse().unwrap());
    let mut bench = Bench::new().await;
    bench.seed(orders).await;
    let key = misread(&mut bench);
    let worker = bench.start().await;
    until_aside(&worker, orders).await;
    correct(&mut bench, key, &worker).await;
    let desk = Desk::of(&worker);
    let ids: Vec<i64> = desk.letters().await.iter().map(|letter| letter.id).collect();
    // Each is asked for twice, as by two people at once.
    for some in ids.chunks(MOST) {
        let (one, other) = tokio::join!(desk.fates("replay", some), desk.fates("replay", some));
        let both = one
            .iter()
            .zip(&other)
            .all(|fates| matches!(fates, (Fate::Replayed, Fate::Gone) | (Fate::Gone, Fate::Replayed)));
        assert!(both, "each is replayed once");
    }
    bench.until_booked(orders).await;
    until_aside(&worker, 0).await;
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.distinct, writes.creates + writes.updates), (orders, orders));
    worker.stop().await;
}
