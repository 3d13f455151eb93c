"""The API over a database of its own, with a bell that only notes what was rung, and callers with keys."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from psycopg.rows import dict_row
from werkzeug.test import TestResponse

from billing.settings import Settings, fernet_keys
from billing.store import catalogue
from billing.store.db import Database
from service import api, problem
from workers.settle import settle

ADMIN_KEY = "sekisu_pretend_admin"
PUBLIC_URL = "https://seats.example"


@dataclass
class Bell:
    """Notes what was rung."""

    rung: list[tuple[str, str]] = field(default_factory=list)

    def _note(self, what: str, which: str = "") -> bool:
        self.rung.append((what, which))
        return True

    def read(self, connection_id: str) -> bool:
        return self._note("read", connection_id)

    def settle(self, workspace_id: str) -> bool:
        return self._note("settle", workspace_id)

    def send(self) -> bool:
        return self._note("send")


@dataclass
class Caller:
    """Somebody with a key."""

    app: Flask
    key: str

    def call(self, method: str, path: str, body: object = None, **headers: str) -> TestResponse:
        given = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        json = {"json": body} if body is not None else {}
        return self.app.test_client().open(path, method=method, headers=given | named, **json)  # type: ignore[arg-type]

    def get(self, path: str, status: int = 200) -> Any:
        return self._told(self.call("GET", path), status)

    def post(self, path: str, body: object = None, status: int = 201, **headers: str) -> Any:
        return self._told(self.call("POST", path, body, **headers), status)

    def patch(self, path: str, body: object, status: int = 200) -> Any:
        return self._told(self.call("PATCH", path, body), status)

    def delete(self, path: str, status: int = 204) -> Any:
        return self._told(self.call("DELETE", path), status)

    def _told(self, answer: TestResponse, status: int) -> Any:
        assert answer.status_code == status, answer.get_data(as_text=True)
        if status >= 400:
            assert answer.content_type == "application/problem+json"
            told = answer.get_json(force=True)
            assert told["status"] == status
            assert {"type", "title", "detail", "code"} <= told.keys()
            return told
        return answer.get_json() if answer.data else None

    def workspace(self, external_id: str = "org-kobo", **more: object) -> Any:
        body = {"tool": "trello", "external_id": external_id, "name": "Kobo", **more}
        return self.post("/v1/workspaces", body)


@dataclass
class House:
    """The application and what stands behind it."""

    app: Flask
    settings: Settings
    db: Database
    bell: Bell

    @property
    def admin(self) -> Caller:
        return Caller(self.app, ADMIN_KEY)

    def caller(self, account: str | None = None, scopes: list[str] | None = None) -> Caller:
        """Somebody of an account (a new one, if none is named)."""
        account = account or self.admin.post("/v1/accounts", {"name": "an account"})["id"]
        body: dict[str, object] = {"account_id": account} | ({"scopes": scopes} if scopes else {})
        return Caller(self.app, self.admin.post("/v1/keys", body)["key"])

    def run(self, statement: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.settings.database_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def settle(self, workspace_id: str) -> None:
        settle(self.db, workspace_id, "live")

    def deliver(self, connection_id: str, name: str, state: str = "kept", body: bool = True) -> str:
        """A delivery as the receiver keeps it; answers its id."""
        self.run(
            """INSERT INTO delivery (id, connection_id, delivery_id, dedupe_key, fingerprint, sha256, state)
               VALUES (%s, %s, %s, %s, 'f', 's', %s)""",
            *(name, connection_id, f"tools-{name}", f"tools-{name}", state),
        )
        if body:
            self.run("INSERT INTO delivery_body (id, headers, body) VALUES (%s, '{}', '')", name)
        return name


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    settings = Settings(
        data_dir=tmp_path,
        database_url=database_url,
        public_url=PUBLIC_URL,
        api_key=ADMIN_KEY,
        secret_keys=fernet_keys("pretend"),
        max_body_bytes=20_000,
    )
    db, bell, app = Database(database_url, 4), Bell(), Flask("tested", static_folder=None)
    with db.transaction("test") as connection:
        catalogue.load(connection, catalogue.shipped())
    problem.register(app)
    api.register(app, settings, db, bell)
    yield House(app, settings, db, bell)
    db.close()


@pytest.fixture
def admin(house: House) -> Caller:
    return house.admin


@pytest.fixture
def caller(house: House) -> Caller:
    return house.caller()


@pytest.fixture
def stranger(house: House) -> Caller:
    """Somebody of another account."""
    return house.caller()


@dataclass
class Story:
    """TR-10 under a clock: Aoi alone from January, Ren from April on."""

    house: House
    caller: Caller
    workspace: str
    clock: str

    @property
    def path(self) -> str:
        return f"/v1/workspaces/{self.workspace}"

    def roster(self, *people: str, at: str | None = None) -> Any:
        members = [{"id": person, "name": person.title()} for person in people]
        told = self.caller.post(f"{self.path}/roster", {"at": at, "members": members}, 200)
        self.house.settle(self.workspace)
        return told

    def start(self, **more: object) -> Any:
        body = {"actor": {"id": "aoi", "role": "admin"}, "plan": "trello-premium", "interval": "year"}
        return self.caller.post(f"{self.path}/subscription", {**body, "payment_method": "card", **more})

    def advance(self, to: str) -> Any:
        return self.caller.post(f"/v1/clocks/{self.clock}/advance", {"to": to}, 202)


@pytest.fixture
def tale(house: House, caller: Caller) -> Story:
    clock = caller.post("/v1/clocks", {"now": "2025-01-15T00:00:00.000Z"})["id"]
    return Story(house, caller, caller.workspace(clock_id=clock)["id"], clock)


@pytest.fixture
def story(tale: Story) -> Story:
    tale.roster("aoi")
    tale.start()
    tale.advance("2025-04-15T00:00:00.000Z")
    tale.roster("aoi", "ren")
    return tale
