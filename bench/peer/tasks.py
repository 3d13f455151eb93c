"""The peer's work: one Celery task per event, one charge per join that finds no free seat."""

import logging
import os
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import requests
from celery import Celery  # type: ignore[import-untyped] # Celery ships no types
from psycopg import Connection
from psycopg.rows import TupleRow

from bench.peer.store import pool

log = logging.getLogger(__name__)
celery = Celery("peer", broker=os.environ["PEER_BROKER_URL"])
celery.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=32,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)

EVENT = "SELECT workspace, at, kind FROM events WHERE id = %s"
LOCK = """SELECT unit_amount, currency, period_start, period_end, seats - occupied FROM workspaces
          WHERE id = %s FOR UPDATE"""
SEAT = "UPDATE workspaces SET seats = seats + 1, occupied = occupied + 1 WHERE id = %s"
#: A leave, or a join that finds a free seat: counted once, however often the task is delivered.
COUNT = """WITH first AS (UPDATE events SET counted = true WHERE id = %(event)s AND NOT counted RETURNING workspace)
           UPDATE workspaces SET occupied = occupied + %(by)s WHERE id IN (SELECT workspace FROM first)"""
CHARGE = """INSERT INTO charges (event_id, workspace, seats, amount, currency) VALUES (%s, %s, 1, %s, %s)
            ON CONFLICT (event_id) DO NOTHING RETURNING id, workspace, amount, currency"""
BOUGHT = "SELECT FROM charges WHERE event_id = %s"
OPEN = "SELECT id, workspace, amount, currency FROM charges WHERE event_id = %s AND status = 'open'"
PAID = "UPDATE charges SET status = 'paid', reference = %s, paid_at = now() WHERE id = %s AND status = 'open'"


@cache
def session() -> requests.Session:
    """This process's keep-alive connection to the payment endpoint."""
    return requests.Session()


def prorated(unit_amount: int, start: date, end: date, day: date) -> int:
    """Minor units for the days left of the period, rounded half up once."""
    share = Fraction((end - day).days, (end - start).days)
    exact = unit_amount * share
    return int((Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal(1), ROUND_HALF_UP))


def book(connection: Connection[TupleRow], event_id: str) -> TupleRow | None:
    """Counts the person, and opens the charge of a seat that must be bought, once per event; None when nothing is
    left to pay.

    Raises LookupError when there is no such event or workspace.
    """
    event = connection.execute(EVENT, (event_id,)).fetchone()
    if event is None:
        raise LookupError(f"no event {event_id}")
    workspace, at, kind = event
    locked = connection.execute(LOCK, (workspace,)).fetchone()
    if locked is None:
        raise LookupError(f"no workspace {workspace}")
    unit_amount, currency, start, end, free = locked
    if kind == "member.left":
        connection.execute(COUNT, {"event": event_id, "by": -1})
        return None
    if free > 0 and connection.execute(BOUGHT, (event_id,)).fetchone() is None:
        connection.execute(COUNT, {"event": event_id, "by": 1})
        return None
    amount = prorated(unit_amount, start, end, at.date())
    charge = connection.execute(CHARGE, (event_id, workspace, amount, currency)).fetchone()
    if charge is None:  # a second delivery of the task: finish what the first one left
        return connection.execute(OPEN, (event_id,)).fetchone()
    connection.execute(SEAT, (workspace,))
    return charge


def send(charge: tuple[Any, ...]) -> str:
    """POSTs one charge; the same key on every try. Returns the endpoint's reference.

    Raises requests.RequestException when the endpoint does not answer 2xx.
    """
    charge_id, workspace, amount, currency = charge
    line = {"kind": "seats_added", "seats": 1, "amount": amount}
    body = {"id": str(charge_id), "workspace": workspace, "currency": currency, "amount": amount, "lines": [line]}
    url = os.environ["PEER_PAYMENT_URL"] + "/charges"
    answer = session().post(url, json=body, headers={"Idempotency-Key": str(charge_id)}, timeout=10)
    answer.raise_for_status()
    return str(answer.json()["id"])


@celery.task(autoretry_for=(requests.RequestException,), retry_backoff=True, max_retries=20)  # type: ignore[untyped-decorator]
def count_member(event_id: str) -> None:
    """One join to one paid charge, in two transactions with the POST between them; a leave frees the seat."""
    with pool().connection() as connection, connection.transaction():
        charge = book(connection, event_id)
    if charge is None:
        return
    reference = send(charge)
    with pool().connection() as connection:
        connection.execute(PAID, (reference, charge[0]))
