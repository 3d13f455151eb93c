"""What share of a period is left: four named methods, each an exact fraction (XX-02, A-01)."""

from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from billing.core import calendar

Method = Literal["months_days", "actual_days", "thirty_360", "seconds"]


@dataclass(frozen=True, slots=True)
class Period:
    """Period `n` of `months` months, counted from `anchor` (civil dates in `zone`)."""

    anchor: date
    months: int
    n: int
    zone: str

    @property
    def first(self) -> date:
        """Its first civil day."""
        return calendar.period_start(self.anchor, self.months, self.n)

    @property
    def last(self) -> date:
        """The renewal day: the first civil day after it."""
        return calendar.period_start(self.anchor, self.months, self.n + 1)

    @property
    def start(self) -> datetime:
        """Its first instant, UTC."""
        return calendar.midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The renewal instant, UTC."""
        return calendar.midnight(self.last, self.zone)


def share_left(method: Method, period: Period, instant: datetime) -> Fraction:
    """The share of `period` from `instant` to its end. The joining day is charged, the renewal day is not (XX-02).

    Raises ValueError when the instant lies outside the period's civil days.
    """
    share = _share_of_days(method, period, calendar.local_date(instant, period.zone))
    if method == "seconds":
        return Fraction(_microseconds(period.end, instant), _microseconds(period.end, period.start))
    return share


@lru_cache(maxsize=4096)
def _share_of_days(method: Method, period: Period, day: date) -> Fraction:
    """The share from a day on; the same for everything of that day."""
    if not period.first <= day < period.last:
        raise ValueError(f"{day} is not a day of the period {period.first} to {period.last}")
    if method == "months_days":
        return _months_days(period, day)
    if method == "thirty_360":
        return Fraction(_left_360(period, day), 30 * period.months)
    return Fraction((period.last - day).days, (period.last - period.first).days)


def _months_days(period: Period, day: date) -> Fraction:
    """(whole months left + days left of the running month / its length) / months in the period."""
    first_month = period.months * period.n
    running = calendar.period_of(period.anchor, 1, day)
    begins = calendar.month_date(period.anchor, running)
    ends = calendar.month_date(period.anchor, running + 1)
    whole = first_month + period.months - running - 1
    return (whole + Fraction((ends - day).days, (ends - begins).days)) / period.months


def _left_360(period: Period, day: date) -> int:
    # The convention alone gives 28 or 33 days to a month whose anchor was clamped in February; a period is 30 a month.
    whole = 30 * period.months
    return whole if day == period.first else min(days_360(day, period.last), whole)


def days_360(start: date, end: date) -> int:
    """Days between two dates by the 30/360 (bond basis) convention."""
    first = min(start.day, 30)
    last = 30 if end.day == 31 and first == 30 else end.day
    return (end.year - start.year) * 360 + (end.month - start.month) * 30 + last - first


def _microseconds(later: datetime, earlier: datetime) -> int:
    gap = later - earlier
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds
