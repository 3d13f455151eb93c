"""A scratch schema: the session's own temporary one, with an empty copy of every table, gone with the connection.

Nothing of it is ever written to disk for good, needs a right that the service has not, or outlives a kill -9. While
work goes on the scratch schema stands first on the search path, with a twin of every live table: no statement can
reach one by mistake. The live schema stands behind it for its functions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from billing.core.errors import ConflictError, UnavailableError
from billing.store.db import Conn, many, one

#: Tables of a kind that a row can be in; the parts of a partitioned table are not asked for one by one.
_TABLES = """
SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
"""


class Scratch:
    """Empty copies of the live tables, on one connection. `live` names the schema of the real ones."""

    def __init__(self, connection: Conn) -> None:
        self.connection = connection
        row = one(connection, "SELECT current_schema() AS schema")
        self.live = str(row["schema"]) if row else "public"
        self.tables = [str(row["name"]) for row in many(connection, _TABLES, (self.live,))]
        for table in self.tables:
            names = sql.Identifier(table), sql.Identifier(self.live, table)
            connection.execute(sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING ALL)").format(*names))
        connection.commit()

    @contextmanager
    def looking_at_live(self) -> Iterator[Conn]:
        """One snapshot of the live tables, named plainly. The scratch tables are `pg_temp.<table>`."""
        self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._path(self.live, "pg_temp")
        yield self.connection
        self._path("pg_temp", self.live)  # functions live there; every table of it has its twin before it
        self.connection.commit()

    def copy(self, table: str, where: LiteralString, parameters: dict[str, Any]) -> None:
        """Copy live rows as they are, while looking at live; `where` is SQL over the table's columns."""
        query = sql.SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM {} WHERE {}")
        names = sql.Identifier("pg_temp", table), sql.Identifier(self.live, table)
        self.connection.execute(query.format(*names, sql.SQL(where)), parameters)

    def empty(self, keep: Sequence[str] = ()) -> None:
        """Empty the scratch tables but for `keep`."""
        names = [sql.Identifier("pg_temp", table) for table in self.tables if table not in keep]
        self.connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))

    def _path(self, *schemas: str) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, schemas))
        self.connection.execute(sql.SQL("SET search_path TO {}").format(names))


@contextmanager
def scratch(database_url: str) -> Iterator[Scratch]:
    """A scratch schema for the time of the block.

    Raises UnavailableError when the database does not answer, ConflictError when its role may not make one.
    """
    try:
        with psycopg.connect(database_url, row_factory=dict_row, options="-c timezone=UTC") as connection:
            yield Scratch(connection)
    except psycopg.errors.InsufficientPrivilege as fault:
        raise ConflictError(f"the database role may not make temporary tables: {str(fault).strip()}") from fault
    except psycopg.OperationalError as fault:
        raise UnavailableError(f"the database does not answer: {str(fault).strip()}") from fault
