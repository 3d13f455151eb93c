"""The roster replayed plainly from the first fact: who was billable at every instant that anything changed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from billing.core.classification import ORDINARY, Membership, Policy, Standing, classify
from billing.core.facts import LIFE_KINDS, Fact, order
from billing.core.observed import standing_in
from billing.core.plans import RERATING_DAYS

_WINDOW = timedelta(days=RERATING_DAYS)


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


def seen_from(fact: Fact, accepted: frozenset[str] = frozenset()) -> datetime:
    """From when on a fact moves money: its own instant, or the first inside the re-rating window (law 10)."""
    if fact.heard_at - fact.at <= _WINDOW or fact.id in accepted:
        return fact.at
    return fact.heard_at - _WINDOW


class Replay:
    """The roster of one workspace, replayed fact by fact. `workspace` is the tool's own id of it.

    `policies`: from when on which seat policy holds, the ordinary one before. `accepted`: facts older than the
    re-rating window that count from their own instant all the same.
    """

    def __init__(
        self,
        workspace: str,
        facts: Iterable[Fact],
        policies: Sequence[tuple[datetime, Policy]] = (),
        accepted: frozenset[str] = frozenset(),
    ) -> None:
        self.workspace = workspace
        self.history: list[Occupancy] = []
        self._policies = policies
        told = standing_in(fact for fact in facts if fact.kind not in LIFE_KINDS)
        self._facts = sorted(told, key=order)
        self._seen = {fact.id: seen_from(fact, accepted) for fact in self._facts}
        self._begin()
        self._replay()

    def _begin(self) -> None:
        self.people: defaultdict[str, _Person] = defaultdict(_Person)
        self.closed: set[str] = set()
        self.owner: dict[str, str | None] = {}

    def _first_owners(self, facts: Sequence[Fact]) -> dict[str, str | None]:
        """Each board's owner before its first attach or detach: what its earliest delivery showed, if it was before."""
        owners: dict[str, str | None] = {}
        settled: set[str] = set()
        for fact in facts:
            if fact.board is None or fact.board in settled:
                continue
            if fact.kind in ("board.attached", "board.detached"):
                settled.add(fact.board)
            elif fact.owner is not None:
                owners[fact.board] = fact.owner
                settled.add(fact.board)
        return owners

    @property
    def policy_now(self) -> Policy:
        """The seat policy in force after the last fact."""
        return self._policies[-1][1] if self._policies else ORDINARY

    def policy_at(self, at: datetime) -> Policy:
        """The seat policy in force."""
        return next((policy for since, policy in reversed(self._policies) if since <= at), ORDINARY)

    def _replay(self) -> None:
        by_instant: defaultdict[datetime, list[Fact]] = defaultdict(list)
        for fact in self._facts:
            by_instant[self._seen[fact.id]].append(fact)
        turns = {at for at, _ in self._policies}
        self.owner = self._first_owners([fact for fact in self._facts if self._seen[fact.id] == fact.at])
        for at in sorted({*by_instant, *turns}):
            new = by_instant.get(at, [])
            causes = self._again(at, new) if any(fact.at < at for fact in new) else self._in_order(new)
            if at in turns:
                causes |= {name: causes.get(name, "") for name in self.people}
            self._judge(at, causes)

    def _in_order(self, new: Sequence[Fact]) -> dict[str, str]:
        causes: dict[str, str] = {}
        for fact in new:
            causes.update(dict.fromkeys(self._apply(fact), fact.id))
        return causes

    def _again(self, at: datetime, new: Sequence[Fact]) -> dict[str, str]:
        """Facts too old to move money until now come into sight: everything seen so far is replayed in its order."""
        billable = {name: person.billable for name, person in self.people.items()}
        seen = [fact for fact in self._facts if self._seen[fact.id] <= at]
        self._begin()
        self.owner = self._first_owners([f for f in self._facts if self._seen[f.id] == f.at or self._seen[f.id] <= at])
        prompt: dict[str, str] = {}
        for fact in seen:
            touched = self._apply(fact)
            if self._seen[fact.id] == fact.at == at:
                prompt.update(dict.fromkeys(touched, fact.id))
        for name, person in self.people.items():
            person.billable = billable.get(name, False)
        return {name: self._old_cause(name, new, at) for name in self.people} | prompt

    def _old_cause(self, name: str, new: Sequence[Fact], at: datetime) -> str:
        """The last of the old facts just come into sight that names the person or a board they were ever put on."""
        put = (f for f in self._facts if f.member == name and f.kind == "board.member_added")
        boards = {fact.board for fact in put if self._seen[fact.id] <= at}
        mine = [f for f in new if f.at < at and (f.member == name or (f.member is None and f.board in boards))]
        return mine[-1].id if mine else ""

    def _judge(self, at: datetime, causes: dict[str, str]) -> None:
        occupied = self.history[-1].occupied if self.history else 0
        filled = []
        for name, cause in causes.items():
            person = self.people[name]
            before, person.billable = person.billable, classify(self.standing(name), self.policy_at(at)).billable
            occupied += person.billable - before
            if person.billable and not before and cause:
                filled.append(cause)
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

    def occupied_at(self, instant: datetime) -> int:
        """Seats occupied from an instant (UTC) on, after all its facts."""
        until = [step.occupied for step in self.history if step.at <= instant]
        return until[-1] if until else 0
