"""A ledger entry with all that a stranger needs to compute it again: facts, pinned terms, chain, charges.

The reader is `service/cli/check_line.py`, which shares nothing with the product; only this module knows both.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from billing.core.classification import Policy
from billing.core.course import Course
from billing.core.errors import NotFoundError
from billing.core.facts import LIFE_KINDS, Fact
from billing.core.life import course
from billing.core.lines import Line, Pins
from billing.core.plans import Terms
from billing.core.statement import statement
from billing.store import rows, subscriptions, workspaces
from billing.store.db import Conn, Row, many, one
from billing.tools import room as rooms

FORMAT = "sekisu-line/1"
#: What of a plan bears on a line. Of a person's facts only the id is written out, no name.
_PRICE = ("price_id", "plan", "interval", "currency", "unit_amount", "method", "rounding", "shape", "minimum")
_SEATS = ("auto_purchase", "guests_free", "closed_boards_count", "pending_count")
_TERMS = (*_PRICE, *_SEATS, "tax_behavior", "tax_rate", "tax_rounding")
_LINE = ("id", "key", "seats", "fraction", "amount", "facts")
_ENTRY = (*_LINE, "seq", "kind", "unit_amount", "line_amount", "currency", "method", "rounding", "rules")


def export(connection: Conn, entry_id: str) -> dict[str, Any]:
    """Everything the line of an entry rests on, as it was known when it was posted. Raises NotFoundError."""
    entry = one(connection, "SELECT * FROM entry WHERE id = %s", (entry_id,))
    if entry is None:
        raise NotFoundError(f"there is no ledger entry {entry_id}")
    workspace = workspaces.get(connection, entry["workspace_id"])
    chain = many(connection, _CHAIN, (workspace["id"],))
    pins = subscriptions.pins(connection, workspace["id"])
    facts, now = _known(connection, workspace, entry, chain, pins)
    life = course(facts, now, workspace["time_zone"])
    told = grounds(facts, life, pins, rooms.seats(workspace["tool"]))
    return {
        "format": FORMAT,
        "workspace": workspace["id"],
        "external_id": workspace["external_id"],
        "time_zone": workspace["time_zone"],
        "known_at": now.isoformat(),
        "entry": {name: entry[name] for name in _ENTRY},
        **told,
        "chain": [_row(row) for row in chain],
        "heads": dict(_heads(connection, workspace["id"])),
        "charges": [_charge(row) for row in many(connection, _CHARGES, (entry_id,))],
    }


def grounds(facts: Sequence[Fact], life: Course, pins: Pins, base: Policy) -> dict[str, Any]:
    """What lines rest on, as JSON: the facts with their count and digest, and the course that they led to."""
    written = sorted((_fact(fact) for fact in facts), key=lambda fact: str(fact["id"]))
    flags = ("guests_free", "closed_boards_count", "pending_count")
    return {
        "policy": {name: getattr(base, name) for name in flags},
        "facts": written,
        "count": len(written),
        "digest": hashlib.sha256(json.dumps(written, sort_keys=True, separators=(",", ":")).encode()).hexdigest(),
        "periods": [
            {
                "anchor": one.period.anchor.isoformat(),
                "months": one.period.months,
                "k": one.period.n,
                "opens": one.opens.isoformat(),
                "closes": one.closes.isoformat(),
                "billed_at": one.billed_at.isoformat(),
                "by_fact": one.by_fact,
                "share": one.share,
                "seats": one.seats,
                "terms": _terms(pins[one.key]),
                **_of(one.key, one.fact),
            }
            for one in life.stretches
        ],
        "grants": [_of(one.key, one.fact) for one in life.grants],
        "switches": [
            _of(one.key, one.fact) | {"at": one.at.isoformat(), "terms": _terms(one.terms)} for one in life.switches
        ],
        "cuts": [_of(one.key, one.fact) | {"at": one.at.isoformat(), "credited": one.credited} for one in life.cuts],
        "suspensions": [
            {"begins": one.begins.isoformat(), "ends": one.ends and one.ends.isoformat(), "fact": one.fact}
            for one in life.mutes
        ],
        "voids": [_of(key, void.fact) | {"rule": void.rule} for key, void in life.voids.items()],
    }


def _of(key: tuple[str, int], fact: str) -> dict[str, Any]:
    return {"subscription": key[0], "n": key[1], "fact": fact}


def _terms(terms: Terms) -> dict[str, Any]:
    return {name: getattr(terms, name) for name in _TERMS}


def _fact(fact: Fact) -> dict[str, Any]:
    plain = ("id", "kind", "source", "source_id", "ordinal", "seq", "member", "board", "workspace", "owner")
    times = {"at": fact.at.isoformat(), "heard_at": fact.heard_at.isoformat()}
    return {name: getattr(fact, name) for name in plain} | times | {"data": _data(fact)}


def _data(fact: Fact) -> dict[str, Any]:
    if fact.kind not in LIFE_KINDS:
        return {name: fact.data[name] for name in ("observed", "unconfirmed") if name in fact.data}
    kept = {name: value for name, value in fact.data.items() if name != "applicant"}
    terms = kept.get("terms")
    if isinstance(terms, Mapping):
        kept["terms"] = {name: terms[name] for name in _TERMS if name in terms}
    return json.loads(json.dumps(kept, default=str))  # type: ignore[no-any-return]


def _known(
    connection: Conn, workspace: Row, entry: Row, chain: Sequence[Row], pins: Pins
) -> tuple[list[Fact], datetime]:
    """The facts an entry was posted from, and up to when: all that are settled, when nothing corrected it since.

    Else those that were settled first, as many as the entries up to this one name, and then as many more as it takes
    until they tell what this entry says.
    """
    query = "SELECT * FROM fact WHERE workspace_id = %s AND settled_at IS NOT NULL AND at <= %s ORDER BY settled_at"
    if max(row["seq"] for row in chain if row["key"] == entry["key"]) == entry["seq"]:
        now = workspace["settled_through"]
        return [rows.fact(row) for row in many(connection, query, (workspace["id"], now))], now
    now = entry["posted_at"]
    found = many(connection, query, (workspace["id"], now))
    named = {name for row in chain if row["seq"] <= entry["seq"] for name in row["facts"] or ()}
    least = max((number for number, row in enumerate(found, 1) if row["id"] in named), default=0)
    first = [rows.fact(row) for row in found[:least]]
    ends = (
        [n for n in range(least, len(found)) if found[n]["settled_at"] != found[n - 1]["settled_at"]] if least else []
    )
    for end in (*ends, len(found)):
        known = [rows.fact(row) for row in found[:end]]
        if _tells(known, entry, workspace, now, pins):
            return known, now
    return first, now


def _tells(known: Sequence[Fact], entry: Row, workspace: Row, now: datetime, pins: Pins) -> bool:
    try:
        base = rooms.seats(workspace["tool"])
        owed = statement(known, pins, now, workspace["external_id"], workspace["time_zone"], base)
    except KeyError:
        return False
    line: Line | None = next((one for one in owed if one.key == entry["key"]), None)
    if line is None:
        return bool(entry["seats"] == 0)
    said = (line.seats, str(line.fraction), line.amount, list(line.rules), list(line.facts))
    return said == tuple(entry[name] for name in ("seats", "fraction", "line_amount", "rules", "facts"))


def _row(row: Row) -> dict[str, Any]:
    if row["key"] is None:
        return {"digest": bytes(row["digest"]).hex()}
    return {"line": [row[name] for name in _LINE]}


def _heads(connection: Conn, workspace_id: str) -> Iterator[tuple[str, str]]:
    for row in many(connection, _HEADS, {"workspace": workspace_id}):
        yield row["name"], row["head"]


def _charge(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "lines": [int(amount) for amount in row["lines"]],
        "rate": row["tax_rate"],
        "behavior": row["tax_behavior"],
        "rounding": row["tax_rounding"],
        **{name: row[name] for name in ("status", "currency", "tax", "credit", "amount")},
    }


_CHAIN = """
SELECT j.seq, j.digest, e.id, e.key, e.seats, e.fraction, e.amount, e.facts
FROM journal j LEFT JOIN entry e ON e.workspace_id = j.workspace_id AND e.seq = j.seq
WHERE j.workspace_id = %s ORDER BY j.seq
"""
_HEADS = """
SELECT number AS name, content->>'chain_head' AS head FROM document
WHERE workspace_id = %(workspace)s AND content->>'chain_head' <> ''
UNION ALL
SELECT id, body->>'chain_head' FROM charge WHERE workspace_id = %(workspace)s AND body->>'chain_head' <> ''
"""
_CHARGES = """
SELECT c.*, (SELECT array_agg(l.amount ORDER BY l.key) FROM charge_line l WHERE l.charge_id = c.id) AS lines
FROM charge c WHERE c.id IN (SELECT charge_id FROM charge_line WHERE entry_id = %s) ORDER BY c.id
"""
