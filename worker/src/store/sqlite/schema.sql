-- Schema 1. Times are microseconds since 1970-01-01T00:00:00Z; documents are JSON.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE scope (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    flow        TEXT NOT NULL,
    source      TEXT NOT NULL,
    destination TEXT NOT NULL,
    poll        TEXT NOT NULL,
    last_run    INTEGER,
    last_sync   INTEGER,
    UNIQUE (flow, source, destination)
) STRICT;

-- `due` is set for the head of each key only: a record behind another of its key is not due.
CREATE TABLE queue (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    scope       INTEGER NOT NULL REFERENCES scope (id),
    key         TEXT NOT NULL,
    version     TEXT NOT NULL,
    source_hash TEXT NOT NULL,
    payload     TEXT NOT NULL,
    enqueued_at INTEGER NOT NULL,
    due         INTEGER,
    by_system   INTEGER NOT NULL DEFAULT 0,
    failures    TEXT
) STRICT;
CREATE INDEX queue_by_key ON queue (scope, key, id);
CREATE INDEX queue_by_due ON queue (scope, due, id) WHERE due IS NOT NULL;
CREATE INDEX queue_by_system ON queue (scope) WHERE by_system = 1;

-- AUTOINCREMENT, because a sequence that was used twice would make two idempotency keys equal.
CREATE TABLE intent (
    sequence        INTEGER PRIMARY KEY AUTOINCREMENT,
    scope           INTEGER NOT NULL REFERENCES scope (id),
    record          INTEGER NOT NULL UNIQUE REFERENCES queue (id),
    operation       TEXT NOT NULL,
    body            TEXT NOT NULL,
    body_hash       TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    stored_at       INTEGER NOT NULL,
    in_doubt_since  INTEGER,
    refused         INTEGER NOT NULL DEFAULT 0,
    held            INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE ledger (
    scope       INTEGER NOT NULL REFERENCES scope (id),
    key         TEXT NOT NULL,
    version     TEXT NOT NULL,
    source_hash TEXT NOT NULL,
    body_hash   TEXT,
    identifier  TEXT,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letter (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    scope           INTEGER NOT NULL REFERENCES scope (id),
    key             TEXT NOT NULL,
    version         TEXT,
    source_hash     TEXT NOT NULL,
    payload         TEXT NOT NULL,
    cause           TEXT NOT NULL,
    status          INTEGER,
    request_ids     TEXT NOT NULL,
    excerpt         TEXT,
    attempts        INTEGER NOT NULL,
    first_failed_at INTEGER NOT NULL,
    last_failed_at  INTEGER NOT NULL,
    plan_hash       TEXT NOT NULL
) STRICT;
CREATE INDEX dead_letter_by_key ON dead_letter (scope, key);
CREATE INDEX dead_letter_by_age ON dead_letter (last_failed_at);

CREATE TABLE total (
    scope INTEGER NOT NULL REFERENCES scope (id),
    name  TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE hourly (
    scope INTEGER NOT NULL REFERENCES scope (id),
    name  TEXT NOT NULL,
    hour  INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (scope, name, hour)
) STRICT, WITHOUT ROWID;
