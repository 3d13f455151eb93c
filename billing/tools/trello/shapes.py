"""The parts of a Trello delivery that seats depend on, and where each is looked for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marshmallow import fields

from billing.tools.parsing import Ident, Instant, MalformedError, Name, Shape, check


class _Head(Shape):
    id = Ident(required=True)
    type = Ident(required=True)
    date = Instant(required=True)


class _Envelope(Shape):
    action = fields.Nested(_Head, required=True)


class _Organization(Shape):
    id = Ident(allow_none=True)


class _Board(_Organization):
    closed = fields.Boolean(allow_none=True, truthy={True}, falsy={False})
    organization = Ident(allow_none=True, data_key="idOrganization")


class _Old(Shape):
    closed = fields.Boolean(allow_none=True, truthy={True}, falsy={False})


class _Data(Shape):
    board = fields.Nested(_Board, allow_none=True)
    organization = fields.Nested(_Organization, allow_none=True)
    old = fields.Nested(_Old, allow_none=True)
    member_added = Ident(allow_none=True, data_key="idMemberAdded")
    member = Ident(allow_none=True, data_key="idMember")
    role = Ident(allow_none=True, data_key="memberType")


class _Member(Shape):
    id = Ident(allow_none=True)
    name = Name(allow_none=True, data_key="fullName")


class _Action(_Head):
    data = fields.Nested(_Data, required=True)
    member = fields.Nested(_Member, allow_none=True)


class _Model(Shape):
    id = Ident(allow_none=True)
    organization = Ident(allow_none=True, data_key="idOrganization")
    # Only presence counts: an organization has a display name, a member and an enterprise have the plural list.
    display_name = fields.Raw(data_key="displayName", allow_none=True)
    organizations = fields.Raw(data_key="idOrganizations", allow_none=True)


class _Body(Shape):
    model = fields.Nested(_Model, allow_none=True)
    action = fields.Nested(_Action, required=True)


_ENVELOPE, _BODY = _Envelope(), _Body()


def action_type(value: object) -> str:
    """The type of the action, once id, type and date are sound. Raises MalformedError."""
    return str(check(_ENVELOPE, value)["action"]["type"])


@dataclass(frozen=True, slots=True)
class Action:
    """One action about seats, with the model it was heard on."""

    action: dict[str, Any]
    data: dict[str, Any]
    model: dict[str, Any]

    @property
    def id(self) -> str:
        """The action's own id."""
        return str(self.action["id"])

    @property
    def at(self) -> datetime:
        """When it happened, UTC."""
        at: datetime = self.action["date"]
        return at

    @property
    def member(self) -> str | None:
        """The person it is about. Never `data.member`: in an invitation that is the inviter."""
        affected = self.action.get("member") or {}
        return self.data.get("member_added") or self.data.get("member") or affected.get("id")

    @property
    def name(self) -> str | None:
        """The display name, when the action shows the person it is about."""
        affected = self.action.get("member") or {}
        shown = affected.get("id") in (None, self.member)
        return affected.get("name") if shown else None

    @property
    def role(self) -> str | None:
        """`data.memberType`."""
        return self.data.get("role")

    @property
    def board(self) -> str:
        """The board. Raises MalformedError when the action names none."""
        board = self.maybe_board
        if board is None:
            raise MalformedError("action.data.board.id: is missing")
        return board

    @property
    def maybe_board(self) -> str | None:
        """The board, if the action names one."""
        return self._of("board", "id")

    @property
    def named_workspace(self) -> str | None:
        """The workspace the action is about, by its own words or because the webhook watches a workspace."""
        watched = "display_name" in self.model and not {"organization", "organizations"} & self.model.keys()
        return self._of("organization", "id") or (self.model.get("id") if watched else None)

    @property
    def workspace(self) -> str | None:
        """The workspace the action is about, else the one that owns the watched board now."""
        return self.named_workspace or self.model.get("organization")

    @property
    def moved_to(self) -> str | None:
        """The workspace that an unpublished move names on the board itself."""
        return self.named_workspace or self._of("board", "organization")

    @property
    def owner(self) -> str | None:
        """The owner shown by the watched board: None unknown, "" none, else the workspace (DESIGN.md section 6)."""
        board = self.maybe_board
        if board is None or self.model.get("id") != board or "organization" not in self.model:
            return None
        return self.model["organization"] or ""

    @property
    def closed(self) -> tuple[bool | None, bool | None]:
        """Whether the board was closed before and is closed after; None where the action does not say."""
        return (self.data.get("old") or {}).get("closed"), (self.data.get("board") or {}).get("closed")

    def _of(self, key: str, part: str) -> str | None:
        return (self.data.get(key) or {}).get(part)


def seat_action(value: object) -> Action:
    """The action with everything a fact needs. Raises MalformedError that names the wrong field."""
    body = check(_BODY, value)
    action = body["action"]
    return Action(action, action["data"], body.get("model") or {})
