"""Charges on their way out: leased by one sender at a time, each with the body it is sent with, frozen once."""

import json
from collections.abc import Sequence

from billing.core import calendar
from billing.store import holders, rows
from billing.store.db import Conn, Row, many
from billing.store.ledger import Book


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
               token = token + 1, tries = tries + 1, leased_by = %(holder)s,
               leased_until = clock_timestamp() + make_interval(secs => %(s)s),
               due_at = clock_timestamp() + make_interval(secs => %(s)s),
               first_sent_at = COALESCE(first_sent_at, clock_timestamp()), body = COALESCE(taken.body, charge.body)
           FROM unnest(%(ids)s::text[], %(bodies)s::jsonb[]) AS taken(id, body) WHERE charge.id = taken.id
           RETURNING charge.*, extract(epoch FROM clock_timestamp() - first_sent_at)::float8 AS age_s""",
        {
            "s": seconds,
            "holder": holders.mine(),
            "ids": [row["id"] for row in due],
            "bodies": [frozen.get(row["id"]) for row in due],
        },
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
        row["id"]: _body(row, by_workspace[row["workspace_id"]], [line_json(line) for line in lines.get(row["id"], [])])
        for row in charges
    }


def _body(charge: Row, workspace: Row, lines: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": charge["id"],
        "workspace": workspace["id"],
        "account": workspace["payment_reference"],
        "currency": charge["currency"],
        "amount": charge["amount"],
        "tax": charge["tax"],
        "credit": charge["credit"],
        "lines": lines,
        "method": charge["method"],
        "due_on": str(charge["due_on"]),
        "chain_head": bytes(workspace["chain_head"]).hex(),
    }


def take(book: Book, workspace: Row, seconds: float, callback_url: str) -> Row:
    """Open the queued charge of a book as one that its settler has already taken out, to send it as soon as `sending`
    is committed; answers it as `lease` does. `workspace` is the locked row."""
    (charge,) = book.parts["charge"]
    entries = {row["id"]: row for row in book.parts["entries"]}
    asked = [entries[line["entry_id"]] | line | {"asked": line["amount"]} for line in charge["lines"]]
    lines = [line_json(row) for row in asked if row["asked"] > 0]
    body = _body(charge, workspace | {"chain_head": book.head}, lines) | {"callback_url": callback_url}
    charge |= {"status": "sending", "body": body, "tries": 1, "leased_by": holders.mine(), "lease_s": seconds}
    return charge | {"workspace_id": book.workspace_id, "attempt": 1, "token": 1, "age_s": 0.0}


def take_over(connection: Conn) -> int:
    """End the leases of dead processes of this host, so that what they were sending is due; answers how many."""
    held = """SELECT DISTINCT leased_by FROM charge
              WHERE due_at > clock_timestamp() AND leased_until IS NOT NULL AND leased_by IS NOT NULL"""
    dead = [row["leased_by"] for row in many(connection, held) if holders.is_dead(row["leased_by"])]
    end = """UPDATE charge SET due_at = clock_timestamp()
             WHERE due_at > clock_timestamp() AND leased_until IS NOT NULL AND leased_by = ANY(%s)"""
    return connection.execute(end, (dead,)).rowcount if dead else 0


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
