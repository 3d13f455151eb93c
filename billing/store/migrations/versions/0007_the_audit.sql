-- Who called what, and what became of it: every call that writes, and every refusal. No bodies, no keys, no names.
CREATE TABLE audit (
    id           text PRIMARY KEY,                  -- time-ordered
    at           timestamptz NOT NULL DEFAULT now(),
    request_id   text NOT NULL,
    key_id       text,                              -- null: no key that we know
    account_id   text,                              -- of the key; for an admin key, of the workspace it called for
    workspace_id text,                              -- as the path named it, whether or not it is the caller's
    method       text NOT NULL,
    route        text NOT NULL,
    status       integer NOT NULL,
    code         text,
    rule         text,
    times        integer NOT NULL DEFAULT 1         -- refusals in swarms are counted, not listed
);
CREATE INDEX audit_account ON audit (account_id, id);
CREATE INDEX audit_workspace ON audit (workspace_id, id) WHERE workspace_id IS NOT NULL;
CREATE TRIGGER audit_stands BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sekisu_app') THEN
        GRANT SELECT, INSERT ON audit TO sekisu_app;
    END IF;
END $$;
