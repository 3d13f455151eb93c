"""Settlement on a real database."""

import pytest

from tests.workers.world import World, at


@pytest.fixture
def world(database_url: str) -> World:
    return World(database_url, at("2025-01-15"))


def test_the_story_of_tr_10_and_tr_11_charges_11999_then_8999_then_nothing_then_24000(world: World) -> None:
    workspace = world.workspace("w1")
    world.tell("member.joined", "w1", "casper", at("2025-01-15"))
    world.read_and_settle()
    world.start(workspace)
    assert world.charges(workspace) == [11999]

    world.advance(at("2025-04-15"), workspace)
    world.tell("member.joined", "w1", "michael", at("2025-04-15"))
    world.read_and_settle()
    assert world.charges(workspace) == [11999, 8999]

    world.advance(at("2025-06-15"), workspace)
    world.tell("member.deactivated", "w1", "michael", at("2025-06-15"))
    world.read_and_settle()
    world.tell("member.joined", "w1", "kristen", at("2025-06-15T10:00"))
    world.advance(at("2025-06-15T10:00"), workspace)
    world.read_and_settle()
    assert world.charges(workspace) == [11999, 8999]

    world.advance(at("2026-01-15"), workspace)
    assert world.charges(workspace) == [11999, 8999, 24000]
    state = world.row("SELECT occupied, purchased, opened FROM workspace WHERE id = %s", workspace)
    assert state == {"occupied": 2, "purchased": 2, "opened": 2}


def test_settling_again_posts_nothing(world: World) -> None:
    workspace = world.workspace("w1")
    world.tell("member.joined", "w1", "casper", at("2025-01-15"))
    world.read_and_settle()
    world.start(workspace)
    before = world.rows("SELECT count(*) FROM journal")
    assert world.settle(workspace) == []
    assert world.rows("SELECT count(*) FROM journal") == before


def test_a_burst_of_joins_is_one_settlement_and_one_charge_with_a_line_for_each_instant(world: World) -> None:
    workspace = world.workspace("w1")
    world.tell("member.joined", "w1", "casper", at("2025-01-15"))
    world.read_and_settle()
    world.start(workspace, interval="month")
    world.advance(at("2025-01-20"), workspace)
    for hour in range(10):
        world.tell("member.joined", "w1", f"p{hour}", at(f"2025-01-19T{hour:02d}:00"))
    assert len(world.read_and_settle()) == 1
    assert len(world.rows("SELECT * FROM line WHERE workspace_id = %s AND kind = 'seats_added'", workspace)) == 10
    assert len(world.charges(workspace)) == 2


def test_two_joins_within_one_millisecond_are_one_instant_and_both_are_charged(world: World) -> None:
    workspace = world.workspace("w1")
    world.tell("member.joined", "w1", "casper", at("2025-01-10"))
    world.read_and_settle()
    world.start(workspace)
    world.advance(at("2025-04-15"))
    for person, micros in (("michael", 123_100), ("nina", 123_900)):
        when = at("2025-04-15").replace(microsecond=micros)
        data = {"workspace": "w1", "member": {"id": person, "name": person.title()}}
        world.deliver({"type": "member.joined", "timestamp": when.isoformat(), "data": data})
    world.advance(at("2025-04-16"))
    world.read_and_settle()
    assert world.charges(workspace) == [11999, 17999]
