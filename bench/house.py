"""Sekisu's own jobs in this process, on an engine of its own: for what is timed as one job, the database included."""

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from billing.engines.postgres import start_postgres
from billing.store import intake
from billing.store.db import Database
from billing.store.ids import new_id
from billing.store.migrate import migrate
from billing.tools.room import Event
from workers import commands
from workers.settle import settle
from workers.verifying import check

#: Every subscription starts here; time is the test clock's.
START = datetime(2025, 1, 15, tzinfo=UTC)
NOW = datetime(2025, 4, 15, tzinfo=UTC)
PLAN, UNIT_AMOUNT = "trello-premium", 11999
ACCOUNT = "default"
#: A build writes gigabytes; more log between checkpoints keeps them out of the measurement.
_SERVER = {"max_wal_size": "8GB", "checkpoint_timeout": "30min", "maintenance_work_mem": "512MB"}


class StateError(Exception):
    """A state built by the bench is not what the product itself would have made of the same facts."""


@contextmanager
def furnished(folder: Path) -> Iterator["House"]:
    """A house on a durable PostgreSQL of its own in `folder`, both ended afterwards."""
    folder.mkdir()
    engine = start_postgres(folder, _SERVER)
    try:
        migrate(engine.url)
        house = House(engine.url)
        gc.freeze()  # as the crew does before it forks its workers
        try:
            yield house
        finally:
            house.database.close()
    finally:
        engine.stop()


class House:
    """One account, one connection per tool and a test clock for each run, on a migrated database."""

    def __init__(self, url: str) -> None:
        # One connection: with two in turn, one side of a comparison had the same one always, and its core.
        self.database = Database(url, size=1)
        self.clock, self.now, self.run = "", START, 0
        self._tools: dict[str, str] = {}
        self._numbers = count(1)

    def sql(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """One statement in a transaction of its own; its rows, if it has any."""
        with self.database.transaction("bench") as connection:
            found = connection.execute(query, parameters)
            return found.fetchall() if found.description else []

    def begin(self) -> None:
        """A new run: a clock at the start for the workspaces made from now on."""
        self.clock, self.now, self.run = new_id("ck"), START, self.run + 1
        self.sql("INSERT INTO clock (id, account_id, now) VALUES (%s, %s, %s)", self.clock, ACCOUNT, START)

    def turn(self, to: datetime) -> None:
        """Moves the clock on; what falls due is settled by whoever settles next."""
        self.now = to
        self.sql("UPDATE clock SET now = %s WHERE id = %s", to, self.clock)

    def connection(self, tool: str) -> str:
        """The id of the tool's connection."""
        if tool not in self._tools:
            self._tools[tool] = new_id("cn")
            query = "INSERT INTO connection (id, account_id, tool) VALUES (%s, %s, %s)"
            self.sql(query, self._tools[tool], ACCOUNT, tool)
        return self._tools[tool]

    def workspace(self, external_id: str, tool: str = "standard") -> str:
        """A new workspace under the clock; its id."""
        made = new_id("ws")
        connection_id = self.connection(tool)
        with self.database.transaction("bench") as connection:
            connection.execute(
                """INSERT INTO workspace (id, account_id, tool, external_id, name, connection_id, clock_id)
                   VALUES (%s, %s, %s, %s, %s, %s, %s)""",
                (made, ACCOUNT, tool, external_id, external_id, connection_id, self.clock),
            )
            intake.adopt(connection, made)
        return made

    def event(self, kind: str, workspace: str | None, at: datetime, **told: Any) -> Event:
        """One event of a delivery of its own; `told`: member, name, board, owner."""
        return Event(kind, at, f"bench-{next(self._numbers)}", workspace=workspace, **told)

    def file(self, events: Iterable[Event], tool: str = "standard", *, shared: bool = False) -> list[str]:
        """Files what a room read, heard now; the workspaces that have something to settle. `shared`: boards are."""
        heard = [intake.Heard(event, self.now, new_id("dl")) for event in events]
        source = intake.Source(ACCOUNT, tool, shared, self.connection(tool))
        with self.database.transaction("bench") as connection:
            return sorted(intake.file(connection, source, heard).workspaces)

    def settle(self, workspace_id: str) -> float:
        """Settles it by the product's job; seconds."""
        began = time.perf_counter()
        settle(self.database, workspace_id, "live")
        return time.perf_counter() - began

    def start(self, workspace_id: str, opening_seats: int | None = None) -> None:
        """Starts the subscription now; with `opening_seats` already paid elsewhere, so that many are purchased."""
        body: dict[str, Any] = {"plan": PLAN, "interval": "year", "payment_method": "card"}
        if opening_seats is not None:
            paid = {"paid_from": date(2025, 1, 15), "paid_to": date(2026, 1, 15)}
            body["opening"] = {"seats": opening_seats, "unit_amount": UNIT_AMOUNT, **paid}
        with self.database.transaction("bench") as connection:
            commands.give(connection, "live", workspace_id, "subscription", body, {"id": "admin", "role": "admin"})

    def tidy(self) -> None:
        """What autovacuum does in its own time, done now: statistics, the visibility map."""
        with psycopg.connect(self.database.url, autocommit=True) as owner:  # the pool's role may not
            owner.execute("VACUUM (ANALYZE)")

    def must_verify(self, workspace_id: str) -> None:
        """Raises StateError with the first fault that `sekisu verify` finds."""
        with self.database.transaction("bench") as connection:
            faults, waiting = check(connection, workspace_id)
        if faults or waiting:
            raise StateError(f"{len(faults)} faults, first {faults[:1]}" if faults else "facts wait to be settled")
