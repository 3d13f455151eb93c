"""Scenes in which a command dies that somebody typed."""

import json
import secrets

import psycopg

from tests.conftest import other_database
from tests.faults.crash.scene import ByHand, Scene
from tests.flows.tool import ident
from tests.workers.test_catalogue import MINE


class Imports(ByHand):
    """A roster from a file."""

    def words(self) -> list[str]:
        return ["import", self.kobo, str(self.path)]

    def before(self) -> None:
        super().before()
        names = ["aoi", "ren", "kei"][: self.random.randint(2, 3)]
        self.path = self.file("roster.json", json.dumps({"members": [{"id": ident(name)} for name in names]}))
        self.people = len(names)


class LoadsPlans(ByHand):
    """An operator's own prices."""

    def words(self) -> list[str]:
        return ["plans", "--load", str(self.path.parent)]

    def before(self) -> None:
        super().before()
        self.path = self.file("mine.yaml", MINE.replace("7000", str(self.random.randint(7001, 10**6))))
        self.versions = self.house.count("SELECT count(*) FROM catalogue")

    def after(self) -> None:
        super().after()
        assert self.house.count("SELECT count(*) FROM catalogue") == self.versions + 1


class Replays(ByHand):
    """What was set aside is read again, when it can be."""

    def words(self) -> list[str]:
        return ["replay", self.delivery]

    def before(self) -> None:
        super().before()
        poison = f"poison {secrets.token_hex(4)}"
        self.house.sql("INSERT INTO poison VALUES (%s)", ident(poison))
        body = self.happens(poison)
        self.house.quiet(self.customer.account)
        query = "SELECT id FROM delivery WHERE connection_id = %s AND delivery_id = %s AND state = 'quarantined'"
        self.delivery = str(self.row(query, self.customer.connection["id"], body["action"]["id"])["id"])
        self.house.sql("DELETE FROM poison WHERE member = %s", ident(poison))
        self.house.sql("DELETE FROM alarm WHERE strpos(detail, %s) > 0", self.delivery)


class Verifies(ByHand):
    """A forged line is found, with one alarm."""

    code = 1

    def words(self) -> list[str]:
        return ["verify", "--workspace", self.kobo]

    def before(self) -> None:
        super().before()
        self.happens("forged")
        self.house.quiet(self.customer.account)
        self._forge(+1)

    def _forge(self, amount: int) -> None:
        self.house.sql("SET session_replication_role = replica")
        query = """UPDATE entry SET amount = amount + %s WHERE workspace_id = %s
                   AND seq = (SELECT max(seq) FROM entry WHERE workspace_id = %s)"""
        self.house.sql(query, amount, self.kobo, self.kobo)
        self.house.sql("RESET session_replication_role")

    def after(self) -> None:
        super().after()
        alarm = "FROM alarm WHERE kind = 'unexplained' AND workspace_id = %s"
        assert self.house.count(f"SELECT count(*) {alarm}", self.kobo) == 1
        self.house.sql(f"DELETE {alarm}", self.kobo)
        self._forge(-1)


class Forgets(ByHand):
    """The raw bodies of a month that nobody wants any more."""

    def words(self) -> list[str]:
        return ["forget", "--bodies-before", "2019-02"]

    def before(self) -> None:
        super().before()
        self.house.sql(
            """CREATE TABLE delivery_body_2019_01 PARTITION OF delivery_body FOR VALUES FROM ('2019-01-01')
               TO ('2019-02-01'); ALTER TABLE delivery_body_2019_01 OWNER TO sekisu"""
        )

    def after(self) -> None:
        super().after()
        assert not self.house.sql("SELECT 1 FROM pg_class WHERE relname = 'delivery_body_2019_01'")


class Migrates(ByHand):
    """An empty database; one that was half migrated is as one that was migrated at once."""

    def words(self) -> list[str]:
        return ["migrate"]

    def environ(self) -> dict[str, str]:
        return {**self.house.environ, "SEKISU_DATABASE_URL": self.url}

    def before(self) -> None:
        super().before()
        name = f"empty_{secrets.token_hex(6)}"
        self.house.sql(f"CREATE DATABASE {name} OWNER sekisu")
        self.url = other_database(self.house.database_url, name)

    def after(self) -> None:
        super().after()
        assert self._schema(self.url) == self._schema(self.house.database_url)

    def _schema(self, url: str) -> list[tuple[object, ...]]:
        with psycopg.connect(url) as connection:
            query = """SELECT table_name, column_name, data_type, column_default FROM information_schema.columns
                       WHERE table_schema = 'public' AND table_name <> 'poison' ORDER BY 1, 2"""
            found: list[tuple[object, ...]] = connection.execute(query).fetchall()
            version = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            prices = "SELECT count(*) FROM price WHERE catalogue_version = 1"
            return [*found, *version, *connection.execute(prices).fetchall()]


SCENES: dict[str, type[Scene]] = {
    "forget": Forgets,
    "import": Imports,
    "plans.load": LoadsPlans,
    "replay": Replays,
    "verify.alarm": Verifies,
    "migrate.schema": Migrates,
    "migrate.catalogue": Migrates,
}
