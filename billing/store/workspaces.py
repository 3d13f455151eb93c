"""The workspace row: who is settled next, how far, and where its chain and credit stand."""

from collections.abc import Iterable
from datetime import datetime

from billing.core.errors import NotFoundError
from billing.core.incremental import Position
from billing.store.db import Conn, Row, many, one

_TIMES = ("now", "frontier", "settled_through", "due_at", "created_at", "reconciled_at", "pulled_at", "pull_after")
#: The workspace's now: its clock's, else the database's; it never moves back (law 4).
_NOW = "GREATEST(COALESCE(c.now, clock_timestamp()), w.settled_through)"
_SELECT = f"""
SELECT w.*, {_NOW} AS now, a.tax_rate FROM workspace w JOIN account a ON a.id = w.account_id
LEFT JOIN clock c ON c.id = w.clock_id WHERE w.id = %s
"""  # noqa: S608 - a constant of this file


def locked(connection: Conn, workspace_id: str) -> Row:
    """The workspace row, locked until the transaction ends, with its `now`. Raises NotFoundError."""
    return _found(one(connection, f"{_SELECT} FOR UPDATE OF w", (workspace_id,)), workspace_id)


def get(connection: Conn, workspace_id: str) -> Row:
    """The workspace row with its `now`, unlocked. Raises NotFoundError."""
    return _found(one(connection, _SELECT, (workspace_id,)), workspace_id)


def _found(row: Row | None, workspace_id: str) -> Row:
    if row is None:
        raise NotFoundError(f"there is no workspace {workspace_id}")
    return row


def position(row: Row) -> Position:
    """Where the workspace stands, as the incremental form reads it."""
    return Position(row["occupied"], row["purchased"], row["opened"], row["frontier"], row["settled_through"])


def written(position: Position) -> Row:
    """The columns of a position that a settlement writes."""
    return {
        "occupied": position.occupied,
        "purchased": position.purchased,
        "opened": position.opened,
        "frontier": position.frontier,
    }


def read(told: Row | None, workspace_id: str) -> Row:
    """The row, with its `now`, that the database told as JSON. Raises NotFoundError when it told of none."""
    row = _found(told, workspace_id)
    times = {name: datetime.fromisoformat(row[name]) for name in _TIMES if row[name] is not None}
    return {**row, **times, "chain_head": bytes.fromhex(row["chain_head"][2:])}


def due(connection: Conn, older_than_s: float, limit: int) -> list[str]:
    """Workspaces with a due instant at or before their own now, or with facts that wait to be settled: by the wall's
    clock, for more than `older_than_s` seconds."""
    found = many(
        connection,
        # At random: workspaces that cannot be settled must not stand before the others for ever.
        """SELECT id FROM (
               (SELECT id FROM workspace WHERE due_at <= now() AND clock_id IS NULL LIMIT %(some)s)
               UNION
               (SELECT w.id FROM clock c JOIN workspace w ON w.clock_id = c.id AND w.due_at <= c.now LIMIT %(some)s)
               UNION
               SELECT f.workspace_id FROM fact f JOIN workspace w ON w.id = f.workspace_id
               LEFT JOIN clock c ON c.id = w.clock_id
               WHERE f.settled_at IS NULL AND f.at <= GREATEST(COALESCE(c.now, clock_timestamp()), w.settled_through)
                 AND (c.id IS NOT NULL OR f.heard_at <= clock_timestamp() - make_interval(secs => %(older)s))
           ) AS found ORDER BY random() LIMIT %(limit)s""",
        {"limit": limit, "some": 20 * limit, "older": older_than_s},
    )
    return [row["id"] for row in found]


def travelling(connection: Conn, limit: int) -> list[str]:
    """Workspaces whose clock stands behind a due instant of theirs or a fact: they go on when they are answered."""
    found = many(
        connection,
        """SELECT w.id FROM workspace w JOIN clock c ON c.id = w.clock_id
           WHERE w.due_at <= c.now OR EXISTS (SELECT FROM fact f WHERE f.workspace_id = w.id
                                              AND f.settled_at IS NULL AND f.at <= c.now)
           ORDER BY random() LIMIT %s""",
        (limit,),
    )
    return [row["id"] for row in found]


def by_external_ids(connection: Conn, account_id: str, tool: str, external_ids: Iterable[str]) -> dict[str, Row]:
    """Workspaces of an account by the tool's own ids, each with its clock's `now` (None: no clock)."""
    found = many(
        connection,
        """SELECT w.id, w.external_id, c.now FROM workspace w LEFT JOIN clock c ON c.id = w.clock_id
           WHERE w.account_id = %s AND w.tool = %s AND w.external_id = ANY(%s)""",
        (account_id, tool, list(external_ids)),
    )
    return {row["external_id"]: row for row in found}
