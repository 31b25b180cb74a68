-- The tables are in a schema of their own; what triggers run finds them whatever a session's search path is.
ALTER FUNCTION events_stay() SET search_path = fulcrum, pg_temp;
ALTER FUNCTION forget() SET search_path = fulcrum, pg_temp;
ALTER FUNCTION forgotten_stay() SET search_path = fulcrum, pg_temp;

-- An id that was forgotten never returns. The look comes after the row: whoever forgets that order at the same moment has
-- then committed, as the row waited for it. No lock is needed that a stranger could take.
DROP TRIGGER forgotten_do_not_return ON orders;
CREATE OR REPLACE FUNCTION forgotten_do_not_return() RETURNS trigger LANGUAGE plpgsql SET search_path = fulcrum, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM forgotten WHERE id = NEW.id) THEN
        RAISE EXCEPTION 'order % was forgotten, and its id is never used again', NEW.id USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER forgotten_do_not_return AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION forgotten_do_not_return();
