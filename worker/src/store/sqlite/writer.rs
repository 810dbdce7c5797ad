//! The thread that owns the database. Everything asked of the store becomes a job; changes that wait at the same moment share one
//! transaction, so that one sync makes many of them durable, and each gets its answer after the commit.

use std::{sync::Arc, thread, time::Duration};

use rusqlite::{Connection, config::DbConfig};
use tokio::sync::{mpsc, oneshot};

use super::{
    calls,
    intents::Remembered,
    lock::FolderLock,
    rows::{self, Added, execute},
};
use crate::store::{CallBook, CallsToStore, Claims, StoreError};

/// Most changes in one transaction.
const MOST_IN_A_BATCH: usize = 256;
/// Changes in a transaction from which on the next ones are on their way: those who waited for these go on and bring theirs.
const SEVERAL: usize = 8;
/// How long they are given to come along, so that they share a sync. Much less than a call to a vendor takes.
const GATHERING: Duration = Duration::from_micros(150);
/// Most jobs waiting; whoever asks beyond that waits.
const MOST_WAITING: usize = 1024;

/// What jobs work on.
pub struct Session {
    /// The database.
    pub connection: Connection,
    /// The store's id.
    pub store_id: String,
    /// Numbers of the claimed records. Claims are the process's own: the folder's lock keeps others out.
    pub claims: Arc<Claims>,
    /// Transactions committed so far.
    pub commits: u64,
    /// What the changes of the transaction under way add to the counts; written once, before it is committed.
    pub counts: Vec<Added>,
    /// What need not be asked of the database again.
    pub remembered: Remembered,
    /// Calls that were made and wait to be stored along with whatever is committed next.
    pub calls: Arc<CallBook>,
    /// Those of them that the transaction under way takes along.
    pub writing: CallsToStore,
    /// The damage that was met. What is damaged is not trusted with anything any more and not written to: it is evidence, and what it
    /// still answers may be wrong.
    pub damage: Option<StoreError>,
    /// After how many more statements that change something one fails, in tests.
    #[cfg(test)]
    pub strikes: std::cell::Cell<Option<u32>>,
}

impl Session {
    /// Fails where a test says so.
    #[cfg(test)]
    pub fn strike(&self) -> Result<(), StoreError> {
        let left = self.strikes.get();
        self.strikes.set(left.and_then(|left| left.checked_sub(1)));
        if left == Some(0) { Err(StoreError::Unreadable { what: "what a test strikes" }) } else { Ok(()) }
    }

    /// Does something with the database, unless damage was met before.
    fn work<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        let done = work(self);
        if let Err(damage @ StoreError::Corrupt(_)) = &done {
            self.damage = Some(damage.clone());
        }
        done
    }
}

/// A change that waits, and whoever waits for it. It is made a second time when another one in its transaction failed.
trait Change: Send {
    /// Makes it, and says whether that went well.
    fn make(&mut self, session: &mut Session) -> bool;
    /// Answers, by what it came to and how its transaction ended.
    fn answer(self: Box<Self>, ended: Result<(), StoreError>);
}

struct Waiting<T, F> {
    make: F,
    made: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Change for Waiting<T, F>
where
    T: Send,
    F: FnMut(&mut Session) -> Result<T, StoreError> + Send,
{
    fn make(&mut self, session: &mut Session) -> bool {
        self.made.insert(session.work(&mut self.make)).is_ok()
    }

    fn answer(self: Box<Self>, ended: Result<(), StoreError>) {
        let answer = match (self.made, ended) {
            (Some(Ok(made)), Ok(())) => Ok(made),
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Undone),
        };
        // Whoever asked may be gone; the change stands all the same.
        let _gone = self.answer.send(answer);
    }
}

enum Job {
    /// Changes something: runs inside the batch's transaction, and is answered after its commit.
    Change(Box<dyn Change>),
    /// Changes nothing: runs after the batch's commit, so that it never sees what may still be undone.
    Look(Box<dyn FnOnce(&mut Session) + Send>),
    /// Ends the thread.
    Close(oneshot::Sender<()>),
}

/// Asks the thread.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread. It ends when it is closed or the last `Writer` is dropped, and then releases the lock.
    pub fn start(session: Session, lock: FolderLock) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(MOST_WAITING);
        thread::Builder::new().name("store".to_owned()).spawn(move || run(session, waiting, lock))?;
        Ok(Self { jobs })
    }

    /// Makes a change, and answers once it is durable. `make` may be called twice; what the first call did is then undone.
    pub async fn change<T, F>(&self, make: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Session) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let change = Waiting { make, made: None, answer: sender };
        self.jobs.send(Job::Change(Box::new(change))).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads what is durable.
    pub async fn look<T, F>(&self, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let job = Job::Look(Box::new(move |session| {
            let _gone = sender.send(session.work(look));
        }));
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Ends the thread after what waits, and waits for its end.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (sender, done) = oneshot::channel();
        self.jobs.send(Job::Close(sender)).await.map_err(|_| StoreError::Closed)?;
        done.await.map_err(|_| StoreError::Closed)
    }
}

fn run(mut session: Session, mut jobs: mpsc::Receiver<Job>, lock: FolderLock) {
    let mut closing = None;
    let mut before = 0;
    while closing.is_none() {
        let Some(first) = jobs.blocking_recv() else { break };
        if before >= SEVERAL {
            thread::sleep(GATHERING);
        }
        let mut changes = Vec::new();
        let mut looks = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Change(change) => changes.push(change),
                Job::Look(look) => looks.push(look),
                Job::Close(done) => {
                    closing = Some(done);
                    break;
                }
            }
            next = if changes.len() < MOST_IN_A_BATCH { jobs.try_recv().ok() } else { None };
        }
        before = changes.len();
        commit(&mut session, changes);
        for look in looks {
            look(&mut session);
        }
    }
    drop(jobs);
    let Session { connection, damage, .. } = session;
    if let Err(error) = fold_or_leave(&connection, damage.is_some()) {
        tracing::warn!(%error, "the store's log was not folded into the database; the next start does it");
    }
    drop(connection);
    drop(lock);
    if let Some(done) = closing {
        let _gone = done.send(());
    }
}

/// Folds the log into the database at the end; beside damage both stay as they are.
fn fold_or_leave(connection: &Connection, damaged: bool) -> rusqlite::Result<()> {
    if damaged {
        return connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(|_| ());
    }
    connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))
}

/// Makes changes durable together. One that fails must not undo the others: then each gets a transaction of its own. Failures are rare, and
/// savepoints around each change would copy every page it touches.
fn commit(session: &mut Session, mut changes: Vec<Box<dyn Change>>) {
    match transaction(session, &mut changes) {
        Ended::ByFailure if changes.len() > 1 => {
            for mut change in changes {
                let ended = transaction(session, std::slice::from_mut(&mut change));
                change.answer(ended.answer());
            }
        }
        ended => changes.into_iter().for_each(|change| change.answer(ended.answer())),
    }
}

/// How a transaction ended.
enum Ended {
    /// It is durable.
    Committed,
    /// A change in it failed, and all of it is undone.
    ByFailure,
    /// It could not be begun or committed, and all of it is undone.
    Undone(StoreError),
}

impl Ended {
    fn answer(&self) -> Result<(), StoreError> {
        match self {
            Self::Committed => Ok(()),
            Self::ByFailure => Err(StoreError::Undone),
            Self::Undone(error) => Err(error.clone()),
        }
    }
}

fn transaction(session: &mut Session, changes: &mut [Box<dyn Change>]) -> Ended {
    if changes.is_empty() {
        return Ended::Committed;
    }
    if let Err(error) = session.work(|session| execute(session, "BEGIN IMMEDIATE", ())) {
        return Ended::Undone(error);
    }
    let ended = if !changes.iter_mut().all(|change| change.make(session)) {
        Ended::ByFailure
    } else if session.connection.is_autocommit() {
        // Some failures, such as a full disk, undo the whole transaction.
        Ended::Undone(StoreError::Undone)
    } else {
        let committed = session.work(|session| {
            rows::write_counts(session)?;
            calls::write(session)?;
            execute(session, "COMMIT", ())
        });
        committed.map_or_else(Ended::Undone, |_| Ended::Committed)
    };
    session.counts.clear();
    let writing = std::mem::take(&mut session.writing);
    if !matches!(ended, Ended::Committed) {
        session.remembered.forget();
        session.calls.give_back(writing);
    }
    match ended {
        Ended::Committed => session.commits += 1,
        Ended::ByFailure | Ended::Undone(_) if !session.connection.is_autocommit() => {
            // A rollback that fails leaves nothing behind either: the log without a commit is ignored.
            let _failed = session.connection.execute_batch("ROLLBACK");
        }
        Ended::ByFailure | Ended::Undone(_) => {}
    }
    ended
}
