"""One pool of connections per process, made on first use (never at import, so a fork shares nothing)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from threading import Lock
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from billing import crash
from billing.core.errors import UnavailableError

Conn = psycopg.Connection[DictRow]
Row = dict[str, Any]
Parameters = Sequence[Any] | Mapping[str, Any] | None

#: The role that may add to the ledger and never change it (migration 0002).
APP_ROLE = "sekisu_app"
#: Rows are asked for by key: with the default, made for turning discs, a join of a hundred keys reads a whole table.
_OPTIONS = "-c timezone=UTC -c random_page_cost=1.1"


class Database:
    """A PostgreSQL by URL. Every use is one transaction that ends with the block."""

    def __init__(self, url: str, size: int = 10, timeout_s: float = 10.0) -> None:
        self.url = url
        self._size = size
        self._timeout_s = timeout_s
        self._pool: ConnectionPool[Conn] | None = None
        self._lock = Lock()

    @contextmanager
    def transaction(self, name: str) -> Iterator[Conn]:
        """One READ COMMITTED transaction, committed at the end of the block, with crash points at both sides of that.

        Raises UnavailableError when the database does not answer.
        """
        with self._connection() as connection:
            yield connection
            with crash.around(name):
                connection.commit()

    @contextmanager
    def reading(self) -> Iterator[Conn]:
        """One READ COMMITTED transaction in which the database refuses writes. Raises UnavailableError."""
        with self._connection() as connection:
            connection.read_only = True
            try:
                yield connection
            finally:
                _end(connection)

    @contextmanager
    def snapshot(self) -> Iterator[Conn]:
        """As `reading`, all of it as of one instant (REPEATABLE READ). Raises UnavailableError."""
        with self.reading() as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[Conn]:
        try:
            with self._open().connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as fault:
            raise UnavailableError(f"the database does not answer: {str(fault).strip()}") from fault

    def _open(self) -> ConnectionPool[Conn]:
        with self._lock:
            if self._pool is None:
                self._pool = ConnectionPool(
                    self.url,
                    min_size=1,
                    max_size=self._size,
                    timeout=self._timeout_s,
                    kwargs={"row_factory": dict_row, "options": _OPTIONS},
                    configure=_take_role,
                    open=True,
                )
            return self._pool

    def close(self) -> None:
        """Return every connection; the next use opens a new pool."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None


def _end(connection: Conn) -> None:
    """Leave a read; a connection that broke meanwhile is the pool's to replace."""
    if not connection.closed:
        connection.rollback()
        connection.read_only = connection.isolation_level = None


def savepoint(connection: Conn) -> AbstractContextManager[object]:
    """A part of a transaction that can fail alone."""
    return connection.transaction()


def _take_role(connection: Conn) -> None:
    """Work under the role that cannot change the ledger, where the database has it."""
    connection.autocommit = True  # a role taken in a transaction would end with it
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s AND pg_has_role(oid, 'MEMBER')) AS has", (APP_ROLE,)
    ).fetchone()
    if row and row["has"]:
        connection.execute(f"SET ROLE {APP_ROLE}")
    connection.autocommit = False
    connection.prepare_threshold = 1


def one(connection: Conn, query: str, parameters: Parameters = None) -> Row | None:
    """The first row of a query, or None."""
    return connection.execute(query, parameters).fetchone()


def many(connection: Conn, query: str, parameters: Parameters = None) -> list[Row]:
    """All rows of a query."""
    return connection.execute(query, parameters).fetchall()


def wall_clock(connection: Conn) -> datetime:
    """The database's clock (UTC): the only clock that decides (law 4)."""
    row = one(connection, "SELECT clock_timestamp() AS now")
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    now: datetime = row["now"]
    return now
