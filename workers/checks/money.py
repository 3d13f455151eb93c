"""Charges against the ledger, and law 2's identity of the books. All amounts are minor units."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from billing.store import leases
from billing.store.charges import tax_of
from billing.store.db import Conn, Row, many
from workers.checks.chain import Walked
from workers.checks.lines import said
from workers.checks.snapshot import Fault, Snapshot

_CHARGES = """
SELECT c.*, COALESCE(l.asked, 0)::bigint AS asked, COALESCE(l.reduced, 0)::bigint AS reduced,
       COALESCE(l.credited, 0)::bigint AS credited
FROM charge c LEFT JOIN (
    SELECT charge_id, sum(amount) AS asked, sum(reduced) AS reduced, sum(credited) AS credited
    FROM charge_line WHERE workspace_id = %(workspace)s GROUP BY charge_id
) l ON l.charge_id = c.id WHERE c.workspace_id = %(workspace)s ORDER BY c.id
"""
_BY_KEY = """
SELECT key, sum(amount - reduced)::bigint AS asked FROM charge_line WHERE workspace_id = %(workspace)s GROUP BY key
"""
_LOST = """
SELECT l.charge_id, l.entry_id FROM charge_line l LEFT JOIN entry e ON e.id = l.entry_id AND e.key = l.key
WHERE l.workspace_id = %(workspace)s AND e.id IS NULL ORDER BY l.charge_id
"""


def faults(connection: Conn, snapshot: Snapshot, walked: Walked) -> Iterator[Fault]:
    """Every charge against its lines, every line against what charges ask for it, and the balances."""
    base = {"workspace": snapshot.id}
    charges = many(connection, _CHARGES, base)
    bodies = leases.bodies(connection, [charge for charge in charges if charge["body"] is not None])
    for charge in charges:
        wrong = list(_charge(charge))
        if charge["body"] is not None:
            wrong += _body(charge["body"], bodies[charge["id"]])
        if wrong:
            told = "; ".join(f"{name} {says}, {why} {should}" for name, says, should, why in wrong)
            says = said({name: value for name, value, _, _ in wrong})
            should = said({name: value for name, _, value, _ in wrong})
            yield snapshot.fault("charge", charge["id"], told, "charge", charge["id"], says, should)
    for row in many(connection, _LOST, base):
        yield snapshot.fault("charge", row["charge_id"], f"its line's entry {row['entry_id']} is not in the ledger")
    asked = {row["key"]: row["asked"] for row in many(connection, _BY_KEY, base)}
    yield from _asked(snapshot, asked, walked.granted)
    yield from _books(snapshot, walked, charges)


#: Column, what it says, what it should say, and why it should.
_Wrong = tuple[str, object, object, str]


def _charge(charge: Row) -> Iterator[_Wrong]:
    tax = tax_of(charge)
    adds_up = tax.gross(charge["asked"]) - charge["credit"]
    if charge["amount"] != adds_up:
        yield "amount", charge["amount"], adds_up, "its lines and tax less credit are"
    if charge["tax"] != tax.part(charge["asked"]):
        yield "tax", charge["tax"], tax.part(charge["asked"]), "on its lines it is"
    if charge["status"] == "succeeded" and charge["reduced"] != charge["credited"]:
        yield "credited", charge["credited"], charge["reduced"], "collected, and of it was taken back"
    spare = charge["credit"] - tax.gross(charge["asked"] - charge["reduced"])
    if charge["status"] == "failed" and spare > charge["credit_returned"]:
        yield "credit_returned", charge["credit_returned"], spare, "failed, and of the credit it used it needs no more"


def _body(body: Row, wanted: Mapping[str, Any]) -> Iterator[_Wrong]:
    """The frozen body against what its rows would freeze; where it goes and who pays may have changed since."""
    for name in sorted(wanted.keys() - {"lines", "account", "chain_head"}):
        if body.get(name) != wanted[name]:
            yield f"body.{name}", body.get(name), wanted[name], "by its rows"
    found, should = (sorted(map(_plain, told["lines"]), key=lambda line: str(line["key"])) for told in (body, wanted))
    nothing: dict[str, Any] = {}
    for n, (line, right) in enumerate(zip_longest(found, should, fillvalue=nothing), 1):
        for name in sorted(line.keys() | right.keys()):
            if line.get(name) != right.get(name):
                yield f"body.lines[{n}].{name}", line.get(name), right.get(name), "by the ledger"
                return


def _plain(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line without its words, which another version of the program may choose otherwise."""
    return {name: value for name, value in line.items() if name != "description"}


def _asked(snapshot: Snapshot, asked: dict[str, int], granted: Counter[str]) -> Iterator[Fault]:
    """Money asked for = ledger, period by period, and what was given back of more than charges held; what was already
    paid for elsewhere is never asked for."""
    wanted, found = granted.copy(), Counter[str]()
    for key, entries in snapshot.entries.items():
        if not snapshot.elsewhere(entries[-1]):
            wanted[_period(key)] += sum(entry["amount"] for entry in entries)
    for key, amount in asked.items():
        found[_period(key)] += amount
    for period in sorted(wanted.keys() | found.keys()):
        if wanted[period] != found[period]:
            yield snapshot.fault("charge", period, f"charges ask {found[period]} for it, posted are {wanted[period]}")


def _period(key: str) -> str:
    return "/".join(key.split("/", 2)[:2])


def _books(snapshot: Snapshot, walked: Walked, charges: Iterable[Row]) -> Iterator[Fault]:
    """collected + receivable + written off - refunded - credit = posted and its tax, and the journal says the same."""
    collected, receivable, written_off, posted = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for charge in charges:
        _count(charge, collected, receivable, written_off)
    for entry in (entry for entries in snapshot.entries.values() for entry in entries):
        posted[entry["currency"]] += entry["amount"]
        if snapshot.elsewhere(entry):
            collected[entry["currency"]] += max(0, entry["amount"])
    owed = credit = 0
    for currency in sorted({currency for _, currency in walked.balances} | posted.keys()):
        account = {name: walked.balances[name, currency] for name, _ in walked.balances}
        cash, due = collected[currency] - walked.refunded[currency], posted[currency] + walked.taxed[currency]
        yield from _compare(snapshot, f"cash_clearing {currency}", account.get("cash_clearing", 0), cash)
        yield from _compare(snapshot, f"receivable {currency}", account.get("receivable", 0), receivable[currency])
        yield from _compare(snapshot, f"write_off {currency}", account.get("write_off", 0), written_off[currency])
        earned = -sum(account.get(name, 0) for name in ("deferred_revenue", "revenue", "tax_payable"))
        yield from _compare(snapshot, f"revenue {currency}", earned, due)
        credit -= account.get("customer_credit", 0)
        owed += cash + receivable[currency] + written_off[currency] - due
    yield from _compare(snapshot, "customer_credit", credit, snapshot.workspace["credit"])
    if owed != snapshot.workspace["credit"] or owed < 0:
        told = f"collected + receivable + written off - refunded - posted is {owed}"
        yield snapshot.fault("books", "identity", f"{told}, the credit {snapshot.workspace['credit']}")


def _count(charge: Row, collected: Counter[str], receivable: Counter[str], written_off: Counter[str]) -> None:
    """What a charge stands for: collected, still asked less what was taken off it since, or given up."""
    currency, status = charge["currency"], charge["status"]
    taken = tax_of(charge).taken(charge["asked"], charge["reduced"])
    if status == "succeeded":
        collected[currency] += charge["amount"]
    elif status == "cancelled":
        written_off[currency] += charge["amount"] - taken
    else:
        receivable[currency] += charge["amount"] - taken + charge["credit_returned"]


def _compare(snapshot: Snapshot, account: str, journal: int, rows: int) -> Iterator[Fault]:
    if journal != rows:
        yield snapshot.fault("books", account, f"the journal's balance is {journal}, by charges and entries {rows}")
