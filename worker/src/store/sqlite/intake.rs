//! What intake asks of the database: scopes, pages, depth. Which records are kept is decided by the engine.

use crosstie_engine::{
    delivery::{self, Known, Seen},
    version::Version,
    window::PollState,
};

use jiff::Timestamp;

use super::{
    intents::any_dead,
    listed,
    rows::{add, all, count, document, environment_name, execute, first, ledger, optional_time, seen},
    writer::Session,
};
use crate::store::{Backlog, Incoming, MOST_DEAD_LETTERS, Opened, Scope, ScopeId, StoreError, Taken, TakenPage};

/// See [`Store::open_scope`](crate::store::Store::open_scope).
pub fn open_scope(session: &mut Session, scope: &Scope, now: Timestamp) -> Result<Opened, StoreError> {
    let names = (&scope.flow, &scope.source, &scope.destination, environment_name(scope.environment));
    let poll = serde_json::to_string(&PollState::default())
        .map_err(|_| StoreError::Unreadable { what: "state of reading" })?;
    let insert = "INSERT INTO scope (flow, source, destination, environment, poll) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    execute(session, insert, (names.0, names.1, names.2, names.3, poll))?;
    let select = "SELECT id, poll, last_run, last_sync FROM scope WHERE flow = ?1 AND source = ?2 AND destination = ?3 AND environment = ?4";
    let row =
        first(session, select, names, |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?)))?;
    let (id, poll, last_run, last_sync) = row.ok_or(StoreError::Unreadable { what: "scope" })?;
    let held = "UPDATE queue SET due = ?2 WHERE scope = ?1 AND id IN (SELECT record FROM outgoing WHERE held = 1)";
    execute(session, held, (id, now.as_microsecond()))?;
    if is_ahead(session, id, last_run, now.as_microsecond())? {
        begin_waits_anew(session, id, now.as_microsecond())?;
    }
    Ok(Opened {
        id: ScopeId(id),
        poll: document(&poll, "state of reading")?,
        last_run: optional_time(last_run)?,
        last_sync: optional_time(last_sync)?,
    })
}

/// Whether something happened later than now, which only a clock that was set back makes so.
fn is_ahead(session: &Session, scope: i64, last_run: Option<i64>, now: i64) -> Result<bool, StoreError> {
    let came = "SELECT 1 FROM queue WHERE scope = ?1 AND enqueued_at > ?2 LIMIT 1";
    let sent = "SELECT 1 FROM outgoing JOIN queue ON id = record WHERE scope = ?1 AND max(stored_at, coalesce(in_doubt_since, 0)) > ?2 LIMIT 1";
    Ok(last_run.is_some_and(|run| run > now)
        || first(session, came, (scope, now), |_| Ok(()))?.is_some()
        || first(session, sent, (scope, now), |_| Ok(()))?.is_some())
}

/// After a clock was set back, times that were to be waited for are further off than was meant: what waits for one is due. What is in doubt is so from
/// now on. How old an intent is that was stored later than now, nobody can tell, so that no key's window is trusted for it.
fn begin_waits_anew(session: &Session, scope: i64, now: i64) -> Result<(), StoreError> {
    let all = [
        "UPDATE queue SET failures = json_set(failures, '$.retryAt', NULL) WHERE scope = ?1 AND due > ?2 AND failures IS NOT NULL",
        "UPDATE queue SET due = ?2 WHERE scope = ?1 AND due > ?2",
        "UPDATE outgoing SET in_doubt_since = ?2 WHERE in_doubt_since > ?2 AND record IN (SELECT id FROM queue WHERE scope = ?1)",
        "UPDATE outgoing SET stored_at = 0 WHERE stored_at > ?2 AND record IN (SELECT id FROM queue WHERE scope = ?1)",
    ];
    all.into_iter().try_for_each(|update| execute(session, update, (scope, now)).map(|_| ()))
}

/// See [`Store::take_page`](crate::store::Store::take_page).
pub fn take_page(session: &mut Session, page: &TakenPage) -> Result<Taken, StoreError> {
    let mut taken = Taken::default();
    let now = page.now.as_microsecond();
    for record in &page.records {
        if let Some(round) = page.round {
            listed::mark(session, page.scope, record, round)?;
        }
        match take_one(session, page.scope, record, page.again, now)? {
            TakenOne::Kept => taken.kept += 1,
            TakenOne::Buried => taken.buried += 1,
            TakenOne::Known => taken.known += 1,
        }
    }
    let poll = serde_json::to_string(&page.poll).map_err(|_| StoreError::Unreadable { what: "state of reading" })?;
    let update = "UPDATE scope SET poll = ?2, last_run = ?3, last_sync = coalesce(?4, last_sync) WHERE id = ?1";
    let synced = page.synced.map(Timestamp::as_microsecond);
    execute(session, update, (page.scope.0, poll, page.run.as_microsecond(), synced))?;
    taken.backlog = backlog(session, page.scope, page.now)?;
    Ok(taken)
}

/// What became of something that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenOne {
    /// It waits.
    Kept,
    /// It is in the dead letters.
    Buried,
    /// It was known already.
    Known,
}

impl TakenOne {
    /// Whether it was not known.
    pub fn is_news(self) -> bool {
        self != Self::Known
    }
}

/// Takes one record, unless it is known already; `again` takes it although it was settled before.
pub fn take_one(
    session: &mut Session,
    scope: ScopeId,
    incoming: &Incoming,
    again: bool,
    now: i64,
) -> Result<TakenOne, StoreError> {
    match incoming {
        Incoming::Record { key, seen, payload } => {
            let known = known(session, scope, key)?;
            let known = if again { known.asked_again() } else { known };
            take_record(session, scope, (key, seen, payload), &known, now)
        }
        Incoming::Word { key, hash, payload } => {
            let seen = Seen { version: Version::Unordered, hash: hash.clone() };
            let known = known(session, scope, key)?.for_word();
            take_record(session, scope, (key, &seen, payload), &known, now)
        }
        Incoming::Faulty { key, hash, payload, cause, request_id } => {
            let buried = bury_faulty(session, scope, (key, hash, payload, cause), request_id.as_slice(), now)?;
            if buried {
                add(session, scope.0, "buried", 1, now);
            }
            Ok(if buried { TakenOne::Buried } else { TakenOne::Known })
        }
    }
}

fn take_record(
    session: &Session,
    scope: ScopeId,
    (key, state, payload): (&str, &Seen, &str),
    known: &Known,
    now: i64,
) -> Result<TakenOne, StoreError> {
    if !delivery::keeps(state, known) {
        return Ok(TakenOne::Known);
    }
    // Behind another record of its key it is not due; whoever takes that one out of the queue makes this one due.
    let due = known.waiting.is_none().then_some(now);
    let insert = "INSERT INTO queue (scope, key, version, source_hash, payload, enqueued_at, due) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    execute(session, insert, (scope.0, key, state.version.to_string(), &state.hash, payload, now, due))?;
    Ok(TakenOne::Kept)
}

fn known(session: &Session, scope: ScopeId, key: &str) -> Result<Known, StoreError> {
    let waiting = "SELECT id, version, source_hash FROM queue WHERE scope = ?1 AND key = ?2 ORDER BY id DESC LIMIT 1";
    let waiting =
        first(session, waiting, (scope.0, key), |row| Ok((row.get::<_, i64>(0)?, (row.get(1)?, row.get(2)?))))?;
    let newest = waiting.as_ref().map(|(id, _)| *id);
    let writing = "SELECT version, source_hash FROM outgoing WHERE record = ?1 AND version IS NOT NULL";
    let writing = newest.map(|id| first(session, writing, [id], |row| Ok((row.get(0)?, row.get(1)?)))).transpose()?;
    let dead = "SELECT version, source_hash FROM dead_letter WHERE scope = ?1 AND key = ?2 AND version IS NOT NULL ORDER BY id";
    let dead = if any_dead(session)? {
        all(session, dead, (scope.0, key), |row| Ok((row.get(0)?, row.get(1)?)))?
    } else {
        Vec::new()
    };
    Ok(Known {
        waiting: waiting.map(|(_, state)| seen(state)).transpose()?,
        writing: writing.flatten().map(seen).transpose()?,
        claimed: newest.is_some_and(|id| session.claims.is_claimed(id)),
        dead: dead.into_iter().map(seen).collect::<Result<_, _>>()?,
        ledger: ledger(session, scope, key)?,
    })
}

/// Sets a record aside that can never be delivered as it is; not when the same one lies there already.
fn bury_faulty(
    session: &Session,
    scope: ScopeId,
    (key, hash, payload, cause): (&str, &str, &str, &str),
    request_ids: &[String],
    now: i64,
) -> Result<bool, StoreError> {
    let same = "SELECT 1 FROM dead_letter WHERE scope = ?1 AND key = ?2 AND version IS NULL AND source_hash = ?3";
    if first(session, same, (scope.0, key, hash), |_| Ok(()))?.is_some() {
        return Ok(false);
    }
    let insert = "INSERT INTO dead_letter (scope, key, source_hash, payload, cause, request_ids, attempts, first_failed_at, \
                  last_failed_at, plan_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?7, '')";
    let request_ids =
        serde_json::to_string(request_ids).map_err(|_| StoreError::Unreadable { what: "list of request ids" })?;
    execute(session, insert, (scope.0, key, hash, payload, cause, request_ids, now))?;
    session.remembered.set_aside();
    Ok(true)
}

/// See [`Store::backlog`](crate::store::Store::backlog).
pub fn backlog(session: &Session, scope: ScopeId, now: Timestamp) -> Result<Backlog, StoreError> {
    let due = "SELECT count(*) FROM queue WHERE scope = ?1 AND due <= ?2";
    let due = first(session, due, (scope.0, now.as_microsecond()), |row| row.get(0))?;
    let depth = first(session, "SELECT count(*) FROM queue WHERE scope = ?1", [scope.0], |row| row.get(0))?;
    let dead_letters = dead_letters(session, scope)?;
    Ok(Backlog { due: count(due.unwrap_or(0)), depth: count(depth.unwrap_or(0)), dead_letters })
}

/// How many dead letters a scope has, counted up to as many as may lie there.
pub fn dead_letters(session: &Session, scope: ScopeId) -> Result<u64, StoreError> {
    if !any_dead(session)? {
        return Ok(0);
    }
    let sql = "SELECT count(*) FROM (SELECT 1 FROM dead_letter WHERE scope = ?1 LIMIT ?2)";
    let most = i64::try_from(MOST_DEAD_LETTERS).unwrap_or(i64::MAX);
    Ok(count(first(session, sql, (scope.0, most), |row| row.get(0))?.unwrap_or(0)))
}
