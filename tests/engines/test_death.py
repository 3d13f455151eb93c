"""kill -9 of the starter: nothing is left, nothing committed is lost, the next start is quick."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from billing.engines import ways
from billing.engines.postgres import find_binaries
from billing.engines.process import await_true
from tests.engines.conftest import Postgres, Valkey, all_left, furnish

ROOT = Path(__file__).parents[2]
STARTER = """
import json, pathlib, sys
from billing.engines import postgres, process, valkey
folder = pathlib.Path(sys.argv[1])
if sys.argv[2] == "orphans":  # as on a system without the parent-death signal
    tied = process.child_command
    postgres.child_command = valkey.child_command = lambda identity, _death, *rest: tied(identity, 0, *rest)
engines = [postgres.start_postgres(folder), valkey.start_valkey(folder)]
print(json.dumps([[engine.url, engine.process.pid] for engine in engines]), flush=True)
sys.stdin.read()
"""


def start_and_write(base: Path, template: Path, mode: str) -> tuple[subprocess.Popen[str], list[int]]:
    """Start both engines from another process, commit a row, ring a bell; return that process and the engines' pids."""
    furnish(template, base)
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(base), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert starter.stdout is not None
    (database, postmaster), (broker, server) = json.loads(starter.stdout.readline())
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE seats (n int); INSERT INTO seats VALUES (7)")
    with redis.Redis.from_url(broker) as client:
        client.set("bell", "rung")
    return starter, [postmaster, server]


def kill(starter: subprocess.Popen[str]) -> None:
    starter.kill()
    starter.communicate()


def begin_again(postgres: Postgres, valkey: Valkey) -> float:
    """Start both engines, see that what was written is there, and return the seconds the starts took."""
    begun = time.monotonic()
    database, broker = postgres(), valkey()
    seconds = time.monotonic() - begun
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT n FROM seats").fetchall() == [(7,)]
    with redis.Redis.from_url(broker.url) as client:
        assert client.get("bell") == b"rung"
    return seconds


@pytest.mark.parametrize("way", ["as we are", "nobody"])
def test_engines_die_with_their_starter_and_start_again(
    way: str, base: Path, template: Path, postgres: Postgres, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "nobody":
        if os.geteuid() != 0:
            pytest.skip("only root can become nobody")
        if ways.plain("nobody", base, base).run([]).returncode != 0:
            pytest.skip("nobody cannot enter the temporary folder")
        reached = ways.plain("nobody", find_binaries(), base).version()
        monkeypatch.setenv("SEKISU_ENGINE_WAY", "nobody" if reached else "copy")
    starter, pids = start_and_write(base, template, "tied")
    assert set(pids) <= all_left(base)
    assert len(all_left(base)) > len(pids)  # PostgreSQL's own children too
    kill(starter)
    assert await_true(lambda: not all_left(base), 5)
    assert begin_again(postgres, valkey) < 10


def test_orphans_that_outlived_their_starter_are_ended_even_a_frozen_one(
    base: Path, template: Path, postgres: Postgres, valkey: Valkey
) -> None:
    starter, pids = start_and_write(base, template, "orphans")
    os.kill(pids[1], signal.SIGSTOP)
    kill(starter)
    assert set(pids) <= all_left(base)
    assert begin_again(postgres, valkey) < 10
    assert not set(pids) & all_left(base)


def test_a_killed_postmaster_whose_children_linger_does_not_stop_the_next_start(
    base: Path, template: Path, postgres: Postgres, valkey: Valkey
) -> None:
    starter, pids = start_and_write(base, template, "tied")
    os.kill(pids[0], signal.SIGKILL)
    kill(starter)
    assert begin_again(postgres, valkey) < 10
