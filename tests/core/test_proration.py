"""Proration: what share of a period is left, by four named methods (XX-02, A-01, law 8)."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.core.calendar import midnight
from billing.core.money import Rounding, rounded
from billing.core.proration import Method, Period, days_360, share_left
from tests.core.histories import LAW

METHODS: list[Method] = list(get_args(Method))
YEAR = Period(date(2025, 1, 15), 12, 0, "UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_three_months_into_a_year_three_quarters_are_left() -> None:
    assert share_left("months_days", YEAR, at("2025-04-15")) == Fraction(3, 4)
    assert share_left("thirty_360", YEAR, at("2025-04-15")) == Fraction(3, 4)
    assert rounded(11999 * Fraction(3, 4), "half_up") == 8999


def test_a_day_later_the_running_month_counts_by_its_own_days() -> None:
    share = share_left("months_days", YEAR, at("2025-04-16"))
    assert share == (8 + Fraction(29, 30)) / 12
    assert rounded(11999 * share, "half_up") == 8966


@pytest.mark.parametrize(
    ("method", "instant", "share"),
    [
        ("months_days", "2025-02-10", (11 + Fraction(5, 31)) / 12),
        ("actual_days", "2025-04-15", Fraction(275, 365)),
        ("thirty_360", "2025-04-16", Fraction(269, 360)),
        ("seconds", "2025-04-15T12:00", Fraction(275 * 2 - 1, 365 * 2)),
        ("seconds", "2026-01-14T23:59:59.999999", Fraction(1, 365 * 86_400 * 10**6)),
    ],
)
def test_each_method_counts_in_its_own_way(method: Method, instant: str, share: Fraction) -> None:
    assert share_left(method, YEAR, at(instant)) == share


def test_on_a_monthly_plan_months_days_is_days_over_the_days_of_the_month() -> None:
    month = Period(date(2025, 1, 31), 1, 1, "UTC")  # 28 February to 31 March
    for day in range(31):
        instant = at("2025-02-28") + timedelta(days=day)
        assert share_left("months_days", month, instant) == Fraction(31 - day, 31)
        assert share_left("actual_days", month, instant) == Fraction(31 - day, 31)


def test_the_joining_day_is_charged_whole_whatever_the_hour_but_seconds_count_the_hour() -> None:
    morning, night = at("2025-04-15"), at("2025-04-15T23:59")
    for method in METHODS:
        same = share_left(method, YEAR, morning) == share_left(method, YEAR, night)
        assert same == (method != "seconds")


def test_the_day_is_the_one_of_the_subscriptions_zone() -> None:
    tokyo = Period(date(2025, 4, 1), 1, 0, "Asia/Tokyo")
    instant = at("2025-04-15T15:00")  # already the 16th in Tokyo
    assert share_left("actual_days", tokyo, instant) == Fraction(15, 30)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("instant", ["2025-01-14T23:59", "2026-01-15"])
def test_an_instant_outside_the_period_has_no_share_and_the_renewal_day_is_outside(
    method: Method, instant: str
) -> None:
    with pytest.raises(ValueError, match="not a day of the period"):
        share_left(method, YEAR, at(instant))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("anchor", [date(2024, 1, 28), date(2024, 1, 31), date(2024, 2, 29)], ids=str)
@pytest.mark.parametrize("months", [1, 12])
def test_a_period_begins_whole_and_its_share_only_falls(method: Method, anchor: date, months: int) -> None:
    for n in range(24 // months):
        period = Period(anchor, months, n, "UTC")
        days = (period.last - period.first).days
        shares = [share_left(method, period, period.start + timedelta(days=day)) for day in range(days)]
        assert shares[0] == 1
        assert shares == sorted(shares, reverse=True)
        assert shares[-1] >= 0


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (date(2025, 1, 15), date(2026, 1, 15), 360),
        (date(2025, 1, 31), date(2025, 3, 31), 60),
        (date(2025, 1, 30), date(2025, 2, 28), 28),
        (date(2025, 3, 15), date(2025, 3, 31), 16),
    ],
)
def test_thirty_360_counts_by_the_bond_basis(start: date, end: date, days: int) -> None:
    assert days_360(start, end) == days


NEAREST: list[Rounding] = ["floor", "half_up", "half_even"]


@pytest.mark.parametrize(
    ("share", "amounts"),
    [
        (Fraction(9, 12), [8999, 8999, 8999]),
        (Fraction(270, 360), [8999, 8999, 8999]),
        (Fraction(275, 365), [9040, 9040, 9040]),
        (Fraction(274, 365), [9007, 9007, 9007]),
        (Fraction(273, 365), [8974, 8975, 8975]),
        (Fraction(275, 366), [9015, 9016, 9016]),
        (Fraction(274, 366), [8982, 8983, 8983]),
        (Fraction(270, 365), [8875, 8876, 8876]),
    ],
)
def test_only_months_and_thirty_360_give_the_documents_amount(share: Fraction, amounts: list[int]) -> None:
    """The table of A-01, for a price of 119.99."""
    assert [rounded(11999 * share, mode) for mode in NEAREST] == amounts


def test_no_whole_number_of_days_of_a_year_gives_the_documents_amount() -> None:
    for mode in get_args(Rounding):
        days = {n for n in range(367) for year in (365, 366) if rounded(Fraction(11999 * n, year), mode) == 8999}
        assert days == set()
    assert [n for n in range(361) if rounded(Fraction(11999 * n, 360), "half_up") == 8999] == [270]


anchors = st.dates(date(2004, 1, 1), date(2030, 12, 31))
zones = st.sampled_from(["UTC", "Asia/Tokyo", "America/Sao_Paulo"])


@LAW
@given(anchors, zones, st.data())
def test_a_years_share_is_the_running_months_share_and_the_months_after_it(
    anchor: date, zone: str, data: st.DataObject
) -> None:
    year = Period(anchor, 12, 0, zone)
    instant = midnight(data.draw(st.dates(year.first, year.last - timedelta(days=1))), zone)
    months = [Period(anchor, 1, n, zone) for n in range(12)]
    left = [
        share_left("months_days", m, instant) if m.start <= instant < m.end else Fraction(m.start > instant)
        for m in months
    ]
    assert share_left("months_days", year, instant) == sum(left) / 12


@LAW
@given(anchors, zones, st.sampled_from(["actual_days", "seconds"]), st.data())
def test_shares_of_sub_periods_weighed_by_their_length_sum_to_the_whole(
    anchor: date, zone: str, method: Method, data: st.DataObject
) -> None:
    year = Period(anchor, 12, 0, zone)
    instant = midnight(data.draw(st.dates(year.first, year.last - timedelta(days=1))), zone)
    total = Fraction(0)
    for month in (Period(anchor, 1, n, zone) for n in range(12)):
        left = share_left(method, month, instant) if month.start <= instant < month.end else month.start > instant
        total += left * _length(method, month)
    assert share_left(method, year, instant) == total / _length(method, year)


def _length(method: Method, period: Period) -> Fraction:
    if method == "actual_days":
        return Fraction((period.last - period.first).days)
    return Fraction((period.end - period.start) // timedelta(microseconds=1))


def test_a_31st_counts_as_a_30th_by_the_30_360_convention() -> None:
    assert days_360(date(2025, 1, 31), date(2025, 2, 28)) == 28
    assert days_360(date(2025, 1, 31), date(2025, 3, 31)) == days_360(date(2025, 1, 30), date(2025, 3, 31)) == 60
    assert days_360(date(2025, 1, 29), date(2025, 3, 31)) == 62
