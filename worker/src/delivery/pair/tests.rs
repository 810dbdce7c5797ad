//! Carrying a record of a pair wakes the flow at the other end: what became of the record may have left word for it, and its own record was kept
//! from being carried meanwhile.

use std::{collections::BTreeMap, sync::Mutex};

use crosstie_connect::{CallFailure, FailureKind, LookedUp, Outgoing, SystemClock, Written, WrittenBatch};
use crosstie_engine::{
    body::Body,
    mapping::Expression,
    plan::{Environment, LookUp, Operation, ReadOne, Stream},
    template::Template,
    window::PollState,
};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{
    delivery::carry::carry,
    destination::Destination,
    gates::Shelf,
    intake::records::seen,
    lane::{self, testing},
    pairs::TwinLocks,
    singles::Singles,
    store::{Incoming, PairScopes, Scope, SharedStore, TakenPage, sqlite::SqliteStore},
};

/// A system's records, by their keys. It takes every write, and calls a record that it makes `new`. It may make something else of each name that it is
/// given.
struct System {
    records: Mutex<BTreeMap<String, Value>>,
    rewrites: bool,
}

impl System {
    fn of(records: &[&Value]) -> Arc<Self> {
        let records = records.iter().map(|record| (key(record), (*record).clone()));
        Arc::new(Self { records: Mutex::new(records.collect()), rewrites: false })
    }

    fn rewriting(records: &[&Value]) -> Arc<Self> {
        let records = records.iter().map(|record| (key(record), (*record).clone()));
        Arc::new(Self { records: Mutex::new(records.collect()), rewrites: true })
    }

    fn record(&self, key: &str) -> Option<Value> {
        self.records.lock().unwrap().get(key).cloned()
    }
}

impl Singles for System {
    fn read_one<'a>(&'a self, _: &'a Stream, key: &'a str) -> BoxFuture<'a, Result<Option<Value>, CallFailure>> {
        Box::pin(async move { Ok(self.record(key)) })
    }
}

impl Destination for System {
    fn write<'a>(&'a self, _: &'a Operation, outgoing: Outgoing<'a>) -> BoxFuture<'a, Written> {
        Box::pin(async move {
            let identifier = outgoing.identifier.unwrap_or("new").to_owned();
            let mut record = Value::clone(outgoing.body);
            record["id"] = json!(identifier);
            record["version"] =
                json!(self.record(&identifier).map_or(1, |before| before["version"].as_i64().unwrap() + 1));
            if self.rewrites {
                record["name"] = json!(format!("{}'", record["name"].as_str().unwrap()));
            }
            self.records.lock().unwrap().insert(identifier.clone(), record);
            Written::Applied { identifier: Some(identifier), request_id: None }
        })
    }

    fn write_batch<'a>(
        &'a self,
        _: &'a Operation,
        _: &'a [&'a Body],
        _: Option<&'a str>,
    ) -> BoxFuture<'a, WrittenBatch> {
        let failure = CallFailure::new(FailureKind::Unsupported, "records of pairs go one by one");
        Box::pin(async move { WrittenBatch::NotSent { failure } })
    }

    fn look_up<'a>(
        &'a self,
        _: &'a Operation,
        _: &'a LookUp,
        _: &'a Value,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<LookedUp, CallFailure>> {
        Box::pin(async move { Ok(LookedUp::Absent) })
    }
}

fn key(record: &Value) -> String {
    record["id"].as_str().unwrap().to_owned()
}

/// A pair of flows between two systems, of which nothing is known yet.
struct Bench {
    forward: Arc<Lane>,
    reverse: Arc<Lane>,
    _folder: TempDir,
}

impl Bench {
    async fn new(left: &Arc<System>, right: &Arc<System>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore =
            Arc::new(SqliteStore::open(folder.path(), Uuid::new_v4(), Timestamp::UNIX_EPOCH).unwrap());
        let scope = async |flow: &str, source: &str, destination: &str| {
            let (flow, source, destination) = (flow.to_owned(), source.to_owned(), destination.to_owned());
            let names = Scope { flow, source, destination, environment: Environment::Production };
            store.open_scope(names, Timestamp::UNIX_EPOCH).await.unwrap().id
        };
        let scopes =
            PairScopes { forward: scope("to", "left", "right").await, reverse: scope("fro", "right", "left").await };
        let locks = Arc::<TwinLocks>::default();
        let lane = |direction: Direction, source: &Arc<System>, destination: &Arc<System>| {
            let mapping = testing::mapping(None, &[("twin", "record.id"), ("name", "record.name")]);
            let (store, destination) = (Arc::clone(&store), Arc::<System>::clone(destination));
            let mut lane = testing::lane(store, scopes.of(direction), destination, Arc::new(SystemClock), mapping);
            let path = Template::parse("/records/{key}").unwrap();
            let one = ReadOne { path, query: BTreeMap::new(), record: String::new(), into: String::new() };
            lane.flow.stream.one = Some(one);
            lane.flow.direction = direction;
            lane.gates = Shelf::default().of(&lane.flow);
            lane.singles = Arc::<System>::clone(source);
            let key = Expression::compile("pair.key", "record.?twin.orValue(null)").unwrap();
            let names = (Arc::new(key), vec!["twin".to_owned()]);
            lane.paired = Some(Paired::new((direction, scopes), names, &lane.flow.operation, Arc::clone(&locks)));
            lane.part = lane::part(&lane.flow, &lane.mapping, None, None);
            Arc::new(lane)
        };
        let (forward, reverse) = (lane(Direction::Forward, left, right), lane(Direction::Reverse, right, left));
        for (one, other) in [(&forward, &reverse), (&reverse, &forward)] {
            one.paired.as_ref().unwrap().meet(other);
        }
        Self { forward, reverse, _folder: folder }
    }
}

/// Carries a record that was read just now.
async fn carried(lane: &Lane, record: &Value) {
    let seen = seen(record, &lane.flow.stream).unwrap();
    let records = vec![Incoming::Record { key: key(record), seen, payload: record.to_string() }];
    let (scope, poll, now) = (lane.scope, PollState::default(), lane.now());
    let page = TakenPage { scope, records, poll, again: false, round: None, run: now, synced: Some(now), now };
    lane.store.take_page(page).await.unwrap();
    let claimed = Box::new(claimed(lane).await.unwrap());
    carry(lane, claimed, None, lane.slots.take().await).await;
}

async fn claimed(lane: &Lane) -> Option<Claimed> {
    lane.store.claim(lane.scope, 1, lane.now()).await.unwrap().records.pop()
}

fn is_woken(lane: &Lane) -> bool {
    lane.wake.notified().now_or_never().is_some()
}

#[tokio::test]
async fn a_change_that_yields_wakes_the_flow_it_leaves_word_for_also_where_nothing_is_counted_as_superseded() {
    let left = json!({"id": "l", "version": 1, "name": "left"});
    let right = json!({"id": "r", "version": 1, "name": "right", "twin": "l"});
    let (left_system, right_system) = (System::of(&[&left]), System::of(&[&right]));
    let bench = Bench::new(&left_system, &right_system).await;
    // They meet for the first time: neither was changed against the other.
    carried(&bench.reverse, &right).await;
    assert_eq!(left_system.record("l"), Some(left), "Forward wins");
    assert!(is_woken(&bench.forward));
    assert_eq!(claimed(&bench.forward).await.map(|word| word.key).as_deref(), Some("l"));
}

#[tokio::test]
async fn a_write_to_a_twin_wakes_its_flow_once_both_are_free() {
    let left = json!({"id": "l", "version": 1, "name": "left"});
    let (left_system, right_system) = (System::of(&[&left]), System::of(&[]));
    let bench = Bench::new(&left_system, &right_system).await;
    carried(&bench.forward, &left).await;
    assert_eq!(right_system.record("new").unwrap()["name"], "left");
    assert!(is_woken(&bench.reverse));
    let paired = bench.reverse.paired.as_ref().unwrap();
    let mut hold = paired.take("new").unwrap();
    assert!(hold.take_twin(paired, "l"));
    assert!(!is_woken(&bench.forward), "somebody has them");
    drop(hold);
    assert!(is_woken(&bench.forward));
}

#[tokio::test]
async fn a_change_that_waits_because_both_ends_go_on_changing_the_record_says_so() {
    let left = json!({"id": "l", "version": 1, "name": "left"});
    let (left, right) = (System::rewriting(&[&left]), System::rewriting(&[]));
    let bench = Bench::new(&left, &right).await;
    let cause = async |lane: &Lane| {
        let figures = lane.store.figures(vec![lane.scope], lane.now()).await.unwrap().remove(0);
        (figures.retrying, figures.retry_cause)
    };
    for (round, (lane, end, key)) in
        [(&bench.forward, &left, "l"), (&bench.reverse, &right, "new")].into_iter().cycle().enumerate()
    {
        assert!(round < 20, "they answer each other for ever");
        carried(lane, &end.record(key).unwrap()).await;
        if let (1, Some(cause)) = cause(lane).await {
            assert!(cause.contains("both ends go on changing the same fields"), "{cause}");
            assert!(round > 5, "after {round} rounds");
            break;
        }
    }
}
