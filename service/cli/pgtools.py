"""PostgreSQL's dump programs, and the database they work on: the named one, a running `up`'s or the embedded one."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from billing.core.errors import SekisuError
from billing.engines.postgres import start_postgres, was_made, wheel_binaries
from billing.settings import Settings
from service.cli.stack import only_one

_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}


class ProgramError(SekisuError):
    """A dump program is missing or failed; the message has its last words."""

    code = "program"


class NoDatabaseError(SekisuError):
    """No database was ever made where the settings point to; most often they point to another place than meant."""

    code = "no_database"


@contextlib.contextmanager
def there(settings: Settings) -> Iterator[str]:
    """As `database`, for who means one that is there. Raises NoDatabaseError."""
    if not settings.database_url and not was_made(settings.data_dir):
        raise NoDatabaseError(
            f"there is no database in {settings.data_dir}: set SEKISU_DATA_DIR to the folder of the service that is "
            "meant (of `make run`: its .sekisu), or SEKISU_DATABASE_URL; `sekisu up` makes a new one"
        )
    with database(settings) as url:
        yield url


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The address of the database; the embedded one is started for the time of the block when no `up` runs it, and made
    where there is none."""
    if settings.database_url:
        yield settings.database_url
        return
    with only_one(settings.data_dir):
        engine = start_postgres(settings.data_dir)
        try:
            yield engine.url
        finally:
            engine.stop()


def run(program: str, url: str, *arguments: str) -> None:
    """Runs `pg_dump` or `pg_restore` on the database; the password is not on its command line, which anyone may read.

    Raises ProgramError.
    """
    parts = conninfo_to_dict(url)
    connection = {_VARIABLES[name]: str(value) for name, value in parts.items() if name in _VARIABLES}
    done = subprocess.run(
        [_found(program), "--no-password", f"--dbname={parts['dbname']}", *arguments],
        env={**os.environ, **connection},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ProgramError(f"{program} failed: {words[0]}")


def _found(program: str) -> str:
    for folder in wheel_binaries():
        if (folder / program).is_file():
            return str(folder / program)
    on_path = shutil.which(program)
    if on_path is None:
        raise ProgramError(f"{program} is not installed; install sekisu[embedded] or PostgreSQL's client programs")
    return on_path


def has_tables(url: str) -> bool:
    """True when somebody made a table in the database. Raises ProgramError when it cannot be reached."""
    query = (
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema'))"
    )
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(query).fetchone()
    except psycopg.OperationalError as error:
        raise ProgramError(f"the database does not answer: {str(error).strip().splitlines()[0]}") from None
    return bool(row and row[0])


def drop_everything(url: str) -> None:
    """Drops every schema that is not the server's own, and makes an empty `public`."""
    query = "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
    with psycopg.connect(url, connect_timeout=5) as connection:
        for (name,) in connection.execute(query).fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
        connection.execute("CREATE SCHEMA public")


def granted_roles(url: str) -> list[str]:
    """The roles that have rights on a table, so that a restore can make them first (a dump does not)."""
    query = (
        "SELECT DISTINCT r.rolname FROM pg_class c CROSS JOIN aclexplode(c.relacl) a "
        "JOIN pg_roles r ON r.oid = a.grantee WHERE r.rolname NOT LIKE 'pg\\_%' AND r.rolname <> 'postgres' ORDER BY 1"
    )
    with psycopg.connect(url, connect_timeout=5) as connection:
        return [str(row[0]) for row in connection.execute(query)]


def make_roles(url: str, roles: list[str]) -> None:
    """Makes those of `roles` that the server does not know, without the right to log in; the caller may act as them."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in roles:
            if role not in known:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
                connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
