//! Open intents as the database keeps them: one row a record, those of a batch under one sequence; operations once each; sequences reserved
//! ahead.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use crosstie_engine::{
    body::Body,
    delivery::{Intent, IntentChange, OpenIntent, Seen, idempotency_key, key_apart},
    plan::Operation,
};
use jiff::Timestamp;
use rusqlite::{Connection, Row};
use serde::Serialize;

use super::{
    rows::{document, execute, first, optional_time, seen, time},
    twins,
    writer::Session,
};
use crate::store::{NewIntent, StoreError};

/// Sequences reserved at a time.
const RESERVED: i64 = 1000;
/// Most operations remembered; a plan has a few.
const MOST_REMEMBERED: usize = 64;

/// What is remembered of the database, so that it is asked seldom. Nothing of it outlives a transaction that was undone.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Stored operations with their numbers.
    operations: RefCell<Vec<(i64, Arc<Operation>)>>,
    /// The next sequence, and the last one that is reserved.
    sequences: Cell<Option<(i64, i64)>>,
    /// Whether it is known that no record at all is set aside.
    nothing_dead: Cell<bool>,
}

impl Remembered {
    /// Forgets everything.
    pub fn forget(&self) {
        self.operations.borrow_mut().clear();
        self.sequences.set(None);
        self.nothing_dead.set(false);
    }

    /// A record was set aside.
    pub fn set_aside(&self) {
        self.nothing_dead.set(false);
    }

    fn number(&self, wanted: &Arc<Operation>) -> Option<i64> {
        let operations = self.operations.borrow();
        let same = operations.iter().find(|(_, operation)| Arc::ptr_eq(operation, wanted));
        same.or_else(|| operations.iter().find(|(_, operation)| operation == wanted)).map(|(number, _)| *number)
    }

    fn operation(&self, wanted: i64) -> Option<Arc<Operation>> {
        let operations = self.operations.borrow();
        operations.iter().find(|(number, _)| *number == wanted).map(|(_, operation)| Arc::clone(operation))
    }

    fn remember(&self, number: i64, operation: Arc<Operation>) {
        let mut operations = self.operations.borrow_mut();
        if operations.len() >= MOST_REMEMBERED {
            operations.clear();
        }
        operations.push((number, operation));
    }
}

/// Whether a record of any key is set aside. Mostly none is, and then those of a key need not be looked for.
pub fn any_dead(session: &Session) -> Result<bool, StoreError> {
    if session.remembered.nothing_dead.get() {
        return Ok(false);
    }
    let any = first(session, "SELECT 1 FROM dead_letter LIMIT 1", (), |_| Ok(()))?.is_some();
    session.remembered.nothing_dead.set(!any);
    Ok(any)
}

/// A document for its column.
pub fn json(value: &impl Serialize, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Unreadable { what })
}

/// The number of an operation, which is stored if it is not yet.
fn number(session: &Session, operation: &Arc<Operation>) -> Result<i64, StoreError> {
    if let Some(number) = session.remembered.number(operation) {
        return Ok(number);
    }
    let document = json(&**operation, "operation")?;
    execute(session, "INSERT INTO operation (document) VALUES (?1) ON CONFLICT DO NOTHING", [&document])?;
    let stored =
        first(session, "SELECT id FROM operation WHERE document = ?1", [&document], |row| row.get::<_, i64>(0))?;
    let number = stored.ok_or(StoreError::Unreadable { what: "operation" })?;
    session.remembered.remember(number, Arc::clone(operation));
    Ok(number)
}

/// A stored operation.
fn operation(session: &Session, number: i64) -> Result<Arc<Operation>, StoreError> {
    if let Some(operation) = session.remembered.operation(number) {
        return Ok(operation);
    }
    let stored =
        first(session, "SELECT document FROM operation WHERE id = ?1", [number], |row| row.get::<_, String>(0))?;
    let operation = Arc::new(document(&stored.unwrap_or_default(), "operation")?);
    session.remembered.remember(number, Arc::clone(&operation));
    Ok(operation)
}

/// A sequence that was never used before. They are reserved ahead: after a crash, some are never used at all.
fn next_sequence(session: &Session) -> Result<i64, StoreError> {
    let (next, reserved) = match session.remembered.sequences.get() {
        Some((next, reserved)) if next <= reserved => (next, reserved),
        Some(_) | None => {
            let reserve = "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'intent' RETURNING seq";
            let reserved = first(session, reserve, [RESERVED], |row| row.get::<_, i64>(0))?;
            let reserved = reserved.ok_or(StoreError::Unreadable { what: "sequence of intents" })?;
            (reserved - RESERVED + 1, reserved)
        }
    };
    session.remembered.sequences.set(Some((next + 1, reserved)));
    Ok(next)
}

/// See [`Store::open_intent`](crate::store::Store::open_intent).
pub fn open(session: &Session, new: &NewIntent) -> Result<Intent, StoreError> {
    let sequence = next_sequence(session)?;
    let key = idempotency_key(&session.store_id, &new.flow, &new.key, sequence);
    insert(session, new, (sequence, &key), 1)
}

/// See [`Store::open_batch`](crate::store::Store::open_batch).
pub fn open_batch(session: &Session, records: &[NewIntent]) -> Result<Vec<Intent>, StoreError> {
    let Some(first) = records.first() else { return Ok(Vec::new()) };
    let sequence = next_sequence(session)?;
    // No record has an empty key.
    let key = idempotency_key(&session.store_id, &first.flow, "", sequence);
    records.iter().map(|new| insert(session, new, (sequence, &key), records.len())).collect()
}

fn insert(session: &Session, new: &NewIntent, (sequence, key): (i64, &str), size: usize) -> Result<Intent, StoreError> {
    let insert = "INSERT INTO outgoing (record, sequence, size, operation, body, body_hash, idempotency_key, stored_at, deletes, version, \
                  source_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    // Stored times have whole microseconds; what is returned is what a restart would read.
    let stored_at = new.now.as_microsecond();
    let operation = number(session, &new.operation)?;
    let state = (new.deletes, new.seen.version.to_string(), &new.seen.hash);
    let what = (operation, new.body.text(), &new.body_hash);
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    if let Some(shown) = &new.shown {
        execute(session, "UPDATE queue SET payload = ?2 WHERE id = ?1", (new.record, &shown.payload))?;
    }
    execute(
        session,
        insert,
        (new.record, sequence, size, what.0, what.1, what.2, key, stored_at, state.0, state.1, state.2),
    )?;
    if let Some(change) = &new.twin {
        twins::begin(session, new.record, change)?;
    }
    Ok(Intent { sequence, idempotency_key: key.to_owned(), stored_at: time(stored_at)?, in_doubt_since: None })
}

/// A row, before anything in it was parsed.
struct Stored {
    intent: (i64, String, i64, Option<i64>),
    operation: i64,
    body: String,
    body_hash: String,
    deletes: bool,
    state: Option<(String, String)>,
    refused: bool,
    size: u32,
    apart: bool,
}

impl Stored {
    fn read(row: &Row) -> rusqlite::Result<Self> {
        let (version, source_hash): (Option<String>, Option<String>) = (row.get(8)?, row.get(9)?);
        Ok(Self {
            intent: (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?),
            operation: row.get(4)?,
            body: row.get(5)?,
            body_hash: row.get(6)?,
            deletes: row.get(7)?,
            state: version.zip(source_hash),
            refused: row.get(10)?,
            size: row.get(11)?,
            apart: row.get(12)?,
        })
    }
}

/// The open intent of a record. One of schema 1 was made of the state that waits in the queue.
pub fn of_record(session: &Session, record: i64, queued: &Seen) -> Result<Option<OpenIntent>, StoreError> {
    let sql = "SELECT sequence, idempotency_key, stored_at, in_doubt_since, operation, body, body_hash, deletes, version, source_hash, \
               refused, size, apart FROM outgoing WHERE record = ?1";
    let Some(stored) = first(session, sql, [record], Stored::read)? else { return Ok(None) };
    let (sequence, idempotency_key, stored_at, in_doubt_since) = stored.intent;
    let (stored_at, in_doubt_since) = (time(stored_at)?, optional_time(in_doubt_since)?);
    Ok(Some(OpenIntent {
        intent: Intent { sequence, idempotency_key, stored_at, in_doubt_since },
        operation: operation(session, stored.operation)?,
        body: Body::read(stored.body).map_err(|_| StoreError::Unreadable { what: "body" })?,
        body_hash: stored.body_hash,
        seen: stored.state.map_or_else(|| Ok(queued.clone()), seen)?,
        deletes: stored.deletes,
        refused: stored.refused,
        size: stored.size,
        apart: stored.apart,
    }))
}

/// A send whose outcome nobody stored: the record's intent is in doubt from now on, and with it every record of its batch. Durable by itself,
/// because claiming runs in no transaction.
pub fn doubt(session: &Session, record: i64, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE outgoing SET in_doubt_since = max(coalesce(in_doubt_since, ?2), ?2) \
               WHERE record = ?1 OR (size > 1 AND sequence = (SELECT sequence FROM outgoing WHERE record = ?1 AND size > 1))";
    execute(session, sql, (record, now)).map(|_| ())
}

/// Closes the intent of a record as not applied. Says whether there was one.
pub fn close(session: &Session, record: i64) -> Result<bool, StoreError> {
    Ok(execute(session, "DELETE FROM outgoing WHERE record = ?1", [record])? > 0)
}

/// What becomes of the intent of a record that waits on.
pub fn change(session: &Session, record: i64, change: IntentChange) -> Result<(), StoreError> {
    match change {
        IntentChange::Keep => Ok(()),
        IntentChange::Close => close(session, record).map(|_| ()),
        IntentChange::Doubt(since) => {
            let doubt = "UPDATE outgoing SET in_doubt_since = ?2, held = 0 WHERE record = ?1";
            execute(session, doubt, (record, since.as_microsecond())).map(|_| ())
        }
        IntentChange::Refused => {
            execute(session, "UPDATE outgoing SET refused = 1 WHERE record = ?1", [record]).map(|_| ())
        }
        IntentChange::Hold => execute(session, "UPDATE outgoing SET held = 1 WHERE record = ?1", [record]).map(|_| ()),
        IntentChange::Apart(since) => take_apart(session, record, since),
    }
}

/// Makes the record's part of a batch an intent of its own, with a key that was never sent.
fn take_apart(session: &Session, record: i64, since: Timestamp) -> Result<(), StoreError> {
    let shared = "SELECT idempotency_key FROM outgoing WHERE record = ?1";
    let Some(shared) = first(session, shared, [record], |row| row.get::<_, String>(0))? else { return Ok(()) };
    // When it was stored stays: look-ups reach back to that.
    let apart = "UPDATE outgoing SET size = 1, apart = 1, idempotency_key = ?2, in_doubt_since = ?3, held = 0 WHERE record = ?1";
    execute(session, apart, (record, key_apart(&shared, record), since.as_microsecond())).map(|_| ())
}

/// Takes batches apart of which records are missing, as a worker of schema 2 leaves them: it resolves each record by itself, and the key of a
/// whole batch says nothing of a part of it.
pub fn take_incomplete_apart(connection: &Connection) -> rusqlite::Result<()> {
    let incomplete = "SELECT record, idempotency_key FROM outgoing o \
                      WHERE size > 1 AND size > (SELECT count(*) FROM outgoing WHERE size > 1 AND sequence = o.sequence)";
    let mut statement = connection.prepare(incomplete)?;
    let parts: rusqlite::Result<Vec<(i64, String)>> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect();
    for (record, shared) in parts? {
        let apart = "UPDATE outgoing SET size = 1, apart = 1, idempotency_key = ?2 WHERE record = ?1";
        connection.execute(apart, (record, key_apart(&shared, record)))?;
    }
    Ok(())
}

/// Removes operations that no open intent refers to.
pub fn forget_operations(session: &Session) -> Result<(), StoreError> {
    session.remembered.operations.borrow_mut().clear();
    execute(session, "DELETE FROM operation WHERE id NOT IN (SELECT operation FROM outgoing)", ()).map(|_| ())
}
