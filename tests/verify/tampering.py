"""What somebody with the superuser's password could do to the tables, past every trigger and right."""

import psycopg
from psycopg.rows import DictRow, dict_row

from billing.store import ledger
from billing.store.db import Database
from tests.cli.story import told
from tests.conftest import other_database
from tests.workers.world import World
from workers.documents import issue_due
from workers.papers.kept import pdf


class Forger:
    """A superuser's session in which no trigger fires."""

    def __init__(self, superuser_url: str, url: str) -> None:
        self.url = other_database(superuser_url, url.rpartition("/")[2])

    def run(self, *statements: str, **values: object) -> None:
        """Run statements, which may change anything, and commit."""
        with self.open() as connection:
            for statement in statements:
                connection.execute(statement.encode(), values)

    def open(self) -> psycopg.Connection[DictRow]:
        options = "-c timezone=UTC -c session_replication_role=replica"
        return psycopg.connect(self.url, row_factory=dict_row, options=options)

    def rechain(self) -> None:
        """Make every digest, every hash and the workspace's head right again for what the rows now say."""
        with self.open() as connection:
            head, seq = b"", 0
            query = """SELECT j.*, e.id AS entry, e.key, e.seats, e.fraction, e.amount AS signed, e.facts FROM journal j
                       LEFT JOIN entry e ON e.workspace_id = j.workspace_id AND e.seq = j.seq ORDER BY j.seq"""
            for row in connection.execute(query.encode()).fetchall():
                if row["entry"]:
                    content = (row["entry"], row["key"], row["seats"], row["fraction"], row["signed"], row["facts"])
                    digest = ledger.entry_digest(*content)
                else:
                    digest = ledger.digest(row["kind"], row["ref"], row["amount"], row["currency"], row["posted_at"])
                seq, head = row["seq"], ledger.linked(head, digest)
                connection.execute("UPDATE journal SET digest = %s, hash = %s WHERE seq = %s", (digest, head, seq))
            connection.execute("UPDATE workspace SET chain_seq = %s, chain_head = %s", (seq, head))


def papered(url: str) -> tuple[World, str]:
    """The story of late facts, a paid and a failed charge and credit, with its documents issued and rendered."""
    world, workspace = told(url)
    with world.database.transaction("test") as connection:
        for name in issue_due(connection, workspace):
            row = connection.execute("SELECT * FROM document WHERE id = %s", (name,)).fetchone()
            assert row is not None
            assert pdf(connection, row)
    return world, workspace


def opened(url: str) -> World:
    """The world of a database in which one was told before."""
    world = World.__new__(World)
    world.database, world.tool = Database(url, size=4), "trello"
    world.clock = world.row("SELECT id FROM clock")["id"]
    world.connection = world.row("SELECT id FROM connection")["id"]
    return world
