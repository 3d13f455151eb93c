"""A full list becomes the roster: at once, whatever was known before, and without touching what is not its own."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest

from billing.core import calendar
from tests.workers.world import World, at
from workers.roster_import import import_roster

NOW = at("2025-01-15")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    world = World(database_url, NOW)
    yield world
    world.database.close()


@pytest.fixture
def trello(database_url: str) -> Iterator[World]:
    world = World(database_url, NOW, tool="trello")
    yield world
    world.database.close()


def listed(
    world: World, workspace: str, members: Sequence[Mapping[str, Any]], boards: Sequence[str] | None = None
) -> int:
    """Import a full list and settle; answers how many facts it made."""
    shown = None if boards is None else [{"id": board} for board in boards]
    with world.database.transaction("test") as connection:
        made = import_roster(connection, workspace, None, members, shown)
    world.settle(workspace)
    return made


def board_action(world: World, kind: str, board: str, when: datetime, number: int, **data: Any) -> None:
    told = {"board": {"id": board}, **data}
    action = {"id": f"{number:024x}", "type": kind, "date": calendar.written(when), "data": told}
    world.deliver({"model": {"id": "someone"}, "action": action})


def on_boards(world: World, workspace: str) -> list[tuple[str, str]]:
    query = "SELECT board, member FROM seat WHERE workspace_id = %s AND present ORDER BY 1, 2"
    return [(row["board"], row["member"]) for row in world.rows(query, workspace)]


def roster(world: World, workspace: str) -> dict[str, tuple[str, bool]]:
    query = "SELECT member, membership, billable FROM member WHERE workspace_id = %s ORDER BY 1"
    return {row["member"]: (row["membership"], row["billable"]) for row in world.rows(query, workspace)}


def test_a_list_removes_people_of_a_board_that_becomes_the_workspaces_own_by_it(trello: World) -> None:
    world = trello
    workspace = world.workspace("w1")
    for number, person in enumerate(["casper", "michael"]):
        board_action(world, "addMemberToBoard", "b1", at("2025-01-03"), number, idMemberAdded=person)
    world.read_and_settle()
    list_of_one = [{"id": "casper", "member": False, "boards": ["b1"]}]
    assert listed(world, workspace, list_of_one, ["b1"]) == 2
    assert on_boards(world, workspace) == [("b1", "casper")]
    assert listed(world, workspace, list_of_one, ["b1"]) == 0


def test_a_board_that_left_keeps_its_people_for_the_workspace_it_goes_to(trello: World) -> None:
    world = trello
    former, new = world.workspace("w1"), world.workspace("w2")
    for number, board in enumerate(["b1", "b2"]):
        organization = {"organization": {"id": "w1"}}
        board_action(world, "addToOrganizationBoard", board, at("2025-01-02"), number, **organization)
        board_action(world, "addMemberToBoard", board, at("2025-01-03"), 10 + number, idMemberAdded="michael")
    world.read_and_settle()
    listed(world, former, [{"id": "casper"}], [])
    assert roster(world, former)["michael"] == ("none", False)
    world.advance(at("2025-01-16"))
    for number, board in enumerate(["b1", "b2"]):
        organization = {"organization": {"id": "w2"}}
        board_action(world, "addToOrganizationBoard", board, at("2025-01-16"), 20 + number, **organization)
    world.read_and_settle()
    assert on_boards(world, new) == [("b1", "michael"), ("b2", "michael")]
    assert roster(world, new)["michael"] == ("none", True)


@pytest.mark.parametrize("left", ["member.left", "member.deactivated"])
def test_a_list_stands_above_what_a_webhook_said_of_the_same_instant_before_it(world: World, left: str) -> None:
    workspace = world.workspace("w1")
    world.tell(left, "w1", "casper", NOW)
    world.read_and_settle()
    assert listed(world, workspace, [{"id": "casper"}]) > 0
    assert roster(world, workspace)["casper"] == ("member", True)
    assert listed(world, workspace, [{"id": "casper"}]) == 0
    assert listed(world, workspace, []) == 1
    assert roster(world, workspace)["casper"] == ("none", False)


def test_a_departure_heard_after_a_list_at_the_same_instant_is_believed(world: World) -> None:
    workspace = world.workspace("w1")
    listed(world, workspace, [{"id": "casper"}, {"id": "michael"}])
    world.tell("member.left", "w1", "michael", NOW)
    world.read_and_settle()
    assert roster(world, workspace) == {"casper": ("member", True), "michael": ("none", False)}


def test_a_member_who_is_listed_as_pending_is_pending_at_once(world: World) -> None:
    workspace = world.workspace("w1")
    listed(world, workspace, [{"id": "casper"}])
    assert listed(world, workspace, [{"id": "casper", "state": "pending"}]) == 2
    assert roster(world, workspace) == {"casper": ("pending", False)}
    assert listed(world, workspace, [{"id": "casper", "state": "pending"}]) == 0
