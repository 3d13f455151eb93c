"""Backlog spaces in the running service: on a real database, in Japan's time, with an endpoint that takes the money."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from billing.core.errors import RefusedError
from billing.payments.gateway import Gateway
from billing.payments.sandbox import Sandbox
from billing.store import documents as store
from billing.store import views
from billing.store.db import Row
from tests.rules.space import ZONE, day, jst
from tests.workers.world import World
from workers import commands, documents
from workers.roster_import import import_roster
from workers.sending import send_due

#: Who applied for the trial and has a mail address only; somebody who was made a contract administrator.
HANA: Mapping[str, Any] = {"id": "hana@yuzu.example"}
SORA: Mapping[str, Any] = {"id": "sora", "role": "contract_admin"}
CARD: dict[str, Any] = {"payment_method": "card", "interval": "month"}


class Office:
    """An account with spaces."""

    def __init__(self, url: str, now: str, sandbox: Sandbox) -> None:
        self.world = World(url, jst(now), tool="backlog")
        self.sandbox = sandbox
        self.gateway = Gateway(sandbox.url, "", clock=lambda: datetime.now(UTC))
        self.pool = ThreadPoolExecutor(2)

    def space(self, name: str = "yuzu") -> str:
        """A new space with that id, of which nothing was asked yet."""
        return self.world.workspace(name, zone=ZONE)

    def tried(self, name: str = "yuzu", plan: str = "backlog-standard") -> str:
        """A space of which Hana began a trial."""
        space = self.space(name)
        self.trial(space, plan)
        return space

    def trial(self, space: str, plan: str = "backlog-standard", **more: Any) -> dict[str, Any]:
        return self.give(space, "trial", HANA, **{"plan": plan, "terms_version": "v12", **more})

    def give(self, space: str, command: str, actor: Mapping[str, Any] = SORA, **body: Any) -> dict[str, Any]:
        """Give a command as the API does."""
        with self.world.database.transaction("test") as connection:
            return commands.give(connection, "live", space, command, body, actor)

    def refused(self, space: str, command: str, actor: Mapping[str, Any] = SORA, **body: Any) -> str:
        """The rule that refuses a command; no money and no fact comes of it."""
        self.world.settle(space)
        before = self._written(space)
        with pytest.raises(RefusedError) as refusal:
            self.give(space, command, actor, **body)
        assert self._written(space) == before
        return str(refusal.value.rule)

    def _written(self, space: str) -> Row:
        query = """SELECT (SELECT count(*) FROM fact WHERE workspace_id = w.id) AS facts,
                          (SELECT count(*) FROM entry WHERE workspace_id = w.id) AS entries,
                          (SELECT count(*) FROM charge WHERE workspace_id = w.id) AS charges, w.state
                   FROM workspace w WHERE w.id = %s"""
        return self.world.row(query, space)

    def to(self, now: str, *spaces: str) -> None:
        """Let time come to an instant in Japan, send what is due and hear what came of it."""
        self.world.advance(jst(now), *spaces)
        self.send(*spaces)

    def send(self, *spaces: str) -> None:
        send_due(self.world.database, self.gateway, "http://127.0.0.1:9/none", self.pool)
        for space in spaces:
            self.world.settle(space)

    def fault(self, mode: str, times: int = 1) -> None:
        """Let the endpoint misbehave."""
        requests.put(f"{self.sandbox.url}/faults", json={"mode": mode, "times": times, "seconds": 0}, timeout=5)

    def members(self, space: str, members: Sequence[Mapping[str, Any]]) -> None:
        """Who is in the space now."""
        with self.world.database.transaction("test") as connection:
            import_roster(connection, space, None, members, None)
        self.world.settle(space)

    def shown(self, space: str, view: str = "entitlements") -> dict[str, Any]:
        """What the API shows of a space: its entitlements or its seats."""
        with self.world.database.transaction("test") as connection:
            found: dict[str, Any] = getattr(views, view)(connection, views.require(connection, None, space))
        return found

    def state(self, space: str) -> str:
        return str(self.world.row("SELECT state FROM workspace WHERE id = %s", space)["state"])

    def charged(self, space: str) -> list[tuple[str, str, int, int]]:
        """Every charge: the day it was opened in Japan, its state, its amount, and the tax in it."""
        rows = self.world.rows("SELECT * FROM charge WHERE workspace_id = %s ORDER BY id", space)
        return [(str(day(row["created_at"])), row["status"], row["amount"], row["tax"]) for row in rows]

    def papers(self, space: str) -> list[Row]:
        """The documents of a space, after those that are due were issued."""
        with self.world.database.transaction("test") as connection:
            documents.issue_due(connection, space)
            return [store.get(connection, None, row["id"]) for row in store.page(connection, space, None, None, 100)]

    def contact(self, space: str) -> None:
        """Documents go to Hana, in Japanese."""
        with self.world.database.transaction("test") as connection:
            contact = {"name": "柚木 花", "email": HANA["id"], "language": "ja"}
            views.set_billing_contact(connection, space, contact)

    def close(self) -> None:
        self.pool.shutdown()
        self.world.database.close()
