"""The door as one Flask application."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask, Response

from billing.settings import Settings
from billing.store.db import Database
from service import api, console, health, limits, problem
from service.receiver import callbacks, webhooks
from workers.bell import Bell

#: Connections to the database of one web process, beside the committer's; and seconds to wait for one.
_POOL = 8
_POOL_PATIENCE = 2.0
#: Said where the address is https: whoever came once by TLS comes by nothing else for a year.
_ALWAYS_TLS = "max-age=31536000; includeSubDomains"


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def create_app(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Flask:
    """The application for `settings`, whose addresses must be known. Nothing is connected or started yet."""
    app = Flask("service", static_folder=None)
    db = Database(settings.database_url, _POOL, _POOL_PATIENCE)
    bell = Bell(settings.redis_url)
    app.extensions["sekisu"] = {"settings": settings, "db": db, "bell": bell}
    problem.register(app)
    health.register(app, settings, db)
    app.extensions["sekisu"]["door"] = webhooks.register(app, settings, db, bell, clock)
    callbacks.register(app, settings, db, bell, clock)
    app.after_request(problem.guard)
    if settings.public_url.startswith("https:"):
        app.after_request(_by_tls)
    limits.register(app, settings.rate_key / settings.web_processes)
    api.register(app, settings, db, bell)
    console.register(app)
    return app


def _by_tls(response: Response) -> Response:
    response.headers["Strict-Transport-Security"] = _ALWAYS_TLS
    return response
