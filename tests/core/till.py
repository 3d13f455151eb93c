"""The money side of a workspace in plain Python: ledger, charges, credit and what was collected, kept by law 2."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from billing.core.lines import Line
from billing.core.settlement import (
    Collected,
    Decision,
    Difference,
    Reduction,
    Share,
    decide,
    differences,
    obligations,
    shrunk,
    unexplained,
)
from billing.core.tax import Tax

#: Where a charge may go from each status; a success ends it, a failure only its attempt.
AHEAD = {
    "queued": ["sending"],
    "sending": ["pending", "unknown", "succeeded", "failed"],
    "pending": ["succeeded", "failed"],
    "unknown": ["succeeded", "failed"],
}
#: What may be given back that no charge of its period holds: lines are rounded one by one, minor units.
ROUNDINGS = 5
DONE = ("succeeded", "cancelled")
Obligation = tuple[str, int, str, int]


@dataclass(slots=True)
class Charge:
    """One charge: `lines` are its amounts, `reduced` what was taken off them since, `asked` what the endpoint is asked
    for (minor units, tax in it). `obligation` is what it is for, `refunding` whether a rule pays back the rest."""

    id: str
    lines: Counter[str]
    asked: int
    credit_used: int
    tax: Tax = field(default_factory=Tax)
    obligation: Obligation = ("sub", 0, "period", 1)
    status: str = "queued"
    attempt: int = 1
    failed_before: bool = False
    sent: int | None = None
    reduced: Counter[str] = field(default_factory=Counter)
    credited: Counter[str] = field(default_factory=Counter)
    credit_returned: int = 0
    refunding: bool = False
    refunded: int = 0

    @property
    def meets(self) -> str:
        """Its status to a reduction: the body of a charge once sent never changes, also where it waits to go again."""
        return "sending" if self.status == "queued" and self.sent is not None else self.status

    @property
    def standing(self) -> int:
        """The sum of its lines less what was taken off."""
        return self.lines.total() - self.reduced.total()

    @property
    def open(self) -> int:
        """What is still to be paid of it, tax in it, less the credit it keeps. Below 0: it will be given back."""
        return self.tax.gross(self.standing) - (self.credit_used - self.credit_returned)


@dataclass(slots=True)
class Till:
    """`post` is one settlement's money; `move` is an answer of the payment endpoint. All minor units."""

    posted: dict[str, Line] = field(default_factory=dict)
    entries: Counter[str] = field(default_factory=Counter)
    charges: dict[str, Charge] = field(default_factory=dict)
    credit: int = 0
    collected: int = 0
    refunded: int = 0
    taxes: int = 0
    elsewhere: set[tuple[str, int]] = field(default_factory=set)

    def post(self, owed: Iterable[Line]) -> Decision:
        """Post the difference to the lines that are owed now; nothing of it is taxed or was paid elsewhere."""
        return self.take(differences(self.posted.values(), owed))

    def step(self, old: Sequence[Line], new: Sequence[Line], causes: tuple[str, ...]) -> list[Difference]:
        """The differences of one step of settlement; no honest one is ever held (law 3)."""
        found = differences(old, new, causes)
        assert not unexplained(old, found)
        return found

    def take(
        self,
        found: list[Difference],
        tax: Tax | None = None,
        elsewhere: frozenset[tuple[str, int]] = frozenset(),
        refunding: str | None = None,
    ) -> Decision:
        """Post differences, reduce what they reduce, and open at most one charge. Periods `elsewhere` were paid there;
        `refunding`: everything of that subscription is paid back, as far as it was collected."""
        self.elsewhere |= elsewhere
        opening = [one for one in found if one.period in elsewhere and one.line.kind == "period"]
        charged = [one for one in found if one not in opening]
        self.collected += sum(one.amount for one in opening)
        back = self._till(refunding) if refunding and any(one.amount < 0 for one in charged) else None
        decision = decide(charged, self.shares(), self.credit, tax=tax, elsewhere=elsewhere, till=back)
        for difference in found:
            self.posted[difference.line.key] = difference.line
            self.entries[difference.line.key] += difference.amount
        self.credit += decision.credit_gained - decision.credit_used
        assert decision.amount >= 0
        assert refunding or decision.amount == 0 or self.credit == 0, "credit is used up before anything is asked for"
        for reduction in decision.reductions:
            self._reduce(reduction, refunding is not None)
        for refund in decision.refunds:
            self.charges[refund.charge].refunded += refund.left
            self.refunded += refund.left
        if refunding:
            self._all_back(refunding, decision)
        if decision.lines:
            self._open(decision)
        return decision

    def _all_back(self, subscription: str, decision: Decision) -> None:
        """A refund leaves nothing in the workspace's credit that it could have paid back."""
        mine = [one for one in self.charges.values() if one.obligation[0] == subscription and one.status == "succeeded"]
        assert decision.credit_gained <= 0 or all(one.refunded == one.asked for one in mine)

    def _open(self, decision: Decision) -> None:
        told = obligations(decision.lines)
        name = f"charge-{len(self.charges):04d}"
        mine = (str(told["subscription_id"]), int(str(told["n"])), str(told["purpose"]))
        nth = 1 + sum(charge.obligation[:3] == mine for charge in self.charges.values())
        lines = Counter({difference.line.key: difference.amount for difference in decision.lines})
        paid = "queued" if decision.amount > 0 else "succeeded"
        used, tax = decision.credit_used, decision.tax
        self.charges[name] = Charge(name, lines, decision.amount, used, tax, (*mine, nth), paid)
        self.taxes += 0 if tax.behavior == "inclusive" else tax.part(decision.total)

    def _till(self, subscription: str) -> list[Collected]:
        mine = [one for one in self.charges.values() if one.obligation[0] == subscription and one.status == "succeeded"]
        return [Collected(one.id, one.asked - one.refunded) for one in reversed(mine) if one.asked]

    def shares(self) -> list[Share]:
        """What each charge still stands for."""
        return [
            Share(
                charge=charge.id,
                key=key,
                status=charge.meets,
                left=amount - charge.reduced[key],
                standing=charge.standing,
                tax=charge.tax,
                credit=charge.credit_used,
                returned=charge.credit_returned,
            )
            for charge in self.charges.values()
            for key, amount in charge.lines.items()
            if amount > charge.reduced[key]
        ]

    def _reduce(self, reduction: Reduction, refunding: bool) -> None:
        if reduction.how == "granted":
            subscription, n, _ = reduction.key.split("/", 2)
            assert (subscription, int(n)) in self.elsewhere or reduction.gross <= ROUNDINGS
            return
        charge = self.charges[reduction.charge]
        self.taxes -= 0 if charge.tax.behavior == "inclusive" else reduction.tax
        if reduction.how == "shrunk":
            charge.lines[reduction.key] -= reduction.amount
            charge.asked, back = shrunk(charge.asked, charge.credit_used, reduction.gross)
            charge.credit_used -= back
            self.credit += back
            if charge.asked == 0:
                charge.status = "succeeded" if charge.credit_used else "cancelled"
            return
        charge.reduced[reduction.key] += reduction.amount
        charge.refunding = charge.refunding or (refunding and reduction.how == "waiting")
        if reduction.how == "credited":
            charge.credited[reduction.key] += reduction.amount
        elif reduction.how == "reduced":
            self._give_back(charge)

    def _give_back(self, charge: Charge) -> None:
        """The credit that a failed charge no longer needs."""
        back = max(0, -charge.open)
        charge.credit_returned += back
        self.credit += back

    def move(self, charge: Charge, status: str) -> None:
        """The charge's next status; a reduction that waited for the outcome is now given."""
        charge.status = status
        if status == "sending":
            charge.sent = charge.asked
        elif status == "succeeded":
            self._collect(charge)
        elif status == "failed":
            charge.failed_before = True
            self._give_back(charge)

    def _collect(self, charge: Charge) -> None:
        over = charge.tax.gross(charge.lines.total() - charge.credited.total()) - charge.tax.gross(charge.standing)
        over -= charge.credit_returned
        charge.credited = Counter(charge.reduced)
        back = min(over, charge.asked) if charge.refunding else 0
        charge.refunded += back
        self.collected += charge.asked
        self.credit += over - back
        self.refunded += back

    def move_some(self, random: Random, failing: float = 0.5) -> list[Charge]:
        """Some charges get on; answers those that were answered."""
        moved = []
        for charge in self.charges.values():
            if charge.status in AHEAD and random.random() < 0.5:
                ahead = [one for one in AHEAD[charge.status] if one != "failed" or random.random() < 2 * failing]
                self.move(charge, random.choice(ahead))
                moved.append(charge)
        return moved

    def retry(self, subscription: str) -> None:
        """The next attempt of every failed charge of a subscription of which something is still asked."""
        for charge in self.charges.values():
            if charge.status == "failed" and charge.obligation[0] == subscription and charge.open > 0:
                charge.status, charge.attempt = "queued", charge.attempt + 1

    @property
    def receivable(self) -> int:
        """What is asked and not collected, less reductions that wait."""
        return sum(charge.open for charge in self.charges.values() if charge.status not in DONE)

    @property
    def balanced(self) -> bool:
        """The books of law 2; nothing is written off here."""
        kept = self.collected + self.receivable - self.refunded - self.credit
        return kept == sum(self.entries.values()) + self.taxes

    def sound(self) -> None:
        """Raises AssertionError when anything of law 2 does not hold."""
        assert self.balanced
        assert self.credit >= 0
        for charge in self.charges.values():
            assert charge.asked >= 0
            assert charge.sent is None or charge.sent > 0
            assert charge.status not in ("sending", "pending", "unknown") or charge.asked == charge.sent
            assert charge.standing >= 0
            assert 0 <= charge.refunded <= charge.asked
