"""The roster kept, not replayed: one head per person and per board, advanced by each fact in its turn.

A head holds what the next fact needs and nothing else, so a person's own in-order fact costs the same whatever the
roster and whatever the history. A person whose facts came late is folded again from an empty head.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby

from billing.core.classification import ORDINARY, Membership, Policy, Standing, Verdict, classify
from billing.core.facts import BOARD_KINDS, Fact, order


@dataclass(slots=True)
class MemberHead:
    """One person in one workspace, after the last fact that touched them (`last_at`, UTC).

    `on` counts every board they are on, whoever owns it; `open` and `shut` those of this workspace.
    """

    membership: Membership = "none"
    deactivated: bool = False
    on: int = 0
    open: int = 0
    shut: int = 0
    billable: bool = False
    rule: str = "TR-06"
    since: datetime | None = None
    fact_id: str | None = None
    last_at: datetime | None = None
    name: str | None = None
    role: str | None = None

    def standing(self) -> Standing:
        """What classification looks at."""
        return Standing(self.membership, self.deactivated, self.open, self.shut)


@dataclass(slots=True)
class BoardHead:
    """One board as this workspace sees it. `initial` is the owner its earliest delivery showed at `hint_at`;
    `explicit_at` the first attach or detach; `last_at` the last fact of the board itself."""

    owner: str | None = None
    closed: bool = False
    initial: str | None = None
    hint_at: datetime | None = None
    explicit_at: datetime | None = None
    last_at: datetime | None = None

    def place(self, workspace: str) -> str:
        """Where its people are counted: "open" or "shut" boards of the workspace, or "" when it is not ours."""
        if self.owner != workspace:
            return ""
        return "shut" if self.closed else "open"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time a person was billable: from `start` (UTC) up to, not including, `end` (None: still)."""

    member: str
    start: datetime
    fact_id: str
    end: datetime | None = None


@dataclass(slots=True)
class Heads:
    """The part of the roster that a batch of facts needs: people, boards, and who of them is on which board."""

    members: dict[str, MemberHead] = field(default_factory=dict)
    boards: dict[str, BoardHead] = field(default_factory=dict)
    seats: defaultdict[str, dict[str, bool]] = field(default_factory=lambda: defaultdict(dict))


@dataclass(frozen=True, slots=True)
class Flip:
    """A person became billable, or free, at an instant, by a fact."""

    at: datetime
    member: str
    billable: bool
    fact_id: str


class Fold:
    """Advances heads by facts in their order and notes each flip. `touched` are the people it changed, `described`
    those of them who are new or have another name or role."""

    def __init__(self, heads: Heads, workspace: str, policies: Sequence[tuple[datetime, Policy]] = ()) -> None:
        self.heads = heads
        self.workspace = workspace
        self.policies = policies
        self.touched: set[str] = set()
        self.boards: set[str] = set()
        self.seats: set[tuple[str, str]] = set()
        self.described: set[str] = set()
        self._verdicts: dict[tuple[Membership, bool, int, int, Policy], Verdict] = {}

    def run(self, facts: Iterable[Fact]) -> Iterator[Flip]:
        """Apply the facts; classification is asked once per person and instant, after all its facts (law 7)."""
        for at, group in groupby(sorted(facts, key=order), key=lambda fact: fact.at):
            causes: dict[str, str] = {}
            for fact in group:
                causes.update(dict.fromkeys(self._apply(fact), fact.id))
            yield from self._judge(causes, at)

    def run_seen(self, facts: Sequence[Fact], shown: Sequence[Fact], seen: Mapping[str, datetime]) -> Iterator[Flip]:
        """Fold whole histories from nothing, each fact from when it is seen on (`seen`, by id; law 10), and judge
        everybody anew where the seat policy turns. `shown`: the facts that show who owns their boards."""
        waiting: defaultdict[datetime, list[Fact]] = defaultdict(list)
        for fact in sorted(facts, key=order):
            waiting[seen[fact.id]].append(fact)
        turns = {at for at, _ in self.policies}
        # Where an old fact comes into sight, a board's first owner may turn out to be another.
        owners = {seen[fact.id] for fact in shown if seen[fact.id] > fact.at}
        for at in sorted({*waiting, *turns, *owners}):
            new = waiting.get(at, [])
            old = [fact for fact in new if fact.at < at]
            if old or at in owners:
                causes = self._anew(facts, shown, seen, at, old)
            else:
                causes = {member: fact.id for fact in new for member in self._apply(fact)}
            if at in turns:
                causes |= {member: causes.get(member, "") for member in self.heads.members}
            yield from self._judge(causes, at)

    def _anew(
        self,
        facts: Sequence[Fact],
        shown: Sequence[Fact],
        seen: Mapping[str, datetime],
        at: datetime,
        old: Sequence[Fact],
    ) -> dict[str, str]:
        """Everything in sight at `at` again, in its own order, because something older came into sight."""
        before, self.heads = self.heads, Heads()
        self.show(fact for fact in shown if seen[fact.id] == fact.at or seen[fact.id] <= at)
        causes: dict[str, str] = {}
        prompt: dict[str, str] = {}
        for fact in sorted((fact for fact in facts if seen[fact.id] <= at), key=order):
            touched = self._apply(fact)
            if seen[fact.id] == fact.at == at:
                prompt.update(dict.fromkeys(touched, fact.id))
        for name, head in self.heads.members.items():
            was = before.members.get(name, MemberHead())
            head.billable, head.rule, head.since, head.fact_id = was.billable, was.rule, was.since, was.fact_id
            head.last_at = was.last_at
            put = (f for f in facts if f.member == name and f.kind == "board.member_added" and seen[f.id] <= at)
            boards = {fact.board for fact in put}
            mine = [f.id for f in old if f.member == name or (f.member is None and f.board in boards)]
            causes[name] = mine[-1] if mine else ""
        return causes | prompt

    def pass_over(self, facts: Iterable[Fact]) -> None:
        """Observed facts whose place a genuine one has taken: they change nothing, but what comes behind them is late,
        because it may give them their place back."""
        for fact in facts:
            if fact.member is not None and (person := self.heads.members.get(fact.member)):
                person.last_at = max(person.last_at or fact.at, fact.at)
            elif fact.kind in BOARD_KINDS and (board := self.heads.boards.get(fact.board or "")):
                board.last_at = max(board.last_at or fact.at, fact.at)

    def policy_at(self, at: datetime) -> Policy:
        """The seat policy in force."""
        return next((policy for since, policy in reversed(self.policies) if since <= at), ORDINARY)

    def _judge(self, causes: Mapping[str, str], at: datetime) -> Iterator[Flip]:
        policy = self.policy_at(at)
        self.touched.update(causes)
        for name, fact_id in causes.items():
            head = self.heads.members[name]
            verdict = self._verdict(head, policy)
            if verdict.billable != head.billable:
                yield Flip(at, name, verdict.billable, fact_id)
            if verdict.billable != head.billable or verdict.rule != head.rule or head.since is None:
                head.billable, head.rule, head.since = verdict.billable, verdict.rule, at
                head.fact_id = fact_id or head.fact_id
            if fact_id:  # a turn of the seat policy is nobody's fact
                head.last_at = at

    def _verdict(self, head: MemberHead, policy: Policy) -> Verdict:
        """Asked once for each standing: ten thousand guests of one board have few."""
        standing = (head.membership, head.deactivated, head.open, head.shut, policy)
        found = self._verdicts.get(standing)
        if found is None:
            found = self._verdicts[standing] = classify(head.standing(), policy)
        return found

    def _apply(self, fact: Fact) -> Iterable[str]:
        if fact.board is not None:
            self.boards.add(fact.board)
            self._board(fact.board)
        if fact.board is not None and fact.kind.startswith("board."):
            if fact.kind in BOARD_KINDS:
                return self._move(fact, fact.board)
            self._sit(fact, fact.board, fact.member or "")
        elif fact.member is not None:
            self._change(fact, self._person(fact.member))
        else:
            return ()
        person = self._person(fact.member or "")
        before = person.name, person.role
        self._describe(fact, person)
        if (person.name, person.role) != before:
            self.described.add(fact.member or "")
        return (fact.member or "",)

    def _person(self, name: str) -> MemberHead:
        found = self.heads.members.get(name)
        if found is None:
            found = self.heads.members[name] = MemberHead()
            self.described.add(name)
        return found

    def _board(self, name: str) -> BoardHead:
        found = self.heads.boards.get(name)
        if found is None:
            found = self.heads.boards[name] = BoardHead()
        return found

    def show(self, facts: Iterable[Fact]) -> None:
        """Learn first owners before running: what a board's earliest delivery showed before any attach or detach."""
        for fact in sorted((f for f in facts if f.board), key=order):
            head = self._board(fact.board or "")
            explicit = fact.kind in ("board.attached", "board.detached")
            if fact.owner is not None and not explicit and head.hint_at is None and head.explicit_at is None:
                head.initial, head.hint_at, head.owner = fact.owner, fact.at, fact.owner
            if explicit and head.explicit_at is None:
                head.explicit_at = fact.at

    def _move(self, fact: Fact, board: str) -> list[str]:
        """A fact of the board itself: everyone on it changes places with it."""
        head = self.heads.boards[board]
        before = head.place(self.workspace)
        if fact.kind == "board.attached":
            head.owner = fact.workspace
        elif fact.kind == "board.detached":
            head.owner = None if fact.workspace in (None, head.owner) else head.owner
        else:
            head.closed = fact.kind == "board.closed"
        head.last_at = fact.at
        after = head.place(self.workspace)
        people = [member for member, on in self.heads.seats[board].items() if on]
        for member in people:
            person = self._person(member)
            self._count(person, before, -1)
            self._count(person, after, 1)
        return people

    def _sit(self, fact: Fact, board: str, member: str) -> None:
        on = fact.kind == "board.member_added"
        if self.heads.seats[board].get(member, False) == on:
            return
        self.heads.seats[board][member] = on
        self.seats.add((board, member))
        head = self._person(member)
        head.on += 1 if on else -1
        self._count(head, self.heads.boards[board].place(self.workspace), 1 if on else -1)

    @staticmethod
    def _count(head: MemberHead, place: str, by: int) -> None:
        if place == "open":
            head.open += by
        elif place == "shut":
            head.shut += by

    @staticmethod
    def _change(fact: Fact, head: MemberHead) -> None:
        kind = fact.kind.removeprefix("member.")
        if kind in ("deactivated", "reactivated"):
            head.deactivated = kind == "deactivated"
        elif kind == "joined":
            head.membership = "member"
        elif kind == "left":
            head.membership = "none"
        elif kind == "invited" and head.membership == "none" and (head.on == 0 or fact.data.get("unconfirmed")):
            head.membership = "pending"

    @staticmethod
    def _describe(fact: Fact, head: MemberHead) -> None:
        """The name, and the role in the workspace (a role on a board is nobody's right to act, XX-05)."""
        name, role = fact.data.get("name"), fact.data.get("role")
        if isinstance(name, str):
            head.name = name
        if isinstance(role, str) and fact.kind in ("member.joined", "member.role_changed"):
            head.role = role
        elif fact.kind == "member.left":
            head.role = None


def spans_of(flips: Iterable[Flip]) -> list[Span]:
    """The billable spans that a person's or many persons' flips from the beginning make."""
    running: dict[str, Span] = {}
    done: list[Span] = []
    for flip in flips:
        if flip.billable:
            running[flip.member] = Span(flip.member, flip.at, flip.fact_id)
        else:
            done.append(replace(running.pop(flip.member), end=flip.at))
    return done + list(running.values())


def deltas(spans: Iterable[Span], sign: int = 1) -> Counter[datetime]:
    """What the spans add to the occupancy at each instant (`sign` -1: what taking them away adds)."""
    steps: Counter[datetime] = Counter()
    for span in spans:
        steps[span.start] += sign
        if span.end is not None:
            steps[span.end] -= sign
    return steps


def late_boards(facts: Iterable[Fact], boards: Mapping[str, BoardHead]) -> set[str]:
    """Boards that must be folded again: a fact of their own came late, or an earlier delivery shows another owner."""
    late: set[str] = set()
    for fact in facts:
        head = boards.get(fact.board or "")
        if head is None or fact.board is None:
            continue
        own = fact.kind in BOARD_KINDS
        shown = fact.owner is not None and _hints_anew(fact, head)
        if (own and _not_after(fact.at, head.last_at)) or shown or _ends_hint(fact, head):
            late.add(fact.board)
    return late


def _ends_hint(fact: Fact, head: BoardHead) -> bool:
    """The first attach or detach ends what was shown before it; a hint at or after it must be forgotten."""
    explicit = fact.kind in ("board.attached", "board.detached") and head.explicit_at is None
    return explicit and head.hint_at is not None and head.hint_at >= fact.at


def _hints_anew(fact: Fact, head: BoardHead) -> bool:
    if fact.kind in ("board.attached", "board.detached") or fact.owner == head.initial:
        return False
    before_explicit = head.explicit_at is None or fact.at <= head.explicit_at
    return before_explicit and (head.hint_at is None or fact.at <= head.hint_at)


def _not_after(at: datetime, last: datetime | None) -> bool:
    return last is not None and at <= last


def late_members(facts: Iterable[Fact], heads: Heads, again: set[str]) -> set[str]:
    """People who must be folded again: at or before their last instant, or on a board that is folded again."""
    late = {member for board in again for member in heads.seats[board]}
    nobody = MemberHead()
    for fact in facts:
        if fact.member is None:
            # Also those who left the board since: at the fact's instant they were on it.
            seats = heads.seats[fact.board] if fact.board else {}
            late |= {who for who in seats if _not_after(fact.at, heads.members.get(who, nobody).last_at)}
        elif _not_after(fact.at, heads.members.get(fact.member, nobody).last_at) or _behind_board(fact, heads, again):
            late.add(fact.member)
    return late


def _behind_board(fact: Fact, heads: Heads, again: set[str]) -> bool:
    if fact.board is None:
        return False
    board = heads.boards.get(fact.board)
    return fact.board in again or (board is not None and _not_after(fact.at, board.last_at))
