-- Orders that were removed. To write one down here is to remove it, and the only way to do so; its id is never used again.
CREATE TABLE forgotten (
    id     TEXT PRIMARY KEY,
    -- The end of the chain of its events.
    events BIGINT NOT NULL,
    head   TEXT NOT NULL,
    at     TEXT NOT NULL
);

CREATE OR REPLACE FUNCTION events_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT 1 FROM forgotten WHERE id = OLD.order_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'events are never changed, and never removed unless with their order';
END $$;

CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM events WHERE order_id = NEW.id;
    DELETE FROM steps WHERE order_id = NEW.id;
    DELETE FROM orders WHERE id = NEW.id AND state = 'compensated' AND events = NEW.events AND head = NEW.head;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only a compensated order can be forgotten, never another one';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER forgotten_are_gone AFTER INSERT ON forgotten FOR EACH ROW EXECUTE FUNCTION forget();

CREATE FUNCTION forgotten_stay() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''this is never changed or removed''; END';
CREATE TRIGGER forgotten_stay BEFORE UPDATE OR DELETE ON forgotten FOR EACH ROW EXECUTE FUNCTION forgotten_stay();
CREATE TRIGGER forgotten_remain BEFORE TRUNCATE ON forgotten EXECUTE FUNCTION forgotten_stay();

-- As where the id is there already. The lock is the one that is held alone while an order is forgotten, so that the look
-- comes before or after that.
CREATE FUNCTION forgotten_do_not_return() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'66756c6372756d02'::bigint);
    IF EXISTS (SELECT 1 FROM forgotten WHERE id = NEW.id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER forgotten_do_not_return BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION forgotten_do_not_return();
