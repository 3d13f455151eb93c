"""What a workspace remembers, in plain dictionaries: the incremental form's memory for tests of the laws."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Literal

from billing.core.classification import Policy
from billing.core.course import Course
from billing.core.facts import BOARD_KINDS, LIFE_KINDS, Fact, order
from billing.core.incremental import Change, Ground, Leg, Position, advance
from billing.core.life import course
from billing.core.lines import BOUGHT, Line, policies
from billing.core.replay import seen_from
from billing.core.roster import BoardHead, Heads, MemberHead, Span
from billing.core.statement import accepted
from tests.core.telling import Plan, by_key, statement, when


class Remembered:
    """A workspace kept by the incremental form. `step` is the form under test. `stops` says what is settled in a step
    of its own: "each" due instant and command, "due" instants only, or "none". `posted` hears of every step."""

    def __init__(
        self,
        workspace: str = "w1",
        step: Callable[..., Change] = advance,
        *,
        stops: Literal["each", "due", "none"] = "each",
        posted: Callable[["Remembered", Sequence[Fact], Change], None] | None = None,
    ) -> None:
        self.workspace = workspace
        self.step_forward = step
        self.stops = stops
        self.posted = posted
        self.waiting: dict[str, Fact] = {}
        self.facts: dict[str, Fact] = {}
        self.members: dict[str, MemberHead] = {}
        self.board_heads: dict[str, BoardHead] = {}
        self.seats: dict[tuple[str, str], bool] = {}
        self.spans: list[Span] = []
        self.step: Counter[datetime] = Counter()
        self.book: dict[str, Line] = {}
        self.position = Position()
        self.before = Position()
        self.course = Course()
        self.known: tuple[int, datetime | None, Course] = (0, None, Course())
        self.policies: list[tuple[datetime, Policy]] = []
        self.now: datetime | None = None

    # --- what the incremental form asks ---------------------------------------------------------------------------

    def heads(self, pairs: set[tuple[str, str]], members: set[str], boards: set[str]) -> Heads:
        heads = Heads()
        wanted = boards | {board for board, _ in pairs}
        for (board, member), on in self.seats.items():
            if board in boards or (board, member) in pairs:
                heads.seats[board][member] = on
        everyone = members | {m for b in boards for m in heads.seats[b]}
        heads.members = {m: deepcopy(self.members[m]) for m in everyone if m in self.members}
        heads.boards = {b: deepcopy(self.board_heads[b]) for b in wanted if b in self.board_heads}
        return heads

    def history(self, members: set[str], boards: set[str]) -> tuple[list[Fact], list[Fact], list[Span]]:
        mine = [f for f in self.facts.values() if f.member in members]
        on = boards | {f.board for f in mine if f.board}
        own = [f for f in self.facts.values() if f.board in on and f.kind in BOARD_KINDS]
        showing = []
        for board in on:
            shown = sorted((f for f in self.facts.values() if f.board == board and f.owner is not None), key=order)
            prompt = next((i for i, f in enumerate(shown) if seen_from(f) == f.at), len(shown))
            showing += shown[: prompt + 1]
        return mine + own, showing, [span for span in self.spans if span.member in members]

    def risen(self, since: datetime) -> int:
        return sum(step for at, step in self.step.items() if at >= since)

    def ahead(self, since: datetime) -> Iterator[Leg]:
        """Legs of one step, of two, of three: as short as can be, so that any may be the last that is read."""
        ends, size = [at for at in sorted(self.step) if at > since], 0
        while True:
            until = ends[size] if size < len(ends) else None
            yield Leg(
                {at: step for at, step in self.step.items() if since <= at and (until is None or at < until)},
                [span for span in self.spans if since <= span.start and (until is None or span.start < until)],
                [line for line in self.book.values() if since <= line.instant and (not until or line.instant < until)],
                until,
            )
            if until is None:
                return
            since, ends, size = until, ends[size + 1 :], size + 1

    def bought(self, key: tuple[str, int], before: datetime) -> int:
        mine = [line for line in self.book.values() if (line.subscription, line.n) == key and line.instant < before]
        return sum(line.seats for line in mine if line.kind in BOUGHT)

    # --- one settlement -------------------------------------------------------------------------------------------

    def settle(self, facts: Iterable[Fact], plan: Plan, now: datetime, *, dies: bool = False) -> Change:
        """Hear facts and move to `now`: what is due, and each command or payment of the plan, in a step of its own.

        Facts heard before are nothing new. `dies`: each step is computed twice, as when the first try was cut off
        before its commit.
        """
        self.waiting |= {fact.id: fact for fact in facts if fact.id not in self.facts}
        now = now if self.now is None else max(now, self.now)
        while True:
            taken, until = self._next(plan, now)
            if dies:
                self.compute(taken, plan, until)
            change = self._write(taken, self.compute(taken, plan, until), plan)
            if until == now and not self._left(plan, now):
                self.now = now
                return change

    def _left(self, plan: Plan, now: datetime) -> bool:
        return bool(self._heard(plan, now)) or (self.stops != "none" and self._due(plan, now) is not None)

    def _heard(self, plan: Plan, now: datetime) -> list[Fact]:
        """Commands and payments up to now that are not yet taken, in their order."""
        return sorted((f for f in plan.facts if f.at <= now and f.id not in self.facts), key=order)

    def _due(self, plan: Plan, now: datetime) -> datetime | None:
        """The next instant up to now at which time does something, or a fact comes that was known before."""
        through = self.position.through
        life = self.course if self.stops == "each" else course(plan.facts, now, plan.zone)
        found = {life.next_due, *(one.billed_at for one in life.stretches[self.position.opened :])}
        found |= {one.at for one in life.dues}
        found |= {fact.at for fact in self.waiting.values() if fact.at > fact.heard_at}
        return min((at for at in found if at and at <= now and (through is None or at > through)), default=None)

    def _next(self, plan: Plan, now: datetime) -> tuple[list[Fact], datetime]:
        """What the next step takes, and up to when: as the settlement of the service does it."""
        through, life = self.position.through, self._heard(plan, now)
        waiting = sorted(self.waiting.values(), key=order)
        if self.stops == "none":
            return [*life, *(fact for fact in waiting if fact.at <= now)], now
        due = self._due(plan, now)
        commands = life[:1] if self.stops == "each" else []
        if self.stops == "due":
            waiting = sorted([*waiting, *life], key=order)
        stop = min([*([due] if due else []), *(fact.at for fact in commands)], default=None)
        if stop is None:
            return [fact for fact in waiting if fact.at <= now], now
        if earlier := [fact for fact in waiting if fact.at < stop]:
            return earlier, max(earlier[-1].at, through or earlier[-1].at)
        ready = [fact for fact in waiting if fact.at <= stop]
        if due == stop or ready or through is None or through < stop:
            return ready, stop
        return commands, stop

    def compute(self, facts: Sequence[Fact], plan: Plan, now: datetime) -> Change:
        """One step without writing the roster or the lines: as far as one comes that dies before its commit."""
        known, self.facts = self.facts, self.facts | {fact.id: fact for fact in facts}
        life, ground = self._ground(plan, now)
        verdicts = any(fact.kind == "late.accepted" for fact in facts)
        turned = policies(life, ground.pins, plan.base) != self.policies or verdicts
        try:
            refold = frozenset(self.members) if turned else frozenset()
            return self.step_forward(self, facts, ground, now, self.position, refold)
        finally:
            self.facts = known

    def _ground(self, plan: Plan, now: datetime) -> tuple[Course, Ground]:
        mine = [fact for fact in self.facts.values() if fact.kind in LIFE_KINDS]
        if self.known[:2] != (len(mine), now):
            self.known = len(mine), now, course(mine, now, plan.zone)
        life = self.known[2]
        return life, Ground(self.workspace, life, plan.pins(life), accepted(mine), plan.base)

    def _write(self, taken: Sequence[Fact], change: Change, plan: Plan) -> Change:
        for fact in taken:
            self.waiting.pop(fact.id, None)
            self.facts[fact.id] = fact
        self.members |= change.members
        self.board_heads |= change.boards
        self.seats |= change.seats
        self.spans = [span for span in self.spans if span.member not in change.rewritten] + change.spans
        for flip in change.flips:
            if flip.billable:
                self.spans.append(Span(flip.member, flip.at, flip.fact_id))
            else:
                at = next(i for i, s in enumerate(self.spans) if s.member == flip.member and s.end is None)
                self.spans[at] = replace(self.spans[at], end=flip.at)
        self.step.update(change.steps)
        for line in change.old_lines:
            del self.book[line.key]
        self.book |= {line.key: line for line in change.new_lines}
        self.before, self.position = self.position, change.position
        assert change.position.through is not None
        self.course, ground = self._ground(plan, change.position.through)
        self.policies = policies(self.course, ground.pins, plan.base)
        if self.posted is not None:
            self.posted(self, taken, change)
        return change


def billed(facts: Iterable[Fact], plan: Plan, now: str, workspace: str = "w1") -> list[Line]:
    """The lines owed at `now`, computed by the full statement and, in time order, by the incremental form."""
    told = sorted(facts, key=lambda one: one.at)
    owed = statement(told, plan, when(now), workspace)
    memory = Remembered(workspace)
    for one in told:
        if one.at <= when(now):
            memory.settle([one], plan, one.at)
    memory.settle([], plan, when(now))
    assert by_key(memory.book.values()) == by_key(owed)
    return list(owed)
