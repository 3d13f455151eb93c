"""Sends charges: a lease with a fencing token, `sending` committed first, the POST outside any transaction."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from random import random
from threading import Lock
from typing import Any

from billing.core.errors import UnavailableError
from billing.payments.gateway import RETRY_FOR_S, Gateway, Outcome, backoff_s
from billing.store import leases, outcomes
from billing.store.db import Database, Row
from billing.store.ledger import Book
from billing.store.outcomes import Answer, Word

_LOG = logging.getLogger("sekisu.sending")
#: A lease outlives the gateway's connect and read time-outs (2 s + 5 s), so that two senders never overlap by plan.
LEASE_S = 8.0
#: Charges leased at once; they are posted side by side.
BATCH = 16
#: Charges that were taken out by their settlement and are on their way, in one process, and how many side by side.
ROOM = 64
POSTERS = 8
#: A charge that waited this long for its turn is not posted: there is just time for a silent endpoint in its lease.
SPARE_S = LEASE_S - 7.0
#: A pending charge whose callback does not come is asked after this long.
ASK_AFTER_S = 3600.0


def send_due(
    database: Database,
    gateway: Gateway,
    callback_url: str,
    pool: ThreadPoolExecutor,
    collect: str = "live",
    together: int = BATCH,
) -> int:
    """Send every charge that is due now; answers how many were tried. Raises UnavailableError.

    Up to `together` answers are booked in one transaction. Unless the service's `collect` is live, only the outcomes
    of what was sent before are asked for.
    """
    sent = 0
    while True:
        with database.transaction("charge.lease") as connection:
            leased = leases.lease(connection, BATCH, LEASE_S, callback_url, fresh=collect == "live")
        if not leased:
            return sent
        # The posts wait side by side; the answers are booked here as they come, together when several are there.
        posts = {pool.submit(_post, gateway, charge): charge for charge in leased}
        waiting = set(posts)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            book(database, [(posts[post], outcome) for post in done if (outcome := _result(post))], together)
        sent += len(leased)


class Outbox:
    """Sends charges that their own settlement took out: no second transaction, and no waiting behind a batch.

    A charge that finds no room stays queued, and `send_due` takes it: so a slow endpoint fills the room and no more.
    """

    def __init__(self, database: Database, gateway: Gateway, callback_url: str, together: int = BATCH) -> None:
        self.callback_url, self._together = callback_url, together
        self._database, self._gateway = database, gateway
        self._pool = ThreadPoolExecutor(POSTERS, thread_name_prefix="outbox")
        self._waiting = 0
        self._answers: deque[tuple[Row, Outcome]] = deque()
        self._lock, self._booking = Lock(), Lock()

    def parcel(self) -> "Parcel":
        """Empty, for the charges of one transaction."""
        return Parcel(self)

    @property
    def room(self) -> int:
        """How many more charges may be taken out now."""
        return ROOM - self._waiting

    def send(self, charges: Sequence[Row]) -> None:
        """Send what was taken out, now that it is committed; what came of it is booked."""
        with self._lock:
            self._waiting += len(charges)
        taken_at = time.monotonic()
        for charge in charges:
            self._pool.submit(self._send, charge, taken_at)

    def _send(self, charge: Row, taken_at: float) -> None:
        try:
            # Else its lease might end while the endpoint is silent; the next sender takes it over then.
            if time.monotonic() - taken_at < SPARE_S:
                self._answers.append((charge, _post(self._gateway, charge)))
                self._book()
        except Exception:  # noqa: BLE001 - the row stays due, and a sweep finds it when its lease is over
            _LOG.exception("charge %s: what came of it is not booked; it is sent again", charge["id"])
        finally:
            with self._lock:
                self._waiting -= 1

    def _book(self) -> None:
        """Book the answers that are there. One thread books; what comes meanwhile it books together, next."""
        while self._answers and self._booking.acquire(blocking=False):
            try:
                some = [self._answers.popleft() for _ in range(min(len(self._answers), BATCH))]
                book(self._database, some, self._together)
            finally:
                self._booking.release()


class Parcel:
    """The charges that one transaction takes out."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.charges: list[Row] = []

    def take(self, book: Book, workspace: Row) -> None:
        """Take out the queued charge of a book that is not written yet, while there is room.

        A workspace with a clock waits for its answers where it stands (law 4), so its charges go the long way.
        """
        if not workspace["clock_id"] and len(self.charges) < self._outbox.room:
            self.charges.append(leases.take(book, workspace, LEASE_S, self._outbox.callback_url))


def book(database: Database, answers: Sequence[tuple[Row, Outcome]], together: int) -> None:
    """Book what came of charges, up to `together` in one transaction. What cannot be booked is sent again.

    Raises UnavailableError.
    """
    words = [_word(charge, outcome) for charge, outcome in answers]
    while words:
        now = list({word.workspace_id: word for word in reversed(words)}.values())[-together:]  # one of each workspace
        words = [word for word in words if word not in now]
        if not _booked(database, now) and len(now) > 1:
            for word in now:
                _booked(database, [word])


def _booked(database: Database, words: Sequence[Word]) -> bool:
    """Whether words on different workspaces could be booked in one transaction: one's fault undoes all."""
    try:
        with database.transaction("charge.book") as connection:
            outcomes.book_all(connection, words)
    except UnavailableError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, others' answers must not wait for it
        _LOG.exception("%s: what came of it is not booked", ", ".join(word.charge_id for word in words))
        return False
    return True


def _word(charge: Row, outcome: Outcome) -> Word:
    answer = answered(outcome, charge["attempt"], charge["tries"], charge["age_s"], random)
    return Word(charge["workspace_id"], charge["id"], answer, charge["token"])


def _result(post: "Future[Outcome]") -> Outcome | None:
    """None when posting itself failed: the charge is sent again, and the others have their answers."""
    try:
        return post.result()
    except Exception:  # noqa: BLE001 - see above
        _LOG.exception("a charge could not be posted; it is sent again")
        return None


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
    pause_s = max(backoff_s(tries, roll()), outcome.retry_after_s or 0.0)
    given_up = outcome.kind == "absent" and age_s > RETRY_FOR_S
    return Answer("unknown", attempt, None, None, None if given_up else pause_s, outcome.detail)
