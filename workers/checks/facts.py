"""The facts against what told them: deliveries read again, the copies of boards' facts, accepted commands."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from billing.core import calendar
from billing.core.errors import NotFoundError
from billing.core.facts import fact_id
from billing.store.db import Conn, Row, many
from billing.tools import room as rooms
from billing.tools.room import Event
from workers.checks.lines import said
from workers.checks.snapshot import Fault, Snapshot

#: What of a fact is read from its delivery; whose a board or a person is may be told by others (`owner`, `workspace`).
_TOLD = ("kind", "at", "member", "board", "source_seq", "data")
_AT_A_TIME = 500


def faults(connection: Conn, snapshot: Snapshot) -> Iterator[Fault]:
    """Facts that say another thing than what told them, that nothing told, or that are missing."""
    yield from _against_deliveries(connection, snapshot)
    for row in many(connection, _COPIES, {"workspace": snapshot.id}):
        told = {name: row[f"b_{name}"] for name in ("kind", "at", "member", "board")}
        found = {name: row[name] for name in told} if row["kind"] else None
        yield _wrong(snapshot.id, row["id"], "what the board's own fact says", found, told)
    for row in many(connection, _COMMANDS, {"workspace": snapshot.id}):
        found = {"at": row["at"]} if row["at"] else None
        yield _wrong(snapshot.id, row["fact_id"], f"the accepted command {row['id']}", found, {"at": row["given_at"]})


def missing(connection: Conn, workspace_id: str | None) -> Iterator[Fault]:
    """Facts that deliveries told and that stand nowhere any more; of one workspace, or of all."""
    homes = {
        (row["account_id"], row["tool"], row["external_id"]): row["id"]
        for row in many(connection, "SELECT id, account_id, tool, external_id FROM workspace")
    }
    for row in many(connection, _MISSING):
        event = _events(row).get(row["fact"])
        name = (event.workspace or event.owner or "") if event else ""
        home = homes.get((row["account_id"], row["tool"], name), "")
        if workspace_id in (None, home):
            yield _wrong(home, row["fact"], f"the delivery {row['id']}", None, _said(event) if event else {})


def _against_deliveries(connection: Conn, snapshot: Snapshot) -> Iterator[Fault]:
    with connection.cursor(name="sekisu_deliveries") as cursor:
        cursor.itersize = _AT_A_TIME
        cursor.execute(_DELIVERED, {"workspace": snapshot.id})
        for _, group in groupby(cursor, key=lambda row: row["delivery_id"]):
            yield from _delivered(snapshot.id, list(group))


def _delivered(workspace_id: str, rows: list[Row]) -> Iterator[Fault]:
    """The facts of one workspace that one delivery told."""
    events = _events(rows[0])
    for row in rows:
        event, told_by = events.get(row["id"]), f"the delivery {row['delivery_id']}"
        if event is None:
            found = {"kind": row["kind"], "at": row["at"]}
            yield _wrong(workspace_id, row["id"], f"{told_by}, which tells no such fact", found, {})
            continue
        should = {name: value for name, value in _said(event).items() if row[name] != value}
        if should:
            yield _wrong(workspace_id, row["id"], told_by, {name: row[name] for name in should}, should)


def _events(row: Row) -> Mapping[str, Event]:
    """The events of a delivery, read again, by the ids of their facts; none when its room cannot read it."""
    if row["body"] is None:
        return {}
    try:
        events: Iterable[Event] = rooms.load(row["tool"]).read(row["headers"], bytes(row["body"])).events
    except (NotFoundError, LookupError, TypeError, ValueError):
        return {}
    return {fact_id(row["account_id"], row["tool"], event.source_id, event.ordinal): event for event in events}


def _said(event: Event) -> dict[str, Any]:
    """The columns of a fact as they were filed from an event."""
    data = json.loads(json.dumps(dict(event.data) | ({"name": event.name} if event.name else {})))
    return dict(zip(_TOLD, (event.kind, event.at, event.member, event.board, event.seq, data), strict=True))


def _wrong(
    workspace_id: str, fact: str, told_by: str, found: Mapping[str, Any] | None, told: Mapping[str, Any]
) -> Fault:
    says = "missing" if found is None else _plain(found)
    should = _plain(told) or ("a fact" if found is None else "no such fact")  # its delivery's body was dropped
    return Fault(workspace_id, "fact", fact, f"{says}, told by {told_by}: {should}", "fact", fact, says, should)


def _plain(values: Mapping[str, Any]) -> str:
    return said({name: calendar.written(value) if name == "at" else value for name, value in values.items()})


_DELIVERED = """
SELECT f.*, k.account_id, k.tool, b.headers, b.body FROM fact f
JOIN delivery d ON d.id = f.delivery_id AND d.state = 'done' JOIN delivery_body b ON b.id = d.id
JOIN connection k ON k.id = d.connection_id WHERE f.workspace_id = %(workspace)s ORDER BY f.delivery_id
"""
_MISSING = """
SELECT d.id, t.id AS fact, k.account_id, k.tool, b.headers, b.body FROM delivery d
CROSS JOIN LATERAL unnest(d.facts) AS t(id) JOIN connection k ON k.id = d.connection_id
LEFT JOIN delivery_body b ON b.id = d.id
WHERE d.state = 'done' AND NOT EXISTS (SELECT FROM fact f WHERE f.id = t.id)
  AND NOT EXISTS (SELECT FROM board_fact f WHERE f.id = t.id) ORDER BY d.id
"""
_COPIES = """
SELECT b.id, f.kind, f.at, f.member, f.board, b.kind AS b_kind, b.at AS b_at, b.member AS b_member, b.board AS b_board
FROM workspace w JOIN board_home h ON (h.account_id, h.tool, h.external_id) = (w.account_id, w.tool, w.external_id)
JOIN board_fact b ON (b.account_id, b.tool, b.board) = (h.account_id, h.tool, h.board)
LEFT JOIN fact f ON f.workspace_id = w.id AND f.id = b.id
WHERE w.id = %(workspace)s
  AND (f.kind, f.at, f.member, f.board) IS DISTINCT FROM (b.kind, b.at, b.member, b.board) ORDER BY b.id
"""
_COMMANDS = """
SELECT c.id, c.fact_id, c.at AS given_at, f.at FROM command c
LEFT JOIN fact f ON f.workspace_id = c.workspace_id AND f.id = c.fact_id
WHERE c.workspace_id = %(workspace)s AND c.verdict = 'accepted' AND c.fact_id IS NOT NULL
  AND f.at IS DISTINCT FROM c.at ORDER BY c.id
"""
