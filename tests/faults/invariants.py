"""What must hold when all is quiet, whatever happened: read from the database and from the endpoint's own book.

Each function tells faults in words; none is what a run must end with.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tests.faults.house import FaultHouse, Patient
from workers.verifying import check

#: What a delivery that was answered 200 may have become; parked and kept ones are not settled yet.
SETTLED = ("done", "ignored")


def faults(house: FaultHouse, customer: Patient, alarms: Collection[str] = ()) -> list[str]:
    """All that does not hold for a customer whose rows wait for nothing; `alarms` are kinds that must be there."""
    return [
        *inbox(house, customer),
        *facts(house, customer),
        *verified(house, customer),
        *booked(house, customer),
        *papers(house, customer),
        *alarmed(house, customer, alarms),
        *waiting(house, customer),
    ]


def waiting(house: FaultHouse, customer: Patient) -> Iterator[str]:
    """A callback may come long after its charge was answered, at any moment; what it finds is read at once."""
    try:
        house.quiet(customer.account, 10)
    except AssertionError as fault:
        yield str(fault)


def inbox(house: FaultHouse, customer: Patient) -> Iterator[str]:
    """Every delivery that was answered 200 is kept once, and was settled."""
    query = """SELECT d.* FROM delivery d JOIN connection c ON c.id = d.connection_id
               WHERE c.account_id = %s AND d.dedupe_key = d.delivery_id"""
    kept: dict[str, list[dict[str, Any]]] = {}
    for row in house.sql(query, customer.account):
        kept.setdefault(row["delivery_id"], []).append(row)
    for name in customer.accepted:
        found = kept.get(name, [])
        if len(found) != 1:
            yield f"delivery {name} was answered 200 and is kept {len(found)} times"
        elif found[0]["state"] not in SETTLED and name not in customer.poison:
            yield f"delivery {name} was answered 200 and is {found[0]['state']}: {found[0]['reason']}"
        elif name in customer.poison and found[0]["state"] != "quarantined":
            yield f"delivery {name} is poison and {found[0]['state']}"


def facts(house: FaultHouse, customer: Patient) -> Iterator[str]:
    """Every fact is there once and settled, and every delivery's facts are there."""
    query = """SELECT workspace_id, source, source_id, ordinal, count(*) AS times,
                      bool_and(settled_at IS NOT NULL) AS ok
               FROM fact f JOIN workspace w ON w.id = f.workspace_id WHERE w.account_id = %s GROUP BY 1, 2, 3, 4
               HAVING count(*) > 1 OR NOT bool_and(settled_at IS NOT NULL)"""
    for row in house.sql(query, customer.account):
        yield f"fact {row['source']}/{row['source_id']}/{row['ordinal']}: {row['times']} times, settled: {row['ok']}"
    query = """SELECT d.delivery_id, f.name FROM delivery d JOIN connection c ON c.id = d.connection_id,
                      unnest(d.facts) AS f (name)
               WHERE c.account_id = %s AND NOT EXISTS (SELECT FROM fact x WHERE x.id = f.name)
                 AND NOT EXISTS (SELECT FROM board_fact b WHERE b.id = f.name)"""
    for row in house.sql(query, customer.account):
        yield f"delivery {row['delivery_id']} brought about fact {row['name']}, which is not there"


def verified(house: FaultHouse, customer: Patient) -> Iterator[str]:
    """Ledger = statement, money asked for = ledger, balances and chains: as `sekisu verify` judges."""
    for workspace in customer.workspaces():
        with house.database.snapshot() as connection:
            found, waits = check(connection, workspace)
        yield from (f"verify {fault.check} {fault.subject}: {fault.detail}" for fault in found)
        if waits:
            yield f"workspace {workspace} waits for a settlement"


def booked(house: FaultHouse, customer: Patient) -> Iterator[str]:
    """What we say was collected and given back is what the payment endpoint's own book says, each once."""
    listed = house.books()
    query = """SELECT {0}.* FROM {0} JOIN workspace w ON w.id = {0}.workspace_id WHERE w.account_id = %s"""
    for kind in ("charge", "refund"):
        ours = {row["id"]: row for row in house.sql(query.format(kind), customer.account)}
        known = {row["id"] for row in house.sql(f"SELECT id FROM {kind}")}  # noqa: S608 - one of two tables
        names = [row[f"{kind}_id"] for row in listed[f"{kind}s"]]
        theirs = {row[f"{kind}_id"]: row for row in listed[f"{kind}s"]}
        yield from (
            f"the book has {kind} {name} {names.count(name)} times" for name in set(names) if names.count(name) > 1
        )
        yield from (f"the book has {kind} {name}, of which nobody here knows" for name in theirs.keys() - known)
        for name, row in ours.items():
            yield from _one(kind, row, theirs.get(name))
    collected = house.count(
        """SELECT COALESCE(sum(j.amount), 0) FROM journal j JOIN workspace w ON w.id = j.workspace_id
           WHERE w.account_id = %s AND j.kind = 'payment'""",
        customer.account,
    )
    mine = {row["id"] for row in house.sql(query.format("charge"), customer.account)}
    taken = sum(r["amount"] for r in listed["charges"] if r["charge_id"] in mine and r["status"] == "succeeded")
    if collected != taken:
        yield f"the ledger collected {collected}, the endpoint took {taken}"


def _one(kind: str, ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> Iterator[str]:
    said = theirs["status"] if theirs else "absent"
    asked = ours["amount"] > 0 and ours["status"] == "succeeded"  # nothing is asked for what credit covers
    if asked != (said == "succeeded"):
        yield f"{kind} {ours['id']} of {ours['amount']} is {ours['status']} here and {said} in the endpoint's book"
    if theirs and said == "succeeded" and (theirs["amount"], theirs["currency"]) != (ours["amount"], ours["currency"]):
        yield f"{kind} {ours['id']} asks {ours['amount']}, the endpoint took {theirs['amount']}"


def papers(house: FaultHouse, customer: Patient) -> Iterator[str]:
    """Documents are numbered without a gap, one of a kind for a charge but return invoices; a mail is one mail."""
    query = """SELECT workspace_id, kind, count(*) AS n, max(seq) AS last,
                      count(DISTINCT charge_id) AS charges
               FROM document d JOIN workspace w ON w.id = d.workspace_id WHERE w.account_id = %s GROUP BY 1, 2"""
    for row in house.sql(query, customer.account):
        if row["n"] != row["last"]:
            yield f"{row['n']} documents of the kind {row['kind']} are numbered up to {row['last']}"
        if row["kind"] in ("invoice", "receipt") and row["charges"] != row["n"]:
            yield f"{row['n']} documents of the kind {row['kind']} are for {row['charges']} charges"
    arrived = {str(message["Message-ID"]) for message in house.mailroom.arrived}
    query = "SELECT m.* FROM mail m JOIN workspace w ON w.id = m.workspace_id WHERE w.account_id = %s"
    for row in house.sql(query, customer.account):
        if (row["status"] == "sent") != (f"<{row['id']}@mail.sekisu>" in arrived):
            yield f"mail {row['id']} is {row['status']}"


def alarmed(house: FaultHouse, customer: Patient, expected: Collection[str]) -> Iterator[str]:
    """No alarm but the expected kinds, and of those at least one each."""
    mine = [customer.account, customer.connection["id"], *customer.workspaces()]
    deliveries = house.sql(
        "SELECT d.id FROM delivery d JOIN connection c ON c.id = d.connection_id WHERE c.account_id = %s",
        customer.account,
    )
    mine += [row["id"] for row in deliveries]
    rows = house.sql("SELECT kind, detail, workspace_id FROM alarm")
    found = [r for r in rows if r["workspace_id"] in mine or any(name in r["detail"] for name in mine)]
    for row in found:
        if row["kind"] not in expected:
            yield f"alarm {row['kind']}: {row['detail']}"
    yield from (f"no alarm {kind}" for kind in expected if kind not in {row["kind"] for row in found})
