//! A worker of schema 2 over a store of schema 3: its statements, word for word, and what they find and leave there.

use rusqlite::params;

use super::*;

/// The steps that lead to schema 3.
const THIRD: &[&str] = &[STEPS[0], STEPS[1], STEPS[2]];

/// Three records with open intents: a single one, and a batch of two.
const LEFT_BY_SCHEMA_3: &str = r#"
    INSERT INTO scope (id, flow, source, destination, poll) VALUES (3, 'f', 's', 'd', '{}');
    INSERT INTO queue (id, scope, key, version, source_hash, payload, enqueued_at, due)
        VALUES (7, 3, 'a', '1', 'h', '{}', 0, 0), (8, 3, 'b', '1', 'h', '{}', 0, 0), (9, 3, 'c', '1', 'h', '{}', 0, 0),
               (10, 3, 'd', '1', 'h', '{}', 0, 0);
    INSERT INTO operation (id, document) VALUES (5, '{"name":"upsert","outcome":{"idempotency":{"header":"Key"},"lookup":{"key":"/id"}}}');
    UPDATE sqlite_sequence SET seq = 2000 WHERE name = 'intent';
    INSERT INTO outgoing (record, sequence, size, operation, body, body_hash, idempotency_key, stored_at)
        VALUES (7, 1001, 1, 5, '{"id":"a"}', 'b', 'single', 4), (8, 1002, 2, 5, '{"id":"b"}', 'b', 'shared', 4),
               (9, 1002, 2, 5, '{"id":"c"}', 'b', 'shared', 4);
"#;

fn opened(path: &Path, steps: &[&str]) -> Connection {
    open(path, steps, Uuid::from_u128(7), Timestamp::UNIX_EPOCH).unwrap().0
}

/// What schema 2 did at its start.
fn recovered_by_schema_2(connection: &Connection, now: i64) {
    connection.execute("UPDATE intent SET in_doubt_since = max(coalesce(in_doubt_since, ?1), ?1)", [now]).unwrap();
    connection.execute("UPDATE queue SET due = ?1 WHERE id IN (SELECT record FROM intent)", [now]).unwrap();
}

/// What schema 2 read of a record's intent: sequence, key, time, doubt, operation.
fn read_by_schema_2(connection: &Connection, record: i64) -> (i64, String, i64, Option<i64>, serde_json::Value) {
    let sql = "SELECT sequence, idempotency_key, stored_at, in_doubt_since, operation, body, body_hash, refused, deletes, version, \
               source_hash FROM intent WHERE record = ?1";
    connection
        .query_row(sql, [record], |row| {
            let (_, _, refused, deletes): (String, String, bool, bool) =
                (row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?);
            let (version, hash): (Option<String>, Option<String>) = (row.get(9)?, row.get(10)?);
            assert!(!refused && !deletes && version.is_none() && hash.is_none());
            let operation: String = row.get(4)?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, serde_json::from_str(&operation).unwrap()))
        })
        .unwrap()
}

fn records(connection: &Connection) -> Vec<i64> {
    let mut statement = connection.prepare("SELECT record FROM outgoing ORDER BY record").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_worker_of_schema_2_finds_every_open_intent_and_no_key_for_those_of_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let connection = opened(&path, THIRD);
    connection.execute_batch(LEFT_BY_SCHEMA_3).unwrap();
    recovered_by_schema_2(&connection, 60);
    let (sequence, key, stored_at, doubt, operation) = read_by_schema_2(&connection, 7);
    assert_eq!((sequence, key.as_str(), stored_at, doubt), (1001, "single", 4, Some(60)));
    assert!(operation["outcome"]["idempotency"].is_object());
    let mut sequences = vec![sequence];
    for record in [8, 9] {
        let (sequence, _, _, doubt, operation) = read_by_schema_2(&connection, record);
        assert_eq!((doubt, operation["name"].as_str()), (Some(60), Some("upsert")));
        assert!(operation["outcome"]["idempotency"].is_null() && operation["outcome"]["lookup"].is_object());
        sequences.push(sequence);
    }
    // It closes one as not applied by its sequence, which must not close its neighbour.
    connection.execute("DELETE FROM intent WHERE sequence = ?1", [sequences[1]]).unwrap();
    assert_eq!(records(&connection), [7, 9]);
    let due: i64 = connection.query_row("SELECT due FROM queue WHERE id = 9", [], |row| row.get(0)).unwrap();
    assert_eq!(due, 60);
    // What is left of the batch is no batch: its key would come with other records than before.
    drop(connection);
    let connection = opened(&path, THIRD);
    let left: (i64, bool, String) = connection
        .query_row("SELECT size, apart, idempotency_key FROM outgoing WHERE record = 9", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!((left.0, left.1), (1, true));
    assert_ne!(left.2, "shared");
}

#[test]
fn what_a_worker_of_schema_2_does_to_an_intent_is_done_and_its_sequences_are_never_used_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(opened(&path, THIRD));
    // That worker knows two steps.
    let connection = Connection::open(&path).unwrap();
    migrate(&mut Connection::open(&path).unwrap(), &STEPS[..2]).unwrap();
    connection.execute_batch(LEFT_BY_SCHEMA_3).unwrap();
    let last: i64 =
        connection.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'intent'", [], |row| row.get(0)).unwrap();
    assert_eq!(last, 2000);
    let insert = "INSERT INTO intent (sequence, scope, record, operation, body, body_hash, idempotency_key, stored_at, deletes, version, \
                  source_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let another = r#"{"name":"another"}"#;
    connection.execute(insert, params![last + 1, 3, 10, another, "{}", "b", "k", 4, true, "2", "h2"]).unwrap();
    let row: (i64, i64, String, bool) = connection
        .query_row(
            "SELECT sequence, size, document, deletes FROM outgoing JOIN operation ON operation.id = operation WHERE record = 10",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(row, (2001, 1, another.to_owned(), true));
    assert!(
        connection.execute(insert, params![last + 2, 3, 10, another, "{}", "b", "k", 4, false, "2", "h2"]).is_err()
    );
    for change in [
        "UPDATE intent SET in_doubt_since = 9, held = 0 WHERE record = 7",
        "UPDATE intent SET refused = 1 WHERE record = 7",
        "UPDATE intent SET held = 1 WHERE record = 8",
    ] {
        connection.execute(change, []).unwrap();
    }
    let held: i64 =
        connection.query_row("SELECT count(*) FROM intent WHERE scope = 3 AND held = 1", [], |row| row.get(0)).unwrap();
    assert_eq!(held, 1);
    let changed: (i64, bool) = connection
        .query_row("SELECT in_doubt_since, refused FROM outgoing WHERE record = 7", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(changed, (9, true));
    let forget = "INSERT INTO ledger (scope, key, version, source_hash, body_hash, updated_at, present) \
                  SELECT q.scope, q.key, coalesce(i.version, q.version), coalesce(i.source_hash, q.source_hash), NULL, 5, 1 \
                  FROM intent i JOIN queue q ON q.id = i.record WHERE i.record = 7 AND i.in_doubt_since IS NOT NULL";
    assert_eq!(connection.execute(forget, []).unwrap(), 1);
    connection.execute("DELETE FROM intent WHERE record = 7", []).unwrap();
    connection.execute("DELETE FROM queue WHERE id = 7", []).unwrap();
    drop(connection);
    let connection = opened(&path, THIRD);
    assert_eq!(
        (records(&connection), connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()),
        (vec![8, 9, 10], 3)
    );
    let last: i64 =
        connection.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'intent'", [], |row| row.get(0)).unwrap();
    assert_eq!(last, 2001);
}
