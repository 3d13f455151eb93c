"""Copies of one workspace that the product made, by one set-based statement per table, each with ids and a chain of its
own. What must be unique in the whole database gets a new id; facts keep theirs, which are unique within a workspace.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from billing.store import ledger

#: Copies written in one statement per table.
BATCH = 5_000
#: The tables whose own id is unique in the whole database.
_NAMED = ("charge", "entry", "journal", "document", "mail", "command", "refund")
#: The last characters of an id, which count the copies.
_TAIL = 8
_COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.is_identity = 'NO' AND c.is_generated = 'NEVER'
  AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.table_name::regclass)
ORDER BY c.table_name, c.ordinal_position
"""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the template, its columns with their types, and its rows of the template."""

    name: str
    columns: dict[str, str]
    where: sql.Composed
    rows: list[Row]


@dataclass(slots=True)
class Mould:
    """A workspace to copy. `without`: columns that are null in the copies."""

    connection: psycopg.Connection[Row]
    workspace_id: str
    without: frozenset[str] = frozenset()
    tables: dict[str, Table] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def read(self) -> None:
        """Reads the template. Raises ValueError when it has no ledger to copy."""
        columns: dict[str, dict[str, str]] = {}
        for row in self.connection.execute(_COLUMNS).fetchall():
            columns.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
        columns.pop("audit", None)  # what was called, not what is owed
        for name, found in columns.items():
            if name == "workspace" or "workspace_id" in found or name == "attempt":
                self._table(name, found)
        if "journal" not in self.tables:
            raise ValueError(f"the workspace {self.workspace_id} has no ledger")
        mine = {self.workspace_id, self._workspace["external_id"]}
        mine |= {row["id"] for name in _NAMED if name in self.tables for row in self.tables[name].rows}
        mine |= {row["subscription_id"] for row in self.tables["period"].rows}
        mine.add(self.workspace_id[-_TAIL:].upper())  # in the numbers of its documents
        self.names = sorted(mine)

    @property
    def _workspace(self) -> Row:
        return self.tables["workspace"].rows[0]

    def _table(self, name: str, columns: dict[str, str]) -> None:
        key = {"workspace": "id = {}", "attempt": "charge_id IN (SELECT id FROM charge WHERE workspace_id = {})"}
        where = sql.SQL(key.get(name, "workspace_id = {}")).format(sql.Literal(self.workspace_id))
        query = sql.SQL("SELECT * FROM {} WHERE {}").format(sql.Identifier(name), where)
        rows = self.connection.execute(query).fetchall()
        if rows:
            self.tables[name] = Table(name, columns, where, rows)

    def renamed(self, text: str, n: int) -> str:
        """A text of the template, as the n-th copy says it."""
        for name in self.names:
            fresh = f"{n:0{_TAIL}x}"
            text = text.replace(name, name[:-_TAIL] + fresh if len(name) > _TAIL else fresh.upper())
        return text

    def chain(self, n: int) -> list[tuple[bytes, bytes]]:
        """(digest, hash) of each row of the n-th copy's journal, by the product's own functions."""
        entries = {row["seq"]: row for row in self.tables["entry"].rows}
        head, links = b"", []
        for row in sorted(self.tables["journal"].rows, key=lambda row: int(row["seq"])):
            digest = self._digest(row, entries.get(row["seq"]), lambda text: self.renamed(text, n))
            head = ledger.linked(head, digest)
            links.append((digest, head))
        return links

    @staticmethod
    def _digest(row: Row, entry: Row | None, renamed: Callable[[str], str]) -> bytes:
        if entry is None:
            return ledger.digest(row["kind"], renamed(row["ref"]), row["amount"], row["currency"], row["posted_at"])
        name, key = renamed(entry["id"]), renamed(entry["key"])
        return ledger.entry_digest(name, key, entry["seats"], entry["fraction"], entry["amount"], entry["facts"])

    def copy(self, first: int, count: int, say: Callable[[int], None]) -> None:
        """Writes the copies `first` to `first + count - 1`, in one transaction; `say` hears how many are there."""
        self.connection.execute("CREATE TEMP TABLE minted (n bigint PRIMARY KEY, digests bytea[], hashes bytea[])")
        for start in range(first, first + count, BATCH):
            end = min(start + BATCH, first + count)
            with self.connection.cursor().copy("COPY minted FROM STDIN (FORMAT BINARY)") as stream:
                stream.set_types(["int8", "bytea[]", "bytea[]"])
                for n in range(start, end):
                    links = self.chain(n)
                    stream.write_row((n, [digest for digest, _ in links], [link for _, link in links]))
            for table in self.tables.values():
                self.connection.execute(self._insert(table))
            self.connection.execute("TRUNCATE minted")
            say(end - first)
        self.connection.execute("DROP TABLE minted")
        self.connection.commit()

    def _insert(self, table: Table) -> sql.Composed:
        columns = [name for name in table.columns if name not in self.without]
        return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS t, minted WHERE {}").format(
            sql.Identifier(table.name),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(self._value(table, name) for name in columns),
            sql.Identifier(table.name),
            table.where,
        )

    def _value(self, table: Table, column: str) -> sql.Composable:
        """What a copy has in a column: the template's value, with new ids and hashes where it has any."""
        plain = sql.SQL("t.{}").format(sql.Identifier(column))
        if (table.name, column) in (("journal", "digest"), ("journal", "hash")):
            return sql.SQL("minted.{}[t.seq]").format(sql.Identifier("digests" if column == "digest" else "hashes"))
        if (table.name, column) == ("workspace", "chain_head"):
            return sql.SQL("minted.hashes[t.chain_seq]")
        if table.columns[column] not in ("text", "jsonb", "ARRAY"):
            return plain
        texts = [str(row[column]) for row in table.rows]
        found = sql.SQL("t.{}::text").format(sql.Identifier(column))
        before = found
        for name in self.names:
            if any(name in text for text in texts):
                in_hex = sql.SQL("to_hex(minted.n)" if len(name) > _TAIL else "upper(to_hex(minted.n))")
                fresh = sql.SQL("{} || lpad({}, {}, '0')").format(name[:-_TAIL], in_hex, sql.Literal(_TAIL))
                found = sql.SQL("replace({}, {}, {})").format(found, sql.Literal(name), fresh)
        for number, link in enumerate((row["hash"].hex() for row in self._journal), 1):
            if any(link in text for text in texts):
                fresh = sql.SQL("encode(minted.hashes[{}], 'hex')").format(sql.Literal(number))
                found = sql.SQL("replace({}, {}, {})").format(found, sql.Literal(link), fresh)
        kind = {"jsonb": "jsonb", "ARRAY": "text[]"}.get(table.columns[column], "text")
        return plain if found is before else sql.SQL("({})::{}").format(found, sql.SQL(kind))

    @property
    def _journal(self) -> Sequence[Row]:
        return sorted(self.tables["journal"].rows, key=lambda row: int(row["seq"]))


def mould(url: str, workspace_id: str, without: frozenset[str]) -> Mould:
    """The template, read, on a connection of its own. Raises ValueError when it has no ledger to copy."""
    made = Mould(psycopg.connect(url, row_factory=dict_row), workspace_id, without)
    made.read()
    return made
