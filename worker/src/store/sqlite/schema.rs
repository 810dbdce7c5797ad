//! Opening the database: its settings, its schema and the steps between schema versions. No record is read or written here.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, config::DbConfig};
use uuid::Uuid;

use crate::store::StoreError;

/// The steps that lead to the newest schema; the first makes it from nothing. A step is never changed once released, and only adds, so that
/// the worker of one version before can still use what it left.
pub const STEPS: &[&str] = &[include_str!("schema.sql")];

/// How many schema versions ahead of ours are still used.
const FORWARD: i64 = 1;

/// Opens the database at a path, makes or advances its schema, and returns it with its store id. `fresh_id` becomes the id of a new store.
pub fn open(path: &Path, steps: &[&str], fresh_id: Uuid, now: Timestamp) -> Result<(Connection, String), StoreError> {
    let mut connection = Connection::open(path)?;
    configure(&connection)?;
    migrate(&mut connection, steps)?;
    let id = store_id(&connection, fresh_id)?;
    recover(&mut connection, now)?;
    Ok((connection, id))
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    // FULL syncs the log at each commit: what is acknowledged survives power loss.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    // Folding the log into the database seldom writes a page once that was changed many times. No longer than the log is kept.
    connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
    connection.pragma_update(None, "cache_size", -4096)?;
    // Deleted payloads are personal data: they are overwritten, not only unlinked.
    connection.pragma_update(None, "secure_delete", true)?;
    // Without it a statement is compiled anew for each value of a parameter that its plan could depend on: that is, at each use.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Brings the schema forward, each step in a transaction of its own.
fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if found > known + FORWARD {
        return Err(StoreError::NewerSchema { found, known });
    }
    for (version, step) in (1_i64..).zip(steps).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

fn store_id(connection: &Connection, fresh_id: Uuid) -> Result<String, StoreError> {
    let read =
        || connection.query_row("SELECT value FROM meta WHERE name = 'store_id'", [], |row| row.get(0)).optional();
    if let Some(id) = read()? {
        return Ok(id);
    }
    connection.execute("INSERT INTO meta (name, value) VALUES ('store_id', ?1)", [fresh_id.to_string()])?;
    Ok(fresh_id.to_string())
}

/// After a start nobody knows whether the sends of open intents left, so all of them are in doubt from now on and are resolved first. Tallies
/// count since the process started; those of an earlier process say nothing.
fn recover(connection: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    let now = now.as_microsecond();
    let transaction = connection.transaction()?;
    transaction.execute("UPDATE intent SET in_doubt_since = max(coalesce(in_doubt_since, ?1), ?1)", [now])?;
    transaction.execute("UPDATE queue SET due = ?1 WHERE id IN (SELECT record FROM intent)", [now])?;
    transaction
        .execute("UPDATE queue SET failures = json_set(failures, '$.tally', NULL) WHERE failures IS NOT NULL", [])?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_with(path: &Path, steps: &[&str]) -> Result<(Connection, String), StoreError> {
        open(path, steps, Uuid::from_u128(7), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_older_schema_is_brought_forward_and_keeps_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let (connection, id) = open_with(&path, STEPS).unwrap();
        connection
            .execute("INSERT INTO scope (flow, source, destination, poll) VALUES ('f', 's', 'd', '{}')", [])
            .unwrap();
        drop(connection);
        let steps = [STEPS[0], "ALTER TABLE scope ADD COLUMN environment TEXT NOT NULL DEFAULT 'Production'"];
        let (connection, again) = open_with(&path, &steps).unwrap();
        assert_eq!(id, again);
        let found: (String, String) = connection
            .query_row("SELECT flow, environment FROM scope", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(found, ("f".to_owned(), "Production".to_owned()));
        assert_eq!(connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap(), 2);
    }

    #[test]
    fn a_step_that_fails_leaves_the_schema_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        drop(open_with(&path, STEPS).unwrap());
        let broken = [STEPS[0], "CREATE TABLE more (id INTEGER); SELECT nonsense"];
        assert!(open_with(&path, &broken).is_err());
        let (connection, _) = open_with(&path, STEPS).unwrap();
        assert_eq!(connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap(), 1);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'more'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 0);
    }

    #[test]
    fn a_schema_one_version_ahead_is_used_and_one_further_ahead_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let (connection, _) = open_with(&path, STEPS).unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
        drop(connection);
        let (connection, _) = open_with(&path, STEPS).unwrap();
        connection.pragma_update(None, "user_version", 3).unwrap();
        drop(connection);
        assert!(matches!(open_with(&path, STEPS), Err(StoreError::NewerSchema { found: 3, known: 1 })));
    }

    #[test]
    fn what_is_no_database_is_reported_as_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        assert!(matches!(open_with(&path, STEPS), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn a_page_that_was_overwritten_is_reported_as_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        drop(open_with(&path, STEPS).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[200..4096].fill(0xAA);
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(open_with(&path, STEPS), Err(StoreError::Corrupt(_))));
    }
}
