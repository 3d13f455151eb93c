"""A settlement goes by key from the first day on: how small its tables were when it was planned does not matter."""

import psycopg

from tests.workers.world import World, at

#: What `standing` reads and `post` writes; a settlement of facts in their order reads no history.
_TABLES = ["fact", "member", "period", "workspace", "entry"]
_SCANS = "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY(%s)"


def scans(world: World) -> dict[str, int]:
    """How often each table was read whole so far; every backend has told when it is gone."""
    world.database.close()
    with psycopg.connect(world.database.url, autocommit=True) as owner:
        while owner.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        ).fetchone():
            owner.execute("SELECT pg_sleep(0.01)")
        return dict(owner.execute(_SCANS, (_TABLES,)).fetchall())


def test_a_settlement_reads_no_table_whole_though_all_are_small(world: World) -> None:
    kobo = world.workspace("kobo")
    world.tell("member.joined", "kobo", "aoi", at("2025-01-10"))
    world.read_and_settle()
    world.start(kobo)
    world.tell("member.joined", "kobo", "ren", at("2025-01-14T12:00"))
    world.tell("member.joined", "kobo", "mio", at("2025-01-14T13:00"))
    world.read()
    with psycopg.connect(world.database.url, autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE)")
    before = scans(world)
    world.settle(kobo)
    assert scans(world) == before
    assert world.row("SELECT occupied FROM workspace WHERE id = %s", kobo)["occupied"] == 3
