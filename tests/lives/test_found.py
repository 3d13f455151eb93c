"""What the machine found once, each fault as the shortest life that showed it."""

from collections.abc import Iterator

import pytest

from billing.core.errors import RefusedError
from tests.lives.voices import price_the_option
from tests.workers.world import ADMIN, World, at
from workers import commands, verifying


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    world = World(database_url, at("2025-01-15"))
    yield world
    world.database.close()


def faults(world: World) -> list[str]:
    found = verifying.verify(world.database, None, lambda *_: None).faults
    return [f"{fault.subject}: {fault.detail}" for fault in found]


def test_a_late_fact_of_the_very_instant_at_which_the_seat_policy_turned_is_folded_with_the_turn(world: World) -> None:
    workspace = world.workspace("w1")
    world.tell("member.joined", "w1", "ume", at("2025-01-10"))
    world.read_and_settle()
    world.start(workspace, "chatwork-business", "month", licences=3)
    world.advance(at("2025-01-16"), workspace)
    world.tell("member.joined", "w1", "ume", at("2025-01-15"))
    world.read_and_settle()
    assert faults(world) == []


def give(world: World, workspace: str, command: str, **body: object) -> None:
    with world.database.transaction("test") as connection:
        commands.give(connection, "live", workspace, command, body, ADMIN)


def test_xx_01_what_a_workspace_is_billed_in_is_one_currency_so_that_its_credit_is_too(world: World) -> None:
    with world.database.transaction("test") as connection:
        price_the_option(connection)
    workspace = world.workspace("w1")
    world.tell("member.joined", "w1", "ume", at("2025-01-10"))
    world.read_and_settle()
    world.start(workspace, "trello-premium", "month")
    with pytest.raises(RefusedError) as found:
        give(world, workspace, "option", option="custom-checklist")
    assert found.value.rule == "XX-01"
    give(world, workspace, "cancellation")
    world.advance(at("2025-02-20"), workspace)
    with pytest.raises(RefusedError) as found:
        world.start(workspace, "chatwork-business", "month", licences=3)
    assert found.value.rule == "XX-01"
    give(world, workspace, "option", option="security-check-sheets")
    world.start(workspace, "trello-standard", "month")
