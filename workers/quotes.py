"""Quotes: what a command would post, computed by the same function, and written nowhere but as the quote itself."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from billing.core import calendar
from billing.core.errors import ConflictError, InvalidError, NotFoundError
from billing.core.facts import Fact
from billing.core.incremental import advance
from billing.core.lines import Pins
from billing.core.settlement import Decision, Difference, decide, differences
from billing.store import rows, subscriptions, workspaces
from billing.store.charges import shares
from billing.store.db import Conn, Row, one
from billing.store.ids import new_id
from billing.store.memory import SqlMemory
from workers.settle import settle_fully
from workers.starting import plan_start

#: The commands that can be quoted, by every word a caller may use for them.
COMMANDS = {
    "subscription": "subscription",
    "start": "subscription",
    "members": "members",
    "add_members": "members",
    "seats": "members",
}
#: People one quote may add at most.
_MOST = 100_000


def quote(connection: Conn, collect: str, workspace_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Quote a command at the workspace's now: a start (`plan`, `interval`) or added people (`count`). Writes no fact.

    What already waits is settled first, so that the quote is of the command alone (law 11). Amounts are minor units.
    Raises NotFoundError, InvalidError.
    """
    workspace = _settled(connection, collect, workspace_id)
    figures = _figures(connection, workspace, body)
    quote_id = new_id("qu")
    connection.execute(
        """INSERT INTO quote (id, workspace_id, body, as_of, seq, pins, lines, amount, tax, credit)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            quote_id,
            workspace_id,
            json.dumps(dict(body), default=str),
            workspace["now"],
            figures["seq"],
            json.dumps(figures["pins"]),
            json.dumps(figures["lines"]),
            figures["amount"],
            figures["tax"],
            figures["credit"],
        ),
    )
    return {"id": quote_id, "as_of": workspace["now"], **figures}


def _settled(connection: Conn, collect: str, workspace_id: str) -> Row:
    """The locked workspace, settled up to its now: also when a period opens between the settling and the looking."""
    while True:
        settle_fully(connection, workspace_id, collect)
        workspace = workspaces.locked(connection, workspace_id)
        if workspace["due_at"] is None or workspace["due_at"] > workspace["now"]:
            return workspace


def must_hold(connection: Conn, workspace: Row, quote_id: str, body: Mapping[str, Any]) -> None:
    """Raises ConflictError when anything the quote named has moved since; NotFoundError when there is no such quote."""
    stored = one(connection, "SELECT * FROM quote WHERE id = %s AND workspace_id = %s", (quote_id, workspace["id"]))
    if stored is None:
        raise NotFoundError(f"there is no quote {quote_id} of this workspace")
    now = _figures(connection, workspace, {**body, "command": stored["body"]["command"]})
    zone = workspace["time_zone"]
    then = {name: stored[name] for name in ("seq", "pins", "amount", "tax", "credit")}
    then["day"], now["day"] = (calendar.local_date(at, zone).isoformat() for at in (stored["as_of"], workspace["now"]))
    moved = [name for name, value in then.items() if now[name] != value]
    if [_timeless(line) for line in stored["lines"]] != [_timeless(line) for line in now["lines"]]:
        moved.append("lines")
    if moved:
        raise ConflictError(f"the quote no longer holds ({', '.join(moved)} moved); ask for a new one")


def _timeless(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("kind", "seats", "unit_amount", "fraction", "amount", "rules")}


def _figures(connection: Conn, workspace: Row, body: Mapping[str, Any]) -> dict[str, Any]:
    """The lines, totals, pins and fact sequence of a command at the workspace's now."""
    pins, facts = _what_if(connection, workspace, body)
    memory = SqlMemory(connection, workspace["id"], ())
    position = workspaces.position(workspace)
    change = advance(memory, facts, pins, workspace["now"], workspace["external_id"], position)
    found = differences(change.old_lines, change.new_lines)
    decision = _decision(connection, workspace, pins, found)
    last = one(connection, "SELECT COALESCE(max(seq), 0) AS seq FROM fact WHERE workspace_id = %s", (workspace["id"],))
    terms = pins.terms or {}
    return {
        "lines": [_line_json(difference) for difference in found],
        "amount": decision.amount,
        "tax": 0,
        "credit": decision.credit_used,
        "seq": last["seq"] if last else 0,
        "pins": rows.terms_json(terms[max(terms)]) if terms else {},
    }


def _decision(connection: Conn, workspace: Row, pins: Pins, found: Sequence[Difference]) -> Decision:
    opening = pins.subscription is not None and pins.subscription.opening_seats is not None
    charged = [d for d in found if not (opening and d.line.n == 0 and d.line.kind == "period")]
    falling = [d.line.key for d in charged if d.amount < 0]
    return decide(charged, shares(connection, workspace["id"], falling), workspace["credit"])


def _what_if(connection: Conn, workspace: Row, body: Mapping[str, Any]) -> tuple[Pins, list[Fact]]:
    command = COMMANDS.get(str(body.get("command")))
    if command == "subscription":
        if subscriptions.running(connection, workspace["id"]):
            raise ConflictError("the workspace has a subscription already")
        planned = plan_start(connection, workspace, body, "quoted")
        return Pins(planned.subscription, {0: planned.terms}), []
    if command == "members":
        return subscriptions.pins(connection, workspace["id"]), _joining(workspace, body)
    raise InvalidError(f"command must be one of {', '.join(sorted(COMMANDS))}, not {body.get('command')!r}")


def _joining(workspace: Row, body: Mapping[str, Any]) -> list[Fact]:
    count = body.get("count", 1)
    if not isinstance(count, int) or not 0 < count <= _MOST:
        raise InvalidError(f"count must be a whole number from 1 to {_MOST}, not {count!r}")
    now = workspace["now"]
    return [
        Fact(f"quoted-{i}", "member.joined", now, now, "quote", f"quoted-{i}", member=f"quoted {i} of nobody")
        for i in range(count)
    ]


def _line_json(difference: Difference) -> dict[str, Any]:
    line = rows.line_json(rows.line_row(difference.line, None))
    return line | {"instant": calendar.written(difference.line.instant), "amount": difference.amount}
