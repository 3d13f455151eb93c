"""What people tell a workspace: its roster, a subscription start, and the question what something would cost."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate, validates_schema

from billing.core import calendar
from billing.core.errors import RefusedError
from billing.core.explanation import describe
from billing.store import views
from service.api import here
from service.api.faults import FieldsError
from service.api.fields import Day, Instant, Whole, flag, one_of, text
from service.api.resource import Resource
from service.api.schemas import Line
from workers import commands, quotes, roster_import

COMMANDS = Resource("commands", "Roster import, subscription start, quotes.")
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


class Actor(Schema):
    """Who gives the command; where the roster knows another role of them, the roster's counts."""

    id = text(required=True)
    role = text(load_default=None, allow_none=True)


class Opening(Schema):
    """Seats already paid for elsewhere: posted, never charged. `unit_amount` is minor units a seat and period."""

    seats = Whole(required=True)
    paid_from = Day(required=True)
    paid_to = Day(required=True)
    unit_amount = Whole(required=True)


class Start(Schema):
    """A subscription start at the workspace's now."""

    actor = fields.Nested(Actor, required=True)
    plan = text(required=True)
    interval = text(required=True)
    payment_method = one_of("card", "bank_transfer", load_default=None, allow_none=True)
    opening = fields.Nested(Opening, load_default=None, allow_none=True)
    quote_id = text(load_default=None, allow_none=True)


class Period(Schema):
    """A stretch of paid time, the end not in it."""

    start = Instant(required=True)
    end = Instant(required=True)


class Subscription(Schema):
    """A workspace's run of a plan."""

    id = fields.String(required=True)
    plan = fields.String(required=True)
    price_id = fields.String(required=True)
    unit_amount = fields.Integer(required=True)
    currency = fields.String(required=True)
    interval = fields.String(required=True)
    anchor = Day(required=True)
    period = fields.Nested(Period, required=True)
    state = fields.String(required=True)


class QuoteRequest(Schema):
    """`subscription` takes `plan` and `interval` as the start does; `members` takes added people or a `count`."""

    class Meta:
        """A quote carries what its command would carry."""

        unknown = INCLUDE

    command = text(required=True, metadata={"example": "subscription"})
    plan = text()
    interval = text()
    opening = fields.Nested(Opening, allow_none=True)
    count = Whole(least=1)
    members = fields.List(fields.Raw(), validate=validate.Length(min=1))

    @validates_schema
    def whole(self, data: Mapping[str, Any], **_: object) -> None:
        """Raises ValidationError when a start lacks what it needs."""
        if quotes.COMMANDS.get(str(data.get("command"))) == "subscription":
            missing = {name: ["Missing data for required field."] for name in ("plan", "interval") if name not in data}
            if missing:
                raise ValidationError(missing)


class Quote(Schema):
    """What a command would post, computed by the function that would post it."""

    id = fields.String(required=True)
    lines = fields.List(fields.Nested(Line), required=True)
    amount = fields.Integer(required=True)
    tax = fields.Integer(required=True)
    credit = fields.Integer(required=True)
    as_of = Instant(required=True)


@COMMANDS.post("/workspaces/<workspace_id>/roster", Imported, Roster, status=200)
def import_roster(body: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """Import a full list of people and boards; the differences become facts."""
    views.require(here.connection(), here.scope(), workspace_id)
    made = roster_import.import_roster(here.connection(), workspace_id, body["at"], body["members"], body["boards"])
    here.afterwards(partial(here.house().bell.settle, workspace_id))
    return {"facts": made}


@COMMANDS.post("/workspaces/<workspace_id>/subscription", Subscription, Start)
def start_subscription(body: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """Start a subscription; the first charge is for everyone who is billable now."""
    views.require(here.connection(), here.scope(), workspace_id)
    collect, actor = here.house().settings.collect, body.pop("actor")
    here.afterwards(here.house().bell.send)
    try:
        with here.connection().transaction():
            started = commands.start(here.connection(), collect, workspace_id, body, actor)
    except RefusedError as refusal:
        commands.refused(here.connection(), workspace_id, body, actor, refusal)
        raise
    subscription, terms = started["subscription"], started["terms"]
    # Time paid for elsewhere began before the command did.
    opened = subscription.opening_seats is not None
    begins = calendar.midnight(subscription.anchor, subscription.zone) if opened else subscription.started_at
    return {
        "id": subscription.id,
        "plan": terms.plan,
        "price_id": terms.price_id,
        "unit_amount": terms.unit_amount,
        "currency": terms.currency,
        "interval": terms.interval,
        "anchor": subscription.anchor,
        "period": {"start": begins, "end": subscription.renewal(1)},
        "state": "active",
    }


@COMMANDS.post("/workspaces/<workspace_id>/quotes", Quote, QuoteRequest)
def make_quote(body: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """What would this cost? It posts nothing; a start that carries the quote's id is refused if anything moved."""
    views.require(here.connection(), here.scope(), workspace_id)
    if body["command"] not in quotes.COMMANDS:
        raise FieldsError({"command": [f"Must be one of: {', '.join(sorted(quotes.COMMANDS))}."]})
    if "members" in body:
        body.setdefault("count", len(body["members"]))
    here.afterwards(here.house().bell.send)
    quote = quotes.quote(here.connection(), here.house().settings.collect, workspace_id, body)
    return quote | {"lines": [_told(line, quote["pins"].get("currency")) for line in quote["lines"]]}


def _told(line: Mapping[str, Any], currency: str | None) -> dict[str, Any]:
    return {"description": describe(line["kind"], line["seats"]), "currency": currency, **line}
