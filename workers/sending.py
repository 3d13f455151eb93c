"""Sends charges: a lease with a fencing token, `sending` committed first, the POST outside any transaction."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from random import random
from threading import Lock
from typing import Any

from billing.core.errors import UnavailableError
from billing.payments.gateway import RETRY_FOR_S, Gateway, Outcome, backoff_s
from billing.store import leases, outcomes
from billing.store.db import Database, Row
from billing.store.ledger import Book
from billing.store.outcomes import Answer

_LOG = logging.getLogger("sekisu.sending")
#: A lease outlives the gateway's connect and read time-outs (2 s + 5 s), so that two senders never overlap by plan.
LEASE_S = 8.0
#: Charges leased at once; they are posted side by side.
BATCH = 16
#: Charges that were taken out by their settlement and are on their way, in one process.
ROOM = 8
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


class Outbox:
    """Sends charges that their own settlement took out: no second transaction, and no waiting behind a batch.

    A charge that finds no room stays queued, and `send_due` takes it: so a slow endpoint fills the room and no more.
    """

    def __init__(self, database: Database, gateway: Gateway, callback_url: str) -> None:
        self.callback_url = callback_url
        self._database, self._gateway = database, gateway
        self._pool = ThreadPoolExecutor(ROOM, thread_name_prefix="outbox")
        self._waiting = 0
        self._lock = Lock()

    def take(self, book: Book, workspace: Row) -> Row | None:
        """Take out the queued charge of a book that is not written yet; None when there is no room.

        A workspace with a clock waits for its answers where it stands (law 4), so its charges go the long way.
        """
        if workspace["clock_id"] or self._waiting >= ROOM:
            return None
        return leases.take(book, workspace, LEASE_S, self.callback_url)

    def send(self, charge: Row) -> None:
        """Send what was taken out, now that it is committed; what came of it is booked."""
        with self._lock:
            self._waiting += 1
        self._pool.submit(self._send, charge)

    def _send(self, charge: Row) -> None:
        try:
            _book(self._database, charge, _post(self._gateway, charge))
        except Exception:  # noqa: BLE001 - the row stays due, and a sweep finds it when its lease is over
            _LOG.exception("charge %s: what came of it is not booked; it is sent again", charge["id"])
        finally:
            with self._lock:
                self._waiting -= 1


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
