"""Lines owed. Shared vocabulary; no decision lives here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction

from billing.core import calendar
from billing.core.classification import ORDINARY, Policy
from billing.core.course import Course, Order, Stretch, Switch, Void
from billing.core.money import Rounding, rounded
from billing.core.plans import Terms
from billing.core.proration import Method, share_left

#: The rules a line of each kind applies, in the order a person would tell them, where its plan names no others.
RULES: Mapping[str, tuple[str, ...]] = {
    "period": ("TR-01", "TR-22"),
    "started": ("TR-01", "TR-22"),
    "renewal": ("TR-09", "TR-22", "XX-10"),
    "switched": ("TR-24", "TR-22"),
    "resumed": ("XX-02",),
    "seats_added": ("TR-08", "XX-02"),
    "licences_added": ("CW-15", "B-11"),
    "licences_bought": ("CW-08",),
    "plan_changed": ("B-06", "XX-02"),
    "interval_credit": ("TR-24", "XX-02"),
    "option": ("BL-28",),
}
#: The kinds whose seats were bought: what a period has purchased is their sum.
BOUGHT = ("period", "seats_added", "licences_added", "licences_bought")

#: The terms each billed period pinned, by subscription and number (law 3).
Pins = Mapping[tuple[str, int], Terms]


#: Before every fact there can be.
_ALWAYS = datetime(1, 1, 1, tzinfo=UTC)


def policies(course: Course, pins: Pins, base: Policy = ORDINARY) -> list[tuple[datetime, Policy]]:
    """From when (UTC) on which seat policy holds, where it changes; `base`, the tool's own, before the first period."""
    turns = [(one.billed_at, pins[one.key].policy) for one in course.stretches]
    turns += [(one.at, one.terms.policy) for one in course.switches]
    changes: list[tuple[datetime, Policy]] = [] if base == ORDINARY else [(_ALWAYS, base)]
    for at, policy in sorted(turns, key=lambda turn: turn[0]):
        if policy != (changes[-1][1] if changes else ORDINARY):
            changes.append((at, policy))
    return changes


@dataclass(frozen=True, slots=True)
class Line:
    """One amount owed. `amount` is minor units, rounded once from `exact` (law 8); a fraction below 0 gives back.

    `facts` are the ids of the facts behind the seats, `instant` is UTC.
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


def period_line(stretch: Stretch, terms: Terms, seats: int) -> Line:
    """The line that opens a period with `seats` (TR-01, TR-09, TR-22, CW-09, BL-05)."""
    told = _told(stretch, terms)
    fraction = share_left(terms.method, stretch.period, stretch.opens) if stretch.share else Fraction(1)
    return _line(stretch.key, "period", stretch.opens, terms, seats, fraction, (stretch.fact,), told)


def _told(stretch: Stretch, terms: Terms) -> str:
    """By which rules a period opens. A plan may name others for one that a command started than for one that a trial
    led to (BL-05, BL-14)."""
    if stretch.share:
        return "resumed"
    if stretch.n == 0:
        return "started" if stretch.by_fact and "started" in terms.line_rules else "period"
    return "switched" if stretch.by_fact else "renewal"


def added_line(
    stretch: Stretch, terms: Terms, kind: str, seats: int, instant: datetime, facts: tuple[str, ...]
) -> Line:
    """The line of seats or licences bought within a period, prorated to its end (TR-08, CW-15, XX-02).

    Where nobody filled them at that instant (they were there when it began), what began the period is behind it.
    """
    fraction = share_left(terms.method, stretch.period, instant)
    return _line(stretch.key, kind, instant, terms, seats, fraction, facts or (stretch.fact,))


def changed_line(stretch: Stretch, before: Terms, switch: Switch, seats: int) -> Line:
    """The line on the price difference of a plan change within a period (B-06, B-22)."""
    fraction = share_left(switch.terms.method, stretch.period, switch.at)
    terms = replace(switch.terms, unit_amount=switch.terms.unit_amount - before.unit_amount)
    return _line(stretch.key, "plan_changed", switch.at, terms, seats, fraction, (switch.fact,))


def credit_line(stretch: Stretch, terms: Terms, seats: int, instant: datetime, fact: str) -> Line:
    """The line that gives back what is left of a period that another interval cut short (TR-24, A-08)."""
    fraction = -share_left(terms.method, stretch.period, instant)
    return _line(stretch.key, "interval_credit", instant, terms, seats, fraction, (fact,))


def order_line(order: Order, count: int, facts: tuple[str, ...]) -> Line:
    """The one-off line of an option (BL-28), `count` times ordered at one instant."""
    return _line(order.key, f"option:{order.option}", order.at, order.terms, count, Fraction(1), facts, "option")


def voided(line: Line, void: Void) -> Line:
    """The line as it stands when its whole period was taken back: its seats, and nothing of its amount."""
    return replace(line, fraction=Fraction(0), amount=0, rules=(*line.rules, void.rule), facts=(void.fact,))


def merged(lines: Iterable[Line]) -> list[Line]:
    """Lines of one key as one line, rounded once on their exact sum: two plan changes of one instant by equal steps."""
    found: dict[str, Line] = {}
    for line in lines:
        same = found.get(line.key)
        found[line.key] = _both(same, line) if same else line
    return list(found.values())


def _both(one: Line, other: Line) -> Line:
    seats = one.seats + other.seats
    return replace(
        other,
        seats=seats,
        fraction=(one.seats * one.fraction + other.seats * other.fraction) / seats,
        amount=rounded(one.exact + other.exact, other.rounding),
        rules=tuple(dict.fromkeys((*one.rules, *other.rules))),
        facts=tuple(sorted((*one.facts, *other.facts))),
    )


def _line(
    key: tuple[str, int],
    kind: str,
    instant: datetime,
    terms: Terms,
    seats: int,
    fraction: Fraction,
    facts: tuple[str, ...],
    told: str = "",
) -> Line:
    exact = terms.unit_amount * seats * fraction
    return Line(
        subscription=key[0],
        n=key[1],
        kind=kind,
        instant=instant,
        unit_amount=terms.unit_amount,
        seats=seats,
        fraction=fraction,
        amount=rounded(exact, terms.rounding),
        currency=terms.currency,
        method=terms.method,
        rounding=terms.rounding,
        rules=tuple(terms.line_rules.get(told or kind, RULES[told or kind])),
        facts=facts,
    )
