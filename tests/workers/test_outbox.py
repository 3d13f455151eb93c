"""A charge that its own settlement takes out: sent at once, by one sender, with the body that any other would send."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from billing.payments.gateway import Gateway, Outcome
from billing.payments.sandbox import Sandbox
from billing.store import leases, outcomes
from billing.store.db import Row
from tests.workers.world import World
from workers import sending
from workers.sending import Outbox
from workers.settle import settle

CALLBACK = "http://127.0.0.1:9/none"


class Held(Outbox):
    """An outbox whose process dies between the commit and the post, as often as `dying` says."""

    dying = False

    def send(self, charges: Sequence[Row]) -> None:
        if not self.dying:
            super().send(charges)


class Shop:
    """A workspace by the wall's clock, an outbox, and the payment endpoint."""

    def __init__(self, url: str, sandbox: Sandbox) -> None:
        self.world, self.sandbox = World(url, datetime.now(UTC)), sandbox
        self.outbox = Held(self.world.database, Gateway(sandbox.url, "", clock=lambda: datetime.now(UTC)), CALLBACK)
        self.workspace = self.world.workspace("w1", clocked=False)
        self.join("first")
        self.world.read_and_settle()
        self.world.start(self.workspace)

    def another(self, name: str) -> str:
        workspace = self.world.workspace(name, clocked=False)
        self.world.tell("member.joined", name, "first", datetime.now(UTC) - timedelta(seconds=1))
        self.world.read_and_settle()
        self.world.start(workspace)
        self.send_due()
        return workspace

    def join(self, person: str) -> None:
        self.world.tell("member.joined", "w1", person, datetime.now(UTC) - timedelta(seconds=1))

    def settle(self, collect: str = "live") -> None:
        self.world.read()
        settle(self.world.database, self.workspace, collect, outbox=self.outbox)

    def close(self) -> None:
        self.outbox._pool.shutdown()
        self.world.database.close()

    def charges(self) -> list[Row]:
        return self.world.rows("SELECT * FROM charge ORDER BY id")

    def book(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = requests.get(f"{self.sandbox.url}/book", timeout=5).json()["charges"]
        return found

    def send_due(self) -> int:
        return sending.send_due(self.world.database, self.outbox._gateway, CALLBACK, self.outbox._pool)


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    with Sandbox() as sandbox:
        made = Shop(database_url, sandbox)
        made.send_due()
        yield made
        made.close()


def test_a_charge_taken_out_by_its_settlement_is_sent_and_booked_without_a_lease_of_its_own(shop: Shop) -> None:
    shop.join("second")
    shop.settle()
    shop.outbox._pool.shutdown()
    last = shop.charges()[-1]
    assert (last["status"], last["token"], last["tries"], last["due_at"]) == ("succeeded", 1, 1, None)
    assert [(one["charge_id"], one["posts"]) for one in shop.book()][-1] == (last["id"], 1)


def test_a_sender_that_dies_after_the_commit_is_taken_over_with_the_same_body(shop: Shop) -> None:
    shop.outbox.dying = True
    shop.join("second")
    shop.settle()
    left = shop.charges()[-1]
    assert (left["status"], left["token"]) == ("sending", 1)
    assert timedelta() < left["due_at"] - datetime.now(UTC) <= timedelta(seconds=sending.LEASE_S)
    assert shop.send_due() == 0  # while the lease runs nobody else may send it
    with shop.world.database.transaction("test") as connection:
        connection.execute("UPDATE charge SET due_at = now() WHERE due_at IS NOT NULL")
    assert shop.send_due() == 1
    taken = shop.charges()[-1]
    assert (taken["status"], taken["token"], taken["body"]) == ("succeeded", 2, left["body"])


def test_the_lease_of_a_dead_process_of_this_host_ends_when_another_begins_and_no_other_does(shop: Shop) -> None:
    shop.outbox.dying = True
    shop.join("second")
    shop.settle()
    mine = shop.charges()[-1]["leased_by"]
    host, pid, start = mine.rsplit("/", 2)
    child = subprocess.Popen([sys.executable, "-c", ""])
    gone = f"{host}/{child.pid}/{start}"  # a zombie until it is waited for, and nobody after
    for holder, taken in ((mine, 0), (f"another host/{child.pid}/1", 0), (f"{host}/{pid}/1", 1), (gone, 1)):
        with shop.world.database.transaction("test") as connection:
            connection.execute(
                "UPDATE charge SET leased_by = %s, due_at = leased_until WHERE status = 'sending'", (holder,)
            )
            assert leases.take_over(connection) == taken, holder
    child.wait()
    assert shop.send_due() == 1
    assert (shop.charges()[-1]["status"], shop.charges()[-1]["token"]) == ("succeeded", 2)


def test_what_is_taken_out_has_the_body_that_a_lease_would_have_frozen(shop: Shop) -> None:
    shop.join("second")
    shop.join("third")
    shop.outbox._waiting = sending.ROOM
    shop.settle()  # no room: it stays queued, and its body is frozen by the lease
    leased = shop.charges()[-1]
    assert (leased["status"], leased["body"]) == ("queued", None)
    assert shop.send_due() == 1
    shop.outbox._waiting = 0
    shop.join("fourth")
    shop.join("fifth")
    shop.settle()
    one, other = (row["body"] for row in shop.charges()[-2:])
    assert one.keys() == other.keys()
    assert [line.keys() for line in one["lines"]] == [line.keys() for line in other["lines"]]
    same = ("workspace", "account", "currency", "tax", "credit", "method", "callback_url")
    assert [one[name] for name in same] == [other[name] for name in same]
    assert all(len(body["chain_head"]) == 64 for body in (one, other))
    posted = shop.world.rows("SELECT hash FROM journal WHERE workspace_id = %s", shop.workspace)
    assert {body["chain_head"] for body in (one, other)} <= {bytes(row["hash"]).hex() for row in posted}


@pytest.mark.parametrize("collect", ["shadow", "paused"])
def test_nothing_is_taken_out_while_the_service_does_not_collect(shop: Shop, collect: str) -> None:
    shop.join("second")
    shop.settle(collect)
    assert [row["status"] for row in shop.charges()] == ["succeeded", "held"]


def test_what_waited_too_long_for_its_turn_is_left_to_the_next_sender(shop: Shop) -> None:
    shop.outbox.dying = True
    shop.join("second")
    shop.settle()
    left = shop.charges()[-1] | {"age_s": 0.0}
    posts = len(shop.book())
    shop.outbox._send(left, time.monotonic() - sending.SPARE_S)
    assert (len(shop.book()), shop.charges()[-1]["status"]) == (posts, "sending")
    shop.outbox._send(left, time.monotonic())
    assert (len(shop.book()), shop.charges()[-1]["status"]) == (posts + 1, "succeeded")


@pytest.mark.parametrize("together", [1, 16])
def test_an_answer_that_cannot_be_booked_holds_up_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    shop.outbox.dying = True
    workspaces = [shop.workspace, *(shop.another(name) for name in ("w2", "w3"))]
    for name in ("w1", "w2", "w3"):
        shop.world.tell("member.joined", name, "second", datetime.now(UTC) - timedelta(seconds=1))
    shop.world.read()
    for workspace in workspaces:
        settle(shop.world.database, workspace, "live", outbox=shop.outbox)
    sent = [row | {"age_s": 0.0} for row in shop.charges() if row["status"] == "sending"]
    assert len(sent) == 3
    real = outcomes._move

    def poisoned(connection: Any, word: Any, told: Any) -> Any:
        if word.charge_id == sent[1]["id"]:
            raise ArithmeticError("this one cannot be booked")
        return real(connection, word, told)

    monkeypatch.setattr(outcomes, "_move", poisoned)
    answers = [(charge, Outcome("succeeded", "px_1")) for charge in (*sent, sent[0])]  # one of them told twice
    sending.book(shop.world.database, answers, together)
    now = {row["id"]: row["status"] for row in shop.charges()}
    assert [now[charge["id"]] for charge in sent] == ["succeeded", "sending", "succeeded"]
    paid = shop.world.rows("SELECT ref FROM journal WHERE kind = 'payment' AND ref = %s", sent[0]["id"])
    assert len(paid) == 1
