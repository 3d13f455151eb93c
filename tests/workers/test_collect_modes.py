"""Live, paused and shadow, of the workspace and of the service, switched back and forth."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing.payments.gateway import Gateway
from billing.settings import Settings
from billing.store import leases, outcomes
from billing.store.outcomes import Answer
from tests.workers.world import World, at
from workers import commands, ticker
from workers.jobs import Jobs
from workers.sending import send_due
from workers.settle import settle


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    world = World(database_url, at("2025-01-15"))
    yield world
    world.database.close()


def started(world: World, *people: str, collect: str = "live", method: str | None = "card") -> str:
    workspace = world.workspace("w1", collect=collect)
    for person in people:
        world.tell("member.joined", "w1", person, at("2025-01-10"))
    world.read_and_settle()
    world.start(workspace, interval="month", payment_method=method)
    return workspace


def collecting(world: World, workspace: str, collect: str, service: str = "live") -> bool:
    with world.database.transaction("test") as connection:
        return commands.set_collect(connection, workspace, collect, service)


def restarted(world: World, collect: str) -> None:
    """The service starts with another collect mode of its own."""
    jobs = Jobs(Settings(Path("/nowhere"), database_url=world.database.url, collect=collect))
    ticker.tidy(jobs)
    jobs.database.close()


def statuses(world: World) -> list[tuple[str, int, str | None]]:
    found = world.rows("SELECT status, amount, held_reason FROM charge ORDER BY id")
    return [(row["status"], row["amount"], row["held_reason"]) for row in found]


def paid(world: World, workspace: str) -> None:
    charge = world.rows("SELECT id FROM charge ORDER BY id")[-1]["id"]
    with world.database.transaction("test") as connection:
        outcomes.book(connection, workspace, charge, Answer("succeeded", 1))


def test_shadow_uses_up_no_credit(world: World) -> None:
    workspace = started(world, "casper", "michael")
    paid(world, workspace)
    world.tell("member.left", "w1", "michael", at("2025-01-12"))
    world.read_and_settle()
    collecting(world, workspace, "shadow")
    world.advance(at("2025-02-15"), workspace)
    assert statuses(world)[1:] == [("held", 1250, "shadow")]
    collecting(world, workspace, "live")
    world.advance(at("2025-03-15"), workspace)
    assert statuses(world)[1:] == [("cancelled", 1250, "shadow"), ("succeeded", 0, None)]
    assert world.row("SELECT credit FROM workspace")["credit"] == 0


def test_pausing_holds_what_was_not_sent_and_resuming_sends_it(world: World) -> None:
    workspace = started(world, "casper")
    assert not collecting(world, workspace, "paused")
    assert statuses(world) == [("held", 1250, "paused")]
    assert collecting(world, workspace, "live")
    assert statuses(world) == [("queued", 1250, None)]


@pytest.mark.parametrize("service", ["paused", "shadow"])
def test_a_workspace_that_goes_live_under_a_service_that_is_not_sends_nothing(world: World, service: str) -> None:
    workspace = started(world, "casper", collect="paused")
    assert not collecting(world, workspace, "live", service)
    assert statuses(world) == [("held", 1250, "paused")]


def test_what_a_shadow_service_computes_is_never_sent_though_its_workspace_is_paused(world: World) -> None:
    workspace = started(world, "casper", collect="paused")
    world.advance(at("2025-02-15"))
    settle(world.database, workspace, "shadow")
    collecting(world, workspace, "live")
    assert statuses(world) == [("queued", 1250, None), ("cancelled", 1250, "shadow")]


def test_a_charge_without_a_payment_method_is_not_sent_by_resuming(world: World) -> None:
    workspace = started(world, "casper", collect="paused", method=None)
    assert not collecting(world, workspace, "live")
    [(status, _, reason)] = statuses(world)
    assert (status, (reason or "")[:5]) == ("held", "TR-12")


def test_a_service_that_is_not_live_leases_no_new_charge_and_still_asks_after_sent_ones(world: World) -> None:
    started(world, "casper")
    gateway = Gateway("http://127.0.0.1:9", "", clock=lambda: datetime.now(UTC))
    with ThreadPoolExecutor(1) as pool:
        assert send_due(world.database, gateway, "", pool, "paused") == 0
        assert statuses(world) == [("queued", 1250, None)]
        with world.database.transaction("test") as connection:
            assert len(leases.lease(connection, 16, 0.0, "")) == 1
        assert send_due(world.database, gateway, "", pool, "paused") == 1


def test_the_service_going_live_sends_what_it_had_paused_and_forgoes_what_it_had_shadowed(world: World) -> None:
    workspace = started(world, "casper")
    restarted(world, "paused")
    assert statuses(world) == [("held", 1250, "paused")]
    world.advance(at("2025-02-15"))
    settle(world.database, workspace, "shadow")
    restarted(world, "live")
    assert statuses(world) == [("queued", 1250, None), ("cancelled", 1250, "shadow")]
