"""Short ways to tell what happened, and to bill it by both forms at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import count

from billing.core import plans
from billing.core import statement as full
from billing.core.classification import ORDINARY, Policy
from billing.core.course import Course, Stretch
from billing.core.facts import Fact, fact_id
from billing.core.life import course
from billing.core.lines import Line, Pins
from billing.core.plans import Terms

_NUMBERS = count(1)
Whole = Callable[..., tuple[Line, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """The commands and payments of a workspace, and the price list from which its periods pin their terms.

    `prices`: terms by (plan, interval); the n-th period's unit amount is the n-th of `amounts`, where there are any;
    else everything costs 7 more from `dearer` on (XX-10). `base` is the seat policy before the first period.
    """

    facts: tuple[Fact, ...] = ()
    prices: Mapping[tuple[str, str], Terms] = field(default_factory=dict)
    zone: str = "UTC"
    amounts: tuple[int, ...] = ()
    dearer: datetime | None = None
    base: Policy = ORDINARY

    def course(self, now: datetime) -> Course:
        """The workspace's life up to `now` (UTC)."""
        return course(self.facts, now, self.zone)

    def pins(self, life: Course) -> Pins:
        """The terms of each period that was billed."""
        return {stretch.key: self.price(stretch) for stretch in life.stretches}

    def price(self, stretch: Stretch) -> Terms:
        """The terms a period pins when it is first billed."""
        terms = self.offer(stretch.plan, stretch.billed_at)[stretch.interval]
        if not self.amounts:
            return terms
        amount = self.amounts[min(stretch.n, len(self.amounts) - 1)]
        return replace(terms, unit_amount=amount, price_id=f"price-{stretch.n}")

    def offer(self, plan: str, now: datetime) -> dict[str, Terms]:
        """The terms of a plan by interval, at the prices of the day."""
        more = 7 if self.dearer is not None and now >= self.dearer else 0
        mine = {interval: terms for (name, interval), terms in self.prices.items() if name == plan}
        return {
            interval: replace(terms, unit_amount=terms.unit_amount + more if terms.rank else 0)
            for interval, terms in mine.items()
        }


def when(text: str) -> datetime:
    """An instant (UTC) from `2025-01-15` or `2025-01-15T08:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fact(kind: str, at: str, member: str | None = None, board: str | None = None, **more: object) -> Fact:
    """One fact, heard when it happened. Facts on a board show it to be w1's unless told otherwise."""
    number = f"event-{next(_NUMBERS):06d}"
    if board is not None and "owner" not in more and kind not in ("board.attached", "board.detached"):
        more["owner"] = "w1"
    instant = when(at)
    return Fact(fact_id("acc", "tool", number, 0), kind, instant, instant, "tool", number, 0, member, board, **more)  # type: ignore[arg-type]


def joined(at: str, *members: str) -> list[Fact]:
    """People who became members of the workspace."""
    return [fact("member.joined", at, member) for member in members]


def left(at: str, *members: str) -> list[Fact]:
    """People who left the workspace."""
    return [fact("member.left", at, member) for member in members]


def on_boards(at: str, member: str, *boards: str, owner: str = "w1") -> list[Fact]:
    """A person added to boards."""
    return [fact("board.member_added", at, member, board, owner=owner) for board in boards]


def people(n: int, stem: str = "person") -> list[str]:
    """So many names."""
    return [f"{stem}-{i:03d}" for i in range(n)]


def life_fact(kind: str, at: datetime, seq: int, data: Mapping[str, object], name: str = "") -> Fact:
    """An accepted command, or an outcome of a payment: heard when it happened, the `seq`-th of its workspace."""
    source = "payment" if kind.startswith("payment.") else "command"
    name = name or f"fact-{seq:04d}"
    return Fact(name, kind, at, at, source, name, seq=seq, data=data)


def began(at: datetime, anchor: date, terms: Terms, seats: int | None = None, **more: object) -> Fact:
    """The start of a subscription; `seats` were paid for elsewhere, or are licences chosen."""
    data = {"subscription": "sub", "terms": plans.written(terms), "anchor": anchor.isoformat(), "seats": seats}
    data |= {"payment_method": "card", "elsewhere": seats is not None and terms.shape == "auto_seats"}
    return life_fact("subscription.started", at, 1, data | more, "fact-start")


def plan(start: str, interval: str, *unit_amounts: int, **more: object) -> Plan:
    """A subscription from `start` whose n-th period has pinned the n-th price (the last one goes on)."""
    terms = Terms("price-0", "trello-premium", interval, "USD", unit_amounts[0], **more)  # type: ignore[arg-type]
    begun = began(when(start), when(start).date(), terms)
    return Plan((begun,), {(terms.plan, interval): terms}, "UTC", unit_amounts)


def statement(
    facts: Iterable[Fact], told: Plan, now: datetime, workspace: str, whole: Whole = full.statement
) -> tuple[Line, ...]:
    """The full statement of these facts and of the plan's own."""
    return whole([*facts, *told.facts], told.pins(told.course(now)), now, workspace, told.zone, told.base)


def by_key(lines: Iterable[Line]) -> list[Line]:
    """Lines in an order that does not depend on how they came about."""
    return sorted(lines, key=lambda line: line.key)


def amounts(lines: Iterable[Line]) -> list[int]:
    """Minor units, line by line."""
    return [line.amount for line in lines]
