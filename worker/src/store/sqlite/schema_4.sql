-- Schema 4. The log of events that webhooks brought: an event that is known by its mark is not taken again. It is kept as long as the Integration
-- says. Retention goes by `keep_until`.
CREATE TABLE event (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    source      TEXT NOT NULL,
    mark        TEXT,
    event_id    TEXT,
    topic       TEXT NOT NULL,
    hash        TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    keep_until  INTEGER NOT NULL,
    repeats     INTEGER NOT NULL DEFAULT 0,
    flows       INTEGER NOT NULL,
    news        INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_by_mark ON event (source, mark) WHERE mark IS NOT NULL;
CREATE INDEX event_by_age ON event (keep_until);
