-- Raw bodies lie by the month they were received in, so that an old month leaves by dropping a table: nothing is
-- scanned, nothing has to be vacuumed. The ids in `delivery` stay, because a redelivery must be known for ever.
ALTER TABLE delivery_body RENAME TO delivery_body_before;
ALTER TABLE delivery_body_before RENAME CONSTRAINT delivery_body_pkey TO delivery_body_before_pkey;
CREATE TABLE delivery_body (
    id          text NOT NULL,
    headers     jsonb NOT NULL,
    body        bytea STORAGE EXTERNAL NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),   -- that of its delivery
    PRIMARY KEY (id, received_at)
) PARTITION BY RANGE (received_at);
CREATE TABLE delivery_body_rest PARTITION OF delivery_body DEFAULT;

-- Makes the months from this one to `_ahead` months on. The service's role may not make tables, so this one function may.
CREATE FUNCTION months_ahead(_ahead integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    _month timestamptz;
    _made integer := 0;
    _name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('months', 7));
    FOR _month IN SELECT date_trunc('month', now(), 'UTC') + make_interval(months => m) FROM generate_series(0, _ahead) AS m LOOP
        _name := 'delivery_body_' || to_char(_month AT TIME ZONE 'UTC', 'YYYY_MM');
        IF to_regclass(quote_ident(_name)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF delivery_body FOR VALUES FROM (%L) TO (%L)',
                           _name, _month, date_trunc('month', _month + interval '32 days', 'UTC'));
            _made := _made + 1;
        END IF;
    END LOOP;
    RETURN _made;
END $$;
SELECT months_ahead(2);
INSERT INTO delivery_body (id, headers, body, received_at)
SELECT b.id, b.headers, b.body, d.received_at FROM delivery_body_before b JOIN delivery d USING (id);
DROP TABLE delivery_body_before;

-- The months that end before `_before`, the oldest first, with the deliveries in each that somebody may still want to read.
CREATE FUNCTION months_before(_before date) RETURNS TABLE (month text, name text, wanted bigint) LANGUAGE sql STABLE
AS $$
    SELECT right(c.relname, 7), c.relname::text, (
        SELECT count(*) FROM delivery d WHERE d.state IN ('kept', 'parked', 'quarantined')
          AND d.received_at >= to_timestamp(right(c.relname, 7) || '_01 UTC', 'YYYY_MM_DD TZ')
          AND d.received_at < to_timestamp(right(c.relname, 7) || '_01 UTC', 'YYYY_MM_DD TZ') + interval '1 month')
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'delivery_body'::regclass AND c.relname ~ '^delivery_body_\d{4}_\d{2}$'
      AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= _before
    ORDER BY 1
$$;

CREATE FUNCTION drop_month(_name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF _name !~ '^delivery_body_\d{4}_\d{2}$' THEN
        RAISE EXCEPTION 'no month: %', _name;
    END IF;
    EXECUTE format('DROP TABLE %I', _name);
END $$;

REVOKE EXECUTE ON FUNCTION months_ahead(integer), drop_month(text) FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sekisu_app') THEN
        GRANT EXECUTE ON FUNCTION months_ahead(integer), drop_month(text) TO sekisu_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_body TO sekisu_app;
    END IF;
END $$;

-- What is due is found where it lies: by the wall's clock, or clock by clock.
DROP INDEX workspace_due, workspace_clock;
CREATE INDEX workspace_due ON workspace (due_at) WHERE clock_id IS NULL AND due_at IS NOT NULL;
CREATE INDEX workspace_clock ON workspace (clock_id, due_at) WHERE clock_id IS NOT NULL;

-- A row of the journal is found by its workspace and number; nobody asks for it by its id.
ALTER TABLE journal DROP CONSTRAINT journal_id_key;
