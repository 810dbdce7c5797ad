-- Schema 4. The log of events that webhooks brought: an event that is known by its mark is not taken again. It is kept as long as the Integration
-- says. Retention goes by `keep_until`. What alerts were sent about, and messages that wait until their channel takes them. A worker of schema 3
-- leaves all of it alone.
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

CREATE TABLE alert_standing (
    channel  TEXT NOT NULL,
    cause    TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (channel, cause)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert_message (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    channel  TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT;
