"""The hash chain from its first row to the workspace's head, each journal row against its entry, and the balances."""

from collections import Counter
from dataclasses import dataclass, field

from billing.core import calendar
from billing.store import ledger
from billing.store.db import Conn, Row, many
from workers.checks.snapshot import Fault, Snapshot

#: Rows of the journal fetched at a time.
_AT_A_TIME = 5000
_JOURNAL = """
SELECT j.*, e.id AS entry_id, e.key, e.subscription_id, e.n, e.kind AS line_kind, e.instant, e.unit_amount, e.seats,
       e.fraction, e.amount AS signed, e.line_amount, e.facts, e.currency AS entry_currency,
       e.posted_at AS entry_posted_at
FROM journal j LEFT JOIN entry e ON e.workspace_id = j.workspace_id AND e.seq = j.seq
WHERE j.workspace_id = %s ORDER BY j.seq
"""
_LOOSE = """
SELECT e.id FROM entry e LEFT JOIN journal j ON j.workspace_id = e.workspace_id AND j.seq = e.seq
WHERE e.workspace_id = %s AND j.seq IS NULL ORDER BY e.seq
"""
_SENT = """
SELECT id, body->>'chain_head' AS head FROM charge WHERE workspace_id = %s AND body->>'chain_head' <> '' ORDER BY id
"""


@dataclass(slots=True)
class Walked:
    """What the walk along the journal found. Balances are debits minus credits by (account, currency), `taxed` the tax
    put on top of lines, `granted` by period the credit for what no charge held; minor units."""

    faults: list[Fault] = field(default_factory=list)
    balances: Counter[tuple[str, str]] = field(default_factory=Counter)
    refunded: Counter[str] = field(default_factory=Counter)
    taxed: Counter[str] = field(default_factory=Counter)
    granted: Counter[str] = field(default_factory=Counter)


def walk(connection: Conn, snapshot: Snapshot) -> Walked:
    """Walk the chain once. Only the first wrong row is named: what follows it may merely follow from it."""
    walked = Walked()
    heads = {row["head"]: row["id"] for row in many(connection, _SENT, (snapshot.id,))}
    chain = _Chain()
    with connection.cursor(name="sekisu_journal") as cursor:
        cursor.itersize = _AT_A_TIME
        cursor.execute(_JOURNAL, (snapshot.id,))
        for row in cursor:
            wrong = chain.take(row)
            if wrong and not walked.faults:
                walked.faults.append(snapshot.fault("chain", f"journal {row['seq']} ({row['id']})", wrong))
            heads.pop(row["hash"].hex(), None)
            _balance(walked, row)
    walked.faults += _end(snapshot, chain)
    for row in many(connection, _LOOSE, (snapshot.id,)):
        walked.faults.append(snapshot.fault("chain", row["id"], "an entry without its row of the journal"))
    walked.faults += [
        snapshot.fault("chain", charge, f"the head {head} was sent with this charge and is not in the chain")
        for head, charge in heads.items()
    ]
    return walked


def _balance(walked: Walked, row: Row) -> None:
    walked.balances[row["debit"], row["currency"]] += row["amount"]
    walked.balances[row["credit"], row["currency"]] -= row["amount"]
    if row["kind"] == "refund":
        walked.refunded[row["currency"]] += row["amount"]
    if row["kind"] == "credit" and "/" in row["ref"]:  # the key of a line, where others name a charge
        walked.granted["/".join(row["ref"].split("/", 2)[:2])] += row["amount"]
    if row["kind"] == "refund_reversed":
        walked.refunded[row["currency"]] -= row["amount"]
    if row["kind"] in ("tax", "tax_reversed"):
        walked.taxed[row["currency"]] += row["amount"] if row["kind"] == "tax" else -row["amount"]


def _end(snapshot: Snapshot, chain: "_Chain") -> list[Fault]:
    seq, head = snapshot.workspace["chain_seq"], bytes(snapshot.workspace["chain_head"])
    if chain.seq < seq:
        return [snapshot.fault("chain", f"journal {chain.seq + 1}", f"rows {chain.seq + 1} to {seq} are missing")]
    if (chain.seq, chain.head) != (seq, head):
        return [snapshot.fault("chain", f"journal {chain.seq}", f"the workspace's head is row {seq} with another hash")]
    return []


@dataclass(slots=True)
class _Chain:
    """Where the walk stands, and what each line's entries have summed to so far."""

    seq: int = 0
    head: bytes = b""
    sums: Counter[str] = field(default_factory=Counter)

    def take(self, row: Row) -> str | None:
        """What is wrong with the next row, if anything."""
        before, self.head = self.head, bytes(row["hash"])
        expected, self.seq = self.seq + 1, row["seq"]
        if row["seq"] != expected:
            return f"row {expected} is missing before it"
        wrong = self._entry(row) if row["kind"] in ("line", "line_reversed") else _movement(row)
        if wrong:
            return wrong
        if (row["debit"], row["credit"]) != ledger.LEGS[row["kind"]]:
            return f"a {row['kind']} moves {' to '.join(reversed(ledger.LEGS[row['kind']]))}"
        return None if self.head == ledger.linked(before, bytes(row["digest"])) else "its hash does not follow"

    def _entry(self, row: Row) -> str | None:
        if row["entry_id"] is None or row["entry_id"] != row["ref"]:
            return f"its entry {row['ref']} is missing"
        content = (row["entry_id"], row["key"], row["seats"], row["fraction"], row["signed"], row["facts"])
        if ledger.entry_digest(*content) != bytes(row["digest"]):
            return f"the entry {row['ref']} was changed: it does not give the digest posted"
        self.sums[row["key"]] += row["signed"]
        kind = "line" if row["signed"] >= 0 else "line_reversed"
        parts = (
            row["subscription_id"],
            row["n"],
            row["line_kind"],
            calendar.written(row["instant"]),
            row["unit_amount"],
        )
        agree = {
            "kind": row["kind"] == kind,
            "amount": row["amount"] == abs(row["signed"]),
            "currency": row["currency"] == row["entry_currency"],
            "posted_at": row["posted_at"] == row["entry_posted_at"],
            "key": row["key"] == "/".join(map(str, parts)),
            "line_amount": row["line_amount"] == self.sums[row["key"]],
        }
        wrong = [name for name, same in agree.items() if not same]
        return f"it and the entry {row['ref']} disagree in {', '.join(wrong)}" if wrong else None


def _movement(row: Row) -> str | None:
    if row["kind"] not in ledger.LEGS:
        return f"there is no movement of the kind {row['kind']}"
    content = ledger.digest(row["kind"], row["ref"], row["amount"], row["currency"], row["posted_at"])
    if row["entry_id"] is not None:
        return f"the entry {row['entry_id']} hangs on a movement that is no line"
    return None if content == bytes(row["digest"]) else "it was changed: it does not give the digest posted"
