"""Clocks: time travel for workspaces. A clock stands still between advances and never goes back (law 4).

Every function takes the account it may look into; None is the admin's, who may look into all.
"""

from datetime import datetime

from billing.core.calendar import written
from billing.core.errors import ConflictError, NotFoundError
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id

#: What is still to be done at the clock's now, in the workspaces tied to it.
_DUE = """
SELECT w.id FROM workspace w JOIN clock c ON c.id = w.clock_id
WHERE c.id = %(clock)s AND (
    w.due_at <= c.now
    OR EXISTS (SELECT FROM fact f WHERE f.workspace_id = w.id AND f.settled_at IS NULL AND f.at <= c.now))
ORDER BY w.id
"""
#: Charges and refunds whose first send is not answered. One held, and one that nobody is to send, waits for a person.
_UNANSWERED = """
SELECT ch.id FROM workspace w JOIN charge ch ON ch.workspace_id = w.id
WHERE w.clock_id = %(clock)s
  AND (ch.status = 'sending' OR (ch.status = 'queued' AND ch.due_at IS NOT NULL))
  AND NOT EXISTS (SELECT FROM attempt a WHERE a.charge_id = ch.id AND a.n = ch.attempt AND a.outcome IS NOT NULL)
UNION ALL
SELECT r.id FROM workspace w JOIN refund r ON r.workspace_id = w.id
WHERE w.clock_id = %(clock)s AND (r.status = 'sending' OR (r.status = 'queued' AND r.due_at IS NOT NULL))
UNION ALL
SELECT ch.id FROM workspace w JOIN charge ch ON ch.workspace_id = w.id
WHERE w.clock_id = %(clock)s AND ch.document_due AND ch.status <> 'held'
"""


def insert(connection: Conn, account_id: str, now: datetime) -> Row:
    """Make a clock that stands at `now` (UTC)."""
    query = "INSERT INTO clock (id, account_id, now) VALUES (%s, %s, %s) RETURNING *"
    return one(connection, query, (new_id("clk"), account_id, now)) or {}


def get(connection: Conn, account_id: str | None, clock_id: str) -> Row:
    """A clock. Raises NotFoundError."""
    return _found(connection, account_id, clock_id, "")


def advance(connection: Conn, account_id: str | None, clock_id: str, to: datetime) -> Row:
    """Set a clock to `to` (UTC); its own now changes nothing. Raises NotFoundError, and ConflictError when earlier."""
    row = _found(connection, account_id, clock_id, "FOR UPDATE")
    if to < row["now"]:
        raise ConflictError(f"the clock stands at {written(row['now'])} and cannot go back to {written(to)}")
    connection.execute("UPDATE clock SET now = %s WHERE id = %s AND now <> %s", (to, clock_id, to))
    return row | {"now": to}


def due(connection: Conn, clock_id: str) -> list[str]:
    """The tied workspaces that have something to settle at the clock's now."""
    return [row["id"] for row in many(connection, _DUE, {"clock": clock_id})]


def ready(connection: Conn, clock_id: str) -> bool:
    """Whether everything due at the clock's now has run, in every tied workspace, and every first send is answered."""
    # One statement: between two, a settlement could turn a due row into an unsent charge and be missed by both.
    query = f"SELECT NOT EXISTS ({_DUE}) AND NOT EXISTS ({_UNANSWERED}) AS ready"
    row = one(connection, query, {"clock": clock_id})
    return bool(row and row["ready"])


def _found(connection: Conn, account_id: str | None, clock_id: str, lock: str) -> Row:
    query = f"""SELECT * FROM clock WHERE id = %(clock)s
                AND (%(account)s::text IS NULL OR account_id = %(account)s) {lock}"""  # noqa: S608
    row = one(connection, query, {"clock": clock_id, "account": account_id})
    if row is None:
        raise NotFoundError(f"there is no clock {clock_id}")
    return row
