"""`sekisu reconcile`, and what the API tells of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from click.testing import Result

from tests.api.conftest import House as ApiHouse
from tests.api.conftest import house as api_house
from tests.cli.story import sekisu
from tests.pull.tool import Trello, served
from tests.pull.town import PEOPLE, START, House, Life, house

__all__ = ["api_house"]


@pytest.fixture
def made(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("SEKISU_SECRET_KEY", "pretend")
    monkeypatch.setenv("SEKISU_API_ADDRESSES", "any")
    with served(Trello()) as tool, house(database_url, tmp_path, tool) as made:  # type: ignore[arg-type]
        Life(made.tool, Random(1)).begin(made)
        made.reconcile()
        made.to(START + timedelta(days=10))
        made.tool.happens("member.left", START + timedelta(days=4), PEOPLE[0])
        made.tool.happens("member.joined", START + timedelta(days=5), PEOPLE[9])
        yield made


def run(made: House, *words: str) -> Result:
    return sekisu(made.world.database.url, made.settings.data_dir, "reconcile", *words)


def test_the_command_says_what_differs_why_and_how_much_it_can_hide(made: House) -> None:
    result = run(made, made.workspace)
    assert result.exit_code == 0, result.output
    joined, left, hidden, summary = result.stdout.splitlines()
    assert "member.joined 109: 2025-01-20T00:00:00.000Z; webhook missed" in joined
    assert "member.left 100: observed between 2025-01-15T00:00:00.000Z and 2025-01-25T00:00:00.000Z" in left
    assert hidden.endswith("can hide: 0 minor units")
    assert summary == "reconciled 1 of 1 workspaces: 2 differences"
    made.settle()
    assert PEOPLE[9] in made.members()
    assert run(made, "--all").stdout == "reconciled 1 of 1 workspaces: 0 differences\n"


def test_a_dry_run_tells_the_same_as_json_and_files_nothing(made: House) -> None:
    told = json.loads(run(made, "--all", "--dry-run", "--json").stdout)
    (report,) = told["workspaces"]
    assert told["ok"]
    assert report["dry_run"]
    assert report["facts"] == 0
    assert {d["kind"]: d["why"] for d in report["differences"]} == dict.fromkeys(
        ["member.joined", "member.left"], "webhook_missed"
    )
    made.settle()
    assert PEOPLE[9] not in made.members()


def test_the_exit_code_says_when_a_workspace_could_not_be_reconciled(made: House) -> None:
    made.tool.fault = (401, {}, "")
    result = run(made, made.workspace)
    assert result.exit_code == 1
    assert "nothing was filed" in result.stderr
    assert "401" in result.stderr
    assert run(made).exit_code == 2
    assert run(made, made.workspace, "--all").exit_code == 2


def test_the_drift_of_a_workspace_is_listed_newest_first_for_its_account_only(tmp_path: Path, made: House) -> None:
    made.reconcile()
    made.tool.fault = (401, {}, "")
    made.reconcile()
    opened = contextmanager(api_house.__wrapped__)  # type: ignore[attr-defined]
    with opened(made.world.database.url, tmp_path) as one:
        assert isinstance(one, ApiHouse)
        told = one.admin.get(f"/v1/workspaces/{made.workspace}/drift")
        failed, found, *_ = told["data"]
        assert "401" in failed["fault"]
        assert found["fault"] is None
        assert found["facts"] == 2
        left = next(d for d in found["differences"] if d["kind"] == "member.left")
        assert left["observed"] == {"from": "2025-01-15T00:00:00.000Z", "to": "2025-01-25T00:00:00.000Z"}
        first = one.admin.get(f"/v1/workspaces/{made.workspace}/drift?limit=1")
        assert len(first["data"]) == 1
        second = one.admin.get(f"/v1/workspaces/{made.workspace}/drift?limit=1&cursor={first['next']}")
        assert second["data"][0]["id"] == found["id"]
        one.caller().get(f"/v1/workspaces/{made.workspace}/drift", 404)
