-- As in the embedded ledger; times that are compared are the database's own.
CREATE TABLE orders (
    id          TEXT PRIMARY KEY,
    state       TEXT NOT NULL,
    created     TEXT NOT NULL,
    reason      TEXT,
    plan        TEXT NOT NULL,
    policy      TEXT NOT NULL,
    cancelled   BOOLEAN NOT NULL DEFAULT FALSE,
    -- Who drives it; the token rises with each new owner and is never given twice.
    claim_owner TEXT,
    claim_token BIGINT NOT NULL DEFAULT 0,
    claim_until TIMESTAMPTZ,
    -- The end of the chain of its events: how many there are, and the hash of the last one.
    events      BIGINT NOT NULL DEFAULT 0,
    head        TEXT NOT NULL DEFAULT ''
);

CREATE INDEX orders_by_state ON orders (state, id);
-- Finished orders are many and never claimed: what waits is found without passing them by.
CREATE INDEX orders_unfinished ON orders (id) WHERE state IN ('accepted', 'provisioning', 'compensating');

CREATE TABLE steps (
    order_id TEXT NOT NULL REFERENCES orders (id),
    position INTEGER NOT NULL,
    step_key TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    lease    TEXT NOT NULL,
    state    TEXT NOT NULL,
    attempts TEXT NOT NULL,
    PRIMARY KEY (order_id, position)
);

-- Rows are added, never changed or removed.
CREATE TABLE events (
    sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id),
    number   BIGINT NOT NULL,
    at       TEXT NOT NULL,
    kind     TEXT NOT NULL,
    hash     TEXT NOT NULL,
    UNIQUE (order_id, number)
);

CREATE FUNCTION events_stay() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''events are never changed or removed''; END';
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION events_stay();
CREATE TRIGGER events_remain BEFORE TRUNCATE ON events EXECUTE FUNCTION events_stay();
