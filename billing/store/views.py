"""What the API shows of a workspace: its row, seats and people. Reading only.

Every function takes the account it may look into; None is the admin's, who may look into all.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from billing.core import limits
from billing.core.calendar import local_date
from billing.core.classification import Standing
from billing.core.course import Course
from billing.core.errors import ConflictError, NotFoundError, RefusedError
from billing.core.plans import Terms
from billing.core.tax import Tax
from billing.store import catalogue, intake, subscriptions
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id

_MINE = "(%(account)s::text IS NULL OR w.account_id = %(account)s)"
#: The workspace's now: its clock's, else the database's; it never moves back (law 4).
_NOW = "GREATEST(COALESCE(c.now, clock_timestamp()), w.settled_through)"
# One statement, so one snapshot: what moves from one count to the next while we look is in exactly one of them.
_WORKSPACE = f"""
SELECT w.*, t.now,
    (SELECT count(*) FROM connection k JOIN delivery d ON d.connection_id = k.id AND d.state = 'kept'
     WHERE k.account_id = w.account_id AND k.tool = w.tool)
  + (SELECT count(*) FROM fact f WHERE f.workspace_id = w.id AND f.settled_at IS NULL AND f.at <= t.now)
  + (SELECT count(*) FROM charge ch WHERE ch.workspace_id = w.id
     AND ch.status IN ('queued', 'sending', 'pending', 'unknown'))
  + (SELECT count(*) FROM refund r WHERE r.workspace_id = w.id
     AND r.status IN ('queued', 'sending', 'pending', 'unknown')) AS pending
FROM workspace w LEFT JOIN clock c ON c.id = w.clock_id
CROSS JOIN LATERAL (SELECT {_NOW} AS now) t
WHERE {_MINE}
"""  # noqa: S608 - constants of this file


def workspace(connection: Conn, account_id: str | None, workspace_id: str) -> Row:
    """A workspace with its `now` and what is `pending`. Raises NotFoundError."""
    row = one(connection, f"{_WORKSPACE} AND w.id = %(id)s", {"account": account_id, "id": workspace_id})
    if row is None:
        raise NotFoundError(f"there is no workspace {workspace_id}")
    return row


def workspaces(connection: Conn, account_id: str | None, after: str | None, limit: int) -> list[Row]:
    """Workspaces in order of their ids, from behind `after` on, each as `workspace` answers it."""
    query = f"{_WORKSPACE} AND w.id > %(after)s ORDER BY w.id LIMIT %(limit)s"
    return many(connection, query, {"account": account_id, "after": after or "", "limit": limit})


def require(connection: Conn, account_id: str | None, workspace_id: str) -> Row:
    """The bare row of a workspace with its `now`. Raises NotFoundError."""
    query = f"""SELECT w.*, {_NOW} AS now, a.tax_rate FROM workspace w JOIN account a ON a.id = w.account_id
                LEFT JOIN clock c ON c.id = w.clock_id WHERE w.id = %(id)s AND {_MINE}"""  # noqa: S608 - constants of this file
    row = one(connection, query, {"account": account_id, "id": workspace_id})
    if row is None:
        raise NotFoundError(f"there is no workspace {workspace_id}")
    return row


def insert_workspace(connection: Conn, account_id: str, values: Mapping[str, Any]) -> str:
    """Make a workspace; answers its id. Raises ConflictError when the account has the tool's workspace already, and
    RefusedError when another account's trial took its id (BL-03, BL-11)."""
    must_be_free(connection, account_id, values["tool"], values["external_id"])
    row = one(
        connection,
        """INSERT INTO workspace (id, account_id, tool, external_id, name, connection_id, time_zone, clock_id, collect)
           VALUES (%(id)s, %(account)s, %(tool)s, %(external_id)s, %(name)s, %(connection_id)s, %(time_zone)s,
                   %(clock_id)s, %(collect)s)
           ON CONFLICT (account_id, tool, external_id) DO NOTHING RETURNING id""",
        {**values, "id": new_id("ws"), "account": account_id},
    )
    if row is None:
        raise ConflictError(f"the account already has the {values['tool']} workspace {values['external_id']}")
    return str(row["id"])


def must_be_free(connection: Conn, account_id: str, tool: str, external_id: str) -> None:
    """Raises RefusedError for an id that a trial of another account took, where a trial reserves it for good."""
    taken = one(
        connection,
        """SELECT w.state FROM workspace w JOIN fact f ON f.workspace_id = w.id AND f.source = 'command'
           WHERE w.tool = %s AND w.external_id = %s AND w.account_id <> %s AND f.kind = 'trial.started'
             AND f.data->'terms'->'rules'->>'trial_end' = 'expire_unless_registered' LIMIT 1""",
        (tool, external_id, account_id),
    )
    if taken is not None and taken["state"] == "expired":
        raise RefusedError("BL-11", f"a trial of {external_id} ended unregistered; its id stays reserved")
    if taken is not None:
        raise RefusedError("BL-03", f"the id {external_id} is taken; choose another one")


def change_workspace(connection: Conn, workspace_id: str, name: str, connection_id: str | None) -> None:
    """Write a workspace's name and connection."""
    query = "UPDATE workspace SET name = %s, connection_id = %s WHERE id = %s RETURNING account_id, tool"
    row = one(connection, query, (name, connection_id, workspace_id))
    if row and connection_id:
        intake.unpark(connection, [intake.by_connection(row["account_id"], row["tool"], connection_id)])


def set_billing_contact(connection: Conn, workspace_id: str, contact: Mapping[str, Any] | None) -> None:
    """Write whom documents are mailed to (`name`, `email`, `language`); None: nobody."""
    told = json.dumps(contact) if contact else None
    connection.execute("UPDATE workspace SET billing_contact = %s WHERE id = %s", (told, workspace_id))


def seats(connection: Conn, workspace_row: Row) -> dict[str, Any]:
    """Seats purchased, occupied, vacant, what the next renewal will ask for, and what exceeds the plan (TR-09, TR-13,
    XX-07, law 9)."""
    purchased, occupied = workspace_row["purchased"], workspace_row["occupied"]
    life = subscriptions.course(connection, workspace_row)
    return {
        "purchased": purchased,
        "occupied": occupied,
        "vacant": max(0, purchased - occupied),
        "next_renewal": _next_renewal(connection, workspace_row, life),
        "flags": [
            asdict(flag)
            for flag in limits.flags(_terms(connection, workspace_row, life), *_counts(connection, workspace_row))
        ],
        "as_of": workspace_row["settled_through"] or workspace_row["now"],
    }


def entitlements(connection: Conn, workspace_row: Row) -> dict[str, Any]:
    """What the plan in force entitles the workspace and all its boards to (TR-04, BL-03, BL-09)."""
    life = subscriptions.course(connection, workspace_row)
    terms = _terms(connection, workspace_row, life)
    counts, _ = _counts(connection, workspace_row)
    return {
        "plan": terms.plan if terms else None,
        "state": life.state,
        "access": limits.access(life.state, terms, counts),
        "features": list(terms.features) if terms else [],
        "caps": dict(terms.caps) if terms else {},
        "counts": asdict(counts),
        "flags": _flags(connection, workspace_row, life),
    }


def _flags(connection: Conn, workspace_row: Row, life: Course) -> list[dict[str, Any]]:
    terms = _terms(connection, workspace_row, life)
    query = "SELECT count(*)::int AS n FROM charge WHERE workspace_id = %s AND status = 'held' AND method IS NULL"
    held = (one(connection, query, (workspace_row["id"],)) or {"n": 0})["n"]
    return [asdict(flag) for flag in limits.flags(terms, *_counts(connection, workspace_row), held)]


def _terms(connection: Conn, workspace_row: Row, life: Course) -> Terms | None:
    """The terms in force: of the trial, the subscription, or the tool's free plan; none where all is over (BL-11)."""
    if life.trial is not None:
        return life.trial.registered or life.trial.terms
    if life.running:
        return life.terms
    if life.state in limits.LOCKED:
        return None
    day = local_date(workspace_row["now"], workspace_row["time_zone"])
    return catalogue.free_plan(connection, workspace_row["tool"], day)


def _counts(connection: Conn, workspace_row: Row) -> tuple[limits.Counts, int]:
    """How many people and boards there are, and how many seats were bought."""
    row = one(
        connection,
        """SELECT count(*) FILTER (WHERE m.membership <> 'none' AND NOT m.deactivated)::int AS users,
               count(*) FILTER (WHERE NOT m.deactivated AND (m.membership <> 'none' OR m.open_boards > 0))::int
                   AS collaborators,
               (SELECT count(*) FROM board_head b WHERE b.workspace_id = %(id)s AND b.owner = %(external)s
                AND NOT b.closed)::int AS boards
           FROM member m WHERE m.workspace_id = %(id)s""",
        {"id": workspace_row["id"], "external": workspace_row["external_id"]},
    )
    assert row is not None  # noqa: S101 - an aggregate has one row
    return limits.Counts(row["users"], row["collaborators"], row["boards"]), workspace_row["purchased"]


def _next_renewal(connection: Conn, workspace_row: Row, life: Course) -> dict[str, Any] | None:
    """The next period that will be opened: its quantity by the plan's shape, its price by that day (XX-07, XX-10)."""
    terms = life.next_terms or life.terms
    if not life.running or terms is None or not life.stretches:
        return None
    last = life.stretches[-1]
    ahead = last.opens > workspace_row["now"]
    at = last.opens if ahead else last.period.end
    if life.cancel_at is not None and at >= life.cancel_at:
        return None
    told = catalogue.price_at(connection, terms.plan, terms.interval, local_date(at, workspace_row["time_zone"]))
    by_shape = {"flat": 1, "licences": workspace_row["purchased"], "auto_seats": workspace_row["occupied"]}
    held: int = by_shape[told.shape]
    quantity = max(held, told.minimum)
    tax = Tax(workspace_row["tax_rate"] or told.tax_rate, told.tax_behavior, told.tax_rounding)
    amount = told.unit_amount * quantity
    return {"at": at, "seats": quantity, "amount": amount, "tax": tax.part(amount), "currency": told.currency}


def members(connection: Conn, workspace_row: Row, after: str | None, limit: int) -> list[Row]:
    """Everyone on the roster: members, invited people, guests, and those flagged deactivated; by their ids."""
    found = many(
        connection,
        """SELECT m.member AS id, m.open_boards, m.shut_boards, m.name, m.role,
               m.membership = 'member' AS member, m.rule, m.since, m.fact_id,
               CASE WHEN m.deactivated THEN 'deactivated' WHEN m.membership = 'pending' THEN 'pending'
                    ELSE 'joined' END AS state,
               CASE WHEN m.billable THEN 'billable' ELSE 'free' END AS classification,
               ARRAY(SELECT s.board FROM seat s
                     JOIN board_head b ON b.workspace_id = s.workspace_id AND b.board = s.board
                     WHERE s.workspace_id = m.workspace_id AND s.member = m.member AND s.present
                       AND b.owner = %(external)s AND NOT b.closed ORDER BY s.board) AS boards
           FROM member m
           WHERE m.workspace_id = %(workspace)s AND m.member > %(after)s
             AND (m.membership <> 'none' OR m.deactivated OR m.open_boards + m.shut_boards > 0)
           ORDER BY m.member LIMIT %(limit)s""",
        {
            "workspace": workspace_row["id"],
            "external": workspace_row["external_id"],
            "after": after or "",
            "limit": limit,
        },
    )
    for row in found:
        standing = Standing("member" if row["member"] else "none", False, row["open_boards"], row["shut_boards"])
        row["deactivate_everywhere"] = limits.manageable(standing)
    return found


def commands(connection: Conn, workspace_id: str, after: str | None, limit: int) -> list[Row]:
    """The commands a workspace was given, in order of their ids, from behind `after` on."""
    return many(
        connection,
        """SELECT id, kind AS command, actor, body, verdict, rule, detail, seq, at, fact_id FROM command
           WHERE workspace_id = %s AND id > %s ORDER BY id LIMIT %s""",
        (workspace_id, after or "", limit),
    )
