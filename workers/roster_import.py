"""A full list of people and boards becomes facts by its difference from what is known at that instant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.core.errors import InvalidError
from billing.core.statement import Replay
from billing.store import intake, rows, workspaces
from billing.store.db import Conn, many
from billing.store.ids import new_id
from billing.tools import room as rooms
from billing.tools.room import Event, Person


@dataclass(slots=True)
class _Difference:
    """Walks a list and numbers the events it makes."""

    at: datetime
    workspace: str
    source_id: str
    shared: bool
    count: int = 0

    def event(self, kind: str, **fields: Any) -> Event:
        self.count += 1
        if not self.shared and kind.startswith("board."):
            fields = {"owner": self.workspace, "workspace": self.workspace} | fields
        return Event(kind=kind, at=self.at, source_id=self.source_id, ordinal=self.count, **fields)


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
    known = many(connection, "SELECT * FROM fact WHERE workspace_id = %s AND at <= %s", (workspace_id, instant))
    replay = Replay(workspace["external_id"], (rows.fact(row) for row in known))
    roles = many(connection, "SELECT member, role FROM member WHERE workspace_id = %s", (workspace_id,))
    difference = _Difference(instant, workspace["external_id"], new_id("ro"), room.SHARED_BOARDS)
    people = [_person(member) for member in members]
    events = [
        *_boards(difference, replay, people, boards),
        *_people(difference, replay, people, {row["member"]: row["role"] for row in roles}),
        *_gone(difference, replay, {person.id for person in people}),
    ]
    source = intake.Source(workspace["account_id"], workspace["tool"], room.SHARED_BOARDS)
    intake.file(connection, source, [intake.Heard(event, workspace["now"], source="roster") for event in events])
    return len(events)


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
    difference: _Difference, replay: Replay, people: Sequence[Person], boards: Sequence[Mapping[str, Any]] | None
) -> Iterator[Event]:
    listed = {board["id"]: bool(board.get("closed")) for board in boards or ()}
    named = dict.fromkeys([*listed, *(board for person in people for board in person.boards)])
    ours = {board for board, owner in replay.owner.items() if owner == replay.workspace}
    for board in named:
        if board not in ours:
            yield difference.event("board.attached", board=board, workspace=replay.workspace)
        if board in listed and listed[board] != (board in replay.closed):
            yield difference.event("board.closed" if listed[board] else "board.reopened", board=board)
    if boards is not None:
        for board in sorted(ours - named.keys()):
            yield difference.event("board.detached", board=board, workspace=replay.workspace)


def _people(
    difference: _Difference, replay: Replay, people: Sequence[Person], roles: Mapping[str, str | None]
) -> Iterator[Event]:
    for person in people:
        yield from _membership(difference, replay, person, roles.get(person.id))
        on = replay.people[person.id].on
        for board in sorted(set(person.boards) - on):
            yield difference.event("board.member_added", board=board, member=person.id, name=person.name)
        for board in sorted(set(replay.boards_of(person.id)) - set(person.boards)):
            yield difference.event("board.member_removed", board=board, member=person.id)


def _membership(difference: _Difference, replay: Replay, person: Person, role: str | None) -> Iterator[Event]:
    known = replay.people[person.id]
    who = {"workspace": replay.workspace, "member": person.id, "name": person.name}
    wanted = "member" if person.member and person.state != "pending" else "none"
    wanted = "pending" if person.state == "pending" else wanted
    if wanted == "member" and known.membership != "member":
        data = {"role": person.role} if person.role else {}
        yield difference.event("member.joined", data=data, **who)
    elif wanted == "pending" and known.membership == "none":
        # The tool says that this person has no account yet: free in every capacity (TR-18, A-06).
        yield difference.event("member.invited", data={"unconfirmed": True}, **who)
    elif wanted != known.membership:
        yield difference.event("member.left", **who)
    if wanted == known.membership == "member" and person.role and person.role != role:
        yield difference.event("member.role_changed", data={"role": person.role}, **who)
    if person.state == "deactivated" and not known.deactivated:
        yield difference.event("member.deactivated", **who)
    elif person.state == "joined" and known.deactivated:
        yield difference.event("member.reactivated", **who)


def _gone(difference: _Difference, replay: Replay, listed: set[str]) -> Iterator[Event]:
    """People the full list no longer has."""
    for name in sorted(replay.people.keys() - listed):
        if replay.people[name].membership != "none":
            yield difference.event("member.left", workspace=replay.workspace, member=name)
        for board in replay.boards_of(name):
            yield difference.event("board.member_removed", board=board, member=name)
