"""The jobs of the engine room. Each takes ids only, catches every fault and leaves the row due: the row is the job."""

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TypeVar

from billing.core.errors import NotFoundError, SekisuError, UnavailableError
from billing.payments.gateway import Gateway
from billing.settings import Settings
from billing.store import leases, workspaces
from billing.store.db import Database
from workers import callbacks, documents, reading, refunding, sending
from workers.mailing import Mailer, Smtp
from workers.settle import settle, settle_together

_T = TypeVar("_T")
_LOG = logging.getLogger("sekisu.jobs")
#: What is new is the bell's for this long, seconds; then it is the sweeper's.
GRACE_S = 1.0
#: Workspaces with something due that are settled in one go, and how many of them are worth calling for help.
DUE_AT_ONCE = 500
CROWD = 100
#: Workspaces that travel through time, settled on after one round of sending at most.
_AT_ONCE = 500


class Jobs:
    """All that a worker or the ticker does, over connections made on first use (never before a fork)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sending, self._turns = threading.Lock(), _Turns()
        self._wanted = threading.Event()

    @cached_property
    def database(self) -> Database:
        """The pool of this process; a job holds one connection, and those who send one to book with."""
        return Database(self.settings.database_url, size=self.settings.worker_threads + sending.BATCH)

    @cached_property
    def gateway(self) -> Gateway:
        """The payment endpoint."""
        return Gateway(self.settings.payment_url, self.settings.payment_secret, clock=lambda: datetime.now(UTC))

    @cached_property
    def _senders(self) -> ThreadPoolExecutor:
        # As many as are leased at once: a leased charge must not wait for a thread while its lease runs.
        return ThreadPoolExecutor(sending.BATCH, thread_name_prefix="send")

    def read(self, connection_id: str) -> None:
        """Read a connection's deliveries, settle what they touched, send what is due: round by round."""
        rounds = reading.rounds(self.database, connection_id)
        while (touched := _caught("read", connection_id, lambda: next(rounds, None))) is not None:
            self.settle_all(touched)

    def settle_due(self) -> int:
        """Settle up to `DUE_AT_ONCE` workspaces in which something is due; how many there were."""
        found = _caught("due", "", self._due) or []
        self.settle_all(found)
        return len(found)

    def settle_crowd(self) -> None:
        """Settle what is due until it is no crowd any more: a midnight at which a hundred thousand renew is not the
        ticker's alone. Two who take the same workspace do no harm."""
        while self.settle_due() >= CROWD:
            pass

    def _due(self) -> list[str]:
        with self.database.reading() as connection:
            return workspaces.due(connection, GRACE_S, DUE_AT_ONCE)

    def settle_all(self, workspace_ids: Iterable[str]) -> None:
        """Settle workspaces, some in one transaction, then send what is due."""
        together = self.settings.settle_together
        ids = settled = self._turns.take(workspace_ids)
        while ids:
            for begin in range(0, len(ids), together):
                self._settle_some(ids[begin : begin + together])
            ids = self._turns.end(ids)
        if settled:
            self.send()

    def _settle_some(self, ids: list[str]) -> None:
        """Together; what is not done by that alone: where several steps are due, or all when one's fault undid all."""
        left = None if len(ids) == 1 else _caught("settle", f"{len(ids)} together", lambda: self._together(ids))
        for workspace_id in ids if left is None else left:
            self._settle(workspace_id)

    def _together(self, ids: list[str]) -> list[str]:
        try:
            return settle_together(self.database, ids, self.settings.collect, self._outbox)
        except UnavailableError as fault:
            _LOG.error("settle %d together: %s; the rows stay due", len(ids), fault)
            return []  # each alone would wait as long as all together

    def _settle(self, workspace_id: str) -> None:
        def job() -> None:
            settle(self.database, workspace_id, self.settings.collect, patient=True, outbox=self._outbox)

        _caught("settle", workspace_id, job)

    def take_over(self) -> None:
        """Begin with what dead processes of this host were sending."""
        if _caught("take over", "", self._take_over):
            self.send()

    def _take_over(self) -> int:
        with self.database.transaction("charge.take_over") as connection:
            return leases.take_over(connection)

    def send(self) -> None:
        """Send every charge and refund that is due. One thread of a process sends; a call meanwhile: it looks again."""
        self._wanted.set()
        while self._wanted.is_set() and self._sending.acquire(blocking=False):
            try:
                self._wanted.clear()
                if _caught("send", "", self._send_due):
                    self._go_on()
                _caught("refund", "", self._refund_due)
            finally:
                self._sending.release()

    def _go_on(self) -> None:
        """Settle on what waits at a due instant for the answers just booked; what that opens is sent next (law 4)."""
        for workspace_id in _caught("travel", "", self._travelling) or ():
            _caught("documents", workspace_id, partial(self._issue, workspace_id))
            self._settle(workspace_id)
            self._wanted.set()

    def _issue(self, workspace_id: str) -> None:
        with self.database.transaction("documents.travel") as connection:
            documents.issue_due(connection, workspace_id)

    def _travelling(self) -> list[str]:
        with self.database.reading() as connection:
            return workspaces.travelling(connection, _AT_ONCE)

    @cached_property
    def _callback_url(self) -> str:
        return f"{self.settings.public_url}/callbacks/payments/standard"

    @cached_property
    def _outbox(self) -> sending.Outbox:
        return sending.Outbox(self.database, self.gateway, self._callback_url, self.settings.settle_together)

    def _send_due(self) -> int:
        return sending.send_due(
            self.database,
            self.gateway,
            self._callback_url,
            self._senders,
            self.settings.collect,
            self.settings.settle_together,
        )

    def _refund_due(self) -> int:
        return refunding.send_due(self.database, self.gateway, self._senders, self.settings.collect)

    @cached_property
    def _mailer(self) -> Mailer:
        return Mailer(self.database, Smtp.of(self.settings))

    def papers(self) -> None:
        """Issue every document that is due, and send the mails that are due."""
        _caught("documents", "", lambda: documents.sweep(self.database))
        _caught("mail", "", self._mailer.run)

    def callbacks(self) -> None:
        """Read every callback that is due."""
        _caught("callbacks", "", lambda: callbacks.read_due(self.database))


class _Turns:
    """One thread of a process settles a workspace; one that comes meanwhile has it look again, and need not wait: a
    flood into one workspace would else hold every thread."""

    def __init__(self) -> None:
        self._again: dict[str, bool] = {}
        self._lock = threading.Lock()

    def take(self, workspace_ids: Iterable[str]) -> list[str]:
        """Those that nobody settles now, in the order of their ids."""
        with self._lock:
            wanted = set(workspace_ids)
            mine = wanted - self._again.keys()
            self._again |= dict.fromkeys(wanted - mine, True) | dict.fromkeys(mine, False)
        return sorted(mine)

    def end(self, mine: Iterable[str]) -> list[str]:
        """Those of mine for which somebody came meanwhile: they are mine again."""
        with self._lock:
            again = [workspace_id for workspace_id in mine if self._again.pop(workspace_id)]
            self._again |= dict.fromkeys(again, False)
        return again


def _caught(what: str, which: str, job: Callable[[], _T]) -> _T | None:
    """Run a job; a fault is logged and the row stays due. Nothing is raised: Dramatiq must never retry on its own."""
    try:
        return job()
    except NotFoundError as fault:
        _LOG.warning("%s %s: %s", what, which, fault)
    except SekisuError as fault:
        _LOG.error("%s %s: %s; the row stays due", what, which, fault)
    except Exception:  # noqa: BLE001 - see the module's first line
        _LOG.exception("%s %s failed; the row stays due", what, which)
    return None
