-- Documents, the mails that carry them, and who issues and receives them.

-- Who is named as issuer (name, address, registration_number, bank_account, small_returns) and as recipient (name,
-- address). A change shows on documents issued from then on, never on earlier ones (XX-13).
ALTER TABLE account ADD COLUMN issuer jsonb NOT NULL DEFAULT '{}';
ALTER TABLE account ADD COLUMN recipient jsonb NOT NULL DEFAULT '{}';
ALTER TABLE account ADD COLUMN tax_rate text;                    -- an exact fraction; null: what the price says
ALTER TABLE workspace ADD COLUMN billing_contact jsonb;          -- {name, email, language}

CREATE TABLE document (
    workspace_id text NOT NULL,
    id           text NOT NULL UNIQUE,
    kind         text NOT NULL CHECK (kind IN ('invoice', 'receipt', 'return_invoice')),
    seq          integer NOT NULL CHECK (seq > 0),  -- gap-free per workspace and kind, given under the workspace's lock
    number       text NOT NULL,
    charge_id    text NOT NULL,
    original_id  text,                              -- what a return invoice, or a receipt for an invoice, refers to
    currency     text NOT NULL,
    amount       bigint NOT NULL,
    tax          bigint NOT NULL,
    issued_at    timestamptz NOT NULL,              -- the workspace's time
    due_on       date,
    language     text NOT NULL,
    content      jsonb NOT NULL,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, kind, seq)
);
CREATE UNIQUE INDEX document_of_charge ON document (charge_id, kind) WHERE kind <> 'return_invoice';
CREATE INDEX document_charge ON document (charge_id);

-- What documents say of each line of a charge; the sum is what a further one takes its difference from.
CREATE TABLE document_line (
    workspace_id text NOT NULL,
    document_id  text NOT NULL,
    charge_id    text NOT NULL,
    key          text NOT NULL,
    amount       bigint NOT NULL,
    PRIMARY KEY (workspace_id, document_id, key)
);
CREATE INDEX document_line_charge ON document_line (charge_id);

-- The bytes, kept when they were rendered first: what is mailed is what is downloaded (BL-23).
CREATE TABLE document_pdf (
    workspace_id text NOT NULL,
    document_id  text NOT NULL,
    language     text NOT NULL,
    sha256       text NOT NULL,
    bytes        bytea NOT NULL,
    PRIMARY KEY (workspace_id, document_id, language)
);
ALTER TABLE document_pdf ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TRIGGER document_stands BEFORE UPDATE OR DELETE ON document FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER document_stays BEFORE TRUNCATE ON document FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER document_line_stands BEFORE UPDATE OR DELETE ON document_line
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER document_line_stays BEFORE TRUNCATE ON document_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER document_pdf_stands BEFORE UPDATE OR DELETE ON document_pdf
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER document_pdf_stays BEFORE TRUNCATE ON document_pdf
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The outbox of mails. One row is one mail, whatever happens: its Message-ID is made of the row's id.
CREATE TABLE mail (
    workspace_id text NOT NULL,
    id           text NOT NULL UNIQUE,
    key          text NOT NULL,                     -- the same thing is told once
    kind         text NOT NULL,
    status       text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed')),
    recipient    text NOT NULL,
    subject      text NOT NULL,
    body         text NOT NULL,
    document_id  text,
    detail       text,
    tries        integer NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz,
    due_at       timestamptz DEFAULT now(),         -- wall time of the next try; null: nothing to do
    token        bigint NOT NULL DEFAULT 0,         -- fencing, as for a charge
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, key)
);
CREATE INDEX mail_due ON mail (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX mail_document ON mail (document_id) WHERE document_id IS NOT NULL;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sekisu_app') THEN
        GRANT SELECT, INSERT ON document, document_line, document_pdf TO sekisu_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON mail TO sekisu_app;
    END IF;
END $$;
