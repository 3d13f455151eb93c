"""What a command is judged against, read from what is remembered. It decides nothing."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from billing.core import calendar
from billing.core.commands import ANYBODY, Case
from billing.core.errors import InvalidError, NotFoundError
from billing.core.plans import RERATING_DAYS, Terms
from billing.store import catalogue, subscriptions, views, workspaces
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id
from billing.tools import room as rooms

Body = Mapping[str, Any]


def case_of(connection: Conn, workspace: Row, command: str, body: Body, actor: Mapping[str, Any]) -> Case:
    """What a command is judged against: the settled workspace, the actor as the roster knows them, and the prices of
    the day. Raises NotFoundError for an option or a target contract that is not there, RefusedError BL-28."""
    if command == "trial":
        views.must_be_free(connection, workspace["account_id"], workspace["tool"], workspace["external_id"])
    life = subscriptions.course(connection, workspace)
    today = calendar.local_date(workspace["now"], workspace["time_zone"])
    return Case(
        now=workspace["now"],
        zone=workspace["time_zone"],
        course=life,
        actor=str(actor["id"]),
        role=_role(connection, workspace["id"], actor),
        new=new_id("sub"),
        offer=lambda plan: _offered(connection, workspace, plan, body, today),
        occupied=workspace["occupied"],
        users=None if life.running else lambda terms: _users(connection, workspace["id"], terms),
        purchased=workspace["purchased"],
        open_bill=_open_bill(connection, workspace["id"]),
        invited=_invited(connection, workspace, str(actor["id"])),
        target=_target(connection, workspace, body) if command == "migration" else None,
        target_full=_target_full(connection, workspace, body, actor, today) if command == "migration" else None,
        late=frozenset(waiting_late(connection, workspace["id"])) if command == "late-facts" else frozenset(),
        currency=_currency(connection, workspace["id"]),
        priced=lambda plan, interval, day: _taxed(workspace, catalogue.price_at(connection, plan, interval, day)),
        option=_taxed(workspace, catalogue.option_at(connection, str(body["option"]), today))
        if command == "option"
        else None,
    )


def waiting_late(connection: Conn, workspace_id: str) -> list[str]:
    """Facts older than the re-rating window whose effect on older periods waits for a person's verdict (law 10)."""
    query = f"""SELECT id FROM fact f WHERE f.workspace_id = %(id)s
                 AND f.heard_at - f.at > interval '{RERATING_DAYS} days'
                 AND NOT EXISTS (SELECT FROM fact v WHERE v.workspace_id = %(id)s AND v.kind = 'late.accepted'
                                 AND v.data->'facts' ? f.id) ORDER BY f.seq"""  # noqa: S608 - a constant of the core
    return [row["id"] for row in many(connection, query, {"id": workspace_id})]


def _offered(connection: Conn, workspace: Row, plan: str, body: Body, today: date) -> Mapping[str, Terms]:
    """What a plan is sold at today; time already paid elsewhere is taken at the price agreed there."""
    vendor = next((tool for tool in rooms.names() if plan.startswith(f"{tool}-")), workspace["tool"])
    if workspace["tool"] != vendor and rooms.load(workspace["tool"]).OWN_PLANS:
        raise InvalidError(f"{plan} is a plan of {vendor}; the workspace is of {workspace['tool']}", rule="XX-01")
    offers = catalogue.offers(connection, plan, today)
    opening = body.get("opening")
    if opening:
        interval = str(body["interval"])
        anchor = _opening_anchor(opening, interval, today)
        terms = catalogue.price_at(connection, plan, interval, anchor)
        offers = {interval: catalogue.with_unit_amount(terms, int(opening["unit_amount"]))}
    if not offers:
        terms = catalogue.price_at(connection, plan, str(body.get("interval") or "month"), today)
        offers = {terms.interval: terms}
    return {interval: _taxed(workspace, terms) for interval, terms in offers.items()}


def _taxed(workspace: Row, terms: Terms) -> Terms:
    return terms if workspace["tax_rate"] is None else replace(terms, tax_rate=workspace["tax_rate"])


def _opening_anchor(opening: Body, interval: str, today: date) -> date:
    """The anchor of time already paid elsewhere: the day it began, whose period must end on the day it says."""
    if interval not in calendar.MONTHS:
        raise InvalidError(f"interval must be one of {', '.join(calendar.MONTHS)}, not {interval!r} (TR-21)")
    paid_from, paid_to = opening["paid_from"], opening["paid_to"]
    ends = calendar.month_date(paid_from, calendar.MONTHS[interval])
    if paid_to not in (ends, ends - timedelta(days=1)):
        raise InvalidError(f"opening.paid_to must be {ends}, one {interval} after paid_from, not {paid_to}")
    if not paid_from <= today < ends:
        raise InvalidError(f"today ({today}) is not within the paid time from {paid_from} to {ends}")
    return date(paid_from.year, paid_from.month, paid_from.day)


def _currency(connection: Conn, workspace_id: str) -> str | None:
    """What the workspace was ever billed in."""
    query = "SELECT currency FROM entry WHERE workspace_id = %s AND amount <> 0 LIMIT 1"
    found = one(connection, query, (workspace_id,))
    return found["currency"] if found else None


def _role(connection: Conn, workspace_id: str, actor: Mapping[str, Any]) -> str | None:
    """Where the roster knows another role of the actor, the roster's counts."""
    if actor["id"] == "":  # nobody who could send a command: a quote asked by no one in particular
        return ANYBODY
    query = "SELECT role FROM member WHERE workspace_id = %s AND member = %s AND role IS NOT NULL"
    known = one(connection, query, (workspace_id, actor["id"]))
    role = known["role"] if known else actor.get("role")
    return None if role is None or role == ANYBODY else str(role)


def _users(connection: Conn, workspace_id: str, terms: Terms) -> int:
    """How many would take a seat under other terms than those that run: nobody was counted by them yet."""
    found = one(
        connection,
        """SELECT count(*)::int AS n FROM member WHERE workspace_id = %s AND NOT deactivated
             AND (membership = 'member' OR (%s AND membership = 'pending')
                  OR (NOT %s AND membership = 'none' AND open_boards >= 2))""",
        (workspace_id, terms.pending_count, terms.guests_free),
    )
    return int(found["n"]) if found else 0


def _open_bill(connection: Conn, workspace_id: str) -> bool:
    """Whether an invoice is out and not paid (B-21)."""
    query = """SELECT 1 AS found FROM charge WHERE workspace_id = %s AND method <> 'card'
               AND status IN ('queued', 'sending', 'pending', 'unknown', 'failed') LIMIT 1"""
    return one(connection, query, (workspace_id,)) is not None


def _invited(connection: Conn, workspace: Row, actor: str) -> bool:
    """Whether the actor is invited to another workspace of the account's tool (CW-11)."""
    query = """SELECT 1 AS found FROM member m JOIN workspace w ON w.id = m.workspace_id
               WHERE w.account_id = %s AND w.tool = %s AND w.id <> %s AND m.member = %s AND m.membership = 'pending'
               LIMIT 1"""
    asked = (workspace["account_id"], workspace["tool"], workspace["id"], actor)
    return one(connection, query, asked) is not None


def _target(connection: Conn, workspace: Row, body: Body) -> Terms | None:
    """The plan of the contract to move into; None: it runs none. Raises NotFoundError."""
    target = subscriptions.course(connection, _into(connection, workspace, body))
    return target.terms if target.running else None


def _into(connection: Conn, workspace: Row, body: Body) -> Row:
    query = """SELECT id FROM workspace WHERE account_id = %s AND tool = %s AND id <> %s AND %s IN (id, external_id)"""
    found = one(connection, query, (workspace["account_id"], workspace["tool"], workspace["id"], str(body["into"])))
    if found is None:
        raise NotFoundError(f"there is no other {workspace['tool']} workspace {body['into']} in the account")
    return workspaces.get(connection, found["id"])


def _target_full(connection: Conn, workspace: Row, body: Body, actor: Body, today: date) -> str | None:
    """The rule by which the contract to move into takes nobody more: no licence is free, or its plan's cap is reached
    (CW-04, CW-06, B-15)."""
    into = _into(connection, workspace, body)
    course = subscriptions.course(connection, into)
    terms = course.terms if course.running else catalogue.free_plan(connection, into["tool"], today)
    query = "SELECT 1 AS found FROM member WHERE workspace_id = %s AND member = %s AND membership <> 'none'"
    if terms is None or one(connection, query, (into["id"], actor["id"])):
        return None  # who is invited holds a licence already (B-15)
    users = _users(connection, into["id"], terms)
    if terms.shape == "licences" and terms.rank:
        return "B-15" if users >= into["purchased"] else None
    cap = terms.caps.get("users")
    return terms.cap_rules.get("users", "XX-15") if cap is not None and users >= cap else None
