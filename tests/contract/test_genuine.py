"""Hostile content under a good signature: kept, answered 200, set aside, and its neighbours are served."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.payments.wire import signed_headers
from billing.tools import room
from service.receiver import judge
from tests.contract import corpus, wire
from tests.contract.place import LATER, Place
from tests.flows.house import PAYMENT_SECRET, House, wait
from tests.flows.tool import in_workspace, raw
from tests.tools.test_room_contract import telling
from workers.verifying import verify

#: Bodies that no room can read, for they are no JSON or not to be kept as such.
UNREADABLE = [case.body for case in corpus.cases() if len(case.body) <= corpus.CAP and not case.chunked]
CALLBACK = {
    "type": "charge.failed",
    "timestamp": "2025-04-15T09:30:00Z",
    "data": {"charge_id": "ch_nobodys", "attempt": 1, "reference": "r-1", "failure_code": "card_declined"},
}


def send(place: Place, tool: str, bodies: Iterable[bytes]) -> set[int]:
    """Deliver each, signed as the tool signs; the statuses."""
    connection = place.admin("GET", f"/v1/connections/{place.connections[tool]}")
    path, signing = f"/webhooks/{tool}/{connection['id']}", room.load(tool).sign

    def one(body: bytes) -> int:
        headers = signing(body, place.secret, connection["callback_url"], datetime.now(UTC), message(body))
        return wire.post(place.house, path, body, headers).status

    with ThreadPoolExecutor(4) as pool:
        return set(pool.map(one, bodies))


def states(place: Place, tool: str, bodies: Iterable[bytes]) -> Counter[str]:
    """What became of the bodies; each must be there, itself or the one that told the same under the same id."""
    query = "SELECT delivery_id, fingerprint, state FROM delivery WHERE connection_id = %s"
    rows = place.house.sql(query, place.connections[tool])
    found = {(row["delivery_id"], row["fingerprint"]): row["state"] for row in rows}
    return Counter(found[mark(tool, body)] for body in bodies)


def mark(tool: str, body: bytes) -> tuple[str, str]:
    """The id and the fingerprint that the door gives a delivery of this body."""
    told, _ = judge.delivery(room.load(tool), {"webhook-id": message(body)}, body, "")
    return told.delivery_id, told.fingerprint


def message(body: bytes) -> str:
    """The id of a message, where the sender gives one."""
    return f"msg-{hashlib.sha256(body).hexdigest()}"


def rested(house: House) -> bool:
    """Whether nothing waits to be read or settled."""
    waiting = "SELECT count(*) FROM delivery WHERE state = 'kept'", "SELECT count(*) FROM fact WHERE settled_at IS NULL"
    return not any(house.count(query) for query in waiting)


def quiet_since(house: House, size: int) -> bool:
    """Whether the workers have met nothing unforeseen since their log was so long."""
    return b"Traceback" not in house.worker.log.read_bytes()[size:]


def twisted(tool: str) -> Iterator[bytes]:
    """Every body of the tool's examples that says something, twisted; each under an id of its own where it has one."""
    for turn, told in enumerate(example["body"] for example in telling(tool)):
        event = told.get("action") or told.get("webhook_event") or told
        name = event.get("id") or event.get("message_id")
        for number, body in enumerate(corpus.twisted(told, turn)):
            own = int(f"{turn}{number:04}") if isinstance(name, int) else f"{name}"[:12] + f"{turn}{number:04}"
            yield body.replace(json.dumps(name).encode() + b",", json.dumps(own).encode() + b",")


@pytest.mark.parametrize("tool", room.names())
def test_what_no_room_can_read_is_kept_and_quarantined(place: Place, tool: str) -> None:
    assert send(place, tool, UNREADABLE) == {200}
    wait(lambda: rested(place.house), 60)
    assert set(states(place, tool, UNREADABLE)) == {"quarantined"}


@pytest.mark.parametrize("tool", room.names())
def test_one_twisted_value_loses_no_delivery_and_stops_no_other(place: Place, tool: str) -> None:
    for example in telling(tool):
        for row in example["expected"]:
            settled(place, tool, row)
    bodies, before = list(twisted(tool)), place.house.worker.log.stat().st_size
    assert send(place, tool, bodies) == {200}
    wait(lambda: rested(place.house), 60)
    assert set(states(place, tool, bodies)) <= {"quarantined", "ignored", "parked", "done"}
    assert quiet_since(place.house, before)


def test_neighbours_of_poison_are_served_and_the_books_stand(place: Place) -> None:
    kobo, before = place.workspaces[0], place.customer.seats(place.workspaces[0])
    people = [f"neighbour {number}" for number in range(20)]
    good = [raw(in_workspace("addMemberToOrganization", "kobo", name, LATER, name)) for name in people]
    bad = [body + b" " for body in UNREADABLE if len(body) < 1000]
    mixed = [body for pair in itertools.zip_longest(good, bad) for body in pair if body is not None]
    assert send(place, "trello", mixed) == {200}
    wait(lambda: rested(place.house), 60)
    assert states(place, "trello", good) == {"done": len(good)}
    assert place.customer.seats(kobo)[1] == before[1] + len(good)
    faults = [one for name in place.workspaces for one in verify(place.house.database, name, lambda *_: None).faults]
    assert faults == []


def test_a_genuine_callback_that_cannot_be_read_is_kept_and_set_aside(place: Place) -> None:
    bodies = [*UNREADABLE, *corpus.twisted(CALLBACK, 0, each=len(corpus.TWISTS))]
    before = place.house.worker.log.stat().st_size
    for body in bodies:
        headers = signed_headers(PAYMENT_SECRET, message(body), datetime.now(UTC), body)
        answer = wire.post(place.house, "/callbacks/payments/standard", body, headers)
        assert (answer.status, answer.body) == (200, b"{}"), (body[:200], answer)
    rows = {row["id"]: row["state"] for row in place.house.sql("SELECT id, state FROM callback")}
    assert {message(body) for body in bodies} <= rows.keys()
    assert {rows[message(body)] for body in UNREADABLE} == {"quarantined"}
    assert quiet_since(place.house, before)


def settled(place: Place, tool: str, row: dict[str, Any]) -> None:
    """A workspace for what an example tells, unless there is one."""
    for name in {row.get("workspace"), row.get("owner")} - {None, ""}:
        known = place.customer.get("/v1/workspaces?limit=1000")["data"]
        if name not in {one["external_id"] for one in known if one["tool"] == tool}:
            place.customer.workspace(str(name), tool=tool, connection_id=place.connections[tool], external_id=name)
