"""A named point on both sides of every commit and of every outbound call."""

import ast
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.house.points import bare, pairs, points, product
from tests.house.source import Module


@pytest.mark.parametrize("module", product(), ids=lambda module: module.where)
def test_every_commit_and_outbound_call_lies_between_two_points(module: Module) -> None:
    assert not list(bare(module))


def test_no_two_pairs_of_points_share_a_name() -> None:
    assert [name for name, times in Counter(pairs()).items() if times > 1] == []
    assert len(points()) == 2 * len(pairs()) > 60


@pytest.mark.parametrize(
    "line",
    [
        "connection.commit()",
        "database.transaction()",
        "engine.begin()",
        "self._adapter.send(request)",
        "server.send_message(mail)",
        "broker.enqueue(message)",
    ],
)
def test_the_rule_itself_can_say_no(line: str) -> None:
    def module(text: str) -> Module:
        return Module("workers.x", Path(__file__), text, ast.parse(text))

    def where(text: str) -> list[str]:
        return list(bare(module(text)))

    assert len(where(line)) == 1
    assert where(f"with crash.around('x'):\n    {line}\n") == []


_PROGRAM = "from billing import crash\nfor turn in range(4):\n    print(turn, flush=True)\n    crash.point('here')\n"


def test_an_armed_point_kills_once_at_its_nth_hit_and_an_unarmed_one_never(tmp_path: Path) -> None:
    def run(told: str) -> tuple[int, list[str]]:
        environment = {**os.environ, "SEKISU_CRASH": told}
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout.split()

    everything = ["0", "1", "2", "3"]
    mark = tmp_path / "mark"
    assert run("") == (0, everything)
    assert run(f"elsewhere:1:{mark}") == (0, everything)
    assert not mark.exists()
    assert run(f"here:3:{mark}") == (-signal.SIGKILL, ["0", "1", "2"])
    assert mark.exists()
    assert run(f"here:3:{mark}") == (0, everything)
