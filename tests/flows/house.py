"""The whole product on real processes: PostgreSQL, a Valkey of its own, web, workers, ticker and the sandbox."""

import base64
import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import requests
from psycopg.rows import dict_row

from billing.engines.process import Engine
from billing.engines.valkey import start_valkey
from billing.payments.wire import signed_headers
from billing.store.db import Database
from tests.cli.processes import await_true
from tests.flows.parts import Part
from tests.ports import free_port

MAIN = "service.cli.main"
PAYMENT_SECRET = "whsec_" + base64.b64encode(b"plum" * 8).decode()
ADMIN_KEY = "sekisu_pretend_admin"
#: Every waiting time and latency bound of this folder is multiplied by it: for machines that are busy with other work.
PATIENCE = float(os.environ.get("FLOWS_PATIENCE", "1"))


def wait(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for a state; fails the test when it does not come."""
    await_true(lambda: bool(condition()), seconds * PATIENCE)


class House:
    """Everything that `sekisu up` runs, in parts that a test may kill, freeze and start again."""

    def __init__(self, folder: Path, database_url: str, superuser_url: str) -> None:
        self.folder, self.database_url = folder, database_url
        self._superuser_url = f"{superuser_url.rpartition('/')[0]}/{database_url.rpartition('/')[2]}"
        self._stack = ExitStack()
        self.database = Database(database_url, size=4)
        self._stack.callback(self.database.close)
        self._sql = self._stack.enter_context(
            psycopg.connect(self._superuser_url, autocommit=True, row_factory=dict_row, options="-c timezone=UTC")
        )
        self.start_valkey()
        self._stack.callback(self.stop_valkey)
        self.port, self.sandbox_port = free_port(), free_port()
        self.url, self.sandbox = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.sandbox_port}"
        port = str(self.sandbox_port)
        self._part("sandbox", ["billing.payments.sandbox", "--port", port])
        self.web = self._part("web", [MAIN, "web"])
        self.worker = self._part("worker", [MAIN, "worker"])
        self.ticker = self._part("ticker", [MAIN, "ticker"])
        wait(self._ready, 60)

    def start_valkey(self) -> None:
        """Start Valkey, at its address of before. Call it in the main thread: the engine dies with who started it."""
        self.valkey: Engine = start_valkey(self.folder)

    def stop_valkey(self) -> None:
        """End the Valkey that runs now."""
        self.valkey.stop()

    @property
    def environ(self) -> dict[str, str]:
        """What `up` gives its children."""
        return {
            "SEKISU_DATABASE_URL": self.database_url,
            "SEKISU_REDIS_URL": self.valkey.url,
            "SEKISU_PAYMENT_URL": self.sandbox,
            "SEKISU_PAYMENT_SECRET": PAYMENT_SECRET,
            "SEKISU_API_KEY": ADMIN_KEY,
            "SEKISU_SECRET_KEY": "only for tests",
            "SEKISU_DATA_DIR": str(self.folder / "data"),
            "SEKISU_PORT": str(self.port),
            "SEKISU_WEB_PROCESSES": "3",
            "dramatiq_restart_delay": "250",
        }

    def _part(self, name: str, words: list[str]) -> Part:
        part = Part(name, words, self.environ, self.folder)
        self._stack.callback(part.close)
        return part

    def _ready(self) -> bool:
        try:
            found = [requests.get(f"{self.url}/readyz", timeout=5), requests.get(f"{self.sandbox}/healthz", timeout=5)]
        except requests.ConnectionError:
            return False
        return all(answer.status_code == 200 for answer in found)

    def close(self) -> None:
        """End everything, in the order of `up`."""
        self._stack.close()

    def words(self) -> str:
        """The last lines that each part wrote: pytest shows them with a failure."""
        logs = sorted(self.folder.glob("*.log"))
        return "".join(f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}\n" for log in logs)

    def sql(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Rows of a statement as the superuser, committed at once; again when it met the workers' rows crosswise."""
        for again in (True, True, True, False):
            try:
                cursor = self._sql.execute(query.encode(), values)
                return cursor.fetchall() if cursor.description else []
            except psycopg.errors.DeadlockDetected:
                if not again:
                    raise
        raise AssertionError

    def count(self, query: str, *values: object) -> int:
        """The one number of a query."""
        (row,) = self.sql(query, *values)
        (number,) = row.values()
        return int(number)

    def fault(self, mode: str | None, **more: object) -> None:
        """Make the sandbox misbehave, or (None) behave again."""
        answer = requests.put(f"{self.sandbox}/faults", json={"mode": mode, **more}, timeout=10)
        assert answer.status_code == 200, answer.text

    def book(self) -> dict[str, dict[str, Any]]:
        """The payment endpoint's own book: its charges by our id."""
        listed = requests.get(f"{self.sandbox}/book", timeout=10).json()["charges"]
        return {row["charge_id"]: row for row in listed}

    def call_back(self, body: bytes, message: str, secret: str = PAYMENT_SECRET) -> int:
        """POST a callback as the payment endpoint signs it; answers the status."""
        headers = signed_headers(secret, message, datetime.now(UTC), body)
        url = f"{self.url}/callbacks/payments/standard"
        return requests.post(url, body, headers={"Content-Type": "application/json", **headers}, timeout=10).status_code
