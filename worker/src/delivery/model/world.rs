//! A source with two records, a destination with a memory, a clock that only moves when told, and a worker without its loops. The destination
//! checks each write: a state is applied once, and never after a newer one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use crosstie_connect::{CallFailure, Clock, FailureKind, LookedUp, Outgoing, RecordFault, Written};
use crosstie_engine::{
    delivery::Seen,
    mapping::Mapping,
    plan::{Environment, Idempotency, LookUp, Operation},
    version::Version,
    window::PollState,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use uuid::Uuid;

use super::super::carry::carry;
use crate::{
    destination::Destination,
    lane::{Lane, testing},
    store::{Incoming, Scope, ScopeId, SharedStore, Store, StoreError, TakenPage, sqlite::SqliteStore},
};

/// Seconds for which the destination remembers a key.
const WINDOW: i64 = 600;
/// Seconds after which a look-up is believed; more than any write is late.
const SETTLE: u32 = 5;

/// By which means an outcome can be known, and whether two states of a record ever map to the same body.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    pub key: bool,
    pub look_up: bool,
    pub versioned: bool,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Applied and answered.
    Applied,
    /// Applied, and the answer is lost.
    AppliedSilently,
    /// Given up, and applied so many seconds later.
    AppliedLate(i64),
    /// Given up, and never applied.
    Lost,
    /// No connection.
    NeverLeft,
    /// Refused.
    Refused,
    /// The process dies before the call leaves.
    KilledBefore,
    /// The process dies after the call was applied.
    KilledAfter,
    /// The process dies, and the call is applied so many seconds later.
    KilledWhile(i64),
}

/// The clock of everyone.
#[derive(Default)]
struct Hands(Mutex<i64>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + *self.0.lock().unwrap()).unwrap()
    }
}

/// The destination.
struct Books {
    means: Means,
    hands: Arc<Hands>,
    fate: Mutex<Fate>,
    pages: Mutex<Pages>,
    /// A call is under way that is never answered.
    hangs: Notify,
}

#[derive(Default)]
struct Pages {
    /// What is there, by key.
    booked: BTreeMap<String, Value>,
    /// Writes still on their way: when they come, what, and under which key.
    late: Vec<(i64, Value, Option<String>)>,
    /// Keys received, and when.
    keys: BTreeMap<String, i64>,
    /// Key and version of each state applied.
    applied: BTreeSet<(String, i64)>,
}

impl Pages {
    fn apply(&mut self, body: &Value, versioned: bool) {
        let key = body["id"].as_str().unwrap().to_owned();
        if versioned {
            let version = body["version"].as_i64().unwrap();
            assert!(self.applied.insert((key.clone(), version)), "state {version} of {key} was applied twice");
            let before = self.booked.get(&key).and_then(|booked| booked["version"].as_i64());
            assert!(
                before.is_none_or(|before| before < version),
                "state {version} of {key} was applied over {before:?}"
            );
        }
        self.booked.insert(key, body.clone());
    }
}

impl Books {
    fn now(&self) -> i64 {
        *self.hands.0.lock().unwrap()
    }

    /// Receives a write. One whose key is remembered is answered like the first one and changes nothing.
    fn receive(&self, body: &Value, key: Option<&str>) {
        let now = self.now();
        let mut pages = self.pages.lock().unwrap();
        if let Some(key) = key {
            if pages.keys.get(key).is_some_and(|at| now < at + WINDOW) {
                return;
            }
            pages.keys.insert(key.to_owned(), now);
        }
        pages.apply(body, self.means.versioned);
    }

    fn receive_late(&self, body: &Value, key: Option<&str>, after: i64) {
        let at = self.now() + after;
        self.pages.lock().unwrap().late.push((at, body.clone(), key.map(ToOwned::to_owned)));
    }

    fn catch_up(&self) {
        let now = self.now();
        let late = std::mem::take(&mut self.pages.lock().unwrap().late);
        let (due, late): (Vec<_>, Vec<_>) = late.into_iter().partition(|(at, ..)| *at <= now);
        self.pages.lock().unwrap().late = late;
        for (_, body, key) in due {
            self.receive(&body, key.as_deref());
        }
    }
}

fn failure(kind: FailureKind) -> CallFailure {
    CallFailure::new(kind, "the system failed")
}

impl Destination for Books {
    fn write<'a>(&'a self, _: &'a Operation, outgoing: Outgoing<'a>) -> BoxFuture<'a, Written> {
        let Outgoing { body, identifier: _, idempotency_key: key } = outgoing;
        Box::pin(async move {
            let fate = *self.fate.lock().unwrap();
            match fate {
                Fate::Applied | Fate::AppliedSilently | Fate::KilledAfter => self.receive(body, key),
                Fate::AppliedLate(after) | Fate::KilledWhile(after) => self.receive_late(body, key, after),
                Fate::Lost | Fate::NeverLeft | Fate::Refused | Fate::KilledBefore => {}
            }
            match fate {
                Fate::Applied => Written::Applied { identifier: None, request_id: None },
                Fate::AppliedSilently | Fate::AppliedLate(_) | Fate::Lost => {
                    Written::Unknown { failure: failure(FailureKind::TimedOut) }
                }
                Fate::NeverLeft => Written::NotSent { failure: failure(FailureKind::Unreachable) },
                Fate::Refused => Written::Refused { fault: refusal() },
                Fate::KilledBefore | Fate::KilledAfter | Fate::KilledWhile(_) => {
                    self.hangs.notify_one();
                    std::future::pending().await
                }
            }
        })
    }

    fn look_up<'a>(
        &'a self,
        _: &'a Operation,
        _: &'a LookUp,
        body: &'a Value,
    ) -> BoxFuture<'a, Result<LookedUp, CallFailure>> {
        Box::pin(async move {
            let pages = self.pages.lock().unwrap();
            let found = pages.booked.get(body["id"].as_str().unwrap()).cloned();
            Ok(found.map_or(LookedUp::Absent, |body| LookedUp::Present { body }))
        })
    }
}

fn refusal() -> RecordFault {
    RecordFault { status: Some(422), request_id: None, detail: "refused".into(), excerpt: String::new(), code: None }
}

/// Everything there is.
pub struct World {
    folder: TempDir,
    means: Means,
    hands: Arc<Hands>,
    books: Arc<Books>,
    mapping: Arc<Mapping>,
    /// Version and content by key.
    source: BTreeMap<u8, (i64, u8)>,
    store: SharedStore,
    scope: ScopeId,
}

impl World {
    pub async fn new(means: Means) -> Self {
        // Syncing is not what is tried here; memory makes many more scripts possible.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let hands = Arc::new(Hands::default());
        let books = Books {
            means,
            hands: Arc::clone(&hands),
            fate: Mutex::new(Fate::Applied),
            pages: Mutex::default(),
            hangs: Notify::new(),
        };
        let fields = [("id", "record.id"), ("content", "record.content"), ("version", "record.version")];
        let mapping = testing::mapping(if means.versioned { &fields } else { &fields[..2] });
        let (store, scope) = open(&folder, &hands).await;
        Self { folder, means, hands, books: Arc::new(books), mapping, source: BTreeMap::new(), store, scope }
    }

    pub fn change(&mut self, key: u8, content: u8) {
        let state = self.source.entry(key).or_default();
        *state = (state.0 + 1, content);
    }

    pub async fn poll(&self) {
        let now = self.hands.now();
        let records = self.source.iter().map(|(key, (version, content))| {
            let record = json!({"id": key.to_string(), "version": version, "content": content.to_string()});
            Incoming::Record {
                key: key.to_string(),
                seen: Seen::of(Version::Counter(*version), &record),
                payload: record.to_string(),
            }
        });
        let page = TakenPage {
            scope: self.scope,
            records: records.collect(),
            poll: PollState::default(),
            run: now,
            synced: None,
            now,
        };
        self.store.take_page(page).await.unwrap();
    }

    pub fn pass(&self, seconds: i64) {
        // Second by second, so that late writes come at their time.
        for _ in 0..seconds {
            *self.hands.0.lock().unwrap() += 1;
            self.books.catch_up();
        }
    }

    /// Hands one record out and carries it. Says whether that was ended in the middle of a call.
    pub async fn carry(&self, fate: Fate) -> bool {
        *self.books.fate.lock().unwrap() = fate;
        let claim = self.store.claim(self.scope, 1, self.hands.now()).await.unwrap();
        let Some(claimed) = claim.records.into_iter().next() else { return false };
        let lane = self.lane();
        let slot = lane.slots.take().await;
        tokio::select! {
            () = carry(&lane, claimed, false, slot) => false,
            () = self.books.hangs.notified() => true,
        }
    }

    pub async fn crash(self) -> Self {
        let Self { folder, means, hands, books, mapping, source, store, scope: _ } = self;
        drop(store);
        let (store, scope) = open(&folder, &hands).await;
        Self { folder, means, hands, books, mapping, source, store, scope }
    }

    pub async fn replay(&self) {
        let ids = self.store.dead_letters(0, 100).await.unwrap().into_iter().map(|letter| letter.id).collect();
        self.store.replay(ids, self.hands.now()).await.unwrap();
    }

    /// Nothing fails any more: everything the source shows arrives, and nothing is left over.
    pub async fn heal(self) {
        self.replay().await;
        self.poll().await;
        for _ in 0..200 {
            let figures = self.store.figures(vec![self.scope], self.hands.now()).await.unwrap().remove(0);
            if figures.held > 0 && figures.held == figures.queue_depth {
                assert!(!self.means.look_up, "what can be looked up is never held");
                return;
            }
            if figures.queue_depth == 0 {
                break;
            }
            self.pass(61);
            self.carry(Fate::Applied).await;
        }
        let depth = self.store.queue_depth(self.scope).await.unwrap();
        if depth > 0 {
            let held = self.store.figures(vec![self.scope], self.hands.now()).await.unwrap()[0].held;
            assert!(held > 0 && !self.means.look_up, "something never arrived");
            return;
        }
        let pages = self.books.pages.lock().unwrap();
        for (key, (_, content)) in &self.source {
            let booked = pages.booked.get(&key.to_string()).map(|booked| booked["content"].clone());
            assert_eq!(booked, Some(json!(content.to_string())), "the newest state of {key} is not there");
        }
    }

    fn lane(&self) -> Lane {
        let (books, hands) = (Arc::<Books>::clone(&self.books), Arc::<Hands>::clone(&self.hands));
        let mut lane = testing::lane(Arc::clone(&self.store), self.scope, books, hands, Arc::clone(&self.mapping));
        let outcome = &mut lane.flow.operation.outcome;
        let window_seconds = u32::try_from(WINDOW).unwrap();
        outcome.idempotency = self.means.key.then(|| Idempotency { header: "Idempotency-Key".into(), window_seconds });
        outcome.lookup = self.means.look_up.then(|| testing::look_up(SETTLE));
        lane
    }
}

async fn open(folder: &TempDir, hands: &Arc<Hands>) -> (SharedStore, ScopeId) {
    let store = loop {
        match SqliteStore::open(folder.path(), Uuid::from_u128(1), hands.now()) {
            Err(StoreError::Locked { .. }) => tokio::task::yield_now().await,
            other => break other.unwrap(),
        }
    };
    let scope = Scope {
        flow: "orders".into(),
        source: "shop".into(),
        destination: "books".into(),
        environment: Environment::Production,
    };
    let opened = store.open_scope(scope, hands.now()).await.unwrap();
    (Arc::new(store), opened.id)
}
