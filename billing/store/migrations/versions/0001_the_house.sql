-- Everything a workspace owns has workspace_id first in its key, so that the tables can be distributed by it.

CREATE TABLE account (
    id                text PRIMARY KEY,
    name              text NOT NULL,
    payment_reference text,
    created_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_key (
    id         text PRIMARY KEY,
    account_id text REFERENCES account,          -- null: an admin key
    scopes     text[] NOT NULL DEFAULT '{}',
    digest     bytea NOT NULL UNIQUE,            -- SHA-256 of the key; the key itself is never stored
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE connection (
    id           text PRIMARY KEY,
    account_id   text NOT NULL REFERENCES account,
    tool         text NOT NULL,                  -- plain text: a new tool is a new folder, not a migration
    callback_url text,
    secrets      bytea[] NOT NULL DEFAULT '{}',  -- each encrypted; several are live during a rotation
    created_at   timestamptz NOT NULL DEFAULT now(),
    removed_at   timestamptz
);

-- The inbox. Its ids are remembered for ever; the raw bodies beside it may be dropped by the month.
CREATE TABLE delivery (
    id            text PRIMARY KEY,
    connection_id text NOT NULL,
    delivery_id   text NOT NULL,
    dedupe_key    text NOT NULL,                 -- delivery_id, or delivery_id~fingerprint for an impostor of it
    fingerprint   text NOT NULL,
    sha256        text NOT NULL,
    state         text NOT NULL CHECK (state IN ('kept', 'done', 'ignored', 'parked', 'quarantined')),
    reason        text,
    action        text,
    waits_for     text,
    facts         text[] NOT NULL DEFAULT '{}',
    received_at   timestamptz NOT NULL DEFAULT now(),
    heard_at      timestamptz,
    due_at        timestamptz NOT NULL DEFAULT now(),
    tries         integer NOT NULL DEFAULT 0,
    UNIQUE (connection_id, dedupe_key)
);
CREATE INDEX delivery_due ON delivery (connection_id, due_at) WHERE state = 'kept';
CREATE INDEX delivery_parked ON delivery (waits_for) WHERE state = 'parked';

CREATE TABLE delivery_body (
    id      text PRIMARY KEY,
    headers jsonb NOT NULL,
    body    bytea NOT NULL
);
ALTER TABLE delivery_body ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE clock (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES account,
    now        timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE workspace (
    id              text PRIMARY KEY,
    account_id      text NOT NULL REFERENCES account,
    tool            text NOT NULL,
    external_id     text NOT NULL,
    name            text NOT NULL,
    connection_id   text,
    time_zone       text NOT NULL DEFAULT 'UTC',
    clock_id        text REFERENCES clock,
    collect         text NOT NULL DEFAULT 'live' CHECK (collect IN ('live', 'shadow', 'paused')),
    state           text NOT NULL DEFAULT 'free',
    occupied        integer NOT NULL DEFAULT 0,
    purchased       integer NOT NULL DEFAULT 0,
    opened          integer NOT NULL DEFAULT 0,
    frontier        timestamptz,
    settled_through timestamptz,
    due_at          timestamptz,                 -- next due instant, in the workspace's own time
    credit          bigint NOT NULL DEFAULT 0 CHECK (credit >= 0),
    chain_seq       bigint NOT NULL DEFAULT 0,
    chain_head      bytea NOT NULL DEFAULT '\x',
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, tool, external_id)
) WITH (fillfactor = 70);
CREATE INDEX workspace_due ON workspace (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX workspace_clock ON workspace (clock_id) WHERE clock_id IS NOT NULL;
CREATE INDEX workspace_connection ON workspace (connection_id);

-- What a board's deliveries said, whoever owns the board. A workspace that ever owned it gets a copy of each.
CREATE TABLE board (
    account_id text NOT NULL,
    tool       text NOT NULL,
    board      text NOT NULL,
    PRIMARY KEY (account_id, tool, board)
);
CREATE TABLE board_home (
    account_id  text NOT NULL,
    tool        text NOT NULL,
    external_id text NOT NULL,
    board       text NOT NULL,
    PRIMARY KEY (account_id, tool, external_id, board)
);
CREATE INDEX board_home_board ON board_home (account_id, tool, board);
CREATE TABLE board_fact (
    account_id  text NOT NULL,
    tool        text NOT NULL,
    board       text NOT NULL,
    id          text NOT NULL,
    kind        text NOT NULL,
    at          timestamptz NOT NULL,
    heard_at    timestamptz NOT NULL,
    source      text NOT NULL,
    source_id   text NOT NULL,
    ordinal     integer NOT NULL,
    member      text,
    workspace   text,
    owner       text,
    source_seq  bigint,
    data        jsonb NOT NULL DEFAULT '{}',
    delivery_id text,
    PRIMARY KEY (account_id, tool, board, id)
);

CREATE TABLE fact (
    workspace_id text NOT NULL,
    seq          bigint GENERATED ALWAYS AS IDENTITY,
    id           text NOT NULL,
    kind         text NOT NULL,
    at           timestamptz NOT NULL,
    heard_at     timestamptz NOT NULL,
    source       text NOT NULL,
    source_id    text NOT NULL,
    ordinal      integer NOT NULL,
    member       text,
    board        text,
    workspace    text,
    owner        text,
    source_seq   bigint,
    data         jsonb NOT NULL DEFAULT '{}',
    delivery_id  text,
    settled_at   timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX fact_unsettled ON fact (workspace_id, at) WHERE settled_at IS NULL;
CREATE INDEX fact_member ON fact (workspace_id, member) WHERE member IS NOT NULL;
CREATE INDEX fact_board ON fact (workspace_id, board, at) WHERE board IS NOT NULL;
CREATE INDEX fact_seq ON fact (workspace_id, seq);

CREATE TABLE member (
    workspace_id text NOT NULL,
    member       text NOT NULL,
    membership   text NOT NULL,
    deactivated  boolean NOT NULL,
    on_boards    integer NOT NULL,
    open_boards  integer NOT NULL,
    shut_boards  integer NOT NULL,
    billable     boolean NOT NULL,
    rule         text NOT NULL,
    since        timestamptz,
    fact_id      text,
    last_at      timestamptz,
    name         text,
    role         text,
    PRIMARY KEY (workspace_id, member)
);
CREATE TABLE board_head (
    workspace_id text NOT NULL,
    board        text NOT NULL,
    owner        text,
    closed       boolean NOT NULL,
    initial      text,
    hint_at      timestamptz,
    explicit_at  timestamptz,
    last_at      timestamptz,
    PRIMARY KEY (workspace_id, board)
);
CREATE TABLE seat (
    workspace_id text NOT NULL,
    board        text NOT NULL,
    member       text NOT NULL,
    present      boolean NOT NULL,
    PRIMARY KEY (workspace_id, board, member)
);
CREATE INDEX seat_member ON seat (workspace_id, member);
CREATE TABLE span (
    workspace_id text NOT NULL,
    member       text NOT NULL,
    start_at     timestamptz NOT NULL,
    end_at       timestamptz,
    fact_id      text NOT NULL,
    PRIMARY KEY (workspace_id, member, start_at)
);
CREATE INDEX span_start ON span (workspace_id, start_at);
CREATE TABLE step (
    workspace_id text NOT NULL,
    at           timestamptz NOT NULL,
    delta        integer NOT NULL,
    PRIMARY KEY (workspace_id, at)
);

CREATE TABLE catalogue (
    version   integer PRIMARY KEY,
    digest    text NOT NULL UNIQUE,
    loaded_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE price (
    id                text PRIMARY KEY,
    plan              text NOT NULL,
    interval          text NOT NULL,
    currency          text NOT NULL,
    unit_amount       bigint NOT NULL CHECK (unit_amount >= 0),
    valid_from        date NOT NULL,
    terms             jsonb NOT NULL,
    catalogue_version integer NOT NULL REFERENCES catalogue,
    UNIQUE (plan, interval, valid_from, catalogue_version)
);

CREATE TABLE subscription (
    id             text PRIMARY KEY,
    workspace_id   text NOT NULL,
    fact_id        text NOT NULL,
    plan           text NOT NULL,
    interval       text NOT NULL,
    payment_method text,
    started_at     timestamptz NOT NULL,
    anchor         date NOT NULL,
    zone           text NOT NULL,
    months         integer NOT NULL,
    opening_seats  integer,
    state          text NOT NULL
);
CREATE UNIQUE INDEX subscription_running ON subscription (workspace_id) WHERE state <> 'ended';
CREATE TABLE period (
    subscription_id text NOT NULL,
    n               integer NOT NULL,
    workspace_id    text NOT NULL,
    start_at        timestamptz NOT NULL,
    end_at          timestamptz NOT NULL,
    terms           jsonb NOT NULL,              -- the pins of law 3: price row, catalogue version, rule version
    PRIMARY KEY (subscription_id, n)
);
CREATE INDEX period_workspace ON period (workspace_id);

-- The statement as settled: what the ledger entries of each key sum to.
CREATE TABLE line (
    workspace_id    text NOT NULL,
    key             text NOT NULL,
    subscription_id text NOT NULL,
    n               integer NOT NULL,
    kind            text NOT NULL,
    instant         timestamptz NOT NULL,
    unit_amount     bigint NOT NULL,
    seats           integer NOT NULL,
    fraction        text NOT NULL,
    amount          bigint NOT NULL,
    currency        text NOT NULL,
    method          text NOT NULL,
    rounding        text NOT NULL,
    rules           text[] NOT NULL,
    facts           text[] NOT NULL,
    entry_id        text NOT NULL,
    PRIMARY KEY (workspace_id, key)
);
CREATE INDEX line_instant ON line (workspace_id, instant);

-- The ledger. A row of the journal moves one amount from one account to another, so it balances by its shape.
CREATE TABLE journal (
    workspace_id text NOT NULL,
    seq          bigint NOT NULL,
    id           text NOT NULL UNIQUE,
    kind         text NOT NULL,
    ref          text NOT NULL,
    debit        text NOT NULL,
    credit       text NOT NULL CHECK (credit <> debit),
    amount       bigint NOT NULL CHECK (amount >= 0),
    currency     text NOT NULL,
    posted_at    timestamptz NOT NULL,
    digest       bytea NOT NULL,
    hash         bytea NOT NULL,
    PRIMARY KEY (workspace_id, seq)
);
CREATE TABLE entry (
    workspace_id    text NOT NULL,
    seq             bigint NOT NULL,
    id              text NOT NULL UNIQUE,
    key             text NOT NULL,
    subscription_id text NOT NULL,
    n               integer NOT NULL,
    kind            text NOT NULL,
    instant         timestamptz NOT NULL,
    unit_amount     bigint NOT NULL,
    seats           integer NOT NULL,
    fraction        text NOT NULL,
    line_amount     bigint NOT NULL,
    amount          bigint NOT NULL,
    currency        text NOT NULL,
    method          text NOT NULL,
    rounding        text NOT NULL,
    rules           text[] NOT NULL,
    facts           text[] NOT NULL,
    posted_at       timestamptz NOT NULL,
    heard_at        timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, seq)
);
CREATE INDEX entry_key ON entry (workspace_id, key);

CREATE TABLE charge (
    id              text PRIMARY KEY,
    workspace_id    text NOT NULL,
    subscription_id text NOT NULL,
    n               integer NOT NULL,
    purpose         text NOT NULL,
    nth             integer NOT NULL,
    status          text NOT NULL CHECK (status IN
        ('queued', 'held', 'sending', 'pending', 'succeeded', 'failed', 'unknown', 'cancelled')),
    held_reason     text,
    currency        text NOT NULL,
    amount          bigint NOT NULL CHECK (amount >= 0),
    tax             bigint NOT NULL DEFAULT 0,
    credit          bigint NOT NULL DEFAULT 0,
    method          text,
    due_on          date NOT NULL,
    body            jsonb,                       -- frozen when `sending` is committed
    attempt         integer NOT NULL DEFAULT 1,
    tries           integer NOT NULL DEFAULT 0,
    reference       text,
    created_at      timestamptz NOT NULL,
    first_sent_at   timestamptz,
    due_at          timestamptz,                 -- wall time of the next try; null: nothing to do
    token           bigint NOT NULL DEFAULT 0,   -- fencing: every write of a sender names the token it was given
    leased_until    timestamptz,
    UNIQUE (subscription_id, n, purpose, nth)
) WITH (fillfactor = 80);
CREATE INDEX charge_due ON charge (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX charge_workspace ON charge (workspace_id, id);

CREATE TABLE charge_line (
    charge_id    text NOT NULL,
    workspace_id text NOT NULL,
    key          text NOT NULL,
    entry_id     text NOT NULL,
    amount       bigint NOT NULL,
    reduced      bigint NOT NULL DEFAULT 0,      -- taken off since it was sent
    credited     bigint NOT NULL DEFAULT 0,      -- the part of `reduced` that became credit; the rest if ever collected
    PRIMARY KEY (charge_id, key)
);
CREATE INDEX charge_line_key ON charge_line (workspace_id, key);

CREATE TABLE attempt (
    charge_id text NOT NULL,
    n         integer NOT NULL,
    key       text NOT NULL,
    outcome   text,
    detail    text,
    posts     integer NOT NULL DEFAULT 0,
    at        timestamptz NOT NULL,
    PRIMARY KEY (charge_id, n)
);

CREATE TABLE callback (
    gateway     text NOT NULL,
    id          text NOT NULL,
    sha256      text NOT NULL,
    body        bytea NOT NULL,
    state       text NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'done', 'parked', 'quarantined')),
    reason      text,
    charge_id   text,
    received_at timestamptz NOT NULL DEFAULT now(),
    due_at      timestamptz DEFAULT now(),
    PRIMARY KEY (gateway, id)
);
CREATE INDEX callback_due ON callback (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE command (
    id           text PRIMARY KEY,
    workspace_id text NOT NULL,
    kind         text NOT NULL,
    actor        jsonb NOT NULL,
    body         jsonb NOT NULL,
    verdict      text NOT NULL CHECK (verdict IN ('accepted', 'refused')),
    rule         text,
    detail       text,
    seq          bigint NOT NULL,                -- the fact sequence the judge saw (law 5)
    at           timestamptz NOT NULL,
    fact_id      text
);
CREATE INDEX command_workspace ON command (workspace_id, id);

CREATE TABLE quote (
    id           text PRIMARY KEY,
    workspace_id text NOT NULL,
    body         jsonb NOT NULL,
    as_of        timestamptz NOT NULL,
    seq          bigint NOT NULL,
    pins         jsonb NOT NULL,
    lines        jsonb NOT NULL,
    amount       bigint NOT NULL,
    tax          bigint NOT NULL,
    credit       bigint NOT NULL
);

CREATE TABLE idempotency (
    key_id     text NOT NULL,
    route      text NOT NULL,
    key        text NOT NULL,
    body       text NOT NULL,                    -- SHA-256 of the request body
    status     integer,
    answer     jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key_id, route, key)
);

CREATE TABLE alarm (
    id           text PRIMARY KEY,
    kind         text NOT NULL,
    workspace_id text,
    detail       text NOT NULL,
    at           timestamptz NOT NULL DEFAULT now()
);

-- Append-only means: not by mistake, not by the application, not by its owner's ordinary statements.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: a correction is a new row', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER journal_stands BEFORE UPDATE OR DELETE ON journal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_stays BEFORE TRUNCATE ON journal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_stands BEFORE UPDATE OR DELETE ON entry FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_stays BEFORE TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER price_stands BEFORE UPDATE OR DELETE ON price FOR EACH ROW EXECUTE FUNCTION refuse_change();

INSERT INTO account (id, name) VALUES ('default', 'default');
