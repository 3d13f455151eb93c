"""Makes time pass, and finds what the bell missed: due rows are done here, with the broker alive or dead."""

import logging
import signal
import threading
from collections.abc import Callable

from billing.core.errors import SekisuError
from billing.settings import Settings
from billing.store import charges, idempotency, months
from workers import commands, reading, schedule
from workers.bell import Bell
from workers.jobs import CROWD, GRACE_S, Jobs

_LOG = logging.getLogger("sekisu.ticker")
#: Seconds between two sweeps.
SWEEP_S = 0.5
#: Rows of a kind taken in one sweep.
MOST = 500
_TIDY_EVERY = 7200


def run(settings: Settings, stop: threading.Event | None = None) -> None:
    """Sweep until SIGTERM or `stop`. A fault of one sweep is logged; the next one comes."""
    ended = stop or threading.Event()
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
    jobs, bell = Jobs(settings), Bell(settings.redis_url)
    # Apart: a tool that asks to wait must not hold up time.
    pulls = threading.Thread(
        target=schedule.run, args=(jobs.database, settings, jobs.settle_all, ended), name="reconcile", daemon=True
    )
    pulls.start()
    sweeps = 0
    jobs.take_over()
    while not ended.is_set():
        _guarded(lambda: sweep(jobs, bell))
        if sweeps % _TIDY_EVERY == 0:
            _guarded(lambda: tidy(jobs))
        sweeps += 1
        ended.wait(SWEEP_S)


def sweep(jobs: Jobs, bell: Bell) -> int:
    """One sweep; answers how many connections and workspaces it found. A crowd is shared with the workers.

    Raises UnavailableError.
    """
    connections = reading.due(jobs.database, GRACE_S, MOST)
    for connection_id in connections:
        jobs.read(connection_id)
    due = jobs.settle_due()
    if due >= CROWD:
        bell.crowd(jobs.settings.worker_processes)
    jobs.callbacks()
    jobs.send()
    jobs.papers()
    return len(connections) + due


def tidy(jobs: Jobs) -> None:
    """Forget idempotency keys older than a day, make the months to come, and hold or release what another collect mode
    of the service left."""
    collect = jobs.settings.collect
    with jobs.database.transaction("tidy") as connection:
        idempotency.forget(connection)
        months.make_ahead(connection)
        left = charges.elsewhere(connection, live=collect == "live")
    for workspace in left:
        with jobs.database.transaction("tidy.collect") as connection:
            commands.set_collect(connection, workspace["id"], workspace["collect"], collect)


def _guarded(job: Callable[[], object]) -> None:
    try:
        job()
    except SekisuError as fault:
        _LOG.warning("sweep: %s", fault)
    except Exception:  # noqa: BLE001 - one bad sweep must not end time
        _LOG.exception("sweep failed; the next one comes")
