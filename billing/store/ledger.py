"""The ledger: append-only, two legs a row, each row hashed onto the one before it. Hashes cover ids and digests only.

Accounts: receivable, deferred_revenue, revenue, tax_payable, customer_credit, cash_clearing, write_off.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

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
    """Postings of one transaction of one workspace, on top of its chain. `flush` writes them all."""

    workspace_id: str
    seq: int
    head: bytes
    posted_at: datetime
    _journal: list[tuple[object, ...]] = field(default_factory=list)
    _entries: list[tuple[object, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, workspace: Row, posted_at: datetime) -> "Book":
        """Open the book of a locked workspace row."""
        return cls(workspace["id"], workspace["chain_seq"], bytes(workspace["chain_head"]), posted_at)

    @property
    def chain(self) -> tuple[int, bytes]:
        """Where the chain now ends."""
        return self.seq, self.head

    def move(self, kind: str, ref: str, amount: int, currency: str) -> None:
        """Move `amount` minor units (> 0) as `kind` says; `ref` is the charge or entry it is for."""
        self._append(kind, ref, amount, currency, digest(kind, ref, amount, currency, self.posted_at))

    def _append(self, kind: str, ref: str, amount: int, currency: str, content: bytes) -> None:
        debit, credit = LEGS[kind]
        self.seq += 1
        self.head = linked(self.head, content)
        row = (new_id("jr"), kind, ref, debit, credit, amount, currency, content, self.head)
        self._journal.append((self.seq, *row))

    def post(self, difference: Difference, heard_at: datetime) -> str:
        """Post one difference as an entry; answers its id."""
        line, entry_id = difference.line, new_id("en")
        content = entry_digest(entry_id, line.key, line.seats, str(line.fraction), difference.amount, line.facts)
        kind = "line" if difference.amount >= 0 else "line_reversed"
        self._append(kind, entry_id, abs(difference.amount), line.currency, content)
        self._entries.append(
            (
                self.seq,
                entry_id,
                *_told(line),
                line.amount,
                difference.amount,
                line.currency,
                line.method,
                line.rounding,
                list(line.rules),
                list(line.facts),
                self.posted_at,
                heard_at,
            )
        )
        return entry_id

    def flush(self, connection: Conn) -> None:
        """Write every posting."""
        cursor = connection.cursor()
        if self._journal:
            cursor.executemany(_JOURNAL, [(self.workspace_id, *row, self.posted_at) for row in self._journal])
        if self._entries:
            cursor.executemany(_ENTRY, [(self.workspace_id, *row) for row in self._entries])
        self._journal, self._entries = [], []


def _told(line: Line) -> tuple[object, ...]:
    """The columns, from `key` to `fraction`, that a line and its entries have alike."""
    key = (line.key, line.subscription, line.n, line.kind, line.instant, line.unit_amount)
    return (*key, line.seats, str(line.fraction))


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


def write_lines(connection: Conn, workspace_id: str, posted: Sequence[tuple[Difference, str]]) -> None:
    """Keep each line as the ledger now sums to it; a vanished one stands at zero."""
    if not posted:
        return
    connection.cursor().executemany(
        _LINE,
        [
            (
                workspace_id,
                *_told(line),
                line.amount,
                line.currency,
                line.method,
                line.rounding,
                list(line.rules),
                list(line.facts),
                entry_id,
            )
            for line, entry_id in ((difference.line, entry_id) for difference, entry_id in posted)
        ],
    )


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


_JOURNAL = """
INSERT INTO journal (workspace_id, seq, id, kind, ref, debit, credit, amount, currency, digest, hash, posted_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_ENTRY = """
INSERT INTO entry (workspace_id, seq, id, key, subscription_id, n, kind, instant, unit_amount, seats, fraction,
                   line_amount, amount, currency, method, rounding, rules, facts, posted_at, heard_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_LINE = """
INSERT INTO line (workspace_id, key, subscription_id, n, kind, instant, unit_amount, seats, fraction, amount, currency,
                  method, rounding, rules, facts, entry_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (workspace_id, key) DO UPDATE SET
    seats = EXCLUDED.seats, fraction = EXCLUDED.fraction, amount = EXCLUDED.amount, rules = EXCLUDED.rules,
    facts = EXCLUDED.facts, entry_id = EXCLUDED.entry_id
"""
