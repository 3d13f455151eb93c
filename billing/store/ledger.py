"""The ledger: append-only, two legs a row, each row hashed onto the one before it. Hashes cover ids and digests only.

Accounts: receivable, deferred_revenue, revenue, tax_payable, customer_credit, cash_clearing, write_off.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

from billing.core import calendar
from billing.core.lines import Line
from billing.core.settlement import Difference
from billing.store.db import Conn, Row
from billing.store.ids import new_id

#: kind -> (debit, credit): what each movement of money is.
LEGS = {
    "line": ("receivable", "deferred_revenue"),
    "line_reversed": ("deferred_revenue", "receivable"),
    "tax": ("receivable", "tax_payable"),
    "tax_reversed": ("tax_payable", "receivable"),
    "tax_within": ("deferred_revenue", "tax_payable"),
    "tax_within_reversed": ("tax_payable", "deferred_revenue"),
    "opening": ("cash_clearing", "receivable"),
    "payment": ("cash_clearing", "receivable"),
    "credit": ("receivable", "customer_credit"),
    "credit_used": ("customer_credit", "receivable"),
    "refund": ("customer_credit", "cash_clearing"),
    "refund_reversed": ("cash_clearing", "customer_credit"),
    "write_off": ("write_off", "receivable"),
    "write_off_reversed": ("receivable", "write_off"),
}


@dataclass(slots=True)
class Book:
    """All that one transaction writes of one workspace: postings on top of its chain, and the other `parts` that the
    database's function `post` knows. `flush` writes books whole: a statement for each part costs more than the writing.

    A part is a list of rows."""

    workspace_id: str
    seq: int
    head: bytes
    posted_at: datetime
    parts: dict[str, list[Row]] = field(default_factory=dict)

    @classmethod
    def of(cls, workspace: Row, posted_at: datetime) -> "Book":
        """Open the book of a locked workspace row."""
        return cls(workspace["id"], workspace["chain_seq"], bytes(workspace["chain_head"]), posted_at)

    def chain(self, credit: int) -> Row:
        """Where the chain now ends, beside the workspace's credit (minor units)."""
        return {"chain_seq": self.seq, "chain_head": _hex(self.head), "credit": credit}

    def rechain(self, credit: int) -> None:
        """The workspace's row is to say where the chain ends and the credit stands."""
        self.parts["chain"] = [self.chain(credit)]

    def move(self, kind: str, ref: str, amount: int, currency: str) -> None:
        """Move `amount` minor units (> 0) as `kind` says; `ref` is the charge or entry it is for."""
        self._append(kind, ref, amount, currency, digest(kind, ref, amount, currency, self.posted_at))

    def _append(self, kind: str, ref: str, amount: int, currency: str, content: bytes) -> None:
        debit, credit = LEGS[kind]
        self.seq += 1
        self.head = linked(self.head, content)
        self.parts.setdefault("journal", []).append(
            {
                "seq": self.seq,
                "id": new_id("jr"),
                "kind": kind,
                "ref": ref,
                "debit": debit,
                "credit": credit,
                "amount": amount,
                "currency": currency,
                "digest": _hex(content),
                "hash": _hex(self.head),
                "posted_at": self.posted_at,
            }
        )

    def post(self, difference: Difference, heard_at: datetime) -> str:
        """Post one difference as an entry, and its line as the ledger then sums to it; answers the entry's id."""
        line, entry_id = difference.line, new_id("en")
        content = entry_digest(entry_id, line.key, line.seats, str(line.fraction), difference.amount, line.facts)
        kind = "line" if difference.amount >= 0 else "line_reversed"
        self._append(kind, entry_id, abs(difference.amount), line.currency, content)
        told = {"seq": self.seq, "id": entry_id, "amount": difference.amount, "line_amount": line.amount}
        self.parts.setdefault("entries", []).append(
            told | _columns(line) | {"posted_at": self.posted_at, "heard_at": heard_at}
        )
        return entry_id

    def flush(self, connection: Conn) -> None:
        """Write every part that there is."""
        flush(connection, [self])


def flush(connection: Conn, books: Iterable[Book]) -> None:
    """Write every part of books of different workspaces."""
    told: dict[str, list[Row]] = {}
    for book in books:
        for name, part in book.parts.items():
            for row in part:
                row["workspace_id"] = book.workspace_id
            told.setdefault(name, []).extend(part)
        book.parts = {}
    if told:
        # Facts are locked in the order in which readers lock them, whosever they are.
        told.get("taken", []).sort(key=itemgetter("id"))
        connection.execute("SELECT post(%s::jsonb)", (json.dumps(told, default=datetime.isoformat),))


def _columns(line: Line) -> dict[str, Any]:
    """The columns that a line and its entries have alike."""
    return {
        "key": line.key,
        "subscription_id": line.subscription,
        "n": line.n,
        "kind": line.kind,
        "instant": line.instant,
        "unit_amount": line.unit_amount,
        "seats": line.seats,
        "fraction": str(line.fraction),
        "currency": line.currency,
        "method": line.method,
        "rounding": line.rounding,
        "rules": line.rules,
        "facts": line.facts,
    }


def _hex(raw: bytes) -> str:
    return f"\\x{raw.hex()}"


def digest(kind: str, ref: str, amount: int, currency: str, posted_at: datetime) -> bytes:
    """The digest of a movement that is no line."""
    return _sha256([kind, ref, amount, currency, calendar.written(posted_at)])


def entry_digest(entry_id: str, key: str, seats: int, fraction: str, amount: int, facts: Sequence[str]) -> bytes:
    """The digest of a line entry: ids and numbers, never personal data."""
    return _sha256([entry_id, key, seats, fraction, amount, list(facts)])


def linked(head: bytes, content: bytes) -> bytes:
    """The chain's next hash."""
    return hashlib.sha256(head + content).digest()


def _sha256(value: object) -> bytes:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).digest()


def hold(connection: Conn, workspace_id: str, unexplained: Sequence[Difference]) -> None:
    """Raise an alarm, once, for each difference that is held instead of posted (law 3)."""
    for difference in unexplained:
        line = difference.line
        detail = f"{line.key} would now be {line.amount} ({line.seats} x {line.fraction}), by changed rules alone"
        connection.execute(
            """INSERT INTO alarm (id, kind, workspace_id, detail)
               SELECT %(id)s, 'unexplained', %(workspace)s, %(detail)s
               WHERE NOT EXISTS (SELECT FROM alarm WHERE kind = 'unexplained' AND workspace_id = %(workspace)s
                                 AND detail = %(detail)s)""",
            {"id": new_id("al"), "workspace": workspace_id, "detail": detail},
        )
