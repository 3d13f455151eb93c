"""A full list of people and boards becomes facts by its difference from what is known at that instant."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.core.errors import InvalidError
from billing.core.facts import Fact
from billing.core.statement import Replay
from billing.store import intake, rows, workspaces
from billing.store.db import Conn, Row, many
from billing.store.ids import new_id
from billing.tools import room as rooms
from billing.tools.room import Event, Person


@dataclass(slots=True)
class _Difference:
    """Walks a list and numbers the events it makes. `last` is the highest sequence among the facts known of a person
    or a board at the very instant: a list tells how things stand after those, so its events follow them (law 7)."""

    at: datetime
    workspace: str
    source_id: str
    shared: bool
    last: Mapping[tuple[str | None, str | None], int]
    count: int = 0

    def event(self, kind: str, later: int = 1, **fields: Any) -> Event:
        self.count += 1
        if not self.shared and kind.startswith("board."):
            fields = {"owner": self.workspace, "workspace": self.workspace} | fields
        member = fields.get("member")
        last = self.last.get((member, None if member else fields.get("board")))
        seq = None if last is None and later == 1 else (last or 0) + later
        return Event(kind=kind, at=self.at, source_id=self.source_id, ordinal=self.count, seq=seq, **fields)


def _last(facts: Iterable[Fact], at: datetime) -> dict[tuple[str | None, str | None], int]:
    """The highest sequence of the facts of each person, and of each board itself, at an instant."""
    last: dict[tuple[str | None, str | None], int] = {}
    for fact in facts:
        if fact.at == at:
            key = (fact.member, None if fact.member else fact.board)
            last[key] = max(last.get(key, 0), fact.seq or 0)
    return last


def import_roster(
    connection: Conn,
    workspace_id: str,
    at: datetime | None,
    members: Sequence[Mapping[str, Any]],
    boards: Sequence[Mapping[str, Any]] | None,
) -> int:
    """File the facts that make the workspace's roster at `at` (UTC; None: its now) the full list; answers how many.

    The same list again makes none. `boards` None: nothing is said of boards nobody listed is on. Raises InvalidError
    when `at` lies ahead of the workspace's now, NotFoundError.
    """
    workspace = workspaces.locked(connection, workspace_id)
    instant = at or workspace["now"]
    if instant > workspace["now"]:
        raise InvalidError(f"at lies ahead of the workspace's now ({workspace['now'].isoformat()})")
    room = rooms.load(workspace["tool"])
    people = [_person(member) for member in members]
    named = dict.fromkeys([*(b["id"] for b in boards or ()), *(board for person in people for board in person.boards)])
    facts = _known(connection, workspace, instant, list(named))
    replay = Replay(workspace["external_id"], facts)
    ours = {board for board, owner in replay.owner.items() if owner == replay.workspace}
    roles = many(connection, "SELECT member, role FROM member WHERE workspace_id = %s", (workspace_id,))
    shared = room.SHARED_BOARDS
    difference = _Difference(instant, workspace["external_id"], new_id("ro"), shared, _last(facts, instant))
    # A board that is not ours any more keeps its people: who is on it is then not for this list to say.
    stay = named.keys() | (ours if boards is None else set())
    events = [
        *_boards(difference, replay, ours, named, boards),
        *_people(difference, replay, people, {row["member"]: row["role"] for row in roles}, stay),
        *_gone(difference, replay, {person.id for person in people}, stay),
    ]
    source = intake.Source(workspace["account_id"], workspace["tool"], room.SHARED_BOARDS)
    intake.file(connection, source, [intake.Heard(event, workspace["now"], source="roster") for event in events])
    return len(events)


def _known(connection: Conn, workspace: Row, until: datetime, boards: Sequence[str]) -> list[Fact]:
    """What is known of the workspace, and of `boards` that become its own by the list, whoever owned them before."""
    known = many(connection, "SELECT * FROM fact WHERE workspace_id = %s AND at <= %s", (workspace["id"], until))
    query = "SELECT * FROM board_fact WHERE account_id = %s AND tool = %s AND board = ANY(%s) AND at <= %s"
    values = (workspace["account_id"], workspace["tool"], list(boards), until)
    facts = {row["id"]: row for row in [*many(connection, query, values), *known]}
    return [rows.fact(row) for row in facts.values()]


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
    difference: _Difference,
    replay: Replay,
    ours: set[str],
    named: Mapping[str, None],
    boards: Sequence[Mapping[str, Any]] | None,
) -> Iterator[Event]:
    listed = {board["id"]: bool(board.get("closed")) for board in boards or ()}
    for board in named:
        if board not in ours:
            yield difference.event("board.attached", board=board, workspace=replay.workspace)
        if board in listed and listed[board] != (board in replay.closed):
            yield difference.event("board.closed" if listed[board] else "board.reopened", board=board)
    if boards is not None:
        for board in sorted(ours - named.keys()):
            yield difference.event("board.detached", board=board, workspace=replay.workspace)


def _people(
    difference: _Difference,
    replay: Replay,
    people: Sequence[Person],
    roles: Mapping[str, str | None],
    stay: set[str],
) -> Iterator[Event]:
    for person in people:
        yield from _membership(difference, replay, person, roles.get(person.id))
        on = replay.people[person.id].on
        for board in sorted(set(person.boards) - on):
            yield difference.event("board.member_added", board=board, member=person.id, name=person.name)
        for board in sorted(on & stay - set(person.boards)):
            yield difference.event("board.member_removed", board=board, member=person.id)


def _membership(difference: _Difference, replay: Replay, person: Person, role: str | None) -> Iterator[Event]:
    known = replay.people[person.id]
    who: dict[str, Any] = {"workspace": replay.workspace, "member": person.id, "name": person.name}
    wanted = "member" if person.member and person.state != "pending" else "none"
    wanted = "pending" if person.state == "pending" else wanted
    if wanted == "member" and known.membership != "member":
        data = {"role": person.role} if person.role else {}
        yield difference.event("member.joined", data=data, **who)
    elif wanted != known.membership:
        if known.membership != "none":
            yield difference.event("member.left", **who)
        if wanted == "pending":
            # The tool says that this person has no account yet: free in every capacity (TR-18, A-06).
            after = 1 if known.membership == "none" else 2
            yield difference.event("member.invited", after, data={"unconfirmed": True}, **who)
    if wanted == known.membership == "member" and person.role and person.role != role:
        yield difference.event("member.role_changed", data={"role": person.role}, **who)
    if person.state == "deactivated" and not known.deactivated:
        yield difference.event("member.deactivated", **who)
    elif person.state == "joined" and known.deactivated:
        yield difference.event("member.reactivated", **who)


def _gone(difference: _Difference, replay: Replay, listed: set[str], stay: set[str]) -> Iterator[Event]:
    """People the full list no longer has."""
    for name in sorted(replay.people.keys() - listed):
        if replay.people[name].membership != "none":
            yield difference.event("member.left", workspace=replay.workspace, member=name)
        for board in sorted(replay.people[name].on & stay):
            yield difference.event("board.member_removed", board=board, member=name)
