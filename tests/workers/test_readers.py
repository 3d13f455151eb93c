"""Readers beside settlements and beside each other, batches of any content, and what nobody can file."""

from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Thread
from typing import Any

import pytest

from billing.core import calendar, incremental
from billing.core.incremental import Change
from billing.store import intake
from billing.store.ids import new_id
from tests.workers.world import World, at
from workers import reading, settle
from workers.roster_import import import_roster

NOW = at("2025-01-15")
ATTACHED = "addToOrganizationBoard"


#: Makes a world of a tool whose clock stands at an instant.
Worlds = Callable[[str, datetime], World]


@pytest.fixture
def worlds(database_url: str) -> Iterator[Worlds]:
    made: list[World] = []

    def make(tool: str, now: datetime) -> World:
        made.append(World(database_url, now, tool))
        return made[-1]

    yield make
    for one_world in made:
        one_world.database.close()


@pytest.fixture
def world(worlds: Worlds) -> World:
    return worlds("trello", NOW)


def act(
    world: World, kind: str, number: int, when: datetime, owner: str | None = None, shown: bool = False, **data: Any
) -> str:
    """Deliver a Trello action; with `shown` its board's owner is shown by the watched board."""
    board = data.pop("board", None)
    told = data | ({"board": {"id": board}} if board else {})
    action = {"id": f"{number:024x}", "type": kind, "date": calendar.written(when), "data": told}
    model = {"id": board, "idOrganization": owner} if shown else {"id": "somewhere"}
    return world.deliver({"model": model, "action": action})


def member_added(
    world: World, number: int, when: datetime, board: str, member: str, owner: str | None = None, *, shown: bool = False
) -> None:
    act(world, "addMemberToBoard", number, when, owner, shown, board=board, idMemberAdded=member)


def attached(world: World, number: int, when: datetime, board: str, workspace: str) -> None:
    act(world, ATTACHED, number, when, board=board, organization={"id": workspace})


def billable_since(world: World) -> dict[str, datetime]:
    return {row["member"]: row["start_at"] for row in world.rows("SELECT member, start_at FROM span")}


def meanwhile(monkeypatch: pytest.MonkeyPatch, does: Callable[[], object]) -> None:
    """Have something done once between the reading of the facts and the decision of a settlement."""
    real = incremental.advance

    def advance(*arguments: Any, **more: Any) -> Change:
        monkeypatch.setattr(settle, "advance", real)
        does()
        return real(*arguments, **more)

    monkeypatch.setattr(settle, "advance", advance)


def test_an_owner_shown_while_the_fact_is_being_settled_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = world.workspace("w1")
    member_added(world, 1, at("2025-01-02"), "b1", "casper", "w1", shown=True)
    member_added(world, 2, at("2025-01-03"), "b2", "casper")
    attached(world, 3, at("2025-01-10"), "b2", "w1")
    world.read()

    def shows_owner() -> None:
        member_added(world, 2, at("2025-01-03"), "b2", "casper", "w1", shown=True)
        world.read()

    meanwhile(monkeypatch, shows_owner)
    world.settle(workspace)
    world.settle(workspace)
    assert billable_since(world) == {"casper": at("2025-01-03")}


def test_a_fact_filed_while_a_late_person_is_folded_again_counts_for_everybody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = world.workspace("w1")
    for number, board in enumerate(["b1", "b2"]):
        attached(world, number, at("2025-01-12"), board, "w1")
        member_added(world, 10 + number, at("2025-01-03"), board, "casper")
        member_added(world, 20 + number, at("2025-01-03"), board, "michael")
    world.read_and_settle()
    member_added(world, 30, at("2025-01-02"), "b1", "casper")
    world.read()

    def shows_owners() -> None:
        for number, board in enumerate(["b1", "b2"]):
            member_added(world, 40 + number, at("2025-01-01"), board, "kristen", "w1", shown=True)
        world.read()

    meanwhile(monkeypatch, shows_owners)
    world.settle(workspace)
    world.settle(workspace)
    since = {"kristen": at("2025-01-01"), "casper": at("2025-01-03"), "michael": at("2025-01-03")}
    assert billable_since(world) == since


def test_a_reader_waits_for_no_settlement_of_facts_that_it_hears_again(world: World) -> None:
    world.workspace("w1")
    attached(world, 1, at("2025-01-02"), "b1", "w1")
    member_added(world, 2, at("2025-01-03"), "b1", "casper")
    world.read()
    member_added(world, 2, at("2025-01-03"), "b1", "casper")
    member_added(world, 3, at("2025-01-04"), "b1", "michael", "w1", shown=True)
    with world.database.transaction("test") as settling, world.database.transaction("test") as hearing:
        settling.execute("SELECT FROM fact FOR UPDATE")
        hearing.execute("SET LOCAL lock_timeout = '200ms'")
        assert reading.read_batch(hearing, world.connection)[0] == 2
    assert [row["member"] for row in world.rows("SELECT member FROM fact ORDER BY at")] == [None, "casper", "michael"]


def test_a_parked_delivery_whose_body_was_dropped_stays_parked(world: World) -> None:
    delivery = act(world, "addMemberToOrganization", 1, at("2025-01-02"), organization={"id": "w1"}, idMemberAdded="p")
    world.read()
    with world.database.transaction("test") as connection:
        connection.execute("DELETE FROM delivery_body WHERE id = %s", (delivery,))
    world.workspace("w1")
    world.read()
    assert world.row("SELECT state FROM delivery")["state"] == "parked"


def test_two_readers_of_the_same_events_never_wait_for_each_other(world: World) -> None:
    for number in range(4):
        world.workspace(f"w{number}")
    first, second = world.connection, new_id("cn")
    with world.database.transaction("test") as connection:
        connection.execute("INSERT INTO connection (id, account_id, tool) VALUES (%s, 'default', 'trello')", (second,))
    faults: list[Exception] = []

    def read(connection_id: str) -> None:
        try:
            reading.read(world.database, connection_id)
        except Exception as fault:  # noqa: BLE001 - the test's own thread tells it
            faults.append(fault)

    for turn in range(5):
        for world.connection, order in ((first, 1), (second, -1)):
            for number in range(150)[::order]:
                who: dict[str, Any] = {"organization": {"id": f"w{number % 4}"}, "idMemberAdded": f"p{number}"}
                act(world, "addMemberToOrganization", 1000 * turn + number, at("2025-01-10"), **who)
        readers = [Thread(target=read, args=(connection_id,)) for connection_id in (first, second)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert faults == []
    assert world.row("SELECT count(*) AS n FROM fact")["n"] == 750


@pytest.mark.parametrize("together", [True, False])
def test_a_person_deactivated_on_a_board_belongs_to_its_owner_though_both_come_in_one_batch(
    world: World, together: bool
) -> None:
    workspace = world.workspace("w1")
    act(world, "deactivatedMemberInBoard", 1, at("2025-01-11"), board="b1", idMember="casper")
    if not together:
        world.read()
    attached(world, 2, at("2025-01-10"), "b1", "w1")
    world.read()
    world.read()
    world.settle(workspace)
    assert {row["state"] for row in world.rows("SELECT state FROM delivery")} == {"done"}
    assert world.row("SELECT deactivated FROM member") == {"deactivated": True}


@pytest.mark.parametrize("owners", [["w1", "w2"], ["w2", "w1"], ["", "w1"], ["w1", ""]])
@pytest.mark.parametrize("together", [True, False])
def test_one_event_that_shows_two_owners_ends_the_same_in_any_order(
    world: World, owners: list[str], together: bool
) -> None:
    workspaces = [world.workspace("w1"), world.workspace("w2")]
    for owner in owners:
        member_added(world, 1, at("2025-01-03"), "b1", "casper", owner or None, shown=True)
        if not together:
            world.read_and_settle()
    world.read_and_settle()
    assert {row["owner"] for row in world.rows("SELECT owner FROM fact")} == {max(owners)}
    copies = world.rows("SELECT workspace_id FROM fact ORDER BY 1")
    assert [row["workspace_id"] for row in copies] == sorted(workspaces)[: len(set(owners) - {""})]
    assert {row["owner"] for row in world.rows("SELECT owner FROM board_head")} == {max(owners)}


def test_a_board_event_without_owner_is_judged_by_a_clock_that_stands_ahead_of_the_wall(worlds: Worlds) -> None:
    world = worlds("trello", at("2031-01-15"))
    workspace = world.workspace("w1")
    member_added(world, 1, at("2031-01-03"), "b1", "casper")
    attached(world, 2, at("2031-01-02"), "b1", "w1")
    member_added(world, 3, at("2032-01-01"), "b1", "michael")
    world.read()
    world.settle(workspace)
    assert [row["member"] for row in world.rows("SELECT member FROM seat")] == ["casper"]
    assert world.row("SELECT count(*) AS n FROM delivery WHERE state = 'quarantined'")["n"] == 1


def test_what_waits_for_its_workspace_is_judged_by_that_workspaces_clock(worlds: Worlds) -> None:
    world = worlds("standard", at("2031-01-15"))
    world.tell("member.joined", "w1", "casper", at("2031-01-10"))
    world.tell("member.joined", "w1", "michael", at("2031-01-16"))
    world.read()
    assert {row["state"] for row in world.rows("SELECT state FROM delivery")} == {"parked"}
    world.workspace("w1")
    world.read_and_settle()
    states = [row["state"] for row in world.rows("SELECT state FROM delivery ORDER BY received_at")]
    assert states == ["done", "quarantined"]


def test_a_delivery_that_cannot_be_filed_is_quarantined_and_its_neighbours_are_served(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds("standard", NOW)
    workspace = world.workspace("w1")
    for person in ("casper", "poison", "michael"):
        world.tell("member.joined", "w1", person, at("2025-01-10"))
    real = intake._arrays  # a fault below the room, which no content is known to bring about

    def arrays(tool: str, heard: Any) -> dict[str, object]:
        told = real(tool, heard)
        return told | {"seqs": [2**70 if h.event.member == "poison" else None for h in heard]}

    monkeypatch.setattr(intake, "_arrays", arrays)
    assert world.read() == {workspace}
    world.settle(workspace)
    states = [row["state"] for row in world.rows("SELECT state FROM delivery ORDER BY received_at")]
    assert states == ["done", "quarantined", "done"]
    assert world.row("SELECT kind FROM alarm")["kind"] == "delivery_quarantined"
    assert [row["member"] for row in world.rows("SELECT member FROM member ORDER BY 1")] == ["casper", "michael"]


def test_a_crowd_at_one_instant_is_settled_whole_in_one_charge(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "FACTS_A_STEP", 10)
    world = worlds("standard", NOW)
    workspace = world.workspace("w1")
    for crowd in ("first", "second"):
        with world.database.transaction("test") as connection:
            import_roster(connection, workspace, None, [{"id": f"{crowd} {i}"} for i in range(35)], None)
        world.settle(workspace)
        assert world.row("SELECT count(*) AS n FROM fact WHERE settled_at IS NULL")["n"] == 0
        if crowd == "first":
            world.start(workspace)
    assert world.charges(workspace) == [35 * 11999]
