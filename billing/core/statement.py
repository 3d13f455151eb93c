"""The full statement: what the whole history says is owed, replayed plainly from the first fact.

This is the truth and the oracle. Its incremental form (`incremental.py`) is another way to the same lines and shares
nothing with it but money, calendar, proration and classification, so that each can catch the other's fault.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from billing.core.classification import ORDINARY, Membership, Policy, Standing, classify
from billing.core.facts import Fact, order
from billing.core.lines import Line, Pins, Subscription, Terms, added_line, period_line


@dataclass(slots=True)
class _Person:
    membership: Membership = "none"
    deactivated: bool = False
    on: set[str] = field(default_factory=set)
    billable: bool = False


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many seats are occupied from `at` on (after all facts of that instant), and who filled one at it."""

    at: datetime
    occupied: int
    filled_by: tuple[str, ...]


class Replay:
    """The roster of one workspace, replayed fact by fact. `workspace` is the tool's own id of it."""

    def __init__(self, workspace: str, facts: Iterable[Fact], policy: Policy = ORDINARY) -> None:
        self.workspace = workspace
        self.policy = policy
        self.people: defaultdict[str, _Person] = defaultdict(_Person)
        self.closed: set[str] = set()
        self.history: list[Occupancy] = []
        self._facts = sorted(facts, key=order)
        self.owner: dict[str, str | None] = self._first_owners()
        self._replay()

    def _first_owners(self) -> dict[str, str | None]:
        """Each board's owner before its first attach or detach: what its earliest delivery showed, if it was before."""
        owners: dict[str, str | None] = {}
        settled: set[str] = set()
        for fact in self._facts:
            if fact.board is None or fact.board in settled:
                continue
            if fact.kind in ("board.attached", "board.detached"):
                settled.add(fact.board)
            elif fact.owner is not None:
                owners[fact.board] = fact.owner
                settled.add(fact.board)
        return owners

    def _replay(self) -> None:
        occupied = 0
        for at, group in groupby(self._facts, key=lambda fact: fact.at):
            touched: dict[str, str] = {}
            for fact in group:
                touched.update(dict.fromkeys(self._apply(fact), fact.id))
            filled = []
            for name, fact_id in touched.items():
                person = self.people[name]
                before, person.billable = person.billable, classify(self.standing(name), self.policy).billable
                occupied += person.billable - before
                if person.billable and not before:
                    filled.append(fact_id)
            self.history.append(Occupancy(at, occupied, tuple(sorted(filled))))

    def _apply(self, fact: Fact) -> list[str]:
        """Change the state by one fact; answers whom it touches."""
        if fact.member is not None:
            self._apply_to_person(fact, self.people[fact.member])
            return [fact.member]
        if fact.board is None:
            return []
        if fact.kind == "board.attached":
            self.owner[fact.board] = fact.workspace
        elif fact.kind == "board.detached" and fact.workspace in (None, self.owner.get(fact.board)):
            self.owner[fact.board] = None
        elif fact.kind == "board.closed":
            self.closed.add(fact.board)
        elif fact.kind == "board.reopened":
            self.closed.discard(fact.board)
        return [name for name, person in self.people.items() if fact.board in person.on]

    def _apply_to_person(self, fact: Fact, person: _Person) -> None:
        match fact.kind:
            case "member.joined":
                person.membership = "member"
            case "member.left":
                person.membership = "none"
            case "member.invited":
                # Somebody already on a board has an account: the invitation makes nobody virtual (TR-18, A-06).
                if person.membership == "none" and (not person.on or fact.data.get("unconfirmed")):
                    person.membership = "pending"
            case "member.deactivated":
                person.deactivated = True
            case "member.reactivated":
                person.deactivated = False
            case "board.member_added":
                person.on.add(fact.board or "")
            case "board.member_removed":
                person.on.discard(fact.board or "")

    def standing(self, name: str) -> Standing:
        """All that classification looks at, for one person, after the last fact."""
        person = self.people[name]
        mine = [board for board in person.on if self.owner.get(board) == self.workspace]
        shut = sum(board in self.closed for board in mine)
        return Standing(person.membership, person.deactivated, len(mine) - shut, shut)

    def boards_of(self, name: str) -> list[str]:
        """The workspace's boards a person is on."""
        return sorted(board for board in self.people[name].on if self.owner.get(board) == self.workspace)

    def occupied_before(self, instant: datetime) -> int:
        """Seats occupied just before an instant (UTC)."""
        earlier = [step.occupied for step in self.history if step.at < instant]
        return earlier[-1] if earlier else 0


def statement(facts: Iterable[Fact], pins: Pins, now: datetime, workspace: str) -> tuple[Line, ...]:
    """What is owed at `now` (UTC) by everything that happened up to it, in time order.

    Pure. `pins` holds the terms of every period opened by `now`; `workspace` is the tool's own id. Raises KeyError
    when an opened period has no pinned terms.
    """
    subscription = pins.subscription
    if subscription is None or subscription.started_at > now:
        return ()
    first = pins.of(0)
    policy = Policy(first.guests_free, first.closed_boards_count)
    replay = Replay(workspace, (fact for fact in facts if fact.at <= now), policy)
    lines: list[Line] = []
    for n in range(subscription.period_at(now) + 1):
        lines += _period(subscription, n, pins, now, replay)
    return tuple(lines)


def _period(subscription: Subscription, n: int, pins: Pins, now: datetime, replay: Replay) -> list[Line]:
    """The lines of one period: its opening quantity, then each rise of the high-water mark (auto seats)."""
    terms = pins.of(n)
    opens = subscription.renewal(n) if n else subscription.started_at
    closes = subscription.renewal(n + 1)
    seats = _opening(subscription, n, opens, replay)
    lines = [period_line(subscription, n, terms, seats, opens, (subscription.fact_id,))] if seats else []
    steps = [step for step in replay.history if opens <= step.at < closes]
    if n == 0 and (not steps or steps[0].at > opens):
        steps.insert(0, Occupancy(opens, replay.occupied_before(opens), ()))
    return lines + _rises(subscription, n, terms, seats, steps)


def _opening(subscription: Subscription, n: int, opens: datetime, replay: Replay) -> int:
    """A renewal comes before every fact of its instant; the start counts the facts of its own (law 7)."""
    if n:
        return replay.occupied_before(opens)
    if subscription.opening_seats is not None:
        return subscription.opening_seats
    until = [step.occupied for step in replay.history if step.at <= opens]
    return until[-1] if until else 0


def _rises(subscription: Subscription, n: int, terms: Terms, seats: int, steps: Sequence[Occupancy]) -> list[Line]:
    """A line for each instant at which more seats were occupied than ever before in the period (TR-06, TR-08)."""
    lines = []
    high = seats
    for step in steps:
        if step.occupied > high:
            more = step.occupied - high
            lines.append(added_line(subscription, n, terms, more, step.at, step.filled_by))
            high = step.occupied
    return lines
