"""The course of commands and payments, which both forms of the statement share, against a second reading of it."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.core.calendar import midnight
from billing.core.course import Course
from billing.core.life import course
from billing.core.plans import Rules, Terms
from tests.core.lives import Told, lives
from tests.core.plain_life import LONG, PlainLife, later
from tests.core.telling import began, life_fact, when
from tests.core.test_lives import LIFE

ANCHORS = [date(2004, 1, 28), date(2003, 1, 29), date(2004, 2, 29), date(2003, 10, 30)]
ANCHORS += [date(2004, 8, 31), date(2006, 10, 31)]


def periods(life: Course) -> list[tuple[object, ...]]:
    return [
        (
            one.key,
            one.period.first,
            one.period.last,
            one.opens,
            one.closes,
            one.plan,
            one.interval,
            one.key in life.voids,
        )
        for one in life.stretches
    ]


def plain_periods(life: PlainLife) -> list[tuple[object, ...]]:
    return [
        ((one.subscription, one.n), one.first, one.last, one.opens, one.closes, one.plan, one.interval, one.void)
        for one in life.billed
    ]


@LIFE
@given(lives(), st.integers(0, 2**32 - 1))
def test_states_and_billed_periods_are_those_of_a_life_read_day_by_day(told: Told, seed: int) -> None:
    instants = {fact.at for fact in told.plan.facts} | {told.end}
    instants |= {told.start + (told.end - told.start) * Random(seed + i).random() for i in range(4)}
    for now in sorted(instants):
        life = course(told.plan.facts, now, told.plan.zone)
        plain = PlainLife(told.plan.facts, now, told.plan.zone)
        assert life.state == plain.state, now
        assert periods(life) == plain_periods(plain), now
        assert [[one.begins, one.ends] for one in life.mutes] == plain.suspensions, now
        assert [due.at for due in life.dues if due.what == "retry"] == plain.retried, now


@LIFE
@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3), st.booleans()), max_size=8))
def test_law_6_outcomes_in_any_order_only_move_an_obligation_forward(heard: list[tuple[int, int, bool]]) -> None:
    """Two obligations of one period: a success is final, and a failure counts once for each later attempt."""
    begun = when("2025-01-15")
    terms = Terms("price", "plan", "year", "USD", 1000)
    facts = [began(begun, begun.date(), terms)]
    unpaid: dict[int, int] = {}
    attempts: dict[int, int] = {}
    paid: set[int] = set()
    for i, (nth, attempt, success) in enumerate(heard):
        told = {"subscription": "sub", "n": 0, "purpose": "period", "nth": nth, "attempt": attempt}
        kind = "payment.succeeded" if success else "payment.failed"
        facts.append(life_fact(kind, begun + timedelta(minutes=i), i + 2, told))
        if success:
            paid.add(nth)
            unpaid.pop(nth, None)
        elif nth not in paid and attempt > attempts.get(nth, 0):
            attempts[nth] = attempt
            unpaid.setdefault(nth, i)
        life = course(facts, begun + timedelta(minutes=i), "UTC")
        assert {key[3]: (failure.at - begun).seconds // 60 for key, failure in life.failing.items()} == unpaid
        assert life.state == ("past_due" if unpaid else "active")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "UTC", "America/Sao_Paulo", "Europe/Berlin"])
@pytest.mark.parametrize("interval", list(LONG))
@pytest.mark.parametrize(
    "anchor",
    [
        date(2004, 1, 28),
        date(2003, 1, 29),
        date(2004, 2, 29),
        date(2003, 10, 30),
        date(2004, 8, 31),
        date(2006, 10, 31),
    ],
)
def test_twenty_years_of_renewals_have_no_gap_no_overlap_and_no_drift(zone: str, interval: str, anchor: date) -> None:
    """Sao Paulo's clocks skipped midnight every spring, on the day the clocks changed."""
    terms = Terms("price", "plan", interval, "USD", 1000, rules=Rules(intervals=(interval,)))
    end = midnight(later(anchor, 240), zone)
    life = course([began(midnight(anchor, zone), anchor, terms)], end, zone)
    assert len(life.stretches) == 240 // LONG[interval] + 1
    for before, after in pairwise(life.stretches):
        assert before.closes == before.period.end == after.opens == after.period.start == after.billed_at
        assert before.period.last == after.period.first
    for n, one in enumerate(life.stretches):
        assert (one.n, one.period.first) == (n, later(anchor, n * LONG[interval]))
        assert one.period.first.day == anchor.day or (
            one.period.first.day < anchor.day and last_of_month(one.period.first)
        )
        assert one.opens == first_instant(one.period.first, zone)
    assert life.next_due == life.stretches[-1].period.end


def last_of_month(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def first_instant(day: date, zone: str) -> datetime:
    """The first quarter of an hour, of the days around, that is on the day in the zone."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    while at.astimezone(ZoneInfo(zone)).date() < day:
        at += timedelta(minutes=15)
    return at


def test_sao_paulo_has_a_renewal_at_one_o_clock_where_midnight_was_skipped() -> None:
    terms = Terms("price", "plan", "month", "USD", 1000)
    anchor, zone = date(2018, 10, 4), "America/Sao_Paulo"
    life = course([began(midnight(anchor, zone), anchor, terms)], midnight(date(2018, 11, 5), zone), zone)
    assert life.stretches[1].opens.astimezone(ZoneInfo(zone)).hour == 1
