-- The role the service works under: it may add to the ledger and the catalogue, never change them.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sekisu_app') THEN
        CREATE ROLE sekisu_app NOLOGIN;
    END IF;
    EXECUTE format('GRANT sekisu_app TO %I', current_user);
EXCEPTION
    -- Two databases of one cluster migrate at once, or the owner may make no roles: the triggers guard alone then.
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sekisu_app') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO sekisu_app', current_schema());
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO sekisu_app', current_schema());
        EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO sekisu_app', current_schema());
        REVOKE UPDATE, DELETE, TRUNCATE ON journal, entry, price, catalogue FROM sekisu_app;
    END IF;
END $$;
