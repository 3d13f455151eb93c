"""A workspace with a past, for the commands that look at it: late facts, a paid and a failed charge, credit."""

import json
from pathlib import Path

import psycopg
from click.testing import CliRunner, Result

from billing.store import leases, outcomes
from billing.store.outcomes import Answer
from service.cli.main import module
from tests.workers.world import World, at


def sekisu(url: str, folder: Path, name: str, *arguments: str) -> Result:
    """Runs a command on the database of `url`."""
    environ = {"SEKISU_DATA_DIR": str(folder), "SEKISU_DATABASE_URL": url, "SEKISU_REDIS_URL": ""}
    return CliRunner().invoke(module(name).command, arguments, env=environ)


def answer(world: World, status: str) -> list[str]:
    """Sends what is due to an endpoint that answers `status` to each; answers the charges' ids."""
    with world.database.transaction("test") as connection:
        leased = leases.lease(connection, 16, 8.0, "http://127.0.0.1:9/none")
    for row in leased:
        with world.database.transaction("test") as connection:
            outcomes.book(connection, row["workspace_id"], row["id"], Answer(status, row["attempt"]), row["token"])
    return [row["id"] for row in leased]


def told(url: str) -> tuple[World, str]:
    """Two people and one invited; a third joins, is paid for, and turns out to have left before; a renewal fails."""
    world = World(url, at("2025-01-15"), tool="trello")
    workspace = world.workspace("w1")
    person(world, "addMemberToOrganization", "ada", "2025-01-10")
    person(world, "addMemberToOrganization", "ben", "2025-01-11")
    on_board(world, "dora", "b1", "2025-01-12")
    world.read_and_settle()
    world.start(workspace, interval="month")
    answer(world, "succeeded")
    world.advance(at("2025-01-25"), workspace)
    person(world, "addMemberToOrganization", "cleo", "2025-01-20")
    world.read_and_settle()
    answer(world, "succeeded")
    person(world, "removeMemberFromOrganization", "ben", "2025-01-19")
    world.read_and_settle()
    world.advance(at("2025-02-20"), workspace)
    answer(world, "failed")
    world.settle(workspace)
    return world, workspace


_numbers = iter(range(1, 1_000_000))


def person(world: World, kind: str, member: str, day: str) -> str:
    """A Trello delivery about a member of w1."""
    return _deliver(world, kind, member, day, {"organization": {"id": "w1"}}, {"id": "w1", "displayName": "w1"})


def on_board(world: World, member: str, board: str, day: str) -> str:
    """A Trello delivery: somebody was added to a board of w1."""
    return _deliver(
        world,
        "addMemberToBoard",
        member,
        day,
        {"board": {"id": board}},
        {"id": board, "idOrganization": "w1", "prefs": {}},
    )


def _deliver(world: World, kind: str, member: str, day: str, data: dict[str, object], model: dict[str, object]) -> str:
    number = next(_numbers)
    key = "idMember" if kind.startswith("remove") else "idMemberAdded"
    action = {
        "id": f"{number:024x}",
        "type": kind,
        "date": f"{day}T00:00:00.000Z",
        "data": {**data, key: member},
        "idMemberCreator": "zoe",
        "memberCreator": {"id": "zoe"},
        "member": {"id": member, "fullName": member.title()},
    }
    return world.deliver({"model": model, "action": action})


def forge(url: str, *statements: str, **values: object) -> None:
    """Changes rows as the owner of the database might, past the triggers."""
    with psycopg.connect(url) as connection:
        for table in ("journal", "entry"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            connection.execute(statement, values)
        for table in ("journal", "entry"):
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def faults(result: Result) -> list[tuple[str, str]]:
    """(check, subject) of each fault that `verify --json` printed."""
    return [(fault["check"], fault["subject"]) for fault in json.loads(result.stdout)["faults"]]
