"""Sends charges: a lease with a fencing token, `sending` committed first, the POST outside any transaction."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from random import random
from typing import Any

from billing.core.errors import UnavailableError
from billing.payments.gateway import RETRY_FOR_S, Gateway, Outcome, backoff_s
from billing.store import leases, outcomes
from billing.store.db import Database, Row
from billing.store.outcomes import Answer

_LOG = logging.getLogger("sekisu.sending")
#: A lease outlives the gateway's connect and read time-outs (2 s + 5 s), so that two senders never overlap by plan.
LEASE_S = 8.0
#: Charges leased at once; they are posted side by side.
BATCH = 16
#: A pending charge whose callback does not come is asked after this long.
ASK_AFTER_S = 3600.0


def send_due(
    database: Database, gateway: Gateway, callback_url: str, pool: ThreadPoolExecutor, collect: str = "live"
) -> int:
    """Send every charge that is due now; answers how many were tried. Raises UnavailableError.

    Unless the service's `collect` is live, only the outcomes of what was sent before are asked for.
    """
    sent = 0
    while True:
        with database.transaction("charge.lease") as connection:
            leased = leases.lease(connection, BATCH, LEASE_S, callback_url, fresh=collect == "live")
        if not leased:
            return sent
        # The posts wait side by side; the answers are booked here, one after the other, as they come.
        posts = {pool.submit(_post, gateway, charge): charge for charge in leased}
        for post in as_completed(posts):
            try:
                _book(database, posts[post], post.result())
            except UnavailableError:
                raise
            except Exception:  # noqa: BLE001 - the others were posted too, and have their answers
                _LOG.exception("charge %s: what came of it is not booked; it is sent again", posts[post]["id"])
        sent += len(leased)


def _book(database: Database, charge: Row, outcome: Outcome) -> None:
    answer = answered(outcome, charge["attempt"], charge["tries"], charge["age_s"], random)
    with database.transaction("charge.book") as connection:
        outcomes.book(connection, charge["workspace_id"], charge["id"], answer, charge["token"])


def _post(gateway: Gateway, charge: Row) -> Outcome:
    if charge["status"] == "pending" or charge["age_s"] > RETRY_FOR_S:
        return gateway.lookup(charge["id"])
    body: Mapping[str, Any] = charge["body"] | {"attempt": charge["attempt"]}
    return gateway.charge(body)


def answered(outcome: Outcome, attempt: int, tries: int, age_s: float, roll: Callable[[], float]) -> Answer:
    """What an outcome means for the charge. No word, or none after asking: unknown, and tried again later; after
    three days of that a person decides, so nothing more is due."""
    if outcome.kind in ("succeeded", "failed"):
        return Answer(outcome.kind, attempt, outcome.reference, outcome.failure_code, None, outcome.detail)
    if outcome.kind == "pending":
        return Answer("pending", attempt, outcome.reference, None, ASK_AFTER_S, outcome.detail)
    wait = max(backoff_s(tries, roll()), outcome.retry_after_s or 0.0)
    given_up = outcome.kind == "absent" and age_s > RETRY_FOR_S
    return Answer("unknown", attempt, None, None, None if given_up else wait, outcome.detail)
