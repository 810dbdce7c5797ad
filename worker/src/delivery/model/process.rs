//! A worker's process without its loops: a store on a disk, a lane, and records that are carried when a history says so.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use crosstie_connect::Clock;
use crosstie_engine::{
    circuit::Admission,
    delivery::Seen,
    mapping::Mapping,
    plan::{Cursor, Environment, Idempotency, Method, OnUnknownOutcome, Operation, Pagination, StartFrom},
    template::Template,
    version::Version,
    window::{PageSeen, PollState, Position, Turn},
};
use crosstie_histories::{
    Begun, End, FLIGHT_SECONDS, Flight, LOOKBACK_SECONDS, PAGE, RETRIES, SETTLE_SECONDS, Shared, Standing, State,
    Subject, WINDOW_SECONDS,
};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinHandle};
use uuid::Uuid;

use super::{
    super::carry::carry,
    books::{Books, Received},
};
use crate::{
    lane::{Lane, testing},
    slots::Slots,
    store::{
        Incoming, Scope, SharedStore, StoreError, TakenPage,
        sqlite::{DATABASE_FILE, SqliteStore},
    },
};

/// More than can be under way at a time.
const SLOTS: usize = 64;

/// The clock of everyone.
struct Hands(Shared);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        at(self.0.now())
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

struct Call {
    received: Received,
    task: JoinHandle<()>,
}

/// The process.
pub struct Process {
    runtime: Runtime,
    world: Shared,
    mapping: Arc<Mapping>,
    folder: TempDir,
    stores: u128,
    books: Arc<Books>,
    /// None only while the process is started.
    lane: Option<Arc<Lane>>,
    poll: PollState,
    under_way: VecDeque<Call>,
    /// Carried by nobody any more, but not over.
    lost: Vec<JoinHandle<()>>,
    /// Dead letters up to this one are known.
    buried: i64,
}

impl Process {
    pub fn new(world: Shared) -> Self {
        let fields =
            [("id", "record.id"), ("content", "record.content"), ("mark", "record.mark"), ("time", "record.time")];
        let traced = world.get().means.traced;
        let mut process = Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            mapping: testing::mapping(if traced { &fields } else { &fields[..2] }),
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
        let opened = self.runtime.block_on(store.open_scope(scope(), now)).unwrap();
        self.poll = opened.poll;
        let hands = Arc::new(Hands(self.world.clone()));
        let books = Arc::<Books>::clone(&self.books);
        let mut lane = testing::lane(store, opened.id, books, hands, Arc::clone(&self.mapping));
        let means = self.world.get().means;
        let outcome = &mut lane.flow.operation.outcome;
        outcome.idempotency =
            means.key.then(|| Idempotency { header: "Idempotency-Key".into(), window_seconds: WINDOW_SECONDS });
        outcome.lookup = means.look_up.then(|| testing::look_up(SETTLE_SECONDS));
        let path = Template::parse("/orders/{body.id}").unwrap();
        let delete_operation = Operation { method: Method::Delete, path, ..lane.flow.operation.clone() };
        lane.operation = Arc::new(lane.flow.operation.clone());
        lane.delete_operation = Some(Arc::new(delete_operation.clone()));
        lane.flow.delete_operation = Some(delete_operation);
        lane.flow.stream.deleted = Some("/deleted".into());
        let limit = PAGE;
        lane.flow.stream.pagination = Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit };
        lane.flow.stream.cursor = Some(Cursor {
            field: "/time".into(),
            param: "min".into(),
            until_param: None,
            lookback_seconds: LOOKBACK_SECONDS,
        });
        lane.terms.on_unknown = if means.resend { OnUnknownOutcome::Resend } else { OnUnknownOutcome::Hold };
        lane.terms.longest_flight = Duration::from_secs(FLIGHT_SECONDS.into());
        lane.terms.retry.retries = RETRIES;
        lane.slots = Slots::new(SLOTS);
        self.lane = Some(Arc::new(lane));
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

    fn lane(&self) -> Arc<Lane> {
        Arc::clone(self.lane.as_ref().unwrap())
    }

    fn take(&mut self, states: &[State], poll: PollState) {
        let lane = self.lane();
        let now = lane.now();
        let traced = self.world.get().means.traced;
        let records = states.iter().map(|state| {
            let record = state.record(traced);
            let seen = Seen::of(Version::Counter(state.time), &record);
            Incoming::Record { key: state.key.to_string(), seen, payload: record.to_string() }
        });
        let page = TakenPage {
            scope: lane.scope,
            records: records.collect(),
            poll: poll.clone(),
            run: now,
            synced: None,
            now,
        };
        self.runtime.block_on(lane.store.take_page(page)).unwrap();
        self.poll = poll;
        self.world.get().taken(states);
    }

    fn note_buried(&mut self) {
        let letters = self.runtime.block_on(self.lane().store.dead_letters(self.buried, 1000)).unwrap();
        for letter in letters {
            self.buried = letter.id;
            self.world.get().buried(&letter.key);
        }
    }

    fn keys(&self, sql: &str) -> BTreeSet<String> {
        let path = self.folder.path().join(DATABASE_FILE);
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(path, flags).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let keys = statement.query_map([], |row| row.get(0)).unwrap();
        keys.collect::<Result<_, _>>().unwrap()
    }
}

fn scope() -> Scope {
    let (flow, source, destination) = ("orders".into(), "shop".into(), "books".into());
    Scope { flow, source, destination, environment: Environment::Production }
}

/// Syncing is not what is tried here; memory makes many more histories possible.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Subject for Process {
    fn read(&mut self, killed: bool) -> bool {
        let lane = self.lane();
        let stream = &lane.flow.stream;
        let poll = self.poll.opened(stream, StartFrom::Beginning, at(self.world.get().source_now()));
        let Some(window) = &poll.open else { return true };
        let position = match window.next {
            Position::Offset(offset) => usize::try_from(offset).unwrap(),
            Position::First | Position::Url(_) | Position::Cursor(_) => 0,
        };
        let from = window.bounds.from.map(|from| from.as_second() - 1_800_000_000);
        let world = self.world.get();
        let (page, traced) = (world.source.page(from, position, PAGE as usize), world.means.traced);
        drop(world);
        let next = (page.len() == PAGE as usize).then(|| Position::Offset((position + page.len()) as u64));
        let hashes: Vec<String> =
            page.iter().map(|state| Seen::of(Version::Counter(0), &state.record(traced)).hash).collect();
        match poll.turned(stream, &PageSeen { hashes: &hashes, next }) {
            Turn::StepBack(poll) => {
                self.poll = poll;
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
            lane.store.open_scope(scope(), lane.now()).await.unwrap().poll
        });
        let reading = self.poll.clone();
        self.take(&[state], stored);
        self.poll = reading;
    }

    fn begin(&mut self, flight: Flight) -> Begun {
        let lane = self.lane();
        let now = lane.now();
        let probe = match lane.destination_gate.admit(now) {
            Admission::Pass => false,
            Admission::Probe => true,
            Admission::Wait(_) => return Begun::Nothing,
        };
        let claimed = self.runtime.block_on(lane.store.claim(lane.scope, 1, now)).unwrap().records.pop();
        let Some(claimed) = claimed else {
            if probe {
                lane.destination_gate.undecided(now);
            }
            return Begun::Nothing;
        };
        *self.books.flight.lock().unwrap() = flight;
        let books = Arc::clone(&self.books);
        let (task, done) = self.runtime.block_on(async move {
            let slot = lane.slots.take().await;
            let mut task = tokio::spawn(async move { carry(&lane, claimed, probe, slot).await });
            tokio::select! {
                ended = &mut task => {
                    ended.unwrap();
                    (task, true)
                }
                () = books.received.notified() => (task, false),
            }
        });
        if done {
            self.note_buried();
            return Begun::Done;
        }
        let received = self.books.last.lock().unwrap().take();
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
        let Some(Call { received, task }) = call else { return false };
        let now = self.world.now();
        self.world.get().vendor.answered(now, received.answer);
        received.release.send(()).unwrap();
        self.runtime.block_on(task).unwrap();
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

    fn replay(&mut self) {
        let lane = self.lane();
        let replayed = async {
            let letters = lane.store.dead_letters(0, 1000).await.unwrap();
            lane.store.replay(letters.into_iter().map(|letter| letter.id).collect(), lane.now()).await.unwrap();
        };
        self.runtime.block_on(replayed);
    }

    fn standing(&mut self) -> Standing {
        let held = self.keys("SELECT key FROM queue WHERE id IN (SELECT record FROM intent WHERE held = 1)");
        let waiting = &self.keys("SELECT key FROM queue") - &held;
        Standing { waiting, held, dead: self.keys("SELECT key FROM dead_letter") }
    }
}
