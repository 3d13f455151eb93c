"""Lines owed, and the terms they are computed under. Shared vocabulary; no decision lives here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from billing.core import calendar
from billing.core.classification import RULE_VERSION
from billing.core.money import Rounding, rounded
from billing.core.proration import Method, Period, share_left

#: The rules a line of each kind applies, in the order a person would tell them.
RULES: Mapping[str, tuple[str, ...]] = {
    "period": ("TR-01", "TR-22"),
    "renewal": ("TR-09", "TR-22", "XX-10"),
    "seats_added": ("TR-08", "XX-02"),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a period is billed under, pinned when it opens (law 3). `unit_amount` is minor units per seat and period."""

    price_id: str
    plan: str
    interval: str
    currency: str
    unit_amount: int
    method: Method = "months_days"
    rounding: Rounding = "half_up"
    shape: str = "auto_seats"
    guests_free: bool = False
    closed_boards_count: bool = False
    catalogue_version: int = 1
    rule_version: int = RULE_VERSION

    @property
    def months(self) -> int:
        """Months in a period."""
        return calendar.MONTHS[self.interval]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One workspace's run of a plan. `started_at` (UTC) is the start command's instant, `anchor` a civil date.

    `opening_seats`: seats already paid for elsewhere up to the first renewal: posted, never charged. `payment_method`:
    card or bank_transfer; without one a charge is held (TR-12).
    """

    id: str
    started_at: datetime
    anchor: date
    zone: str
    months: int
    fact_id: str
    opening_seats: int | None = None
    payment_method: str | None = None

    def period(self, n: int) -> Period:
        """Its period `n`, 0-based."""
        return Period(self.anchor, self.months, n, self.zone)

    def renewal(self, n: int) -> datetime:
        """The instant (UTC) at which period `n` >= 1 opens: the local midnight of the anchor."""
        return calendar.midnight(calendar.period_start(self.anchor, self.months, n), self.zone)

    def period_at(self, instant: datetime) -> int:
        """The number of the period an instant lies in."""
        day = calendar.local_date(instant, self.zone)
        return calendar.period_of(self.anchor, self.months, day)


@dataclass(frozen=True, slots=True)
class Pins:
    """The subscription of a workspace and the terms each of its opened periods pinned, by period number."""

    subscription: Subscription | None = None
    terms: Mapping[int, Terms] | None = None

    def of(self, n: int) -> Terms:
        """The terms of period `n`. Raises KeyError when that period has not opened."""
        return (self.terms or {})[n]


@dataclass(frozen=True, slots=True)
class Line:
    """One amount owed. `amount` is minor units, rounded once from `exact` (law 8).

    `facts` are the ids of the facts that filled the seats, `instant` is UTC.
    """

    subscription: str
    n: int
    kind: str
    instant: datetime
    unit_amount: int
    seats: int
    fraction: Fraction
    amount: int
    currency: str
    method: Method
    rounding: Rounding
    rules: tuple[str, ...]
    facts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """(subscription, period, kind, instant, unit price) as text: what makes two lines the same line."""
        return f"{self.subscription}/{self.n}/{self.kind}/{calendar.written(self.instant)}/{self.unit_amount}"

    @property
    def exact(self) -> Fraction:
        """unit x seats x fraction, in minor units, before the one rounding."""
        return self.unit_amount * self.seats * self.fraction


def period_line(
    subscription: Subscription, n: int, terms: Terms, seats: int, instant: datetime, facts: tuple[str, ...] = ()
) -> Line:
    """The line that opens period `n` with `seats` (TR-01, TR-09, TR-22)."""
    rules = RULES["renewal" if n else "period"]
    return _line(subscription, n, "period", instant, terms, seats, Fraction(1), rules, facts)


def added_line(
    subscription: Subscription, n: int, terms: Terms, seats: int, instant: datetime, facts: tuple[str, ...]
) -> Line:
    """The line of seats bought within period `n`, prorated to its end (TR-08, XX-02)."""
    fraction = share_left(terms.method, subscription.period(n), instant)
    return _line(subscription, n, "seats_added", instant, terms, seats, fraction, RULES["seats_added"], facts)


def _line(
    subscription: Subscription,
    n: int,
    kind: str,
    instant: datetime,
    terms: Terms,
    seats: int,
    fraction: Fraction,
    rules: tuple[str, ...],
    facts: tuple[str, ...],
) -> Line:
    exact = terms.unit_amount * seats * fraction
    return Line(
        subscription=subscription.id,
        n=n,
        kind=kind,
        instant=instant,
        unit_amount=terms.unit_amount,
        seats=seats,
        fraction=fraction,
        amount=rounded(exact, terms.rounding),
        currency=terms.currency,
        method=terms.method,
        rounding=terms.rounding,
        rules=rules,
        facts=facts,
    )
