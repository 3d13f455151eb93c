"""What the API shows of the money of a workspace: statement, ledger, facts, charges. Reading only."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from billing.core.errors import NotFoundError
from billing.core.statement import statement as full_statement
from billing.store import rows, subscriptions
from billing.store.db import Conn, Row, many, one
from billing.store.rows import line_json, line_row
from billing.tools import room as rooms


def statement(
    connection: Conn, workspace_id: str, after: tuple[datetime, str] | None, limit: int
) -> list[dict[str, Any]]:
    """What is owed, as settled, in time order."""
    instant, key = after or (None, None)
    found = many(
        connection,
        """SELECT * FROM line WHERE workspace_id = %(workspace)s AND (seats > 0 OR amount <> 0)
             AND (%(key)s::text IS NULL OR (instant, key) > (%(instant)s::timestamptz, %(key)s))
           ORDER BY instant, key LIMIT %(limit)s""",
        {"workspace": workspace_id, "instant": instant, "key": key, "limit": limit},
    )
    return [line_json(row) for row in found]


def statement_as_known(connection: Conn, workspace: Row, known_at: datetime) -> list[dict[str, Any]]:
    """What was owed by what was known at an instant (UTC): the facts heard by then, replayed. It posts nothing."""
    workspace_id, until = workspace["id"], min(workspace["now"], known_at)
    pins = subscriptions.pins(connection, workspace_id)
    query = "SELECT * FROM fact WHERE workspace_id = %s AND heard_at <= %s AND at <= %s"
    facts = [rows.fact(row) for row in many(connection, query, (workspace_id, known_at, until))]
    entry_of = _entries_known(connection, workspace_id, known_at)
    owed = full_statement(
        facts, pins, until, workspace["external_id"], workspace["time_zone"], rooms.seats(workspace["tool"])
    )
    ordered = sorted(owed, key=lambda line: (line.instant, line.key))
    return [line_json(line_row(line, entry_of.get(line.key))) for line in ordered]


def _entries_known(connection: Conn, workspace_id: str, known_at: datetime) -> dict[str, str]:
    """The last entry of each line posted from what was heard by an instant."""
    query = """SELECT DISTINCT ON (key) key, id FROM entry WHERE workspace_id = %s AND heard_at <= %s
               ORDER BY key, seq DESC"""
    return {row["key"]: row["id"] for row in many(connection, query, (workspace_id, known_at))}


def ledger(
    connection: Conn, workspace_id: str, known_at: datetime | None, after: int, limit: int
) -> list[dict[str, Any]]:
    """The entries posted, in their order; each `amount` is the entry's own, signed (minor units)."""
    found = many(
        connection,
        """SELECT *, id AS entry_id FROM entry WHERE workspace_id = %s AND seq > %s
             AND heard_at <= COALESCE(%s, 'infinity'::timestamptz)
           ORDER BY seq LIMIT %s""",
        (workspace_id, after, known_at, limit),
    )
    extra = ("seq", "posted_at", "heard_at")
    return [line_json(row) | {name: row[name] for name in extra} for row in found]


def facts(connection: Conn, workspace_id: str, known_at: datetime | None, after: int, limit: int) -> list[Row]:
    """The facts of a workspace in the order they were filed."""
    return many(
        connection,
        """SELECT seq, id, kind, at, heard_at, source, source_id, member, board, delivery_id FROM fact
           WHERE workspace_id = %s AND seq > %s AND heard_at <= COALESCE(%s, 'infinity'::timestamptz)
           ORDER BY seq LIMIT %s""",
        (workspace_id, after, known_at, limit),
    )


def charges(
    connection: Conn, workspace_id: str, known_at: datetime | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """The charges of a workspace in order of their ids, the newest last, with lines and attempts."""
    found = many(
        connection,
        """SELECT * FROM charge ch
           WHERE ch.workspace_id = %s AND ch.id > %s AND ch.created_at <= COALESCE(%s, 'infinity'::timestamptz)
           ORDER BY ch.id LIMIT %s""",
        (workspace_id, after or "", known_at, limit),
    )
    return _with_parts(connection, found)


def charge(connection: Conn, account_id: str | None, charge_id: str) -> dict[str, Any]:
    """One charge with its lines and attempts. Raises NotFoundError."""
    row = one(
        connection,
        """SELECT ch.* FROM charge ch JOIN workspace w ON w.id = ch.workspace_id
           WHERE ch.id = %(id)s AND (%(account)s::text IS NULL OR w.account_id = %(account)s)""",
        {"id": charge_id, "account": account_id},
    )
    if row is None:
        raise NotFoundError(f"there is no charge {charge_id}")
    return _with_parts(connection, [row])[0]


def _with_parts(connection: Conn, found: Sequence[Row]) -> list[dict[str, Any]]:
    """Charges with what they ask for line by line, and how each attempt ended."""
    ids = [row["id"] for row in found]
    lines: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    query = """SELECT l.charge_id, l.amount AS asked, e.*, e.id AS entry_id FROM charge_line l
               JOIN entry e ON e.id = l.entry_id WHERE l.charge_id = ANY(%s) ORDER BY e.seq"""
    for row in many(connection, query, (ids,)):
        asked = line_json(row) | {"amount": row["asked"]}
        lines[row["charge_id"]].append(asked)
    attempts: defaultdict[str, list[Row]] = defaultdict(list)
    for row in many(connection, "SELECT * FROM attempt WHERE charge_id = ANY(%s) ORDER BY n", (ids,)):
        attempts[row["charge_id"]].append(row)
    return [row | {"lines": lines[row["id"]], "attempts": attempts[row["id"]]} for row in found]


def entry(connection: Conn, account_id: str | None, entry_id: str) -> tuple[Row, list[Row]]:
    """A ledger entry and the facts behind it, in time order. Raises NotFoundError."""
    row = one(
        connection,
        """SELECT e.*, w.time_zone FROM entry e JOIN workspace w ON w.id = e.workspace_id
           WHERE e.id = %(id)s AND (%(account)s::text IS NULL OR w.account_id = %(account)s)""",
        {"id": entry_id, "account": account_id},
    )
    if row is None:
        raise NotFoundError(f"there is no ledger entry {entry_id}")
    ids = [*row["facts"], *(_seated(connection, row) if row["kind"] == "period" else [])]
    query = "SELECT * FROM fact WHERE workspace_id = %s AND id = ANY(%s) ORDER BY at, seq"
    return row, many(connection, query, (row["workspace_id"], ids))


def _seated(connection: Conn, entry: Row) -> list[str]:
    """The facts by which people sat on the seats of a period when it opened, the first thousand of them.

    A renewal comes before every fact of its instant; the start counts the facts of its own (law 7).
    """
    found = many(
        connection,
        """SELECT fact_id FROM span WHERE workspace_id = %(workspace_id)s
             AND CASE WHEN %(n)s = 0 THEN start_at <= %(instant)s AND COALESCE(end_at > %(instant)s, true)
                      ELSE start_at < %(instant)s AND COALESCE(end_at >= %(instant)s, true) END
           ORDER BY start_at LIMIT 1000""",
        {name: entry[name] for name in ("workspace_id", "n", "instant")},
    )
    return [row["fact_id"] for row in found]
