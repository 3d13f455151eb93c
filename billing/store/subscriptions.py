"""A workspace's subscription and the periods it opened, each with its pinned terms (law 3)."""

import json

from billing.core.lines import Pins, Subscription, Terms
from billing.store import rows
from billing.store.db import Answer, Conn, Row, one


def running(connection: Conn, workspace_id: str) -> Row | None:
    """The row of the running subscription, or None."""
    return one(connection, "SELECT * FROM subscription WHERE workspace_id = %s AND state <> 'ended'", (workspace_id,))


def pins(connection: Conn, workspace_id: str) -> Pins:
    """The running subscription and the terms pinned by each opened period."""
    return pinned(ask_pins(connection, workspace_id))


def ask_pins(connection: Conn, workspace_id: str) -> Answer:
    """Ask for what `pinned` reads; in a pipeline, fetched later."""
    return connection.execute(
        """SELECT s.*, p.n AS period_n, p.terms AS period_terms FROM subscription s
           LEFT JOIN period p ON p.subscription_id = s.id
           WHERE s.workspace_id = %s AND s.state <> 'ended'""",
        (workspace_id,),
    )


def pinned(answer: Answer) -> Pins:
    """The pins of an answer."""
    found = answer.fetchall()
    if not found:
        return Pins()
    terms = {row["period_n"]: rows.terms(row["period_terms"]) for row in found if row["period_n"] is not None}
    return Pins(rows.subscription(found[0]), terms)


def insert(connection: Conn, workspace_id: str, subscription: Subscription, terms: Terms) -> None:
    """Store a new subscription; its first period is pinned by `pin`."""
    connection.execute(
        """INSERT INTO subscription (id, workspace_id, fact_id, plan, interval, payment_method, started_at, anchor,
                                     zone, months, opening_seats, state)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'active')""",
        (
            subscription.id,
            workspace_id,
            subscription.fact_id,
            terms.plan,
            terms.interval,
            subscription.payment_method,
            subscription.started_at,
            subscription.anchor,
            subscription.zone,
            subscription.months,
            subscription.opening_seats,
        ),
    )


def pin(connection: Conn, workspace_id: str, subscription: Subscription, n: int, terms: Terms) -> None:
    """Pin the terms of period `n` when it opens; pinning it again changes nothing."""
    connection.execute(
        """INSERT INTO period (subscription_id, n, workspace_id, start_at, end_at, terms)
           VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
        (
            subscription.id,
            n,
            workspace_id,
            subscription.renewal(n) if n else subscription.started_at,
            subscription.renewal(n + 1),
            json.dumps(rows.terms_json(terms)),
        ),
    )
