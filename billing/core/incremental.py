"""The incremental form of the statement: the hot path. It reads heads, steps and old lines, and answers the change.

It shares nothing with the full statement but money, calendar, proration, lines and classification.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from billing.core.classification import Policy
from billing.core.facts import BOARD_KINDS, Fact
from billing.core.lines import Line, Pins, Subscription, added_line, period_line
from billing.core.roster import (
    BoardHead,
    Flip,
    Fold,
    Heads,
    MemberHead,
    Span,
    deltas,
    late_boards,
    late_members,
    spans_of,
)


class Memory(Protocol):
    """What the incremental form may ask of what is remembered about one workspace. It only reads."""

    def heads(self, pairs: set[tuple[str, str]], members: set[str], boards: set[str]) -> Heads:
        """Heads of `members`, of `boards` and of everyone ever on `boards`; of the seats of `pairs` (board, member)
        and all seats of `boards`; and the heads of the boards in `pairs`."""

    def history(self, members: set[str], boards: set[str]) -> tuple[list[Fact], list[Fact], list[Span]]:
        """Every fact up to now of those people and of the boards themselves, `boards` and all their facts name;
        each such board's earliest fact that shows an owner; and those people's stored spans."""

    def steps(self, since: datetime) -> dict[datetime, int]:
        """Stored occupancy steps at or after an instant."""

    def openings(self, since: datetime) -> list[Span]:
        """Stored spans that start at or after an instant."""

    def lines(self, since: datetime) -> list[Line]:
        """Stored lines (not those at zero) at or after an instant."""

    def bought(self, n: int, before: datetime) -> int:
        """Seats of the stored lines of period `n` before an instant."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a workspace stands: seats occupied, seats purchased in the running period, how many periods have
    opened, and the last instant (`frontier`, UTC) that has a step or a line."""

    occupied: int = 0
    purchased: int = 0
    opened: int = 0
    frontier: datetime | None = None


@dataclass(slots=True)
class Change:
    """Everything one step of settlement changes; the edge writes it, in one transaction."""

    members: dict[str, MemberHead] = field(default_factory=dict)
    boards: dict[str, BoardHead] = field(default_factory=dict)
    seats: dict[tuple[str, str], bool] = field(default_factory=dict)
    flips: list[Flip] = field(default_factory=list)
    rewritten: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)
    steps: Counter[datetime] = field(default_factory=Counter)
    old_lines: list[Line] = field(default_factory=list)
    new_lines: list[Line] = field(default_factory=list)
    position: Position = field(default_factory=Position)


def advance(
    memory: Memory,
    facts: Sequence[Fact],
    pins: Pins,
    now: datetime,
    workspace: str,
    position: Position,
    refold: frozenset[str] = frozenset(),
) -> Change:
    """Take new facts (all `at` <= `now`) into the roster and the lines, and move the workspace to `now` (UTC).

    Pure but for what `memory` reads, which must already hold the new facts. `workspace` is the tool's own id;
    `refold` names people to fold from their first fact though nothing of theirs came late (a changed seat policy).
    """
    change = Change(position=position)
    _roster(memory, facts, workspace, policy_of(pins), change, refold)
    touched = set(change.steps)
    change.steps = Counter({at: step for at, step in change.steps.items() if step})
    due = _due(pins, position, now)
    change.position = replace(
        position,
        occupied=position.occupied + sum(change.steps.values()),
        opened=position.opened + len(due),
        frontier=max([*touched, *due, *([position.frontier] if position.frontier else [])], default=None),
    )
    if pins.subscription is not None and (touched or due):
        _rewrite_lines(memory, pins, now, min([*touched, *due]), position, change)
    return change


def policy_of(pins: Pins) -> Policy:
    """The seat policy of the running subscription, the ordinary one without."""
    if pins.subscription is None:
        return Policy()
    first = pins.of(0)
    return Policy(first.guests_free, first.closed_boards_count)


def _due(pins: Pins, position: Position, now: datetime) -> list[datetime]:
    """The instants up to now at which a period opens that has not opened yet."""
    subscription = pins.subscription
    if subscription is None or subscription.started_at > now:
        return []
    first = [] if position.opened else [subscription.started_at]
    through = subscription.period_at(now) + 1
    return first + [subscription.renewal(n) for n in range(max(1, position.opened), through)]


def _roster(
    memory: Memory, facts: Sequence[Fact], workspace: str, policy: Policy, change: Change, refold: frozenset[str]
) -> None:
    """Advance heads by the facts in order; fold late people again."""
    if not facts and not refold:
        return
    pairs = {(f.board, f.member) for f in facts if f.board and f.member}
    members = {fact.member for fact in facts if fact.member}
    boards = {fact.board for fact in facts if fact.board and fact.kind in BOARD_KINDS}
    heads = memory.heads(pairs, members, boards)
    again = late_boards(facts, heads.boards)
    if again - boards:
        heads = memory.heads(pairs, members, boards | again)
    late = late_members(facts, heads, again) | refold
    for seats in heads.seats.values():
        for member in late & seats.keys():
            del seats[member]
    fold = Fold(heads, workspace, policy)
    fold.show(fact for fact in facts if fact.board not in again)
    change.flips = list(fold.run(f for f in facts if f.member not in late and f.board not in again))
    _keep(fold, change)
    for flip in change.flips:
        change.steps[flip.at] += 1 if flip.billable else -1
    if late or again:
        _again(memory, late, again, workspace, policy, change)


def _keep(fold: Fold, change: Change) -> None:
    change.members |= {name: fold.heads.members[name] for name in fold.touched}
    change.boards |= {board: fold.heads.boards[board] for board in fold.boards}
    change.seats |= {(board, member): fold.heads.seats[board][member] for board, member in fold.seats}


def _again(memory: Memory, late: set[str], again: set[str], workspace: str, policy: Policy, change: Change) -> None:
    """Fold late people from an empty head over their own and their boards' whole history."""
    history, showing, old = memory.history(late, again)
    fold = Fold(Heads(), workspace, policy)
    fold.show([*showing, *(fact for fact in history if fact.kind in BOARD_KINDS)])
    change.spans = spans_of(fold.run(history))
    change.rewritten = late
    _keep(fold, change)
    change.steps.update(deltas(change.spans))
    change.steps.update(deltas(old, sign=-1))


def _rewrite_lines(
    memory: Memory, pins: Pins, now: datetime, since: datetime, position: Position, change: Change
) -> None:
    """Walk occupancy from the first changed instant to now; everything before it stands."""
    subscription = pins.subscription
    assert subscription is not None  # noqa: S101 - the caller asked
    steps = Counter(change.steps)
    openings = [Span(flip.member, flip.at, flip.fact_id) for flip in change.flips if flip.billable] + change.spans
    occupied, purchased = position.occupied, position.purchased
    if position.frontier is not None and since <= position.frontier:
        stored = memory.steps(since)
        occupied -= sum(stored.values())
        steps.update(stored)
        purchased = memory.bought(subscription.period_at(since), since)
        change.old_lines = memory.lines(since)
        openings += [span for span in memory.openings(since) if span.member not in change.rewritten]
    walk = _Walk(pins, subscription, occupied, purchased, _by_instant(openings))
    change.new_lines = list(walk.lines(steps, since, now))
    change.position = replace(change.position, purchased=walk.purchased)


def _by_instant(openings: Sequence[Span]) -> dict[datetime, list[str]]:
    filled: dict[datetime, list[str]] = {}
    for span in openings:
        filled.setdefault(span.start, []).append(span.fact_id)
    return filled


@dataclass(slots=True)
class _Walk:
    """Auto seats, step by step: the high-water mark within a period, shrunk to occupied at each renewal."""

    pins: Pins
    subscription: Subscription
    occupied: int
    purchased: int
    filled: dict[datetime, list[str]]

    def lines(self, steps: Counter[datetime], since: datetime, now: datetime) -> Iterator[Line]:
        starts = self.subscription.started_at
        opens = {at: n for n, at in self._openings(since, now)}
        for at in sorted({at for at in steps if at >= since} | opens.keys()):
            n = opens.get(at)
            if n:
                yield from self._open(n, at, self.occupied)
            self.occupied += steps[at]
            if at < starts:
                continue
            if n == 0:
                chosen = self.subscription.opening_seats
                yield from self._open(0, at, self.occupied if chosen is None else chosen)
            if self.occupied > self.purchased:
                yield self._add(at)

    def _openings(self, since: datetime, now: datetime) -> Iterator[tuple[int, datetime]]:
        starts = self.subscription.started_at
        if since <= starts <= now:
            yield 0, starts
        for n in range(max(1, self.subscription.period_at(since)), self.subscription.period_at(now) + 1):
            at = self.subscription.renewal(n)
            if since <= at:
                yield n, at

    def _open(self, n: int, at: datetime, seats: int) -> Iterator[Line]:
        self.purchased = seats
        if seats:
            yield period_line(self.subscription, n, self.pins.of(n), seats, at, (self.subscription.fact_id,))

    def _add(self, at: datetime) -> Line:
        n = self.subscription.period_at(at)
        more, self.purchased = self.occupied - self.purchased, self.occupied
        facts = tuple(sorted(self.filled.get(at, ())))
        return added_line(self.subscription, n, self.pins.of(n), more, at, facts)
