//! Opening the database: its settings, its schema and the steps between schema versions. No record is read or written here.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, config::DbConfig};
use uuid::Uuid;

use super::intents::take_incomplete_apart;
use crate::store::StoreError;

/// The steps that lead to the newest schema; the first makes it from nothing. A step is never changed once released, and only adds, so that
/// the worker of one version before can still use what it left.
pub const STEPS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
];

/// How many schema versions ahead of ours are still used.
const FORWARD: i64 = 1;

/// Opens the database at a path, makes or advances its schema, and returns it with its store id. `fresh_id` becomes the id of a new store.
pub fn open(path: &Path, steps: &[&str], fresh_id: Uuid, now: Timestamp) -> Result<(Connection, String), StoreError> {
    let mut connection = Connection::open(path)?;
    configure(&connection)?;
    migrate(&mut connection, steps)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let id = store_id(&connection, fresh_id)?;
    recover(&mut connection, now)?;
    Ok((connection, id))
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    // FULL syncs the log at each commit: what is acknowledged survives power loss.
    connection.pragma_update(None, "synchronous", "full")?;
    // Steps may replace a table that others refer to; until they are done references are not enforced.
    connection.pragma_update(None, "foreign_keys", false)?;
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
    transaction.execute("UPDATE outgoing SET in_doubt_since = max(coalesce(in_doubt_since, ?1), ?1)", [now])?;
    transaction.execute("UPDATE queue SET due = ?1 WHERE id IN (SELECT record FROM outgoing)", [now])?;
    take_incomplete_apart(&transaction)?;
    transaction
        .execute("UPDATE queue SET failures = json_set(failures, '$.tally', NULL) WHERE failures IS NOT NULL", [])?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod compatible;

#[cfg(test)]
mod tests {
    use super::*;

    fn open_with(path: &Path, steps: &[&str]) -> Result<(Connection, String), StoreError> {
        open(path, steps, Uuid::from_u128(7), Timestamp::UNIX_EPOCH)
    }

    fn version_of(connection: &Connection) -> i64 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    /// What a worker of schema 1 leaves: a record that waits with an open intent, and two keys in the ledger.
    const LEFT_BY_SCHEMA_1: &str = "INSERT INTO meta VALUES ('store_id', 'an id');
         INSERT INTO scope (id, flow, source, destination, poll) VALUES (3, 'f', 's', 'd', '{}');
         INSERT INTO queue (id, scope, key, version, source_hash, payload, enqueued_at, due) VALUES (7, 3, 'k', '1', 'h', '{}', 0, 0);
         INSERT INTO intent (scope, record, operation, body, body_hash, idempotency_key, stored_at) VALUES (3, 7, '{}', '{}', 'b', 'i', 0);
         INSERT INTO ledger VALUES (3, 'written', '1', 'h', 'b', 'over-there', 0);
         INSERT INTO ledger VALUES (3, 'left out', '1', 'h', NULL, NULL, 0);";

    #[test]
    fn a_store_of_schema_1_is_brought_forward_and_keeps_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &STEPS[..1]).unwrap();
        connection.execute_batch(LEFT_BY_SCHEMA_1).unwrap();
        drop(connection);
        let (connection, id) = open_with(&path, STEPS).unwrap();
        assert_eq!((version_of(&connection), id.as_str()), (7, "an id"));
        let scope: (i64, String, String) = connection
            .query_row("SELECT id, flow, environment FROM scope", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        assert_eq!(scope, (3, "f".to_owned(), "Production".to_owned()));
        let present = |key: &str| -> bool {
            connection.query_row("SELECT present FROM ledger WHERE key = ?1", [key], |row| row.get(0)).unwrap()
        };
        assert!(present("written") && !present("left out"));
        let intent: (i64, String, Option<i64>) = connection
            .query_row(
                "SELECT sequence, document, in_doubt_since FROM outgoing JOIN operation ON operation.id = operation \
                 JOIN queue ON queue.id = record WHERE NOT deletes AND size = 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        assert_eq!(intent, (1, "{}".to_owned(), Some(0)));
        let broken = connection.query_row("PRAGMA foreign_key_check", [], |_| Ok(())).optional().unwrap();
        assert!(broken.is_none(), "a reference leads nowhere");
        let stray = "INSERT INTO ledger (scope, key, version, source_hash, updated_at) VALUES (99, 'k', '1', 'h', 0)";
        assert!(connection.execute(stray, []).is_err(), "references are enforced again");
    }

    #[test]
    fn a_step_that_fails_leaves_the_schema_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        drop(open_with(&path, STEPS).unwrap());
        let broken = [STEPS, &["CREATE TABLE more (id INTEGER); SELECT nonsense"]].concat();
        assert!(open_with(&path, &broken).is_err());
        let (connection, _) = open_with(&path, STEPS).unwrap();
        assert_eq!(version_of(&connection), 7);
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
        connection.pragma_update(None, "user_version", 8).unwrap();
        drop(connection);
        let (connection, _) = open_with(&path, STEPS).unwrap();
        connection.pragma_update(None, "user_version", 9).unwrap();
        drop(connection);
        assert!(matches!(open_with(&path, STEPS), Err(StoreError::NewerSchema { found: 9, known: 7 })));
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
