"""Group commit: one thread per process commits what all waiting requests brought, in one statement (ADR 0005)."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator

import psycopg

from billing.core.errors import UnavailableError
from billing.store import inbox
from billing.store.db import Conn
from billing.store.inbox import Delivery, Outcome
from service.receiver.line import Line, Ticket

#: Seconds a request waits for its commit.
PATIENCE = 2.0

_LOG = logging.getLogger("sekisu.receiver")


class Committer:
    """Keeps deliveries for many threads. Its own thread and connection are made on first use, so a fork is safe."""

    def __init__(
        self,
        database_url: str,
        patience: float = PATIENCE,
        keep: Callable[[Conn, list[Delivery]], list[Outcome]] = inbox.keep,
    ) -> None:
        self._url = database_url
        self.patience = patience
        self._keep = keep
        self._pid = 0
        self._start = threading.Lock()
        self._line = Line()

    def keep(self, delivery: Delivery) -> Outcome:
        """Return once `delivery` is committed. Raises UnavailableError when that did not happen within the patience."""
        done = threading.Lock()
        done.acquire()
        ticket = Ticket(delivery, done.release)
        with self.entered(ticket):
            done.acquire(timeout=self.patience)
        return outcome_of(ticket)

    @contextlib.contextmanager
    def entered(self, ticket: Ticket) -> Iterator[None]:
        """The ticket stands in line, until its request goes on, settled or tired of waiting."""
        if self._pid != os.getpid():
            self._begin()
        self._line.enter(ticket)
        try:
            yield
        finally:
            ticket.given_up = not ticket.settled

    def _begin(self) -> None:
        with self._start:
            if self._pid != os.getpid():
                self._line = Line()  # what a parent had in its own is the parent's
                writer = _Writer(self._url, self._keep)
                threading.Thread(target=_run, args=(self._line, writer), name="committer", daemon=True).start()
                self._pid = os.getpid()


def _run(line: Line, writer: "_Writer") -> None:
    while True:
        batch = line.take()
        try:
            writer.write(batch)
        except Exception:  # noqa: BLE001 - the one thread all requests depend on must outlive any fault
            _LOG.exception("a batch of %d deliveries could not be committed", len(batch))
        for ticket in batch:
            if not ticket.settled:
                ticket.settle(None)


def outcome_of(ticket: Ticket) -> Outcome:
    """What became of it. Raises UnavailableError when it was not committed, or not in time."""
    if ticket.outcome is not None:
        return ticket.outcome
    raise UnavailableError(
        "a delivery could not be committed" if ticket.settled else "a delivery waited too long for its commit"
    )


class _Writer:
    """The committer's connection, and what it does when a batch fails."""

    def __init__(self, database_url: str, keep: Callable[[Conn, list[Delivery]], list[Outcome]]) -> None:
        self._url = database_url
        self._keep = keep
        self._connection: Conn | None = None

    def write(self, batch: list[Ticket]) -> None:
        """Commit and settle the tickets; those left unsettled failed."""
        if not batch:
            return
        try:
            outcomes = self._attempt([ticket.delivery for ticket in batch])
        except psycopg.OperationalError as fault:
            _LOG.warning("the database does not answer: %s", str(fault).strip())
        except Exception as fault:  # noqa: BLE001 - whatever a row did, its neighbours must not suffer for it
            self._single(batch, fault)
        else:
            for ticket, outcome in zip(batch, outcomes, strict=True):
                ticket.settle(outcome)

    def _single(self, batch: list[Ticket], fault: Exception) -> None:
        """One of the batch is bad: try each alone."""
        if len(batch) == 1:
            _LOG.error("delivery %s could not be kept", batch[0].delivery.id, exc_info=fault)
            return
        for ticket in batch:
            self.write([ticket])

    def _attempt(self, deliveries: list[Delivery]) -> list[Outcome]:
        """Once more after a lost connection or a deadlock: keeping twice is keeping once."""
        try:
            return self._keep(self._open(), deliveries)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self._drop()
            time.sleep(0.01)
            return self._keep(self._open(), deliveries)

    def _open(self) -> Conn:
        if self._connection is None or self._connection.closed:
            self._connection = inbox.connect(self._url)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
