-- Commands and payment outcomes are facts; a workspace's whole life is read from them (never from a state column).
CREATE INDEX fact_life ON fact (workspace_id, at) WHERE source IN ('command', 'payment');

-- Facts older than the re-rating window (law 10), which wait for a person's verdict.
CREATE INDEX fact_old ON fact (workspace_id) WHERE heard_at - at > interval '400 days';

-- A subscription is its start fact; what the table beside it knew goes into the fact, once.
UPDATE fact SET source_seq = 1, data = fact.data || jsonb_build_object(
        'subscription', s.id, 'terms', p.terms, 'anchor', s.anchor, 'payment_method', s.payment_method,
        'seats', s.opening_seats, 'elsewhere', s.opening_seats IS NOT NULL)
    FROM subscription s JOIN period p ON p.subscription_id = s.id AND p.n = 0
    WHERE fact.workspace_id = s.workspace_id AND fact.id = s.fact_id;
DROP TABLE subscription;

-- Tax is rounded once per charge and rate.
ALTER TABLE charge ADD COLUMN tax_rate text NOT NULL DEFAULT '0';
ALTER TABLE charge ADD COLUMN tax_behavior text NOT NULL DEFAULT 'exclusive';
ALTER TABLE charge ADD COLUMN tax_rounding text NOT NULL DEFAULT 'floor';
-- A charge whose subscription was refunded while its outcome was open: once collected, it is paid back by this rule.
ALTER TABLE charge ADD COLUMN refund_rule text;
-- Of the credit a charge used: what was given back because, smaller, it no longer needed it.
ALTER TABLE charge ADD COLUMN credit_returned bigint NOT NULL DEFAULT 0;
-- When it was collected, in the workspace's time: the day its receipt is of.
ALTER TABLE charge ADD COLUMN collected_at timestamptz;
-- True: an invoice, a receipt or a return invoice may be due for it (workers/documents.py looks).
ALTER TABLE charge ADD COLUMN document_due boolean NOT NULL DEFAULT false;
CREATE INDEX charge_document_due ON charge (workspace_id) WHERE document_due;

-- Money given back by a rule that says so (TR-26). One row is one request to the payment endpoint.
CREATE TABLE refund (
    id            text PRIMARY KEY,
    workspace_id  text NOT NULL,
    charge_id     text NOT NULL,
    status        text NOT NULL CHECK (status IN ('queued', 'held', 'sending', 'pending', 'succeeded', 'failed', 'unknown')),
    currency      text NOT NULL,
    amount        bigint NOT NULL CHECK (amount > 0),
    reason        text NOT NULL,                 -- the rule that gives it back
    reference     text,
    detail        text,
    tries         integer NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL,          -- the workspace's time
    first_sent_at timestamptz,
    due_at        timestamptz,                   -- wall time of the next try; null: nothing to do
    token         bigint NOT NULL DEFAULT 0,     -- fencing, as for a charge
    leased_until  timestamptz
);
CREATE INDEX refund_due ON refund (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX refund_workspace ON refund (workspace_id, id);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sekisu_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON refund TO sekisu_app;
    END IF;
END $$;
