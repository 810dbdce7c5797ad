-- Schema 6. Which keys a source's whole list held when it was read last, where a flow deletes what is not on it any more: each is marked with the
-- reading that listed it. A worker of schema 5 leaves all of it alone: plans that delete so have a format that it refuses.
CREATE TABLE listed (
    scope INTEGER NOT NULL REFERENCES scope (id),
    key   TEXT NOT NULL,
    round INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
