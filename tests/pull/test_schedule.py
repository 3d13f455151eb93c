"""Which workspaces are reconciled now: by the hour, on a hint, one at a time, and later again after a fault."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from billing.settings import Settings
from tests.pull.tool import Trello, served
from tests.pull.town import PEOPLE, START, House, Life, house
from workers import schedule
from workers.reconcile import Report


@pytest.fixture
def made(database_url: str, tmp_path: Path) -> Iterator[House]:
    with served(Trello()) as tool, house(database_url, tmp_path, tool) as made:  # type: ignore[arg-type]
        Life(made.tool, Random(1)).begin(made)
        yield made


def next_one(made: House, hours: int = 24) -> Report | None:
    settings: Settings = replace(made.settings, reconcile_hours=hours)
    return schedule.run_next(made.world.database, settings, lambda _: made.settle(), made.waits.append)


def back(made: House, column: str, hours: float) -> None:
    """Let wall time pass since a workspace was pulled, or until it may be again."""
    query = f"UPDATE workspace SET {column} = {column} - make_interval(secs => %s) RETURNING id"  # noqa: S608
    assert made.world.rows(query, hours * 3600)


def hinted(made: House) -> None:
    """A genuine delivery that names nobody."""
    action = {"id": "9" * 24, "type": "memberJoinedTrello", "date": "2025-01-16T00:00:00.000Z", "data": {}}
    made.world.deliver({"model": {"id": "x"}, "action": action})
    made.world.read()


def test_a_workspace_is_reconciled_every_so_many_hours_and_touched_workspaces_are_settled(made: House) -> None:
    made.tool.happens("member.joined", START, PEOPLE[9])
    report = next_one(made)
    assert report is not None
    assert report.facts == 1
    assert PEOPLE[9] in made.members()
    assert next_one(made) is None
    back(made, "pulled_at", 23.9)
    assert next_one(made) is None
    back(made, "pulled_at", 0.2)
    assert next_one(made) is not None


def test_with_zero_hours_only_a_hint_makes_a_pull(made: House) -> None:
    assert next_one(made, hours=0) is None
    hinted(made)
    assert next_one(made, hours=0) is not None
    assert next_one(made, hours=0) is None


def test_hints_in_swarms_make_one_pull_a_minute(made: House) -> None:
    hinted(made)
    assert next_one(made, hours=0) is not None
    made.world.rows("UPDATE connection SET reread_at = now() RETURNING id")
    assert next_one(made, hours=0) is None
    back(made, "pulled_at", schedule.HINTS_S / 3600)
    assert next_one(made, hours=0) is not None


def test_a_fault_is_tried_again_later_and_not_at_once(made: House) -> None:
    made.tool.fault = (401, {}, "")
    report = next_one(made)
    assert report is not None
    assert report.fault
    assert next_one(made) is None
    made.tool.fault = None
    back(made, "pull_after", schedule.AGAIN_MINUTES / 60)
    report = next_one(made)
    assert report is not None
    assert report.fault is None


def test_a_pull_that_runs_is_not_started_twice(made: House) -> None:
    inside: list[Report | None] = []
    serve = made.tool.serve

    def nosy(*given: object) -> object:
        if not inside:
            inside.append(next_one(made))
        return serve(*given)  # type: ignore[arg-type]

    made.tool.serve = nosy  # type: ignore[method-assign, assignment]
    with served(made.tool) as tool:
        made.world.rows("UPDATE connection SET api_url = %s RETURNING id", tool.url)
        assert next_one(made) is not None
    assert inside == [None]


def test_a_workspace_without_a_credential_is_never_due(made: House) -> None:
    made.world.rows("UPDATE connection SET credential = NULL RETURNING id")
    hinted(made)
    assert next_one(made) is None


def test_the_tickers_thread_reconciles_until_it_is_ended(made: House) -> None:
    made.to(START + timedelta(days=1))
    made.tool.happens("member.joined", START, PEOPLE[9])
    ended, settled = threading.Event(), threading.Event()
    work = (made.world.database, made.settings, lambda _: settled.set(), ended)
    thread = threading.Thread(target=schedule.run, args=work)
    thread.start()
    assert settled.wait(20)
    ended.set()
    thread.join(10)
    assert not thread.is_alive()
    assert len(made.world.rows("SELECT id FROM drift")) == 1
