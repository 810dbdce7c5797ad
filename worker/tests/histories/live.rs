//! The worker's process as a history's subject: started, killed, and looked at from outside.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crosstie_engine::rate::Shares;
use crosstie_histories::{Begun, Flight, Shared, Standing, State, Subject};
use crosstie_worker::store::{Store, sqlite::SqliteStore};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{
    clock::{Clock, at, live_through},
    events::Events,
    plan::{SHARE, plan},
    script::Script,
    server::serve,
    wire::unread_by_the_server,
};

/// How long is waited for a write before the history goes on without one.
const IDLE: Duration = Duration::from_millis(60);
/// How long the process may take for what it has to do at some time.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether something happened.
const LOOK: Duration = Duration::from_millis(2);
/// A record waits if it does so for this long.
const WAITS: Duration = Duration::from_millis(60);

/// The process and everything around it.
pub struct Live {
    script: Arc<Script>,
    clock: Arc<Clock>,
    runtime: Runtime,
    /// Where its server listens.
    port: u16,
    folder: TempDir,
    stores: u128,
    process: Option<Child>,
    events: Events,
    customers: u64,
    /// Dead letters up to this one are known.
    buried: i64,
}

impl Live {
    pub fn new(world: Shared) -> Self {
        let clock = Arc::new(Clock::new());
        let script = Arc::new(Script::new(world, Arc::clone(&clock)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handler = Arc::clone(&script);
        let address = runtime.block_on(serve(move |request| Arc::clone(&handler).answer(request)));
        let port = address.port();
        script.served_at(port);
        // Syncing is not what is tried here.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let means = script.world().means;
        let write = |path: &str, content: String| {
            let path = folder.path().join("files").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("plan/plan.json", plan(means, address).to_json());
        write("shares/shares.json", Shares { source: SHARE, destination: SHARE }.to_json());
        for (end, connector) in [("source", "shop"), ("destination", "books")] {
            let document = json!({"connector": connector, "current": {"versionId": "v1", "values": {"token": "t"}}});
            write(&format!("credentials/{end}/credentials.json"), document.to_string());
        }
        let events = Events::new();
        let mut live =
            Self { script, clock, runtime, port, folder, stores: 1, process: None, events, customers: 0, buried: 0 };
        live.start();
        live
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join(format!("state-{}", self.stores))
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_crosstie-worker"))
            .args([
                "--no-report",
                "--listen",
                "127.0.0.1:0",
                "--letters-listen",
                "127.0.0.1:0",
                "--log-format",
                "text",
                "--log-filter",
                "error",
            ])
            .arg("--files")
            .arg(self.folder.path().join("files"))
            .arg("--state")
            .arg(self.state())
            .arg("--webhooks-listen")
            .arg(self.events.listen())
            .envs(self.clock.environment())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        self.until("the process asks for something", || self.script.desk().requests > 0);
    }

    /// SIGKILL. Whatever it was about never ends.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        let mut desk = self.script.desk();
        (desk.life, desk.requests, desk.ticket, desk.on_the_way) = (desk.life + 1, 0, None, 0);
        // The next life decides anew.
        desk.stale = Default::default();
        desk.under_way.clear();
        desk.page = None;
        drop(desk);
        self.script.world().worker_died();
    }

    /// Lets time pass. Writes that left before never arrive; those that leave once it has passed do, so that time alone is no outage: the process
    /// stands still while what it sent is taken in.
    fn leap(&self, seconds: u16) {
        let life = {
            let mut desk = self.script.desk();
            desk.on_the_way += 1;
            desk.life
        };
        self.signal(Signal::STOP);
        self.until_it_stands_still();
        self.until("what it sent is taken in", || !unread_by_the_server(self.port));
        // Whoever took it in has come as far as the desk once something else had its turn.
        self.runtime.block_on(self.runtime.spawn(tokio::task::yield_now())).unwrap();
        self.clock.leap(seconds);
        let mut desk = self.script.desk();
        desk.leaps();
        desk.arrived(life);
        drop(desk);
        self.signal(Signal::CONT);
        live_through(seconds);
    }

    /// After a STOP; or it has ended.
    fn until_it_stands_still(&self) {
        if let Some(process) = &self.process {
            let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(Pid::from_child(process)), stopped).unwrap();
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            kill_process(Pid::from_child(process), signal).unwrap();
        }
    }

    fn until(&self, what: &str, is: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "waited in vain until {what}; the log says: {}", log());
            std::thread::sleep(LOOK);
        }
    }

    /// What is in the store; nothing while there is none.
    fn rows<T>(&self, sql: &str, read: fn(&rusqlite::Row) -> rusqlite::Result<T>) -> Vec<T> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let Ok(connection) = Connection::open_with_flags(self.state().join("store.db"), flags) else {
            return Vec::new();
        };
        connection.busy_timeout(PATIENCE).unwrap();
        let Ok(mut statement) = connection.prepare(sql) else { return Vec::new() };
        statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn keys(&self, sql: &str) -> BTreeSet<String> {
        self.rows(sql, |row| row.get(0)).into_iter().collect()
    }

    /// The rows of orders that are in the queue, by number.
    fn queue(&self) -> BTreeSet<(i64, String)> {
        let sql = "SELECT queue.id, key FROM queue JOIN scope ON scope.id = scope WHERE flow = 'orders'";
        self.rows(sql, |row| Ok((row.get(0)?, row.get(1)?))).into_iter().collect()
    }

    fn note_buried(&mut self) {
        let sql = format!("SELECT id, key FROM dead_letter WHERE id > {} ORDER BY id", self.buried);
        for (id, key) in self.rows(&sql, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))) {
            self.buried = id;
            self.script.world().buried(&key);
        }
    }
}

impl Subject for Live {
    fn pass(&mut self, seconds: u16) {
        if seconds > 10 {
            // A call takes no longer than that.
            while self.finish(false) {}
        }
        if seconds > 0 {
            self.leap(seconds);
        }
        drop(self.script.world());
    }

    fn read(&mut self, killed: bool) -> bool {
        let (pages, windows) = {
            let desk = self.script.desk();
            (desk.pages, desk.windows)
        };
        let deadline = Instant::now() + Duration::from_secs(3);
        // The window that is being read may have begun before.
        let done = || {
            let desk = self.script.desk();
            if killed { desk.pages > pages } else { desk.windows > windows + 1 }
        };
        while !done() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        true
    }

    fn hint(&mut self, state: State) {
        let record = {
            let mut world = self.script.world();
            world.taken(std::slice::from_ref(&state));
            state.told(world.means)
        };
        self.events.send(&record, &self.runtime);
    }

    fn begin(&mut self, flight: Flight) -> Begun {
        let begun = {
            let mut desk = self.script.desk();
            (desk.ticket, desk.flight) = (Some(flight), flight);
            desk.begun
        };
        let deadline = Instant::now() + IDLE;
        while self.script.desk().begun == begun {
            std::thread::sleep(LOOK);
            let mut desk = self.script.desk();
            if Instant::now() > deadline && desk.ticket.take().is_some() {
                desk.flight = Flight::WELL;
                return Begun::Nothing;
            }
        }
        self.script.desk().flight = Flight::WELL;
        Begun::UnderWay
    }

    fn finish(&mut self, newest: bool) -> bool {
        loop {
            let mut desk = self.script.desk();
            let release = if newest { desk.under_way.pop_back() } else { desk.under_way.pop_front() };
            drop(desk);
            // One that nobody waits for any more was answered when its time was over.
            match release.map(|release| release.send(())) {
                None => return false,
                Some(Err(())) => {}
                Some(Ok(())) => return true,
            }
        }
    }

    fn restart(&mut self) {
        self.kill();
        self.start();
    }

    fn restart_without_store(&mut self) {
        self.kill();
        (self.stores, self.buried) = (self.stores + 1, 0);
        self.start();
    }

    fn parent(&mut self, parent: u8, there: bool) {
        let parents = self.script.world().means.parents;
        let mut desk = self.script.desk();
        if !parents || (!there && !desk.customers.contains_key(&parent)) {
            return;
        }
        self.customers += 1;
        desk.customers.insert(parent, (there, self.customers));
        drop(desk);
        let sql = format!(
            "SELECT key FROM ledger JOIN scope ON scope.id = scope WHERE flow = 'customers' AND key = '{parent}' AND present = {}",
            i32::from(there)
        );
        self.until("a customer is settled", || !self.keys(&sql).is_empty());
    }

    fn replay(&mut self) {
        self.kill();
        let now = at(self.clock.now());
        let store = loop {
            match SqliteStore::open(&self.state(), Uuid::from_u128(self.stores), now) {
                Ok(store) => break store,
                Err(error) => assert!(error.to_string().contains("another worker"), "{error}"),
            }
        };
        self.runtime.block_on(async {
            let letters = store.dead_letters(0, 1000).await.unwrap();
            store.replay(letters.into_iter().map(|letter| letter.id.into()).collect(), now).await.unwrap();
            store.close().await.unwrap();
        });
        self.start();
    }

    fn standing(&mut self) -> Standing {
        let before = self.queue();
        std::thread::sleep(WAITS);
        self.note_buried();
        let held = self.keys("SELECT key FROM queue WHERE id IN (SELECT record FROM intent WHERE held = 1)");
        // What came and went meanwhile does not wait.
        let waiting = self.queue().intersection(&before).map(|(_, key)| key.clone()).collect::<BTreeSet<_>>();
        let now = at(self.clock.now()).as_microsecond();
        let awaiting = self.keys(&format!("SELECT key FROM queue WHERE awaits_scope IS NOT NULL AND due > {now}"));
        Standing { waiting: &waiting - &held, held, dead: self.keys("SELECT key FROM dead_letter"), awaiting }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _gone = process.kill();
            let _gone = process.wait();
        }
    }
}
