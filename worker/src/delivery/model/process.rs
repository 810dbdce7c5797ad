//! A worker's process without its loops: a store on a disk, a lane, and records that are carried when a history says so.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use crosstie_engine::{
    delivery::{Seen, Settled, call_size},
    mapping::{Expression, Mapping},
    plan::{Cursor, Idempotency, Method, OnUnknownOutcome, OnWhenFalse, Operation, Pagination, ReadOne, StartFrom},
    template::Template,
    version::Version,
    window::{CursorValue, PageSeen, PollState, Position, Turn},
};
use crosstie_histories::{
    self as histories, Begun, End, FLIGHT_SECONDS, Flight, LOOKBACK_SECONDS, Means, PAGE, RETRIES, SETTLE_SECONDS,
    Shared, Standing, State, Subject, WINDOW_SECONDS,
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinHandle};
use uuid::Uuid;

use super::{
    super::{
        batch::{carry_batch, is_batch, next_call},
        carry::carry,
    },
    books::{Answer, Books, Received},
    ground::{FIELDS, Hands, at, folder, scope},
};
use crate::{
    gates::{Handing, Shelf},
    lane::{self, Lane, Parent, testing},
    slots::Slots,
    store::{
        ScopeId, Settlement, SharedStore, StoreError,
        sqlite::{DATABASE_FILE, SqliteStore},
    },
};

/// More than can be under way at a time.
const SLOTS: usize = 64;

struct Call {
    received: Received,
    task: JoinHandle<()>,
}

/// The process.
pub struct Process {
    pub(super) runtime: Runtime,
    pub(super) world: Shared,
    pub(super) means: Means,
    when: String,
    mapping: Arc<Mapping>,
    /// Where what records depend on is settled.
    parents: ScopeId,
    folder: TempDir,
    stores: u128,
    books: Arc<Books>,
    /// None only while the process is started.
    lane: Option<Arc<Lane>>,
    pub(super) poll: PollState,
    under_way: VecDeque<Call>,
    /// Carried by nobody any more, but not over.
    lost: Vec<JoinHandle<()>>,
    /// Dead letters up to this one are known.
    buried: i64,
}

impl Process {
    pub fn new(world: Shared) -> Self {
        let means = world.get().means;
        let trace = State::TRACE.map(|field| (field, format!("record.{field}")));
        let trace = trace.iter().map(|(field, expression)| (*field, expression.as_str())).filter(|_| means.traced);
        let fields: Vec<_> = FIELDS.into_iter().chain(trace).collect();
        let when = format!("record.content != '{}'", State::OUT);
        let mut process = Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            mapping: testing::mapping(Some(&when), &fields),
            when,
            means,
            parents: ScopeId(0),
            folder: folder(),
            stores: 1,
            books: Arc::new(Books::new(world.clone())),
            lane: None,
            poll: PollState::default(),
            under_way: VecDeque::new(),
            lost: Vec::new(),
            buried: 0,
            world,
        };
        process.start();
        process
    }

    fn start(&mut self) {
        let now = at(self.world.now());
        let store = loop {
            match SqliteStore::open(self.folder.path(), Uuid::from_u128(self.stores), now) {
                // The thread of the store before is on its way out.
                Err(StoreError::Locked { .. }) => std::thread::yield_now(),
                other => break Arc::new(other.unwrap()) as SharedStore,
            }
        };
        let opened = self.runtime.block_on(store.open_scope(scope("orders"), now)).unwrap();
        self.parents = self.runtime.block_on(store.open_scope(scope("customers"), now)).unwrap().id;
        self.poll = opened.poll;
        let hands = Arc::new(Hands(self.world.clone()));
        let books = Arc::<Books>::clone(&self.books);
        let mut lane = testing::lane(store, opened.id, books, hands, Arc::clone(&self.mapping));
        self.equip(&mut lane);
        self.lane = Some(Arc::new(lane));
    }

    /// Makes of a lane what the circumstances ask for.
    fn equip(&self, lane: &mut Lane) {
        let means = self.means;
        let outcome = &mut lane.flow.operation.outcome;
        outcome.idempotency =
            means.key.then(|| Idempotency { header: "Idempotency-Key".into(), window_seconds: WINDOW_SECONDS });
        outcome.lookup = means.look_up.then(|| testing::look_up(SETTLE_SECONDS));
        let owned = &mut lane.flow.operation.ownership.destination_owned;
        *owned = means.owned.then(|| State::OWNED.to_owned()).into_iter().collect();
        let (name, path) = ("delete".to_owned(), Template::parse("/orders/{body.id}").unwrap());
        let delete_operation = Operation { name, method: Method::Delete, path, ..lane.flow.operation.clone() };
        lane.flow.batch_size = means.batch.into();
        lane.operation = Arc::new(lane.flow.operation.clone());
        lane.delete_operation = Some(Arc::new(delete_operation.clone()));
        lane.flow.delete_operation = Some(delete_operation);
        lane.flow.when = Some(self.when.clone());
        lane.flow.writes_once = means.once;
        lane.flow.on_when_false = match means.on_when_false {
            histories::OnWhenFalse::Ignore => OnWhenFalse::Ignore,
            histories::OnWhenFalse::Delete => OnWhenFalse::Delete,
            histories::OnWhenFalse::Update => OnWhenFalse::Update,
        };
        let stream = &mut lane.flow.stream;
        stream.version = means.shows.versions().then(|| "/time".into());
        stream.deleted = Some("/deleted".into());
        let one = || ReadOne {
            path: Template::parse("/orders/{key}").unwrap(),
            query: [].into(),
            record: String::new(),
            into: String::new(),
        };
        stream.one = means.shows.singles().then(one);
        stream.pagination = Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: PAGE };
        stream.cursor = Some(Cursor {
            field: "/time".into(),
            param: Some("min".into()),
            lookback_seconds: LOOKBACK_SECONDS,
            ..Cursor::default()
        });
        lane.gates = Shelf::default().of(&lane.flow);
        let key = Expression::compile("dependsOn.key", "record.?parent").map(Arc::new);
        lane.parent = means.parents.then(|| Parent { scope: self.parents, key: key.unwrap() });
        lane.part = lane::part(&lane.flow, &lane.mapping, None, lane.parent.as_ref());
        lane.singles = Arc::<Books>::clone(&self.books);
        lane.terms.on_unknown = if means.resend { OnUnknownOutcome::Resend } else { OnUnknownOutcome::Hold };
        lane.terms.longest_flight = Duration::from_secs(FLIGHT_SECONDS.into());
        lane.terms.retry.retries = RETRIES;
        lane.slots = Slots::new(SLOTS);
    }

    /// The process dies: nothing of it runs any more.
    fn die(&mut self) {
        let tasks = self.under_way.drain(..).map(|call| call.task).chain(self.lost.drain(..));
        for task in tasks.collect::<Vec<_>>() {
            task.abort();
            let _gone = self.runtime.block_on(task);
        }
        self.lane = None;
    }

    pub(super) fn lane(&self) -> Arc<Lane> {
        Arc::clone(self.lane.as_ref().unwrap())
    }

    /// Answers a call.
    fn answer(&self, Received { answer, release, .. }: Received) {
        let now = self.world.now();
        match answer {
            Answer::One { deletes, answer } => self.world.get().vendor.answered(now, deletes, answer),
            Answer::Batch(answer) => self.world.get().vendor.batch_answered(now, &answer),
        }
        release.send(()).unwrap();
    }

    fn note_buried(&mut self) {
        let letters = self.runtime.block_on(self.lane().store.dead_letters(self.buried, 1000)).unwrap();
        for letter in letters {
            self.buried = letter.id;
            self.world.get().buried(&letter.key);
        }
    }

    pub(super) fn keys(&self, sql: &str) -> BTreeSet<String> {
        let path = self.folder.path().join(DATABASE_FILE);
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(path, flags).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let keys = statement.query_map([], |row| row.get(0)).unwrap();
        keys.collect::<Result<_, _>>().unwrap()
    }
}

impl Subject for Process {
    fn pass(&mut self, seconds: u16) {
        self.world.get().pass(seconds);
    }

    fn read(&mut self, killed: bool) -> bool {
        let lane = self.lane();
        let stream = &lane.flow.stream;
        let poll = self.poll.opened(stream, StartFrom::Beginning, at(self.world.get().source_now()));
        let Some(window) = &poll.open else { return true };
        let position = match window.next {
            Position::Offset(offset) => usize::try_from(offset).unwrap(),
            Position::First | Position::Url(_) | Position::Cursor(_) => 0,
        };
        let from = window.bounds.from.and_then(CursorValue::time).map(|from| from.as_second() - 1_800_000_000);
        let page = self.world.get().page(from, position, PAGE as usize);
        let next = (page.len() == PAGE as usize).then(|| Position::Offset((position + page.len()) as u64));
        let hashes: Vec<String> =
            page.iter().map(|state| Seen::of(Version::Unordered, &state.record(self.means)).hash).collect();
        match poll.turned(stream, &PageSeen { hashes: &hashes, next, values: &[], delta: None }) {
            Turn::Stuck(_) => false,
            Turn::StepBack(poll) | Turn::Repeats(poll) => {
                self.take(&[], poll);
                false
            }
            Turn::Take(poll) => {
                let done = poll.open.is_none();
                if !killed {
                    self.take(&page, poll);
                }
                done
            }
        }
    }

    fn hint(&mut self, state: State) {
        // An event has no part in how far reading came.
        let stored = self.runtime.block_on(async {
            let lane = self.lane();
            lane.store.open_scope(scope("orders"), lane.now()).await.unwrap().poll
        });
        let reading = self.poll.clone();
        self.take(&[state], stored);
        self.poll = reading;
    }

    fn begin(&mut self, flight: Flight) -> Begun {
        let lane = self.lane();
        let now = lane.now();
        let probe = match lane.gates.handing(&lane.clock) {
            Handing::Free => None,
            Handing::Probe(probe) => Some(probe),
            Handing::Wait(_) => return Begun::Nothing,
        };
        let size = call_size(lane.flow.batch_size, probe.is_some());
        let claim = self.runtime.block_on(lane.store.claim(lane.scope, size as usize, now)).unwrap();
        // The claims of those that are not part of the call end here.
        let mut records = next_call(&mut claim.records.into_iter().map(Box::new).collect(), size);
        if records.is_empty() {
            return Begun::Nothing;
        }
        *self.books.flight.lock().unwrap() = flight;
        let books = Arc::clone(&self.books);
        let (task, received, done) = self.runtime.block_on(async move {
            let slot = lane.slots.take().await;
            let mut task = tokio::spawn(async move {
                if is_batch(&records) {
                    carry_batch(&lane, records, probe, slot).await;
                } else if let Some(claimed) = records.pop() {
                    carry(&lane, claimed, probe, slot).await;
                }
            });
            loop {
                tokio::select! {
                    ended = &mut task => {
                        ended.unwrap();
                        return (task, None, true);
                    }
                    () = books.received.notified() => {}
                }
                let received = books.take(task.id());
                if received.is_some() || flight.end == End::KilledBefore {
                    return (task, received, false);
                }
            }
        });
        if done {
            self.note_buried();
            return Begun::Done;
        }
        match (flight.end, received) {
            (End::Stored, Some(received)) => self.under_way.push_back(Call { received, task }),
            (End::Abandoned, _) => {
                task.abort();
                let _gone = self.runtime.block_on(task);
            }
            (End::Stored | End::KilledBefore | End::KilledAfter, _) => self.lost.push(task),
        }
        Begun::UnderWay
    }

    fn finish(&mut self, newest: bool) -> bool {
        let call = if newest { self.under_way.pop_back() } else { self.under_way.pop_front() };
        let Some(Call { received, mut task }) = call else { return false };
        self.answer(received);
        // What else is called for the same records goes well.
        *self.books.flight.lock().unwrap() = Flight::WELL;
        let books = Arc::clone(&self.books);
        loop {
            while let Some(received) = books.take(task.id()) {
                self.answer(received);
            }
            let ended = self.runtime.block_on(async {
                tokio::select! {
                    ended = &mut task => Some(ended),
                    () = books.received.notified() => None,
                }
            });
            if let Some(ended) = ended {
                ended.unwrap();
                break;
            }
        }
        self.note_buried();
        true
    }

    fn restart(&mut self) {
        self.die();
        self.start();
    }

    fn restart_without_store(&mut self) {
        self.die();
        (self.folder, self.stores, self.buried) = (folder(), self.stores + 1, 0);
        self.start();
    }

    fn parent(&mut self, parent: u8, there: bool) {
        let lane = self.lane();
        let how =
            if there { Settled::Delivered { body_hash: "body".into(), identifier: None } } else { Settled::Deleted };
        let seen = Seen { version: Version::Unordered, hash: there.to_string() };
        let (record, scope, key, now) = (0, self.parents, parent.to_string(), lane.now());
        let (is_parent, singles, paired, twin) = (true, true, false, None);
        let settlement = Settlement { record, scope, key, seen, how, is_parent, singles, paired, twin, now };
        self.runtime.block_on(lane.store.settle(settlement)).unwrap();
    }

    fn replay(&mut self) {
        let lane = self.lane();
        let replayed = async {
            let letters = lane.store.dead_letters(0, 1000).await.unwrap();
            lane.store.replay(letters.into_iter().map(|letter| letter.id.into()).collect(), lane.now()).await.unwrap();
        };
        self.runtime.block_on(replayed);
    }

    fn standing(&mut self) -> Standing {
        let held = self.keys("SELECT key FROM queue WHERE id IN (SELECT record FROM outgoing WHERE held = 1)");
        let waiting = &self.keys("SELECT key FROM queue") - &held;
        let now = at(self.world.now()).as_microsecond();
        let awaiting = self.keys(&format!("SELECT key FROM queue WHERE awaits_scope IS NOT NULL AND due > {now}"));
        Standing { waiting, held, dead: self.keys("SELECT key FROM dead_letter"), awaiting }
    }
}
