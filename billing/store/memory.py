"""The incremental form's memory in SQL: a few set-based reads per settlement, never one per person."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import count
from typing import Any

from psycopg.rows import tuple_row

from billing.core.facts import BOARD_KINDS, Fact
from billing.core.incremental import Leg
from billing.core.lines import BOUGHT
from billing.core.plans import RERATING_DAYS
from billing.core.roster import Heads, MemberHead, Span
from billing.store import rows
from billing.store.db import Conn, many, one

_BOARD_KINDS = sorted(BOARD_KINDS)
#: What was settled, or is being settled now. Facts of the future do not exist yet, nor do those that a reader files
#: meanwhile: half seen, by one person's history and not by another's head, they would be taken for known (law 1).
_KNOWN = "(settled_at IS NOT NULL OR id IN (SELECT unnest(%(taken)s::text[])))"
#: How far back facts move money (law 10).
_WINDOW = f"interval '{RERATING_DAYS} days'"


class SqlMemory:
    """What is remembered of one workspace, for a settlement that takes the facts `taken` (ids). It only reads.

    `named` are the heads of members, as far as they were read already, of everybody whom a waiting fact names.
    """

    def __init__(
        self,
        connection: Conn,
        workspace_id: str,
        taken: Iterable[str],
        named: Mapping[str, MemberHead] | None = None,
    ) -> None:
        self._connection, self._named = connection, named
        self._base = {"workspace": workspace_id, "taken": list(taken)}

    def heads(self, pairs: set[tuple[str, str]], members: set[str], boards: set[str]) -> Heads:
        """See `billing.core.incremental.Memory`."""
        heads = Heads()
        if self._named is not None:
            heads.members.update({name: self._named[name] for name in members & self._named.keys()})
            members = set()
        elsewhere = [pair for pair in pairs if pair[0] not in boards]
        parameters = self._base | {
            "members": list(members),
            "boards": list(boards),
            "seen": list(boards | {board for board, _ in elsewhere}),
            "pair_boards": [board for board, _ in elsewhere],
            "pair_members": [member for _, member in elsewhere],
        }
        if parameters["seen"]:
            for row in many(self._connection, _BOARDS, parameters):
                heads.boards[row["board"]] = rows.board_head(row)
            for board, member, present in self._tuples(_SEATS, parameters):
                heads.seats[board][member] = present
        if boards or members:
            for member, *columns in self._tuples(_MEMBERS_OF_BOARDS if boards else _MEMBERS, parameters):
                heads.members[member] = MemberHead(*columns)
        return heads

    def _tuples(self, query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Rows in which the columns have no names: where there are ten thousand, names take half of the time."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query, parameters).fetchall()

    def history(self, members: set[str], boards: set[str]) -> tuple[list[Fact], list[Fact], list[Span]]:
        """See `billing.core.incremental.Memory`."""
        parameters = self._base | {"members": list(members)}
        mine = [rows.fact(row) for row in many(self._connection, _FACTS_OF_MEMBERS, parameters)]
        on = boards | {fact.board for fact in mine if fact.board}
        parameters |= {"boards": list(on), "kinds": _BOARD_KINDS}
        own = [rows.fact(row) for row in many(self._connection, _FACTS_OF_BOARDS, parameters)] if on else []
        showing = [rows.fact(row) for row in many(self._connection, _SHOWING, parameters)] if on else []
        spans = [rows.span(row) for row in many(self._connection, _SPANS_OF_MEMBERS, parameters)]
        return mine + own, showing, spans

    def risen(self, since: datetime) -> int:
        """See `billing.core.incremental.Memory`."""
        query = """SELECT COALESCE(sum(delta), 0)::int AS risen FROM step
                   WHERE workspace_id = %(workspace)s AND at >= %(since)s"""
        row = one(self._connection, query, self._base | {"since": since})
        return int(row["risen"]) if row else 0

    def ahead(self, since: datetime) -> Iterator[Leg]:
        """See `billing.core.incremental.Memory`. A line that once stood and vanished is remembered at zero seats."""
        for size in (_FIRST_LEG * _LONGER**n for n in count()):
            span = self._base | {"since": since, "most": size + 1}
            steps = {row["at"]: row["delta"] for row in many(self._connection, _STEPS, span)}
            until = steps.popitem()[0] if len(steps) > size else None
            span |= {"until": until}
            openings = [rows.span(row) for row in many(self._connection, _OPENINGS, span)]
            yield Leg(steps, openings, [rows.line(row) for row in many(self._connection, _LINES, span)], until)
            if until is None:
                return
            since = until

    def bought(self, key: tuple[str, int], before: datetime) -> int:
        """See `billing.core.incremental.Memory`."""
        query = """SELECT COALESCE(sum(seats), 0)::int AS seats FROM line WHERE workspace_id = %(workspace)s
                   AND subscription_id = %(subscription)s AND n = %(n)s AND instant < %(before)s
                   AND kind = ANY(%(kinds)s)"""
        more = {"subscription": key[0], "n": key[1], "before": before, "kinds": list(BOUGHT)}
        row = one(self._connection, query, self._base | more)
        return int(row["seats"]) if row else 0


#: How many steps are read first, and how many times more then: what a late fact changes seldom reaches far.
_FIRST_LEG, _LONGER = 50, 8
_STEPS = """
SELECT at, delta FROM step WHERE workspace_id = %(workspace)s AND at >= %(since)s ORDER BY at LIMIT %(most)s
"""
_OPENINGS = """
SELECT * FROM span WHERE workspace_id = %(workspace)s
    AND start_at >= %(since)s AND start_at < COALESCE(%(until)s::timestamptz, 'infinity')
"""
_LINES = """
SELECT * FROM line WHERE workspace_id = %(workspace)s
    AND instant >= %(since)s AND instant < COALESCE(%(until)s::timestamptz, 'infinity')
"""
_BOARDS = "SELECT * FROM board_head WHERE workspace_id = %(workspace)s AND board = ANY(%(seen)s)"
_SEATS = """
SELECT board, member, present FROM seat WHERE workspace_id = %(workspace)s AND board = ANY(%(boards)s)
UNION ALL
SELECT seat.board, seat.member, seat.present
FROM unnest(%(pair_boards)s::text[], %(pair_members)s::text[]) AS pair(board, member)
JOIN seat ON seat.workspace_id = %(workspace)s AND seat.board = pair.board AND seat.member = pair.member
"""
#: The name, and what a `MemberHead` has, in its order.
_HEADS = """
SELECT member, membership, deactivated, on_boards, open_boards, shut_boards, billable, rule, since, fact_id, last_at,
    name, role
FROM member WHERE workspace_id = %(workspace)s
"""
_MEMBERS = f"{_HEADS} AND member = ANY(%(members)s)"
_MEMBERS_OF_BOARDS = f"""{_HEADS} AND (member = ANY(%(members)s) OR member IN
    (SELECT member FROM seat WHERE workspace_id = %(workspace)s AND board = ANY(%(boards)s)))
"""  # noqa: S608 - a constant of this file
_FACTS_OF_MEMBERS = f"""
SELECT * FROM fact WHERE workspace_id = %(workspace)s AND member = ANY(%(members)s) AND {_KNOWN}
"""  # noqa: S608 - a constant of this file
_FACTS_OF_BOARDS = f"""
SELECT * FROM fact
WHERE workspace_id = %(workspace)s AND board = ANY(%(boards)s) AND member IS NULL AND kind = ANY(%(kinds)s) AND {_KNOWN}
"""  # noqa: S608 - a constant of this file
#: The earliest that shows an owner, and every one before it that money sees only later (law 10).
_SHOWING = f"""
SELECT fact.* FROM fact LEFT JOIN (
    SELECT board, min(at) AS at FROM fact
    WHERE workspace_id = %(workspace)s AND board = ANY(%(boards)s) AND owner IS NOT NULL AND {_KNOWN}
      AND heard_at - at <= {_WINDOW} GROUP BY board
) AS first ON fact.board = first.board
WHERE fact.workspace_id = %(workspace)s AND fact.board = ANY(%(boards)s) AND fact.owner IS NOT NULL AND {_KNOWN}
  AND (fact.at = first.at OR (fact.heard_at - fact.at > {_WINDOW} AND fact.at < COALESCE(first.at, 'infinity')))
"""  # noqa: S608 - constants of this file
_SPANS_OF_MEMBERS = "SELECT * FROM span WHERE workspace_id = %(workspace)s AND member = ANY(%(members)s)"
