"""What an event of the `standard` room says (contract.md, "HTTP: webhooks and callbacks")."""

from collections.abc import Mapping

from marshmallow import Schema, fields

from billing.core.facts import BOARD_MEMBER_KINDS
from billing.tools.parsing import Ident, Instant, MalformedError, Name, Shape, check, parse
from billing.tools.room import Event, Reading
from billing.tools.standard.door import delivery_id

MEMBER_TYPES = frozenset(f"member.{word}" for word in ("joined", "left", "invited", "deactivated", "reactivated"))
BOARD_TYPES = frozenset({"board.closed", "board.reopened"})


class _Member(Shape):
    id = Ident(required=True)
    name = Name(allow_none=True)
    role = Ident(allow_none=True)


class _MemberData(Shape):
    workspace = Ident(required=True)
    member = fields.Nested(_Member, required=True)


class _BoardData(Shape):
    workspace = Ident(required=True)
    board = Ident(required=True)


class _BoardMemberData(_BoardData):
    member = fields.Nested(_Member, required=True)


class _Type(Shape):
    type = Ident(required=True)


class _Head(_Type):
    timestamp = Instant(required=True)


_TYPE, _HEAD = _Type(), _Head()
#: The types are the house's own words for facts, so no other table is needed.
_DATA: Mapping[str, Schema] = (
    dict.fromkeys(MEMBER_TYPES, _MemberData())
    | dict.fromkeys(BOARD_MEMBER_KINDS, _BoardMemberData())
    | dict.fromkeys(BOARD_TYPES, _BoardData())
)


def read(headers: Mapping[str, str], body: bytes) -> Reading:
    """One event of a known type; a type of somebody else's is kept and counted. Never raises."""
    parsed = parse(body)
    if parsed.fault:
        return Reading(quarantined=True, reason=parsed.fault)
    word = ""
    try:
        word = str(check(_TYPE, parsed.value)["type"])
        if word not in _DATA:
            return Reading(action=word, known=False, reason=f"the type {word} is not one of this room")
        return Reading((_event(word, parsed.value, delivery_id(headers, body)),), action=word)
    except MalformedError as error:
        return Reading(quarantined=True, reason=str(error), action=word)


def _event(kind: str, value: Mapping[str, object], source_id: str) -> Event:
    at = check(_HEAD, value)["timestamp"]
    data = check(_DATA[kind], value.get("data"), "data")
    member = data.get("member", {})
    board = data.get("board")
    workspace = data["workspace"]
    role = member.get("role")
    return Event(
        kind=kind,
        at=at,
        source_id=source_id,
        workspace=workspace,
        board=board,
        # A board lives in one workspace for good here, so each event of a board shows its owner.
        owner=workspace if board else None,
        member=member.get("id"),
        name=member.get("name"),
        data={"role": role} if role else {},
    )
