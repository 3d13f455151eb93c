"""Workspaces: what is billed."""

from functools import partial
from typing import Any

from marshmallow import Schema, ValidationError, fields

from billing.core import calendar
from billing.core.errors import InvalidError
from billing.store import clocks, connections, intake, views
from billing.store.db import Row
from service.api import auth, here, paging
from service.api.connections import known_tool
from service.api.faults import FieldsError
from service.api.fields import Instant, mail_address, one_of, page_of, text
from service.api.resource import Resource
from workers import commands

WORKSPACES = Resource("workspaces", "What is billed: a Trello workspace, a Chatwork contract, a Backlog space.")
COLLECT = ("live", "shadow", "paused")


def time_zone(value: str) -> None:
    """Raises ValidationError for what is no IANA time zone."""
    try:
        calendar.zone(value)
    except InvalidError as fault:
        raise ValidationError(str(fault)) from fault


class NewWorkspace(Schema):
    """`external_id` is the tool's own id of the workspace; with `clock_id` its time is that of a test clock."""

    tool = text(required=True)
    external_id = text(required=True)
    name = text(required=True)
    connection_id = text(load_default=None, allow_none=True)
    time_zone = fields.String(
        load_default=None,
        allow_none=True,
        validate=time_zone,
        metadata={"description": "Without one the tool's own: Asia/Tokyo for Japanese products, else UTC (XX-14)."},
    )
    clock_id = text(load_default=None, allow_none=True)
    collect = one_of(*COLLECT, load_default="live")
    account_id = text(metadata={"description": "Admin keys only."})


class BillingContact(Schema):
    """Whom documents are mailed to, in their language; they take no seat (B-10)."""

    name = text(allow_none=True)
    email = mail_address(required=True)
    language = one_of("ja", "en")


class WorkspaceChange(Schema):
    """What may be changed. Going live never sends what shadow computed."""

    name = text()
    connection_id = text(allow_none=True)
    collect = one_of(*COLLECT)
    billing_contact = fields.Nested(BillingContact, allow_none=True)


class Workspace(Schema):
    """`pending` counts what is still on its way: kept deliveries, unsettled facts, charges without an outcome."""

    id = fields.String(required=True)
    account_id = fields.String(required=True)
    tool = fields.String(required=True)
    external_id = fields.String(required=True)
    name = fields.String(required=True)
    connection_id = fields.String(required=True, allow_none=True)
    time_zone = fields.String(required=True)
    clock_id = fields.String(required=True, allow_none=True)
    now = Instant(required=True)
    state = fields.String(required=True)
    pending = fields.Integer(required=True)
    credit = fields.Integer(required=True)
    collect = fields.String(required=True, metadata={"enum": list(COLLECT)})
    billing_contact = fields.Nested(BillingContact, required=True, allow_none=True)


class Renewal(Schema):
    """What the next renewal will ask for, were nothing to change."""

    at = Instant(required=True)
    seats = fields.Integer(required=True)
    amount = fields.Integer(required=True, metadata={"description": "Before tax put on top of it."})
    tax = fields.Integer(required=True)
    currency = fields.String(required=True)


class Flag(Schema):
    """Something that exceeds the plan: kept and billed all the same (law 9)."""

    rule = fields.String(required=True)
    detail = fields.String(required=True)


class Seats(Schema):
    """Bought, used, empty, and next time. Without a subscription nothing is bought and nothing renews."""

    purchased = fields.Integer(required=True)
    occupied = fields.Integer(required=True)
    vacant = fields.Integer(required=True)
    next_renewal = fields.Nested(Renewal, required=True, allow_none=True)
    flags = fields.List(fields.Nested(Flag), required=True)
    as_of = Instant(required=True)


class Counts(Schema):
    """What caps are checked against: members and invited people; those and guests on open boards; open boards."""

    users = fields.Integer(required=True)
    collaborators = fields.Integer(required=True)
    open_boards = fields.Integer(required=True)


class Entitlements(Schema):
    """What the plan in force gives; a trial gives all of its plan (BL-09)."""

    plan = fields.String(required=True, allow_none=True)
    state = fields.String(required=True)
    access = fields.String(required=True, metadata={"enum": ["full", "view_only", "locked"]})
    features = fields.List(fields.String(), required=True)
    caps = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    counts = fields.Nested(Counts, required=True)
    flags = fields.List(fields.Nested(Flag), required=True)


class Member(Schema):
    """A person, and why they are billable or free. `boards` are the open boards of this workspace they are on."""

    id = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    role = fields.String(required=True, allow_none=True)
    state = fields.String(required=True, metadata={"enum": ["joined", "pending", "deactivated"]})
    member = fields.Boolean(required=True)
    boards = fields.List(fields.String(), required=True)
    classification = fields.String(required=True, metadata={"enum": ["billable", "free"]})
    rule = fields.String(required=True)
    deactivate_everywhere = fields.Boolean(
        required=True,
        metadata={"description": "May be deactivated on all boards at once and their activity seen (TR-17)."},
    )
    since = Instant(required=True, allow_none=True)
    fact_id = fields.String(required=True, allow_none=True)


@WORKSPACES.get("/workspaces", page_of(Workspace), paging.AccountQuery)
def list_workspaces(query: dict[str, Any]) -> dict[str, Any]:
    """List the workspaces."""
    account = auth.account_filter(query)
    (after,) = paging.after(query, "workspaces", str) or (None,)
    found = views.workspaces(here.connection(), account, after, query["limit"] + 1)
    return paging.page(found, query, "workspaces", paging.by_id)


@WORKSPACES.post("/workspaces", Workspace, NewWorkspace)
def make_workspace(body: dict[str, Any]) -> dict[str, Any]:
    """Make a workspace; what was heard of it before takes effect now."""
    connection, account = here.connection(), auth.account_for(body)
    body["time_zone"] = body["time_zone"] or known_tool(body["tool"]).ZONE
    if body["clock_id"] is not None:
        clocks.get(connection, account, body["clock_id"])
    _check_connection(account, body["tool"], body["connection_id"])
    workspace_id = views.insert_workspace(connection, account, body)
    intake.adopt(connection, workspace_id)
    row = views.workspace(connection, account, workspace_id)
    _ring(row)
    return row


@WORKSPACES.get("/workspaces/<workspace_id>", Workspace)
def get_workspace(workspace_id: str) -> dict[str, Any]:
    """One workspace."""
    return views.workspace(here.connection(), here.scope(), workspace_id)


@WORKSPACES.patch("/workspaces/<workspace_id>", Workspace, WorkspaceChange)
def change_workspace(body: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """Rename it, move it to another connection of its account, or change whether money is collected."""
    connection = here.connection()
    row = views.require(connection, here.scope(), workspace_id)
    _check_connection(row["account_id"], row["tool"], body.get("connection_id"))
    wanted = row | body
    views.change_workspace(connection, workspace_id, wanted["name"], wanted["connection_id"])
    if "billing_contact" in body:
        views.set_billing_contact(connection, workspace_id, body["billing_contact"])
    collect = here.house().settings.collect
    if "collect" in body and commands.set_collect(connection, workspace_id, body["collect"], collect):
        here.afterwards(here.house().bell.send)
    return views.workspace(connection, here.scope(), workspace_id)


@WORKSPACES.get("/workspaces/<workspace_id>/seats", Seats)
def get_seats(workspace_id: str) -> dict[str, Any]:
    """Seats purchased, occupied and vacant, and the next renewal."""
    return views.seats(here.connection(), views.require(here.connection(), here.scope(), workspace_id))


@WORKSPACES.get("/workspaces/<workspace_id>/entitlements", Entitlements)
def get_entitlements(workspace_id: str) -> dict[str, Any]:
    """What the plan in force gives the workspace and all its boards, and what exceeds it (TR-04, BL-09)."""
    return views.entitlements(here.connection(), views.require(here.connection(), here.scope(), workspace_id))


@WORKSPACES.get("/workspaces/<workspace_id>/members", page_of(Member), paging.Query)
def get_members(query: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """Everyone on the roster, billable or free, and by which rule."""
    row = views.require(here.connection(), here.scope(), workspace_id)
    (after,) = paging.after(query, "members", str) or (None,)
    found = views.members(here.connection(), row, after, query["limit"] + 1)
    return paging.page(found, query, "members", paging.by_id)


def _check_connection(account: str, tool: str, connection_id: str | None) -> None:
    """Raises NotFoundError for a connection of another account, FieldsError for one of another tool."""
    if connection_id is None:
        return
    row = connections.get(here.connection(), account, connection_id)
    if row["tool"] != tool:
        raise FieldsError({"connection_id": [f"This is a connection of {row['tool']}, not of {tool}."]})


def _ring(row: Row) -> None:
    bell = here.house().bell
    for connection_id in connections.serving(here.connection(), row["account_id"], row["tool"]):
        here.afterwards(partial(bell.read, connection_id))
    here.afterwards(partial(bell.settle, row["id"]))
