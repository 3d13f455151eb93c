"""Short ways to tell what happened, and to bill it by both forms at once."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count

from billing.core.facts import Fact, fact_id
from billing.core.lines import Line, Pins, Subscription, Terms
from billing.core.statement import statement
from tests.core.memory import Remembered

_NUMBERS = count(1)


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


def plan(start: str, interval: str, *unit_amounts: int, **more: object) -> Pins:
    """A subscription from `start` whose n-th period has pinned the n-th price (the last one goes on)."""
    prices = [*unit_amounts, *unit_amounts[-1:] * 24]
    terms = {
        n: Terms(f"price-{n}", "trello-premium", interval, "USD", price, **more)  # type: ignore[arg-type]
        for n, price in enumerate(prices)
    }
    at = when(start)
    return Pins(Subscription("sub", at, at.date(), "UTC", terms[0].months, "fact-start"), terms)


def billed(facts: Iterable[Fact], pins: Pins, now: str, workspace: str = "w1") -> list[Line]:
    """The lines owed at `now`, computed by the full statement and, in time order, by the incremental form."""
    told = sorted(facts, key=lambda one: one.at)
    owed = statement(told, pins, when(now), workspace)
    memory = Remembered(workspace)
    for one in told:
        if one.at <= when(now):
            memory.settle([one], pins, one.at)
    memory.settle([], pins, when(now))
    assert by_key(memory.book.values()) == by_key(owed)
    return list(owed)


def by_key(lines: Iterable[Line]) -> list[Line]:
    """Lines in an order that does not depend on how they came about."""
    return sorted(lines, key=lambda line: line.key)


def amounts(lines: Iterable[Line]) -> list[int]:
    """Minor units, line by line."""
    return [line.amount for line in lines]
