"""What a pull found that no webhook had told: why, and how much money the time it went unseen can hide."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from billing.core import calendar
from billing.core.facts import Fact, fact_id
from billing.core.observed import Interval, interval
from billing.core.statement import statement
from billing.store import subscriptions
from billing.store.db import Conn, Row, many
from billing.tools import room as rooms
from billing.tools.room import Api, Event

Why = Literal["webhook_missed", "webhook_failed", "out_of_scope"]

#: Kinds by which a seat can come to be occupied, and those by which one can fall vacant.
_FILLING = frozenset({"member.joined", "member.reactivated", "board.member_added", "board.attached", "board.reopened"})
_EMPTYING = frozenset({"member.left", "member.deactivated", "board.member_removed", "board.detached", "board.closed"})
#: Deliveries looked through for the one that failed.
_MOST_FAILED = 500
#: What lies just after the start of an interval: the start itself still was as known.
_JUST_AFTER = timedelta(microseconds=1)

_FAILED = """
SELECT d.id, d.delivery_id, d.state, d.reason, b.body FROM delivery d
JOIN connection c ON c.id = d.connection_id LEFT JOIN delivery_body b ON b.id = d.id
WHERE c.account_id = %s AND c.tool = %s AND d.state IN ('quarantined', 'parked')
  AND (%s::timestamptz IS NULL OR d.received_at >= %s) ORDER BY d.id DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that a pull proposes. `observed` None: it has its own time, as its webhook would have told it."""

    kind: str
    member: str | None
    board: str | None
    at: datetime
    observed: Interval | None
    why: Why
    detail: str
    fact_id: str

    def json(self) -> dict[str, Any]:
        """As it is stored and shown."""
        between = self.observed and {
            "from": calendar.written(self.observed.start),
            "to": calendar.written(self.observed.end),
        }
        return asdict(self) | {"at": calendar.written(self.at), "observed": between}


def as_facts(workspace: Row, events: Iterable[Event], source: str) -> list[Fact]:
    """The facts that events will be once they are filed under `source`."""
    account, heard_at = workspace["account_id"], workspace["now"]
    return [
        Fact(
            fact_id(account, source, event.source_id, event.ordinal),
            event.kind,
            event.at,
            heard_at,
            source,
            event.source_id,
            event.ordinal,
            event.member,
            event.board,
            event.workspace,
            event.owner,
            event.seq,
            event.data,
        )
        for event in events
    ]


def explained(
    connection: Conn, workspace: Row, api: Api, facts: Sequence[Fact], since: datetime | None
) -> list[Difference]:
    """Say of each fact why it had to be pulled: its webhook was missed, failed, or does not exist."""
    started = None if workspace["clock_id"] else since  # a test clock says nothing of when deliveries came
    values = (workspace["account_id"], workspace["tool"], started, started, _MOST_FAILED)
    failed = many(connection, _FAILED, values) if facts else []
    return [_explained(fact, api, failed) for fact in facts]


def _explained(fact: Fact, api: Api, failed: Sequence[Row]) -> Difference:
    between = interval(fact)
    why: Why = "webhook_missed"
    detail = "no delivery told of it"
    if fact.kind not in api.announced:
        why, detail = "out_of_scope", "the tool has no webhook that tells of it"
    elif row := next((row for row in failed if _tells(row, fact, between)), None):
        why, detail = "webhook_failed", f"delivery {row['id']} is {row['state']}: {row['reason']}"
    return Difference(fact.kind, fact.member, fact.board, fact.at, between, why, detail, fact.id)


def _tells(row: Row, fact: Fact, between: Interval | None) -> bool:
    """Whether a failed delivery may have told of a fact: by its id, or by naming the person (else the board)."""
    if between is None and row["delivery_id"] == fact.source_id:
        return True
    needle = fact.source_id if between is None else (fact.member or fact.board or "")
    return bool(needle) and row["body"] is not None and needle.encode("utf-8", "replace") in bytes(row["body"])


def largest_hidden(
    connection: Conn, workspace: Row, known: Sequence[Fact], proposed: Sequence[Fact]
) -> tuple[int | None, str | None]:
    """The most money, before tax, by which what is billed for observed facts can be wrong: minor units and currency.

    What is owed only grows with the time a seat is occupied, so the two ends are: seats taken as early and left as late
    as can be, and the other way round. Nothing without a subscription; None when a due renewal is not settled yet.
    """
    if not any(interval(fact) for fact in proposed):
        return 0, None
    try:
        now, currency = _owed(connection, workspace, [*known, *proposed])
        longest, _ = _owed(connection, workspace, [*known, *_moved(proposed, _FILLING)])
        shortest, _ = _owed(connection, workspace, [*known, *_moved(proposed, _EMPTYING)])
    except KeyError:
        return None, None
    return max(abs(longest - now), abs(now - shortest)), currency


def _moved(facts: Iterable[Fact], early: frozenset[str]) -> list[Fact]:
    """Observed facts at the start of their intervals, if their kind is among `early`, else at the end."""
    moved = []
    for fact in facts:
        between = interval(fact)
        if between is not None:
            at = min(between.start + _JUST_AFTER, between.end) if fact.kind in early else between.end
            fact = replace(fact, at=at)  # noqa: PLW2901 - the same fact at another time
        moved.append(fact)
    return moved


def _owed(connection: Conn, workspace: Row, facts: Sequence[Fact]) -> tuple[int, str | None]:
    """What the statement over these facts comes to at the workspace's now, in minor units, with its currency."""
    pins = subscriptions.pins(connection, workspace["id"])
    lines = statement(
        facts,
        pins,
        workspace["now"],
        workspace["external_id"],
        workspace["time_zone"],
        rooms.seats(workspace["tool"]),
    )
    return sum(line.amount for line in lines), next((line.currency for line in lines), None)
