"""A full list of a workspace's people and boards, told at once."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from billing.store import views
from service.api import here
from service.api.fields import Instant, flag, one_of, text
from service.api.resource import Resource
from workers import roster_import

ROSTER = Resource("roster", "Roster import.")
STATES = ("joined", "pending", "deactivated")


class RosterMember(Schema):
    """One person of a full list."""

    id = text(required=True)
    name = text(allow_none=True)
    member = flag(load_default=True)
    boards = fields.List(text(), load_default=list)
    state = one_of(*STATES, load_default="joined")
    role = text(allow_none=True)


class RosterBoard(Schema):
    """One board of a full list."""

    id = text(required=True)
    closed = flag(load_default=False)


class Roster(Schema):
    """A full list: who and what is not in it, is gone. Without `boards`, boards nobody is on are left alone."""

    at = Instant(load_default=None, allow_none=True)
    members = fields.List(fields.Nested(RosterMember), required=True)
    boards = fields.List(fields.Nested(RosterBoard), load_default=None, allow_none=True)

    @validates_schema
    def once_each(self, data: Mapping[str, Any], **_: object) -> None:
        """Raises ValidationError when someone is listed twice."""
        for name in ("members", "boards"):
            ids = [row["id"] for row in data.get(name) or ()]
            if len(ids) != len(set(ids)):
                raise ValidationError("An id is listed twice.", name)


class Imported(Schema):
    """How many facts the differences made."""

    facts = fields.Integer(required=True)


@ROSTER.post("/workspaces/<workspace_id>/roster", Imported, Roster, status=200)
def import_roster(body: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """Import a full list of people and boards; the differences become facts."""
    views.require(here.connection(), here.scope(), workspace_id)
    made = roster_import.import_roster(here.connection(), workspace_id, body["at"], body["members"], body["boards"])
    here.afterwards(partial(here.house().bell.settle, workspace_id))
    return {"facts": made}
