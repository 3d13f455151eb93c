"""What becomes of a difference between the statement and the ledger (law 2). Pure; the edge writes the decision."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from billing.core.lines import Line

#: How a negative difference meets a charge, by the charge's status, in the order the law gives.
_MEETS: dict[str, str] = {
    "queued": "shrunk",
    "held": "shrunk",
    "sending": "waiting",
    "pending": "waiting",
    "unknown": "waiting",
    "failed": "reduced",
    "succeeded": "credited",
    # What shadow computed and nobody will ever send: written off when the workspace went live.
    "cancelled": "forgone",
}
_TURN = {how: turn for turn, how in enumerate(("shrunk", "waiting", "reduced", "credited", "forgone"))}


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry to post: the line as it now stands, and the signed amount (minor units) that gets it there."""

    line: Line
    amount: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one charge still asks, or has collected, for one line: `left` minor units, > 0."""

    charge: str
    key: str
    status: str
    left: int


@dataclass(frozen=True, slots=True)
class Reduction:
    """A part of a negative difference given to one charge. `how`: shrunk, waiting, reduced, credited or forgone."""

    charge: str
    key: str
    amount: int
    how: str


@dataclass(slots=True)
class Decision:
    """What to write: reductions of earlier charges, and at most one new charge.

    `lines` are the positive differences; the new charge asks for their sum less `credit_used`; `credit_gained` is
    what the reductions put into the workspace's credit. All minor units.
    """

    reductions: list[Reduction] = field(default_factory=list)
    lines: list[Difference] = field(default_factory=list)
    credit_used: int = 0

    @property
    def credit_gained(self) -> int:
        """Credit that collected parts became."""
        return sum(reduction.amount for reduction in self.reductions if reduction.how == "credited")

    @property
    def total(self) -> int:
        """Sum of the new charge's lines, before credit."""
        return sum(difference.amount for difference in self.lines)

    @property
    def amount(self) -> int:
        """What the new charge asks for; nothing is sent when it is not positive."""
        return self.total - self.credit_used


def differences(posted: Iterable[Line], owed: Iterable[Line], causes: tuple[str, ...] = ()) -> list[Difference]:
    """statement - ledger, line by line, in time order. A line that vanished stands at zero seats and zero amount.

    `causes` are the ids of the facts just taken: they are what is behind a line that vanished.
    """
    before = {line.key: line for line in posted}
    after = {line.key: line for line in owed}
    found = []
    for key in before.keys() | after.keys():
        old = before.get(key)
        new = after.get(key) or _vanished(before[key], causes)
        amount = new.amount - (old.amount if old else 0)
        if amount or old is None or _differs(old, new):
            found.append(Difference(new, amount))
    return sorted(found, key=lambda difference: (difference.line.instant, difference.line.n, difference.line.key))


def _vanished(line: Line, causes: tuple[str, ...]) -> Line:
    return replace(line, seats=0, amount=0, facts=causes if line.seats else line.facts)


def unexplained(posted: Iterable[Line], found: Iterable[Difference]) -> list[Difference]:
    """Differences that only changed rules or arithmetic can have made: neither seats nor facts of the line moved.

    Law 3: a deploy posts nothing, so these are held, and a person decides. One fact of a board fills many seats, so
    facts are counted, not only named.
    """
    before = {line.key: line for line in posted}
    return [
        difference
        for difference in found
        if (old := before.get(difference.line.key))
        and (old.seats, sorted(old.facts)) == (difference.line.seats, sorted(difference.line.facts))
    ]


def _differs(old: Line, new: Line) -> bool:
    """Seats, rules or the people behind it: an entry of no amount then keeps the ledger's explanation true."""
    return (old.seats, old.fraction, old.rules, old.facts) != (new.seats, new.fraction, new.rules, new.facts)


def decide(found: Sequence[Difference], shares: Iterable[Share], credit: int, *, charged: bool = True) -> Decision:
    """Apply law 2: negative differences to earlier charges in its order, then one charge for the positive ones.

    `credit` is the workspace's credit before (>= 0). `charged` False: the positive lines are posted and never charged
    (seats already paid for elsewhere).
    """
    decision = Decision()
    by_key: dict[str, list[Share]] = {}
    for share in shares:
        by_key.setdefault(share.key, []).append(share)
    for difference in found:
        if difference.amount < 0:
            decision.reductions += _reduce(-difference.amount, by_key.get(difference.line.key, []))
        elif difference.amount > 0 and charged:
            decision.lines.append(difference)
    decision.credit_used = min(decision.total, credit + decision.credit_gained)
    return decision


def _reduce(amount: int, shares: list[Share]) -> list[Reduction]:
    """Give `amount` to the charges of the line: unsent ones first, collected ones last, the newest first in each."""
    known = [share for share in shares if share.status in _MEETS]
    turns = sorted(known, key=lambda share: share.charge, reverse=True)
    turns.sort(key=lambda share: _TURN[_MEETS[share.status]])
    given = []
    for share in turns:
        part = min(amount, share.left)
        if part > 0:
            given.append(Reduction(share.charge, share.key, part, _MEETS[share.status]))
            amount -= part
    return given


def shrunk(asked: int, credit_used: int, by: int) -> tuple[int, int]:
    """A charge not yet sent, made smaller by `by`: (what it now asks, credit given back). Minor units."""
    back = max(0, by - asked)
    return max(0, asked - by), min(back, credit_used)
