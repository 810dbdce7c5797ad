//! The thread that owns the database. Everything asked of the store becomes a job; changes that wait at the same moment share one
//! transaction, so that one sync makes many of them durable, and each gets its answer after the commit.

use std::{sync::Arc, thread};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::lock::FolderLock;
use crate::store::{Claims, StoreError};

/// Most changes in one transaction.
const MOST_IN_A_BATCH: usize = 256;
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
}

/// A change that waits. It is told when its batch could not begin, and answers whoever asked in what it returns.
type Change = Box<dyn FnOnce(Result<&mut Session, StoreError>) -> Finish + Send>;
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

enum Job {
    /// Changes something: runs inside the batch's transaction, and is answered after its commit.
    Change(Change),
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

    /// Makes a change, and answers once it is durable.
    pub async fn change<T, F>(&self, make: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let job = Job::Change(Box::new(move |session| {
            let made = session.and_then(|session| within_savepoint(session, make));
            Box::new(move |committed| {
                // Whoever asked may be gone; the change stands all the same.
                let _gone = sender.send(made.and_then(|answer| committed.map(|()| answer)));
            })
        }));
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
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
            let _gone = sender.send(look(session));
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
    while closing.is_none() {
        let Some(first) = jobs.blocking_recv() else { break };
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
        commit(&mut session, changes);
        for look in looks {
            look(&mut session);
        }
    }
    drop(jobs);
    let Session { connection, .. } = session;
    if let Err(error) = connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(())) {
        tracing::warn!(%error, "the store's log was not folded into the database; the next start does it");
    }
    drop(connection);
    drop(lock);
    if let Some(done) = closing {
        let _gone = done.send(());
    }
}

fn commit(session: &mut Session, changes: Vec<Change>) {
    if changes.is_empty() {
        return;
    }
    let begun = session.connection.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from);
    let finishes: Vec<Finish> =
        changes.into_iter().map(|change| change(begun.clone().map(|()| &mut *session))).collect();
    let committed = match begun {
        Ok(()) if session.connection.is_autocommit() => Err(StoreError::Undone),
        Ok(()) => session.connection.execute_batch("COMMIT").map_err(StoreError::from),
        Err(error) => Err(error),
    };
    session.commits += u64::from(committed.is_ok());
    if committed.is_err() && !session.connection.is_autocommit() {
        // A rollback that fails leaves nothing behind either: the log without a commit is ignored.
        let _failed = session.connection.execute_batch("ROLLBACK");
    }
    for finish in finishes {
        finish(committed.clone());
    }
}

/// Runs one change so that its failure undoes it alone and not its whole batch.
fn within_savepoint<T>(
    session: &mut Session,
    make: impl FnOnce(&mut Session) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Some failures, such as a full disk, undo the whole transaction. A savepoint would then begin, and commit, one of its own.
    if session.connection.is_autocommit() {
        return Err(StoreError::Undone);
    }
    session.connection.execute_batch("SAVEPOINT change")?;
    let made = make(session);
    if session.connection.is_autocommit() {
        return made.and(Err(StoreError::Undone));
    }
    let end = if made.is_err() { "ROLLBACK TO change; RELEASE change" } else { "RELEASE change" };
    session.connection.execute_batch(end)?;
    made
}
