"""Commands that cannot be: another vendor's plan, a closed space, a full contract; each refused with its rule."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from billing.core.errors import InvalidError, RefusedError
from tests.workers.world import World, at
from workers import commands
from workers.roster_import import import_roster
from workers.shuffling import shuffle

_ROLES = {"trello": "admin", "chatwork": "administrator", "backlog": "contract_admin"}


def give(world: World, workspace: str, command: str, body: Mapping[str, Any]) -> dict[str, Any]:
    with world.database.transaction("test") as connection:
        actor = {"id": "aoi", "role": _ROLES[world.tool]}
        return commands.give(connection, "live", workspace, command, body, actor)


@pytest.fixture
def worlds(new_database: Callable[[], str]) -> Callable[[str], World]:
    return lambda tool: World(new_database(), at("2026-04-01"), tool=tool)


def test_a_workspace_runs_no_other_vendors_plan(worlds: Callable[[str], World]) -> None:
    world = worlds("trello")
    workspace = world.workspace("w1")
    body = {"plan": "chatwork-business", "interval": "month", "payment_method": "card", "licences": 2}
    with pytest.raises(InvalidError, match="a plan of chatwork") as found:
        give(world, workspace, "subscription", body)
    assert found.value.rule == "XX-01"
    world.start(workspace, interval="month")
    with pytest.raises(InvalidError, match="a plan of chatwork"):
        give(world, workspace, "plan-change", {"plan": "chatwork-business"})
    world.database.close()


def test_bl_23_a_closed_space_is_opened_again_by_support_alone(worlds: Callable[[str], World]) -> None:
    world = worlds("backlog")
    workspace = world.workspace("acme", zone="Asia/Tokyo")
    body = {"plan": "backlog-starter", "interval": "month", "payment_method": "card"}
    give(world, workspace, "subscription", body)
    assert world.charges(workspace) == [2970]
    assert world.row("SELECT rules FROM line")["rules"][0] == "BL-14"
    give(world, workspace, "cancellation", {})
    world.advance(at("2026-06-01"), workspace)
    assert world.row("SELECT state FROM workspace")["state"] == "closed"
    with pytest.raises(RefusedError) as found:
        give(world, workspace, "subscription", body)
    assert found.value.rule == "B-23"
    world.database.close()


def test_cw_06_nobody_is_moved_into_a_contract_without_a_free_licence(worlds: Callable[[str], World]) -> None:
    world = worlds("chatwork")
    target, alone = (world.workspace(name, zone="Asia/Tokyo") for name in ("target", "alone"))
    with world.database.transaction("test") as connection:
        import_roster(connection, target, None, [{"id": "a"}, {"id": "b"}], None)
        import_roster(connection, alone, None, [{"id": "c"}], None)
    for workspace in (target, alone):
        world.settle(workspace)
    body = {"plan": "chatwork-business", "interval": "year", "payment_method": "card", "licences": 2}
    give(world, target, "subscription", body)
    with pytest.raises(RefusedError) as found:
        give(world, alone, "migration", {"into": "target"})
    assert found.value.rule == "B-15"
    give(world, target, "licences", {"add": 1})
    give(world, alone, "migration", {"into": "target"})
    assert world.row("SELECT state FROM workspace WHERE id = %s", alone)["state"] == "migrated"
    world.database.close()


def test_licences_are_not_changed_with_the_plan(worlds: Callable[[str], World]) -> None:
    world = worlds("chatwork")
    workspace = world.workspace("acme", zone="Asia/Tokyo")
    body = {"plan": "chatwork-business", "interval": "month", "payment_method": "card", "licences": 7}
    give(world, workspace, "subscription", body)
    with pytest.raises(RefusedError) as found:
        give(world, workspace, "plan-change", {"plan": "chatwork-enterprise", "licences": 5})
    assert found.value.rule == "CW-15"
    with pytest.raises(InvalidError, match="a mistake"):
        give(world, workspace, "licences", {"add": 2_000_000_000})
    world.database.close()


def test_a_history_longer_than_the_re_rating_window_is_shuffled_within_it(worlds: Callable[[str], World]) -> None:
    """Law 1 is of deliveries heard within the window: the command must not hear them later than they were."""
    world = worlds("trello")
    workspace = world.workspace("w1")
    with world.database.transaction("test") as connection:
        import_roster(connection, workspace, None, [{"id": "aoi"}, {"id": "ren"}], None)
    world.settle(workspace)
    world.start(workspace)
    world.advance(at("2027-09-01"), workspace)
    found = shuffle(world.database.url, None, 3, 7, lambda *_: None)
    assert (found.workspaces, found.faults, found.skipped) == (1, [], [])
    world.database.close()
