"""Which workspaces the sweeper finds: what nobody has settled for a while, never what a worker is just about to."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.store import workspaces
from tests.workers.world import World, at


@pytest.fixture
def told(world: World) -> str:
    """A workspace without a clock, and a fact of now that is read and not settled."""
    made = world.workspace("kobo", clocked=False)
    world.tell("member.joined", "kobo", "hina", datetime.now(UTC) - timedelta(seconds=1))
    world.read()
    return made


def due(world: World, older_than_s: float) -> list[str]:
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE workspace SET due_at = NULL")
        return workspaces.due(connection, older_than_s, 10)


def test_a_fact_that_was_heard_just_now_is_the_workers_and_a_second_later_the_sweepers(world: World, told: str) -> None:
    assert due(world, 60) == []
    assert due(world, 0) == [told]


def test_an_older_fact_is_found_however_new_the_others_are(world: World, told: str) -> None:
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE fact SET heard_at = heard_at - interval '2 minutes'")
    world.tell("member.joined", "kobo", "riku", datetime.now(UTC) - timedelta(seconds=1))
    world.read()

    assert due(world, 60) == [told]


def test_under_a_test_clock_that_runs_ahead_nothing_waits_for_the_walls(database_url: str) -> None:
    ahead = World(database_url, at("2140-01-15"))
    try:
        clocked = ahead.workspace("atelier")
        ahead.tell("member.joined", "atelier", "hina", ahead.later(-1))
        ahead.read()

        assert due(ahead, 60) == [clocked]
    finally:
        ahead.database.close()
