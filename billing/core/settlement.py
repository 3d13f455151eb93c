"""What becomes of a difference between the statement and the ledger (law 2). Pure; the edge writes the decision."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from billing.core.lines import Line
from billing.core.tax import Tax

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
#: Lines that give back; when less is given back after all, that is netted before anything is asked for.
_GIVING = "interval_credit"


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry to post: the line as it now stands, and the signed amount (minor units) that gets it there."""

    line: Line
    amount: int

    @property
    def period(self) -> tuple[str, int]:
        """The subscription and the period it belongs to."""
        return self.line.subscription, self.line.n


@dataclass(frozen=True, slots=True)
class Share:
    """What one charge still asks, or has collected, for one line: `left` minor units, > 0, before any tax on top.

    `standing` is the sum of all its charge's lines less what was taken off, `tax` the charge's; `credit` is the credit
    it used, of which `returned` was given back since.
    """

    charge: str
    key: str
    status: str
    left: int
    standing: int = 0
    tax: Tax = field(default_factory=Tax)
    credit: int = 0
    returned: int = 0

    @property
    def period(self) -> tuple[str, int]:
        """The subscription and the period of its line, read from the line's key."""
        subscription, n, _ = self.key.split("/", 2)
        return subscription, int(n)


@dataclass(frozen=True, slots=True)
class Reduction:
    """A part of a negative difference given to one charge. `how`: shrunk, waiting, reduced, credited, forgone, or
    granted (no charge holds it: it was paid elsewhere). `amount` is without, `gross` with the tax on top, `tax` the tax
    in it."""

    charge: str
    key: str
    amount: int
    how: str
    gross: int
    tax: int = 0


@dataclass(frozen=True, slots=True)
class Collected:
    """Money of one charge that can still be paid back: minor units."""

    charge: str
    left: int


@dataclass(slots=True)
class Decision:
    """What to write: reductions of earlier charges, refunds, and at most one new charge.

    `lines` are the positive differences; the new charge asks for their sum and tax less `credit_used`; `refunds` pay
    back what reductions would else put into the workspace's credit. All minor units.
    """

    reductions: list[Reduction] = field(default_factory=list)
    lines: list[Difference] = field(default_factory=list)
    refunds: list[Collected] = field(default_factory=list)
    credit_used: int = 0
    tax: Tax = field(default_factory=Tax)

    @property
    def credit_gained(self) -> int:
        """Credit that collected parts became, refunds not in it."""
        gained = sum(one.gross for one in self.reductions if one.how in ("credited", "granted"))
        return gained - sum(refund.left for refund in self.refunds)

    @property
    def total(self) -> int:
        """Sum of the new charge's lines, before tax on top and credit."""
        return sum(difference.amount for difference in self.lines)

    @property
    def amount(self) -> int:
        """What the new charge asks for; nothing is sent when it is not positive."""
        return self.tax.gross(self.total) - self.credit_used


def differences(posted: Iterable[Line], owed: Iterable[Line], causes: tuple[str, ...] = ()) -> list[Difference]:
    """statement - ledger, line by line, in time order. A line that vanished stands at zero seats and zero amount.

    `causes` are the ids of the facts just taken: they are what is behind a line that vanished. Raises ValueError when
    two lines have one key: only one of them would be charged.
    """
    before, after = _by_key(posted), _by_key(owed)
    found = []
    for key in before.keys() | after.keys():
        old = before.get(key)
        new = after.get(key) or _vanished(before[key], causes)
        amount = new.amount - (old.amount if old else 0)
        if amount or old is None or _differs(old, new):
            found.append(Difference(new, amount))
    return sorted(found, key=lambda difference: (difference.line.instant, difference.line.n, difference.line.key))


def _by_key(lines: Iterable[Line]) -> dict[str, Line]:
    found: dict[str, Line] = {}
    for line in lines:
        key = line.key
        if key in found:
            raise ValueError(f"two lines of one key, {key}")
        found[key] = line
    return found


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


def decide(
    found: Sequence[Difference],
    shares: Iterable[Share],
    credit: int,
    *,
    tax: Tax | None = None,
    elsewhere: frozenset[tuple[str, int]] = frozenset(),
    till: Sequence[Collected] | None = None,
) -> Decision:
    """Apply law 2: negative differences to earlier charges in its order, then one charge for the positive ones.

    `credit` is the workspace's credit before (>= 0), `tax` that of the new charge. The opening lines of periods
    `elsewhere` were paid elsewhere: nothing is asked for them, and what is given back of them is credit. `till`: a
    rule pays back (TR-26), from these charges.
    """
    decision = Decision(tax=tax or Tax())
    netted = [one for one in _netted(found) if one.period not in elsewhere or one.line.kind != "period"]
    drawer = _Drawer(list(shares))
    falling = [one for one in netted if one.amount < 0]
    left = [replace(one, amount=-drawer.take(one, decision.reductions)) for one in falling]
    rising = [one for one in netted if one.amount > 0]
    for one in _set_against(rising, left):
        if one.amount > 0:
            decision.lines.append(one)
        elif one.amount < 0:
            decision.reductions.append(Reduction("", one.line.key, -one.amount, "granted", -one.amount))
    if till is not None:
        decision.refunds = _paid_back(decision.credit_gained + drawer.returned(), till)
    decision.credit_used = max(0, min(decision.tax.gross(decision.total), credit + decision.credit_gained))
    return decision


def _netted(found: Sequence[Difference]) -> list[Difference]:
    """Less given back than before is set against what falls in the same period; only the rest is asked for."""
    giving = [one for one in found if one.amount > 0 and one.line.kind == _GIVING]
    falling = [one for one in found if one.amount < 0]
    rest = {one.line.key: one for one in _set_against(giving, falling)}
    return [rest.get(one.line.key, one) for one in found]


def _set_against(rising: Sequence[Difference], falling: Sequence[Difference]) -> list[Difference]:
    """The differences with what falls taken off what rises in the same period.

    An interval's end may have been given back from the charge of any line of its period, so what then falls of that
    line can be more than its charges still hold.
    """
    amounts = [one.amount for one in falling]
    rest = []
    for one in rising:
        for i, other in enumerate(falling):
            if other.period == one.period:
                part = min(one.amount, -amounts[i])
                one, amounts[i] = replace(one, amount=one.amount - part), amounts[i] + part  # noqa: PLW2901
        rest.append(one)
    return rest + [replace(one, amount=amount) for one, amount in zip(falling, amounts, strict=True)]


class _Drawer:
    """What charges still ask or have collected, as one decision draws on it."""

    def __init__(self, shares: Sequence[Share]) -> None:
        self._left = {(share.charge, share.key): share.left for share in shares}
        self._standing = {share.charge: share.standing or share.left for share in shares}
        known = sorted((s for s in shares if s.status in _MEETS), key=lambda share: share.charge, reverse=True)
        self._shares = sorted(known, key=lambda share: _TURN[_MEETS[share.status]])

    def take(self, difference: Difference, reductions: list[Reduction]) -> int:
        """Give a negative difference to the charges of its line: unsent ones first, collected ones last, the newest
        first in each; then to the other charges of its period. Answers what no charge was left for."""
        amount = -difference.amount
        own = [share for share in self._shares if share.key == difference.line.key]
        others = [s for s in self._shares if s.key != difference.line.key and s.period == difference.period]
        for share in own + others:
            part = min(amount, self._left[share.charge, share.key])
            if part > 0:
                reductions.append(self._reduced(share, part))
                amount -= part
        return amount

    def returned(self) -> int:
        """The credit that charges had used and need no longer, because they ask for less: never collected anew."""
        unpaid = {share.charge: share for share in self._shares if _MEETS[share.status] in ("shrunk", "reduced")}
        return sum(
            max(0, share.credit - share.tax.gross(self._standing[charge]) - share.returned)
            for charge, share in unpaid.items()
        )

    def _reduced(self, share: Share, part: int) -> Reduction:
        standing = self._standing[share.charge]
        self._left[share.charge, share.key] -= part
        self._standing[share.charge] -= part
        gross, tax = share.tax.taken(standing, part), share.tax.taken_part(standing, part)
        return Reduction(share.charge, share.key, part, _MEETS[share.status], gross, tax)


def _paid_back(amount: int, till: Sequence[Collected]) -> list[Collected]:
    """A refund of `amount`, limited to what was collected, the newest charge first (A-09)."""
    refunds = []
    for charge in till:
        part = min(amount, charge.left)
        if part > 0:
            refunds.append(Collected(charge.charge, part))
            amount -= part
    return refunds


def shrunk(asked: int, credit_used: int, by: int) -> tuple[int, int]:
    """A charge not yet sent, made smaller by `by`: (what it now asks, credit given back). Minor units."""
    back = max(0, by - asked)
    return max(0, asked - by), min(back, credit_used)


def obligations(lines: Sequence[Difference]) -> Mapping[str, object]:
    """What a charge of these lines is for: the last line's subscription and period, and the purpose (law 6)."""
    last = lines[-1].line
    kinds = {difference.line.kind.partition(":")[0] for difference in lines}
    purpose = "period" if "period" in kinds else "option" if kinds == {"option"} else "seats"
    return {"subscription_id": last.subscription, "n": last.n, "purpose": purpose}
