"""Several workspaces settled in one transaction come out as each alone would, and none pays for another's fault."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing.core.errors import UnavailableError
from billing.settings import Settings
from tests.workers.world import World, at
from workers import jobs, settle
from workers.jobs import Jobs
from workers.verifying import check

COUNT = 5


@pytest.fixture
def worker(world: World, tmp_path: Path) -> Iterator[Jobs]:
    # Nobody answers at the payment endpoint: what is sent stays open.
    settings = Settings(tmp_path, database_url=world.database.url, payment_url="http://127.0.0.1:9", settle_together=3)
    made = Jobs(settings)
    yield made
    made.database.close()


@pytest.fixture
def ids(world: World) -> list[str]:
    """Workspaces that pay, with somebody new in each."""
    made = []
    for number in range(COUNT):
        made.append(world.workspace(f"w{number}", collect="shadow"))
        world.tell("member.joined", f"w{number}", "first", at("2025-01-10"))
        world.read_and_settle()
        world.start(made[-1])
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE clock SET now = %s WHERE id = %s", (at("2025-02-15"), world.clock))
    for number in range(COUNT):
        world.tell("member.joined", f"w{number}", "second", at("2025-02-01"))
    world.read()
    return made


def added(world: World) -> dict[str, int]:
    rows = world.rows("SELECT workspace_id, count(*) AS n FROM entry WHERE kind = 'seats_added' GROUP BY 1")
    return {row["workspace_id"]: row["n"] for row in rows}


def test_all_are_settled_in_as_few_transactions_as_the_setting_allows_and_their_books_hold(
    world: World, worker: Jobs, ids: list[str]
) -> None:
    worker.settle_all(ids)
    assert added(world) == dict.fromkeys(ids, 1)
    # One transaction writes its rows under one number.
    assert len(world.rows("SELECT DISTINCT xmin::text AS x FROM entry WHERE kind = 'seats_added'")) == 2
    with world.database.transaction("test") as connection:
        assert [check(connection, workspace) for workspace in ids] == [([], 0)] * COUNT


def test_a_fault_of_one_leaves_only_that_one_unsettled(
    world: World, worker: Jobs, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = settle.advance

    def poisoned(memory: Any, facts: Any, ground: Any, *rest: Any) -> Any:
        if ground.workspace == "w1":
            raise ArithmeticError("this one cannot be computed")
        return real(memory, facts, ground, *rest)

    monkeypatch.setattr(settle, "advance", poisoned)
    worker.settle_all(ids)
    assert added(world) == {workspace: 1 for n, workspace in enumerate(ids) if n != 1}


def test_while_the_database_is_away_nobody_is_tried_again_alone(
    worker: Jobs, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def away(*_: object) -> list[str]:
        raise UnavailableError("away")

    monkeypatch.setattr(jobs, "settle_together", away)
    monkeypatch.setattr(jobs, "settle", lambda _database, workspace_id, *_, **__: tried.append(workspace_id))
    worker.settle_all(ids[:3])
    assert tried == []
    worker.settle_all(ids[:1])  # alone from the start
    assert tried == ids[:1]


def test_a_workspace_with_more_facts_than_its_share_of_a_step_is_settled_alone(
    world: World, worker: Jobs, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "FACTS_A_STEP", 6)
    for number in range(4):
        world.tell("member.joined", "w0", f"more {number}", at("2025-02-02"))
    world.read()
    worker.settle_all(ids[:3])
    found = world.rows("SELECT xmin::text AS x FROM entry WHERE kind = 'seats_added' AND workspace_id = %s", ids[0])
    others = world.rows("SELECT xmin::text AS x FROM entry WHERE kind = 'seats_added' AND workspace_id <> %s", ids[0])
    assert len(found) == 2
    assert not {row["x"] for row in found} & {row["x"] for row in others}
    assert sum(added(world).values()) == 4


def test_who_comes_while_a_workspace_is_settled_does_not_wait_and_it_is_looked_at_again(
    worker: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, settled = threading.Event(), threading.Event(), []

    def slow(_database: object, workspace_id: str, *_: object, **__: object) -> None:
        settled.append(workspace_id)
        begun.set()
        assert go_on.wait(10)

    monkeypatch.setattr(jobs, "settle", slow)
    monkeypatch.setattr(Jobs, "send", lambda _self: None)
    first = threading.Thread(target=worker.settle_all, args=(["ws_1"],))
    first.start()
    assert begun.wait(10)
    for _ in range(3):
        worker.settle_all(["ws_1"])  # comes back while the first is at it
    assert settled == ["ws_1"]
    go_on.set()
    first.join(10)
    assert settled == ["ws_1", "ws_1"]
    worker.settle_all(["ws_1"])
    assert settled == ["ws_1"] * 3
