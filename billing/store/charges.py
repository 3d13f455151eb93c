"""Charges: opened and reduced by settlement, leased by one sender at a time, moved forward by outcomes only."""

import json
from collections.abc import Iterable, Sequence
from datetime import date

from billing.core import calendar
from billing.core.settlement import Decision, Reduction, Share, shrunk
from billing.store import rows
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id
from billing.store.ledger import Book

#: How far a charge has come; an outcome never takes it back (law 6).
RANK = {"queued": 0, "held": 0, "sending": 1, "unknown": 2, "pending": 3, "failed": 4, "succeeded": 5, "cancelled": 5}
#: Why a charge is held that nobody gave a card for.
_NO_METHOD = "TR-12: no payment method on file"


def shares(connection: Conn, workspace_id: str, keys: Sequence[str]) -> list[Share]:
    """What charges still ask, or collected, for the lines of those keys."""
    if not keys:
        return []
    found = many(
        connection,
        """SELECT l.charge_id, l.key, c.status, l.amount - l.reduced AS share FROM charge_line l
           JOIN charge c ON c.id = l.charge_id
           WHERE l.workspace_id = %s AND l.key = ANY(%s) AND l.amount > l.reduced FOR UPDATE OF c""",
        (workspace_id, list(keys)),
    )
    return [Share(row["charge_id"], row["key"], row["status"], row["share"]) for row in found]


def reduce(connection: Conn, book: Book, reductions: Iterable[Reduction], currency: str) -> int:
    """Write the reductions of earlier charges; answers the credit that shrinking gave back (minor units)."""
    given_back = 0
    for reduction in reductions:
        if reduction.how == "shrunk":
            given_back += _shrink(connection, book, reduction, currency)
            continue
        credited = reduction.amount if reduction.how == "credited" else 0
        connection.execute(
            """UPDATE charge_line SET reduced = reduced + %s, credited = credited + %s
               WHERE charge_id = %s AND key = %s""",
            (reduction.amount, credited, reduction.charge, reduction.key),
        )
        if reduction.how == "credited":
            book.move("credit", reduction.charge, reduction.amount, currency)
        elif reduction.how == "reduced":
            given_back += give_back(connection, book, reduction.charge, currency)
        elif reduction.how == "forgone":
            book.move("write_off_reversed", reduction.charge, reduction.amount, currency)
    return given_back


def give_back(connection: Conn, book: Book, charge_id: str, currency: str) -> int:
    """Of a charge that failed, the credit it had used and no longer needs, because more was taken off than it asks.

    Answers how much (minor units); the caller adds it to the workspace's credit.
    """
    lines = many(
        connection,
        """SELECT l.key, l.reduced, l.credited, c.amount FROM charge_line l JOIN charge c ON c.id = l.charge_id
           WHERE l.charge_id = %s ORDER BY l.key""",
        (charge_id,),
    )
    spare = sum(line["reduced"] for line in lines) - lines[0]["amount"] - sum(line["credited"] for line in lines)
    back = left = max(0, int(spare))
    for line in lines:
        part = min(left, line["reduced"] - line["credited"])
        if part:
            connection.execute(
                "UPDATE charge_line SET credited = credited + %s WHERE charge_id = %s AND key = %s",
                (part, charge_id, line["key"]),
            )
            left -= part
    if back:
        book.move("credit", charge_id, back, currency)
    return back


def _shrink(connection: Conn, book: Book, reduction: Reduction, currency: str) -> int:
    """Make a charge that is not yet sent smaller; at zero it is cancelled."""
    row = one(connection, "SELECT amount, credit FROM charge WHERE id = %s FOR UPDATE", (reduction.charge,))
    assert row is not None  # noqa: S101 - `shares` read and locked it in this transaction
    amount, back = shrunk(row["amount"], row["credit"], reduction.amount)
    connection.execute(
        "UPDATE charge_line SET amount = amount - %s WHERE charge_id = %s AND key = %s",
        (reduction.amount, reduction.charge, reduction.key),
    )
    connection.execute(
        """UPDATE charge SET amount = %s, credit = credit - %s,
               status = CASE WHEN %s > 0 THEN status WHEN credit > %s THEN 'succeeded' ELSE 'cancelled' END,
               due_at = CASE WHEN %s > 0 THEN due_at END
           WHERE id = %s""",
        (amount, back, amount, back, amount, reduction.charge),
    )
    if back:
        book.move("credit", reduction.charge, back, currency)
    return back


def open_charge(
    connection: Conn,
    book: Book,
    payment_method: str | None,
    decision: Decision,
    entry_ids: dict[str, str],
    *,
    collect: str,
    day: date,
) -> tuple[str, str]:
    """Open the one charge of a settlement step; answers its id and status.

    `collect` is live, shadow or paused. Without a payment method the charge is held (TR-12). A charge that credit
    pays in full is settled at once and never sent (law 2).
    """
    last = decision.lines[-1].line
    purpose = "period" if any(difference.line.kind == "period" for difference in decision.lines) else "seats"
    status, reason = _first_status(decision.amount, collect, payment_method)
    charge_id = new_id("ch")
    connection.execute(
        """INSERT INTO charge (id, workspace_id, subscription_id, n, purpose, nth, status, held_reason, currency,
                               amount, credit, method, due_on, created_at, due_at)
           SELECT %(id)s, %(workspace)s, %(subscription)s, %(n)s, %(purpose)s,
                  COALESCE((SELECT max(nth) FROM charge
                            WHERE subscription_id = %(subscription)s AND n = %(n)s AND purpose = %(purpose)s), 0) + 1,
                  %(status)s, %(reason)s, %(currency)s, %(amount)s, %(credit)s, %(method)s, %(day)s, %(at)s,
                  CASE WHEN %(status)s = 'queued' THEN now() END""",
        {
            "id": charge_id,
            "workspace": book.workspace_id,
            "subscription": last.subscription,
            "n": last.n,
            "purpose": purpose,
            "status": status,
            "reason": reason,
            "currency": last.currency,
            "amount": decision.amount,
            "credit": decision.credit_used,
            "method": payment_method,
            "day": day,
            "at": book.posted_at,
        },
    )
    connection.cursor().executemany(
        "INSERT INTO charge_line (charge_id, workspace_id, key, entry_id, amount) VALUES (%s, %s, %s, %s, %s)",
        [(charge_id, book.workspace_id, d.line.key, entry_ids[d.line.key], d.amount) for d in decision.lines],
    )
    if decision.credit_used:
        book.move("credit_used", charge_id, decision.credit_used, last.currency)
    return charge_id, status


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


def lease(connection: Conn, limit: int, seconds: float, callback_url: str, *, fresh: bool = True) -> list[Row]:
    """Take due charges for sending: `sending` is committed, with a new fencing token, before anything is sent.

    `fresh` False: only those that were sent before, whose outcome is still open. A lease that ran out is taken over
    with a new token: same attempt, same key. The body is frozen here, once, with the `callback_url`: under one key the
    endpoint takes one body, whatever the settings are by the next try.
    """
    due = many(
        connection,
        # Without its workspace a charge can be neither told nor booked; it must not stand before the others.
        """SELECT * FROM charge WHERE due_at <= clock_timestamp() AND (%s OR status <> 'queued')
             AND EXISTS (SELECT FROM workspace w WHERE w.id = charge.workspace_id)
           ORDER BY due_at LIMIT %s FOR UPDATE OF charge SKIP LOCKED""",
        (fresh, limit),
    )
    if not due:
        return []
    unsent = [row for row in due if row["body"] is None]
    frozen = {
        charge_id: json.dumps(body | {"callback_url": callback_url})
        for charge_id, body in bodies(connection, unsent).items()
    }
    return many(
        connection,
        """UPDATE charge SET status = CASE WHEN status IN ('queued', 'sending') THEN 'sending' ELSE status END,
               token = token + 1, tries = tries + 1, leased_until = clock_timestamp() + make_interval(secs => %(s)s),
               due_at = clock_timestamp() + make_interval(secs => %(s)s),
               first_sent_at = COALESCE(first_sent_at, clock_timestamp()), body = COALESCE(taken.body, charge.body)
           FROM unnest(%(ids)s::text[], %(bodies)s::jsonb[]) AS taken(id, body) WHERE charge.id = taken.id
           RETURNING charge.*, extract(epoch FROM clock_timestamp() - first_sent_at)::float8 AS age_s""",
        {"s": seconds, "ids": [row["id"] for row in due], "bodies": [frozen.get(row["id"]) for row in due]},
    )


def bodies(connection: Conn, charges: Sequence[Row]) -> dict[str, dict[str, object]]:
    """The body of each charge as the payment endpoint gets it, but for the attempt and the callback address."""
    if not charges:
        return {}
    ids = [row["id"] for row in charges]
    heads = many(
        connection,
        """SELECT w.id, w.external_id, w.chain_head, a.payment_reference FROM workspace w
           JOIN account a ON a.id = w.account_id WHERE w.id = ANY(%s)""",
        ([row["workspace_id"] for row in charges],),
    )
    by_workspace = {row["id"]: row for row in heads}
    lines: dict[str, list[Row]] = {}
    for row in lines_of(connection, ids):
        lines.setdefault(row["charge_id"], []).append(row)
    return {
        row["id"]: {
            "id": row["id"],
            "workspace": row["workspace_id"],
            "account": by_workspace[row["workspace_id"]]["payment_reference"],
            "currency": row["currency"],
            "amount": row["amount"],
            "tax": row["tax"],
            "credit": row["credit"],
            "lines": [line_json(line) for line in lines.get(row["id"], [])],
            "method": row["method"],
            "due_on": row["due_on"].isoformat(),
            "chain_head": bytes(by_workspace[row["workspace_id"]]["chain_head"]).hex(),
        }
        for row in charges
    }


def lines_of(connection: Conn, charge_ids: Sequence[str]) -> list[Row]:
    """The lines of charges as they were posted, with the amount each charge asks for them."""
    return many(
        connection,
        """SELECT l.charge_id, l.entry_id, l.amount AS asked, e.* FROM charge_line l
           JOIN entry e ON e.id = l.entry_id WHERE l.charge_id = ANY(%s) AND l.amount > 0 ORDER BY e.seq""",
        (list(charge_ids),),
    )


def line_json(row: Row) -> dict[str, object]:
    """A LINE as charge bodies carry it; `amount` is what this charge asks for it, in minor units."""
    return rows.line_json(row) | {"instant": calendar.written(row["instant"]), "amount": row["asked"]}
