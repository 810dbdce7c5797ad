//! The log of calls: written with whatever is committed next, asked in parts, so that nobody waits long for somebody who looks, and shortened at its
//! old end.

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::{
    rows::{all, count, execute, first, time},
    writer::Session,
};
use crate::store::{CallGap, CallGapWhy, CallPage, CallQuery, CallsToStore, LoggedCall, MadeCall, StoreError};

/// Most calls that one transaction takes along.
const MOST_AT_ONCE: usize = 1024;
/// Most rows that one question goes through.
const MOST_LOOKED_AT: i64 = 5_000;
/// By how much calls may lie out of order, in microseconds: longer than one takes.
const SLACK: i64 = 5 * 60 * 1_000_000;
/// Most calls that are removed in one transaction for their age.
pub const SLICE: usize = 2_000;

/// Takes what waits along into the transaction under way. What the log cannot take is counted, and holds nothing else up.
pub fn write(session: &mut Session) -> Result<(), StoreError> {
    let taken = session.calls.take(MOST_AT_ONCE);
    if taken.is_empty() {
        return Ok(());
    }
    match insert(session, &taken) {
        Ok(()) => session.writing = taken,
        // Then it is not about the log alone.
        Err(error @ StoreError::Corrupt(_)) => {
            session.writing = taken;
            return Err(error);
        }
        Err(error) if session.connection.is_autocommit() => {
            session.writing = taken;
            return Err(error);
        }
        Err(error) => {
            tracing::warn!(%error, calls = taken.calls.len(), "calls were not logged");
            session.calls.give_up(taken);
        }
    }
    Ok(())
}

fn insert(session: &Session, taken: &CallsToStore) -> Result<(), StoreError> {
    let insert = "INSERT INTO call (at, system, purpose, name, method, path, status, outcome, failed, milliseconds, request_id, flow, key, \
                  attempt, records) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    for call in &taken.calls {
        let milliseconds = i64::try_from(call.milliseconds).unwrap_or(i64::MAX);
        let row = params![
            call.at.as_microsecond(),
            call.system,
            call.purpose,
            call.name,
            call.method,
            call.path,
            call.status,
            call.outcome,
            call.failed,
            milliseconds,
            call.request_id,
            call.flow,
            call.key,
            call.attempt,
            call.records
        ];
        execute(session, insert, row)?;
    }
    if let Some((calls, at)) = taken.lost {
        missing(session, CallGapWhy::NotStored, calls, at.as_microsecond())?;
    }
    shorten(session)
}

/// Removes the oldest calls beyond as many as are kept.
fn shorten(session: &Session) -> Result<(), StoreError> {
    let Some(last) = end(session, "max")? else { return Ok(()) };
    let beyond = last.saturating_sub(session.calls.most_kept());
    if beyond <= 0 {
        return Ok(());
    }
    let sql = "SELECT count(*), max(at) FROM call WHERE id <= ?1";
    let found = first(session, sql, [beyond], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)))?;
    if let Some((calls, Some(at))) = found {
        execute(session, "DELETE FROM call WHERE id <= ?1", [beyond])?;
        missing(session, CallGapWhy::TooMany, count(calls), at)?;
    }
    Ok(())
}

fn missing(session: &Session, why: CallGapWhy, calls: u64, at: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO call_gap (why, calls, until) VALUES (?1, ?2, ?3) \
               ON CONFLICT (why) DO UPDATE SET calls = calls + excluded.calls, until = max(until, excluded.until)";
    let calls = i64::try_from(calls).unwrap_or(i64::MAX);
    execute(session, sql, (name(why), calls, at)).map(|_| ())
}

fn name(why: CallGapWhy) -> &'static str {
    match why {
        CallGapWhy::TooMany => "TooMany",
        CallGapWhy::NotStored => "NotStored",
    }
}

/// The first or last number of the log.
fn end(session: &Session, which: &str) -> Result<Option<i64>, StoreError> {
    Ok(first(session, &format!("SELECT {which}(id) FROM call"), (), |row| row.get(0))?.flatten())
}

/// See [`Store::calls`](crate::store::Store::calls).
pub fn calls(session: &Session, ask: &CallQuery) -> Result<CallPage, StoreError> {
    let gaps = gaps(session)?;
    let Some((oldest, newest)) = end(session, "min")?.zip(end(session, "max")?) else {
        return Ok(CallPage { gaps, ..CallPage::default() });
    };
    let before = ask.before.min(newest.saturating_add(1));
    let floor = before.saturating_sub(MOST_LOOKED_AT).max(oldest);
    let since = ask.since.map_or(i64::MIN, Timestamp::as_microsecond);
    let sql = "SELECT id, at, system, purpose, name, method, path, status, outcome, failed, milliseconds, request_id, flow, key, attempt, records \
               FROM call WHERE id < ?1 AND id >= ?2 AND (?3 IS NULL OR flow = ?3) AND (?4 IS NULL OR system = ?4) AND failed >= ?5 \
               AND coalesce(status, 0) BETWEEN ?6 AND ?7 AND at >= ?8 ORDER BY id DESC LIMIT ?9";
    let limit = i64::try_from(ask.limit).unwrap_or(i64::MAX);
    let (lowest, highest) = ask.statuses;
    let row = params![before, floor, ask.flow, ask.system, ask.failed, lowest, highest, since, limit];
    let calls = all(session, sql, row, |row| Ok(read(row)))?.into_iter().collect::<Result<Vec<_>, _>>()?;
    let next = match calls.last() {
        Some(last) if calls.len() >= ask.limit => last.number,
        Some(_) | None => floor,
    };
    // Calls lie in the order in which they ended, so that behind one that is far too old there is nothing.
    let reached = first(session, "SELECT at FROM call WHERE id >= ?1 ORDER BY id LIMIT 1", [next], |row| row.get(0))?;
    let is_over = next <= oldest || reached.is_some_and(|at: i64| at < since.saturating_sub(SLACK));
    Ok(CallPage { calls, next: (!is_over).then_some(next), gaps })
}

fn read(row: &Row) -> Result<LoggedCall, StoreError> {
    let call = MadeCall {
        at: time(row.get(1)?)?,
        system: row.get(2)?,
        purpose: row.get(3)?,
        name: row.get(4)?,
        method: row.get(5)?,
        path: row.get(6)?,
        status: row.get(7)?,
        outcome: row.get(8)?,
        failed: row.get(9)?,
        milliseconds: count(row.get(10)?),
        request_id: row.get(11)?,
        flow: row.get(12)?,
        key: row.get(13)?,
        attempt: row.get(14)?,
        records: row.get(15)?,
    };
    Ok(LoggedCall { number: row.get(0)?, call })
}

fn gaps(session: &Session) -> Result<Vec<CallGap>, StoreError> {
    let rows = all(session, "SELECT why, calls, until FROM call_gap ORDER BY why", (), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    // A word that only another version knows is left to that one.
    let known = |text: &str| [CallGapWhy::TooMany, CallGapWhy::NotStored].into_iter().find(|why| name(*why) == text);
    let gap = |(why, calls, until)| Ok(CallGap { why, calls: count(calls), until: time(until)? });
    rows.into_iter().filter_map(|(why, calls, until)| Some(gap((known(&why)?, calls, until)))).collect()
}

/// Removes some of the calls that need not be kept any longer; says how many. All that there are while nothing is kept, none while nobody knows.
pub fn forget(session: &Session, now: Timestamp) -> Result<usize, StoreError> {
    let Some(days) = session.calls.days() else { return Ok(0) };
    let limit = match days {
        0 => i64::MAX,
        days => now.as_microsecond().saturating_sub(i64::from(days) * 24 * 3_600_000_000),
    };
    execute(session, "DELETE FROM call_gap WHERE until < ?1", [limit])?;
    let slice = i64::try_from(SLICE).unwrap_or(i64::MAX);
    let sql = "DELETE FROM call WHERE id IN (SELECT id FROM call ORDER BY id LIMIT ?2) AND at < ?1";
    execute(session, sql, (limit, slice))
}
