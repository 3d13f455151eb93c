"""Charges: opened and reduced by settlement, moved forward by outcomes only; `leases.py` takes them out."""

from collections.abc import Container, Iterable, Sequence
from datetime import date

from billing.core.settlement import Collected, Decision, Difference, Reduction, Share, obligations, shrunk
from billing.core.tax import Tax
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id
from billing.store.ledger import Book

#: How far a charge has come; an outcome never takes it back (law 6).
RANK = {"queued": 0, "held": 0, "sending": 1, "unknown": 2, "pending": 3, "failed": 4, "succeeded": 5, "cancelled": 5}
#: Why a charge is held that nobody gave a card for.
_NO_METHOD = "TR-12: no payment method on file"


def shares(
    connection: Conn, workspace_id: str, falling: Sequence[Difference], cut: Container[tuple[str, int]] = ()
) -> list[Share]:
    """What charges still ask, or collected, for the lines that fall; of a period that was `cut`, for all its lines.

    A charge tried again has a body that was sent: whatever it waits for, it is met as one in flight.
    """
    if not falling:
        return []
    giving = {
        f"{one.line.subscription}/{one.line.n}/"
        for one in falling
        if one.line.kind == "interval_credit" or one.period in cut
    }
    found = many(
        connection,
        """SELECT l.charge_id, l.key, l.amount - l.reduced AS share, c.tax_rate,
                  CASE WHEN c.body IS NOT NULL AND c.status IN ('queued', 'held') THEN 'sending' ELSE c.status END
                  AS status, c.tax_behavior,
                  c.tax_rounding, c.credit, c.credit_returned, s.standing FROM charge_line l
           JOIN charge c ON c.id = l.charge_id
           JOIN LATERAL (SELECT sum(x.amount - x.reduced)::bigint AS standing FROM charge_line x
                         WHERE x.charge_id = c.id) s ON true
           WHERE l.workspace_id = %s AND l.amount > l.reduced AND (l.key = ANY(%s)
             OR EXISTS (SELECT FROM unnest(%s::text[]) AS p WHERE starts_with(l.key, p))) FOR UPDATE OF c""",
        (workspace_id, [one.line.key for one in falling], sorted(giving)),
    )
    return [
        Share(
            row["charge_id"],
            row["key"],
            row["status"],
            row["share"],
            row["standing"],
            tax_of(row),
            row["credit"],
            row["credit_returned"],
        )
        for row in found
    ]


def tax_of(row: Row) -> Tax:
    """The tax of a charge's row."""
    return Tax(row["tax_rate"], row["tax_behavior"], row["tax_rounding"])


def till(connection: Conn, workspace_id: str, subscription: str) -> list[Collected]:
    """What the charges of a subscription collected and nobody paid back yet, the newest first (A-09)."""
    found = many(
        connection,
        """SELECT c.id, c.amount - COALESCE((SELECT sum(r.amount) FROM refund r WHERE r.charge_id = c.id
                                             AND r.status <> 'failed'), 0)::bigint AS left FROM charge c
           WHERE c.workspace_id = %s AND c.subscription_id = %s AND c.status = 'succeeded' AND c.amount > 0
           ORDER BY c.id DESC""",
        (workspace_id, subscription),
    )
    return [Collected(row["id"], row["left"]) for row in found]


def reduce(connection: Conn, book: Book, reductions: Sequence[Reduction], currency: str, refunding: str | None) -> int:
    """Write the reductions of earlier charges; answers the credit that shrinking gave back (minor units).

    `refunding`: the rule by which what is still to be collected is to be paid back (TR-26).
    """
    given_back = 0
    for reduction in reductions:
        if reduction.how == "granted":
            book.move("credit", reduction.key, reduction.gross, currency)
            continue
        if reduction.tax:
            book.move(_untaxed(connection, reduction.charge), reduction.charge, reduction.tax, currency)
        if reduction.how == "shrunk":
            given_back += _shrink(connection, book, reduction, currency)
            continue
        credited = reduction.amount if reduction.how == "credited" else 0
        connection.execute(
            """UPDATE charge_line SET reduced = reduced + %s, credited = credited + %s
               WHERE charge_id = %s AND key = %s""",
            (reduction.amount, credited, reduction.charge, reduction.key),
        )
        connection.execute(
            "UPDATE charge SET document_due = true, refund_rule = COALESCE(%s, refund_rule) WHERE id = %s",
            (refunding if reduction.how == "waiting" else None, reduction.charge),
        )
        if reduction.how == "credited":
            book.move("credit", reduction.charge, reduction.gross, currency)
        elif reduction.how == "reduced":
            given_back += give_back(connection, book, reduction.charge, currency)
        elif reduction.how == "forgone":
            book.move("write_off_reversed", reduction.charge, reduction.gross, currency)
    return given_back


def _untaxed(connection: Conn, charge_id: str) -> str:
    row = one(connection, "SELECT tax_behavior FROM charge WHERE id = %s", (charge_id,))
    return "tax_within_reversed" if row and row["tax_behavior"] == "inclusive" else "tax_reversed"


def give_back(connection: Conn, book: Book, charge_id: str, currency: str) -> int:
    """Of a charge that failed, the credit it had used and no longer needs, because more was taken off than it asks.

    Answers how much (minor units); the caller adds it to the workspace's credit.
    """
    row = one(
        connection,
        """SELECT c.*, (SELECT sum(l.amount - l.reduced)::bigint FROM charge_line l WHERE l.charge_id = c.id)
                  AS standing FROM charge c WHERE c.id = %s""",
        (charge_id,),
    )
    assert row is not None  # noqa: S101 - the caller holds it
    back = int(max(0, row["credit"] - tax_of(row).gross(row["standing"])) - row["credit_returned"])
    if back > 0:
        query = "UPDATE charge SET credit_returned = credit_returned + %s WHERE id = %s"
        connection.execute(query, (back, charge_id))
        book.move("credit", charge_id, back, currency)
    return max(0, back)


def _shrink(connection: Conn, book: Book, reduction: Reduction, currency: str) -> int:
    """Make a charge that is not yet sent smaller; at zero it is cancelled."""
    row = one(connection, "SELECT amount, credit FROM charge WHERE id = %s FOR UPDATE", (reduction.charge,))
    assert row is not None  # noqa: S101 - `shares` read and locked it in this transaction
    amount, back = shrunk(row["amount"], row["credit"], reduction.gross)
    connection.execute(
        "UPDATE charge_line SET amount = amount - %s WHERE charge_id = %s AND key = %s",
        (reduction.amount, reduction.charge, reduction.key),
    )
    connection.execute(
        """UPDATE charge SET amount = %s, credit = credit - %s, tax = tax - %s, document_due = true,
               status = CASE WHEN %s > 0 THEN status WHEN credit > %s THEN 'succeeded' ELSE 'cancelled' END,
               due_at = CASE WHEN %s > 0 THEN due_at END
           WHERE id = %s""",
        (amount, back, reduction.tax, amount, back, amount, reduction.charge),
    )
    if back:
        book.move("credit", reduction.charge, back, currency)
    return back


def open_charge(
    book: Book,
    payment_method: str | None,
    decision: Decision,
    entry_ids: dict[str, str],
    *,
    collect: str,
    day: date,
) -> tuple[str, str]:
    """Open the one charge of a settlement step, in its book; answers its id and status.

    `collect` is live, shadow or paused, `day` when it is due. Without a payment method the charge is held (TR-12). A
    charge that credit pays in full is settled at once and never sent (law 2).
    """
    last, tax = decision.lines[-1].line, decision.tax
    status, reason = _first_status(decision.amount, collect, payment_method)
    charge_id = new_id("ch")
    charge = {
        "id": charge_id,
        **obligations(decision.lines),
        "status": status,
        "held_reason": reason,
        "currency": last.currency,
        "amount": decision.amount,
        "tax": tax.part(decision.total),
        "tax_rate": tax.rate,
        "tax_behavior": tax.behavior,
        "tax_rounding": tax.rounding,
        "credit": decision.credit_used,
        "method": payment_method,
        "due_on": day.isoformat(),
        "created_at": book.posted_at,
        "document_due": payment_method == "bank_transfer" or status == "succeeded",
        "tries": 0,
        "lines": [{"key": d.line.key, "entry_id": entry_ids[d.line.key], "amount": d.amount} for d in decision.lines],
    }
    book.parts["charge"] = [charge]
    if part := tax.part(decision.total):
        book.move("tax_within" if tax.behavior == "inclusive" else "tax", charge_id, part, last.currency)
    if decision.credit_used:
        book.move("credit_used", charge_id, decision.credit_used, last.currency)
    return charge_id, status


def pay_back(
    connection: Conn, book: Book, refunds: Iterable[Collected], currency: str, rule: str, collect: str
) -> None:
    """Open one refund for each charge that money goes back from, and book it out of the credit it became."""
    for refund in refunds:
        refund_id = new_id("rf")
        connection.execute(
            """INSERT INTO refund (id, workspace_id, charge_id, status, currency, amount, reason, created_at, due_at)
               VALUES (%(id)s, %(workspace)s, %(charge)s, %(status)s, %(currency)s, %(amount)s, %(rule)s, %(at)s,
                       CASE WHEN %(status)s = 'queued' THEN now() END)""",
            {
                "id": refund_id,
                "workspace": book.workspace_id,
                "charge": refund.charge,
                "status": "queued" if collect == "live" else "held",
                "currency": currency,
                "amount": refund.left,
                "rule": rule,
                "at": book.posted_at,
            },
        )
        book.move("refund", refund_id, refund.left, currency)


def retry(connection: Conn, workspace_id: str, subscription: str) -> int:
    """Open the next attempt of every failed charge of a subscription that still asks for something; how many."""
    asking = [row["id"] for row in failed(connection, workspace_id) if row["subscription_id"] == subscription]
    return connection.execute(
        """UPDATE charge SET status = 'queued', attempt = attempt + 1, tries = 0, token = token + 1,
               first_sent_at = NULL, due_at = now() WHERE id = ANY(%s)""",
        (asking,),
    ).rowcount


def failed(connection: Conn, workspace_id: str, *, asking: bool = True) -> list[Row]:
    """The failed charges of a workspace that still ask for something; with `asking` False those that do not: what is
    left of their lines is covered by the credit they used."""
    found = many(
        connection,
        """SELECT c.*, (SELECT sum(l.amount - l.reduced)::bigint FROM charge_line l WHERE l.charge_id = c.id)
                  AS standing FROM charge c WHERE c.workspace_id = %s AND c.status = 'failed'""",
        (workspace_id,),
    )
    return [row for row in found if (tax_of(row).gross(row["standing"] or 0) > row["credit"]) == asking]


def give_method(connection: Conn, workspace_id: str, method: str, collect: str) -> None:
    """A payment method is on file: what was held for want of one is asked for now (TR-12)."""
    connection.execute(
        """UPDATE charge SET method = %s, document_due = true
           WHERE workspace_id = %s AND method IS NULL AND body IS NULL""",
        (method, workspace_id),
    )
    if collect == "live":
        release(connection, workspace_id, [_NO_METHOD])


def _first_status(amount: int, collect: str, payment_method: str | None) -> tuple[str, str | None]:
    if amount == 0:
        return "succeeded", None
    if collect != "live":
        return "held", collect
    if payment_method is None:
        return "held", _NO_METHOD
    return "queued", None


def release(connection: Conn, workspace_id: str, reasons: Sequence[str]) -> int:
    """Queue charges held for one of the reasons; answers how many. What shadow computed is never among them.

    Those without a payment method stay held, for that (TR-12).
    """
    found = many(
        connection,
        """UPDATE charge SET status = CASE WHEN method IS NULL THEN 'held' ELSE 'queued' END,
               held_reason = CASE WHEN method IS NULL THEN %s END, due_at = CASE WHEN method IS NOT NULL THEN now() END
           WHERE workspace_id = %s AND status = 'held' AND held_reason = ANY(%s) RETURNING status""",
        (_NO_METHOD, workspace_id, list(reasons)),
    )
    return sum(row["status"] == "queued" for row in found)


def hold(connection: Conn, workspace_id: str) -> None:
    """Hold what is queued until collecting is resumed; it was opened to be sent, so it will be."""
    connection.execute(
        """UPDATE charge SET status = 'held', held_reason = 'paused', due_at = NULL
           WHERE workspace_id = %s AND status = 'queued'""",
        (workspace_id,),
    )


def elsewhere(connection: Conn, *, live: bool) -> list[Row]:
    """Workspaces (`id`, `collect`) with charges of another collect mode than the service's: it was changed."""
    wrong = "c.held_reason IN ('paused', 'shadow') AND w.collect = 'live'" if live else "c.status = 'queued'"
    return many(
        connection,
        f"""SELECT DISTINCT w.id, w.collect FROM charge c JOIN workspace w ON w.id = c.workspace_id
            WHERE c.status IN ('held', 'queued') AND {wrong}""",  # noqa: S608 - a constant of this function
    )


def forgo(connection: Conn, book: Book, reason: str) -> None:
    """Cancel for good the charges held for `reason`, and write their amounts off."""
    found = many(
        connection,
        """UPDATE charge SET status = 'cancelled' WHERE workspace_id = %s AND status = 'held' AND held_reason = %s
           RETURNING id, amount, currency""",
        (book.workspace_id, reason),
    )
    for row in found:
        book.move("write_off", row["id"], row["amount"], row["currency"])
