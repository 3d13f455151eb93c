"""What a workspace remembers, in plain dictionaries: the incremental form's memory for tests of the laws."""

from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime

from billing.core.facts import BOARD_KINDS, Fact, order
from billing.core.incremental import Change, Position, advance, policy_of
from billing.core.lines import Line, Pins
from billing.core.roster import BoardHead, Heads, MemberHead, Span


class Remembered:
    """A workspace kept by the incremental form; `settle` is one settlement. `step` is the form under test."""

    def __init__(self, workspace: str = "w1", step: Callable[..., Change] = advance) -> None:
        self.workspace = workspace
        self.step_forward = step
        self.waiting: dict[str, Fact] = {}
        self.facts: dict[str, Fact] = {}
        self.members: dict[str, MemberHead] = {}
        self.board_heads: dict[str, BoardHead] = {}
        self.seats: dict[tuple[str, str], bool] = {}
        self.spans: list[Span] = []
        self.step: Counter[datetime] = Counter()
        self.book: dict[str, Line] = {}
        self.position = Position()
        self.policy = policy_of(Pins())
        self.now: datetime | None = None

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
            shown = [f for f in self.facts.values() if f.board == board and f.owner is not None]
            showing += sorted(shown, key=order)[:1]
        return mine + own, showing, [span for span in self.spans if span.member in members]

    def steps(self, since: datetime) -> dict[datetime, int]:
        return {at: step for at, step in self.step.items() if at >= since}

    def openings(self, since: datetime) -> list[Span]:
        return [span for span in self.spans if span.start >= since]

    def lines(self, since: datetime) -> list[Line]:
        return [line for line in self.book.values() if line.instant >= since]

    def bought(self, n: int, before: datetime) -> int:
        return sum(line.seats for line in self.book.values() if line.n == n and line.instant < before)

    def settle(self, facts: Sequence[Fact], pins: Pins, now: datetime) -> Change:
        """Hear facts, take those whose time has come, move to `now`; facts heard before are nothing new."""
        change = self.compute(facts, pins, now)
        self._write(change)
        self.now = now
        return change

    def compute(self, facts: Sequence[Fact], pins: Pins, now: datetime) -> Change:
        """The same without writing the roster or the lines: as far as a settlement comes that dies before its commit.

        What it heard stays heard, as a fact's row would.
        """
        self.waiting |= {fact.id: fact for fact in facts if fact.id not in self.facts}
        due = [fact for fact in self.waiting.values() if fact.at <= now]
        known, self.facts = self.facts, self.facts | {fact.id: fact for fact in due}
        changed_policy = policy_of(pins) != self.policy
        refold = frozenset(self.members) if changed_policy else frozenset()
        try:
            return self.step_forward(self, due, pins, now, self.workspace, self.position, refold)
        finally:
            self.facts, self.policy_next, self.due = known, policy_of(pins), due

    def _write(self, change: Change) -> None:
        self.policy = self.policy_next
        for fact in self.due:
            self.facts[fact.id] = self.waiting.pop(fact.id)
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
        self.position = change.position
