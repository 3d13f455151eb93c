"""Brings a database to the newest schema, one process at a time."""

from collections.abc import Callable, Iterable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from billing import crash
from billing.core.errors import UnavailableError
from billing.store import catalogue, connections, idempotency, planfile
from billing.store.db import Database
from billing.store.planfile import Plan

_HERE = Path(__file__).parent / "migrations"
#: Any number, the same in every process: who holds this advisory lock migrates.
_LOCK = 7_352_110_042


def migrate(database_url: str, plans_folder: Path | None = None, rotate: Callable[[bytes], bytes] | None = None) -> str:
    """Bring the database to the newest revision, with the prices of the plan files, and answer it; many may at once.

    The plan files are those that ship with this version and those of `plans_folder`, which need not be there. With
    `rotate` every stored secret is written as it gives it, all or none; what it raises goes to the caller. Raises
    PlanFileError for a bad one before anything is done, and UnavailableError when the database does not answer.
    """
    plans = planfile.wanted(plans_folder)
    engine = create_engine(_sqlalchemy_url(database_url), poolclass=NullPool)
    try:
        with engine.connect() as lock:
            lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            lock.commit()
            with crash.around("migrate.schema"), engine.begin() as connection:
                command.upgrade(_config(connection), "head")
    except OperationalError as fault:
        raise UnavailableError(f"the database does not answer: {str(fault.orig).strip()}") from fault
    _load(database_url, plans, rotate)
    return head()


def _load(database_url: str, plans: Iterable[Plan], rotate: Callable[[bytes], bytes] | None) -> None:
    """Add prices that are new or changed, what is already there stands (law 3); encrypt stored secrets anew."""
    database = Database(database_url, size=1)
    try:
        with database.transaction("migrate.catalogue") as connection:
            catalogue.load(connection, plans)
            if rotate is not None:
                connections.reseal(connection, rotate)
                idempotency.reseal(connection, rotate)
    finally:
        database.close()


def head() -> str:
    """The newest revision this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(database_url: str) -> str | None:
    """The revision a database is at; None when it was never migrated. Raises UnavailableError as `migrate` does."""
    engine = create_engine(_sqlalchemy_url(database_url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except OperationalError as fault:
        raise UnavailableError(f"the database does not answer: {str(fault.orig).strip()}") from fault


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _sqlalchemy_url(database_url: str) -> str:
    return "postgresql+psycopg://" + database_url.split("://", 1)[1]
