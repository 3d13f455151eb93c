"""The hash chain from its first row to the workspace's head, each journal row against its entry, and the balances."""

from collections import Counter
from collections.abc import Sequence
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
SELECT 'charge' AS "table", id AS name, id AS row, body->>'chain_head' AS head FROM charge
WHERE workspace_id = %(workspace)s AND body->>'chain_head' <> ''
UNION ALL
SELECT 'document', number, id, content->>'chain_head' FROM document
WHERE workspace_id = %(workspace)s AND content->>'chain_head' <> ''
ORDER BY 1, 3
"""
#: The shortest part of a head, in hexadecimal digits, that names it; documents print sixteen.
LEAST = 8
_TOLD = {
    "charge": "the head {head} was sent with this charge and is not in the chain",
    "document": "the head {head} is printed on this document and is not in the chain",
    "paper": "the head {head} was given from paper and is not in the chain",
}


@dataclass(frozen=True, slots=True)
class Head:
    """A head of the chain that left the house: on a charge, a document (`table`), or read from paper (`paper`).

    `head` is hexadecimal, whole or its beginning; `name` is what it stood on, `row` that one's id.
    """

    table: str
    name: str
    row: str
    head: str


@dataclass(slots=True)
class Walked:
    """What the walk along the journal found. Balances are debits minus credits by (account, currency), `taxed` the tax
    put on top of lines, `granted` by period the credit for what no charge held; minor units."""

    faults: list[Fault] = field(default_factory=list)
    balances: Counter[tuple[str, str]] = field(default_factory=Counter)
    refunded: Counter[str] = field(default_factory=Counter)
    taxed: Counter[str] = field(default_factory=Counter)
    granted: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    heads: int = 0


def walk(connection: Conn, snapshot: Snapshot, given: Sequence[Head] = ()) -> Walked:
    """Walk the chain once. Only the first wrong row is named: what follows it may merely follow from it.

    Every head that left the house must be one of it; `given` are more of them, read from paper.
    """
    walked = Walked()
    heads = [*given, *(Head(**row) for row in many(connection, _SENT, {"workspace": snapshot.id}))]
    wanted: dict[str, list[Head]] = {}
    for head in heads:
        wanted.setdefault(head.head[:LEAST], []).append(head)
    chain = _Chain()
    with connection.cursor(name="sekisu_journal") as cursor:
        cursor.itersize = _AT_A_TIME
        cursor.execute(_JOURNAL, (snapshot.id,))
        for row in cursor:
            wrong = chain.take(row)
            if wrong and not walked.faults:
                subject = f"journal {row['seq']} ({row['id']})"
                walked.faults.append(snapshot.fault("chain", subject, wrong.detail, *wrong.row))
            _cross(wanted, row["hash"].hex())
            _balance(walked, row)
            walked.rows += 1
    walked.heads = len(heads)
    walked.faults += _end(snapshot, chain)
    for row in many(connection, _LOOSE, (snapshot.id,)):
        told = "an entry without its row of the journal"
        walked.faults.append(snapshot.fault("chain", row["id"], told, "entry", row["id"], "stands", "no such entry"))
    walked.faults += [_unfound(snapshot, head) for heads in wanted.values() for head in heads]
    return walked


def _cross(wanted: dict[str, list[Head]], found: str) -> None:
    """Take off what is wanted the heads that are found."""
    some = wanted.get(found[:LEAST])
    if some:
        some[:] = [head for head in some if not found.startswith(head.head)]


def _unfound(snapshot: Snapshot, head: Head) -> Fault:
    told = _TOLD[head.table].format(head=head.head)
    return snapshot.fault("chain", head.name, told, head.table, head.row, head.head, "a head of the chain")


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
        told = f"rows {chain.seq + 1} to {seq} are missing"
        row = ("journal", str(chain.seq + 1), "missing", f"rows up to {seq}")
        return [snapshot.fault("chain", f"journal {chain.seq + 1}", told, *row)]
    if (chain.seq, chain.head) != (seq, head):
        told = f"the workspace's head is row {seq} with another hash"
        row = ("workspace", snapshot.id, f"{seq} {head.hex()}", f"{chain.seq} {chain.head.hex()}")
        return [snapshot.fault("chain", f"journal {chain.seq}", told, *row)]
    return []


@dataclass(frozen=True, slots=True)
class _Wrong:
    """What is wrong with a row, and the row: its table, its id, what it says, what it should say."""

    detail: str
    row: tuple[str, str, str, str]


@dataclass(slots=True)
class _Chain:
    """Where the walk stands, and what each line's entries have summed to so far."""

    seq: int = 0
    head: bytes = b""
    sums: Counter[str] = field(default_factory=Counter)

    def take(self, row: Row) -> _Wrong | None:
        """What is wrong with the next row, if anything."""
        before, self.head = self.head, bytes(row["hash"])
        expected, self.seq = self.seq + 1, row["seq"]
        if row["seq"] != expected:
            return _Wrong(f"row {expected} is missing before it", ("journal", str(expected), "missing", "a row"))
        wrong = self._entry(row) if row["kind"] in ("line", "line_reversed") else _movement(row)
        if wrong:
            return wrong
        legs = ledger.LEGS[row["kind"]]
        if (row["debit"], row["credit"]) != legs:
            told = f"a {row['kind']} moves {' to '.join(reversed(legs))}"
            found = f"debit {row['debit']}, credit {row['credit']}"
            return _Wrong(told, ("journal", row["id"], found, f"debit {legs[0]}, credit {legs[1]}"))
        right = ledger.linked(before, bytes(row["digest"]))
        if self.head != right:
            found = f"hash {self.head.hex()}"
            return _Wrong("its hash does not follow", ("journal", row["id"], found, f"hash {right.hex()}"))
        return None

    def _entry(self, row: Row) -> _Wrong | None:
        if row["entry_id"] is None or row["entry_id"] != row["ref"]:
            found = row["entry_id"] or "missing"
            return _Wrong(f"its entry {row['ref']} is missing", ("entry", row["ref"], found, row["ref"]))
        content = (row["entry_id"], row["key"], row["seats"], row["fraction"], row["signed"], row["facts"])
        digest = ledger.entry_digest(*content)
        if digest != bytes(row["digest"]):
            told = f"the entry {row['ref']} was changed: it does not give the digest posted"
            found, right = f"digest {digest.hex()}", f"digest {row['digest'].hex()}"
            return _Wrong(told, ("entry", row["ref"], found, right))
        self.sums[row["key"]] += row["signed"]
        parts = (
            row["subscription_id"],
            row["n"],
            row["line_kind"],
            calendar.written(row["instant"]),
            row["unit_amount"],
        )
        agree = {
            "kind": (row["kind"], "line" if row["signed"] >= 0 else "line_reversed"),
            "amount": (row["amount"], abs(row["signed"])),
            "currency": (row["currency"], row["entry_currency"]),
            "posted_at": (row["posted_at"], row["entry_posted_at"]),
            "key": (row["key"], "/".join(map(str, parts))),
            "line_amount": (row["line_amount"], self.sums[row["key"]]),
        }
        wrong = {name: pair for name, pair in agree.items() if pair[0] != pair[1]}
        if not wrong:
            return None
        found, right = (", ".join(f"{name} {pair[i]}" for name, pair in wrong.items()) for i in (0, 1))
        table, name = ("journal", row["id"]) if wrong.keys() <= {"kind", "amount"} else ("entry", row["ref"])
        return _Wrong(f"it and the entry {row['ref']} disagree in {', '.join(wrong)}", (table, name, found, right))


def _movement(row: Row) -> _Wrong | None:
    if row["kind"] not in ledger.LEGS:
        told = f"there is no movement of the kind {row['kind']}"
        return _Wrong(told, ("journal", row["id"], f"kind {row['kind']}", "a kind there is"))
    digest = ledger.digest(row["kind"], row["ref"], row["amount"], row["currency"], row["posted_at"])
    if row["entry_id"] is not None:
        told = f"the entry {row['entry_id']} hangs on a movement that is no line"
        return _Wrong(told, ("entry", row["entry_id"], f"seq {row['seq']}", "a row of its own"))
    if digest == bytes(row["digest"]):
        return None
    found, right = f"digest {digest.hex()}", f"digest {row['digest'].hex()}"
    return _Wrong("it was changed: it does not give the digest posted", ("journal", row["id"], found, right))
