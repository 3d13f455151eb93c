"""What the payment endpoint says twice, late, of another attempt or never; and a row that cannot be read."""

import json
from collections.abc import Iterator
from datetime import datetime

import pytest

from billing.store import inbox, leases, outcomes
from billing.store.outcomes import Answer
from tests.workers.world import World, at
from workers import callbacks


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    world = World(database_url, at("2025-01-15"))
    yield world
    world.database.close()


def sent(world: World, external_id: str = "w1") -> tuple[str, str, int]:
    """A workspace with a charge that was sent: its id, the charge's and the token of the lease."""
    workspace = world.workspace(external_id)
    world.tell("member.joined", external_id, "casper", at("2025-01-10"))
    world.read_and_settle()
    world.start(workspace)
    return workspace, *leased(world)


def leased(world: World) -> tuple[str, int]:
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE charge SET due_at = now() WHERE due_at IS NOT NULL")
    with world.database.transaction("test") as connection:
        charge = max(leases.lease(connection, 16, 8.0, ""), key=lambda row: str(row["id"]))
    return charge["id"], charge["token"]


def book(world: World, workspace: str, charge: str, answer: Answer, token: int | None = None) -> bool:
    with world.database.transaction("test") as connection:
        return outcomes.book(connection, workspace, charge, answer, token)


def call_back(world: World, kind: str, charge: str, attempt: int) -> None:
    data = {"charge_id": charge, "attempt": attempt, "reference": "r", "failure_code": None}
    body = json.dumps({"type": kind, "timestamp": "2025-01-15T00:00:00Z", "data": data}).encode()
    with world.database.transaction("test") as connection:
        inbox.keep_callback(connection, "standard", f"{kind} {charge} {attempt}", body, "", None)
    callbacks.read_due(world.database)


def due(world: World) -> datetime | None:
    found: datetime | None = world.row("SELECT due_at FROM charge")["due_at"]
    return found


def test_a_collected_charge_stays_collected_once_whatever_attempt_is_named_later(world: World) -> None:
    workspace, charge, _ = sent(world)
    assert book(world, workspace, charge, Answer("succeeded", 1))
    assert not book(world, workspace, charge, Answer("failed", 2))
    assert not book(world, workspace, charge, Answer("succeeded", 3))
    assert world.row("SELECT status FROM charge")["status"] == "succeeded"
    assert len(world.rows("SELECT * FROM journal WHERE kind = 'payment'")) == 1


def test_a_callback_of_an_attempt_that_was_not_made_waits(world: World) -> None:
    _, charge, _ = sent(world)
    call_back(world, "charge.failed", charge, 2)
    assert world.row("SELECT status FROM charge")["status"] == "sending"
    assert world.row("SELECT state FROM callback")["state"] == "parked"
    call_back(world, "charge.succeeded", charge, 1)
    assert world.row("SELECT status FROM charge")["status"] == "succeeded"


def test_when_nothing_is_found_of_an_unknown_charge_after_three_days_nobody_asks_again(world: World) -> None:
    workspace, charge, token = sent(world)
    assert book(world, workspace, charge, Answer("unknown", 1, retry_in_s=5.0), token)
    charge, token = leased(world)
    assert not book(world, workspace, charge, Answer("unknown", 1, retry_in_s=None), token)
    assert world.row("SELECT status FROM charge")["status"] == "unknown"
    assert due(world) is None


def test_a_callback_that_cannot_be_booked_does_not_stop_the_next(world: World) -> None:
    lost, gone, _ = sent(world)
    _, charge, _ = sent(world, "w2")
    with world.database.transaction("test") as connection:
        connection.execute("DELETE FROM workspace WHERE id = %s", (lost,))
    call_back(world, "charge.succeeded", gone, 1)
    call_back(world, "charge.succeeded", charge, 1)
    states = {row["id"]: row["state"] for row in world.rows("SELECT id, state FROM callback")}
    assert states == {f"charge.succeeded {gone} 1": "parked", f"charge.succeeded {charge} 1": "done"}


def test_a_charge_whose_workspace_is_gone_does_not_stop_the_others(world: World) -> None:
    lost, _, _ = sent(world)
    with world.database.transaction("test") as connection:
        connection.execute("DELETE FROM workspace WHERE id = %s", (lost,))
        connection.execute("UPDATE charge SET body = NULL, status = 'queued', due_at = now()")
    _, charge, _ = sent(world, "w2")
    assert world.row("SELECT status FROM charge WHERE id = %s", charge)["status"] == "sending"
