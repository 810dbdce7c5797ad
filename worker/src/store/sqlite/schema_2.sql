-- Schema 2. The environment joins the scope's key, which takes a new table; its rows and their numbers stay. The ledger knows whether the
-- destination has a record: an entry without it is a tombstone. An intent may delete, and may have been made of a state that was fetched
-- after the record was queued. A record may wait for another flow's.
CREATE TABLE scope_2 (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    flow        TEXT NOT NULL,
    source      TEXT NOT NULL,
    destination TEXT NOT NULL,
    poll        TEXT NOT NULL,
    last_run    INTEGER,
    last_sync   INTEGER,
    environment TEXT NOT NULL DEFAULT 'Production',
    UNIQUE (flow, source, destination, environment)
) STRICT;
INSERT INTO scope_2 (id, flow, source, destination, poll, last_run, last_sync)
    SELECT id, flow, source, destination, poll, last_run, last_sync FROM scope;
DROP TABLE scope;
ALTER TABLE scope_2 RENAME TO scope;

ALTER TABLE ledger ADD COLUMN present INTEGER NOT NULL DEFAULT 1;
-- What was left out and has no identifier was never written, as far as schema 1 could tell.
UPDATE ledger SET present = 0 WHERE body_hash IS NULL AND identifier IS NULL;

ALTER TABLE intent ADD COLUMN deletes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intent ADD COLUMN version TEXT;
ALTER TABLE intent ADD COLUMN source_hash TEXT;

ALTER TABLE queue ADD COLUMN awaits_scope INTEGER;
ALTER TABLE queue ADD COLUMN awaits_key TEXT;
CREATE INDEX queue_by_parent ON queue (awaits_scope, awaits_key) WHERE awaits_scope IS NOT NULL;
