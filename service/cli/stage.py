"""Where a story is played: an account, a clock, a connection and a workspace of its own on a running service."""

import json
import secrets
import time
from collections.abc import Callable
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


class Stage:
    """One workspace on a clock, empty, with new ids: every play is one of its own. Raises SekisuError throughout."""

    def __init__(self, client: Client, tool: str, name: str, start: datetime) -> None:
        self._client, self._room, self._secret = client, room.load(tool), secrets.token_hex(32)
        self.external_id, self.name = trello_id(), name
        account = client.post("/v1/accounts", {"name": f"{name} (demo)"})
        mine = {"account_id": account["id"]}
        #: May only read, and only this account: fit to be printed.
        self.reading_key = str(client.post("/v1/keys", {**mine, "scopes": ["read"]})["key"])
        self._clock = client.post("/v1/clocks", {"now": calendar.written(start), **mine})
        self.connection = client.post("/v1/connections", {"tool": tool, "secrets": [self._secret], **mine})
        workspace = {"tool": tool, "external_id": self.external_id, "name": name, "time_zone": "UTC"}
        tied = {"connection_id": self.connection["id"], "clock_id": self._clock["id"]}
        self.workspace = client.post("/v1/workspaces", {**workspace, **tied, **mine})

    @property
    def now(self) -> datetime:
        """Where the clock stands, UTC."""
        return calendar.read(self._clock["now"])

    def advance(self, to: datetime) -> None:
        """Move the clock on and wait until everything that falls due by then has run."""
        path = f"/v1/clocks/{self._clock['id']}"
        self._clock = self._client.post(f"{path}/advance", {"to": calendar.written(to)})
        self._await(
            lambda: self._client.get(path)["status"] == "ready", f"the clock is not ready at {to:%Y-%m-%d}: {path}"
        )
        self.rest()

    def deliver(self, body: dict[str, Any]) -> None:
        """POST a webhook, signed as the tool signs, and wait until it has had all its effects."""
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        callback_url = self.connection["callback_url"]
        signed = self._room.sign(raw, self._secret, callback_url, datetime.now(UTC), str(body["action"]["id"]))
        # We post to this machine, wherever the address that was signed (SEKISU_PUBLIC_URL) may lead.
        path = urlsplit(self.connection["webhook_url"]).path
        path = path[path.index("/webhooks/") :]
        status = self._client.send(path, raw, {"Content-Type": "application/json", **signed})
        if status != 200:
            raise DemoError(f"the webhook {body['action']['type']} was answered {status}, not 200")
        self.rest()
        self._must_be_done(str(body["action"]["id"]))

    def command(self, path: str, body: dict[str, Any]) -> Any:
        """Give the workspace a command and wait until it has had all its effects."""
        answer = self._client.post(f"/v1/workspaces/{self.workspace['id']}/{path}", body)
        self.rest()
        return answer

    def of(self, path: str) -> Any:
        """What the API tells of the workspace at `path` (`seats`, `members`, `charges`, `ledger`)."""
        return self._client.get(f"/v1/workspaces/{self.workspace['id']}/{path}")

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
        open_ones = [row for row in self.of("charges")["data"] if row["status"] not in final]
        return ", ".join([*kept, *(f"charge {row['id']} ({row['status']})" for row in open_ones)]) or "facts unsettled"

    def _deliveries(self) -> list[dict[str, Any]]:
        return list(self._client.get(f"/v1/deliveries?connection_id={self.connection['id']}&limit=1000")["data"])

    def _must_be_done(self, delivery_id: str) -> None:
        row = next((row for row in self._deliveries() if row["delivery_id"] == delivery_id), None)
        if row is None or row["state"] != "done":
            told = f"{row['state']}: {row['reason']}" if row else "it is not in the inbox"
            raise DemoError(f"the webhook {delivery_id} was accepted but has no effect ({told})")
