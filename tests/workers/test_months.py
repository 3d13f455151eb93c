"""Raw bodies lie by months, and a month leaves whole."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from billing.core.errors import ConflictError
from billing.store import months
from tests.workers.world import World, at


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url, at("2025-01-15"))
    made.workspace("w1")
    yield made
    made.database.close()


def lie(world: World, month: str) -> list[str]:
    """A delivery that was received in a month, in its part; answers the parts there are."""
    delivery = world.tell("member.joined", "w1", f"of-{month}", at("2025-01-10"))
    world.read()
    name = f"delivery_body_{month.replace('-', '_')}"
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    with world.database.transaction("test") as connection:
        connection.execute("RESET ROLE")
        bounds = f"FROM ('{first}') TO ('{_next(first)}')"
        connection.execute(f"CREATE TABLE {name} PARTITION OF delivery_body FOR VALUES {bounds}")
        connection.execute("UPDATE delivery_body SET received_at = %s WHERE id = %s", (first, delivery))
        connection.execute("UPDATE delivery SET received_at = %s WHERE id = %s", (first, delivery))
    return parts(world)


def _next(first: datetime) -> datetime:
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def parts(world: World) -> list[str]:
    query = """SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
               WHERE i.inhparent = 'delivery_body'::regclass ORDER BY 1"""
    return [row["name"] for row in world.rows(query)]


def drop(world: World, day: date) -> list[str]:
    with world.database.transaction("test") as connection:
        found = months.before(connection, day)
        months.drop(connection, found)
    return [row["month"] for row in found]


def test_a_body_lies_in_the_month_it_was_received_in_and_two_more_are_made_ahead(world: World) -> None:
    world.tell("member.joined", "w1", "casper", at("2025-01-10"))
    now = datetime.now(UTC)
    [row] = world.rows("SELECT tableoid::regclass::text AS name FROM delivery_body")
    assert row["name"] == f"delivery_body_{now:%Y_%m}"
    assert len(parts(world)) == 1 + 1 + months.AHEAD
    with world.database.transaction("test") as connection:
        months.make_ahead(connection)
    assert len(parts(world)) == 1 + 1 + months.AHEAD


def test_an_old_month_leaves_whole_and_its_facts_and_delivery_ids_stay(world: World) -> None:
    lie(world, "2024-11")
    before = world.row("SELECT count(*) AS n FROM fact")["n"], world.row("SELECT count(*) AS n FROM delivery")["n"]
    assert drop(world, date(2024, 11, 1)) == []
    assert drop(world, date(2024, 12, 1)) == ["2024_11"]
    assert "delivery_body_2024_11" not in parts(world)
    assert world.row("SELECT count(*) AS n FROM delivery_body")["n"] == 0
    after = world.row("SELECT count(*) AS n FROM fact")["n"], world.row("SELECT count(*) AS n FROM delivery")["n"]
    assert after == before


def test_a_month_that_somebody_still_waits_for_keeps_every_month(world: World) -> None:
    lie(world, "2024-10")
    lie(world, "2024-11")
    with world.database.transaction("test") as connection:
        query = "UPDATE delivery SET state = 'parked' WHERE received_at BETWEEN '2024-11-01' AND '2024-11-30'"
        connection.execute(query)
    with pytest.raises(ConflictError, match=r"2024-11 \(1\)"):
        drop(world, date(2024, 12, 1))
    assert {"delivery_body_2024_10", "delivery_body_2024_11"} <= set(parts(world))


def test_nothing_but_a_month_can_be_dropped(world: World) -> None:
    with pytest.raises(Exception, match="no month"), world.database.transaction("test") as connection:
        months.drop(connection, [{"month": "", "name": "journal", "wanted": 0}])
