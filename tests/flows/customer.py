"""A customer: an account with its key, a Trello connection, and what it does through the API and as the tool."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from billing.core import calendar
from billing.tools import room
from tests.flows.house import ADMIN_KEY, House, wait
from tests.flows.tool import Body, ident, raw

PREMIUM = {"plan": "trello-premium", "interval": "year", "payment_method": "card"}
TOOL = "trello"


class Customer:
    """One account of its own, so that the names of one test mean nothing to another."""

    def __init__(self, house: House, now: datetime | None = None) -> None:
        """With `now` its workspaces live by a clock that stands there."""
        self.house = house
        self._http = requests.Session()
        self._http.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        self.account = self.post("/v1/accounts", {"name": "an account", "payment_reference": "cus_plum"})["id"]
        key = self.post("/v1/keys", {"account_id": self.account})["key"]
        self._http.headers["Authorization"] = f"Bearer {key}"
        self.secret = secrets.token_hex(32)
        self.connection = self.post("/v1/connections", {"tool": TOOL, "secrets": [self.secret]})
        self.clock = self.new_clock(now) if now else None

    def get(self, path: str, status: int = 200) -> Any:
        return self._told(self._http.get(self.house.url + path, timeout=30), status)

    def post(self, path: str, body: Mapping[str, Any], status: int = 201) -> Any:
        return self._told(self._http.post(self.house.url + path, json=body, timeout=30), status)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._told(self._http.patch(self.house.url + path, json=body, timeout=30), 200)

    def _told(self, answer: requests.Response, status: int) -> Any:
        assert answer.status_code == status, f"{answer.request.method} {answer.request.url}: {answer.text}"
        return answer.json()

    def new_clock(self, now: datetime) -> str:
        return str(self.post("/v1/clocks", {"now": calendar.written(now)})["id"])

    def advance(self, to: datetime, clock: str | None = None) -> None:
        """Move a clock and wait until everything due by then has run and its first send is answered."""
        path = f"/v1/clocks/{clock or self.clock}"
        self.post(f"{path}/advance", {"to": calendar.written(to)}, 202)
        wait(lambda: self.get(path)["status"] == "ready", 60)

    def workspace(self, name: str, clock: str | None = None, **more: object) -> str:
        """A workspace that the tool knows as `name`; answers our id of it."""
        body = {"tool": TOOL, "external_id": ident(name), "name": name, "connection_id": self.connection["id"]}
        return str(self.post("/v1/workspaces", {**body, "clock_id": clock or self.clock, **more})["id"])

    def roster(self, workspace: str, *people: str, guests: Mapping[str, list[str]] | None = None) -> None:
        """The full list: members, and guests with the boards they are on."""
        listed: list[Body] = [{"id": ident(name), "name": name.title()} for name in people]
        listed += [
            {"id": ident(name), "name": name.title(), "member": False, "boards": [ident(board) for board in boards]}
            for name, boards in (guests or {}).items()
        ]
        self.post(f"/v1/workspaces/{workspace}/roster", {"members": listed}, 200)

    def start(self, workspace: str, **more: object) -> Any:
        body = {"actor": {"id": ident("aoi"), "role": "admin"}, **PREMIUM, **more}
        return self.post(f"/v1/workspaces/{workspace}/subscription", body)

    def rest(self, workspace: str, seconds: float = 30.0) -> None:
        """Wait until nothing of the workspace is on its way."""
        wait(lambda: self.get(f"/v1/workspaces/{workspace}")["pending"] == 0, seconds)

    def of(self, workspace: str, what: str) -> Any:
        """What the API tells of a workspace: the rows of a list, or the object."""
        told = self.get(f"/v1/workspaces/{workspace}/{what}" + ("" if what == "seats" else "?limit=1000"))
        return told.get("data", told)

    def seats(self, workspace: str) -> tuple[int, int, int]:
        """Purchased, occupied, vacant."""
        told = self.of(workspace, "seats")
        return told["purchased"], told["occupied"], told["vacant"]

    def charged(self, workspace: str) -> list[tuple[str, int]]:
        """Status and amount of each charge, in their order."""
        return [(charge["status"], charge["amount"]) for charge in self.of(workspace, "charges")]

    def booked(self, workspace: str) -> list[tuple[str, int, int]]:
        """What the payment endpoint has of each charge: status, amount, and under how many keys."""
        book, ids = self.house.book(), [charge["id"] for charge in self.of(workspace, "charges")]
        rows = [book[charge_id] for charge_id in ids if charge_id in book]
        return [(row["status"], row["amount"], len(row["keys"])) for row in rows]

    @property
    def path(self) -> str:
        """Where its webhooks go."""
        return urlsplit(str(self.connection["webhook_url"])).path

    def signed(self, body: bytes) -> dict[str, str]:
        """The signature header of a webhook."""
        return room.load(TOOL).sign(body, self.secret, self.connection["callback_url"], datetime.now(UTC), "")

    def deliver(self, body: Body | bytes) -> int:
        """POST a webhook, signed; answers the status."""
        content = body if isinstance(body, bytes) else raw(body)
        headers = {"Content-Type": "application/json", **self.signed(content)}
        return requests.post(self.house.url + self.path, content, headers=headers, timeout=30).status_code

    def tell(self, body: Body, workspace: str) -> None:
        """Deliver a webhook and wait until it has had all its effects."""
        assert self.deliver(body) == 200
        self.rest(workspace)

    def deliveries(self, name: str = "") -> list[dict[str, Any]]:
        """The inbox; with `name`, what came under that action's id."""
        found = self.get(f"/v1/deliveries?connection_id={self.connection['id']}&limit=1000")["data"]
        return [row for row in found if not name or row["delivery_id"] == ident(name)]
