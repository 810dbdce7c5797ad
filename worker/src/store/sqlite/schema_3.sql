-- Schema 3. An intent's operation is stored once and referred to, and several records may share one intent: a batch. Sequences are reserved
-- ahead, so that an intent is one row in one table. What waits is counted by why it does.
CREATE TABLE operation (
    id       INTEGER PRIMARY KEY,
    document TEXT NOT NULL UNIQUE
) STRICT;

-- A record of an intent. Those of a batch have its sequence, its key and its size: the number of records it was made of. A record whose batch
-- was taken apart has a key of its own, which was never sent.
CREATE TABLE outgoing (
    record          INTEGER PRIMARY KEY REFERENCES queue (id),
    sequence        INTEGER NOT NULL,
    size            INTEGER NOT NULL DEFAULT 1,
    apart           INTEGER NOT NULL DEFAULT 0,
    operation       INTEGER NOT NULL REFERENCES operation (id),
    body            TEXT NOT NULL,
    body_hash       TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    stored_at       INTEGER NOT NULL,
    deletes         INTEGER NOT NULL DEFAULT 0,
    version         TEXT,
    source_hash     TEXT,
    in_doubt_since  INTEGER,
    refused         INTEGER NOT NULL DEFAULT 0,
    held            INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outgoing_by_batch ON outgoing (sequence) WHERE size > 1;

INSERT INTO operation (document) SELECT DISTINCT operation FROM intent;
INSERT INTO outgoing (record, sequence, operation, body, body_hash, idempotency_key, stored_at, deletes, version, source_hash,
                      in_doubt_since, refused, held)
    SELECT record, sequence, operation.id, body, body_hash, idempotency_key, stored_at, deletes, version, source_hash, in_doubt_since,
           refused, held
    FROM intent JOIN operation ON operation.document = intent.operation;

-- Sequences are never used twice, because two idempotency keys would be equal: the highest one that may have been used outlives the table
-- it counted.
CREATE TEMP TABLE used AS SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'intent'), 0) AS last;
DROP TABLE intent;
INSERT INTO sqlite_sequence (name, seq) SELECT 'intent', last FROM used;
DROP TABLE used;

-- What a worker of schema 2 takes for its table. It knows no batches: it sees each of their records as an intent of its own that no key can
-- tell about, and closes it by a sequence that no other record has.
CREATE VIEW intent AS
    SELECT CASE WHEN o.size > 1 OR o.apart THEN -o.record ELSE o.sequence END AS sequence, q.scope AS scope, o.record AS record,
           CASE WHEN o.size > 1 OR o.apart THEN json_set(p.document, '$.outcome.idempotency', NULL) ELSE p.document END AS operation,
           o.body AS body, o.body_hash AS body_hash, o.idempotency_key AS idempotency_key, o.stored_at AS stored_at,
           o.in_doubt_since AS in_doubt_since, o.refused AS refused, o.held AS held, o.deletes AS deletes, o.version AS version,
           o.source_hash AS source_hash
    FROM outgoing o JOIN operation p ON p.id = o.operation JOIN queue q ON q.id = o.record;

CREATE TRIGGER intent_opened INSTEAD OF INSERT ON intent BEGIN
    INSERT OR IGNORE INTO operation (document) VALUES (NEW.operation);
    INSERT INTO outgoing (record, sequence, operation, body, body_hash, idempotency_key, stored_at, deletes, version, source_hash)
        SELECT NEW.record, NEW.sequence, id, NEW.body, NEW.body_hash, NEW.idempotency_key, NEW.stored_at, NEW.deletes, NEW.version,
               NEW.source_hash
        FROM operation WHERE document = NEW.operation;
    UPDATE sqlite_sequence SET seq = max(seq, NEW.sequence) WHERE name = 'intent';
END;
CREATE TRIGGER intent_changed INSTEAD OF UPDATE ON intent BEGIN
    UPDATE outgoing SET in_doubt_since = NEW.in_doubt_since, refused = NEW.refused, held = NEW.held WHERE record = OLD.record;
END;
CREATE TRIGGER intent_closed INSTEAD OF DELETE ON intent BEGIN
    DELETE FROM outgoing WHERE record = OLD.record;
END;

-- Records without a key share an empty one: whether one of them lies here already is asked by its content.
CREATE INDEX dead_letter_by_content ON dead_letter (scope, key, source_hash) WHERE version IS NULL;

-- What failed and is tried again, and what waits for another flow's record, is counted for reports.
UPDATE queue SET failures = NULL WHERE json_extract(failures, '$.cause') = '';
CREATE INDEX queue_failing ON queue (scope, id) WHERE failures IS NOT NULL;
CREATE INDEX queue_awaiting ON queue (scope, enqueued_at) WHERE awaits_scope IS NOT NULL;
