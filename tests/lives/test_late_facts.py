"""Facts that come after their period was closed and paid (laws 2 and 10), to the minor unit, on a real database.

A seat is $12.50 a month, from the 15th to the 15th; people joined before the start.
"""

from collections.abc import Iterator
from datetime import datetime

import pytest
from psycopg.types.json import Jsonb

from billing.core.errors import InvalidError
from billing.store import leases, outcomes, refunds
from billing.store.db import Row
from billing.store.outcomes import Answer
from tests.workers.test_charges import assert_the_books_balance
from tests.workers.world import ADMIN, World, at
from workers import commands, documents, judging, verifying

START, SEAT = at("2025-01-15"), 1250


class Counter:
    """One workspace by the month, its people, and the money that was asked for and answered."""

    def __init__(self, url: str, start: datetime = START) -> None:
        self.world = World(url, start)
        self.workspace = self.world.workspace("w1")
        self.start = start

    def begin(self, *people: str, method: str = "card") -> None:
        for person in people:
            self.tell("member.joined", person, at("2023-12-01"))
        self.world.start(self.workspace, interval="month", payment_method=method)

    def tell(self, kind: str, person: str, when: datetime) -> None:
        self.world.tell(kind, "w1", person, when)
        self.world.read_and_settle()

    def left(self, person: str, when: str) -> None:
        self.tell("member.left", person, at(when))

    def until(self, day: str) -> None:
        self.world.advance(at(day), self.workspace)

    def lease(self) -> list[Row]:
        with self.world.database.transaction("test") as connection:
            return leases.lease(connection, 100, 3600.0, "http://127.0.0.1:9/none")

    def say(self, charge: Row, status: str) -> None:
        with self.world.database.transaction("test") as connection:
            answer = Answer(status, charge["attempt"], "px_1", None, 3600.0)
            outcomes.book(connection, self.workspace, charge["id"], answer, charge["token"])
        self.world.settle(self.workspace)

    def answered(self, status: str = "succeeded") -> None:
        for charge in self.lease():
            self.say(charge, status)

    def give(self, command: str, **body: object) -> None:
        with self.world.database.transaction("test") as connection:
            commands.give(connection, "live", self.workspace, command, body, ADMIN)

    def charges(self) -> list[tuple[str, int]]:
        found = self.world.rows("SELECT status, amount FROM charge ORDER BY id")
        return [(row["status"], row["amount"]) for row in found]

    def entries(self) -> list[int]:
        return [row["amount"] for row in self.world.rows("SELECT amount FROM entry ORDER BY seq") if row["amount"]]

    def refunded(self) -> list[int]:
        return [row["amount"] for row in self.world.rows("SELECT amount FROM refund ORDER BY id")]

    def papers(self) -> list[Row]:
        with self.world.database.transaction("test") as connection:
            documents.issue_due(connection, self.workspace)
        return self.world.rows("SELECT * FROM document ORDER BY id")

    def books(self, **wanted: int) -> None:
        """The balances that are named; the books balance and everything is as recomputed from the facts."""
        found = assert_the_books_balance(self.world, self.workspace)
        assert {name: found[name] for name in wanted} == wanted
        self.sound()

    def sound(self) -> None:
        found = verifying.verify(self.world.database, None, lambda *_: None)
        assert [f"{fault.subject}: {fault.detail}" for fault in found.faults] == []


@pytest.fixture
def desk(database_url: str) -> Iterator[Counter]:
    desk = Counter(database_url)
    yield desk
    desk.world.database.close()


# --- more is owed -------------------------------------------------------------------------------------------------


def test_a_late_join_in_a_paid_period_is_one_charge_of_the_difference(desk: Counter) -> None:
    """From 01-31 on, 15 of 31 days of a seat: 604.83..., rounded once."""
    desk.begin("ume")
    desk.answered()
    desk.until("2025-02-10")
    desk.tell("member.joined", "sumire", at("2025-01-31"))
    assert desk.charges() == [("succeeded", SEAT), ("queued", 605)]
    assert desk.entries() == [SEAT, 605]
    desk.answered()
    desk.books(collected=SEAT + 605, receivable=0, credit=0)


def test_a_late_join_across_two_paid_periods_is_still_one_charge_and_each_periods_own_difference(desk: Counter) -> None:
    desk.begin("ume")
    desk.until("2025-03-01")
    desk.answered()
    desk.tell("member.joined", "sumire", at("2025-01-31"))
    assert desk.charges() == [("succeeded", SEAT), ("succeeded", SEAT), ("queued", 605 + SEAT)]
    assert desk.entries() == [SEAT, SEAT, 605, SEAT]
    desk.sound()


def test_a_late_swap_at_one_instant_costs_nothing_in_a_period_that_was_paid(desk: Counter) -> None:
    desk.begin("ume")
    desk.answered()
    desk.until("2025-02-10")
    desk.world.tell("member.left", "w1", "ume", at("2025-01-31"))
    desk.world.tell("member.joined", "w1", "sumire", at("2025-01-31"))
    desk.world.read_and_settle()
    assert (desk.charges(), desk.entries()) == ([("succeeded", SEAT)], [SEAT])
    desk.books(collected=SEAT, credit=0)


# --- less is owed, by the standing of the charge that asked for it --------------------------------------------------


def test_a_late_leave_that_lowers_a_paid_period_becomes_credit_and_is_netted_against_the_next_charge(
    desk: Counter,
) -> None:
    """Who left on 02-10 has no seat in the period from 02-15 on; the one before keeps its high-water mark."""
    desk.begin("ume", "sumire", "fuji")
    desk.until("2025-03-01")
    desk.answered()
    desk.left("fuji", "2025-02-10")
    assert desk.entries() == [3 * SEAT, 3 * SEAT, -SEAT]
    desk.books(collected=6 * SEAT, receivable=0, credit=SEAT)
    desk.until("2025-03-15")
    assert desk.charges()[2:] == [("queued", 2 * SEAT - SEAT)]
    desk.answered()
    desk.books(collected=7 * SEAT, receivable=0, credit=0)


def test_credit_that_pays_the_next_charge_in_full_settles_it_unsent_and_the_rest_stays(desk: Counter) -> None:
    desk.begin("ume", "sumire", "fuji")
    desk.until("2025-03-01")
    desk.answered()
    desk.left("fuji", "2025-02-10")
    desk.left("sumire", "2025-02-10")
    desk.until("2025-03-15")
    assert desk.charges()[2:] == [("succeeded", 0)]
    assert desk.lease() == []
    desk.books(collected=6 * SEAT, receivable=0, credit=SEAT)


def test_a_late_leave_shrinks_a_charge_that_has_not_left_and_at_nothing_cancels_it(desk: Counter) -> None:
    desk.begin("ume", "sumire")
    desk.left("sumire", "2025-01-12")
    assert desk.charges() == [("queued", SEAT)]
    desk.books(receivable=SEAT, collected=0, credit=0)
    desk.left("ume", "2025-01-12")
    assert desk.charges() == [("cancelled", 0)]
    assert desk.lease() == []
    desk.books(receivable=0, collected=0, credit=0)


@pytest.mark.parametrize("standing", ["sending", "pending", "unknown"])
def test_a_late_leave_waits_for_the_outcome_of_a_charge_under_way_and_the_collected_part_is_credit(
    desk: Counter, standing: str
) -> None:
    [sent] = _under_way(desk, standing)
    assert desk.charges() == [(standing, 3 * SEAT)]
    desk.books(receivable=2 * SEAT, collected=0, credit=0)
    desk.say(sent, "succeeded")
    assert desk.charges() == [("succeeded", 3 * SEAT)]
    desk.books(receivable=0, collected=3 * SEAT, credit=SEAT)


@pytest.mark.parametrize("standing", ["sending", "pending", "unknown"])
def test_a_late_leave_of_a_charge_that_then_fails_leaves_a_smaller_debt_and_no_credit(
    desk: Counter, standing: str
) -> None:
    [sent] = _under_way(desk, standing)
    desk.say(sent, "failed")
    assert desk.charges() == [("failed", 3 * SEAT)]
    desk.books(receivable=2 * SEAT, collected=0, credit=0)


def _under_way(desk: Counter, standing: str) -> list[Row]:
    """Three seats asked for, the charge under way, and then: one of the three had left before the start."""
    desk.begin("ume", "sumire", "fuji")
    leased = desk.lease()
    if standing != "sending":
        desk.say(leased[0], standing)
    desk.left("fuji", "2025-01-12")
    return leased


def test_a_late_leave_of_a_failed_charge_reduces_the_debt_and_gives_no_credit(desk: Counter) -> None:
    desk.begin("ume", "sumire", "fuji")
    desk.answered("failed")
    desk.left("fuji", "2025-01-12")
    assert desk.charges() == [("failed", 3 * SEAT)]
    desk.books(receivable=2 * SEAT, collected=0, credit=0)


def test_the_body_of_a_failed_charge_stands_so_what_the_next_attempt_takes_too_much_is_credit(desk: Counter) -> None:
    desk.begin("ume", "sumire", "fuji")
    desk.answered("failed")
    desk.left("fuji", "2025-01-12")
    desk.until("2025-01-22")
    [again] = desk.lease()
    assert (again["attempt"], again["body"]["amount"]) == (2, 3 * SEAT)
    desk.say(again, "succeeded")
    desk.books(receivable=0, collected=3 * SEAT, credit=SEAT)


def test_a_failed_charge_of_which_late_facts_leave_nothing_is_no_debt_any_more(desk: Counter) -> None:
    desk.begin("ume")
    desk.answered("failed")
    assert desk.world.row("SELECT state FROM workspace")["state"] == "past_due"
    desk.left("ume", "2025-01-12")
    desk.books(receivable=0, collected=0, credit=0)
    desk.world.settle(desk.workspace)  # that nothing is owed any more is a fact of its own
    assert desk.world.row("SELECT state FROM workspace")["state"] == "active"
    desk.until("2025-01-22")
    assert desk.lease() == []


# --- what a plan pays back ----------------------------------------------------------------------------------------


def test_tr_26_a_refund_gives_back_what_is_left_of_the_charge_and_credit_of_a_late_leave_stays_credit(
    desk: Counter,
) -> None:
    desk.begin("ume", "sumire", "fuji")
    desk.answered()
    desk.left("fuji", "2025-01-12")
    desk.until("2025-01-20")
    desk.give("refund")
    assert desk.refunded() == [2 * SEAT]
    desk.books(receivable=0, collected=SEAT, credit=SEAT)


def test_tr_26_a_late_leave_of_a_refunded_period_owes_nothing_twice(desk: Counter) -> None:
    desk.begin("ume", "sumire", "fuji")
    desk.answered()
    desk.until("2025-01-20")
    desk.give("refund")
    desk.left("fuji", "2025-01-12")
    assert desk.refunded() == [3 * SEAT]
    desk.books(receivable=0, collected=0, credit=0)


def test_tr_26_what_is_collected_after_its_refund_was_asked_for_goes_back_late_leave_and_all(desk: Counter) -> None:
    [sent] = _under_way(desk, "sending")
    desk.give("refund")
    assert desk.refunded() == []
    desk.say(sent, "succeeded")
    assert desk.refunded() == [3 * SEAT]
    desk.books(receivable=0, collected=0, credit=0)
    with desk.world.database.transaction("test") as connection:
        [refund] = refunds.lease(connection, 10, 3600.0)
        refunds.book(connection, desk.workspace, refund["id"], Answer("failed", 1), refund["token"])
    desk.books(receivable=0, collected=3 * SEAT, credit=3 * SEAT)


# --- documents ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "first"), [("bank_transfer", "invoice"), ("card", "receipt")])
def test_b_33_a_late_leave_of_a_documented_charge_is_a_return_invoice_of_exactly_that_and_its_tax(
    desk: Counter, method: str, first: str
) -> None:
    issuer = {"name": "株式会社ひだまり商店", "registration_number": "T7120001168421"}
    with desk.world.database.transaction("test") as connection:
        connection.execute("UPDATE account SET tax_rate = '1/10', issuer = %s", (Jsonb(issuer),))
    desk.begin("ume", "sumire", "fuji", method=method)
    desk.answered()
    [paper] = desk.papers()
    assert (paper["kind"], paper["amount"], paper["tax"]) == (first, 4125, 375)
    desk.left("fuji", "2025-01-12")
    back = desk.papers()[1]
    assert (back["kind"], back["amount"], back["tax"]) == ("return_invoice", -1375, -125)
    assert (back["original_id"], back["content"]["qualified"]) == (paper["id"], True)
    assert len(desk.papers()) == 2
    desk.sound()
    desk.until("2025-02-15")
    desk.answered()
    last = desk.papers()[-1]
    assert (last["kind"], last["content"]["total"], last["amount"]) == (first, 2750, 2750 - 1375)
    assert desk.world.row("SELECT credit FROM workspace")["credit"] == 0


def test_a_late_leave_under_way_is_documented_as_captured_and_then_returned(desk: Counter) -> None:
    [sent] = _under_way(desk, "pending")
    assert desk.papers() == []
    desk.say(sent, "succeeded")
    assert [(row["kind"], row["amount"]) for row in desk.papers()] == [
        ("receipt", 3 * SEAT),
        ("return_invoice", -SEAT),
    ]


# --- too late: parked for a person --------------------------------------------------------------------------------


@pytest.fixture
def old(database_url: str) -> Iterator[Counter]:
    """Fourteen months of two seats, all paid; then a leave of 2024-01-10 is heard, 416 days late."""
    desk = Counter(database_url, at("2024-01-15"))
    desk.begin("ume", "sumire")
    desk.until("2025-03-01")
    desk.answered()
    assert desk.charges() == [("succeeded", 2 * SEAT)] * 14
    desk.left("sumire", "2024-01-10")
    yield desk
    desk.world.database.close()


def waiting(desk: Counter) -> list[str]:
    with desk.world.database.reading() as connection:
        return judging.waiting_late(connection, desk.workspace)


def test_law_10_a_fact_older_than_400_days_acts_on_the_roster_at_once(old: Counter) -> None:
    member = old.world.row("SELECT billable FROM member WHERE member = 'sumire'")
    assert (member["billable"], old.world.row("SELECT occupied FROM workspace")["occupied"]) == (False, 1)
    [parked] = waiting(old)
    assert parked == old.world.row("SELECT id FROM fact WHERE kind = 'member.left'")["id"]


def test_law_10_it_acts_on_money_from_the_first_instant_in_the_window_and_the_older_period_waits(old: Counter) -> None:
    """400 days before 2025-03-01 is 2024-01-26: the period of 2024-01-15 stands, the thirteen since lose a seat."""
    assert old.entries() == [2 * SEAT] * 14 + [-SEAT] * 13
    old.books(collected=28 * SEAT, receivable=0, credit=13 * SEAT)


def test_law_10_the_verdict_is_recorded_and_then_the_rest_of_the_money_moves(old: Counter) -> None:
    parked = waiting(old)
    old.give("late-facts", facts=parked)
    told = old.world.row("SELECT verdict, actor, body FROM command WHERE kind = 'late-facts'")
    assert (told["verdict"], told["actor"], told["body"]["facts"]) == ("accepted", ADMIN, parked)
    assert waiting(old) == []
    assert old.entries() == [2 * SEAT] * 14 + [-SEAT] * 14
    old.books(collected=28 * SEAT, receivable=0, credit=14 * SEAT)


def test_law_10_a_second_identical_verdict_changes_nothing(old: Counter) -> None:
    parked = waiting(old)
    old.give("late-facts", facts=parked)
    before = (old.entries(), old.world.rows("SELECT * FROM journal ORDER BY seq"))
    with pytest.raises(InvalidError, match="not waiting for a verdict"):
        old.give("late-facts", facts=parked)
    assert (old.entries(), old.world.rows("SELECT * FROM journal ORDER BY seq")) == before
    old.books(credit=14 * SEAT)


def test_law_10_a_parked_join_is_charged_only_by_a_verdict_and_then_to_its_own_instant(database_url: str) -> None:
    """Joined 2024-01-31, heard 2025-03-20 (414 days): seen from 2024-02-14, one day of 31 of the first period."""
    desk = Counter(database_url, at("2024-01-15"))
    desk.begin("ume")
    desk.until("2025-03-20")
    desk.answered()
    desk.tell("member.joined", "sumire", at("2024-01-31"))
    seen = 40  # 1250 x 1/31
    assert desk.charges()[15:] == [("queued", seen + 14 * SEAT)]
    desk.answered()
    desk.give("late-facts", facts=waiting(desk))
    desk.sound()
    line = "SELECT instant, amount FROM line WHERE kind = 'seats_added' AND amount > 0"
    assert desk.world.rows(line) == [{"instant": at("2024-01-31"), "amount": 605}]
    owed = 15 * SEAT + 605 + 14 * SEAT
    books = assert_the_books_balance(desk.world, desk.workspace)
    assert books["collected"] + books["receivable"] - books["credit"] == owed
    desk.world.database.close()
