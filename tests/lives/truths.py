"""What must hold of a life that has come to rest, read from the database, the endpoint's book and what was sent."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from billing.core.facts import fact_id
from billing.core.statement import statement
from billing.store import rows, subscriptions, workspaces
from billing.store.charges import tax_of
from billing.store.db import Row
from billing.tools import room as rooms
from tests.lives.life import Life
from workers import verifying
from workers.settle import settle


def broken(life: Life) -> list[str]:
    """Everything that does not hold; empty for a sound life. Settles once more, which must post nothing."""
    found = [*life.endpoint.faults, *_deliveries(life), *_facts(life), *_endpoint(life), *_still(life)]
    for workspace in life.workspaces:
        charges = life.rows("SELECT * FROM charge WHERE workspace_id = %s ORDER BY id", workspace)
        found += [*_ledger(life, workspace), *_money(life, workspace, charges), *_charges(life, workspace, charges)]
        found += [*_papers(life, charges), *_verified(life, workspace)]
    return found


def _deliveries(life: Life) -> Iterator[str]:
    """Everything that was accepted is kept once and read, and nothing else is."""
    kept = life.rows("SELECT * FROM delivery WHERE connection_id = ANY(%s)", life.connections)
    found = Counter((row["connection_id"], row["delivery_id"]) for row in kept)
    if found != Counter(life.kept.keys()):
        yield f"deliveries sent and kept differ: {found} / {life.kept.keys()}"
    for row in kept:
        if row["state"] not in ("done", "ignored", "parked"):
            yield f"delivery {row['delivery_id']} is {row['state']}: {row['reason']}"


def _facts(life: Life) -> Iterator[str]:
    """Each event that a room reads in a delivery is one fact, settled."""
    wanted = {
        fact_id(life.account, life.tool, event.source_id, event.ordinal)
        for sent in life.kept.values()
        for event in sent.events()
    }
    told = life.rows(
        """SELECT id, settled_at IS NOT NULL AS settled, at <= %s AS past FROM fact
           WHERE workspace_id = ANY(%s) AND source = %s""",
        life.now,
        life.workspaces,
        life.tool,
    )
    boards = life.rows("SELECT id FROM board_fact WHERE account_id = %s AND source = %s", life.account, life.tool)
    found = {row["id"] for row in [*told, *boards]}
    if found != wanted:
        yield f"{len(wanted - found)} facts are lost and {len(found - wanted)} were never told"
    yield from (f"fact {row['id']} is not settled" for row in told if row["past"] and not row["settled"])


def _ledger(life: Life, workspace: str) -> Iterator[str]:
    """For each line's key the entries sum to the full statement of all facts."""
    with life.database.snapshot() as connection:
        row = workspaces.get(connection, workspace)
        pins = subscriptions.pins(connection, workspace)
    facts = [rows.fact(one) for one in life.rows("SELECT * FROM fact WHERE workspace_id = %s", workspace)]
    base = rooms.seats(life.tool)
    owed = {
        line.key: line.amount
        for line in statement(facts, pins, life.now, row["external_id"], row["time_zone"], base)
        if line.amount
    }
    query = """SELECT key, sum(amount)::bigint AS amount FROM entry WHERE workspace_id = %s
               GROUP BY key HAVING sum(amount) <> 0"""
    posted = {one["key"]: one["amount"] for one in life.rows(query, workspace)}
    if owed != posted:
        different = sorted(key for key in owed.keys() | posted.keys() if owed.get(key) != posted.get(key))
        told = [f"{key}: owed {owed.get(key)}, posted {posted.get(key)}" for key in different[:4]]
        yield f"ledger and statement differ: {'; '.join(told)}"


def _money(life: Life, workspace: str, charges: list[Row]) -> Iterator[str]:
    """Collected + receivable + written off - refunded - credit = the entries and their tax, by the endpoint's book."""
    balances: Counter[tuple[str, str]] = Counter()
    openings: Counter[str] = Counter()
    for row in life.rows("SELECT * FROM journal WHERE workspace_id = %s", workspace):
        balances[row["debit"], row["currency"]] += row["amount"]
        balances[row["credit"], row["currency"]] -= row["amount"]
        openings[row["currency"]] += row["amount"] if row["kind"] == "opening" else 0
    collected: Counter[str] = Counter(openings)
    for charge in charges:
        order = life.endpoint.charges.get(charge["id"])
        collected[charge["currency"]] += order.captured if order else 0
    refunds = life.rows("SELECT * FROM refund WHERE workspace_id = %s", workspace)
    for refund in refunds:
        collected[refund["currency"]] -= refund["amount"] if refund["status"] != "failed" else 0
    posted: Counter[str] = Counter()
    for row in life.rows("SELECT currency, amount FROM entry WHERE workspace_id = %s", workspace):
        posted[row["currency"]] += row["amount"]
    credit = life.rows("SELECT credit FROM workspace WHERE id = %s", workspace)[0]["credit"]
    for currency in {currency for _, currency in balances}:
        of = {account: balances[account, currency] for account, _ in list(balances)}
        incl_tax = -of.get("deferred_revenue", 0) - of.get("revenue", 0) - of.get("tax_payable", 0)
        outside = sum(_tax_on_top(life, charge) for charge in charges if charge["currency"] == currency)
        if incl_tax != posted[currency] + outside:
            yield f"revenue and tax are {incl_tax}, entries {posted[currency]} and tax on top {outside}"
        if of.get("cash_clearing", 0) != collected[currency]:
            yield f"cash is {of.get('cash_clearing', 0)}, by the endpoint's book {collected[currency]}"
        kept, open_money = -of.get("customer_credit", 0), of.get("receivable", 0) + of.get("write_off", 0)
        if collected[currency] + open_money - kept != incl_tax or kept < 0:
            yield f"collected {collected[currency]} + receivable and written off {open_money} - {kept} != {incl_tax}"
        credit -= kept
    if credit:
        yield f"the workspace's credit is {credit} more than the journal's"


def _tax_on_top(life: Life, charge: Row) -> int:
    return tax_of(charge).part(_left(life, charge)) if charge["tax_behavior"] == "exclusive" else 0


def _left(life: Life, charge: Row) -> int:
    """What a charge still asks or has taken for its lines."""
    query = "SELECT COALESCE(sum(amount - reduced), 0)::bigint AS n FROM charge_line WHERE charge_id = %s"
    return int(life.rows(query, charge["id"])[0]["n"])


def _charges(life: Life, workspace: str, charges: list[Row]) -> Iterator[str]:
    """No charge of nothing is sent, none is left under way, and of no obligation two attempts succeeded."""
    bad = life.rows(
        """SELECT id FROM charge WHERE workspace_id = %s AND (tax < 0 OR credit < 0 OR amount < 0
               OR (amount = 0 AND status NOT IN ('succeeded', 'cancelled')))
           UNION ALL SELECT charge_id FROM charge_line WHERE workspace_id = %s
               AND (amount < 0 OR reduced < 0 OR reduced > amount OR credited > reduced)""",
        workspace,
        workspace,
    )
    yield from (f"charge {row['id']} is malformed" for row in bad)
    obligations = Counter((c["subscription_id"], c["n"], c["purpose"], c["nth"]) for c in charges)
    yield from (f"{obligation} has {n} charges" for obligation, n in obligations.items() if n > 1)
    for charge in charges:
        under_way = charge["status"] in ("sending", "pending", "queued") or charge["status"] == "unknown"
        if under_way and charge["due_at"] is not None:
            yield f"charge {charge['id']} is still {charge['status']}"
    for kind in ("unexplained", "document"):
        query = "SELECT detail FROM alarm WHERE workspace_id = %s AND kind = %s"
        yield from (f"alarm {kind}: {row['detail']}" for row in life.rows(query, workspace, kind))


def _endpoint(life: Life) -> Iterator[str]:
    """The endpoint's own book agrees with ours, charge by charge and refund by refund."""
    ours = {row["id"]: row for row in life.rows("SELECT * FROM charge WHERE workspace_id = ANY(%s)", life.workspaces)}
    for name, order in life.endpoint.charges.items():
        row, states = ours.get(name), list(order.attempts.values())
        if states.count("succeeded") > 1:
            yield f"{name} was taken {states.count('succeeded')} times"
        if row is None or (order.captured > 0) != (row["status"] == "succeeded"):
            yield f"{name} is {order.attempts} there, {row and row['status']} here"
        elif order.captured not in (0, row["amount"]):
            yield f"{name} took {order.captured}, here it asks {row['amount']}"
    for name, row in ours.items():
        if row["status"] == "succeeded" and row["amount"] and name not in life.endpoint.charges:
            yield f"{name} is succeeded here, and was never asked for"
    query = "SELECT id, status, amount FROM refund WHERE workspace_id = ANY(%s)"
    refunds = {row["id"]: (row["status"] == "succeeded", row["amount"]) for row in life.rows(query, life.workspaces)}
    for name, order in life.endpoint.refunds.items():
        if refunds.get(name) != (order.captured > 0, order.body["amount"]):
            yield f"{name} is {order.attempts} of {order.body['amount']} there, {refunds.get(name)} here"


def _papers(life: Life, charges: list[Row]) -> Iterator[str]:
    """The documents of a charge sum to what is left of it, tax and all."""
    documents = defaultdict(list)
    for charge in charges:
        query = "SELECT * FROM document WHERE charge_id = %s ORDER BY id"
        documents[charge["id"]] = life.rows(query, charge["id"])
    for charge in charges:
        told, tax, left = documents[charge["id"]], tax_of(charge), _left(life, charge)
        if not told or charge["document_due"]:
            continue
        summed = (sum(row["content"]["total"] for row in told), sum(row["tax"] for row in told))
        if summed != (tax.gross(left), tax.part(left)):
            yield f"documents of {charge['id']} sum to {summed}, left are {tax.gross(left)} and {tax.part(left)}"
        if [row["kind"] for row in told].count("return_invoice") != len(told) - 1:
            yield f"{charge['id']} has the documents {[row['kind'] for row in told]}"


def _verified(life: Life, workspace: str) -> Iterator[str]:
    """The product's own verification finds nothing."""
    with life.database.snapshot() as connection:
        faults, waiting = verifying.check(connection, workspace)
    yield from (f"verify {fault.check} {fault.subject}: {fault.detail}" for fault in faults)
    if waiting:
        yield "facts wait to be settled"


def _still(life: Life) -> Iterator[str]:
    """Settling again posts nothing."""
    query = """SELECT (SELECT count(*) FROM journal WHERE workspace_id = ANY(%s)) AS moves,
                   (SELECT count(*) FROM charge WHERE workspace_id = ANY(%s)) AS charges"""
    before = life.rows(query, life.workspaces, life.workspaces)
    for workspace in life.workspaces:
        settle(life.database, workspace, "live")
    if life.rows(query, life.workspaces, life.workspaces) != before:
        yield "settling again posts something"
