"""A house with a door: settings on a database of its own, connections, and senders that sign as the tools do."""

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from psycopg.rows import dict_row

from billing.settings import Settings
from billing.tools import room
from service.app import create_app

SECRET, OTHER_SECRET = (base64.b64encode(word * 4).decode() for word in (b"persimmo", b"chestnut"))
PAYMENT_SECRET = "whsec_" + base64.b64encode(b"plum" * 8).decode()
ADMIN_KEY = "sekisu_pretend_admin"
NOW = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


def joined(action: str = "action-1", member: str = "member-hina", **display: str) -> bytes:
    """A Trello webhook body: somebody joined a workspace."""
    data = {"organization": {"id": "org-kobo"}, "member": {"id": member}}
    told = {"id": action, "type": "addMemberToOrganization", "date": "2031-02-03T04:00:00.000Z", "data": data}
    return json.dumps(
        {"action": told | ({"display": display} if display else {}), "model": {"id": "org-kobo"}}
    ).encode()


@dataclass
class Answer:
    """What a sender got back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class House:
    """The application, its database and the means to send to it as a tool does."""

    settings: Settings
    app: Flask
    at: datetime = NOW
    connections: dict[str, tuple[str, str]] = field(default_factory=dict)

    def connect(self, name: str = "con-1", tool: str = "trello", *secrets: str) -> str:
        """Make a connection; without `secrets` its secret is SECRET."""
        sealed = [self.settings.vault.encrypt(secret.encode()) for secret in secrets or (SECRET,)]
        self.run(
            "INSERT INTO connection (id, account_id, tool, secrets) VALUES (%s, 'default', %s, %s)", name, tool, sealed
        )
        return name

    def run(self, statement: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.settings.database_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def sign(
        self, body: bytes, connection: str = "con-1", tool: str = "trello", secret: str = SECRET
    ) -> dict[str, str]:
        url = f"{self.settings.public_url}/webhooks/{tool}/{connection}"
        return room.load(tool).sign(body, secret, url, self.at, "msg-1")

    def post(self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "trello/con-1") -> Answer:
        tool, _, connection = path.partition("/")
        signed = self.sign(body, connection, tool) if headers is None else headers
        return self.send("POST", f"/webhooks/{path}", body, signed)

    def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        found = self.app.test_client().open(path, method=method, data=body, headers=dict(headers or {}))
        return Answer(found.status_code, dict(found.headers), found.data)

    def deliveries(self) -> list[dict[str, Any]]:
        query = "SELECT d.*, b.headers, b.body FROM delivery d LEFT JOIN delivery_body b ON b.id = d.id ORDER BY d.id"
        return self.run(query)


@pytest.fixture
def settings(database_url: str, valkey_url: str, tmp_path: Path) -> Settings:
    """Settings on engines of this test."""
    environ = {
        "SEKISU_DATABASE_URL": database_url,
        "SEKISU_REDIS_URL": valkey_url,
        "SEKISU_PAYMENT_URL": "http://127.0.0.1:9",
        "SEKISU_PAYMENT_SECRET": PAYMENT_SECRET,
        "SEKISU_PUBLIC_URL": "https://door.example",
        "SEKISU_API_KEY": ADMIN_KEY,
        "SEKISU_SECRET_KEY": "only for tests",
        "SEKISU_DATA_DIR": str(tmp_path),
        "SEKISU_MAX_BODY_BYTES": "65536",
    }
    return Settings.load(environ)


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    """A house with one Trello connection, `con-1`, where it is NOW."""
    made = House(settings, create_app(settings, lambda: made.at))
    made.connect()
    yield made
    made.app.extensions["sekisu"]["db"].close()


@pytest.fixture
def together() -> Any:
    """Calls functions in threads of their own, all let go at once, and answers what they returned."""

    def run(calls: list[Any]) -> list[Any]:
        gate, answers = threading.Barrier(len(calls)), [None] * len(calls)

        def one(number: int) -> None:
            gate.wait(10)
            answers[number] = calls[number]()

        threads = [threading.Thread(target=one, args=(number,)) for number in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return answers

    return run
