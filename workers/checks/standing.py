"""What law 1 claims to be the same whatever the order, and nothing else: not entries, charges, credits or the chain."""

from collections.abc import Iterator, Mapping
from typing import Any

from billing.store.db import Conn, many

#: For each part of a workspace's standing: key -> what is claimed of it.
State = dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]
#: Differences of one part that are told one by one.
_TOLD = 5

#: The first column, or columns, are the key; how many is beside the query.
_PARTS: Mapping[str, tuple[int, str]] = {
    "fact": (1, "SELECT id, kind, at, member, board FROM fact WHERE workspace_id = %s"),
    "member": (
        1,
        """SELECT member, membership, deactivated, on_boards, open_boards, shut_boards, billable, rule, since, fact_id
           FROM member WHERE workspace_id = %s""",
    ),
    "seat": (2, "SELECT board, member FROM seat WHERE workspace_id = %s AND present"),
    "board": (1, "SELECT board, owner, closed FROM board_head WHERE workspace_id = %s"),
    "span": (2, "SELECT member, start_at, end_at, fact_id FROM span WHERE workspace_id = %s"),
    "line": (
        1,
        """SELECT l.key, l.seats, l.fraction, l.amount, l.rules FROM line l
           WHERE l.workspace_id = %s AND (l.seats > 0 OR l.amount <> 0)""",
    ),
    "posted": (
        1,
        """SELECT e.key, sum(e.amount)::bigint FROM entry e
           WHERE e.workspace_id = %s GROUP BY e.key HAVING sum(e.amount) <> 0""",
    ),
    "position": (0, "SELECT occupied, purchased, opened FROM workspace WHERE id = %s"),
}


def state(connection: Conn, workspace_id: str) -> State:
    """How a workspace stands, in the tables that the connection's search path shows."""
    return {
        part: {values[:keys]: values[keys:] for values in _values(connection, query, workspace_id)}
        for part, (keys, query) in _PARTS.items()
    }


def _values(connection: Conn, query: str, workspace_id: str) -> Iterator[tuple[Any, ...]]:
    for row in many(connection, query, (workspace_id,)):
        yield tuple(tuple(value) if isinstance(value, list) else value for value in row.values())


def compare(before: State, after: State) -> Iterator[tuple[str, str]]:
    """Each difference as (what, how), a few of each part."""
    for part, stood in before.items():
        stands = after[part]
        wrong = [key for key in stood.keys() | stands.keys() if stood.get(key) != stands.get(key)]
        for key in sorted(wrong, key=str)[:_TOLD]:
            more = f" (and {len(wrong) - _TOLD} more)" if len(wrong) > _TOLD else ""
            subject = " ".join(map(str, (part, *key)))
            yield subject, f"stands as {_told(stood.get(key))}, replayed {_told(stands.get(key))}{more}"


def _told(values: tuple[Any, ...] | None) -> str:
    return "nothing" if values is None else "(" + ", ".join(map(str, values)) + ")"
