-- Orders that were removed. To write one down here is to remove it, and the only way to do so; its id is never used again.
CREATE TABLE forgotten (
    id     TEXT PRIMARY KEY,
    -- The end of the chain of its events.
    events INTEGER NOT NULL,
    head   TEXT NOT NULL,
    at     TEXT NOT NULL
) STRICT;

DROP TRIGGER events_remain;
CREATE TRIGGER events_remain BEFORE DELETE ON events
    WHEN NOT EXISTS (SELECT 1 FROM forgotten WHERE id = OLD.order_id)
    BEGIN SELECT RAISE(ABORT, 'events are never removed, unless with their order'); END;

CREATE TRIGGER forgotten_are_over BEFORE INSERT ON forgotten
    WHEN NOT EXISTS (SELECT 1 FROM orders
                     WHERE id = NEW.id AND state = 'compensated' AND events = NEW.events AND head = NEW.head)
    BEGIN SELECT RAISE(ABORT, 'only a compensated order can be forgotten, never another one'); END;
CREATE TRIGGER forgotten_are_gone AFTER INSERT ON forgotten BEGIN
    DELETE FROM events WHERE order_id = NEW.id;
    DELETE FROM steps WHERE order_id = NEW.id;
    DELETE FROM orders WHERE id = NEW.id;
END;
CREATE TRIGGER forgotten_stay BEFORE UPDATE ON forgotten BEGIN SELECT RAISE(ABORT, 'this is never changed'); END;
CREATE TRIGGER forgotten_remain BEFORE DELETE ON forgotten BEGIN SELECT RAISE(ABORT, 'this is never removed'); END;
-- As where the id is there already.
CREATE TRIGGER forgotten_do_not_return BEFORE INSERT ON orders
    WHEN EXISTS (SELECT 1 FROM forgotten WHERE id = NEW.id)
    BEGIN SELECT RAISE(IGNORE); END;
