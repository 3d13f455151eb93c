"""Fixtures for every test: the real PostgreSQL and Valkey, started once; a database of its own for each test."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import sql

from billing.engines.postgres import start_postgres
from billing.engines.process import Engine
from billing.engines.valkey import start_valkey
from billing.store.migrate import migrate

#: A migrated, empty database; copying it takes a twentieth of the time of migrating.
TEMPLATE = "sekisu_template"


def other_database(url: str, name: str) -> str:
    """The address of another database on the server of `url`."""
    return f"{url.rpartition('/')[0]}/{name}"


def open_folder() -> Path:
    """An empty folder the account `nobody` may pass through too , in memory if there is room."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
    fit = roomy and not os.statvfs(memory).f_flag & os.ST_NOEXEC
    folder = Path(tempfile.mkdtemp(prefix="sekisu-test-", dir=memory if fit else None))
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def engines_folder() -> Iterator[Path]:
    """The data directory of the session's engines."""
    folder = open_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_engine(engines_folder: Path) -> Iterator[Engine]:
    """The session's PostgreSQL, durable in name only: no test cuts the power."""
    engine = start_postgres(
        engines_folder,
        {"fsync": "off", "synchronous_commit": "off", "shared_buffers": "64MB"},
    )
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres_engine: Engine) -> str:
    """The database `sekisu` of the session's PostgreSQL, as the embedded engine makes it: not migrated."""
    return postgres_engine.url


@pytest.fixture(scope="session")
def superuser_url(postgres_engine: Engine, engines_folder: Path) -> str:
    """The superuser's address: the role `sekisu` may not make databases."""
    password = (engines_folder / "postgres" / "superuser-password").read_text().strip()
    return f"postgresql://postgres:{password}@{postgres_engine.url.rpartition('@')[2].partition('/')[0]}/postgres"


@pytest.fixture(scope="session")
def new_database(superuser_url: str, postgres_url: str) -> Callable[[], str]:
    """Makes a migrated, empty database and answers its address (role `sekisu`)."""

    def run(statement: str, *names: str) -> None:
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    run("CREATE DATABASE {} OWNER sekisu", TEMPLATE)
    migrate(other_database(postgres_url, TEMPLATE))

    def make() -> str:
        name = f"test_{secrets.token_hex(6)}"
        run("CREATE DATABASE {} TEMPLATE {} OWNER sekisu", name, TEMPLATE)
        return other_database(postgres_url, name)

    return make


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    """A migrated, empty database for this test alone."""
    return new_database()


@pytest.fixture(scope="session")
def valkey_engine(engines_folder: Path) -> Iterator[Engine]:
    """The session's Valkey. A test that stops or freezes one starts its own."""
    engine = start_valkey(engines_folder)
    yield engine
    engine.stop()


@pytest.fixture
def valkey_url(valkey_engine: Engine) -> str:
    """The session's Valkey, emptied for this test."""
    with redis.Redis.from_url(valkey_engine.url) as client:
        client.flushall()
    return valkey_engine.url
