"""Engines that may be killed, frozen and filled up, and a house on them behind a proxy."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from billing.engines.postgres import start_postgres
from billing.engines.process import Engine
from billing.store.migrate import migrate
from tests.conftest import open_folder
from tests.faults.house import FaultHouse
from tests.faults.proxy import Proxy

#: Commits are in the system's hands when they are answered: a killed server loses none. No test cuts the power.
_SETTINGS = {"fsync": "off", "shared_buffers": "64MB", "max_wal_size": "128MB", "min_wal_size": "32MB"}
_DISK = "512m"


class Postgres:
    """A server of its own on a disk of its own, where this machine lets us mount one."""

    def __init__(self) -> None:
        self.folder = open_folder()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=755", "tmpfs", str(self.folder)],
            capture_output=True,
            check=False,
        )
        self.own_disk = mounted.returncode == 0
        self._ballast = self.folder / "ballast"
        self.start()

    def start(self) -> None:
        """Start it, at its address of before. Call it in the main thread: the engine dies with who started it."""
        self.engine: Engine = start_postgres(self.folder, _SETTINGS)

    def kill(self) -> None:
        """kill -9 of the server as a whole, and a new start."""
        self.engine.process.kill()
        self.engine.process.wait()
        self.engine.stop()
        self.start()

    def restart(self) -> None:
        """As an operator restarts it: every connection is ended."""
        self.engine.stop()
        self.start()

    def fill(self) -> None:
        """Leave not one block of its disk free."""
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        """Make room, and start it again if it gave up."""
        self._ballast.unlink(missing_ok=True)
        if self.engine.process.poll() is not None:
            self.engine.stop()
            self.start()

    @property
    def superuser_url(self) -> str:
        password = (self.folder / "postgres" / "superuser-password").read_text().strip()
        return f"postgresql://postgres:{password}@{self.engine.url.rpartition('@')[2].partition('/')[0]}/postgres"

    def close(self) -> None:
        self.engine.stop()
        if self.own_disk:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class BrokenHouse(FaultHouse):
    """A house whose engines are its own; its processes reach the database through a proxy, the test does not."""

    def __init__(self, folder: Path, postgres: Postgres, proxy: Proxy) -> None:
        self.postgres, self.proxy = postgres, proxy
        super().__init__(folder, postgres.engine.url, postgres.superuser_url)
        if not postgres.own_disk:
            self.sql(_FULL)

    @property
    def environ(self) -> dict[str, str]:
        """As before, with the proxy's port."""
        head, _, tail = self.database_url.rpartition("@")
        return {
            **super().environ,
            "SEKISU_DATABASE_URL": f"{head}@127.0.0.1:{self.proxy.port}/{tail.partition('/')[2]}",
        }

    def reconnect(self) -> None:
        """The test's own connections, after the server was away."""
        self._sql.close()
        self._sql = psycopg.connect(
            self._superuser_url, autocommit=True, row_factory=dict_row, options="-c timezone=UTC"
        )
        self.database.close()

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """No row can be added. Where no disk can be mounted, the server is told to say so (SQLSTATE 53100)."""
        if self.postgres.own_disk:
            self.postgres.fill()
        else:
            self.sql("INSERT INTO full_disk VALUES (1)")
        try:
            yield
        finally:
            if self.postgres.own_disk:
                self.postgres.empty()
                self.reconnect()
            else:
                self.sql("DELETE FROM full_disk")


_FULL = """
CREATE TABLE full_disk (n integer);
GRANT SELECT ON full_disk TO PUBLIC;
CREATE FUNCTION refuse_when_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM full_disk) THEN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse_when_full BEFORE INSERT ON delivery FOR EACH STATEMENT EXECUTE FUNCTION refuse_when_full();
CREATE TRIGGER refuse_when_full BEFORE INSERT ON fact FOR EACH STATEMENT EXECUTE FUNCTION refuse_when_full();
CREATE TRIGGER refuse_when_full BEFORE INSERT ON entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_when_full();
"""


@contextmanager
def broken_house() -> Iterator[BrokenHouse]:
    """A house for the time of the block; when it ends, all ends."""
    folder, postgres = open_folder(), Postgres()
    migrate(postgres.engine.url)
    proxy = Proxy(int(postgres.engine.url.rpartition(":")[2].partition("/")[0]))
    try:
        made = BrokenHouse(folder, postgres, proxy)
        try:
            yield made
        finally:
            made.close()
            made.mailroom.close()
    finally:
        proxy.close()
        postgres.close()
        shutil.rmtree(folder, ignore_errors=True)
