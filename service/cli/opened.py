"""The database of a command that runs beside the service, or on its own: then the embedded one is started for it."""

import contextlib
import os
from collections.abc import Iterator

from psycopg import errors

from billing.core.errors import SekisuError
from billing.settings import Settings
from billing.store.db import Database
from service.cli import pgtools
from workers.bell import Bell


class SchemaError(SekisuError):
    """The database lacks a table or a column that this version needs."""

    code = "schema"


@contextlib.contextmanager
def database() -> Iterator[tuple[Settings, Database]]:
    """The settings and the database they name. Raises SettingsError, UnavailableError, SchemaError,
    NoDatabaseError."""
    settings = Settings.load(os.environ)
    with pgtools.there(settings) as url:
        opened = Database(url, size=2)
        try:
            yield settings, opened
        except (errors.UndefinedTable, errors.UndefinedColumn) as fault:
            first = str(fault).partition("\n")[0]
            raise SchemaError(f"the database is at another schema ({first}); run `sekisu migrate`") from fault
        finally:
            opened.close()


def ring(settings: Settings, *rings: tuple[str, str]) -> None:
    """Ring for rows that were just committed, as (`read` or `settle`, id). Without a broker the sweeper finds them."""
    if not settings.redis_url:
        return
    bell = Bell(settings.redis_url)
    for what, name in rings:
        (bell.read if what == "read" else bell.settle)(name)
    bell.flush(1.0)
