"""Documents against the rows they were composed from: numbers, amounts, lines, and the bytes that were rendered."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any

from billing.core import calendar
from billing.core.documents import Head, Item, compose, number_of
from billing.core.tax import Tax
from billing.store.db import Conn, Row, many
from workers.checks.lines import said
from workers.checks.snapshot import Fault, Snapshot
from workers.papers import render

#: What a document says that only it knows: who and in which words. The rendered bytes are what stands for it.
_ITS_OWN = {"languages", "description"}


def faults(connection: Conn, snapshot: Snapshot) -> Iterator[Fault]:
    """Documents whose columns, content, lines or rendered bytes are not what they were composed from."""
    base = {"workspace": snapshot.id}
    lines: dict[str, list[Row]] = {}
    for row in many(connection, _LINES, base):
        lines.setdefault(row["document_id"], []).append(row)
    before, last = Counter[str](), Counter[str]()
    originals: dict[str | None, Row] = {}
    for row in many(connection, _DOCUMENTS, base):
        mine = lines.get(row["id"], [])
        items = [_item(line, row["content"]) for line in mine]
        wrong = _wrong(row, originals.get(row["original_id"]), items, before[row["charge_id"]], last[row["kind"]] + 1)
        originals[row["id"]] = row
        before[row["charge_id"]] += sum(line["amount"] for line in mine if line["own"])
        last[row["kind"]] = row["seq"]
        if wrong:
            says, should = ({name: pair[i] for name, pair in wrong.items()} for i in (0, 1))
            told = "; ".join(f"{name} {pair[0]}, by its rows {pair[1]}" for name, pair in wrong.items())
            yield snapshot.fault("document", row["number"], told, "document", row["id"], said(says), said(should))
    for row in many(connection, _RENDERED, base):
        found = hashlib.sha256(bytes(row["bytes"])).hexdigest()
        if found != row["sha256"]:
            told = f"the bytes rendered ({row['language']}) are not those of its digest"
            named = ("document_pdf", row["document_id"], found, row["sha256"])
            yield snapshot.fault("document", row["number"], told, *named)


def rendered(connection: Conn, snapshot: Snapshot) -> Iterator[Fault]:
    """Documents that, rendered again, are not the bytes that were kept: names and addresses are nowhere else.

    Another version of this program, of its fonts or of typst may render otherwise; then every one differs.
    """
    for row in many(connection, _RENDERED, {"workspace": snapshot.id}):
        found = hashlib.sha256(render.pdf(row["content"], row["language"])).hexdigest()
        if found != row["sha256"]:
            told = f"its content does not render ({row['language']}) to the bytes that were kept"
            named = ("document", row["document_id"], f"renders to {found}", row["sha256"])
            yield snapshot.fault("document", row["number"], told, *named)


#: By name: what is said, and what should be.
_Pairs = dict[str, tuple[Any, Any]]


def _wrong(row: Row, original: Row | None, items: Sequence[Item], before: int, seq: int) -> _Pairs:
    content = row["content"]
    before = before if row["kind"] == "return_invoice" else 0
    number = number_of(row["kind"], row["workspace_id"], seq)
    pairs: _Pairs = {"seq": (row["seq"], seq), "number": (row["number"], number)}
    if row["kind"] == "receipt":  # what was collected stands; an invoice's charge may have shrunk since
        pairs["amount"] = (row["amount"], row["charged"])
    columns = ("kind", "number", "charge_id", "currency", "amount", "language")
    pairs |= {f"content.{name}": (content.get(name), row[name]) for name in columns}
    pairs["content.issued_at"] = (content.get("issued_at"), calendar.written(row["issued_at"]))
    pairs["content.due_on"] = (content.get("due_on"), row["due_on"] and row["due_on"].isoformat())
    try:
        made = json.loads(json.dumps(compose(_head(row, original), items, before=before, credit=content["credit"])))
        pairs["tax"] = (row["tax"], sum(rate["tax"] for rate in made["rates"]))
        pairs |= _differing(content, made)
    except (ValueError, LookupError, TypeError, ArithmeticError) as fault:
        pairs["content"] = (f"{type(fault).__name__}: {fault}", "what can be composed")
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _differing(content: Mapping[str, Any], made: Mapping[str, Any]) -> _Pairs:
    """Content and what its rows compose, part by part; of the lines the first that differs."""
    names = (content.keys() | made.keys()) - {"lines", *_ITS_OWN}
    pairs = {f"content.{name}": (content.get(name), made.get(name)) for name in sorted(names)}
    found, right = content.get("lines") or [], made["lines"]
    pairs["content.lines"] = (f"{len(found)} lines", f"{len(right)} lines")
    for n, (line, should) in enumerate(zip(found, right, strict=False), 1):
        for name in sorted((line.keys() | should.keys()) - _ITS_OWN):
            if line.get(name) != should.get(name):
                return pairs | {f"content.lines[{n}].{name}": (line.get(name), should.get(name))}
    return pairs


def _head(row: Row, original: Row | None) -> Head:
    content, supplied = row["content"], row["content"]["supplied"]
    named = {name: original["content"][name] for name in ("number", "issued_on", "qualified")} if original else None
    return Head(
        kind=row["kind"],
        number=row["number"],
        issued_at=row["issued_at"],
        zone=content["zone"],
        currency=row["currency"],
        language=row["language"],
        issuer=content["issuer"],
        recipient=content["recipient"],
        workspace=content["workspace"],
        charge_id=row["charge_id"],
        method=content["method"],
        supplied=(date.fromisoformat(supplied["from"]), date.fromisoformat(supplied["to"])),
        tax=Tax(**original["content"]["tax"]) if original else Tax(row["rate"], row["behavior"], row["rounding"]),
        chain_head=content["chain_head"],
        due_on=row["due_on"],
        original=named and named | {"id": row["original_id"]},
    )


def _item(row: Row, content: Mapping[str, Any]) -> Item:
    return Item(
        key=row["key"],
        kind=row["kind"],
        day=calendar.local_date(row["instant"], content["zone"]),
        plan=row["plan"],
        seats=row["seats"],
        unit_amount=row["unit_amount"],
        fraction=Fraction(row["fraction"]),
        amount=row["amount"],
        currency=row["currency"],
        rules=tuple(row["rules"]),
        part=row["amount"] != row["line_amount"],
    )


_DOCUMENTS = """
SELECT d.*, c.amount AS charged, c.tax_rate AS rate, c.tax_behavior AS behavior, c.tax_rounding AS rounding
FROM document d LEFT JOIN charge c ON c.id = d.charge_id WHERE d.workspace_id = %(workspace)s ORDER BY d.kind, d.seq
"""
#: The lines of each document; a receipt for an invoice has none of its own and shows what its charge asked.
_LINES = """
SELECT d.id AS document_id, true AS own, x.key, x.amount, e.kind, e.instant, e.unit_amount, e.seats, e.fraction,
       e.line_amount, e.currency, e.rules, e.seq, COALESCE(p.terms->>'plan', '') AS plan
FROM document d JOIN document_line x ON x.workspace_id = d.workspace_id AND x.document_id = d.id
JOIN charge_line l ON l.charge_id = d.charge_id AND l.key = x.key JOIN entry e ON e.id = l.entry_id
LEFT JOIN period p ON p.subscription_id = e.subscription_id AND p.n = e.n
WHERE d.workspace_id = %(workspace)s
UNION ALL
SELECT d.id, false, l.key, l.amount, e.kind, e.instant, e.unit_amount, e.seats, e.fraction, e.line_amount, e.currency,
       e.rules, e.seq, COALESCE(p.terms->>'plan', '')
FROM document d JOIN charge_line l ON l.charge_id = d.charge_id AND l.amount <> 0 JOIN entry e ON e.id = l.entry_id
LEFT JOIN period p ON p.subscription_id = e.subscription_id AND p.n = e.n
WHERE d.workspace_id = %(workspace)s AND d.kind = 'receipt' AND d.original_id IS NOT NULL
ORDER BY document_id, seq
"""
_RENDERED = """
SELECT p.*, d.number, d.content FROM document_pdf p
JOIN document d ON d.workspace_id = p.workspace_id AND d.id = p.document_id
WHERE p.workspace_id = %(workspace)s ORDER BY p.document_id, p.language
"""
