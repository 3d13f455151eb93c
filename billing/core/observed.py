"""Facts that nobody announced: seen in a tool's list, somewhere between two looks, until the genuine fact is heard.

An observed fact carries `data.observed`: `from`, when the matter was last known otherwise (exclusive), and `to`, when
the list was read, both as instants in text. It stands in for what happened unseen. A genuine fact of the same matter
that lies in between and says the same takes its place; the observed fact stays where it is and counts no more.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.core import calendar
from billing.core.errors import InvalidError
from billing.core.facts import Fact, order

#: The key in a fact's data.
OBSERVED = "observed"
#: Kinds that answer one question; the last of them in time is how things stand.
_MATTERS: Mapping[str, str] = {
    "member.joined": "membership",
    "member.left": "membership",
    "member.invited": "membership",
    "member.deactivated": "activity",
    "member.reactivated": "activity",
    "member.role_changed": "role",
    "board.member_added": "seat",
    "board.member_removed": "seat",
    "board.attached": "owner",
    "board.detached": "owner",
    "board.closed": "closed",
    "board.reopened": "closed",
}

Matter = tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened lies after `start` and not after `end` (UTC)."""

    start: datetime
    end: datetime

    def has(self, at: datetime) -> bool:
        """Whether an instant lies in between."""
        return self.start < at <= self.end

    def written(self) -> dict[str, str]:
        """The interval as a fact's data keeps it; microseconds stay, for the end may be a database's clock."""
        return {"from": self.start.isoformat(), "to": self.end.isoformat()}


def matter(kind: str, member: str | None, board: str | None) -> Matter | None:
    """The question a fact answers: a person's membership, a seat on a board, a board's owner; None: not of a roster."""
    word = _MATTERS.get(kind)
    if word is None:
        return None
    return (word, member, board if kind.startswith("board.") else None)


def interval(fact: Fact) -> Interval | None:
    """The interval an observed fact carries; None for a genuine fact, and for data that says no interval."""
    told = fact.data.get(OBSERVED)
    if not isinstance(told, Mapping):
        return None
    try:
        return Interval(calendar.read(str(told["from"])), calendar.read(str(told["to"])))
    except (KeyError, InvalidError):
        return None


def standing_in(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that count: all but the observed ones whose place a genuine fact has taken.

    Pure, and a function of the set: the order in which facts were heard cannot matter (law 1). What one list said of
    a matter (its observed facts of one source id) goes as a whole, when the last genuine fact of the matter within the
    interval says what the list said last. If it says otherwise something more happened unseen, and the list is right.
    """
    kept = list(facts)
    told: defaultdict[tuple[Matter, str], list[Fact]] = defaultdict(list)
    genuine: defaultdict[Matter, list[Fact]] = defaultdict(list)
    for fact in kept:
        about = matter(fact.kind, fact.member, fact.board)
        if about is None:
            continue
        if interval(fact) is None:
            genuine[about].append(fact)
        else:
            told[about, fact.source_id].append(fact)
    replaced = {fact.id for (about, _), some in told.items() if _taken(some, genuine[about]) for fact in some}
    return [fact for fact in kept if fact.id not in replaced]


def _taken(told: Sequence[Fact], genuine: Iterable[Fact]) -> bool:
    last = max(told, key=order)
    between = interval(last)
    heard = [fact for fact in genuine if between is not None and between.has(fact.at)]
    return bool(heard) and _says(max(heard, key=order)) == _says(last)


def _says(fact: Fact) -> tuple[str, object]:
    """What a fact says of its matter: the kind, and where it is one word more, that."""
    if fact.kind == "board.attached":
        return fact.kind, fact.workspace
    return fact.kind, fact.data.get("role") if fact.kind == "member.role_changed" else None
