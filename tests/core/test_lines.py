"""Each kind of line, field by field; and from when on which seat policy holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from billing.core.classification import ORDINARY, Policy
from billing.core.course import Course, Order, Switch, Void
from billing.core.lines import (
    Line,
    added_line,
    changed_line,
    credit_line,
    order_line,
    period_line,
    policies,
    voided,
)
from billing.core.plans import Terms
from tests.core.judging import LARGE, SMALL, stretch, terms
from tests.core.telling import when

ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
FIRST = stretch()
#: The 21st of March at noon in Tokyo: eleven of 31 days are left.
LATER = when("2025-03-21T03:00")
DAYS, HOURS = Fraction(11, 31), Fraction(21, 62)
OTHER = terms(method="seconds", rounding="floor", currency="USD")


def line(own: Terms, kind: str, instant: datetime, seats: int, fraction: Fraction, amount: int, **more: Any) -> Line:
    told: dict[str, Any] = {"subscription": "sub", "n": 0, "unit_amount": own.unit_amount, "facts": ("fact-1",)}
    told |= {"currency": own.currency, "method": own.method, "rounding": own.rounding}
    return Line(kind=kind, instant=instant, seats=seats, fraction=fraction, amount=amount, **{**told, **more})


@pytest.mark.parametrize(
    ("opened", "own", "rules"),
    [
        (FIRST, SMALL, ("TR-01", "TR-22")),
        (replace(FIRST, by_fact=True), SMALL, ("TR-01", "TR-22")),
        (replace(FIRST, by_fact=True), terms(line_rules={"started": ("BL-14",)}), ("BL-14",)),
        (FIRST, terms(line_rules={"started": ("BL-14",), "period": ("BL-05",)}), ("BL-05",)),
        (replace(FIRST, n=1), SMALL, ("TR-09", "TR-22", "XX-10")),
        (replace(FIRST, n=1, by_fact=True), SMALL, ("TR-24", "TR-22")),
        (replace(FIRST, n=1), terms(line_rules={"renewal": ("CW-24",)}), ("CW-24",)),
    ],
)
def test_the_line_of_a_period_is_told_by_how_the_period_began(opened: Any, own: Terms, rules: tuple[str, ...]) -> None:
    wanted = line(own, "period", FIRST.opens, 3, Fraction(1), 3000, rules=rules, n=opened.n)
    assert period_line(opened, own, 3) == wanted


def test_a_period_that_goes_on_after_a_suspension_is_billed_for_what_is_left_of_it() -> None:
    resumed = replace(FIRST, n=1, opens=LATER, by_fact=True, share=True)
    own = replace(SMALL, method="actual_days")
    assert period_line(resumed, own, 2) == line(own, "period", LATER, 2, DAYS, 710, rules=("XX-02",), n=1)
    assert period_line(resumed, OTHER, 2) == line(OTHER, "period", LATER, 2, HOURS, 677, rules=("XX-02",), n=1)


def test_seats_added_are_prorated_and_name_who_filled_them_or_what_began_the_period() -> None:
    rules = ("TR-08", "XX-02")
    told = added_line(FIRST, OTHER, "seats_added", 2, LATER, ("fact-7", "fact-8"))
    assert told == line(OTHER, "seats_added", LATER, 2, HOURS, 677, rules=rules, facts=("fact-7", "fact-8"))
    alone = added_line(FIRST, SMALL, "licences_added", 1, LATER, ())
    assert alone == line(SMALL, "licences_added", LATER, 1, DAYS, 355, rules=("CW-15", "B-11"))
    assert added_line(FIRST, SMALL, "licences_bought", 1, LATER, ()).rules == ("CW-08",)


def test_a_plan_change_costs_the_difference_of_the_prices_under_the_new_terms() -> None:
    dearer = replace(OTHER, plan="large", unit_amount=3000)
    told = changed_line(FIRST, SMALL, Switch(LATER, FIRST.key, dearer, "fact-5"), 2)
    own = replace(dearer, unit_amount=2000)
    assert told == line(own, "plan_changed", LATER, 2, HOURS, 1354, rules=("B-06", "XX-02"), facts=("fact-5",))


def test_an_interval_that_ended_early_gives_back_what_is_left() -> None:
    told = credit_line(FIRST, OTHER, 2, LATER, "fact-5")
    assert told == line(OTHER, "interval_credit", LATER, 2, -HOURS, -677, rules=("TR-24", "XX-02"), facts=("fact-5",))


def test_an_option_is_a_line_of_its_own_at_its_whole_price() -> None:
    order = Order(LATER, ("sub", 0), OTHER, "check", "fact-5")
    told = order_line(order, 2, ("fact-5", "fact-6"))
    wanted = line(OTHER, "option:check", LATER, 2, Fraction(1), 2000, rules=("BL-28",), facts=("fact-5", "fact-6"))
    assert told == wanted
    assert told.key == "sub/0/option:check/2025-03-21T03:00:00.000Z/1000"
    assert told.exact == 2000


def test_a_line_taken_back_keeps_its_seats_and_nothing_of_its_amount() -> None:
    told = period_line(FIRST, SMALL, 3)
    back = voided(told, Void(LATER, "TR-26", "fact-9"))
    rules = ("TR-01", "TR-22", "TR-26")
    assert back == replace(told, fraction=Fraction(0), amount=0, rules=rules, facts=("fact-9",))


def test_seat_policies_are_told_from_where_they_change_in_time_order() -> None:
    guests, own = Policy(guests_free=True), Policy(pending_count=True)
    free = replace(SMALL, guests_free=True)
    two = (FIRST, stretch(1))
    pins = {("sub", 0): SMALL, ("sub", 1): free}
    turn = stretch(1).billed_at
    assert policies(Course(), {}) == []
    assert policies(Course(), {}, own) == [(ALWAYS, own)]
    assert policies(Course(stretches=two), pins) == [(turn, guests)]
    assert policies(Course(stretches=two), pins, own) == [(ALWAYS, own), (FIRST.billed_at, ORDINARY), (turn, guests)]
    early = Switch(turn - timedelta(days=1), ("sub", 0), free, "fact-5")
    late = Switch(turn + timedelta(days=1), ("sub", 1), LARGE, "fact-5")
    switched = Course(stretches=two, switches=(late, early))
    assert policies(switched, pins) == [(early.at, guests), (late.at, ORDINARY)]
    ahead = replace(stretch(1), billed_at=turn - timedelta(days=2))
    assert policies(Course(stretches=(FIRST, ahead)), pins) == [(turn - timedelta(days=2), guests)]
