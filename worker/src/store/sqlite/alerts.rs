//! What alerts ask of the database: what was told, what waits to be accepted, and the dead letters in short.

use crosstie_engine::alert::Cause;

use super::{
    rows::{all, count, document, execute, first, optional_time},
    writer::Session,
};
use crate::store::{AlertChange, AlertStanding, Alerts, LetterDigest, ScopeId, StoreError, WaitingMessage};

/// How many of the newest letters say why, and give request ids.
const NEWEST: i64 = 200;
/// Most request ids of a digest.
const MOST_REQUEST_IDS: i64 = 5;

/// See [`Store::alerts`](crate::store::Store::alerts).
pub fn alerts(session: &Session) -> Result<Alerts, StoreError> {
    let sql = "SELECT channel, cause, document FROM alert_standing ORDER BY channel, cause";
    let rows: Vec<(String, String, String)> = all(session, sql, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    // A cause that only another version knows is left to that one.
    let known = rows.into_iter().filter_map(|(channel, cause, text)| Some((channel, Cause::parse(&cause)?, text)));
    let standings = known.map(|(channel, cause, text)| {
        Ok(AlertStanding { channel, cause, standing: document(&text, "memory of an alert")? })
    });
    let sql = "SELECT id, document FROM alert_message ORDER BY id";
    let rows: Vec<(i64, String)> = all(session, sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let waiting = rows
        .into_iter()
        .map(|(number, text)| Ok(WaitingMessage { number, message: document(&text, "message of an alert")? }));
    Ok(Alerts {
        standings: standings.collect::<Result<_, StoreError>>()?,
        waiting: waiting.collect::<Result<_, StoreError>>()?,
    })
}

/// See [`Store::change_alerts`](crate::store::Store::change_alerts).
pub fn change(session: &Session, changes: &[AlertChange]) -> Result<Vec<Option<i64>>, StoreError> {
    changes.iter().map(|change| change_one(session, change)).collect()
}

fn change_one(session: &Session, change: &AlertChange) -> Result<Option<i64>, StoreError> {
    let AlertChange { channel, cause, standing, message } = change;
    match standing {
        Some(standing) => {
            let sql = "INSERT INTO alert_standing (channel, cause, document) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (channel, cause) DO UPDATE SET document = excluded.document";
            execute(session, sql, (channel, cause.as_str(), crosstie_engine::canonical::json(standing)))?;
        }
        None => {
            let sql = "DELETE FROM alert_standing WHERE channel = ?1 AND cause = ?2";
            execute(session, sql, (channel, cause.as_str()))?;
        }
    }
    let Some(message) = message else { return Ok(None) };
    let sql = "INSERT INTO alert_message (channel, document) VALUES (?1, ?2)";
    execute(session, sql, (channel, crosstie_engine::canonical::json(message)))?;
    Ok(Some(session.connection.last_insert_rowid()))
}

/// See [`Store::alert_accepted`](crate::store::Store::alert_accepted).
pub fn accepted(session: &Session, number: i64) -> Result<(), StoreError> {
    execute(session, "DELETE FROM alert_message WHERE id = ?1", [number]).map(|_| ())
}

/// See [`Store::forget_channels`](crate::store::Store::forget_channels).
pub fn forget_channels(session: &Session, kept: &[String]) -> Result<(), StoreError> {
    let kept = serde_json::json!(kept).to_string();
    for table in ["alert_standing", "alert_message"] {
        let sql = format!("DELETE FROM {table} WHERE channel NOT IN (SELECT value FROM json_each(?1))");
        execute(session, &sql, [&kept])?;
    }
    Ok(())
}

/// See [`Store::letter_digests`](crate::store::Store::letter_digests).
pub fn digests(session: &Session, scopes: &[ScopeId]) -> Result<Vec<LetterDigest>, StoreError> {
    scopes.iter().map(|scope| digest(session, *scope)).collect()
}

fn digest(session: &Session, scope: ScopeId) -> Result<LetterDigest, StoreError> {
    let sql = "SELECT count(*), max(id), min(last_failed_at) FROM dead_letter WHERE scope = ?1";
    let row = first(session, sql, [scope.0], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    let Some((letters @ 1.., newest, since)) = row else { return Ok(LetterDigest::default()) };
    let sql = "SELECT cause FROM (SELECT cause FROM dead_letter WHERE scope = ?1 ORDER BY id DESC LIMIT ?2) \
               GROUP BY cause ORDER BY count(*) DESC, cause LIMIT 1";
    let cause = first(session, sql, (scope.0, NEWEST), |row| row.get(0))?;
    let sql = "SELECT request_ids FROM dead_letter WHERE scope = ?1 ORDER BY id DESC LIMIT ?2";
    let lists: Vec<String> = all(session, sql, (scope.0, MOST_REQUEST_IDS), |row| row.get(0))?;
    let mut request_ids = Vec::new();
    for list in lists {
        let list: Vec<String> = document(&list, "list of request ids")?;
        request_ids.extend(list.into_iter().next_back());
    }
    Ok(LetterDigest {
        count: count(letters),
        newest: newest.unwrap_or(0),
        since: optional_time(since)?,
        cause,
        request_ids,
    })
}
