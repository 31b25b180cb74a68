-- Fail-overs of an order, as JSON.
ALTER TABLE orders ADD COLUMN rounds TEXT NOT NULL DEFAULT '[]';
