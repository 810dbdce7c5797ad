//! What care asks of the database: figures, dead letters, retention.
//!
//! Retention: a dead letter is kept for thirty days, however many there are: a flow that has too many delivers nothing more. Hourly
//! counts are kept for eight days, events as long as the Integration says. The queue, open intents and the ledger are never removed by age.

use crosstie_engine::delivery;
use jiff::Timestamp;
use rusqlite::Row;

use super::{
    events,
    intents::forget_operations,
    rows::{advance, all, count, document, environment, execute, first, hour, optional_time, seen, time, version},
    writer::Session,
};
use crate::store::{DeadLetter, Figures, Replay, Replayed, Scope, ScopeId, StoreError, Tally, Tidied};

/// Longest time a dead letter is kept, in microseconds: thirty days.
const LONGEST_DEAD: i64 = 30 * 24 * 3_600_000_000;
/// Hours for which hourly counts are kept: eight days.
const HOURS_KEPT: i64 = 8 * 24;
/// Hours of the spans that figures are shown of: the present one and the one before, a day, a week.
const SPANS: [i64; 3] = [2, 24, 7 * 24];

/// See [`Store::figures`](crate::store::Store::figures).
pub fn figures(session: &Session, scopes: &[ScopeId], now: Timestamp) -> Result<Vec<Figures>, StoreError> {
    scopes.iter().map(|scope| figures_of(session, *scope, now)).collect()
}

fn figures_of(session: &Session, scope: ScopeId, now: Timestamp) -> Result<Figures, StoreError> {
    let counted =
        |sql: &str| Ok::<u64, StoreError>(count(first(session, sql, [scope.0], |row| row.get(0))?.unwrap_or(0)));
    let total = |name: &str| {
        let sql = "SELECT count FROM total WHERE scope = ?1 AND name = ?2";
        Ok::<u64, StoreError>(count(first(session, sql, (scope.0, name), |row| row.get(0))?.unwrap_or(0)))
    };
    // Of many, some say enough.
    let cause = "SELECT cause FROM (SELECT json_extract(failures, '$.cause') AS cause FROM queue \
                 WHERE scope = ?1 AND failures IS NOT NULL ORDER BY id LIMIT 200) GROUP BY cause ORDER BY count(*) DESC, cause LIMIT 1";
    let oldest = "SELECT min(last_failed_at) FROM dead_letter WHERE scope = ?1";
    let oldest = first(session, oldest, [scope.0], |row| row.get(0))?;
    let waiting = "SELECT min(enqueued_at) FROM queue WHERE scope = ?1";
    let waiting = first(session, waiting, [scope.0], |row| row.get(0))?;
    let [hour, day, week] = tallies(session, scope, now)?;
    let awaiting = "SELECT count(*), min(enqueued_at) FROM queue WHERE scope = ?1 AND awaits_scope IS NOT NULL";
    let awaiting = first(session, awaiting, [scope.0], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
    let (awaiting_parent, awaiting_since) = awaiting.unwrap_or_default();
    let sql = "SELECT last_run, last_sync, poll FROM scope WHERE id = ?1";
    let row = first(session, sql, [scope.0], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))?;
    let (last_run, last_sync, poll) = row.ok_or(StoreError::Unreadable { what: "scope" })?;
    let poll: crosstie_engine::window::PollState = document(&poll, "state of reading")?;
    Ok(Figures {
        delivered: total("delivered")? + total("deleted")?,
        unchanged: total("unchanged")? + total("leftOut")? + total("superseded")?,
        queue_depth: counted("SELECT count(*) FROM queue WHERE scope = ?1")?,
        dead_letters: counted("SELECT count(*) FROM dead_letter WHERE scope = ?1")?,
        oldest_dead_letter: optional_time(oldest.flatten())?,
        held: counted("SELECT count(*) FROM outgoing JOIN queue ON id = record WHERE scope = ?1 AND held = 1")?,
        retrying: counted(
            "SELECT count(*) FROM queue WHERE scope = ?1 AND failures IS NOT NULL \
             AND id NOT IN (SELECT record FROM outgoing WHERE held = 1)",
        )?,
        retry_cause: first(session, cause, [scope.0], |row| row.get(0))?,
        awaiting_parent: count(awaiting_parent),
        awaiting_since: optional_time(awaiting_since)?,
        oldest_waiting: optional_time(waiting.flatten())?,
        hour,
        day,
        week,
        last_run: optional_time(last_run)?,
        last_sync: optional_time(last_sync)?,
        cursor: poll.cursor.and_then(crosstie_engine::window::CursorValue::time),
    })
}

/// What became of records within each of the spans.
fn tallies(session: &Session, scope: ScopeId, now: Timestamp) -> Result<[Tally; 3], StoreError> {
    let sql = "SELECT coalesce(sum(count) FILTER (WHERE name IN ('delivered', 'deleted')), 0), \
               coalesce(sum(count) FILTER (WHERE name = 'buried'), 0) FROM hourly WHERE scope = ?1 AND hour > ?2";
    let mut tallies = [Tally::default(); 3];
    for (tally, hours) in tallies.iter_mut().zip(SPANS) {
        let since = hour(now.as_microsecond()) - hours;
        let sums = first(session, sql, (scope.0, since), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        let (delivered, buried) = sums.unwrap_or_default();
        *tally = Tally { delivered: count(delivered), buried: count(buried) };
    }
    Ok(tallies)
}

/// See [`Store::left_behind`](crate::store::Store::left_behind).
pub fn left_behind(session: &Session, at_work: &[ScopeId]) -> Result<Vec<(Scope, u64)>, StoreError> {
    let sql = "SELECT id, flow, source, destination, environment, (SELECT count(*) FROM queue WHERE scope = scope.id) FROM scope ORDER BY id";
    let scopes = all(session, sql, (), |row| {
        let names: (String, String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        Ok((ScopeId(row.get(0)?), names, row.get::<_, i64>(5)?))
    })?;
    let left = scopes.into_iter().filter(|(id, _, records)| *records > 0 && !at_work.contains(id));
    left.map(|(_, (flow, source, destination, name), records)| {
        Ok((Scope { flow, source, destination, environment: environment(&name)? }, count(records)))
    })
    .collect()
}

/// See [`Store::dead_letters`](crate::store::Store::dead_letters).
pub fn dead_letters(session: &Session, after: i64, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = letters("NULL", "d.id > ?1 ORDER BY d.id LIMIT ?2");
    all(session, &sql, (after, limit), |row| Ok(read_letter(row)))?.into_iter().collect()
}

/// See [`Store::dead_letter`](crate::store::Store::dead_letter).
pub fn dead_letter(session: &Session, id: i64) -> Result<Option<DeadLetter>, StoreError> {
    first(session, &letters("payload", "d.id = ?1"), [id], |row| Ok(read_letter(row)))?.transpose()
}

fn letters(payload: &str, which: &str) -> String {
    format!(
        "SELECT d.id, flow, source, destination, key, version, source_hash, {payload}, cause, status, request_ids, excerpt, attempts, \
         first_failed_at, last_failed_at, plan_hash, environment, s.id FROM dead_letter d JOIN scope s ON s.id = d.scope WHERE {which}"
    )
}

fn read_letter(row: &Row) -> Result<DeadLetter, StoreError> {
    let environment = environment(&row.get::<_, String>(16)?)?;
    let scope = Scope { flow: row.get(1)?, source: row.get(2)?, destination: row.get(3)?, environment };
    let text: Option<String> = row.get(5)?;
    Ok(DeadLetter {
        id: row.get(0)?,
        scope,
        scope_id: ScopeId(row.get(17)?),
        key: row.get(4)?,
        version: text.map(|text| version(&text)).transpose()?,
        source_hash: row.get(6)?,
        payload: row.get(7)?,
        cause: row.get(8)?,
        status: row.get(9)?,
        request_ids: document(&row.get::<_, String>(10)?, "list of request ids")?,
        excerpt: row.get(11)?,
        attempts: row.get(12)?,
        first_failed_at: time(row.get(13)?)?,
        last_failed_at: time(row.get(14)?)?,
        plan_hash: row.get(15)?,
    })
}

/// See [`Store::replay`](crate::store::Store::replay).
pub fn replay(session: &mut Session, letters: &[Replay], now: Timestamp) -> Result<Vec<Replayed>, StoreError> {
    letters.iter().map(|letter| replay_one(session, letter, now.as_microsecond())).collect()
}

fn replay_one(session: &Session, letter: &Replay, now: i64) -> Result<Replayed, StoreError> {
    let sql = "SELECT scope, key, version, source_hash FROM dead_letter WHERE id = ?1";
    let found = first(session, sql, [letter.id], |row| {
        let (version, hash): (Option<String>, String) = (row.get(2)?, row.get(3)?);
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, version.map(|version| (version, hash))))
    })?;
    let Some((scope, key, state)) = found else { return Ok(Replayed::Gone) };
    let (key, seen, payload) = match (state, &letter.read) {
        (Some(state), _) => (key, seen(state)?, None),
        (None, Some(read)) => (read.key.clone(), read.seen.clone(), Some(&read.payload)),
        (None, None) => return Ok(Replayed::Unreadable),
    };
    let later = "SELECT version FROM queue WHERE scope = ?1 AND key = ?2 UNION ALL \
                 SELECT version FROM dead_letter WHERE scope = ?1 AND key = ?2 AND id > ?3 AND version IS NOT NULL";
    let later = all(session, later, (scope, &key, letter.id), |row| row.get::<_, String>(0))?;
    let later = later.iter().map(|text| version(text)).collect::<Result<Vec<_>, _>>()?;
    if !delivery::replays(&seen.version, later.iter()) {
        return Ok(Replayed::Overtaken);
    }
    let (text, hash) = (seen.version.to_string(), &seen.hash);
    let insert = "INSERT INTO queue (scope, key, version, source_hash, payload, enqueued_at) \
                  SELECT scope, ?2, ?3, ?4, coalesce(?6, payload), ?5 FROM dead_letter WHERE id = ?1";
    execute(session, insert, (letter.id, &key, &text, hash, now, payload))?;
    // What was given up in doubt rests until now: from here on its content is news.
    let wake = "UPDATE ledger SET source_hash = '' \
                WHERE scope = ?1 AND key = ?2 AND body_hash IS NULL AND version = ?3 AND source_hash = ?4";
    execute(session, wake, (scope, &key, &text, hash))?;
    execute(session, "DELETE FROM dead_letter WHERE id = ?1", [letter.id])?;
    advance(session, scope, &key, now)?;
    Ok(Replayed::Queued)
}

/// See [`Store::discard`](crate::store::Store::discard).
pub fn discard(session: &mut Session, ids: &[i64]) -> Result<Vec<i64>, StoreError> {
    let mut discarded = Vec::new();
    for id in ids {
        if execute(session, "DELETE FROM dead_letter WHERE id = ?1", [id])? > 0 {
            discarded.push(*id);
        }
    }
    Ok(discarded)
}

/// Removes what is too old.
pub fn tidy(session: &mut Session, now: Timestamp) -> Result<Tidied, StoreError> {
    events::forget(session, now)?;
    let now = now.as_microsecond();
    let old = execute(session, "DELETE FROM dead_letter WHERE last_failed_at < ?1", [now - LONGEST_DEAD])?;
    forget_operations(session)?;
    let counts = execute(session, "DELETE FROM hourly WHERE hour < ?1", [hour(now) - HOURS_KEPT])?;
    Ok(Tidied { dead_letters_removed: old as u64, counts_removed: counts as u64 })
}

/// Folds the log into the database. Must run outside a transaction.
pub fn fold(session: &Session) -> Result<(), StoreError> {
    session.connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))?;
    Ok(())
}
