"""The money side of a workspace in plain Python: ledger, charges, credit and what was collected, kept by law 2."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from billing.core.lines import Line
from billing.core.settlement import Decision, Reduction, Share, decide, differences, shrunk

#: Where a charge may go from each status; a definitive answer ends it.
AHEAD = {
    "queued": ["sending"],
    "sending": ["pending", "unknown", "succeeded", "failed"],
    "pending": ["succeeded", "failed"],
    "unknown": ["succeeded", "failed"],
}


@dataclass(slots=True)
class Charge:
    """One charge: `lines` what is still owed of each line, `asked` what the endpoint is asked for (minor units)."""

    id: str
    lines: Counter[str]
    asked: int
    credit_used: int
    status: str = "queued"
    sent: int | None = None
    waiting: int = 0


@dataclass(slots=True)
class Till:
    """`post` is one settlement's money; `move` is an answer of the payment endpoint. All minor units."""

    posted: dict[str, Line] = field(default_factory=dict)
    entries: Counter[str] = field(default_factory=Counter)
    charges: dict[str, Charge] = field(default_factory=dict)
    credit: int = 0
    collected: int = 0

    def post(self, owed: Iterable[Line]) -> Decision:
        """Post the difference, reduce what it reduces, and open at most one charge."""
        found = differences(self.posted.values(), owed)
        decision = decide(found, self.shares(), self.credit)
        for difference in found:
            self.posted[difference.line.key] = difference.line
            self.entries[difference.line.key] += difference.amount
        for reduction in decision.reductions:
            self._reduce(reduction)
        self.credit -= decision.credit_used
        if decision.lines:
            name = f"charge-{len(self.charges):04d}"
            lines = Counter({difference.line.key: difference.amount for difference in decision.lines})
            paid = "queued" if decision.amount > 0 else "succeeded"
            self.charges[name] = Charge(name, lines, decision.amount, decision.credit_used, paid)
        return decision

    def shares(self) -> list[Share]:
        """What each charge still stands for."""
        return [
            Share(charge.id, key, charge.status, left)
            for charge in self.charges.values()
            for key, left in charge.lines.items()
            if left > 0
        ]

    def _reduce(self, reduction: Reduction) -> None:
        charge = self.charges[reduction.charge]
        charge.lines[reduction.key] -= reduction.amount
        if reduction.how == "waiting":
            charge.waiting += reduction.amount
        elif reduction.how == "credited":
            self.credit += reduction.amount
        else:
            self._lower(charge, reduction.amount)

    def _lower(self, charge: Charge, by: int) -> None:
        charge.asked, back = shrunk(charge.asked, charge.credit_used, by)
        charge.credit_used -= back
        self.credit += back
        if charge.status == "queued" and charge.asked == 0:
            charge.status = "succeeded"  # nothing is left to ask: what remains of it was paid by credit

    def move(self, charge: Charge, status: str) -> None:
        """The charge's next status; a reduction that waited for the outcome is now given."""
        charge.status = status
        if status == "sending":
            charge.sent = charge.asked
        elif status == "succeeded":
            self.collected += charge.asked
            self.credit += charge.waiting
            charge.waiting = 0
        elif status == "failed":
            self._lower(charge, charge.waiting)
            charge.waiting = 0

    def move_some(self, random: Random) -> None:
        """Some charges get on."""
        for charge in self.charges.values():
            if charge.status in AHEAD and random.random() < 0.5:
                self.move(charge, random.choice(AHEAD[charge.status]))

    @property
    def receivable(self) -> int:
        """What is asked and not collected, less reductions that wait."""
        return sum(charge.asked - charge.waiting for charge in self.charges.values() if charge.status != "succeeded")

    @property
    def balanced(self) -> bool:
        """The books of law 2: nothing is refunded or written off here."""
        return self.collected + self.receivable - self.credit == sum(self.entries.values())
