"""A small world on a real database: an account, its connection, workspaces with a clock, and people who come and go."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from billing.core import calendar
from billing.store import intake
from billing.store.db import Database, Row, many, one
from billing.store.ids import new_id
from workers import commands, reading
from workers.settle import settle

ADMIN = {"id": "admin", "role": "admin"}
_numbers = count(1)


def at(text: str) -> datetime:
    """An instant from `2025-01-15` or `2025-01-15T09:00`, UTC."""
    return calendar.read(f"{text}T00:00Z" if len(text) == 10 else f"{text}Z")


class World:
    """One account whose tool is `standard` or `trello`; time stands where `clock` says."""

    def __init__(self, url: str, now: datetime, tool: str = "standard") -> None:
        self.database = Database(url, size=4)
        self.tool = tool
        with self.database.transaction("test") as connection:
            self.clock = new_id("ck")
            self.connection = new_id("cn")
            connection.execute("INSERT INTO clock (id, account_id, now) VALUES (%s, 'default', %s)", (self.clock, now))
            connection.execute(
                "INSERT INTO connection (id, account_id, tool) VALUES (%s, 'default', %s)", (self.connection, tool)
            )

    def workspace(self, external_id: str, zone: str = "UTC", clocked: bool = True, collect: str = "live") -> str:
        workspace_id = new_id("ws")
        with self.database.transaction("test") as connection:
            connection.execute(
                """INSERT INTO workspace (id, account_id, tool, external_id, name, connection_id, time_zone, clock_id,
                                          collect) VALUES (%s, 'default', %s, %s, %s, %s, %s, %s, %s)""",
                (
                    workspace_id,
                    self.tool,
                    external_id,
                    external_id,
                    self.connection,
                    zone,
                    self.clock if clocked else None,
                    collect,
                ),
            )
            intake.adopt(connection, workspace_id)
        return workspace_id

    def deliver(self, body: Mapping[str, Any], delivery_id: str | None = None) -> str:
        """Keep one delivery as the receiver would; answers its row's id."""
        row_id, raw = new_id("dl"), json.dumps(body).encode()
        name = delivery_id or f"d{next(_numbers)}"
        with self.database.transaction("test") as connection:
            connection.execute(
                """INSERT INTO delivery (id, connection_id, delivery_id, dedupe_key, fingerprint, sha256, state)
                   VALUES (%s, %s, %s, %s, '', '', 'kept')""",
                (row_id, self.connection, name, name),
            )
            connection.execute(
                "INSERT INTO delivery_body (id, headers, body) VALUES (%s, %s, %s)",
                (row_id, json.dumps({"webhook-id": name}), raw),
            )
        return row_id

    def tell(self, kind: str, workspace: str, member: str | None, when: datetime, board: str | None = None) -> str:
        """A delivery of the `standard` room."""
        data: dict[str, Any] = {"workspace": workspace}
        data |= {"member": {"id": member, "name": member.title()}} if member else {}
        data |= {"board": board} if board else {}
        return self.deliver({"type": kind, "timestamp": calendar.written(when), "data": data})

    def read(self) -> set[str]:
        return reading.read(self.database, self.connection)

    def settle(self, workspace_id: str) -> list[str]:
        return settle(self.database, workspace_id, "live")

    def read_and_settle(self) -> list[str]:
        return [charge for workspace in sorted(self.read()) for charge in self.settle(workspace)]

    def advance(self, to: datetime, *workspaces: str) -> list[str]:
        with self.database.transaction("test") as connection:
            connection.execute("UPDATE clock SET now = %s WHERE id = %s", (to, self.clock))
        return [charge for workspace in workspaces for charge in self.settle(workspace)]

    def start(self, workspace_id: str, plan: str = "trello-premium", interval: str = "year", **more: Any) -> None:
        body = {"plan": plan, "interval": interval, "payment_method": "card", **more}
        with self.database.transaction("test") as connection:
            commands.give(connection, "live", workspace_id, "subscription", body, ADMIN)

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        with self.database.transaction("test") as connection:
            return many(connection, query, parameters)

    def row(self, query: str, *parameters: Any) -> Row:
        with self.database.transaction("test") as connection:
            found = one(connection, query, parameters)
        assert found is not None
        return found

    def charges(self, workspace_id: str) -> list[int]:
        return [
            row["amount"]
            for row in self.rows("SELECT amount FROM charge WHERE workspace_id = %s ORDER BY id", workspace_id)
        ]

    def later(self, days: int) -> datetime:
        now: datetime = self.row("SELECT now FROM clock WHERE id = %s", self.clock)["now"]
        return now + timedelta(days=days)
