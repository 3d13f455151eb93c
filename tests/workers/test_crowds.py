"""Much that is due at once: shared out, taken in rounds, and never waited for in a request."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.core.errors import UnavailableError
from billing.settings import Settings
from billing.store.db import Database
from tests.workers.world import ADMIN, World, at
from workers import commands, jobs, quotes, reading, settle, ticker
from workers.bell import Bell
from workers.jobs import Jobs


class Rung(Bell):
    """Hears who is called."""

    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:1")
        self.helpers: list[int] = []

    def crowd(self, helpers: int) -> bool:
        self.helpers.append(helpers)
        return True


@pytest.fixture
def worker(world: World, tmp_path: Path) -> Iterator[Jobs]:
    settings = Settings(tmp_path, database_url=world.database.url, payment_url="http://127.0.0.1:9", worker_processes=3)
    made = Jobs(settings)
    yield made
    made.database.close()


def renewing(world: World, count: int) -> None:
    """So many workspaces whose month is over."""
    for number in range(count):
        workspace = world.workspace(f"w{number}", collect="shadow")
        world.tell("member.joined", f"w{number}", "casper", at("2025-01-10"))
        world.read_and_settle()
        world.start(workspace, interval="month")
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE clock SET now = %s WHERE id = %s", (at("2025-02-15"), world.clock))


def renewed(world: World) -> int:
    return int(world.row("SELECT count(*) AS n FROM line WHERE kind = 'period' AND n = 1")["n"])


def test_a_crowd_of_renewals_is_shared_with_the_workers_and_a_few_are_not(
    world: World, worker: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "DUE_AT_ONCE", 3)
    monkeypatch.setattr(ticker, "CROWD", 3)
    monkeypatch.setattr(jobs, "CROWD", 3)
    renewing(world, 7)
    bell = Rung()
    ticker.sweep(worker, bell)
    assert (bell.helpers, renewed(world)) == ([3], 3)
    worker.settle_crowd()
    assert renewed(world) == 7
    ticker.sweep(worker, bell)
    assert bell.helpers == [3]


def test_a_flood_is_settled_round_by_round(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH", 2)
    monkeypatch.setattr(reading, "ROUND", 2)
    workspace = world.workspace("w1")
    for number in range(9):
        world.tell("member.joined", "w1", f"person{number}", at("2025-01-10"))
    kept = []
    for touched in reading.rounds(world.database, world.connection):
        assert touched == {workspace}
        kept.append(world.row("SELECT count(*) AS n FROM delivery WHERE state = 'kept'")["n"])
    assert kept == [5, 1, 0]


def test_who_asks_for_a_quote_does_not_wait_for_years_to_be_settled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewing(world, 1)
    monkeypatch.setattr(quotes, "PATIENT_STEPS", 5)
    monkeypatch.setattr(commands, "PATIENT_STEPS", 5)
    [workspace] = [row["id"] for row in world.rows("SELECT id FROM workspace")]
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE clock SET now = %s WHERE id = %s", (at("2035-01-15"), world.clock))

    def ask(database: Database) -> None:
        with database.transaction("test") as connection:
            quotes.quote(connection, "live", workspace, {"command": "members", "count": 1})

    def command(database: Database) -> None:
        body = {"plan": "trello-standard"}
        with database.transaction("test") as connection:
            commands.give(connection, "live", workspace, "plan-change", body, ADMIN)

    for request in (ask, command):
        with pytest.raises(UnavailableError, match="still being settled"):
            request(world.database)
    settle.settle(world.database, workspace, "live")  # what the workers do meanwhile
    ask(world.database)
