-- Which step may buy at a provider that knows no keys: one at a time. It is a step's and not a host's, so it has no end of
-- its own: whoever holds the claim of the step's order has it.
CREATE TABLE gates (
    name     TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    -- Of the order's claim under which it was entered last.
    token    INTEGER NOT NULL,
    -- What whoever resumes the step must know.
    note     TEXT
) STRICT;
-- Which services are known at a provider.
CREATE INDEX steps_by_provider ON steps (provider);
