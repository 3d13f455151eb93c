"""What Chatwork says beyond the seed, in money: adding within a term, an unpaid renewal, other plans and intervals."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from billing.payments.sandbox import Sandbox
from tests.rules.contract import ZONE, Contract, Till, jst
from tests.rules.tale import Tale, sold
from tests.workers.world import World

BUSINESS, ENTERPRISE, FREE = "chatwork-business", "chatwork-enterprise", "chatwork-free"


@pytest.fixture
def contract(database_url: str, tmp_path: Path) -> Iterator[Contract]:
    """A contract without a plan, on 1 April 2026 in Tokyo."""
    world = World(database_url, jst("2026-04-01"), tool="chatwork")
    made = Contract(world, tmp_path)
    yield made
    assert made.faults() == []
    world.database.close()


@pytest.fixture
def till(contract: Contract) -> Iterator[Till]:
    """A personal contract by the month since 1 April, paid; from now on its card is declined."""
    with Sandbox() as sandbox:
        contract.users(0)
        contract.start(BUSINESS, "month", 1)
        made = Till(contract, sandbox)
        made.send()
        made.decline(None)
        yield made


#: The term's first day, the day of adding and its interval; minor units; days left of days; what is owed for five.
ADDED = [
    ("2016-08-01", "2016-08-15", "month", "USD", 500, Fraction(17, 31), 1_371),
    ("2015-09-01", "2016-08-15", "year", "USD", 5_000, Fraction(17, 366), 1_161),
    ("2025-09-01", "2026-08-15", "year", "JPY", 8_400, Fraction(17, 365), 1_956),
    ("2026-08-01", "2026-08-15", "month", "JPY", 840, Fraction(17, 31), 2_303),
    ("2026-08-01", "2026-08-31", "month", "JPY", 840, Fraction(1, 31), 135),
]


@pytest.mark.parametrize(("begins", "added", "interval", "currency", "unit", "share", "owed"), ADDED)
def test_b_11_licences_added_cost_their_days_up_to_the_renewal_by_the_days_of_the_running_term(
    begins: str, added: str, interval: str, currency: str, unit: int, share: Fraction, owed: int
) -> None:
    terms = replace(sold(BUSINESS, date(2026, 4, 1))[interval], currency=currency, unit_amount=unit)
    told = Tale(ZONE, terms if currency == "JPY" else replace(terms, rounding="half_up"))
    told.start(begins, BUSINESS, interval, licences=1)
    told.give("licences", added, add=5)
    line = told.owed(added)[1]
    assert (line.kind, line.seats, line.fraction, line.amount) == ("licences_added", 5, share, owed)
    assert line.rules == ("CW-15", "B-11")


@pytest.mark.parametrize(("plan", "to"), [(BUSINESS, FREE), (ENTERPRISE, BUSINESS), (ENTERPRISE, FREE)])
def test_b_13_to_a_smaller_plan_there_is_no_way_but_to_cancel_and_sign_up_anew(
    contract: Contract, plan: str, to: str
) -> None:
    contract.start(plan, "month", 5)
    assert contract.refused("plan-change", plan=to) == "B-13"
    contract.give("cancellation")
    contract.to("2026-05-01")
    assert (contract.state(), len(contract.charges())) == ("closed", 1)
    if to == BUSINESS:
        contract.start(BUSINESS, "month", 5)
        assert contract.lines()[1:] == [("period", 5, 4_200)]


def test_b_15_an_invited_person_holds_a_licence_and_who_owes_cannot_be_added(till: Till) -> None:
    offices = till.contract.beside()
    offices.users(48, pending=1)
    offices.start(BUSINESS, "year", 50)
    assert (offices.numbers(), offices.flags()) == ((50, 50, 0), [])
    query = "SELECT billable, rule FROM member WHERE workspace_id = %s AND membership = 'pending'"
    assert offices.world.row(query, offices.id) == {"billable": True, "rule": "B-15"}
    assert till.to("2026-05-01") == "past_due"
    assert till.contract.refused("migration", into=offices.id) == "B-15"
    till.to("2026-05-15")
    assert till.contract.state() == "suspended"
    assert till.contract.refused("migration", into=offices.id) == "B-15"


def test_b_16_a_renewal_declined_on_1_may_is_tried_and_told_each_day_and_suspends_on_15_may(
    till: Till,
) -> None:
    till.contract.contact("nagisa@nagisa.example")
    days = [f"2026-05-{day:02}" for day in range(1, 15)]
    assert [till.to(day) for day in days] == ["past_due"] * 14
    assert till.contract.mails() == [("payment_failed", day) for day in days]  # one a day, until it is paid
    assert till.attempts()[1:] == [(924, "failed", [str(attempt) for attempt in range(1, 15)])]
    assert till.to("2026-05-14T23:59") == "past_due"
    assert till.to("2026-05-15") == "suspended"
    assert till.contract.mails()[14:] == [("suspended", "2026-05-15")]
    assert till.to("2026-06-02") == "suspended"
    assert [key for _, _, keys in till.attempts()[1:] for key in keys] == [str(attempt) for attempt in range(1, 15)]
    assert till.contract.refused("licences", add=1) == "B-16"


def test_b_16_paid_on_14_may_it_is_never_suspended(till: Till) -> None:
    for day in range(1, 14):
        assert till.to(f"2026-05-{day:02}") == "past_due"
    till.decline(0)
    assert till.to("2026-05-14") == "active"
    assert till.to("2026-05-15") == "active"
    assert till.attempts()[1][:2] == (924, "succeeded")
    assert till.to("2026-06-01") == "active"
    assert till.contract.lines() == [("period", 1, 840)] * 3


def test_b_16_a_changed_card_is_charged_by_itself(till: Till) -> None:
    till.to("2026-05-01")
    assert till.to("2026-05-02T09:00") == "past_due"
    till.decline(0)
    till.contract.give("payment-method", payment_method="card")
    till.send()
    assert till.contract.state() == "active"
    assert till.attempts()[1:] == [(924, "succeeded", ["1", "2", "3"])]


def test_b_16_a_suspended_contract_that_pays_goes_on_and_owes_what_is_left_of_the_month(till: Till) -> None:
    for day in ("2026-05-01", "2026-05-15", "2026-06-10"):
        till.to(day)
    assert (till.contract.state(), till.contract.lines()) == ("suspended", [("period", 1, 840)] * 2)
    till.decline(0)
    till.contract.give("payment-method", payment_method="card")
    till.send()
    assert till.contract.state() == "active"
    assert till.contract.lines()[2:] == [("period", 1, 840 * 21 // 30)]


def test_b_18_to_the_year_the_rest_of_the_month_is_forgone_and_the_year_begins_that_day(contract: Contract) -> None:
    contract.users(0)
    contract.start(BUSINESS, "month", 1)
    contract.to("2026-04-16")
    quoted = contract.quote("interval-change", interval="year")
    contract.give("interval-change", interval="year", quote_id=quoted["id"])
    assert contract.lines() == [("period", 1, 840), ("period", 1, 8_400)]
    assert contract.charges() == [(924, 84), (9_240, 840)]
    assert (contract.given_back(), quoted["amount"]) == ((0, 0, 0), 9_240)
    contract.to("2026-05-01")
    assert len(contract.charges()) == 2
    contract.to("2027-04-16")
    assert contract.charges()[2:] == [(9_240, 840)]
    assert contract.refused("interval-change", interval="month") == "B-13"
