"""Sends refunds as charges are sent: a lease with a fencing token, `sending` committed first, the POST outside it."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from random import random

from billing.core.errors import UnavailableError
from billing.payments.gateway import RETRY_FOR_S, Gateway, Outcome, backoff_s
from billing.store import refunds
from billing.store.db import Database, Row
from billing.store.outcomes import Answer
from workers.sending import BATCH, LEASE_S

_LOG = logging.getLogger("sekisu.refunding")


def send_due(database: Database, gateway: Gateway, pool: ThreadPoolExecutor, collect: str = "live") -> int:
    """Send every refund that is due now; answers how many were tried. Raises UnavailableError.

    Unless the service's `collect` is live, nothing new is sent, and what was sent before is asked for again.
    """
    live, sent = collect == "live", 0
    while True:
        with database.transaction("refund.lease") as connection:
            refunds.hold(connection, live=live)
            leased = refunds.lease(connection, BATCH, LEASE_S, fresh=live)
        if not leased:
            return sent
        posts = {pool.submit(_post, gateway, refund): refund for refund in leased}
        for post in as_completed(posts):
            try:
                _book(database, posts[post], post.result())
            except UnavailableError:
                raise
            except Exception:  # noqa: BLE001 - the others were posted too, and have their answers
                _LOG.exception("refund %s: what came of it is not booked; it is sent again", posts[post]["id"])
        sent += len(leased)


def _book(database: Database, refund: Row, outcome: Outcome | None) -> None:
    answer = answered(outcome, refund["status"], refund["tries"], random)
    with database.transaction("refund.book") as connection:
        refunds.book(connection, refund["workspace_id"], refund["id"], answer, refund["token"])


def _post(gateway: Gateway, refund: Row) -> Outcome | None:
    """Ask for the refund; None when it was waited for long enough. One the endpoint has taken is not asked for again:
    its callback comes, and refunds have no lookup."""
    if refund["status"] == "pending" or refund["age_s"] > RETRY_FOR_S:
        return None
    return gateway.refund(refunds.body(refund))


def answered(outcome: Outcome | None, status: str, tries: int, roll: Callable[[], float]) -> Answer:
    """What an outcome means for a refund of a `status`. No word: unknown, and tried again later under the same key;
    after three days of that, or of waiting for a callback, a person decides, so nothing more is due."""
    if outcome is None:
        return Answer("pending" if status == "pending" else "unknown", 1, detail="no word for three days")
    if outcome.kind in ("succeeded", "failed"):
        return Answer(outcome.kind, 1, outcome.reference, outcome.failure_code, None, outcome.detail)
    if outcome.kind == "pending":
        return Answer("pending", 1, outcome.reference, None, RETRY_FOR_S, outcome.detail)
    wait = max(backoff_s(tries, roll()), outcome.retry_after_s or 0.0)
    return Answer("unknown", 1, None, None, wait, outcome.detail)
