"""A full list of people and boards becomes facts by its difference from what is known at that instant."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billing.core.errors import InvalidError
from billing.core.facts import Fact, order
from billing.core.observed import OBSERVED, Interval, Matter, matter, standing_in
from billing.core.replay import Replay
from billing.store import intake, rows, workspaces
from billing.store.db import Conn, Row, many
from billing.store.ids import new_id
from billing.tools import room as rooms
from billing.tools.room import Event, Person, Snapshot


@dataclass(frozen=True, slots=True)
class Observation:
    """How a difference was come by: somebody looked at a list, and looked before at `since` (UTC).

    `at_start`: what was observed is billed from the start of its interval, not from its end (a plan's word).
    """

    since: datetime
    at_start: bool = False


@dataclass(slots=True)
class _Difference:
    """Walks a list and numbers the events it makes. A list tells how things stand after the facts known of a person
    or a board at the very instant, so its events follow them (law 7)."""

    at: datetime
    workspace: str
    source_id: str
    shared: bool
    facts: Sequence[Fact]
    observation: Observation | None = None
    count: int = 0
    _last: dict[tuple[str | None, str | None, datetime], int] = field(default_factory=dict)
    _known: dict[Matter, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for fact in self.facts:
            key = (fact.member, None if fact.member else fact.board, fact.at)
            self._last[key] = max(self._last.get(key, 0), fact.seq or 0)
            if about := matter(fact.kind, fact.member, fact.board):
                self._known[about] = max(self._known.get(about, fact.at), fact.at)

    def event(self, kind: str, later: int = 1, **fields: Any) -> Event:
        self.count += 1
        member, board = fields.get("member"), fields.get("board")
        if not self.shared and kind.startswith("board."):
            fields = {"owner": self.workspace, "workspace": self.workspace} | fields
        at, between = self._when(matter(kind, member, board))
        if between is not None:
            fields["data"] = {**fields.get("data", {}), OBSERVED: between.written()}
        last = self._last.get((member, None if member else board, at))
        seq = None if last is None and later == 1 else (last or 0) + later
        return Event(kind=kind, at=at, source_id=self.source_id, ordinal=self.count, seq=seq, **fields)

    def _when(self, about: Matter | None) -> tuple[datetime, Interval | None]:
        """The instant an event is billed from, and the interval in which it was observed."""
        if self.observation is None or about is None:
            return self.at, None
        since = self.observation.since
        between = Interval(min(max(since, self._known.get(about, since)), self.at), self.at)
        return (between.start if self.observation.at_start else between.end), between


def import_roster(
    connection: Conn,
    workspace_id: str,
    at: datetime | None,
    members: Sequence[Mapping[str, Any]],
    boards: Sequence[Mapping[str, Any]] | None,
    *,
    contract: bool = False,
) -> int:
    """File the facts that make the workspace's roster at `at` (UTC; None: its now) the full list; answers how many.

    The same list again makes none. `boards` None: nothing is said of boards nobody listed is on. `contract`: the list
    says who belongs to the workspace and nothing of boards at all. Raises InvalidError when `at` lies ahead of the
    workspace's now, NotFoundError.
    """
    workspace = workspaces.locked(connection, workspace_id)
    instant = at or workspace["now"]
    if instant > workspace["now"]:
        raise InvalidError(f"at lies ahead of the workspace's now ({workspace['now'].isoformat()})")
    listed = None if boards is None else {board["id"]: bool(board.get("closed")) for board in boards}
    snapshot = Snapshot(tuple(_person(member) for member in members), listed)
    facts = known(connection, workspace, instant, snapshot)
    events = [e for e in difference(workspace, instant, snapshot, facts) if not (contract and e.board is not None)]
    file(connection, workspace, events)
    return len(events)


def known(connection: Conn, workspace: Row, until: datetime, snapshot: Snapshot) -> list[Fact]:
    """What counts of all that is known of the workspace up to `until` (UTC), and of the boards that become its own by
    the list, whoever owned them before."""
    mine = many(connection, "SELECT * FROM fact WHERE workspace_id = %s AND at <= %s", (workspace["id"], until))
    query = "SELECT * FROM board_fact WHERE account_id = %s AND tool = %s AND board = ANY(%s) AND at <= %s"
    values = (workspace["account_id"], workspace["tool"], _named(snapshot), until)
    facts = {row["id"]: row for row in [*many(connection, query, values), *mine]}
    return standing_in(rows.fact(row) for row in facts.values())


def difference(
    workspace: Row,
    at: datetime,
    snapshot: Snapshot,
    facts: Sequence[Fact],
    observation: Observation | None = None,
) -> list[Event]:
    """The events that lead from `facts`, all known up to `at` (UTC), to the list; nothing is written."""
    replay = Replay(workspace["external_id"], facts)
    ours = {board for board, owner in replay.owner.items() if owner == replay.workspace}
    shared = rooms.load(workspace["tool"]).SHARED_BOARDS
    told = _Difference(at, workspace["external_id"], new_id("ro"), shared, facts, observation)
    named = _named(snapshot)
    # A board that is not ours any more keeps its people: who is on it is then not for this list to say.
    stay = {*named, *(ours if snapshot.boards is None else ())}
    return [
        *_boards(told, replay, ours, named, snapshot.boards),
        *_people(told, replay, snapshot, _roles(facts), stay),
        *_gone(told, replay, snapshot, stay),
    ]


def file(connection: Conn, workspace: Row, events: Iterable[Event], source: str | None = "roster") -> intake.Filed:
    """File events of a workspace as heard at its now. `source` None: the tool's own, as if a webhook had told them."""
    shared = rooms.load(workspace["tool"]).SHARED_BOARDS
    whose = intake.Source(workspace["account_id"], workspace["tool"], shared)
    return intake.file(connection, whose, [intake.Heard(event, workspace["now"], source=source) for event in events])


def _roles(facts: Iterable[Fact]) -> dict[str, str]:
    """The role in the workspace that was last told of each person, up to the last time they left."""
    roles: dict[str, str] = {}
    for fact in sorted(facts, key=order):
        role = fact.data.get("role")
        if fact.member and fact.kind in ("member.joined", "member.role_changed") and isinstance(role, str):
            roles[fact.member] = role
        elif fact.member and fact.kind == "member.left":
            roles.pop(fact.member, None)
    return roles


def _named(snapshot: Snapshot) -> list[str]:
    """Every board the list names, once."""
    on = (board for person in snapshot.people for board in person.boards)
    return list(dict.fromkeys([*(snapshot.boards or ()), *on]))


def _person(member: Mapping[str, Any]) -> Person:
    return Person(
        id=member["id"],
        name=member.get("name"),
        member=bool(member.get("member", True)),
        boards=tuple(member.get("boards") or ()),
        state=member.get("state") or "joined",
        role=member.get("role"),
    )


def _boards(
    told: _Difference, replay: Replay, ours: set[str], named: Sequence[str], boards: Mapping[str, bool] | None
) -> Iterator[Event]:
    listed = boards or {}
    for board in named:
        if board not in ours:
            yield told.event("board.attached", board=board, workspace=replay.workspace)
        if board in listed and listed[board] != (board in replay.closed):
            yield told.event("board.closed" if listed[board] else "board.reopened", board=board)
    if boards is not None:
        for board in sorted(ours.difference(named)):
            yield told.event("board.detached", board=board, workspace=replay.workspace)


def _people(
    told: _Difference, replay: Replay, snapshot: Snapshot, roles: Mapping[str, str], stay: set[str]
) -> Iterator[Event]:
    for person in snapshot.people:
        if snapshot.complete:
            yield from _membership(told, replay, person, roles.get(person.id))
        on = replay.people[person.id].on
        for board in sorted(set(person.boards) - on):
            yield told.event("board.member_added", board=board, member=person.id, name=person.name)
        for board in sorted(on & stay - set(person.boards)):
            yield told.event("board.member_removed", board=board, member=person.id)


def _membership(told: _Difference, replay: Replay, person: Person, role: str | None) -> Iterator[Event]:
    known = replay.people[person.id]
    who: dict[str, Any] = {"workspace": replay.workspace, "member": person.id, "name": person.name}
    wanted = "member" if person.member and person.state != "pending" else "none"
    wanted = "pending" if person.state == "pending" else wanted
    if wanted == "member" and known.membership != "member":
        data = {"role": person.role} if person.role else {}
        yield told.event("member.joined", data=data, **who)
    elif wanted != known.membership:
        if known.membership != "none":
            yield told.event("member.left", **who)
        if wanted == "pending":
            # The tool says that this person has no account yet: free in every capacity (TR-18, A-06).
            after = 1 if known.membership == "none" else 2
            yield told.event("member.invited", after, data={"unconfirmed": True}, **who)
    if wanted == known.membership == "member" and person.role and person.role != role:
        yield told.event("member.role_changed", data={"role": person.role}, **who)
    if person.state == "deactivated" and not known.deactivated:
        yield told.event("member.deactivated", **who)
    elif person.state == "joined" and known.deactivated:
        yield told.event("member.reactivated", **who)


def _gone(told: _Difference, replay: Replay, snapshot: Snapshot, stay: set[str]) -> Iterator[Event]:
    """People the full list no longer has."""
    listed = {person.id for person in snapshot.people}
    for name in sorted(replay.people.keys() - listed):
        if snapshot.complete and replay.people[name].membership != "none":
            yield told.event("member.left", workspace=replay.workspace, member=name)
        for board in sorted(replay.people[name].on & stay):
            yield told.event("board.member_removed", board=board, member=name)
