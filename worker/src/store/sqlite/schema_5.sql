-- Schema 5. Pairs of records that two flows carry to and fro: the key of each in its own flow, where it is known, which flow's delete took the
-- pair away, and what is remembered of both records' fields, in hashes. What becomes of a pair by a write that is under way stands beside that
-- until it is settled; a row whose record has no open intent means nothing. A worker of schema 4 leaves all of it alone: plans with pairs have a
-- format that it refuses.
CREATE TABLE twin (
    id            INTEGER PRIMARY KEY,
    forward_scope INTEGER NOT NULL REFERENCES scope (id),
    forward       TEXT,
    reverse_scope INTEGER NOT NULL REFERENCES scope (id),
    reverse       TEXT,
    gone          TEXT,
    memory        TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX twin_by_forward ON twin (forward_scope, forward) WHERE forward IS NOT NULL;
CREATE UNIQUE INDEX twin_by_reverse ON twin (reverse_scope, reverse) WHERE reverse IS NOT NULL;

CREATE TABLE twin_writing (
    record   INTEGER PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;
