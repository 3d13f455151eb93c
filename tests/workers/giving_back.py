"""A workspace that paid and is owed money back, beside the payment sandbox and a door for its callbacks."""

import base64
import hashlib
import json
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from billing.payments.gateway import Gateway
from billing.payments.sandbox import Sandbox
from billing.store import clocks, inbox, refunds, views, workspaces
from billing.store.db import Row
from billing.store.ids import new_id
from billing.store.ledger import Book
from billing.store.outcomes import Answer
from tests.workers.world import World, at
from workers import callbacks
from workers.refunding import send_due

SECRET = "whsec_" + base64.b64encode(b"plum" * 8).decode()
NOW = at("2025-01-15")
PAID = 12625


class Door:
    """Keeps callbacks as the receiver does, and tells when one was kept."""

    def __init__(self, world: World) -> None:
        self.kept: queue.Queue[str] = queue.Queue()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.keep(world, self.headers["webhook-id"], body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/callbacks"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def keep(self, world: World, message: str, body: bytes) -> None:
        with world.database.transaction("test") as connection:
            inbox.keep_callback(connection, "standard", message, body, hashlib.sha256(body).hexdigest(), None)
        self.kept.put(json.loads(body)["type"])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class House:
    """A workspace that paid, the endpoint that took the money, and the door it calls back at."""

    def __init__(self, world: World, sandbox: Sandbox, collect: str = "live") -> None:
        self.world = world
        self.sandbox = sandbox
        self.gateway = Gateway(sandbox.url, SECRET, clock=lambda: datetime.now(UTC))
        self.door = Door(world)
        self.workspace = world.workspace(new_id("w"), collect=collect)
        self.charge = new_id("ch")
        body = {"id": self.charge, "attempt": 1, "currency": "USD", "amount": PAID, "callback_url": self.door.url}
        assert self.gateway.charge(body).kind == "succeeded"
        assert self.door.kept.get(timeout=5) == "charge.succeeded"
        with world.database.transaction("test") as connection:
            connection.execute(
                """INSERT INTO charge (id, workspace_id, subscription_id, n, purpose, nth, status, currency, amount,
                                       due_on, created_at)
                   VALUES (%s, %s, %s, 0, 'period', 1, 'succeeded', 'USD', %s, %s, %s)""",
                (self.charge, self.workspace, self.charge, PAID, NOW.date(), NOW),
            )
        self.move("line", "payment")
        self.read()

    def move(self, *kinds: str, amount: int = PAID) -> None:
        with self.world.database.transaction("test") as connection:
            row = workspaces.locked(connection, self.workspace)
            book = Book.of(row, NOW)
            for kind in kinds:
                book.move(kind, self.charge, amount, "USD")
            book.rechain(row["credit"])
            book.flush(connection)

    def ask_back(self, amount: int = PAID, refund: str | None = None) -> str:
        """Book and queue a refund as settlement does: the money is credit, and at once on its way out."""
        name = refund or new_id("rf")
        self.move("credit", "refund", amount=amount)
        with self.world.database.transaction("test") as connection:
            connection.execute(
                """INSERT INTO refund (id, workspace_id, charge_id, status, currency, amount, reason, created_at,
                                       due_at)
                   VALUES (%s, %s, %s, 'queued', 'USD', %s, 'TR-26', %s, now())""",
                (name, self.workspace, self.charge, amount, NOW),
            )
        return name

    def send(self, collect: str = "live") -> int:
        with ThreadPoolExecutor(4) as pool:
            return send_due(self.world.database, self.gateway, pool, collect)

    def lease(self, seconds: float = 60.0) -> list[Row]:
        with self.world.database.transaction("test") as connection:
            return refunds.lease(connection, 16, seconds)

    def say(self, refund: str, status: str, token: int | None = None, **more: Any) -> bool:
        with self.world.database.transaction("test") as connection:
            return refunds.book(connection, self.workspace, refund, Answer(status, 1, **more), token)

    def call_back(self, event: str, message: str, **data: object) -> None:
        body = {"type": event, "timestamp": "2025-01-16T00:00:00.000Z", "data": data}
        self.door.keep(self.world, message, json.dumps(body).encode())

    def read(self) -> int:
        return callbacks.read_due(self.world.database)

    def faults(self, mode: str | None, times: int = 1, seconds: float = 0.0) -> None:
        fault = {"mode": mode, "times": times, "seconds": seconds}
        requests.put(f"{self.sandbox.url}/faults", json=fault, timeout=5).raise_for_status()

    def book(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = requests.get(f"{self.sandbox.url}/book", timeout=5).json()["refunds"]
        return shown

    def due_again(self) -> None:
        with self.world.database.transaction("test") as connection:
            connection.execute("UPDATE refund SET due_at = now() WHERE due_at IS NOT NULL")
            connection.execute("UPDATE callback SET due_at = now() WHERE due_at IS NOT NULL")

    def statuses(self) -> list[str]:
        return [row["status"] for row in self.world.rows("SELECT status FROM refund ORDER BY id")]

    def alarms(self) -> list[str]:
        return [row["kind"] for row in self.world.rows("SELECT kind FROM alarm ORDER BY at, id")]

    def balances(self) -> dict[str, int]:
        """Cash taken in, and what the customer has as credit; the workspace's row says the same."""
        sums = {"cash_clearing": 0, "customer_credit": 0}
        for row in self.world.rows("SELECT debit, credit, amount FROM journal WHERE workspace_id = %s", self.workspace):
            for account, sign in ((row["debit"], 1), (row["credit"], -1)):
                if account in sums:
                    sums[account] += sign * row["amount"]
        credit = self.world.row("SELECT credit FROM workspace WHERE id = %s", self.workspace)["credit"]
        assert credit == -sums["customer_credit"] >= 0
        return {"cash": sums["cash_clearing"], "credit": credit}

    def pending(self) -> int:
        with self.world.database.transaction("test") as connection:
            found: int = views.workspace(connection, None, self.workspace)["pending"]
            return found

    def ready(self) -> bool:
        with self.world.database.transaction("test") as connection:
            return clocks.ready(connection, self.world.clock)
