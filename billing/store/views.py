"""What the API shows of a workspace: its row, seats and people. Reading only.

Every function takes the account it may look into; None is the admin's, who may look into all.
"""

from collections.abc import Mapping
from typing import Any

from billing.core.calendar import local_date
from billing.core.errors import ConflictError, NotFoundError
from billing.store import catalogue, subscriptions
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
     AND ch.status IN ('queued', 'sending', 'pending', 'unknown')) AS pending
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
    query = f"""SELECT w.*, {_NOW} AS now FROM workspace w LEFT JOIN clock c ON c.id = w.clock_id
                WHERE w.id = %(id)s AND {_MINE}"""  # noqa: S608 - constants of this file
    row = one(connection, query, {"account": account_id, "id": workspace_id})
    if row is None:
        raise NotFoundError(f"there is no workspace {workspace_id}")
    return row


def insert_workspace(connection: Conn, account_id: str, values: Mapping[str, Any]) -> str:
    """Make a workspace; answers its id. Raises ConflictError when the account has the tool's workspace already."""
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


def change_workspace(connection: Conn, workspace_id: str, name: str, connection_id: str | None) -> None:
    """Write a workspace's name and connection."""
    query = "UPDATE workspace SET name = %s, connection_id = %s WHERE id = %s"
    connection.execute(query, (name, connection_id, workspace_id))


def seats(connection: Conn, workspace_row: Row) -> dict[str, Any]:
    """Seats purchased, occupied, vacant, and what the next renewal will ask for (TR-09, TR-13, XX-07)."""
    purchased, occupied = workspace_row["purchased"], workspace_row["occupied"]
    return {
        "purchased": purchased,
        "occupied": occupied,
        "vacant": max(0, purchased - occupied),
        "next_renewal": _next_renewal(connection, workspace_row["id"], occupied),
        "as_of": workspace_row["settled_through"] or workspace_row["now"],
    }


def _next_renewal(connection: Conn, workspace_id: str, occupied: int) -> dict[str, Any] | None:
    subscription = subscriptions.running(connection, workspace_id)
    if subscription is None:
        return None
    query = "SELECT end_at FROM period WHERE subscription_id = %s ORDER BY n DESC LIMIT 1"
    period = one(connection, query, (subscription["id"],))
    if period is None:
        return None
    day = local_date(period["end_at"], subscription["zone"])
    terms = catalogue.price_at(connection, subscription["plan"], subscription["interval"], day)
    amount = terms.unit_amount * occupied
    return {"at": period["end_at"], "seats": occupied, "amount": amount, "currency": terms.currency}


def members(connection: Conn, workspace_row: Row, after: str | None, limit: int) -> list[Row]:
    """Everyone on the roster: members, invited people, guests, and those flagged deactivated; by their ids."""
    return many(
        connection,
        """SELECT m.member AS id, m.name, m.role, m.membership = 'member' AS member, m.rule, m.since, m.fact_id,
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
