"""The door as one Flask application."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask

from billing.settings import Settings
from billing.store.db import Database
from service import api, console, health, problem
from service.receiver import callbacks, webhooks
from workers.bell import Bell

#: Connections to the database of one web process, beside the committer's; and seconds to wait for one.
_POOL = 8
_POOL_PATIENCE = 2.0


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
    api.register(app, settings, db, bell)
    console.register(app)
    return app
