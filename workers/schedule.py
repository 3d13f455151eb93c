"""Which workspaces are to be reconciled now: by the hour, or because a delivery hinted that lists have changed.

One at a time, each on a lease, so that two tickers never ask one tool twice. All times here are wall times.
"""

import logging
import threading
from collections.abc import Callable

from billing.core.errors import SekisuError
from billing.settings import Settings
from billing.store.db import Database, one
from billing.tools import room as rooms
from workers.reconcile import Report, reconcile

_LOG = logging.getLogger("sekisu.reconcile")
#: Seconds from one pull to the next that hints may ask for: they come in swarms.
HINTS_S = 60
#: Minutes a pull may take before another ticker may start it anew.
LEASE_MINUTES = 30
#: Minutes until a pull that failed is tried again.
AGAIN_MINUTES = 30
#: Seconds between two looks for something to pull.
LOOK_S = 5.0

_NEXT = """
UPDATE workspace SET pull_after = now() + make_interval(mins => %(lease)s) WHERE id = (
    SELECT w.id FROM workspace w JOIN connection c ON c.account_id = w.account_id AND c.tool = w.tool
        AND c.removed_at IS NULL AND c.credential IS NOT NULL AND c.id = COALESCE(w.connection_id, c.id)
    CROSS JOIN LATERAL (SELECT COALESCE(w.pulled_at, '-infinity') AS pulled_at) AS last
    WHERE w.tool = ANY(%(tools)s) AND (w.pull_after IS NULL OR w.pull_after <= now())
      AND ((c.reread_at >= last.pulled_at AND last.pulled_at <= now() - make_interval(secs => %(hints)s))
           OR (%(hours)s > 0 AND last.pulled_at <= now() - make_interval(hours => %(hours)s)))
    ORDER BY last.pulled_at LIMIT 1 FOR UPDATE OF w SKIP LOCKED
) RETURNING id
"""
_LATER = "UPDATE workspace SET pull_after = now() + make_interval(mins => %s) WHERE id = %s"


def run_next(
    database: Database, settings: Settings, settle: Callable[[frozenset[str]], object], pause: Callable[[float], object]
) -> Report | None:
    """Reconcile the one workspace that is due first, and settle what it touched; None: nothing is due.

    Raises UnavailableError; then the lease runs out and somebody else tries.
    """
    tools = [name for name in rooms.names() if _asks(name)]
    values = {
        "tools": tools,
        "hours": settings.reconcile_hours,
        "lease": LEASE_MINUTES,
        "hints": HINTS_S,
    }
    with database.transaction("reconcile.lease") as connection:
        row = one(connection, _NEXT, values)
    if row is None:
        return None
    report = reconcile(database, settings, row["id"], pause=pause)
    if report.fault is not None:
        with database.transaction("reconcile.later") as connection:
            connection.execute(_LATER, (AGAIN_MINUTES, row["id"]))
    if report.fault is not None:
        _LOG.warning("reconcile %s: %s", row["id"], report.fault)
    elif report.differences:
        _LOG.warning("reconcile %s: %d differences, %d facts", row["id"], len(report.differences), report.facts)
    settle(report.touched)
    return report


def run(
    database: Database, settings: Settings, settle: Callable[[frozenset[str]], object], ended: threading.Event
) -> None:
    """Reconcile what is due until `ended`. A fault is logged; time goes on."""
    while not ended.is_set():
        more = False
        try:
            more = run_next(database, settings, settle, ended.wait) is not None
        except SekisuError as fault:
            _LOG.warning("reconcile: %s", fault)
        except Exception:  # noqa: BLE001 - one bad pull must not end the others
            _LOG.exception("reconcile failed; the next one comes")
        if not more:
            ended.wait(LOOK_S)


def _asks(tool: str) -> bool:
    try:
        return rooms.load(tool).API is not None
    except Exception:  # noqa: BLE001 - a broken room breaks only itself
        return False
