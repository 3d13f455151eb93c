"""A house with an account whose every name is a canary, and callers who shall never hear it sing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
from flask import Flask
from psycopg.rows import dict_row
from werkzeug.test import TestResponse

from billing.settings import Settings
from billing.store import catalogue, leases, outcomes
from billing.store.db import Database
from billing.store.outcomes import Answer
from service import limits
from service.app import create_app
from workers.settle import settle

ADMIN_KEY = "sekisu_pretend_admin"
#: In every name, member, board, reference and note of the first account, and nowhere else.
CANARY = "canary-7f3a"
SIGNING = "cGVyc2ltbW9uIHBlcnNpbW1vbiBwZXJzaW1tb24gcGVyc2ltbW9u"
ISSUER = {"name": f"{CANARY} shop", "address": f"{CANARY} street", "bank_account": f"{CANARY} bank"}
#: Tables that a refused call may add to: who called, and what was answered under an Idempotency-Key.
OF_CALLS = ("audit", "idempotency")


@dataclass
class Caller:
    """Somebody with a key, or (empty) without."""

    app: Flask
    key: str
    id: str = ""

    def call(self, method: str, path: str, body: object = None, **headers: str) -> TestResponse:
        given = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        json_body: dict[str, Any] = {"json": body} if body is not None else {}
        return self.app.test_client().open(path, method=method, headers=given, **json_body)

    def told(self, method: str, path: str, body: object = None) -> Any:
        answer = self.call(method, path, body)
        assert answer.status_code < 300, (method, path, answer.get_data(as_text=True))
        return answer.get_json() if answer.data else None


@dataclass
class Place:
    """The application, and the ids of what the first account owns."""

    app: Flask
    settings: Settings
    db: Database
    ids: dict[str, str] = field(default_factory=dict)
    callers: dict[str, Caller] = field(default_factory=dict)

    @property
    def admin(self) -> Caller:
        return Caller(self.app, ADMIN_KEY, "admin")

    def caller(self, account: str | None, *scopes: str) -> Caller:
        made = self.admin.told("POST", "/v1/keys", {"account_id": account, **({"scopes": scopes} if scopes else {})})
        return Caller(self.app, made["key"], made["id"])

    def run(self, statement: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.settings.database_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def state(self) -> dict[str, str]:
        """A digest of every table that holds more than calls."""
        names = "SELECT tablename AS t FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL(%s) ORDER BY 1"
        query = "SELECT '{0}' AS t, md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) AS d FROM {0} x"
        tables = [row["t"] for row in self.run(names, list(OF_CALLS))]
        found = self.run(" UNION ALL ".join(query.format(table) for table in tables))
        return {row["t"]: row["d"] for row in found}


def settings(database_url: str, valkey_url: str, folder: Path, **more: str) -> Settings:
    environ = {
        "SEKISU_DATABASE_URL": database_url,
        "SEKISU_REDIS_URL": valkey_url,
        "SEKISU_PAYMENT_URL": "http://127.0.0.1:9",
        "SEKISU_PUBLIC_URL": "https://seats.example",
        "SEKISU_API_KEY": ADMIN_KEY,
        "SEKISU_SECRET_KEY": "only for tests",
        "SEKISU_DATA_DIR": str(folder),
        "SEKISU_RATE_KEY": "0",
    }
    return Settings.load(environ | {f"SEKISU_{name}": value for name, value in more.items()})


@contextmanager
def opened(made: Settings) -> Iterator[Place]:
    """The whole door over a database, with the prices of the plans."""
    # How often somebody may call is another test's matter; here everybody calls at once.
    with patch.object(limits, "STRANGER_RATE", 0.0):
        app = create_app(made)
    db: Database = app.extensions["sekisu"]["db"]
    with db.transaction("test") as connection:
        catalogue.load(connection, catalogue.shipped())
    yield Place(app, made, db)
    db.close()


def furnish(place: Place) -> None:
    """An account that has one of everything, another account, and a caller of each kind."""
    own = place.admin.told("POST", "/v1/accounts", {"name": f"{CANARY} ltd", "payment_reference": f"cus-{CANARY}"})
    place.admin.told("PATCH", f"/v1/accounts/{own['id']}", {"issuer": ISSUER, "recipient": {"name": CANARY}})
    other = place.admin.told("POST", "/v1/accounts", {"name": "another"})["id"]
    place.ids |= {"account_id": own["id"], "other_account": other}
    _callers(place, own["id"], other)
    _furnish_workspace(place, place.callers["own"])
    _furnish_other(place, place.callers["other"])


def _callers(place: Place, own: str, other: str) -> None:
    place.callers = {
        "nobody": Caller(place.app, ""),
        "a wrong key": Caller(place.app, "sk_wrong"),
        "own": place.caller(own),
        "own, read": place.caller(own, "read"),
        "own, write": place.caller(own, "write"),
        "own, commands": place.caller(own, "commands"),
        "other": place.caller(other),
        "other, read": place.caller(other, "read"),
        "other, write": place.caller(other, "write"),
        "other, commands": place.caller(other, "commands"),
        "admin": place.admin,
        "admin, read": place.caller(None, "read"),
        "admin, metrics": place.caller(None, "metrics"),
    }
    revoked = place.caller(own)
    place.admin.told("DELETE", f"/v1/keys/{revoked.id}")
    place.callers["own, revoked"] = revoked
    place.ids["key_id"] = place.callers["own"].id


def _furnish_workspace(place: Place, own: Caller) -> None:
    connection = own.told(
        "POST",
        "/v1/connections",
        {"tool": "trello", "secrets": [SIGNING], "callback_url": f"https://{CANARY}.example/"},
    )["id"]
    clock = own.told("POST", "/v1/clocks", {"now": "2025-01-15T00:00:00Z"})["id"]
    workspace = own.told(
        "POST",
        "/v1/workspaces",
        {"tool": "trello", "external_id": "org-1", "name": CANARY, "connection_id": connection, "clock_id": clock},
    )["id"]
    place.ids |= {"connection_id": connection, "clock_id": clock, "workspace_id": workspace}
    own.told("POST", "/v1/workspaces", {"tool": "trello", "external_id": "org-9", "name": CANARY})
    path = f"/v1/workspaces/{workspace}"
    contact = {"name": CANARY, "email": f"{CANARY}@mail.example", "language": "en"}
    own.told("PATCH", path, {"billing_contact": contact})
    _people(place, own, path, "aoi")
    start = {"actor": actor("admin"), "plan": "trello-premium", "interval": "year", "payment_method": "card"}
    own.told("POST", f"{path}/subscription", start)
    _pay(place)
    own.told("POST", f"/v1/clocks/{clock}/advance", {"to": "2025-02-15T00:00:00Z"})
    _people(place, own, path, "aoi", "ren")
    own.call("POST", f"{path}/cancellation", {"actor": actor("nobody")})
    place.ids["quote_id"] = own.told("POST", f"{path}/quotes", {"command": "members", "count": 1})["id"]
    place.ids["charge_id"] = own.told("GET", f"{path}/charges")["data"][0]["id"]
    place.ids["entry_id"] = own.told("GET", f"{path}/ledger")["data"][0]["entry_id"]
    place.ids["document_id"] = own.told("GET", f"{path}/documents")["data"][0]["id"]
    _deliver(place, connection)
    _misfortune(place, workspace)


def actor(role: str, who: str = f"{CANARY}-aoi") -> dict[str, str]:
    return {"id": who, "role": role}


def _people(place: Place, own: Caller, path: str, *names: str) -> None:
    members = [{"id": f"{CANARY}-{name}", "name": f"{CANARY} {name}", "boards": [f"{CANARY}-board"]} for name in names]
    own.told("POST", f"{path}/roster", {"members": members})
    settle(place.db, place.ids["workspace_id"], "live")


def _pay(place: Place) -> None:
    with place.db.transaction("test") as connection:
        leased = leases.lease(connection, 16, 8.0, "http://127.0.0.1:9/none")
    for row in leased:
        with place.db.transaction("test") as connection:
            answer = Answer("succeeded", row["attempt"], reference=f"ref-{CANARY}")
            outcomes.book(connection, row["workspace_id"], row["id"], answer, row["token"])


def _deliver(place: Place, connection: str) -> None:
    place.ids["delivery_id"] = "dl_first"
    place.run(
        """INSERT INTO delivery (id, connection_id, delivery_id, dedupe_key, fingerprint, sha256, state, reason, action)
           VALUES ('dl_first', %s, %s, 'd1', 'f', 's', 'ignored', %s, %s)""",
        *(connection, f"{CANARY}-delivery", f"{CANARY} reason", f"{CANARY}-action"),
    )
    place.run("INSERT INTO delivery_body (id, headers, body) VALUES ('dl_first', '{}', %s)", CANARY.encode())


def _misfortune(place: Place, workspace: str) -> None:
    place.run(
        "INSERT INTO drift (workspace_id, id, at, fault) VALUES (%s, 'dr_1', now(), %s)", workspace, f"{CANARY} fault"
    )
    place.run(
        """INSERT INTO refund (id, workspace_id, charge_id, status, currency, amount, reason, reference, created_at)
           VALUES ('re_1', %s, %s, 'succeeded', 'USD', 1, 'TR-26', %s, now())""",
        *(workspace, place.ids["charge_id"], f"ref-{CANARY}"),
    )


def _furnish_other(place: Place, other: Caller) -> None:
    """The other account has a workspace too, whose ids may be mixed with those of the first."""
    made = other.told("POST", "/v1/workspaces", {"tool": "trello", "external_id": "org-2", "name": "another"})
    place.ids["other_workspace"] = made["id"]
    people = {"members": [{"id": "mallory", "name": "Mallory"}]}
    other.told("POST", f"/v1/workspaces/{made['id']}/roster", people)
    settle(place.db, made["id"], "live")
