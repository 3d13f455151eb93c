"""The full roster of a workspace: what to ask Trello, and how to read its answers.

A removal that a webhook lost cannot be read from Trello's actions, so only memberships tell who is still there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from marshmallow import fields

from billing.tools.parsing import Ident, MalformedError, Name, Shape, check
from billing.tools.room import Ask, Person

_API = "https://api.trello.com/1"
_ALL = MappingProxyType({"filter": "all", "member": "true"})


class _Member(Shape):
    name = Name(allow_none=True, data_key="fullName")


class _Membership(Shape):
    person = Ident(required=True, data_key="idMember")
    role = Ident(allow_none=True, data_key="memberType")
    unconfirmed = fields.Boolean(allow_none=True)
    # Older answers for a workspace lack it: absent means not deactivated.
    deactivated = fields.Boolean(allow_none=True)
    member = fields.Nested(_Member, allow_none=True)


class _Board(Shape):
    id = Ident(required=True)


_MEMBERSHIP, _BOARD = _Membership(), _Board()


@dataclass(slots=True)
class _Draft:
    name: str | None = None
    member: bool = False
    boards: list[str] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    role: str | None = None


def snapshot_asks(workspace: str) -> tuple[Ask, ...]:
    """The workspace's memberships, then its boards; `board_asks` turns the second answer into the rest."""
    place = f"{_API}/organizations/{quote(workspace, safe='', errors='replace')}"
    return (
        Ask(f"{place}/memberships", _ALL),
        Ask(f"{place}/boards", MappingProxyType({"filter": "all", "fields": "id,name,closed"})),
    )


def board_asks(boards: object) -> dict[str, Ask]:
    """For each board of the second answer, the question for its memberships. Raises MalformedError."""
    ids = [str(check(_BOARD, row, "boards")["id"]) for row in _rows(boards, "boards")]
    return {board: Ask(f"{_API}/boards/{quote(board, safe='')}/memberships", _ALL) for board in ids}


def read_snapshot(members: object, boards: Mapping[str, object]) -> tuple[Person, ...]:
    """The people of a workspace by id, from the answers for the workspace and for each board (board id to answer).

    Unconfirmed people (invited by e-mail, no account yet) are pending. Raises MalformedError when an answer is not
    what Trello documents: half a roster would look like people who left.
    """
    drafts: dict[str, _Draft] = {}
    for row in _rows(members, "memberships"):
        _note(drafts, row).member = True
    for board, answer in boards.items():
        for row in _rows(answer, f"boards.{board}"):
            _note(drafts, row).boards.append(board)
    return tuple(_person(person, draft) for person, draft in sorted(drafts.items()))


def _rows(answer: object, where: str) -> list[Any]:
    if not isinstance(answer, list):
        raise MalformedError(f"{where}: must be a list")
    return answer


def _note(drafts: dict[str, _Draft], row: object) -> _Draft:
    entry = check(_MEMBERSHIP, row, "membership")
    draft = drafts.setdefault(entry["person"], _Draft())
    draft.name = draft.name or (entry.get("member") or {}).get("name")
    # The workspace's rows come first, so its role stands before any board's.
    draft.role = draft.role or entry.get("role")
    draft.states.add(_state(entry))
    return draft


def _state(entry: Mapping[str, object]) -> str:
    if entry.get("deactivated"):
        return "deactivated"
    return "pending" if entry.get("unconfirmed") or entry.get("role") == "ghost" else "joined"


def _person(person: str, draft: _Draft) -> Person:
    state = next(word for word in ("deactivated", "joined", "pending") if word in draft.states)
    return Person(person, draft.name, draft.member, tuple(draft.boards), state, draft.role)
