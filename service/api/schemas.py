"""The shapes that several routes answer with. Names are those of the tables and of openapi.yaml."""

from marshmallow import Schema, fields

from service.api.fields import Instant


class Problem(Schema):
    """Every error, RFC 9457."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "Stable and machine-readable."})
    rule = fields.String(metadata={"description": "The rule of the rulebook that refused."})
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "What is wrong with each field, by its path such as `members.0.id`."},
    )


class Line(Schema):
    """One amount: quantity x unit price x an exact fraction, rounded once. Money is integers in minor units."""

    key = fields.String(required=True)
    kind = fields.String(required=True)
    instant = Instant(required=True)
    description = fields.String(required=True)
    seats = fields.Integer(required=True)
    unit_amount = fields.Integer(required=True)
    fraction = fields.String(required=True, metadata={"example": "3/4"})
    amount = fields.Integer(required=True)
    currency = fields.String(required=True)
    rules = fields.List(fields.String(), required=True)
    entry_id = fields.String(required=True, allow_none=True)


class Entry(Line):
    """A ledger entry: `amount` is its own, signed, so that the sum per key is what is posted."""

    posted_at = Instant(required=True)
    heard_at = Instant(required=True)
