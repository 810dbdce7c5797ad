//! Small conversions between rows and types that several parts share.

use std::collections::BTreeMap;

use crosstie_engine::{
    delivery::{LedgerEntry, Seen},
    plan::Environment,
    version::Version,
};
use jiff::Timestamp;
use rusqlite::{CachedStatement, OptionalExtension, Params, Row};
use serde::de::DeserializeOwned;

use super::writer::Session;
use crate::store::{ScopeId, StoreError};

/// A prepared statement, from the cache where it has been used before.
pub fn prepare<'a>(session: &'a Session, sql: &str) -> Result<CachedStatement<'a>, StoreError> {
    Ok(session.connection.prepare_cached(sql)?)
}

/// Executes a statement and says how many rows it changed.
pub fn execute(session: &Session, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    #[cfg(test)]
    session.strike()?;
    Ok(prepare(session, sql)?.execute(params)?)
}

/// The first row, if there is one.
pub fn first<T>(
    session: &Session,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    Ok(prepare(session, sql)?.query_row(params, read).optional()?)
}

/// All rows.
pub fn all<T>(
    session: &Session,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let rows: rusqlite::Result<Vec<T>> = prepare(session, sql)?.query_map(params, read)?.collect();
    Ok(rows?)
}

/// A time from its column.
pub fn time(microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|_| StoreError::Unreadable { what: "time" })
}

/// A time from a column that may be empty.
pub fn optional_time(microseconds: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    microseconds.map(time).transpose()
}

/// A version from its column.
pub fn version(text: &str) -> Result<Version, StoreError> {
    Version::parse(text).ok_or(StoreError::Unreadable { what: "version" })
}

/// A state from its columns.
pub fn seen((text, hash): (String, String)) -> Result<Seen, StoreError> {
    Ok(Seen { version: version(&text)?, hash })
}

/// An environment as a column holds it.
pub fn environment_name(environment: Environment) -> &'static str {
    match environment {
        Environment::Production => "Production",
        Environment::Sandbox => "Sandbox",
    }
}

/// An environment from its column.
pub fn environment(name: &str) -> Result<Environment, StoreError> {
    let known = [Environment::Production, Environment::Sandbox];
    let found = known.into_iter().find(|environment| environment_name(*environment) == name);
    found.ok_or(StoreError::Unreadable { what: "environment" })
}

/// A document from its column.
pub fn document<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Unreadable { what })
}

/// A count, as a column holds it.
pub fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// What was settled last for a key.
pub fn ledger(session: &Session, scope: ScopeId, key: &str) -> Result<Option<LedgerEntry>, StoreError> {
    let sql = "SELECT version, source_hash, body_hash, present, identifier FROM ledger WHERE scope = ?1 AND key = ?2";
    let row = first(session, sql, (scope.0, key), |row| {
        Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
    })?;
    let entry = |(text, (source_hash, body_hash, present, identifier)): (String, _)| {
        Ok(LedgerEntry { version: version(&text)?, source_hash, body_hash, present, identifier })
    };
    row.map(entry).transpose()
}

/// Makes the head of a key's queue due.
pub fn advance(session: &Session, scope: i64, key: &str, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE queue SET due = ?3 WHERE due IS NULL \
               AND id = (SELECT id FROM queue WHERE scope = ?1 AND key = ?2 ORDER BY id LIMIT 1)";
    execute(session, sql, (scope, key, now)).map(|_| ())
}

/// What one change adds to a count of a scope.
#[derive(Clone, Copy, Debug)]
pub struct Added {
    scope: i64,
    name: &'static str,
    hour: i64,
    more: u64,
}

/// Adds to a scope's counter of a name: the total, and the present hour's.
pub fn add(session: &mut Session, scope: i64, name: &'static str, more: u64, now: i64) {
    session.counts.push(Added { scope, name, hour: hour(now), more });
}

/// Writes what was added since the transaction began: many changes count the same thing.
pub fn write_counts(session: &Session) -> Result<(), StoreError> {
    let mut sums: BTreeMap<(i64, &str, i64), u64> = BTreeMap::new();
    for Added { scope, name, hour, more } in &session.counts {
        *sums.entry((*scope, name, *hour)).or_default() += more;
    }
    for ((scope, name, hour), more) in sums {
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        let total = "INSERT INTO total (scope, name, count) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (scope, name) DO UPDATE SET count = count + excluded.count";
        execute(session, total, (scope, name, more))?;
        let hourly = "INSERT INTO hourly (scope, name, hour, count) VALUES (?1, ?2, ?3, ?4) \
                      ON CONFLICT (scope, name, hour) DO UPDATE SET count = count + excluded.count";
        execute(session, hourly, (scope, name, hour, more))?;
    }
    Ok(())
}

/// The hour a time is in, counted from 1970.
pub fn hour(microseconds: i64) -> i64 {
    microseconds.div_euclid(3_600_000_000)
}
