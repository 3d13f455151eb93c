"""The incremental form of the statement: the hot path. It reads heads, steps and old lines, and answers the change.

It shares nothing with the full statement but money, calendar, proration, lines, classification and the course of
commands and payments.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from billing.core.classification import ORDINARY, Policy
from billing.core.course import Course, Stretch
from billing.core.facts import BOARD_KINDS, LIFE_KINDS, Fact
from billing.core.lines import Line, Pins, policies
from billing.core.observed import interval, standing_in
from billing.core.replay import seen_from
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
from billing.core.walk import Walk


class Memory(Protocol):
    """What the incremental form may ask of what is remembered about one workspace. It only reads."""

    def heads(self, pairs: set[tuple[str, str]], members: set[str], boards: set[str]) -> Heads:
        """Heads of `members`, of `boards` and of everyone ever on `boards`; of the seats of `pairs` (board, member)
        and all seats of `boards`; and the heads of the boards in `pairs`."""

    def history(self, members: set[str], boards: set[str]) -> tuple[list[Fact], list[Fact], list[Span]]:
        """Every fact up to now of those people and of the boards themselves, `boards` and all their facts name;
        of each such board the facts that show an owner, up to the earliest of them that was heard within the
        re-rating window (law 10); and those people's stored spans."""

    def risen(self, since: datetime) -> int:
        """The sum of the stored occupancy steps at or after an instant."""

    def ahead(self, since: datetime) -> Iterator["Leg"]:
        """What is stored at or after an instant, leg by leg, the last without an end; read as far as one goes."""

    def bought(self, key: tuple[str, int], before: datetime) -> int:
        """Seats of the stored lines of a period before an instant, of the kinds that buy (`lines.BOUGHT`)."""


@dataclass(frozen=True, slots=True)
class Leg:
    """Stored occupancy steps, spans that start, and lines (those at zero may be among them), from where the leg before
    ended up to, not including, `until` (UTC; None: to the end)."""

    steps: Mapping[datetime, int] = field(default_factory=dict)
    openings: Sequence[Span] = ()
    lines: Sequence[Line] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a workspace stands: seats occupied, seats purchased in the running period, how many periods were billed,
    the last instant (`frontier`, UTC) that has a step or a line, and up to when it was settled (`through`)."""

    occupied: int = 0
    purchased: int = 0
    opened: int = 0
    frontier: datetime | None = None
    through: datetime | None = None


@dataclass(slots=True)
class Change:
    """Everything one step of settlement changes; the edge writes it, in one transaction.

    `described`: those of `members` who are new, or have another name or role, or were folded again.
    """

    members: dict[str, MemberHead] = field(default_factory=dict)
    described: set[str] = field(default_factory=set)
    boards: dict[str, BoardHead] = field(default_factory=dict)
    seats: dict[tuple[str, str], bool] = field(default_factory=dict)
    flips: list[Flip] = field(default_factory=list)
    rewritten: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)
    steps: Counter[datetime] = field(default_factory=Counter)
    old_lines: list[Line] = field(default_factory=list)
    new_lines: list[Line] = field(default_factory=list)
    position: Position = field(default_factory=Position)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a step is computed on besides memory: the tool's id of the workspace, the course up to the step's now, the
    pinned terms, the old facts that a person let count (law 10), and the tool's own seat policy (`base`)."""

    workspace: str
    course: Course
    pins: Pins
    accepted: frozenset[str] = frozenset()
    base: Policy = ORDINARY

    @property
    def turns(self) -> list[tuple[datetime, Policy]]:
        """From when on which seat policy holds."""
        return policies(self.course, self.pins, self.base)


def advance(
    memory: Memory,
    facts: Sequence[Fact],
    ground: Ground,
    now: datetime,
    position: Position,
    refold: frozenset[str] = frozenset(),
) -> Change:
    """Take new facts (all `at` <= `now`) into the roster and the lines, and move the workspace to `now` (UTC).

    Pure but for what `memory` reads, which must already hold the new facts. `refold` names people to fold from their
    first fact though nothing of theirs came late (a changed seat policy, a verdict on old facts).
    """
    change = Change(position=position)
    _roster(memory, [fact for fact in facts if fact.kind not in LIFE_KINDS], ground, change, refold)
    touched = set(change.steps)
    change.steps = Counter({at: step for at, step in change.steps.items() if step})
    turned = _turned(facts, ground.course, position)
    opened = ground.course.stretches[position.opened :]
    touched |= {one.opens for one in opened} | turned
    change.position = replace(
        position,
        occupied=position.occupied + sum(change.steps.values()),
        opened=position.opened + len(opened),
        frontier=max([*touched, *([position.frontier] if position.frontier else [])], default=None),
        through=now,
    )
    if touched and (ground.course.stretches or ground.course.orders):
        _rewrite_lines(memory, ground, touched, position, change, steady=not opened and not turned)
        if not ground.course.at(now) and not ground.course.suspended:  # what is suspended may outlast its period
            change.position = replace(change.position, purchased=0)
    return change


def _turned(facts: Sequence[Fact], course: Course, position: Position) -> set[datetime]:
    """The earliest line instants that new commands, payments and due instants may change."""
    begun = {one.key: one.opens for one in course.stretches}
    new = {fact.id for fact in facts if fact.kind in LIFE_KINDS}
    through = position.through
    # What a command or a payment makes due at once is as new as it is.
    turned = {d.since for d in course.dues if through is None or d.at > through or (new and d.at == through)}
    turned |= {begun[key] for key, void in course.voids.items() if void.fact in new}
    rerated = [fact.data for fact in facts if fact.kind == "period.rerated"]
    turned |= {begun[str(data["subscription"]), int(str(data["n"]))] for data in rerated}
    return turned | {fact.at for fact in facts if fact.id in new}


def _roster(memory: Memory, facts: Sequence[Fact], ground: Ground, change: Change, refold: frozenset[str]) -> None:
    """Advance heads by the facts in order; fold late people again."""
    if not facts and not refold:
        return
    pairs = {(f.board, f.member) for f in facts if f.board and f.member}
    members = {fact.member for fact in facts if fact.member}
    boards = {fact.board for fact in facts if fact.board and fact.kind in BOARD_KINDS}
    heads = memory.heads(pairs, members, boards)
    old = [fact for fact in facts if seen_from(fact, ground.accepted) > fact.at]
    turns = ground.turns
    # Whoever something happened to before or as the seat policy turned is judged once more where it did.
    old += [fact for fact in facts if turns and fact.at <= turns[-1][0]]
    # Whether an observed fact counts is known only beside everything else that was told of its matter.
    observed = [fact for fact in facts if interval(fact) is not None]
    again = late_boards(facts, heads.boards) | {fact.board for fact in old if fact.board}
    again |= {fact.board for fact in observed if fact.board and fact.kind in BOARD_KINDS}
    if again - boards:
        heads = memory.heads(pairs, members, boards | again)
    late = late_members(facts, heads, again) | refold | {fact.member for fact in old + observed if fact.member}
    for seats in heads.seats.values():
        for member in late & seats.keys():
            del seats[member]
    fold = Fold(heads, ground.workspace, turns)
    fold.show(fact for fact in facts if fact.board not in again)
    change.flips = list(fold.run(f for f in facts if f.member not in late and f.board not in again))
    _keep(fold, change)
    for flip in change.flips:
        change.steps[flip.at] += 1 if flip.billable else -1
    if late or again:
        _again(memory, late, again, ground, change)


def _keep(fold: Fold, change: Change) -> None:
    change.members |= {name: fold.heads.members[name] for name in fold.touched}
    change.described |= fold.described
    change.boards |= {board: fold.heads.boards[board] for board in fold.boards}
    change.seats |= {(board, member): fold.heads.seats[board][member] for board, member in fold.seats}


def _again(memory: Memory, late: set[str], again: set[str], ground: Ground, change: Change) -> None:
    """Fold late people from an empty head over their own and their boards' whole history."""
    history, showing, old = memory.history(late, again)
    told, history = history, standing_in(history)
    seen = {fact.id: seen_from(fact, ground.accepted) for fact in (*history, *showing)}
    fold = Fold(Heads(), ground.workspace, ground.turns)
    shown = [*showing, *(fact for fact in history if fact.kind in BOARD_KINDS)]
    fold.show(fact for fact in shown if seen[fact.id] == fact.at)
    change.spans = spans_of(fold.run_seen(history, shown, seen))
    counted = {fact.id for fact in history}
    fold.pass_over(fact for fact in told if fact.id not in counted)
    change.rewritten = late
    _keep(fold, change)
    change.steps.update(deltas(change.spans))
    change.steps.update(deltas(old, sign=-1))


def _rewrite_lines(
    memory: Memory, ground: Ground, touched: set[datetime], position: Position, change: Change, *, steady: bool
) -> None:
    """Walk occupancy from the first changed instant on; everything before it stands. So does the rest behind the last
    one, where as many seats are empty as were: there the walk ends. `steady`: the course is what it was."""
    since, course = min(touched), ground.course
    occupied, purchased, legs = position.occupied, position.purchased, iter([Leg()])
    before = course.before(since)
    if position.frontier is not None and since <= position.frontier:
        occupied -= memory.risen(since)
        purchased = _held(memory, course, before, since)
        legs = memory.ahead(since)
    walk = Walk(course, ground.pins, occupied, purchased, before, since)
    for leg in legs:
        change.old_lines += leg.lines
        change.new_lines += walk.lines(_steps(leg, since, change), _filled(leg, change), leg.until)
        purchased = walk.purchased
        if leg.until is None:
            break
        since = leg.until
        if steady and since > max(touched) and not walk.turns:
            more = walk.purchased - _held(memory, course, walk.current, since)
            if more == sum(change.steps.values()):
                purchased = position.purchased + more
                break
    change.position = replace(change.position, purchased=purchased)


def _held(memory: Memory, course: Course, stretch: Stretch | None, until: datetime) -> int:
    """The seats that were purchased in a stretch just before an instant, by what is stored."""
    if stretch is None:
        return 0
    return course.licences(memory.bought(stretch.key, until), stretch.key, stretch.opens, until)


def _steps(leg: Leg, since: datetime, change: Change) -> Counter[datetime]:
    """What changes in occupancy from `since` to the end of the leg."""
    mine = (at for at in change.steps if at >= since and (leg.until is None or at < leg.until))
    steps = Counter({at: change.steps[at] for at in mine})
    steps.update(leg.steps)
    return steps


def _filled(leg: Leg, change: Change) -> Mapping[datetime, Sequence[str]]:
    """By which facts seats were filled, instant by instant."""
    filling = [(flip.at, flip.fact_id) for flip in change.flips if flip.billable]
    filling += [(span.start, span.fact_id) for span in change.spans]
    filling += [(span.start, span.fact_id) for span in leg.openings if span.member not in change.rewritten]
    filled: defaultdict[datetime, list[str]] = defaultdict(list)
    for at, fact_id in filling:
        if fact_id:
            filled[at].append(fact_id)
    return filled
