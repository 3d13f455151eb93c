"""The profile: whose time it was, function by function."""

import os
import subprocess
import sys
from pathlib import Path

from bench.machine import REPOSITORY
from bench.profile import Profile, report

SETTLE, WAIT = f"{REPOSITORY}/workers/settle.py:40:settle", "psycopg/connection.py:479:Connection.wait"
#: Starts as any process of a profiled row; works a while, forks, and the copy works too.
WORK = """
import os, time
def hard():
    end = time.process_time() + 0.4
    while time.process_time() < end:
        sum(range(1000))
child = os.fork()
hard()
time.sleep(1.0)  # a while in which it is written down
if child:
    os.waitpid(child, 0)
os._exit(0)
"""


def test_a_function_of_the_product_bears_what_it_calls_and_the_callee_what_it_spent_itself() -> None:
    told = report([("changes, worker", 30.0, [SETTLE, WAIT]), ("changes, worker", 10.0, [SETTLE])])
    within, itself = told.split("  itself")
    assert "changes, worker: 40 ms" in within
    assert "100.0%      40.0 ms  workers/settle.py:40:settle" in within
    assert " 75.0%      30.0 ms  psycopg/connection.py:479:Connection.wait" in itself
    assert " 25.0%      10.0 ms  workers/settle.py:40:settle" in itself
    assert "psycopg" not in within


def test_recursion_is_counted_once() -> None:
    assert "100.0%      10.0 ms" in report([("a", 10.0, [SETTLE, SETTLE])])


def test_the_processes_of_a_profiled_row_and_their_forks_are_sampled_while_it_measures(tmp_path: Path) -> None:
    before = dict(os.environ)
    try:
        profile = Profile(tmp_path / "samples")
        with profile.on("row"):
            subprocess.run([sys.executable, "-c", WORK], check=True, timeout=60)
        subprocess.run([sys.executable, "-c", WORK], check=True, timeout=60)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert len(list((tmp_path / "samples").glob("*.json"))) == 2, "the parent and its fork, and nothing afterwards"
    hard = sum(weight for who, weight, stack in profile.samples() if who.startswith("row, ") and "hard" in stack[-1])
    assert 300 < hard < 1200
