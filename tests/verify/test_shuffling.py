"""`sekisu verify --shuffle`: what law 1 claims and nothing else, on the user's own data; nothing of it stays."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import workers.shuffling
from billing.core.errors import UnavailableError
from billing.store import workspaces
from billing.store.db import Conn
from billing.tools.room import Person, Snapshot
from tests.cli.processes import await_true
from tests.cli.story import on_board, person, sekisu
from tests.verify.tampering import Forger
from tests.workers.world import World
from workers import roster_import
from workers.settle import settle_fully
from workers.shuffling import shuffle


def _shuffled(world: World, folder: Path, *more: str) -> dict[str, Any]:
    result = sekisu(world.database.url, folder, "verify", "--json", *more)
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if found["ok"] else 1)
    return found


def _observe(world: World, seen: dict[str, bool]) -> None:
    """Somebody looks at a full list: who is a member, and who is only on the two boards."""
    with world.database.transaction("test") as connection:
        row = workspaces.locked(connection, world.row("SELECT id FROM workspace")["id"])
        people = tuple(Person(name, member=member, boards=("b1", "b2")) for name, member in seen.items())
        told = Snapshot(people, {"b1": False, "b2": False})
        facts = roster_import.known(connection, row, row["now"], told)
        since = roster_import.Observation(row["now"] - timedelta(days=5))
        roster_import.file(connection, row, roster_import.difference(row, row["now"], told, facts, since))


def test_observed_facts_payments_commands_and_imports_are_heard_in_other_orders_too(
    story: World, tmp_path: Path
) -> None:
    workspace = story.row("SELECT id FROM workspace")["id"]
    _observe(story, {"ada": True, "cleo": True, "gil": True, "hana": False})
    story.settle(workspace)
    story.advance(story.later(2), workspace)
    person(story, "addMemberToOrganization", "gil", "2025-02-18")  # the genuine fact of what was observed
    on_board(story, "hana", "b1", "2025-02-19")
    story.read_and_settle()
    query = """SELECT count(*) FILTER (WHERE data ? 'observed') AS observed, count(*) FILTER (WHERE source = 'payment')
               AS payments, count(*) FILTER (WHERE source = 'command') AS commands FROM fact"""
    assert min(story.row(query).values()) >= 1
    found = _shuffled(story, tmp_path, "--shuffle", "8", "--seed", "3")
    assert (found["ok"], found["shuffle"]["skipped"]) == (True, [])
    deliveries = story.row("SELECT count(*) AS n FROM delivery_body")["n"]
    assert found["shuffle"]["deliveries"] == deliveries
    other = story.row("SELECT count(*) AS n FROM fact WHERE delivery_id IS NULL")["n"]
    assert found["shuffle"]["facts"] >= other


def _late_facts_are_dropped(connection: Conn, workspace_id: str, collect: str) -> None:
    """A settlement that takes nothing it hears behind the time it has settled."""
    connection.execute(
        """UPDATE fact SET settled_at = now() FROM workspace w WHERE w.id = fact.workspace_id AND w.id = %s
           AND fact.settled_at IS NULL AND fact.at < w.settled_through AND source NOT IN ('command', 'payment')""",
        (workspace_id,),
    )
    settle_fully(connection, workspace_id, collect)


def test_a_settlement_that_depends_on_the_order_is_found_and_the_printed_seed_finds_it_again(
    story: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.shuffling, "settle_fully", _late_facts_are_dropped)
    result = sekisu(story.database.url, tmp_path, "verify", "--shuffle", "8")  # one order in a few shows it
    assert result.exit_code == 1, result.stdout
    seed = re.search(r"seed (\d+)$", result.stdout, re.MULTILINE)
    assert seed
    assert " shuffle   " in result.stdout
    again = sekisu(story.database.url, tmp_path, "verify", "--shuffle", "8", "--seed", seed[1])
    assert again.stdout == result.stdout
    found = _shuffled(story, tmp_path, "--shuffle", "8", "--seed", seed[1])["faults"]
    assert {fault["check"] for fault in found} == {"shuffle"}
    assert {fault["subject"].split()[0] for fault in found} >= {"span", "line", "posted"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal SET hash = '\\x00', posted_at = posted_at + interval '1 day'",
        "UPDATE charge SET amount = amount + 1, tax = 1, body = NULL",
        "UPDATE document SET amount = amount + 1",
        "UPDATE workspace SET credit = 77, chain_seq = 1",
        """UPDATE entry SET amount = 1250, line_amount = 1250 WHERE seq = 1;
           INSERT INTO entry SELECT workspace_id, -1, 'en_other', key, subscription_id, n, kind, instant, unit_amount,
               seats, fraction, 2500, 1250, currency, method, rounding, rules, facts, posted_at, heard_at
           FROM entry WHERE seq = 1""",
    ],
    ids=["the chain", "charges and tax", "documents", "credit", "how entries are grouped"],
)
def test_what_law_1_does_not_claim_is_not_compared(story: World, superuser_url: str, change: str) -> None:
    with Forger(superuser_url, story.database.url).open() as connection:
        connection.execute(change.encode())
    assert shuffle(story.database.url, None, 3, 5, lambda *_: None).faults == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("UPDATE fact SET at = at + interval '1 minute' WHERE member = 'cleo'", "fact"),
        ("UPDATE line SET rules = '{TR-99}'", "line"),
        ("UPDATE line SET fraction = '1/3' WHERE fraction = '1'", "line"),
        ("UPDATE entry SET amount = amount + 1 WHERE seq = 1", "posted"),
        ("UPDATE member SET rule = 'TR-99' WHERE member = 'ada'", "member"),
        ("UPDATE span SET end_at = '2025-02-01' WHERE member = 'ada'", "span"),
        ("UPDATE workspace SET occupied = 9", "position"),
    ],
)
def test_each_thing_that_law_1_claims_is_compared(story: World, superuser_url: str, change: str, part: str) -> None:
    Forger(superuser_url, story.database.url).run(change)
    found = shuffle(story.database.url, None, 1, 5, lambda *_: None).faults
    assert part in {fault.subject.split()[0] for fault in found}


#: The command at a terminal: whoever runs these tests in the background ignores Ctrl-C, and so would every child.
_PROGRAM = """
import signal
from service.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def _temporary(url: str) -> int:
    with psycopg.connect(url) as connection:
        query = """SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname LIKE 'pg_temp_%' AND c.relkind = 'r'"""
        row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_a_scratch_schema_stays_when_it_is_interrupted(
    story: World, tmp_path: Path, number: signal.Signals
) -> None:
    url = story.database.url
    schemas = "SELECT count(*) AS n FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%%'"
    before, head = story.row(schemas), story.row("SELECT chain_head, settled_through FROM workspace")
    environ = {**os.environ, "SEKISU_DATABASE_URL": url, "SEKISU_REDIS_URL": "", "SEKISU_DATA_DIR": str(tmp_path)}
    words = [sys.executable, "-c", _PROGRAM, "verify", "--shuffle", "10000"]
    running = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        await_true(lambda: _temporary(url) > 20, 60)
        running.send_signal(number)
        running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode != 0
    await_true(lambda: _temporary(url) == 0)
    assert story.row(schemas) == before
    assert story.row("SELECT chain_head, settled_through FROM workspace") == head


def test_long_work_says_how_far_it_is(story: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.cli.verify._QUIET", 0.0)
    result = sekisu(story.database.url, tmp_path, "verify", "--shuffle", "3")
    assert "0 of 1 workspaces\n" in result.stderr
    assert [line for line in result.stderr.splitlines() if line.endswith("orders")][-1] == "3 of 3 orders"


def test_a_database_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(UnavailableError):
        shuffle("postgresql://sekisu@127.0.0.1:9/none", None, 1, 1, lambda *_: None)
