"""What becomes of a difference (law 2), on a real database, against the payment sandbox over real HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from billing.core.errors import RefusedError
from billing.payments.gateway import Gateway
from billing.payments.sandbox import Sandbox
from billing.store import outcomes
from billing.store.outcomes import Answer
from tests.workers.world import ADMIN, World, at
from workers import commands
from workers.sending import send_due


class Payments:
    """A workspace's world with a payment endpoint beside it."""

    def __init__(self, world: World, sandbox: Sandbox) -> None:
        self.world = world
        self.sandbox = sandbox
        self.gateway = Gateway(sandbox.url, "", clock=lambda: datetime.now(UTC))
        self.pool = ThreadPoolExecutor(2)

    def send(self) -> int:
        return send_due(self.world.database, self.gateway, "http://127.0.0.1:9/none", self.pool)

    def book(self) -> list[dict[str, object]]:
        charges: list[dict[str, object]] = requests.get(f"{self.sandbox.url}/book", timeout=5).json()["charges"]
        return charges

    def faults(self, mode: str, times: int = 1) -> None:
        requests.put(f"{self.sandbox.url}/faults", json={"mode": mode, "times": times, "seconds": 0}, timeout=5)

    def due_again(self) -> None:
        with self.world.database.transaction("test") as connection:
            connection.execute("UPDATE charge SET due_at = now() WHERE due_at IS NOT NULL")


@pytest.fixture
def payments(database_url: str) -> Iterator[Payments]:
    world = World(database_url, at("2025-01-15"))
    with Sandbox() as sandbox:
        yield Payments(world, sandbox)
    world.database.close()


def started(world: World, *people: str, collect: str = "live", **more: Any) -> str:
    workspace = world.workspace("w1", collect=collect)
    for person in people:
        world.tell("member.joined", "w1", person, at("2025-01-10"))
    world.read_and_settle()
    world.start(workspace, **more)
    return workspace


def statuses(world: World) -> list[tuple[str, int]]:
    return [(row["status"], row["amount"]) for row in world.rows("SELECT status, amount FROM charge ORDER BY id")]


def assert_the_books_balance(world: World, workspace: str) -> dict[str, int]:
    """collected + receivable + written off - refunded - credit = posted, and credit is never negative."""
    sums: dict[str, int] = {}
    for row in world.rows("SELECT debit, credit, amount FROM journal WHERE workspace_id = %s", workspace):
        sums[row["debit"]] = sums.get(row["debit"], 0) + row["amount"]
        sums[row["credit"]] = sums.get(row["credit"], 0) - row["amount"]
    posted = world.row("SELECT COALESCE(sum(amount), 0)::bigint AS a FROM entry WHERE workspace_id = %s", workspace)[
        "a"
    ]
    collected, receivable = sums.get("cash_clearing", 0), sums.get("receivable", 0)
    credit, forgone = -sums.get("customer_credit", 0), sums.get("write_off", 0)
    assert collected + receivable + forgone - credit == posted
    assert credit == world.row("SELECT credit FROM workspace WHERE id = %s", workspace)["credit"] >= 0
    return {"collected": collected, "receivable": receivable, "credit": credit, "written_off": forgone}


def leave_before_the_start(world: World, person: str) -> None:
    world.tell("member.left", "w1", person, at("2025-01-12"))
    world.read_and_settle()


def test_a_charge_is_posted_once_and_booked_as_collected(payments: Payments) -> None:
    world = payments.world
    workspace = started(world, "casper")
    assert payments.send() == 1
    assert payments.send() == 0
    assert statuses(world) == [("succeeded", 11999)]
    assert [(c["amount"], c["posts"], c["status"]) for c in payments.book()] == [(11999, 1, "succeeded")]
    assert assert_the_books_balance(world, workspace) == {
        "collected": 11999,
        "receivable": 0,
        "credit": 0,
        "written_off": 0,
    }


def test_a_late_departure_shrinks_a_charge_that_was_not_sent(payments: Payments) -> None:
    world = payments.world
    workspace = started(world, "casper", "michael")
    leave_before_the_start(world, "michael")
    assert statuses(world) == [("queued", 11999)]
    leave_before_the_start(world, "casper")
    assert statuses(world) == [("cancelled", 0)]
    assert payments.send() == 0
    assert assert_the_books_balance(world, workspace)["receivable"] == 0


def test_a_late_departure_after_the_payment_becomes_credit_and_is_netted_against_the_next_charge(
    payments: Payments,
) -> None:
    world = payments.world
    workspace = started(world, "casper", "michael")
    payments.send()
    leave_before_the_start(world, "michael")
    assert assert_the_books_balance(world, workspace)["credit"] == 11999
    world.advance(at("2025-04-15"), workspace)
    world.tell("member.joined", "w1", "kristen", at("2025-04-15"))
    world.read_and_settle()
    assert payments.send() == 0
    assert statuses(world) == [("succeeded", 23998), ("succeeded", 0)]
    assert assert_the_books_balance(world, workspace)["credit"] == 11999 - 8999
    world.advance(at("2026-01-15"), workspace)
    payments.send()
    assert statuses(world)[-1] == ("succeeded", 24000 - 3000)
    assert assert_the_books_balance(world, workspace)["credit"] == 0


@pytest.mark.parametrize(("word", "credit", "receivable"), [("succeeded", 11999, 0), ("failed", 0, 11999)])
def test_a_late_departure_waits_for_the_outcome_of_a_charge_in_flight(
    payments: Payments, word: str, credit: int, receivable: int
) -> None:
    world = payments.world
    workspace = started(world, "casper", "michael")
    payments.faults("pending")
    payments.send()
    assert statuses(world) == [("pending", 23998)]
    leave_before_the_start(world, "michael")
    assert assert_the_books_balance(world, workspace)["credit"] == 0
    charge = world.row("SELECT id FROM charge")["id"]
    with world.database.transaction("test") as connection:
        outcomes.book(connection, workspace, charge, Answer(word, 1))
    figures = assert_the_books_balance(world, workspace)
    assert (figures["credit"], figures["receivable"]) == (credit, receivable)


def test_a_failure_that_turns_out_a_success_gives_the_credit_after_all(payments: Payments) -> None:
    world = payments.world
    workspace = started(world, "casper", "michael")
    payments.faults("decline")
    payments.send()
    leave_before_the_start(world, "michael")
    charge = world.row("SELECT id FROM charge")["id"]
    with world.database.transaction("test") as connection:
        assert outcomes.book(connection, workspace, charge, Answer("succeeded", 1))
        assert not outcomes.book(connection, workspace, charge, Answer("failed", 1))
    assert assert_the_books_balance(world, workspace)["credit"] == 11999


def test_an_unknown_outcome_is_tried_again_with_the_same_key(payments: Payments) -> None:
    world = payments.world
    started(world, "casper")
    payments.faults("error")
    payments.send()
    assert statuses(world) == [("unknown", 11999)]
    payments.due_again()
    payments.send()
    assert statuses(world) == [("succeeded", 11999)]
    charge = world.row("SELECT id FROM charge")["id"]
    [booked] = payments.book()
    assert (booked["keys"], booked["posts"]) == ([f"{charge}.1"], 2)


def test_a_cut_answer_is_asked_again_and_charged_once(payments: Payments) -> None:
    world = payments.world
    workspace = started(world, "casper")
    payments.faults("cut")
    payments.send()
    payments.due_again()
    payments.send()
    assert statuses(world) == [("succeeded", 11999)]
    assert len(payments.book()) == 1
    assert assert_the_books_balance(world, workspace)["collected"] == 11999


def test_an_answer_under_an_old_token_is_dropped(payments: Payments) -> None:
    world = payments.world
    workspace = started(world, "casper")
    payments.send()
    charge = world.row("SELECT id, token FROM charge")
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE charge SET status = 'sending'")
        old = charge["token"] - 1
        assert not outcomes.book(connection, workspace, charge["id"], Answer("failed", 1), old)
    assert statuses(world) == [("sending", 11999)]


def test_shadow_computes_every_charge_and_sends_none_also_after_going_live(payments: Payments) -> None:
    world = payments.world
    workspace = started(world, "casper", collect="shadow")
    assert (payments.send(), statuses(world)) == (0, [("held", 11999)])
    with world.database.transaction("test") as connection:
        commands.set_collect(connection, workspace, "live")
    assert (payments.send(), statuses(world)) == (0, [("cancelled", 11999)])
    world.advance(at("2025-04-15"), workspace)
    world.tell("member.joined", "w1", "michael", at("2025-04-15"))
    world.read_and_settle()
    payments.send()
    assert [charge["amount"] for charge in payments.book()] == [8999]
    assert assert_the_books_balance(world, workspace)["written_off"] == 11999
    leave_before_the_start(world, "casper")
    assert assert_the_books_balance(world, workspace)["receivable"] == 0


def test_paused_holds_and_going_live_sends(payments: Payments) -> None:
    world = payments.world
    workspace = started(world, "casper", collect="paused")
    assert (payments.send(), statuses(world)) == (0, [("held", 11999)])
    with world.database.transaction("test") as connection:
        assert commands.set_collect(connection, workspace, "live")
    assert (payments.send(), statuses(world)) == (1, [("succeeded", 11999)])


def test_without_a_payment_method_the_line_is_posted_and_the_charge_held(payments: Payments) -> None:
    world = payments.world
    started(world, "casper", payment_method=None)
    row = world.row("SELECT status, held_reason FROM charge")
    assert row["status"] == "held"
    assert row["held_reason"].startswith("TR-12")
    assert payments.send() == 0


def test_opening_seats_are_posted_and_never_charged_and_further_seats_cost_the_old_price(payments: Payments) -> None:
    world = payments.world
    world.advance(at("2025-04-15"))
    paid = {"seats": 2, "paid_from": at("2025-01-15").date(), "paid_to": at("2026-01-15").date(), "unit_amount": 10000}
    workspace = started(world, "casper", "michael", opening=paid)
    assert world.charges(workspace) == []
    assert world.row("SELECT seats, amount FROM line") == {"seats": 2, "amount": 20000}
    world.tell("member.joined", "w1", "kristen", at("2025-04-15"))
    world.read_and_settle()
    assert world.charges(workspace) == [7500]
    payments.send()
    world.advance(at("2026-01-15"), workspace)
    assert world.charges(workspace) == [7500, 36000]
    assert assert_the_books_balance(world, workspace)["collected"] == 27500


def test_only_an_administrator_starts_and_the_refusal_is_kept(payments: Payments) -> None:
    world = payments.world
    workspace = world.workspace("w1")
    body, actor = {"plan": "trello-premium", "interval": "year"}, ADMIN | {"role": "normal"}
    with pytest.raises(RefusedError) as refusal, world.database.transaction("test") as connection:
        commands.give(connection, "live", workspace, "subscription", body, actor)
    with world.database.transaction("test") as connection:
        commands.refused(connection, workspace, "subscription", body, actor, refusal.value)
    assert world.row("SELECT verdict, rule FROM command") == {"verdict": "refused", "rule": "TR-20"}
    assert world.rows("SELECT * FROM fact") == []


def test_a_failed_charge_gives_back_the_credit_it_used_when_more_is_taken_off_than_it_asks(payments: Payments) -> None:
    world = payments.world
    workspace = started(world, "casper", "michael")
    payments.send()
    leave_before_the_start(world, "michael")
    world.advance(at("2025-04-15"), workspace)
    for person in ("kristen", "noor"):
        world.tell("member.joined", "w1", person, at("2025-04-15"))
    world.read_and_settle()
    payments.faults("decline")
    payments.send()
    assert statuses(world)[-1] == ("failed", 17999 - 11999)
    for person in ("kristen", "noor"):
        world.tell("member.left", "w1", person, at("2025-04-15"))
    world.read_and_settle()
    assert assert_the_books_balance(world, workspace) == {
        "collected": 23998,
        "receivable": 0,
        "credit": 11999,
        "written_off": 0,
    }


def test_guests_cost_nothing_under_a_plan_whose_guests_are_free(payments: Payments) -> None:
    world = payments.world
    workspace = world.workspace("w1")
    world.tell("member.joined", "w1", "casper", at("2025-01-10"))
    for board in ("a", "b"):
        world.tell("board.member_added", "w1", "guest", at("2025-01-11"), board=board)
    world.read_and_settle()
    world.start(workspace, plan="trello-enterprise")
    assert world.charges(workspace) == [21000]
    assert world.row("SELECT rule FROM member WHERE member = 'guest'")["rule"] == "B-04"


def test_a_line_that_vanished_names_the_fact_that_made_it_vanish(payments: Payments) -> None:
    world = payments.world
    started(world, "casper")
    leave_before_the_start(world, "casper")
    posted = world.rows("SELECT amount, seats, facts FROM entry ORDER BY seq")
    cause = world.row("SELECT id FROM fact WHERE kind = 'member.left'")["id"]
    assert [(row["amount"], row["seats"]) for row in posted] == [(11999, 1), (-11999, 0)]
    assert posted[-1]["facts"] == [cause]
    leave_before_the_start(world, "casper")
    assert len(world.rows("SELECT * FROM entry")) == 2
