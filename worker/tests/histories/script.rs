//! Source and books as the history scripts them: each request is answered out of the world; a write waits until the history says what becomes
//! of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::{Duration, Instant},
};

use crosstie_histories::{
    BatchAnswer, End, FetchAnswer, Flight, LookUpAnswer, Means, Message, Shared, State, World, WriteAnswer,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::sleep};

use super::{
    clock::{Clock, at, second},
    server::{Answer, Request},
    wire::unread_by_the_process,
};

/// How often it is looked whether something happened.
const LOOK: Duration = Duration::from_millis(1);
/// How long the process may send on by what it knew before it read an answer.
const TAKES_IN: Duration = Duration::from_millis(40);
/// For how long a write waits for the history, in the world's seconds; less than the worker waits for an answer.
const PATIENCE: i64 = 15;
/// Longest wait that the worker is asked for, in seconds.
const LONGEST_WAIT: u8 = 30;

/// What the handlers share with the history.
pub struct Script {
    world: Shared,
    clock: Arc<Clock>,
    means: Means,
    /// Where the server of this script listens.
    port: OnceLock<u16>,
    desk: Mutex<Desk>,
}

/// What is on the desk.
pub struct Desk {
    /// What is to become of the next write.
    pub ticket: Option<Flight>,
    /// What becomes of other calls meanwhile.
    pub flight: Flight,
    /// Writes that took a ticket and of which is known what came.
    pub begun: u64,
    /// Writes that were received and are not answered yet, oldest first.
    pub under_way: VecDeque<oneshot::Sender<()>>,
    /// Which life of the process this is.
    pub life: u64,
    /// Requests in this life.
    pub requests: u64,
    /// Windows that were read to their ends, of orders.
    pub windows: u64,
    /// Pages of orders.
    pub pages: u64,
    /// Writes that left before this moment never arrive.
    pub lost_before: Instant,
    /// How many things are on their way that the process has to know before its writes count. Meanwhile they never arrive.
    pub on_the_way: u32,
    /// Idempotency keys that came so far.
    pub keys: BTreeSet<String>,
    /// Those of them that came before time was last leapt over, and how many pages had been asked for then.
    pub stale: (BTreeSet<String>, u64),
    /// The last page of orders in this life.
    pub page: Option<Page>,
    /// What orders depend on: whether each is there, and its version.
    pub customers: BTreeMap<u8, (bool, u64)>,
}

/// A page that was shown. That the worker took it shows when it asks for what comes after it.
pub struct Page {
    from: Option<i64>,
    offset: usize,
    is_last: bool,
    states: Vec<State>,
}

impl Page {
    /// Whether a request is for what comes after it: a later place in the same window, or another window after the last page.
    fn is_followed_by(&self, from: Option<i64>, offset: usize) -> bool {
        if from == self.from { offset > self.offset } else { self.is_last }
    }
}

impl Script {
    pub fn new(world: Shared, clock: Arc<Clock>) -> Self {
        let means = world.get().means;
        let desk = Desk {
            ticket: None,
            flight: Flight::WELL,
            begun: 0,
            under_way: VecDeque::new(),
            life: 0,
            requests: 0,
            windows: 0,
            pages: 0,
            lost_before: Instant::now(),
            on_the_way: 0,
            keys: BTreeSet::new(),
            stale: (BTreeSet::new(), 0),
            page: None,
            customers: BTreeMap::new(),
        };
        Self { world, clock, means, port: OnceLock::new(), desk: Mutex::new(desk) }
    }

    /// Tells where the server of this script listens.
    pub fn served_at(&self, port: u16) {
        self.port.set(port).unwrap();
    }

    pub fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    /// The world at this moment.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let now = self.clock.now();
        let mut world = self.world.get();
        world.catch_up(now);
        world
    }

    /// Answers a request; none closes the connection.
    pub async fn answer(self: Arc<Self>, request: Request) -> Option<Answer> {
        let life = {
            let mut desk = self.desk();
            desk.requests += 1;
            desk.life
        };
        let path: Vec<String> = request.path.split('/').skip(1).map(ToOwned::to_owned).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["shop", "orders"]) => Some(self.page(&request)),
            ("GET", ["shop", "orders", key]) => Some(self.single(key)),
            ("GET", ["shop", "customers"]) => Some(self.customers(&request)),
            ("GET", ["books", "orders", id]) => Some(self.look_up(id, &request)),
            ("PUT", ["books", "orders", _]) => self.write(Sent::one(request.body.clone(), false), &request, life).await,
            ("DELETE", ["books", "orders", id]) => {
                self.write(Sent::one(self.body(id, &request), true), &request, life).await
            }
            ("POST", ["books", "orders", "batch"]) => self.write(Sent::several(&request.body), &request, life).await,
            ("PUT" | "DELETE", ["books", "customers", _]) => Some(self.said(200, json!({}))),
            _ => panic!("nobody asks this: {request:?}"),
        }
    }

    fn said(&self, status: u16, body: Value) -> Answer {
        Answer { status, retry_after: None, body, date: at(self.world().now) }
    }

    fn of_source(&self, status: u16, body: Value) -> Answer {
        let date = at(self.world().source_now());
        Answer { date, ..self.said(status, body) }
    }

    fn page(&self, request: &Request) -> Answer {
        let (offset, limit) = span(request);
        let from = request.query.get("min").map(|text| second(text.parse::<Timestamp>().unwrap()));
        // A request for one record asks for the time.
        let reads = limit > 1;
        let before = if reads { self.desk().page.take() } else { None };
        let page = {
            let mut world = self.world();
            let page = world.page(from, offset, limit);
            if reads {
                world.show(&page);
            }
            if let Some(before) = before.filter(|before| before.is_followed_by(from, offset)) {
                world.taken(&before.states);
            }
            page
        };
        if reads {
            let mut desk = self.desk();
            desk.pages += 1;
            desk.windows += u64::from(page.len() < limit);
            desk.page = Some(Page { from, offset, is_last: page.len() < limit, states: page.clone() });
        }
        self.of_source(200, page.iter().map(|state| state.record(self.means)).collect())
    }

    fn customers(&self, request: &Request) -> Answer {
        let (offset, limit) = span(request);
        let customers = self.desk().customers.clone();
        let record = |(id, (there, version)): (&u8, &(bool, u64))| json!({"id": id.to_string(), "time": version, "deleted": !there});
        self.of_source(200, customers.iter().skip(offset).take(limit).map(record).collect())
    }

    fn single(&self, key: &str) -> Answer {
        let fetch = self.desk().flight.fetch;
        let answer = self.world().fetch(key, fetch);
        match answer {
            FetchAnswer::Shown(state) => self.of_source(200, state.record(self.means)),
            FetchAnswer::Absent => self.of_source(404, json!({})),
            FetchAnswer::Failed => self.of_source(503, json!({})),
        }
    }

    fn look_up(&self, id: &str, request: &Request) -> Answer {
        let look = self.desk().flight.look;
        let body = self.body(id, request);
        let answer = {
            let mut world = self.world();
            let now = world.now;
            world.vendor.look_up(now, &body, look, None)
        };
        match answer {
            LookUpAnswer::Present(body) => self.said(200, body),
            LookUpAnswer::Absent => self.said(404, json!({})),
            LookUpAnswer::Stranger => self.said(200, json!({"id": "another"})),
            LookUpAnswer::Several => self.said(200, json!({"id": [id, id]})),
            LookUpAnswer::Failed => self.said(503, json!({})),
        }
    }

    /// The body that a call is about, by what it says in its URL.
    fn body(&self, id: &str, request: &Request) -> Value {
        let mut body = json!({"id": id, "content": request.query["content"]});
        for field in State::TRACE.into_iter().filter(|_| self.means.traced) {
            body[field] = request.query[field].parse::<i64>().unwrap().into();
        }
        if let Some(parent) = State::parent(id.parse().unwrap(), self.means) {
            body["parent"] = parent.to_string().into();
        }
        body
    }

    async fn write(self: &Arc<Self>, sent: Sent, request: &Request, life: u64) -> Option<Answer> {
        let key = request.headers.get("idempotency-key");
        if key.is_some_and(|key| self.desk().is_stale(key)) {
            return None;
        }
        let flight = self.ticket(life).await?;
        let answer = (flight.end != End::KilledBefore).then(|| {
            let mut world = self.world();
            let (now, key, stored) = (world.now, key.map(String::as_str), flight.end == End::Stored);
            match &sent {
                Sent::One(message) => BatchAnswer::Whole(world.vendor.write(now, message, key, flight, stored)),
                Sent::Several(messages) => world.vendor.write_batch(now, messages, key, flight, stored),
            }
        });
        let (release, released) = oneshot::channel();
        {
            let mut desk = self.desk();
            if flight.end == End::Stored {
                desk.under_way.push_back(release);
            }
            desk.begun += 1;
        }
        match flight.end {
            End::Abandoned => return None,
            End::KilledBefore | End::KilledAfter => {
                while self.desk().life == life {
                    sleep(LOOK).await;
                }
                return None;
            }
            End::Stored => {}
        }
        let deadline = self.clock.now() + PATIENCE;
        tokio::select! {
            _ = released => {}
            () = async { while self.clock.now() < deadline { sleep(LOOK).await } } => {}
        }
        match answer? {
            BatchAnswer::Rows(rows) => Some(self.said(200, rows_said(&rows))),
            BatchAnswer::Whole(answer) => self.answered(answer, sent.deletes(), life),
        }
    }

    /// Waits for what the history says becomes of a write. None when it never arrives.
    async fn ticket(&self, life: u64) -> Option<Flight> {
        let (left, deadline) = (Instant::now(), self.clock.now() + PATIENCE);
        loop {
            {
                let mut desk = self.desk();
                let lost = desk.on_the_way > 0 || left < desk.lost_before;
                if desk.life != life || lost || self.clock.now() > deadline {
                    return None;
                }
                if let Some(flight) = desk.ticket.take() {
                    return Some(flight);
                }
            }
            sleep(LOOK).await;
        }
    }

    /// An answer leaves.
    fn answered(self: &Arc<Self>, answer: WriteAnswer, deletes: bool, life: u64) -> Option<Answer> {
        Some(match answer {
            WriteAnswer::Applied => self.said(200, json!({})),
            WriteAnswer::Refused => self.said(422, json!({})),
            WriteAnswer::Failed => self.said(503, json!({})),
            WriteAnswer::TimedOut | WriteAnswer::NeverLeft => return None,
            // A worker that is asked to wait makes no call to that system: for so long, that would not be for the deletes' sake.
            WriteAnswer::Limited(seconds) if seconds > LONGEST_WAIT => self.said(503, json!({})),
            WriteAnswer::Limited(seconds) => {
                let now = self.world().now;
                // What left before the answer was read there is no fault.
                self.desk().on_the_way += 1;
                let script = Arc::clone(self);
                tokio::spawn(async move {
                    while unread_by_the_process(*script.port.get().unwrap()) {
                        sleep(LOOK).await;
                    }
                    sleep(TAKES_IN).await;
                    let lives = script.desk().arrived(life);
                    if lives {
                        script.world().vendor.answered(now, deletes, answer);
                    }
                });
                Answer { retry_after: Some(seconds), ..self.said(429, json!({})) }
            }
        })
    }
}

/// What a request writes.
enum Sent {
    One(Message),
    Several(Vec<Message>),
}

impl Sent {
    fn one(body: Value, deletes: bool) -> Self {
        Self::One(Message { body, deletes })
    }

    fn several(body: &Value) -> Self {
        let items = body["items"].as_array().unwrap();
        Self::Several(items.iter().map(|body| Message { body: body.clone(), deletes: false }).collect())
    }

    fn deletes(&self) -> bool {
        match self {
            Self::One(message) => message.deletes,
            Self::Several(_) => false,
        }
    }
}

/// What is said of each record of a batch.
fn rows_said(rows: &[bool]) -> Value {
    let row = |applied: &bool| json!({"status": if *applied { 200 } else { 422 }});
    json!({"rows": rows.iter().map(row).collect::<Vec<_>>()})
}

/// Pages that the process asks for, after it stood still, before what it sends is known to be decided by the new time.
const AWAKE: u64 = 2;

impl Desk {
    /// Time is about to be leapt over.
    pub fn leaps(&mut self) {
        self.stale = (self.keys.clone(), self.pages);
    }

    /// Takes note of a key. Says whether its write never arrives: it was sent before, and the process may have looked at the key's window, then stood
    /// still for longer than that, and then sent it. A process that is held between a look at the clock and a send is beyond what a
    /// key can protect from (`docs/delivery.md`).
    fn is_stale(&mut self, key: &str) -> bool {
        self.keys.insert(key.to_owned());
        let (stale, pages) = &self.stale;
        stale.contains(key) && self.pages < pages + AWAKE
    }

    /// Something arrived that was on its way in this life of the process. Says whether that one still lives.
    pub fn arrived(&mut self, life: u64) -> bool {
        let lives = self.life == life;
        if lives {
            self.on_the_way -= 1;
            self.lost_before = Instant::now();
        }
        lives
    }
}

fn span(request: &Request) -> (usize, usize) {
    let number = |name: &str| request.query[name].parse().unwrap();
    (number("offset"), number("limit"))
}
