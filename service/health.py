"""Is it alive, is it ready, how does it fare: `/healthz`, `/readyz`, `/metrics`."""

import logging
from collections.abc import Iterator
from pathlib import Path

import psycopg
from flask import Flask, Response, g
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from billing.core.errors import UnavailableError
from billing.settings import Settings
from billing.store import migrations
from billing.store.db import Conn, Database, many, one
from service.api import auth
from service.api.faults import ForbiddenError
from service.problem import problem

_LOG = logging.getLogger("sekisu.health")

_COUNTS = (
    ("sekisu_deliveries", "Deliveries in the inbox.", "state", "SELECT state AS label, count(*) AS n FROM delivery"),
    (
        "sekisu_unknown_actions",
        "Deliveries of an action that no room knows: kept, never guessed.",
        "action",
        "SELECT substr(action, 9) AS label, count(*) AS n FROM delivery WHERE action LIKE 'unknown:%'",
    ),
    ("sekisu_charges", "Charges.", "status", "SELECT status AS label, count(*) AS n FROM charge"),
    ("sekisu_refunds", "Refunds.", "status", "SELECT status AS label, count(*) AS n FROM refund"),
    ("sekisu_mails", "Mails.", "status", "SELECT status AS label, count(*) AS n FROM mail"),
    (
        "sekisu_callbacks",
        "Callbacks of the payment endpoint.",
        "state",
        "SELECT state AS label, count(*) AS n FROM callback",
    ),
    ("sekisu_alarms", "Alarms.", "kind", "SELECT kind AS label, count(*) AS n FROM alarm"),
)
_SINGLE = (
    (
        "sekisu_oldest_kept_delivery_seconds",
        "Age of the oldest delivery that was not read yet (0: none waits).",
        """SELECT coalesce(extract(epoch FROM now() - min(received_at)), 0)::float8 AS n
        FROM delivery WHERE state = 'kept'""",
    ),
    (
        "sekisu_unsettled_facts",
        "Facts that were not settled yet.",
        "SELECT count(*) AS n FROM fact WHERE settled_at IS NULL",
    ),
)


def newest_revision() -> str:
    """The newest schema this code knows, by the names of its migrations: Alembic would cost the process 20 MB."""
    return max(path.name[:4] for path in (Path(migrations.__path__[0]) / "versions").glob("[0-9]*.py"))


def register(app: Flask, settings: Settings, db: Database) -> None:
    """Add the three routes to `app`; the metrics are for an admin key with the scope `metrics` or `read`."""
    newest = newest_revision()

    def alive() -> Response:
        return Response("ok\n", content_type="text/plain; charset=utf-8")

    def ready() -> Response:
        fault = _not_ready(db, newest)
        if fault:
            return problem(503, "not_ready", fault, {"Retry-After": "1"})
        return Response("ready\n", content_type="text/plain; charset=utf-8")

    def metrics() -> Response:
        key = auth.bearer()
        with db.reading() as transaction:
            g.caller = auth.identify(transaction, settings.api_key, key)
            if not g.caller.admin or g.caller.scopes.isdisjoint({"metrics", "read"}):
                raise ForbiddenError("the metrics need an admin key with the scope 'metrics'")
            transaction.execute("SET LOCAL statement_timeout = '5s'")
            return Response(_exposition(transaction), content_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_url_rule("/healthz", "healthz", alive)
    app.add_url_rule("/readyz", "readyz", ready)
    app.add_url_rule("/metrics", "metrics", metrics)


def _not_ready(db: Database, newest: str) -> str | None:
    try:
        with db.reading() as transaction:
            row = one(transaction, "SELECT version_num FROM alembic_version")
    except UnavailableError:
        return "the database does not answer"
    except psycopg.Error:
        return "the database was never migrated: run `sekisu migrate`"
    # A newer schema is fine: while a new release rolls out, the old one still serves.
    if row is None or row["version_num"] < newest:
        return f"the database's schema is older than {newest}: run `sekisu migrate`"
    return None


class _Once(Collector):
    """Metrics read from the database once, so that every process tells the same."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from self._found


def _exposition(transaction: Conn) -> bytes:
    found: list[Metric] = []
    for name, told, label, query in _COUNTS:
        family = GaugeMetricFamily(name, told, labels=[label])
        for row in many(transaction, f"{query} GROUP BY 1"):
            family.add_metric([row["label"]], row["n"])
        found.append(family)
    for name, told, query in _SINGLE:
        found += [GaugeMetricFamily(name, told, value=row["n"]) for row in many(transaction, query)]
    registry = CollectorRegistry()
    registry.register(_Once(found))
    return generate_latest(registry)
