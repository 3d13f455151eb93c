"""Published numeric examples of other vendors come out to the minor unit through our own functions.

Every reproduced row is either checked or left out for a named reason, and both are counted.
"""

import json
from collections import Counter
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from billing.core.calendar import midnight, period_start
from billing.core.money import Rounding, rounded
from billing.core.proration import Method, Period, days_360, share_left

CASES = Path(__file__).resolve().parents[2] / ".." / "shared" / "proration-cases.json"
Row = dict[str, Any]

#: Their conventions that are ours under another name. "End inclusive" only writes the last day for the renewal day.
METHODS: dict[str, Method] = {
    "actual/exclusive": "actual_days",
    "actual/end_inclusive": "actual_days",
    "fixed30": "thirty_360",
    "months": "months_days",
    "seconds": "seconds",
}
ROUNDINGS: dict[str, Rounding] = {"half_up": "half_up", "half_even": "half_even", "trunc": "floor", "ceil": "ceil"}

LEFT_OUT = {
    "the convention is not one of ours": 18,
    "the day's price is rounded first": 2,
    "the share is rounded up first": 3,
    "period is not whole months": 5,
    "change lies outside the period": 1,
}
CHECKED = 87

#: What is prorated where a row has a formula of its own, read from its note: full amounts in minor units.
CUSTOM = {
    "polar-seat-05": [Fraction(10000 - 2500)],  # seats after and before, each less its share of a discount
    "polar-seat-06": [2 * 5000 * Fraction(9, 10)],  # two seats at ten per cent off
    "polar-doc-05": [-10000 * Fraction(6, 5), 20000 * Fraction(6, 5)],  # with twenty per cent tax
    "hokan-03": [Fraction(max(23, 20))],  # never under the count at the anniversary
    "hokan-04": [Fraction(max(19, 20))],
    "hokan-05": [Fraction(12 * 3)],  # three seats at 1 a month, for the year
}


@cache
def rows() -> list[Row]:
    if not CASES.exists():
        return []
    return [row for row in json.loads(CASES.read_text(encoding="utf-8")) if row["reproduced"]]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text) if "T" in text else midnight(date.fromisoformat(text), "UTC")


def period_of(row: Row) -> Period | None:
    """The row's period as one of ours; None when it is not a whole number of months."""
    first, last = instant(row["period_start"]).date(), instant(row["period_end"]).date()
    if row["convention"] == "actual/end_inclusive":
        last += timedelta(days=1)
    for months in (1, 3, 6, 12):
        if period_start(first, months, 1) == last:
            return Period(first, months, 0, "UTC")
    return None


def reason_left_out(row: Row) -> str | None:
    """Why a row cannot be asked of our functions; None when it can."""
    if row["convention"] not in METHODS:
        return "the convention is not one of ours"
    if row["kind"] == "rate_first":
        return "the day's price is rounded first"
    if row["kind"] == "lago_ceil5":
        return "the share is rounded up first"
    period = period_of(row)
    if period is None:
        return "period is not whole months"
    if not period.start <= instant(row["change_at"]) < period.end:
        return "change lies outside the period"
    return None


def share_of(row: Row) -> Fraction:
    """The share by our functions: what is left at the change, or for some rows what was used until then."""
    period = period_of(row)
    assert period is not None
    left = share_left(METHODS[row["convention"]], period, instant(row["change_at"]))
    return 1 - left if counts_used(row) else left


def counts_used(row: Row) -> bool:
    """Rows of kind `ratio` do not say which side of the change they count: their published numerator does."""
    if row["kind"] != "ratio":
        return bool(row["kind"] == "used_old")
    first, change = instant(row["period_start"]).date(), instant(row["change_at"]).date()
    used = days_360(first, change) if row["convention"] == "fixed30" else (change - first).days
    return used == int(row["share_numerator"])


def amount_of(row: Row) -> int:
    """Minor units, each of the row's lines rounded once."""
    share, mode = share_of(row), ROUNDINGS[row["rounding"]]
    old, before, after = row["unit_price_minor"], row["seats_before"], row["seats_after"]
    new = row["new_unit_price_minor"] or old
    credit = -rounded(old * before * share, mode)
    amounts = {
        "delta": rounded(old * (after - before) * share, mode),
        "leading": rounded(old * after * share, mode),
        "ratio": rounded(old * share, mode),
        "credit_old": credit,
        "used_old": -credit,
        "charge_new": rounded(new * after * share, mode),
        "net_lines": credit + rounded(new * after * share, mode),
        "full": new * after,
        "full_new_plus_credit": credit + new * after,
        "custom": sum(rounded(whole * share, mode) for whole in CUSTOM.get(row["id"], [])),
    }
    return int(amounts[row["kind"]] + row["added_minor"])


@pytest.mark.parametrize("row", [row for row in rows() if not reason_left_out(row)], ids=lambda row: row["id"])
def test_a_published_example_comes_out_to_the_minor_unit(row: Row) -> None:
    assert share_of(row) == Fraction(row["share_numerator"], row["share_denominator"])
    assert amount_of(row) == row["expected_minor"]


@pytest.mark.skipif(not rows(), reason="the published examples are not beside this checkout")
def test_every_published_example_is_checked_or_left_out_for_a_named_reason() -> None:
    reasons = Counter(reason_left_out(row) or "checked" for row in rows())
    assert reasons == Counter(LEFT_OUT) + Counter(checked=CHECKED)
    assert reasons.total() == len(rows()) == 116
