-- Whoever settles is one of many sizes, and the plan is the same for all: by key. Left to choose, a connection planned
-- `standing` anew each time, a quarter of a millisecond, or not, as the workspaces came that it happened to see first;
-- and a plan made while a table was small may read it whole when it no longer is.
ALTER FUNCTION locked_workspace(text) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION standing(text, boolean, integer) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION standing(text, boolean, integer) SET enable_seqscan = off;
ALTER FUNCTION asked(text, text) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION asked(text, text) SET enable_seqscan = off;
ALTER FUNCTION post(jsonb) SET enable_seqscan = off;
