-- One settlement is one question and one answer: what a workspace is settled from is read by `standing` after the
-- lock is taken, and what a step changes is written whole by `post`, of one workspace or of several at once.

-- Which process a lease is of (host/pid/start): those that start on its host take over at once what a dead one held.
ALTER TABLE charge ADD leased_by text;

-- What is written again and again is written beside itself: no index is touched while a page has room.
ALTER TABLE member SET (fillfactor = 50);
ALTER TABLE span SET (fillfactor = 50);

-- Each statement of a function like this sees what was committed before it began: what follows the lock is read after.
CREATE FUNCTION locked_workspace(_workspace text) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM workspace WHERE id = _workspace FOR UPDATE;
    RETURN (
        SELECT row_to_json(row_told) FROM (
            SELECT w.*, GREATEST(COALESCE(c.now, clock_timestamp()), w.settled_through) AS now, a.tax_rate,
                   a.payment_reference
            FROM workspace w JOIN account a ON a.id = w.account_id LEFT JOIN clock c ON c.id = w.clock_id
            WHERE w.id = _workspace
        ) AS row_told
    );
END $$;

-- The workspace, the terms its billed periods pinned, its commands and payments, the facts that wait (`_hear` false:
-- only those among them), at most `_most` and all of the last instant (law 7), and the heads of whom they name.
CREATE FUNCTION standing(_workspace text, _hear boolean, _most integer) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    _locked json := locked_workspace(_workspace);
BEGIN
    RETURN (
        WITH life AS MATERIALIZED (
            SELECT id, kind, at, heard_at, source, source_id, ordinal, member, board, workspace, owner, source_seq, data
            FROM fact WHERE workspace_id = _workspace AND source IN ('command', 'payment')
        ), waiting AS MATERIALIZED (
            SELECT id, kind, at, heard_at, source, source_id, ordinal, member, board, workspace, owner, source_seq, data
            FROM fact WHERE workspace_id = _workspace AND settled_at IS NULL
              AND (_hear OR source IN ('command', 'payment'))
            ORDER BY at FETCH FIRST _most ROWS WITH TIES
        )
        SELECT json_build_object(
            'workspace', _locked,
            'pins', (SELECT json_agg(json_build_array(subscription_id, n, terms::text))
                     FROM period WHERE workspace_id = _workspace),
            'life', (SELECT json_agg(life) FROM life),
            'waiting', (SELECT json_agg(waiting) FROM waiting),
            'members', (SELECT json_agg(m) FROM member m
                        WHERE m.workspace_id = _workspace AND m.member = ANY (ARRAY(SELECT member FROM waiting)))
        )
    );
END $$;

-- The workspace, then one of its charges, both locked; what was taken off it, what still stands, what was answered.
CREATE FUNCTION asked(_workspace text, _charge text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    _locked json := locked_workspace(_workspace);
BEGIN
    PERFORM FROM charge WHERE id = _charge FOR UPDATE;
    RETURN json_build_object('workspace', _locked, 'charge', (
        SELECT row_to_json(row_told) FROM (
            SELECT c.*, COALESCE(l.over, false) AS over, l.standing,
                EXISTS (SELECT FROM attempt a WHERE a.charge_id = c.id AND a.outcome = 'failed') AS failed_before,
                EXISTS (SELECT FROM attempt a WHERE a.charge_id = c.id AND a.n = c.attempt) AS answered
            FROM charge c, LATERAL (
                SELECT bool_or(x.reduced > x.credited) AS over, sum(x.amount - x.reduced)::bigint AS standing
                FROM charge_line x WHERE x.charge_id = c.id
            ) AS l
            WHERE c.id = _charge AND c.workspace_id = _workspace
        ) AS row_told
    ));
END $$;

-- Writes the parts of `_told` that are there, of however many workspaces at once. Rows are JSON objects named as the
-- columns; times carry their zone. Rows are always found by key: what the planner takes the tables for, empty ones
-- yesterday, must not make it read them whole.
CREATE FUNCTION post(_told jsonb) RETURNS void LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    _one jsonb;
BEGIN
    IF _told ? 'members' THEN
        INSERT INTO member (workspace_id, member, membership, deactivated, on_boards, open_boards, shut_boards,
        billable,
                            rule, since, fact_id, last_at, name, role)
        SELECT t.* FROM jsonb_to_recordset(_told -> 'members') AS t(
            workspace_id text, member text, membership text, deactivated boolean, on_boards integer, open_boards
            integer,
            shut_boards integer, billable boolean, rule text, since timestamptz, fact_id text, last_at timestamptz,
            name text, role text)
        ON CONFLICT (workspace_id, member) DO UPDATE SET
            membership = EXCLUDED.membership, deactivated = EXCLUDED.deactivated, on_boards = EXCLUDED.on_boards,
            open_boards = EXCLUDED.open_boards, shut_boards = EXCLUDED.shut_boards, billable = EXCLUDED.billable,
            rule = EXCLUDED.rule, since = EXCLUDED.since, fact_id = EXCLUDED.fact_id, last_at = EXCLUDED.last_at,
            name = EXCLUDED.name, role = EXCLUDED.role;
    END IF;
    -- People who stand alike, and whose name and role stay: the guests of a board.
    FOR _one IN SELECT jsonb_array_elements(_told -> 'crowds') LOOP
        UPDATE member SET
            membership = t.membership, deactivated = t.deactivated, on_boards = t.on_boards,
            open_boards = t.open_boards, shut_boards = t.shut_boards, billable = t.billable, rule = t.rule,
            since = t.since, fact_id = t.fact_id, last_at = t.last_at
        FROM jsonb_to_record(_one) AS t(membership text, deactivated boolean, on_boards integer, open_boards integer,
                 shut_boards integer, billable boolean, rule text, since timestamptz, fact_id text, last_at timestamptz),
             jsonb_array_elements_text(_one -> 'members') AS who
        WHERE member.workspace_id = _one ->> 'workspace_id' AND member.member = who;
    END LOOP;
    IF _told ? 'boards' THEN
        INSERT INTO board_head (workspace_id, board, owner, closed, initial, hint_at, explicit_at, last_at)
        SELECT t.* FROM jsonb_to_recordset(_told -> 'boards') AS t(
            workspace_id text, board text, owner text, closed boolean, initial text, hint_at timestamptz, explicit_at
            timestamptz,
            last_at timestamptz)
        ON CONFLICT (workspace_id, board) DO UPDATE SET
            owner = EXCLUDED.owner, closed = EXCLUDED.closed, initial = EXCLUDED.initial, hint_at = EXCLUDED.hint_at,
            explicit_at = EXCLUDED.explicit_at, last_at = EXCLUDED.last_at;
    END IF;
    IF _told ? 'seats' THEN
        INSERT INTO seat (workspace_id, board, member, present)
        SELECT t.workspace_id, t.board, unnest(t.members), t.present
        FROM jsonb_to_recordset(_told -> 'seats') AS t(
            workspace_id text, board text, members text[], present boolean)
        ON CONFLICT (workspace_id, board, member) DO UPDATE SET present = EXCLUDED.present;
    END IF;
    IF _told ? 'rewritten' THEN
        DELETE FROM span USING jsonb_to_recordset(_told -> 'rewritten') AS t(workspace_id text, member text)
            WHERE span.workspace_id = t.workspace_id AND span.member = t.member;
    END IF;
    IF _told ? 'ended' THEN
        -- The open span of somebody is the last one: found by its key's end, not among all that he ever had, and
        -- written where it was found.
        WITH last AS MATERIALIZED (
            SELECT t.at, (SELECT x.ctid FROM span x WHERE x.workspace_id = t.workspace_id AND x.member = who
                          ORDER BY x.start_at DESC LIMIT 1) AS place
            FROM jsonb_to_recordset(_told -> 'ended') AS t(workspace_id text, members text[], at timestamptz),
                 unnest(t.members) AS who
        )
        UPDATE span SET end_at = last.at FROM last WHERE span.ctid = last.place AND span.end_at IS NULL;
    END IF;
    IF _told ? 'spans' THEN
        INSERT INTO span (workspace_id, member, start_at, end_at, fact_id)
        SELECT t.workspace_id, unnest(t.members), t.start_at, t.end_at, t.fact_id
        FROM jsonb_to_recordset(_told -> 'spans') AS t(
            workspace_id text, members text[], start_at timestamptz, end_at timestamptz, fact_id text);
    END IF;
    IF _told ? 'steps' THEN
        INSERT INTO step (workspace_id, at, delta)
        SELECT t.* FROM jsonb_to_recordset(_told -> 'steps') AS t(
            workspace_id text, at timestamptz, delta integer)
        ON CONFLICT (workspace_id, at) DO UPDATE SET delta = step.delta + EXCLUDED.delta;
    END IF;
    IF _told ? 'journal' THEN
        INSERT INTO journal (workspace_id, seq, id, kind, ref, debit, credit, amount, currency, digest, hash, posted_at)
        SELECT t.* FROM jsonb_to_recordset(_told -> 'journal') AS t(
            workspace_id text, seq bigint, id text, kind text, ref text, debit text, credit text, amount bigint,
            currency text,
            digest bytea, hash bytea, posted_at timestamptz);
    END IF;
    IF _told ? 'entries' THEN
        INSERT INTO entry (workspace_id, seq, id, key, subscription_id, n, kind, instant, unit_amount, seats, fraction,
                           line_amount, amount, currency, method, rounding, rules, facts, posted_at, heard_at)
        SELECT t.* FROM jsonb_to_recordset(_told -> 'entries') AS t(
            workspace_id text, seq bigint, id text, key text, subscription_id text, n integer, kind text, instant
            timestamptz,
            unit_amount bigint, seats integer, fraction text, line_amount bigint, amount bigint, currency text,
            method text, rounding text, rules text[], facts text[], posted_at timestamptz, heard_at timestamptz);
        -- The statement as settled: each line as its entries now sum to it; a vanished one stands at zero.
        INSERT INTO line (workspace_id, key, subscription_id, n, kind, instant, unit_amount, seats, fraction, amount,
                          currency, method, rounding, rules, facts, entry_id)
        SELECT t.* FROM jsonb_to_recordset(_told -> 'entries') AS t(
            workspace_id text, key text, subscription_id text, n integer, kind text, instant timestamptz, unit_amount
            bigint,
            seats integer, fraction text, line_amount bigint, currency text, method text, rounding text, rules text[],
            facts text[], id text)
        ON CONFLICT (workspace_id, key) DO UPDATE SET
            seats = EXCLUDED.seats, fraction = EXCLUDED.fraction, amount = EXCLUDED.amount, rules = EXCLUDED.rules,
            facts = EXCLUDED.facts, entry_id = EXCLUDED.entry_id;
    END IF;
    IF _told ? 'charge' THEN
        INSERT INTO charge (id, workspace_id, subscription_id, n, purpose, nth, status, held_reason, currency, amount,
                            tax, tax_rate, tax_behavior, tax_rounding, credit, method, due_on, created_at,
                            document_due, body, token, tries, leased_by, first_sent_at, leased_until, due_at)
        SELECT t.id, t.workspace_id, t.subscription_id, t.n, t.purpose,
               COALESCE((SELECT max(c.nth) FROM charge c WHERE c.subscription_id = t.subscription_id AND c.n = t.n
                         AND c.purpose = t.purpose), 0) + 1,
               t.status, t.held_reason, t.currency, t.amount, t.tax, t.tax_rate, t.tax_behavior, t.tax_rounding,
               t.credit, t.method, t.due_on, t.created_at, t.document_due,
               t.body, t.tries, t.tries, t.leased_by, CASE WHEN t.status = 'sending' THEN clock_timestamp() END,
               clock_timestamp() + make_interval(secs => t.lease_s),
               CASE WHEN t.status IN ('queued', 'sending')
                    THEN clock_timestamp() + make_interval(secs => COALESCE(t.lease_s, 0)) END
        FROM jsonb_to_recordset(_told -> 'charge') AS t(
            id text, workspace_id text, subscription_id text, n integer, purpose text, status text, held_reason text,
            currency text, amount bigint, tax bigint, tax_rate text, tax_behavior text, tax_rounding text,
            credit bigint, method text, due_on date, created_at timestamptz, document_due boolean, body jsonb,
            tries integer, leased_by text, lease_s float8);
        INSERT INTO charge_line (charge_id, workspace_id, key, entry_id, amount)
        SELECT c.id, c.workspace_id, t.*
        FROM jsonb_to_recordset(_told -> 'charge') AS c(id text, workspace_id text, lines jsonb),
             jsonb_to_recordset(c.lines) AS t(key text, entry_id text, amount bigint);
    END IF;
    IF _told ? 'answer' THEN
        UPDATE charge SET status = t.status, leased_until = NULL,
            reference = COALESCE(t.reference, charge.reference),
            document_due = document_due OR t.status = 'succeeded',
            collected_at = CASE WHEN t.status = 'succeeded' THEN t.at END,
            due_at = clock_timestamp() + make_interval(secs => t.retry_in_s)
        FROM jsonb_to_recordset(_told -> 'answer') AS t(
            charge_id text, status text, reference text, at timestamptz, retry_in_s float8)
        WHERE charge.id = t.charge_id;
        INSERT INTO attempt (charge_id, n, key, posts, outcome, detail, at)
        SELECT t.charge_id, t.n, t.charge_id || '.' || t.n, t.posts, t.status, t.detail, clock_timestamp()
        FROM jsonb_to_recordset(_told -> 'answer') AS t(
            charge_id text, n integer, posts integer, status text, detail text)
        ON CONFLICT (charge_id, n) DO UPDATE
        SET posts = EXCLUDED.posts, outcome = EXCLUDED.outcome, detail = EXCLUDED.detail, at = EXCLUDED.at;
    END IF;
    -- Exactly the facts taken, as they were: one that a reader has given an owner meanwhile waits for the next step.
    IF _told ? 'taken' THEN
        -- One look at all that waits there, whatever the planner thinks: found one by one, as many looks as facts.
        UPDATE fact SET settled_at = now()
        WHERE settled_at IS NULL
            AND workspace_id = ANY (ARRAY(
                SELECT DISTINCT t.workspace_id FROM jsonb_to_recordset(_told -> 'taken') AS t(workspace_id text)))
            AND ((workspace_id, id, COALESCE(owner, '')) IN (
                SELECT t.workspace_id, t.id, COALESCE(t.owner, '')
                FROM jsonb_to_recordset(_told -> 'taken') AS t(workspace_id text, id text, owner text))) IS TRUE;
    END IF;
    IF _told ? 'position' THEN
        UPDATE workspace SET occupied = t.occupied, purchased = t.purchased, opened = t.opened, frontier = t.frontier,
            settled_through = t.settled_through, due_at = t.due_at, state = t.state, chain_seq = t.chain_seq,
            chain_head = t.chain_head, credit = t.credit
        FROM jsonb_to_recordset(_told -> 'position') AS t(
            workspace_id text, occupied integer, purchased integer, opened integer, frontier timestamptz,
            settled_through timestamptz, due_at timestamptz, state text, chain_seq bigint, chain_head bytea,
            credit bigint)
        WHERE workspace.id = t.workspace_id;
    END IF;
    IF _told ? 'chain' THEN
        UPDATE workspace SET chain_seq = t.chain_seq, chain_head = t.chain_head, credit = t.credit
        FROM jsonb_to_recordset(_told -> 'chain') AS t(
            workspace_id text, chain_seq bigint, chain_head bytea, credit bigint)
        WHERE workspace.id = t.workspace_id;
    END IF;
END $$;
