"""Law 1 on a real database: any order, duplication and batching of deliveries ends the same."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from billing.core import calendar
from billing.core.statement import statement
from billing.store import rows, subscriptions
from tests.workers.world import World, at

PEOPLE = [f"p{i}" for i in range(8)]
BOARDS = ["b1", "b2", "b3", "b4"]
HOMES = ["w1", "w2"]


def _action(random: Random, number: int, when: datetime) -> dict[str, Any]:
    """A Trello webhook body about boards or people of two workspaces."""
    kind = random.choice(
        ["addMemberToBoard"] * 5
        + ["removeMemberFromBoard", "addToOrganizationBoard", "addToOrganizationBoard", "removeFromOrganizationBoard"]
        + ["updateBoard", "addMemberToOrganization", "removeMemberFromOrganization", "deactivatedMemberInOrganization"]
    )
    member, board, home = random.choice(PEOPLE), random.choice(BOARDS), random.choice(HOMES)
    data: dict[str, Any] = {}
    model: dict[str, Any] = {"id": home, "name": home, "displayName": home}
    if "Board" in kind:
        data["board"] = {"id": board, "name": board}
        model = {"id": board, "name": board, "idOrganization": random.choice([home, None]), "prefs": {}}
    if "Organization" in kind:
        data["organization"] = {"id": home, "name": home}
    if kind == "updateBoard":
        closed = random.random() < 0.6
        data["board"]["closed"], data["old"] = closed, {"closed": not closed}
    elif "Member" in kind:
        data["idMemberAdded" if kind.startswith("add") else "idMember"] = member
    person = {"member": {"id": member, "fullName": member.title()}} if "Member" in kind else {}
    return {
        "model": model,
        "action": {
            "id": f"{number:024x}",
            "type": kind,
            "date": calendar.written(when),
            "data": data,
            "idMemberCreator": "boss",
            "memberCreator": {"id": "boss"},
            **person,
        },
    }


def _history(random: Random) -> list[dict[str, Any]]:
    begin = at("2025-01-10")
    return [
        _action(random, number, begin + timedelta(hours=12 * random.randrange(0, 110) + random.choice([0, 0, 1])))
        for number in range(60)
    ]


def _play(url: str, random: Random, history: list[dict[str, Any]]) -> tuple[World, list[str]]:
    world = World(url, at("2025-01-15"), tool="trello")
    early = [world.workspace("w1")]
    world.start(early[0], interval="month")
    world.advance(at("2025-03-10"), *early)
    deliveries = history + random.choices(history, k=15)
    random.shuffle(deliveries)
    late_home = random.randrange(len(deliveries))
    while deliveries:
        size = random.choice([1, 1, 2, 5, 20])
        batch, deliveries = deliveries[:size], deliveries[size:]
        for body in batch:
            world.deliver(body, delivery_id=None)
        world.read_and_settle()
        if len(early) == 1 and len(deliveries) <= late_home:
            early.append(world.workspace("w2"))
            world.read_and_settle()
    if len(early) == 1:
        early.append(world.workspace("w2"))
    world.read_and_settle()
    for workspace in early:
        world.settle(workspace)
    return world, early


def _state(world: World, workspace: str) -> dict[str, Any]:
    return {
        "facts": world.rows(
            "SELECT id, kind, at, member, board, workspace, owner FROM fact WHERE workspace_id = %s "
            "AND source <> 'command' ORDER BY id",
            workspace,
        ),
        "members": world.rows(
            "SELECT member, membership, deactivated, open_boards, shut_boards, on_boards, billable, "
            "rule, since, fact_id, last_at FROM member WHERE workspace_id = %s ORDER BY member",
            workspace,
        ),
        "spans": world.rows(
            "SELECT member, start_at, end_at, fact_id FROM span WHERE workspace_id = %s ORDER BY 1, 2", workspace
        ),
        "lines": world.rows(
            "SELECT n, kind, instant, unit_amount, seats, fraction, amount, rules FROM line "
            "WHERE workspace_id = %s AND seats > 0 ORDER BY instant, kind",
            workspace,
        ),
        "position": world.row("SELECT occupied, purchased FROM workspace WHERE id = %s", workspace),
    }


def _full(world: World, workspace: str, external_id: str) -> list[tuple[Any, ...]]:
    with world.database.transaction("test") as connection:
        pins = subscriptions.pins(connection, workspace)
    facts = [rows.fact(row) for row in world.rows("SELECT * FROM fact WHERE workspace_id = %s", workspace)]
    owed = statement(facts, pins, at("2025-03-10"), external_id, "UTC")
    return sorted((line.instant, line.kind, line.seats, line.amount, line.rules) for line in owed)


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_trello_deliveries_ends_in_the_same_facts_roster_and_statement(
    new_database: Callable[[], str], seed: int
) -> None:
    history = _history(Random(seed))
    ends = []
    for order in (1, 2):
        world, homes = _play(new_database(), Random(1000 * order + seed), history)
        ends.append([_state(world, workspace) for workspace in homes])
        stored = sorted(
            (line["instant"], line["kind"], line["seats"], line["amount"], tuple(line["rules"]))
            for line in ends[-1][0]["lines"]
        )
        assert stored == _full(world, homes[0], "w1")
        sums = world.rows(
            "SELECT key, sum(amount)::bigint AS amount FROM entry GROUP BY key HAVING sum(amount) <> 0 ORDER BY 1"
        )
        assert sums == world.rows("SELECT key, amount FROM line WHERE amount <> 0 ORDER BY 1")
        world.database.close()
    assert ends[0] == ends[1]
