-- Orders, their steps, and everything that ever happened to them. Times are RFC 3339 text, structures JSON text,
-- so that the same schema serves other databases.
CREATE TABLE orders (
    id          TEXT PRIMARY KEY,
    state       TEXT NOT NULL,
    created     TEXT NOT NULL,
    reason      TEXT,
    plan        TEXT NOT NULL,
    policy      TEXT NOT NULL,
    cancelled   INTEGER NOT NULL DEFAULT 0,
    -- Who drives it; the token rises with each new owner and is never given twice.
    claim_owner TEXT,
    claim_token INTEGER NOT NULL DEFAULT 0,
    claim_until TEXT,
    -- The end of the chain of its events: how many there are, and the hash of the last one.
    events      INTEGER NOT NULL DEFAULT 0,
    head        TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX orders_by_state ON orders (state, id);

CREATE TABLE steps (
    order_id TEXT NOT NULL REFERENCES orders (id),
    position INTEGER NOT NULL,
    step_key TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    lease    TEXT NOT NULL,
    state    TEXT NOT NULL,
    attempts TEXT NOT NULL,
    PRIMARY KEY (order_id, position)
) STRICT;

-- Rows are added, never changed or removed.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id TEXT NOT NULL REFERENCES orders (id),
    number   INTEGER NOT NULL,
    at       TEXT NOT NULL,
    kind     TEXT NOT NULL,
    hash     TEXT NOT NULL,
    -- Also what refuses a second event in the same place, should two ever write at once.
    UNIQUE (order_id, number)
) STRICT;

CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;
