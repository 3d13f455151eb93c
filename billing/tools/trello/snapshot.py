"""The full roster of a workspace and what joined it since: what to ask Trello, and how to read its answers.

A removal that a webhook lost cannot be read from Trello's actions (they are sent to webhooks only), so memberships
tell who is still there. Additions and moves of boards can: an action read again has the id its webhook had.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from marshmallow import fields

from billing.core.calendar import written
from billing.core.facts import BOARD_KINDS, BOARD_MEMBER_KINDS, MEMBER_KINDS
from billing.tools.parsing import Ident, MalformedError, Name, Shape, check
from billing.tools.room import Api, Ask, Event, Person, Refusal, Scope, Snapshot, Step
from billing.tools.trello.actions import read

#: 100 requests in 10 s per token, the narrower of Trello's two limits. An invitation's webhook names nobody.
API: Api | None = Api(
    "https://api.trello.com/1",
    MappingProxyType({"key": "query:key", "token": "query:token"}),
    (100, 10.0),
    BOARD_KINDS | BOARD_MEMBER_KINDS | MEMBER_KINDS - {"member.invited"},
)
#: Actions of one answer; a full page means that there may be more before it.
PAGE = 1000
_ALL = (("filter", "all"), ("member", "true"))
_MOVES = ("addToOrganizationBoard", "removeFromOrganizationBoard", "updateBoardOrg")
_OF_WORKSPACE = ",".join(("addMemberToOrganization", *_MOVES))
_OF_BOARD = ",".join(("addMemberToBoard", "updateBoard", "createBoard", "copyBoard", *_MOVES))


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
    closed = fields.Boolean(allow_none=True, truthy={True}, falsy={False})


class _Action(Shape):
    id = Ident(required=True)
    type = Ident(required=True)


_MEMBERSHIP, _BOARD, _ACTION = _Membership(), _Board(), _Action()


@dataclass(slots=True)
class _Draft:
    name: str | None = None
    member: bool = False
    boards: list[str] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    role: str | None = None


def pull(scope: Scope, answers: Mapping[Ask, object]) -> Step:
    """The workspace's memberships and boards, each board's memberships, and the actions since, page by page."""
    try:
        return _pull(scope, answers)
    except MalformedError as error:
        return Refusal(str(error))


def _pull(scope: Scope, answers: Mapping[Ask, object]) -> Step:
    place = f"/organizations/{_quoted(scope.workspace)}"
    members = Ask(f"{place}/memberships", _ALL)
    boards = Ask(f"{place}/boards", (("filter", "all"), ("fields", "id,name,closed")))
    pages = _pages(scope, f"{place}/actions", _OF_WORKSPACE, answers)
    if boards not in answers:
        return tuple(ask for ask in (members, boards, *pages) if ask not in answers)
    closed = {row["id"]: bool(row.get("closed")) for row in _checked(answers[boards], _BOARD, "boards")}
    people = {board: Ask(f"/boards/{_quoted(board)}/memberships", _ALL) for board in closed}
    of_boards = {board: _pages(scope, f"/boards/{_quoted(board)}/actions", _OF_BOARD, answers) for board in closed}
    wanted = (members, *pages, *people.values(), *(ask for some in of_boards.values() for ask in some))
    if open_asks := tuple(ask for ask in wanted if ask not in answers):
        return open_asks
    events = [*_events({"id": scope.workspace, "displayName": ""}, [answers[ask] for ask in pages])]
    for board, asks in of_boards.items():
        events += _events({"id": board, "idOrganization": scope.workspace}, [answers[ask] for ask in asks])
    return Snapshot(
        _people(answers[members], {board: answers[ask] for board, ask in people.items()}), closed, _once(events)
    )


def _pages(scope: Scope, path: str, words: str, answers: Mapping[Ask, object]) -> tuple[Ask, ...]:
    """The pages of a list of actions, newest first, up to the first that is not answered or not full."""
    if scope.since is None:
        return ()
    given = (("filter", words), ("limit", str(PAGE)), ("since", written(scope.since)))
    asks = [Ask(path, given)]
    while asks[-1] in answers:
        rows = _checked(answers[asks[-1]], _ACTION, path)
        if len(rows) < PAGE:
            break
        following = Ask(path, (*given, ("before", rows[-1]["id"])))
        if following in asks:
            raise MalformedError(f"{path}: the same page comes again")
        asks.append(following)
    return tuple(asks)


def _events(model: Mapping[str, object], pages: Sequence[object]) -> Iterator[Event]:
    """The events of actions as the room reads a delivery of them, so that both are one fact. One that cannot be read
    is left out: what it told is in the lists all the same.

    The present owner of a board is shown only from its last move on: before it, the board may have been another's.
    """
    shown: Mapping[str, object] | None = model
    for page in pages:
        for row in _rows(page, "actions"):
            reading = read({}, _body(row, shown))
            yield from reading.events
            if reading.action in _MOVES and "idOrganization" in model:
                shown = None


def _body(action: object, model: Mapping[str, object] | None) -> bytes:
    return json.dumps({"action": action} | ({"model": model} if model else {})).encode()


def _once(events: Sequence[Event]) -> tuple[Event, ...]:
    """Each event once: a move is listed by the board and by the workspace."""
    return tuple({(event.source_id, event.ordinal): event for event in events}.values())


def _people(members: object, boards: Mapping[str, object]) -> tuple[Person, ...]:
    """The people by id. Unconfirmed ones (invited by e-mail, no account yet) are pending."""
    drafts: dict[str, _Draft] = {}
    for row in _checked(members, _MEMBERSHIP, "memberships"):
        _note(drafts, row).member = True
    for board, answer in boards.items():
        for row in _checked(answer, _MEMBERSHIP, f"boards.{board}"):
            _note(drafts, row).boards.append(board)
    return tuple(_person(person, draft) for person, draft in sorted(drafts.items()))


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _rows(answer: object, where: str) -> list[Any]:
    if not isinstance(answer, list):
        raise MalformedError(f"{where}: must be a list")
    return answer


def _checked(answer: object, shape: Shape, where: str) -> list[dict[str, Any]]:
    return [check(shape, row, where) for row in _rows(answer, where)]


def _note(drafts: dict[str, _Draft], entry: Mapping[str, Any]) -> _Draft:
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
