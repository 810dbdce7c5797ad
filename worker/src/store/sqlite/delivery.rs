//! What delivery asks of the database: claims, intents, and what becomes of a claimed record. What becomes of it is decided in the loop.

use std::sync::Arc;

use crosstie_engine::{
    delivery::{Facts, Failures, Postponement, Settled, outdates},
    version::Version,
};
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::{
    intake::dead_letters,
    intents::{self, json},
    rows::{add, advance, all, document, execute, first, ledger, optional_time, prepare, seen},
    twins,
    writer::Session,
};
use crate::store::{
    Burial, Claim, ClaimGuard, Claimed, MOST_DEAD_LETTERS, ParentKey, ScopeId, Settlement, StoreError, Verdict,
};

struct Due {
    id: i64,
    key: String,
    state: (String, String),
    payload: Arc<str>,
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
    let full = dead_letters(session, scope)? >= MOST_DEAD_LETTERS;
    let mut claim = Claim { full, ..Claim::default() };
    let due = if claim.full {
        "SELECT id, key, queue.version, queue.source_hash, payload, failures FROM outgoing JOIN queue ON id = record \
         WHERE scope = ?1 AND due <= ?2 ORDER BY due, id"
    } else {
        "SELECT id, key, version, source_hash, payload, failures FROM queue WHERE scope = ?1 AND due <= ?2 ORDER BY due, id"
    };
    let mut statement = prepare(session, due)?;
    let mut rows = statement.query((scope.0, now))?;
    while claim.records.len() < limit {
        let Some(row) = rows.next()? else { break };
        let Some(guard) = session.claims.claim(row.get(0)?) else { continue };
        let due = Due::read(row)?;
        if session.claims.was_abandoned(due.id) {
            intents::doubt(session, due.id, now)?;
        }
        let head = claimed(session, scope, due, guard)?;
        let batch = head.facts.intent.as_ref().filter(|open| open.size > 1).map(|open| open.intent.sequence);
        match batch {
            None => claim.records.push(head),
            Some(batch) => claim.records.extend(whole(session, scope, batch, head)?),
        }
    }
    let next =
        first(session, "SELECT min(due) FROM queue WHERE scope = ?1 AND due > ?2", (scope.0, now), |row| row.get(0))?;
    claim.next_due = optional_time(next.flatten())?;
    Ok(claim)
}

/// All records of a batch; none of them when one is still in somebody's hands.
fn whole(session: &Session, scope: ScopeId, batch: i64, head: Claimed) -> Result<Vec<Claimed>, StoreError> {
    let sql = "SELECT id, key, queue.version, queue.source_hash, payload, failures FROM outgoing JOIN queue ON id = record \
               WHERE sequence = ?1 AND size > 1 ORDER BY id";
    let mut records = Vec::new();
    let mut head = Some(head);
    for due in all(session, sql, [batch], Due::read)? {
        if let Some(head) = head.take_if(|head| head.id == due.id) {
            records.push(head);
        } else if let Some(guard) = session.claims.claim(due.id) {
            records.push(claimed(session, scope, due, guard)?);
        } else {
            return Ok(Vec::new());
        }
    }
    Ok(records)
}

fn claimed(session: &Session, scope: ScopeId, due: Due, guard: ClaimGuard) -> Result<Claimed, StoreError> {
    let Due { id, key, state, payload, failures } = due;
    let failures = failures.map(|text| document(&text, "record of failures")).transpose()?.unwrap_or_default();
    let seen = seen(state)?;
    let (ledger, intent) = (ledger(session, scope, &key)?, intents::of_record(session, id, &seen)?);
    let facts = Facts { seen, failures, ledger, intent };
    Ok(Claimed { id, scope, key, payload, shown: None, facts, twin: None, guard })
}

/// See [`Store::settle`](crate::store::Store::settle).
pub fn settle(session: &mut Session, done: &Settlement) -> Result<(), StoreError> {
    let now = done.now.as_microsecond();
    let (name, body_hash, identifier) = match &done.how {
        Settled::Delivered { body_hash, identifier } => ("delivered", Some(body_hash), identifier.as_ref()),
        Settled::Unchanged { body_hash } => ("unchanged", Some(body_hash), None),
        Settled::LeftOut | Settled::Missing => ("leftOut", None, None),
        Settled::Deleted => ("deleted", None, None),
        Settled::Superseded => ("superseded", None, None),
    };
    if done.how != Settled::Superseded {
        write_ledger(session, done, (body_hash, identifier))?;
        forget_outdated(session, done)?;
    }
    let counted = done.paired && twins::settled(session, done)?;
    let was_sent = remove(session, done.record, done.scope.0, &done.key, now)?;
    // A delete of what was never there takes no call.
    let name = if done.how == Settled::Deleted && !was_sent { "leftOut" } else { name };
    if !counted {
        add(session, done.scope.0, name, 1, now);
    }
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
        Settled::Missing | Settled::Deleted => Some(false),
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

/// Removes the key's dead letters that the settled state leaves nothing to do about.
fn forget_outdated(session: &Session, done: &Settlement) -> Result<(), StoreError> {
    if !intents::any_dead(session)? {
        return Ok(());
    }
    let sql = "SELECT id, version, source_hash FROM dead_letter WHERE scope = ?1 AND key = ?2 AND version IS NOT NULL";
    let letters =
        all(session, sql, (done.scope.0, &done.key), |row| Ok((row.get::<_, i64>(0)?, (row.get(1)?, row.get(2)?))))?;
    for (id, dead) in letters {
        if outdates(&done.seen, &seen(dead)?, done.singles) {
            execute(session, "DELETE FROM dead_letter WHERE id = ?1", [id])?;
        }
    }
    Ok(())
}

/// Takes a record out of the queue, with its intent. Says whether there was one.
fn remove(session: &Session, record: i64, scope: i64, key: &str, now: i64) -> Result<bool, StoreError> {
    let had_intent = intents::close(session, record)?;
    execute(session, "DELETE FROM queue WHERE id = ?1", [record])?;
    advance(session, scope, key, now)?;
    Ok(had_intent)
}

/// See [`Store::conclude`](crate::store::Store::conclude).
pub fn conclude(session: &mut Session, verdicts: &[Verdict]) -> Result<(), StoreError> {
    verdicts.iter().try_for_each(|verdict| match verdict {
        Verdict::Settle(settlement) => settle(session, settlement),
        Verdict::Postpone(record, postponement) => postpone(session, *record, postponement),
        Verdict::Bury(burial) => bury(session, burial),
    })
}

/// See [`Store::postpone`](crate::store::Store::postpone).
pub fn postpone(session: &mut Session, record: i64, later: &Postponement) -> Result<(), StoreError> {
    let failed = later.failures != Failures::default();
    let failures = failed.then(|| json(&later.failures, "record of failures")).transpose()?;
    let update = "UPDATE queue SET due = ?2, failures = ?3, by_system = ?4, awaits_scope = NULL WHERE id = ?1";
    execute(session, update, (record, later.due.as_microsecond(), failures, later.by_system))?;
    intents::change(session, record, later.intent)
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
    let there = first(session, sql, (parent.scope.0, &parent.key), |row| row.get(0))?.unwrap_or(false);
    Ok(there || twins::identifier(session, parent.scope, &parent.key)?.is_some())
}

/// What is set aside.
struct Aside {
    scope: i64,
    key: String,
    version: String,
    source_hash: String,
    in_doubt: bool,
}

/// The state that is set aside. What is given up in doubt is the state that was sent: it may have been fetched after the one that waited was read.
/// For word of a record it is what its source showed, where that has a version; else what waited.
fn aside(session: &Session, burial: &Burial) -> Result<Option<Aside>, StoreError> {
    let sql = "SELECT q.scope, q.key, coalesce(i.version, q.version), coalesce(i.source_hash, q.source_hash), i.record IS NOT NULL \
               FROM queue q LEFT JOIN outgoing i ON i.record = q.id AND i.in_doubt_since IS NOT NULL WHERE q.id = ?1";
    let found = first(session, sql, [burial.record], |row| {
        let (scope, key, version, source_hash) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Aside { scope, key, version, source_hash, in_doubt: row.get(4)? })
    })?;
    let shown = burial.shown.as_ref().map(|shown| &shown.seen).filter(|seen| seen.version != Version::Unordered);
    Ok(found.map(|found| match shown {
        Some(seen) if !found.in_doubt && found.version == Version::Unordered.to_string() => {
            Aside { version: seen.version.to_string(), source_hash: seen.hash.clone(), ..found }
        }
        Some(_) | None => found,
    }))
}

/// See [`Store::bury`](crate::store::Store::bury).
pub fn bury(session: &mut Session, burial: &Burial) -> Result<(), StoreError> {
    let now = burial.now.as_microsecond();
    let Some(Aside { scope, key, version, source_hash, in_doubt }) = aside(session, burial)? else { return Ok(()) };
    // A state lies there once, in the place of when it was last set aside.
    let same = "DELETE FROM dead_letter WHERE scope = ?1 AND key = ?2 AND version = ?3 AND source_hash = ?4";
    execute(session, same, (scope, &key, &version, &source_hash))?;
    let insert = "INSERT INTO dead_letter (scope, key, version, source_hash, payload, cause, status, request_ids, excerpt, attempts, \
                  first_failed_at, last_failed_at, plan_hash) \
                  SELECT scope, key, ?2, ?3, coalesce(?4, payload), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 FROM queue WHERE id = ?1";
    let failures: &Failures = &burial.failures;
    let first_failed_at = failures.first_failed_at.map_or(now, jiff::Timestamp::as_microsecond);
    let request_ids = json(&failures.request_ids, "list of request ids")?;
    let shown = burial.shown.as_ref().map(|shown| &shown.payload);
    let Failures { cause, status, excerpt, attempts, .. } = failures;
    let row = params![
        burial.record,
        version,
        source_hash,
        shown,
        cause,
        status,
        request_ids,
        excerpt,
        attempts,
        first_failed_at,
        now,
        burial.plan_hash
    ];
    execute(session, insert, row)?;
    session.remembered.set_aside();
    // A write that was given up in doubt may be there: its state counts as the newest, and what the destination has is not believed any more.
    let forget = "INSERT INTO ledger (scope, key, version, source_hash, body_hash, updated_at, present) VALUES (?1, ?2, ?3, ?4, NULL, ?5, 1) \
                  ON CONFLICT (scope, key) DO UPDATE SET version = excluded.version, source_hash = excluded.source_hash, \
                  body_hash = NULL, updated_at = excluded.updated_at, present = 1";
    if in_doubt {
        execute(session, forget, (scope, &key, &version, &source_hash, now))?;
    }
    twins::given_up(session, burial.record)?;
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
    let known = first(session, sql, (scope.0, key), |row| row.get(0))?.flatten();
    if known.is_some() { Ok(known) } else { twins::identifier(session, scope, key) }
}
