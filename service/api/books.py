"""The money of a workspace, told: statement, ledger, facts, charges, explanations."""

from datetime import datetime
from typing import Any

from marshmallow import Schema, fields

from billing.core import explanation
from billing.store import books, views
from billing.store.db import Row
from service.api import here, paging
from service.api.fields import Day, Instant, page_of
from service.api.resource import Resource
from service.api.schemas import Entry, Line

BOOKS = Resource("books", "What is owed, what was posted, and why.")


class Fact(Schema):
    """Something that happened: `at` is when, `heard_at` when we heard."""

    id = fields.String(required=True)
    kind = fields.String(required=True)
    at = Instant(required=True)
    heard_at = Instant(required=True)
    source = fields.String(required=True)
    source_id = fields.String(required=True)
    member = fields.String(required=True, allow_none=True)
    board = fields.String(required=True, allow_none=True)
    delivery_id = fields.String(required=True, allow_none=True)


class Told(Schema):
    """The explanation in words."""

    en = fields.String(required=True)
    ja = fields.String(required=True)


class Explanation(Schema):
    """Why an entry is what it is: seats x unit price x fraction = exact, rounded once to `amount`."""

    entry_id = fields.String(required=True)
    key = fields.String(required=True)
    at = Instant(required=True)
    heard_at = Instant(required=True)
    seats = fields.Integer(required=True)
    unit_amount = fields.Integer(required=True)
    currency = fields.String(required=True)
    method = fields.String(required=True)
    fraction = fields.String(required=True)
    exact = fields.String(required=True)
    rounding = fields.String(required=True)
    amount = fields.Integer(required=True)
    line_amount = fields.Integer(required=True, metadata={"description": "What the line stands at after this entry."})
    rules = fields.List(fields.String(), required=True)
    facts = fields.List(fields.Nested(Fact), required=True)
    text = fields.Nested(Told, required=True)


class Attempt(Schema):
    """One attempt to collect; `key` is its Idempotency-Key at the payment endpoint."""

    n = fields.Integer(required=True)
    key = fields.String(required=True)
    outcome = fields.String(required=True, allow_none=True)
    detail = fields.String(required=True, allow_none=True)
    posts = fields.Integer(required=True)
    at = Instant(required=True)


class Charge(Schema):
    """What the payment endpoint is asked for: `amount` has `tax` in it, and `credit` already taken off."""

    id = fields.String(required=True)
    workspace_id = fields.String(required=True)
    subscription_id = fields.String(required=True)
    status = fields.String(
        required=True,
        metadata={"enum": ["queued", "held", "sending", "pending", "succeeded", "failed", "unknown", "cancelled"]},
    )
    held_reason = fields.String(required=True, allow_none=True)
    currency = fields.String(required=True)
    amount = fields.Integer(required=True)
    tax = fields.Integer(required=True)
    credit = fields.Integer(required=True)
    method = fields.String(required=True, allow_none=True)
    due_on = Day(required=True)
    lines = fields.List(fields.Nested(Line), required=True)
    attempts = fields.List(fields.Nested(Attempt), required=True)
    reference = fields.String(required=True, allow_none=True)
    created_at = Instant(required=True)


def _workspace(workspace_id: str) -> Row:
    return views.require(here.connection(), here.scope(), workspace_id)


@BOOKS.get("/workspaces/<workspace_id>/statement", page_of(Line), paging.KnownQuery)
def get_statement(query: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """What is owed, line by line; with `as_known_at` by what had been heard by then."""
    workspace = _workspace(workspace_id)
    after = paging.after(query, "statement", datetime, str)
    if "as_known_at" in query:
        known = books.statement_as_known(here.connection(), workspace, query["as_known_at"])
        found = [line for line in known if after is None or (line["instant"], line["key"]) > after]
    else:
        found = books.statement(here.connection(), workspace_id, after, query["limit"] + 1)
    return paging.page(found, query, "statement", lambda line: (line["instant"], line["key"]))


@BOOKS.get("/workspaces/<workspace_id>/ledger", page_of(Entry), paging.KnownQuery)
def get_ledger(query: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """What was posted, entry by entry."""
    _workspace(workspace_id)
    (after,) = paging.after(query, "ledger", int) or (0,)
    found = books.ledger(here.connection(), workspace_id, query.get("as_known_at"), after, query["limit"] + 1)
    return paging.page(found, query, "ledger", lambda entry: (entry["seq"],))


@BOOKS.get("/workspaces/<workspace_id>/facts", page_of(Fact), paging.KnownQuery)
def get_facts(query: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """What happened, in the order it was filed."""
    _workspace(workspace_id)
    (after,) = paging.after(query, "facts", int) or (0,)
    found = books.facts(here.connection(), workspace_id, query.get("as_known_at"), after, query["limit"] + 1)
    return paging.page(found, query, "facts", lambda fact: (fact["seq"],))


@BOOKS.get("/workspaces/<workspace_id>/charges", page_of(Charge), paging.KnownQuery)
def get_charges(query: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """The charges of a workspace, the newest last."""
    _workspace(workspace_id)
    (after,) = paging.after(query, "charges", str) or (None,)
    found = books.charges(here.connection(), workspace_id, query.get("as_known_at"), after, query["limit"] + 1)
    return paging.page(found, query, "charges", paging.by_id)


@BOOKS.get("/charges/<charge_id>", Charge)
def get_charge(charge_id: str) -> dict[str, Any]:
    """One charge."""
    return books.charge(here.connection(), here.scope(), charge_id)


@BOOKS.get("/ledger/<entry_id>/explanation", Explanation)
def get_explanation(entry_id: str) -> dict[str, Any]:
    """Why this entry is what it is: its facts, its rules, its arithmetic, and both in words."""
    entry, facts = books.entry(here.connection(), here.scope(), entry_id)
    return explanation.explain(entry, facts, entry["time_zone"])
