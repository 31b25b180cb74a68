-- Which providers a host needs to drive an order: those of its steps, as a sorted JSON array.
ALTER TABLE orders ADD COLUMN providers TEXT NOT NULL DEFAULT '[]';
UPDATE orders SET providers = coalesce(
    (SELECT '[' || string_agg(to_json(provider)::text, ',' ORDER BY provider COLLATE "C") || ']'
     FROM (SELECT DISTINCT provider FROM steps WHERE order_id = orders.id) AS each), '[]');

-- Drives that failed since the order last changed its state, and when a host may try again; NULL for now.
ALTER TABLE orders ADD COLUMN failed_drives INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN next_try TIMESTAMPTZ;

-- The namespace that the order's keys name; NULL for older orders, whose keys name none.
ALTER TABLE orders ADD COLUMN namespace TEXT;

-- When the customer's wish was noted, and who had it, as JSON. NULL also where an older version noted it.
ALTER TABLE orders ADD COLUMN cancelled_at TEXT;
ALTER TABLE orders ADD COLUMN cancelled_by TEXT;

-- The ledger's own facts. `id`: its name for ever.
CREATE TABLE ledger_meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO ledger_meta (name, value) VALUES ('id', left(replace(gen_random_uuid()::text, '-', ''), 10));

-- An order that is over says how: it was committed before, or something was asked for, or nothing ever was. Events stay as
-- they are.
UPDATE orders SET state = CASE
    WHEN EXISTS (SELECT 1 FROM events WHERE order_id = orders.id
                 AND kind LIKE '{"event":"order","state":"committed"%') THEN 'ended'
    WHEN EXISTS (SELECT 1 FROM events WHERE order_id = orders.id AND kind LIKE '{"event":"step",%'
                 AND (kind LIKE '%"step":{"state":"reserving"%' OR kind LIKE '%"step":{"state":"reserved"%'
                      OR kind LIKE '%"step":{"state":"provisioning"%' OR kind LIKE '%"step":{"state":"provisioned"%'
                      OR kind LIKE '%"step":{"state":"committed"%')) THEN 'failed'
    ELSE 'refused' END
WHERE state = 'compensated';

CREATE OR REPLACE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM events WHERE order_id = NEW.id;
    DELETE FROM steps WHERE order_id = NEW.id;
    DELETE FROM orders WHERE id = NEW.id AND state IN ('ended', 'failed', 'refused', 'compensated')
        AND events = NEW.events AND head = NEW.head;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only an order that is over can be forgotten, never another one';
    END IF;
    RETURN NULL;
END $$;

-- Finished orders are many and never claimed: what waits is found without passing them by. Queries repeat this condition
-- word for word.
DROP INDEX orders_unfinished;
CREATE INDEX orders_unfinished ON orders (id)
    WHERE state IN ('accepted', 'provisioning', 'changing', 'compensating') OR (cancelled AND state = 'committed');
