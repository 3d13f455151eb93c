"""Who is in which room: what to ask Chatwork, and how to read its answers (formats.md section 2).

The contract's own list of users has no endpoint, so nobody's membership of the contract is told here: it is imported.
Rooms count to the workspace while the account of the token is in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from marshmallow import fields, validate

from billing.tools.parsing import Ident, MalformedError, Name, Shape, check
from billing.tools.room import Api, Ask, Person, Refusal, Scope, Snapshot, Step

#: No kind is announced: system messages are only hints.
API: Api | None = Api(
    "https://api.chatwork.com/v2", MappingProxyType({"token": "header:x-chatworktoken"}), (300, 300.0), frozenset()
)
#: The kind of room that people are added to; the others are one's own and two people's.
_GROUP = "group"
_ROOMS = Ask("/rooms")


def _number() -> fields.Integer:
    return fields.Integer(required=True, strict=True, validate=validate.Range(1, 2**63 - 1))


class _Room(Shape):
    room_id = _number()
    type = Ident(required=True)


class _Member(Shape):
    account_id = _number()
    name = Name(allow_none=True)


_ROOM, _MEMBER = _Room(), _Member()


@dataclass(slots=True)
class _Draft:
    name: str | None = None
    boards: list[str] = field(default_factory=list)


def pull(scope: Scope, answers: Mapping[Ask, object]) -> Step:
    """The group rooms, then the members of each. Neither list has pages."""
    try:
        if _ROOMS not in answers:
            return (_ROOMS,)
        rooms = [str(row["room_id"]) for row in _rows(answers[_ROOMS], _ROOM, "rooms") if row["type"] == _GROUP]
        asks = {room: Ask(f"/rooms/{room}/members") for room in rooms}
        if unanswered := tuple(ask for ask in asks.values() if ask not in answers):
            return unanswered
        people = _people({room: answers[ask] for room, ask in asks.items()})
    except MalformedError as error:
        return Refusal(str(error))
    return Snapshot(people, dict.fromkeys(rooms, False), complete=False)


def _people(rooms: Mapping[str, object]) -> tuple[Person, ...]:
    drafts: dict[str, _Draft] = {}
    for room, answer in rooms.items():
        for row in _rows(answer, _MEMBER, f"rooms.{room}.members"):
            draft = drafts.setdefault(str(row["account_id"]), _Draft())
            draft.name = draft.name or row.get("name")
            draft.boards.append(room)
    return tuple(Person(who, draft.name, boards=tuple(draft.boards)) for who, draft in sorted(drafts.items()))


def _rows(answer: object, shape: Shape, where: str) -> list[dict[str, Any]]:
    if not isinstance(answer, list):
        raise MalformedError(f"{where}: must be a list")
    return [check(shape, row, where) for row in answer]
