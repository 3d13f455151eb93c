"""A payment endpoint in memory: honest, never reliable, and with a book of its own to compare ours with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from billing import crash
from billing.payments.gateway import Kind, Outcome

#: out: nothing gets there; cut: it is done and the answer is lost; busy: it asks to come again.
Mode = Literal["up", "out", "cut", "busy"]


@dataclass(slots=True)
class Order:
    """A charge or a refund as it stands at the endpoint; `attempts` are the states of those it ever took."""

    body: dict[str, Any]
    attempts: dict[int, str] = field(default_factory=dict)

    @property
    def captured(self) -> int:
        """Minor units that moved."""
        return int(self.body["amount"]) if "succeeded" in self.attempts.values() else 0


class Endpoint:
    """Speaks as `Gateway` does. `random` decides each new attempt; `outbox` are callbacks not yet delivered."""

    def __init__(self) -> None:
        self.mode: Mode = "up"
        self.random = Random(0)
        self.charges: dict[str, Order] = {}
        self.refunds: dict[str, Order] = {}
        self.outbox: list[tuple[str, bytes]] = []
        self.faults: list[str] = []
        self._keys: dict[str, str] = {}
        self._messages = 0

    # --- what the product asks -----------------------------------------------------------------------------------

    def charge(self, body: Mapping[str, Any]) -> Outcome:
        """Take money, or decline, or leave it pending."""
        with crash.around("charge.post"):
            return self._post(self.charges, body)

    def refund(self, body: Mapping[str, Any]) -> Outcome:
        """Give money back of a charge that was captured."""
        with crash.around("refund.post"):
            return self._post(self.refunds, {"attempt": 1, **body})

    def lookup(self, charge_id: str) -> Outcome:
        """What became of a charge."""
        with crash.around("charge.lookup"):
            if self.mode != "up":
                return Outcome("retry", detail="no answer")
            order = self.charges.get(charge_id)
            return _told(charge_id, order.attempts[max(order.attempts)]) if order else Outcome("absent")

    def _post(self, book: dict[str, Order], body: Mapping[str, Any]) -> Outcome:
        if self.mode == "out":
            return Outcome("retry", detail="no answer")
        if self.mode == "busy":
            return Outcome("retry", retry_after_s=30.0, detail="HTTP 429")
        state = self._take(book, dict(body))
        return Outcome("retry", detail="cut off") if self.mode == "cut" else _told(body["id"], state)

    def _take(self, book: dict[str, Order], body: dict[str, Any]) -> str:
        name, attempt = str(body["id"]), int(body["attempt"])
        key, raw = f"{name}.{attempt}", json.dumps(body, sort_keys=True)
        if self._keys.setdefault(key, raw) != raw:
            self.faults.append(f"{key} came with another body")
        order = book.setdefault(name, Order(body))
        if attempt in order.attempts:
            return order.attempts[attempt]
        standing = [(n, state) for n, state in order.attempts.items() if state != "failed"]
        if standing:
            self.faults.append(f"{key} was asked for while {standing} stands")
        if order.body | {"attempt": 0} != body | {"attempt": 0}:
            self.faults.append(f"{key} asks for something else than the attempts before it")
        order.attempts[attempt] = self._verdict(book, body)
        if order.attempts[attempt] != "pending":
            self._call_back(book, name, attempt)
        return order.attempts[attempt]

    def _verdict(self, book: dict[str, Order], body: Mapping[str, Any]) -> str:
        if book is self.refunds:
            charge = self.charges.get(str(body["charge_id"]))
            left = (charge.captured if charge else 0) - self.given_back(str(body["charge_id"]), but=str(body["id"]))
            if body["amount"] > left:
                self.faults.append(f"{body['id']} asks back {body['amount']}, {left} is left of {body['charge_id']}")
        slow = body.get("method") == "bank_transfer"
        return self.random.choice(["succeeded"] * 5 + ["failed"] * 3 + ["pending"] * (8 if slow else 2))

    # --- what happens at the endpoint ----------------------------------------------------------------------------

    def resolve(self, random: Random, share: float = 1.0) -> None:
        """Some of what is pending becomes final."""
        for book in (self.charges, self.refunds):
            for name, order in book.items():
                for attempt, state in order.attempts.items():
                    if state == "pending" and random.random() < share:
                        order.attempts[attempt] = random.choice(["succeeded", "succeeded", "failed"])
                        self._call_back(book, name, attempt)

    def given_back(self, charge_id: str, but: str = "") -> int:
        """Minor units of a charge that were given back, or are about to be."""
        mine = [o for name, o in self.refunds.items() if o.body["charge_id"] == charge_id and name != but]
        return sum(int(o.body["amount"]) for o in mine if {"succeeded", "pending"} & set(o.attempts.values()))

    def _call_back(self, book: dict[str, Order], name: str, attempt: int) -> None:
        order, subject = book[name], "charge" if book is self.charges else "refund"
        named = {"charge_id": order.body.get("charge_id", name)} | ({"refund_id": name} if subject == "refund" else {})
        told = {
            "type": f"{subject}.{order.attempts[attempt]}",
            "timestamp": "2025-01-01T00:00:00Z",
            "data": {**named, "attempt": attempt, "reference": _reference(name), "failure_code": None},
        }
        self._messages += 1
        self.outbox.append((f"{name}.{attempt}.{self._messages}", json.dumps(told).encode()))


def _told(name: object, state: str) -> Outcome:
    kinds: dict[str, Kind] = {"succeeded": "succeeded", "failed": "failed", "pending": "pending"}
    return Outcome(kinds[state], _reference(name), "declined" if state == "failed" else None)


def _reference(name: object) -> str:
    return f"px_{name}"
