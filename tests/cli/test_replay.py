"""`sekisu replay`: deliveries read again because a person says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from billing.core.errors import ConflictError, NotFoundError
from tests.cli.story import person, sekisu
from tests.workers.world import World, at


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url, at("2025-01-15"), tool="trello")
    made.workspace("w1")
    yield made
    made.database.close()


def replay(world: World, folder: Path, *arguments: str) -> Result:
    return sekisu(world.database.url, folder, "replay", *arguments)


def states(world: World) -> dict[str, str]:
    return {row["id"]: row["state"] for row in world.rows("SELECT id, state FROM delivery")}


def test_a_delivery_read_again_changes_nothing_that_is_known(world: World, tmp_path: Path) -> None:
    delivery = person(world, "addMemberToOrganization", "ada", "2025-01-10")
    world.read()
    facts = world.rows("SELECT * FROM fact")
    result = replay(world, tmp_path, delivery)
    assert (result.exit_code, result.stdout) == (0, "1 deliveries will be read again\n")
    assert states(world) == {delivery: "kept"}
    world.read()
    assert states(world) == {delivery: "done"}
    assert world.rows("SELECT * FROM fact") == facts


def test_a_state_replays_all_that_have_a_body_and_no_impostor(world: World, tmp_path: Path) -> None:
    early = [person(world, "addMemberToOrganization", name, "2025-03-10") for name in ("ada", "ben", "cleo")]
    world.read()
    with world.database.transaction("test") as connection:
        connection.execute("DELETE FROM delivery_body WHERE id = %s", (early[1],))
        connection.execute("UPDATE delivery SET dedupe_key = delivery_id || '~x' WHERE id = %s", (early[2],))
    result = replay(world, tmp_path, "--state", "quarantined")
    assert result.exit_code == 1
    assert early[1] in result.stderr
    assert states(world) == {early[0]: "kept", early[1]: "quarantined", early[2]: "quarantined"}
    assert replay(world, tmp_path, early[2]).exit_code == 0
    assert states(world)[early[2]] == "kept"


def test_named_deliveries_are_replayed_all_or_none(world: World, tmp_path: Path) -> None:
    good = person(world, "addMemberToOrganization", "ada", "2025-01-10")
    lost = person(world, "addMemberToOrganization", "ben", "2025-01-10")
    world.read()
    with world.database.transaction("test") as connection:
        connection.execute("DELETE FROM delivery_body WHERE id = %s", (lost,))
    result = replay(world, tmp_path, good, lost)
    assert isinstance(result.exception, ConflictError)
    assert "was dropped" in str(result.exception)
    assert states(world) == {good: "done", lost: "done"}
    assert isinstance(replay(world, tmp_path, "dl_nowhere").exception, NotFoundError)


def test_neither_or_both_of_ids_and_state_is_wrong_usage(world: World, tmp_path: Path) -> None:
    assert replay(world, tmp_path).exit_code == 2
    assert replay(world, tmp_path, "dl_1", "--state", "parked").exit_code == 2
