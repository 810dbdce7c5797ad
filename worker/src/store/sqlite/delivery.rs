//! What delivery asks of the database: claims, intents, and what becomes of a claimed record. What becomes of it is decided in the loop.

use crosstie_engine::delivery::{
    Facts, Failures, Intent, IntentChange, OpenIntent, Postponement, Seen, Settled, idempotency_key,
};
use jiff::Timestamp;
use rusqlite::Row;
use serde::Serialize;

use super::{
    rows::{add, advance, all, document, execute, first, ledger, optional_time, prepare, seen, time, version},
    writer::Session,
};
use crate::store::{Burial, Claim, ClaimGuard, Claimed, NewIntent, ParentKey, ScopeId, Settlement, StoreError};

struct Due {
    id: i64,
    key: String,
    state: (String, String),
    payload: String,
    failures: Option<String>,
}

impl Due {
    fn read(row: &Row) -> rusqlite::Result<Self> {
        let state = (row.get(2)?, row.get(3)?);
        Ok(Self { id: row.get(0)?, key: row.get(1)?, state, payload: row.get(4)?, failures: row.get(5)? })
    }
}

/// See [`Store::claim`](crate::store::Store::claim).
pub fn claim(session: &Session, scope: ScopeId, limit: usize, now: Timestamp) -> Result<Claim, StoreError> {
    let now = now.as_microsecond();
    let mut claim = Claim::default();
    let mut statement = prepare(
        session,
        "SELECT id, key, version, source_hash, payload, failures FROM queue WHERE scope = ?1 AND due <= ?2 ORDER BY due, id",
    )?;
    let mut rows = statement.query((scope.0, now))?;
    while claim.records.len() < limit {
        let Some(row) = rows.next()? else { break };
        let Some(guard) = session.claims.claim(row.get(0)?) else { continue };
        let due = Due::read(row)?;
        if session.claims.was_abandoned(due.id) {
            doubt(session, due.id, now)?;
        }
        claim.records.push(claimed(session, scope, due, guard)?);
    }
    let next =
        first(session, "SELECT min(due) FROM queue WHERE scope = ?1 AND due > ?2", (scope.0, now), |row| row.get(0))?;
    claim.next_due = optional_time(next.flatten())?;
    Ok(claim)
}

/// A send whose outcome nobody stored: its intent is in doubt from now on. Durable by itself, because claiming runs in no transaction.
fn doubt(session: &Session, record: i64, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE intent SET in_doubt_since = max(coalesce(in_doubt_since, ?2), ?2) WHERE record = ?1";
    execute(session, sql, (record, now)).map(|_| ())
}

fn claimed(session: &Session, scope: ScopeId, due: Due, guard: ClaimGuard) -> Result<Claimed, StoreError> {
    let Due { id, key, state, payload, failures } = due;
    let failures = failures.map(|text| document(&text, "record of failures")).transpose()?.unwrap_or_default();
    let seen = seen(state)?;
    let (ledger, intent) = (ledger(session, scope, &key)?, open_intent_of(session, id, &seen)?);
    let facts = Facts { seen, failures, ledger, intent };
    Ok(Claimed { id, scope, key, payload, facts, guard })
}

/// The open intent of a record. One of schema 1 was made of the state that waits in the queue.
fn open_intent_of(session: &Session, record: i64, queued: &Seen) -> Result<Option<OpenIntent>, StoreError> {
    let sql = "SELECT sequence, idempotency_key, stored_at, in_doubt_since, operation, body, body_hash, refused, deletes, version, \
               source_hash FROM intent WHERE record = ?1";
    let row = first(session, sql, [record], |row| {
        let intent: (i64, String, i64, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let write: (String, String, String, bool) = (row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?);
        let state: (bool, Option<String>, Option<String>) = (row.get(8)?, row.get(9)?, row.get(10)?);
        Ok((intent, write, state))
    })?;
    let Some((intent, (operation, body, body_hash, refused), (deletes, version, source_hash))) = row else {
        return Ok(None);
    };
    let (sequence, idempotency_key, stored_at, in_doubt_since) = intent;
    let (stored_at, in_doubt_since) = (time(stored_at)?, optional_time(in_doubt_since)?);
    Ok(Some(OpenIntent {
        intent: Intent { sequence, idempotency_key, stored_at, in_doubt_since },
        operation: document(&operation, "operation")?,
        body: document(&body, "body")?,
        body_hash,
        seen: version.zip(source_hash).map_or_else(|| Ok(queued.clone()), seen)?,
        deletes,
        refused,
    }))
}

fn json(value: &impl Serialize, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Unreadable { what })
}

/// See [`Store::open_intent`](crate::store::Store::open_intent).
pub fn open_intent(session: &mut Session, new: &NewIntent) -> Result<Intent, StoreError> {
    let insert = "INSERT INTO intent (sequence, scope, record, operation, body, body_hash, idempotency_key, stored_at, deletes, version, \
                  source_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let (operation, body) = (json(&new.operation, "operation")?, json(&new.body, "body")?);
    // Stored times have whole microseconds; what is returned is what a restart would read.
    let stored_at = new.now.as_microsecond();
    let sequence = next_sequence(session)?;
    let key = idempotency_key(&session.store_id, &new.flow, &new.key, sequence);
    let state = (new.deletes, new.seen.version.to_string(), &new.seen.hash);
    execute(
        session,
        insert,
        (
            sequence,
            new.scope.0,
            new.record,
            operation,
            body,
            &new.body_hash,
            &key,
            stored_at,
            state.0,
            state.1,
            state.2,
        ),
    )?;
    Ok(Intent { sequence, idempotency_key: key, stored_at: time(stored_at)?, in_doubt_since: None })
}

/// The sequence that AUTOINCREMENT would give next: above all that ever were. Asked for first, because the key is made of it.
fn next_sequence(session: &Session) -> Result<i64, StoreError> {
    let last = first(session, "SELECT seq FROM sqlite_sequence WHERE name = 'intent'", (), |row| row.get::<_, i64>(0))?;
    Ok(last.unwrap_or(0) + 1)
}

/// See [`Store::close_intent`](crate::store::Store::close_intent).
pub fn close_intent(session: &mut Session, sequence: i64) -> Result<(), StoreError> {
    execute(session, "DELETE FROM intent WHERE sequence = ?1", [sequence]).map(|_| ())
}

/// See [`Store::settle`](crate::store::Store::settle).
pub fn settle(session: &mut Session, done: &Settlement) -> Result<(), StoreError> {
    let now = done.now.as_microsecond();
    let (name, body_hash, identifier) = match &done.how {
        Settled::Delivered { body_hash, identifier } => ("delivered", Some(body_hash), identifier.as_ref()),
        Settled::Unchanged { body_hash } => ("unchanged", Some(body_hash), None),
        Settled::LeftOut => ("leftOut", None, None),
        Settled::Deleted => ("deleted", None, None),
        Settled::Superseded => ("superseded", None, None),
    };
    if done.how != Settled::Superseded {
        write_ledger(session, done, (body_hash, identifier))?;
        forget_outdated(session, done)?;
    }
    let was_sent = remove(session, done.record, done.scope.0, &done.key, now)?;
    // A delete of what was never there takes no call.
    let name = if done.how == Settled::Deleted && !was_sent { "leftOut" } else { name };
    add(session, done.scope.0, name, 1, now);
    if done.is_parent {
        let wake = "UPDATE queue SET due = ?3 WHERE awaits_scope = ?1 AND awaits_key = ?2 AND due > ?3";
        execute(session, wake, (done.scope.0, &done.key, now))?;
    }
    Ok(())
}

/// What is settled of a key. A record that is left out stays at the destination as it is; a deleted one leaves a tombstone.
fn write_ledger(
    session: &Session,
    done: &Settlement,
    (body_hash, identifier): (Option<&String>, Option<&String>),
) -> Result<(), StoreError> {
    let now = done.now.as_microsecond();
    let present = match &done.how {
        Settled::Delivered { .. } | Settled::Unchanged { .. } => Some(true),
        Settled::Deleted => Some(false),
        Settled::LeftOut | Settled::Superseded => None,
    };
    let upsert = "INSERT INTO ledger (scope, key, version, source_hash, body_hash, identifier, updated_at, present) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?8, 0)) \
                  ON CONFLICT (scope, key) DO UPDATE SET version = excluded.version, source_hash = excluded.source_hash, \
                  body_hash = CASE WHEN ?9 THEN body_hash ELSE excluded.body_hash END, updated_at = excluded.updated_at, present = coalesce(?8, present), \
                  identifier = CASE WHEN ?8 = 0 THEN NULL ELSE coalesce(excluded.identifier, identifier) END";
    let state = (done.seen.version.to_string(), &done.seen.hash);
    let left_out = done.how == Settled::LeftOut;
    let row = (done.scope.0, &done.key, state.0, state.1, body_hash, identifier, now, present, left_out);
    execute(session, upsert, row).map(|_| ())
}

/// Removes the key's dead letters that the settled state has overtaken: what they hold would never be written any more.
fn forget_outdated(session: &Session, done: &Settlement) -> Result<(), StoreError> {
    let sql = "SELECT id, version FROM dead_letter WHERE scope = ?1 AND key = ?2 AND version IS NOT NULL";
    let letters =
        all(session, sql, (done.scope.0, &done.key), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    for (id, text) in letters {
        if version(&text)?.compare(&done.seen.version).is_some_and(std::cmp::Ordering::is_le) {
            execute(session, "DELETE FROM dead_letter WHERE id = ?1", [id])?;
        }
    }
    Ok(())
}

/// Takes a record out of the queue, with its intent. Says whether there was one.
fn remove(session: &Session, record: i64, scope: i64, key: &str, now: i64) -> Result<bool, StoreError> {
    let intents = execute(session, "DELETE FROM intent WHERE record = ?1", [record])?;
    execute(session, "DELETE FROM queue WHERE id = ?1", [record])?;
    advance(session, scope, key, now)?;
    Ok(intents > 0)
}

/// See [`Store::postpone`](crate::store::Store::postpone).
pub fn postpone(session: &mut Session, record: i64, later: &Postponement) -> Result<(), StoreError> {
    let failed = later.failures != Failures::default();
    let failures = failed.then(|| json(&later.failures, "record of failures")).transpose()?;
    let update = "UPDATE queue SET due = ?2, failures = ?3, by_system = ?4, awaits_scope = NULL WHERE id = ?1";
    execute(session, update, (record, later.due.as_microsecond(), failures, later.by_system))?;
    let change = match later.intent {
        IntentChange::Keep => return Ok(()),
        IntentChange::Close => "DELETE FROM intent WHERE record = ?1",
        IntentChange::Doubt(since) => {
            let doubt = "UPDATE intent SET in_doubt_since = ?2, held = 0 WHERE record = ?1";
            return execute(session, doubt, (record, since.as_microsecond())).map(|_| ());
        }
        IntentChange::Refused => "UPDATE intent SET refused = 1 WHERE record = ?1",
        IntentChange::Hold => "UPDATE intent SET held = 1 WHERE record = ?1",
    };
    execute(session, change, [record]).map(|_| ())
}

/// See [`Store::await_parent`](crate::store::Store::await_parent).
pub fn await_parent(session: &mut Session, record: i64, parent: &ParentKey, due: Timestamp) -> Result<(), StoreError> {
    // It may have come between asking and waiting.
    let due = if is_present(session, parent)? { 0 } else { due.as_microsecond() };
    let update = "UPDATE queue SET due = ?2, by_system = 0, awaits_scope = ?3, awaits_key = ?4 WHERE id = ?1";
    execute(session, update, (record, due, parent.scope.0, &parent.key)).map(|_| ())
}

/// See [`Store::is_present`](crate::store::Store::is_present).
pub fn is_present(session: &Session, parent: &ParentKey) -> Result<bool, StoreError> {
    let sql = "SELECT present FROM ledger WHERE scope = ?1 AND key = ?2";
    Ok(first(session, sql, (parent.scope.0, &parent.key), |row| row.get(0))?.unwrap_or(false))
}

/// See [`Store::bury`](crate::store::Store::bury).
pub fn bury(session: &mut Session, burial: &Burial) -> Result<(), StoreError> {
    let now = burial.now.as_microsecond();
    let found = first(session, "SELECT scope, key FROM queue WHERE id = ?1", [burial.record], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    let Some((scope, key)) = found else { return Ok(()) };
    // What is given up in doubt is the state that was sent: it may have been fetched after the one that waited was read.
    let insert = "INSERT INTO dead_letter (scope, key, version, source_hash, payload, cause, status, request_ids, excerpt, attempts, \
                  first_failed_at, last_failed_at, plan_hash) \
                  SELECT q.scope, q.key, coalesce(i.version, q.version), coalesce(i.source_hash, q.source_hash), q.payload, ?2, ?3, ?4, ?5, \
                  ?6, ?7, ?8, ?9 FROM queue q LEFT JOIN intent i ON i.record = q.id AND i.in_doubt_since IS NOT NULL WHERE q.id = ?1";
    let failures: &Failures = &burial.failures;
    let first_failed_at = failures.first_failed_at.map_or(now, jiff::Timestamp::as_microsecond);
    let request_ids = json(&failures.request_ids, "list of request ids")?;
    let what = (&failures.cause, failures.status, request_ids, &failures.excerpt);
    execute(
        session,
        insert,
        (burial.record, what.0, what.1, what.2, what.3, failures.attempts, first_failed_at, now, &burial.plan_hash),
    )?;
    // A write that was given up in doubt may be there: its state counts as the newest, and what the destination has is not believed any more.
    let forget = "INSERT INTO ledger (scope, key, version, source_hash, body_hash, updated_at, present) \
                  SELECT q.scope, q.key, coalesce(i.version, q.version), coalesce(i.source_hash, q.source_hash), NULL, ?2, 1 \
                  FROM intent i JOIN queue q ON q.id = i.record WHERE i.record = ?1 AND i.in_doubt_since IS NOT NULL \
                  ON CONFLICT (scope, key) DO UPDATE SET version = excluded.version, source_hash = excluded.source_hash, \
                  body_hash = NULL, updated_at = excluded.updated_at, present = 1";
    execute(session, forget, (burial.record, now))?;
    remove(session, burial.record, scope, &key, now)?;
    add(session, scope, "buried", 1, now);
    Ok(())
}

/// See [`Store::hasten`](crate::store::Store::hasten).
pub fn hasten(session: &mut Session, scope: ScopeId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE queue SET due = ?2, by_system = 0 WHERE scope = ?1 AND by_system = 1 AND due > ?2";
    execute(session, sql, (scope.0, now.as_microsecond())).map(|_| ())
}

/// See [`Store::identifier`](crate::store::Store::identifier).
pub fn identifier(session: &Session, scope: ScopeId, key: &str) -> Result<Option<String>, StoreError> {
    let sql = "SELECT identifier FROM ledger WHERE scope = ?1 AND key = ?2";
    Ok(first(session, sql, (scope.0, key), |row| row.get(0))?.flatten())
}
