-- Schema 7. The log of calls to vendors, in the order in which they ended, so that what is oldest is found without an index: rows only go at that end.
-- What is missing of it although its days are not over is counted beside it. A worker of schema 6 leaves all of it alone.
CREATE TABLE call (
    id           INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    system       TEXT NOT NULL,
    purpose      TEXT NOT NULL,
    name         TEXT NOT NULL,
    method       TEXT NOT NULL,
    path         TEXT NOT NULL,
    status       INTEGER,
    outcome      TEXT NOT NULL,
    failed       INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    request_id   TEXT,
    flow         TEXT,
    key          TEXT,
    attempt      INTEGER,
    records      INTEGER
) STRICT;

CREATE TABLE call_gap (
    why   TEXT PRIMARY KEY,
    calls INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
