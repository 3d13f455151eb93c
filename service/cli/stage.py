"""Where a story is played: an account of its own on a running service, and in it workspaces, each on its own clock."""

import hashlib
import json
import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from billing.core import calendar
from billing.core.errors import SekisuError
from billing.tools import room
from service.cli.client import Client

#: Seconds a step may take until everything it caused has come to rest, and between two looks.
_PATIENCE = 60.0
_LOOK = 0.05


class DemoError(SekisuError):
    """The demonstration could not be played, or a number is not what the rules say."""

    code = "demo"


def trello_id() -> str:
    """An id as Trello makes them: 24 hexadecimal digits."""
    return secrets.token_hex(12)


def number() -> str:
    """An id as Chatwork and Backlog make them: a whole number."""
    return str(secrets.randbelow(9_000_000) + 1_000_000)


class Stage:
    """One new account, and the payment endpoint whose book is looked at. Raises SekisuError throughout."""

    def __init__(self, client: Client, sandbox: Client, name: str) -> None:
        self.client, self._sandbox = client, sandbox
        account = client.post("/v1/accounts", {"name": f"{name} (demo)", "payment_reference": "cus_demo"})
        self.mine = {"account_id": account["id"]}
        #: May only read, and only this account: fit to be printed.
        self.reading_key = str(client.post("/v1/keys", {**self.mine, "scopes": ["read"]})["key"])
        #: Every workspace made here, by its name.
        self.scenes: dict[str, Scene] = {}

    def book(self) -> dict[str, list[dict[str, Any]]]:
        """The payment endpoint's own book: its `charges` and `refunds`."""
        book: dict[str, list[dict[str, Any]]] = self._sandbox.get("/book")
        return book


class Scene:
    """One workspace on a clock, empty, with new ids: every play is one of its own. Raises SekisuError throughout."""

    def __init__(self, stage: Stage, tool: str, name: str, start: datetime, time_zone: str) -> None:
        self.stage, self._client, self._room = stage, stage.client, room.load(tool)
        self._secret = b64encode(secrets.token_bytes(32)).decode()
        self._new_id = trello_id if tool == "trello" else number
        self._ids: dict[str, str] = {}
        self.name, self.time_zone, self.external_id = name, time_zone, self._new_id()
        self._clock = self._client.post("/v1/clocks", {"now": calendar.written(start), **stage.mine})
        signing = {"secrets": [self._secret]} if self._room.SIGNED else {}
        self.connection = self._client.post("/v1/connections", {"tool": tool, **signing, **stage.mine})
        workspace = {"tool": tool, "external_id": self.external_id, "name": name, "time_zone": time_zone}
        tied = {"connection_id": self.connection["id"], "clock_id": self._clock["id"]}
        self.workspace = self._client.post("/v1/workspaces", {**workspace, **tied, **stage.mine})
        stage.scenes[name] = self

    @property
    def now(self) -> datetime:
        """Where the clock stands, UTC."""
        return calendar.read(self._clock["now"])

    def id(self, name: str) -> str:
        """The tool's id of somebody or something of that name: always the same in this scene."""
        return self._ids.setdefault(name, self._new_id())

    def advance(self, to: datetime) -> None:
        """Move the clock on and wait until everything that falls due by then has run."""
        path = f"/v1/clocks/{self._clock['id']}"
        self._clock = self._client.post(f"{path}/advance", {"to": calendar.written(to)})
        self._await(
            lambda: self._client.get(path)["status"] == "ready", f"the clock is not ready at {to:%Y-%m-%d}: {path}"
        )
        self.rest()

    def deliver(self, body: Mapping[str, Any], state: str = "done") -> None:
        """POST a webhook, signed as the tool signs, and wait until it has had all its effects: it ends in `state`."""
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        name = self._room.delivery_id({}, raw)
        signed = self._room.sign(raw, self._secret, self.connection["callback_url"], datetime.now(UTC), name)
        # We post to this machine, wherever the address that was signed (SEKISU_PUBLIC_URL) may lead.
        path = urlsplit(self.connection["webhook_url"]).path
        path = path[path.index("/webhooks/") :]
        status = self._client.send(path, raw, {"Content-Type": "application/json", **signed})
        if status != 200:
            raise DemoError(f"the webhook {name} was answered {status}, not 200")
        self.rest()
        self._must_be(state, name)

    def command(self, path: str, body: Mapping[str, Any]) -> Any:
        """Give the workspace a command and wait until it has had all its effects."""
        answer = self._client.post(f"/v1/workspaces/{self.workspace['id']}/{path}", body)
        self.rest()
        return answer

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST to any route of the API and wait until it has had all its effects."""
        answer = self._client.post(path, body)
        self.rest()
        return answer

    def people(self, listed: Sequence[Mapping[str, Any]]) -> None:
        """Import the full list of the people."""
        self.command("roster", {"members": listed})

    def of(self, path: str) -> Any:
        """What the API tells of the workspace at `path` (`seats`, `members`, `charges`, `ledger`)."""
        return self._client.get(f"/v1/workspaces/{self.workspace['id']}/{path}")

    def ask_why(self, entry_id: str) -> Any:
        """The explanation of a ledger entry."""
        return self._client.get(f"/v1/ledger/{entry_id}/explanation")

    def rows(self, path: str) -> list[dict[str, Any]]:
        """All rows of one of the workspace's lists."""
        return list(self.of(f"{path}?limit=1000")["data"])

    def state(self) -> str:
        """The workspace's state: free, trialing, active..."""
        return str(self._client.get(f"/v1/workspaces/{self.workspace['id']}")["state"])

    def book(self) -> dict[str, list[dict[str, Any]]]:
        """What the payment endpoint's own book has of this workspace's charges, and of refunds of them."""
        mine = {charge["id"] for charge in self.rows("charges")}
        return {kind: [row for row in rows if row["charge_id"] in mine] for kind, rows in self.stage.book().items()}

    def download(self, document: Mapping[str, Any]) -> bytes:
        """A document as PDF. Raises DemoError when it is none, or not the one that the list tells of."""
        content = self._client.file(f"/v1/documents/{document['id']}.pdf")
        told = next(row["sha256"] for row in self.rows("documents") if row["id"] == document["id"])
        if not content.startswith(b"%PDF-") or hashlib.sha256(content).hexdigest() != told:
            raise DemoError(f"{document['number']} is no PDF with the digest {told}")
        return content

    def rest(self) -> None:
        """Wait until nothing of the workspace is on its way."""
        path = f"/v1/workspaces/{self.workspace['id']}"
        self._await(lambda: self._client.get(path)["pending"] == 0, "the workspace does not come to rest")

    def _await(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not done():
            if time.monotonic() > end:
                raise DemoError(f"after {_PATIENCE:.0f} s {what}; stuck: {self._stuck()}")
            time.sleep(_LOOK)

    def _stuck(self) -> str:
        deliveries = self._deliveries()
        kept = [f"delivery {row['id']} ({row['action'] or 'unread'})" for row in deliveries if row["state"] == "kept"]
        final = ("succeeded", "failed", "cancelled", "held")
        open_ones = [row for row in self.rows("charges") if row["status"] not in final]
        return ", ".join([*kept, *(f"charge {row['id']} ({row['status']})" for row in open_ones)]) or "facts unsettled"

    def _deliveries(self) -> list[dict[str, Any]]:
        return list(self._client.get(f"/v1/deliveries?connection_id={self.connection['id']}&limit=1000")["data"])

    def _must_be(self, state: str, delivery_id: str) -> None:
        row = next((row for row in self._deliveries() if row["delivery_id"] == delivery_id), None)
        if row is None or row["state"] != state:
            told = f"{row['state']}: {row['reason']}" if row else "it is not in the inbox"
            raise DemoError(f"the webhook {delivery_id} was accepted but has not the effect it should have ({told})")
