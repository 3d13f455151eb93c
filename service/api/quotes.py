"""What would this cost? Every command can be asked about before it is given (TR-27)."""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, INCLUDE, Schema, fields, post_load, validate

from billing.core.explanation import describe
from billing.store import views
from service.api import here
from service.api.command_bodies import BODIES, Actor, Opening
from service.api.faults import FieldsError
from service.api.fields import MAX_INT, Instant, Whole, flag, text
from service.api.resource import Resource
from service.api.schemas import Line
from workers import quotes, whatif

QUOTES = Resource(
    "quotes", "Quotes: what a command would post, computed by the function that would post it.", scope="commands"
)


class QuoteRequest(Schema):
    """A command's name and what it would carry; `members` takes added people or a `count`."""

    class Meta:
        """A quote carries what its command would carry."""

        unknown = INCLUDE

    command = text(required=True, metadata={"example": "subscription"})
    actor = fields.Nested(Actor, allow_none=True)
    plan = text()
    interval = text()
    opening = fields.Nested(Opening, allow_none=True)
    licences = Whole(least=1)
    add = Whole(least=1)
    remove = Whole(least=1)
    delta = Whole(least=-MAX_INT)
    count = Whole(least=1)
    members = fields.List(fields.Dict(), validate=validate.Length(min=1))

    @post_load(pass_original=True)
    def as_commanded(self, data: dict[str, Any], original: Mapping[str, Any], **_: object) -> dict[str, Any]:
        """What the command would carry, read as the command reads it. Raises ValidationError as it would."""
        command = quotes.WORDS.get(data["command"], data["command"])
        if command not in BODIES:
            return data
        given = {name: value for name, value in original.items() if name != "actor"}
        carried: dict[str, Any] = BODIES[command](unknown=EXCLUDE, partial=("actor",)).load(given)
        return data | carried


class Quote(Schema):
    """What a command would post and ask for, tax included; a refund is what would be paid back."""

    id = fields.String(required=True)
    lines = fields.List(fields.Nested(Line), required=True)
    amount = fields.Integer(required=True)
    tax = fields.Integer(required=True)
    credit = fields.Integer(required=True)
    refund = fields.Integer(required=True)
    as_of = Instant(required=True)


class WhatIf(Schema):
    """Another plan, or another seat policy, for the same facts."""

    plan = text()
    guests_free = flag(allow_none=True, load_default=None)
    closed_boards_count = flag(allow_none=True, load_default=None)


class ComparedPeriod(Schema):
    """One billed period: what is owed, and what it would be (`amount`), minor units before tax."""

    subscription = fields.String(required=True)
    n = fields.Integer(required=True)
    start = Instant(required=True)
    owed = fields.Integer(required=True)
    amount = fields.Integer(required=True)


class Comparison(Schema):
    """The same facts, side by side."""

    plan = fields.String(required=True)
    currency = fields.String(required=True)
    owed_currency = fields.String(required=True)
    owed = fields.Integer(required=True)
    amount = fields.Integer(required=True)
    periods = fields.List(fields.Nested(ComparedPeriod), required=True)
    lines = fields.List(fields.Nested(Line), required=True)


@QUOTES.post("/workspaces/<workspace_id>/what-if", Comparison, WhatIf, status=200)
def what_if(body: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """What would the same people have cost under another plan or seat policy? It writes nothing."""
    row = views.require(here.connection(), here.scope(), workspace_id)
    return whatif.compare(here.connection(), row, body)


@QUOTES.post("/workspaces/<workspace_id>/quotes", Quote, QuoteRequest)
def make_quote(body: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """What would this cost? It posts nothing; a command that carries the quote's id is refused if anything moved."""
    views.require(here.connection(), here.scope(), workspace_id)
    if body["command"] not in quotes.NAMES:
        raise FieldsError({"command": [f"Must be one of: {', '.join(quotes.NAMES)}."]})
    if "members" in body:
        body.setdefault("count", len(body["members"]))
    here.afterwards(here.house().bell.send)
    quote = quotes.quote(here.connection(), here.house().settings.collect, workspace_id, body)
    return quote | {"lines": [_told(line, quote["pins"].get("currency")) for line in quote["lines"]]}


def _told(line: Mapping[str, Any], currency: str | None) -> dict[str, Any]:
    return {"description": describe(line["kind"], line["seats"]), "currency": currency, **line}
