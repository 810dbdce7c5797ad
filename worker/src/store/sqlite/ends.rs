//! How records ended before this process began, as far as what is kept anyway tells: failures by the dead letters, which know their plan, and arrivals by
//! the counts of hours and the ledger.

use super::{
    rows::{all, count, first, hour},
    writer::Session,
};
use crate::store::{ScopeId, StoreError};

/// See [`Store::last_ends`](crate::store::Store::last_ends).
pub fn last(
    session: &Session,
    scope: ScopeId,
    plan_hash: &str,
    (most, enough): (usize, u64),
) -> Result<Vec<Option<String>>, StoreError> {
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let sql = "SELECT last_failed_at, cause FROM dead_letter WHERE scope = ?1 AND plan_hash = ?2 ORDER BY last_failed_at DESC, id DESC LIMIT ?3";
    let failures: Vec<(i64, String)> =
        all(session, sql, (scope.0, plan_hash, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let times = failures.iter().map(|(at, _)| *at);
    let Some((oldest, newest)) = times.clone().min().zip(times.max()) else { return Ok(Vec::new()) };
    // The hour of the last failure itself can be from before it.
    if delivered_from(session, scope, hour(newest) + 1)? >= enough {
        return Ok(Vec::new());
    }
    let mut ends: Vec<(i64, Option<String>)> = failures.into_iter().map(|(at, cause)| (at, Some(cause))).collect();
    if delivered_from(session, scope, hour(oldest))? > 0 {
        // Most flows never come here: it goes through all keys of the scope.
        let sql = "SELECT updated_at FROM ledger WHERE scope = ?1 AND updated_at >= ?2 AND present = 1 AND body_hash IS NOT NULL \
                   ORDER BY updated_at DESC LIMIT ?3";
        let arrivals: Vec<i64> = all(session, sql, (scope.0, oldest, limit), |row| row.get(0))?;
        ends.extend(arrivals.into_iter().map(|at| (at, None)));
    }
    ends.sort_by_key(|(at, _)| *at);
    let from = ends.len().saturating_sub(most);
    let ends: Vec<Option<String>> = ends.drain(from..).map(|(_, end)| end).collect();
    let arrived = u64::try_from(ends.iter().rev().take_while(|end| end.is_none()).count()).unwrap_or(u64::MAX);
    Ok(if arrived >= enough { Vec::new() } else { ends })
}

/// How many records were delivered or deleted in an hour and those after it.
fn delivered_from(session: &Session, scope: ScopeId, hour: i64) -> Result<u64, StoreError> {
    let sql = "SELECT coalesce(sum(count), 0) FROM hourly WHERE scope = ?1 AND name IN ('delivered', 'deleted') AND hour >= ?2";
    Ok(count(first(session, sql, (scope.0, hour), |row| row.get(0))?.unwrap_or(0)))
}
