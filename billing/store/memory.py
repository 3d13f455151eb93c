"""The incremental form's memory in SQL: a few set-based reads per settlement, never one per person."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from billing.core.facts import BOARD_KINDS, Fact
from billing.core.lines import BOUGHT, Line
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
        if self._named is not None and not boards and not pairs:
            heads.members.update({name: self._named[name] for name in members & self._named.keys()})
            return heads
        parameters = self._base | {
            "members": list(members),
            "boards": list(boards),
            "seen": list(boards | {board for board, _ in pairs}),
            "pair_boards": [board for board, _ in pairs],
            "pair_members": [member for _, member in pairs],
        }
        if parameters["seen"]:
            for row in many(self._connection, _BOARDS, parameters):
                heads.boards[row["board"]] = rows.board_head(row)
            for row in many(self._connection, _SEATS, parameters):
                heads.seats[row["board"]][row["member"]] = row["present"]
        for row in many(self._connection, _MEMBERS_OF_BOARDS if boards else _MEMBERS, parameters):
            heads.members[row["member"]] = rows.member_head(row)
        return heads

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

    def steps(self, since: datetime) -> dict[datetime, int]:
        """See `billing.core.incremental.Memory`."""
        query = "SELECT at, delta FROM step WHERE workspace_id = %(workspace)s AND at >= %(since)s"
        return {row["at"]: row["delta"] for row in many(self._connection, query, self._base | {"since": since})}

    def openings(self, since: datetime) -> list[Span]:
        """See `billing.core.incremental.Memory`."""
        query = "SELECT * FROM span WHERE workspace_id = %(workspace)s AND start_at >= %(since)s"
        return [rows.span(row) for row in many(self._connection, query, self._base | {"since": since})]

    def lines(self, since: datetime) -> list[Line]:
        """See `billing.core.incremental.Memory`. A line that once stood and vanished is remembered at zero seats."""
        query = "SELECT * FROM line WHERE workspace_id = %(workspace)s AND instant >= %(since)s"
        return [rows.line(row) for row in many(self._connection, query, self._base | {"since": since})]

    def bought(self, key: tuple[str, int], before: datetime) -> int:
        """See `billing.core.incremental.Memory`."""
        query = """SELECT COALESCE(sum(seats), 0)::int AS seats FROM line WHERE workspace_id = %(workspace)s
                   AND subscription_id = %(subscription)s AND n = %(n)s AND instant < %(before)s
                   AND kind = ANY(%(kinds)s)"""
        more = {"subscription": key[0], "n": key[1], "before": before, "kinds": list(BOUGHT)}
        row = one(self._connection, query, self._base | more)
        return int(row["seats"]) if row else 0


_BOARDS = "SELECT * FROM board_head WHERE workspace_id = %(workspace)s AND board = ANY(%(seen)s)"
_SEATS = """
SELECT board, member, present FROM seat WHERE workspace_id = %(workspace)s AND board = ANY(%(boards)s)
UNION ALL
SELECT seat.board, seat.member, seat.present
FROM unnest(%(pair_boards)s::text[], %(pair_members)s::text[]) AS pair(board, member)
JOIN seat ON seat.workspace_id = %(workspace)s AND seat.board = pair.board AND seat.member = pair.member
"""
_MEMBERS = "SELECT * FROM member WHERE workspace_id = %(workspace)s AND member = ANY(%(members)s)"
_MEMBERS_OF_BOARDS = """
SELECT * FROM member WHERE workspace_id = %(workspace)s AND (member = ANY(%(members)s) OR member IN
    (SELECT member FROM seat WHERE workspace_id = %(workspace)s AND board = ANY(%(boards)s)))
"""
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
