"""A Chatwork contract (契約) in the running service: its users come by imported lists, its days are Tokyo's."""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from billing.core import calendar
from billing.core.errors import RefusedError
from billing.payments.gateway import Gateway
from billing.payments.sandbox import Sandbox
from billing.store import views, workspaces
from billing.tools import chatwork
from billing.tools.room import Ask, Reading, Scope, Snapshot
from service.cli import roster_file
from tests.workers.world import World
from workers import commands, quotes, roster_import
from workers.checks.snapshot import Fault
from workers.sending import send_due
from workers.settle import settle_fully
from workers.verifying import verify

ZONE = "Asia/Tokyo"
_NUMBERS = count(1)
#: The one administrator, who pays.
NAGISA: Mapping[str, str] = {"id": "1001", "role": "administrator"}


def jst(text: str) -> datetime:
    """An instant from Tokyo's `2026-04-01` or `2026-03-31T23:59`."""
    return calendar.read(f"{text}T00:00+09:00" if len(text) == 10 else f"{text}+09:00")


@dataclass
class Contract:
    """One contract. `folder`: where its lists are written before they are imported; `family`: all contracts' ids."""

    world: World
    folder: Path
    family: list[str] = field(default_factory=list)
    name: str = field(default_factory=lambda: f"org-{next(_NUMBERS)}")
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = self.world.workspace(self.name, zone=ZONE)
        self.family.append(self.id)

    def beside(self) -> "Contract":
        """Another contract of the same account."""
        return Contract(self.world, self.folder, self.family)

    def faults(self) -> list[Fault]:
        """What `sekisu verify` finds wrong with the contracts."""
        return [one for name in self.family for one in verify(self.world.database, name, lambda *_: None).faults]

    def to(self, day: str) -> None:
        """Let the clock come to an instant of Tokyo's."""
        self.world.advance(jst(day), self.id)

    def users(self, managed: int, pending: int = 0, first: int = 2001) -> None:
        """Import the contract's list: the administrator, so many managed users and so many invited ones."""
        people = [f"{first + n},joined,member" for n in range(managed)]
        people += [f"{9001 + n},pending,member" for n in range(pending)]
        self.listed(["1001,joined,administrator", *people])

    def listed(self, rows: Iterable[str]) -> None:
        """Import a list of users, each row an account, its state and its role."""
        path = self.folder / f"{self.name}.csv"
        path.write_text("\n".join(["account_id,state,role", *rows]) + "\n")
        told = roster_file.read(path)
        with self.world.database.transaction("test") as connection:
            given = (told["at"], told["members"], told["boards"])
            roster_import.import_roster(connection, self.id, *given, contract=told["contract"])
        self.world.settle(self.id)

    def rooms(self, rooms: Mapping[int, Iterable[int]]) -> None:
        """Read the contract's group rooms: who is in which, as the tool's lists tell it."""
        answers: dict[Ask, object] = {Ask("/rooms"): [{"room_id": room, "type": "group"} for room in rooms]}
        for room, people in rooms.items():
            answers[Ask(f"/rooms/{room}/members")] = [{"account_id": who, "name": f"{who}"} for who in people]
        told = chatwork.pull(Scope(self.name), answers)
        assert isinstance(told, Snapshot)
        with self.world.database.transaction("test") as connection:
            row = workspaces.locked(connection, self.id)
            facts = roster_import.known(connection, row, row["now"], told)
            roster_import.file(connection, row, roster_import.difference(row, row["now"], told, facts))
        self.world.settle(self.id)

    def hear(self, text: str) -> Reading:
        """A message in a room, delivered by webhook: what the room read in it. Nothing is to be settled by it."""
        event = {"message_id": "1990000000000000001", "room_id": 11, "account_id": 7777, "body": text, "update_time": 0}
        told = {"webhook_setting_id": "7301", "webhook_event_type": "message_created", "webhook_event": event}
        self.world.deliver(told)
        assert self.world.read() == set()
        return chatwork.read({}, json.dumps(told).encode())

    def give(self, command: str, actor: Mapping[str, str] = NAGISA, **body: Any) -> dict[str, Any]:
        """Give a command, as the API does."""
        with self.world.database.transaction("test") as connection:
            return commands.give(connection, "live", self.id, command, body, actor)

    def start(self, plan: str, interval: str, licences: int | None = None, **more: Any) -> dict[str, Any]:
        """Contract a plan."""
        chosen: dict[str, Any] = {} if licences is None else {"licences": licences}
        return self.give("subscription", plan=plan, interval=interval, payment_method="card", **chosen, **more)

    def refused(self, command: str, actor: Mapping[str, str] = NAGISA, **body: Any) -> str:
        """The rule by which a command is refused; it is audited and changes nothing."""
        with self.world.database.transaction("test") as connection:
            settle_fully(connection, self.id, "live")
        before = self.figures()
        with pytest.raises(RefusedError) as told, self.world.database.transaction("test") as connection:
            commands.give(connection, "live", self.id, command, body, actor)
        with self.world.database.transaction("test") as connection:
            commands.refused(connection, self.id, command, body, actor, told.value)
        query = "SELECT verdict, rule FROM command WHERE workspace_id = %s ORDER BY id DESC LIMIT 1"
        assert self.world.row(query, self.id) == {"verdict": "refused", "rule": told.value.rule}
        assert self.figures() == before
        return str(told.value.rule)

    def figures(self) -> dict[str, Any]:
        """What a refusal must leave as it is."""
        query = """SELECT (SELECT count(*) FROM fact WHERE workspace_id = w.id) AS facts,
                          (SELECT count(*) FROM entry WHERE workspace_id = w.id) AS entries,
                          (SELECT COALESCE(sum(amount), 0) FROM charge WHERE workspace_id = w.id) AS charged,
                          w.purchased, w.occupied, w.credit, w.state FROM workspace w WHERE w.id = %s"""
        return dict(self.world.row(query, self.id))

    def quote(self, command: str, **body: Any) -> dict[str, Any]:
        """What a command would post."""
        with self.world.database.transaction("test") as connection:
            return quotes.quote(connection, "live", self.id, {"command": command, "actor": NAGISA, **body})

    def shown(self) -> dict[str, Any]:
        """Licences and users as the API shows them."""
        with self.world.database.transaction("test") as connection:
            return views.seats(connection, views.require(connection, None, self.id))

    def numbers(self) -> tuple[int, int, int]:
        """Licences, users and what is left."""
        shown = self.shown()
        return shown["purchased"], shown["occupied"], shown["vacant"]

    def flags(self) -> list[str]:
        """The rules by which something is flagged."""
        return [flag["rule"] for flag in self.shown()["flags"]]

    def renewal(self) -> tuple[int, int, int]:
        """Licences, price and tax of the next renewal, as shown."""
        told = self.shown()["next_renewal"]
        return told["seats"], told["amount"], told["tax"]

    def lines(self) -> list[tuple[str, int, int]]:
        """Every line owed: its kind, licences and yen before tax."""
        query = "SELECT kind, seats, amount FROM line WHERE workspace_id = %s ORDER BY instant, n, kind"
        return [(row["kind"], row["seats"], row["amount"]) for row in self.world.rows(query, self.id)]

    def charges(self) -> list[tuple[int, int]]:
        """Every charge: yen with tax, and the tax in it."""
        query = "SELECT amount, tax FROM charge WHERE workspace_id = %s ORDER BY id"
        return [(row["amount"], row["tax"]) for row in self.world.rows(query, self.id)]

    def mails(self) -> list[tuple[str, str]]:
        """Every mail: what it is about, and the day it tells of."""
        query = (
            "SELECT kind, substring(body FROM '[0-9]{4}-[0-9]{2}-[0-9]{2}') AS day FROM mail WHERE workspace_id = %s"
        )
        return sorted((row["kind"], row["day"]) for row in self.world.rows(query, self.id))

    def contact(self, email: str) -> None:
        """Whom it is mailed to when money does not come."""
        with self.world.database.transaction("test") as connection:
            views.set_billing_contact(connection, self.id, {"name": "渚", "email": email, "language": "ja"})

    def state(self) -> str:
        """Where the contract stands."""
        return str(self.world.row("SELECT state FROM workspace WHERE id = %s", self.id)["state"])

    def given_back(self) -> tuple[int, int, int]:
        """Entries that take something back, refunds, and the credit."""
        query = """SELECT (SELECT count(*)::int FROM entry WHERE workspace_id = w.id AND amount < 0) AS fallen,
                          (SELECT count(*)::int FROM refund WHERE workspace_id = w.id) AS refunds,
                          w.credit::int AS credit FROM workspace w WHERE w.id = %s"""
        row = self.world.row(query, self.id)
        return row["fallen"], row["refunds"], row["credit"]


class Till:
    """The payment endpoint that a contract's charges are sent to."""

    def __init__(self, contract: Contract, sandbox: Sandbox) -> None:
        self.contract, self.sandbox = contract, sandbox
        self.gateway = Gateway(sandbox.url, "", clock=lambda: datetime.now(UTC))
        self.pool = ThreadPoolExecutor(2)

    def send(self) -> None:
        """Send what is due, and let the answers count."""
        send_due(self.contract.world.database, self.gateway, "http://127.0.0.1:9/none", self.pool)
        self.contract.world.settle(self.contract.id)

    def to(self, day: str) -> str:
        """Come to a day, send what it brings, and answer the state it leaves."""
        self.contract.to(day)
        self.send()
        return self.contract.state()

    def decline(self, times: int | None) -> None:
        """Let the card be declined so many times more; None: from now on."""
        fault = {"mode": "decline", "times": times, "seconds": 0}
        requests.put(f"{self.sandbox.url}/faults", json=fault, timeout=5).raise_for_status()

    def attempts(self) -> list[tuple[int, str, list[str]]]:
        """What the endpoint was asked for by this contract: yen, what became of it, and under which attempts."""
        told = requests.get(f"{self.sandbox.url}/book", timeout=5).json()["charges"]
        rows = self.contract.world.rows("SELECT id FROM charge WHERE workspace_id = %s", self.contract.id)
        mine = [one for one in told if one["charge_id"] in {row["id"] for row in rows}]
        return [(one["amount"], one["status"], [key.rpartition(".")[2] for key in one["keys"]]) for one in mine]
