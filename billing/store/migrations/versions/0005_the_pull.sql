-- Full lists asked from a tool, and what they showed that no webhook had told.
ALTER TABLE connection ADD COLUMN credential bytea;               -- encrypted JSON: what the tool's API wants to see
ALTER TABLE connection ADD COLUMN api_url text;                   -- null: the tool's own
ALTER TABLE connection ADD COLUMN reread_at timestamptz;          -- wall time of the last delivery that hinted at lists

ALTER TABLE workspace ADD COLUMN reconciled_at timestamptz;       -- the workspace's time: lists read then were compared
ALTER TABLE workspace ADD COLUMN pulled_at timestamptz;           -- wall time at which the last applied pull began
ALTER TABLE workspace ADD COLUMN pull_after timestamptz;          -- wall time: a pull runs, or the last one failed
ALTER TABLE workspace ADD COLUMN pull_fault text;                 -- why the last pull failed

-- One row is one pull that found a difference, or failed.
CREATE TABLE drift (
    workspace_id   text NOT NULL,
    id             text NOT NULL,
    at             timestamptz NOT NULL,                          -- the workspace's time
    since          timestamptz,
    fault          text,
    differences    jsonb NOT NULL DEFAULT '[]',
    facts          integer NOT NULL DEFAULT 0,
    largest_hidden bigint,                                        -- minor units
    currency       text,
    found_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id)
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sekisu_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON drift TO sekisu_app;
    END IF;
END $$;
