"""Quotes: what a command would post, computed by the same functions, and written nowhere but as the quote itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from billing.core import calendar, commands
from billing.core.commands import Verdict
from billing.core.errors import ConflictError, InvalidError, NotFoundError
from billing.core.facts import Fact
from billing.core.incremental import Ground, advance
from billing.core.settlement import Difference, differences
from billing.core.statement import accepted
from billing.store import rows, workspaces
from billing.store.db import Conn, Row, one
from billing.store.ids import new_id
from billing.store.ledger import Book
from billing.store.memory import SqlMemory
from workers import judging
from workers.money import Money, refunding
from workers.settle import PATIENT_STEPS, pins_of, refolded, settle_fully, stand, stricter

#: Other words a caller may use for what can be quoted, besides the commands' own names.
WORDS = {"start": "subscription", "add_members": "members", "seats": "members"}
NAMES = sorted({*commands.COMMANDS, *WORDS, "members"})
#: People one quote may add at most.
_MOST = 100_000

Body = Mapping[str, Any]


def quote(connection: Conn, collect: str, workspace_id: str, body: Body) -> dict[str, Any]:
    """Quote a command at the workspace's now: any command as it would be given, or added people (`members`, `count`).
    Writes no fact.

    What already waits is settled first, so that the quote is of the command alone (law 11). Amounts are minor units.
    Raises NotFoundError, InvalidError, ConflictError, and RefusedError where the command would be refused.
    """
    workspace = _settled(connection, collect, workspace_id)
    figures = _figures(connection, workspace, str(body["command"]), body, collect)
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
        settle_fully(connection, workspace_id, collect, most=PATIENT_STEPS)
        workspace = workspaces.locked(connection, workspace_id)
        if workspace["due_at"] is None or workspace["due_at"] > workspace["now"]:
            return workspace


def must_hold(connection: Conn, workspace: Row, quote_id: str, command: str, verdict: Verdict, collect: str) -> None:
    """Raises ConflictError when anything the quote named has moved since; NotFoundError when there is no such quote."""
    stored = one(connection, "SELECT * FROM quote WHERE id = %s AND workspace_id = %s", (quote_id, workspace["id"]))
    if stored is None:
        raise NotFoundError(f"there is no quote {quote_id} of this workspace")
    if (WORDS.get(stored["body"]["command"], stored["body"]["command"])) != command:
        raise ConflictError(f"the quote is of the command {stored['body']['command']}, not of {command}")
    now = _told(connection, workspace, [_fact(workspace, verdict)], collect)
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


def _figures(connection: Conn, workspace: Row, word: str, body: Body, collect: str) -> dict[str, Any]:
    """The lines, totals, pins and fact sequence of a command at the workspace's now."""
    command = WORDS.get(word, word)
    if command == "members":
        return _told(connection, workspace, _joining(workspace, body), collect)
    if command not in commands.COMMANDS:
        raise InvalidError(f"command must be one of {', '.join(NAMES)}, not {word!r}")
    actor = body.get("actor") or {"id": ""}
    case = judging.case_of(connection, workspace, command, body, actor)
    return _told(connection, workspace, [_fact(workspace, commands.judge(command, body, case))], collect)


def _fact(workspace: Row, verdict: Verdict) -> Fact:
    """The fact a command would become."""
    now = workspace["now"]
    return Fact("quoted", verdict.kind, now, now, "command", "quoted", seq=1_000_000_000, data=verdict.data)


def _told(connection: Conn, workspace: Row, facts: Sequence[Fact], collect: str) -> dict[str, Any]:
    """What settling those facts now would post and charge."""
    standing = stand(connection, workspace["id"], hear=False)
    standing = replace(standing, life=[*standing.life, *(fact for fact in facts if fact.source == "command")])
    now, course = workspace["now"], standing.course(workspace["now"])
    pins, _ = pins_of(connection, standing, course)
    for fact in facts:
        if fact.kind == "period.rerated":
            pins[str(fact.data["subscription"]), int(str(fact.data["n"]))] = rows.terms(fact.data["terms"])  # type: ignore[arg-type]
    ground = Ground(workspace["external_id"], course, pins, accepted(standing.life), standing.base)
    memory = SqlMemory(connection, workspace["id"], ())
    refold = refolded(connection, workspace["id"], ground, now, facts)
    change = advance(memory, facts, ground, now, workspaces.position(workspace), refold)
    found = differences(change.old_lines, change.new_lines, tuple(fact.id for fact in facts))
    money = Money(connection, workspace, ground, Book.of(workspace, now), stricter(collect, workspace["collect"]))
    decision = money.decide(found, refunding(course, facts))
    last = one(connection, "SELECT COALESCE(max(seq), 0) AS seq FROM fact WHERE workspace_id = %s", (workspace["id"],))
    quoted = [pins[found[-1].period]] if found and found[-1].period in pins else []
    return {
        "lines": [_line_json(difference) for difference in found],
        "amount": decision.amount,
        "tax": decision.tax.part(decision.total),
        "credit": decision.credit_used,
        "refund": sum(refund.left for refund in decision.refunds),
        "seq": last["seq"] if last else 0,
        "pins": json.loads(rows.terms_json(quoted[0])) if quoted else {},
    }


def _joining(workspace: Row, body: Body) -> list[Fact]:
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
