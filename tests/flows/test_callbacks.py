"""The payment endpoint's answers in every order: early, late, twice, for nobody, and forged."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import requests

from billing.payments.wire import signed_headers
from tests.flows.customer import Customer
from tests.flows.house import PAYMENT_SECRET, House, wait
from tests.flows.tool import at, in_workspace

OTHER_SECRET = "whsec_" + base64.b64encode(b"pear" * 8).decode()


@pytest.fixture
def kobo(customer: Customer) -> str:
    """A workspace with one member, not yet paying."""
    workspace = customer.workspace("kobo")
    customer.roster(workspace, "aoi")
    customer.rest(workspace)
    return workspace


def says(house: House, outcome: str, charge: str, message: str, **more: Any) -> int:
    data = {"charge_id": charge, "attempt": 1, "reference": f"ref {charge[-6:]}", "failure_code": None}
    body = {"type": f"charge.{outcome}", "timestamp": "2025-01-15T09:00:00.000Z", "data": data}
    return house.call_back(json.dumps(body).encode(), message, **more)


def kept(house: House, message: str) -> dict[str, Any]:
    """What became of a callback; empty when it is not there."""
    rows = house.sql("SELECT state, reason, charge_id, due_at FROM callback WHERE id = %s", message)
    return rows[0] if rows else {}


def _done(house: House, message: str) -> bool:
    return kept(house, message).get("state") == "done"


def payments(house: House, workspace: str) -> int:
    """How often a payment was booked."""
    return house.count("SELECT count(*) FROM journal WHERE workspace_id = %s AND kind = 'payment'", workspace)


def test_a_callback_that_overtakes_the_answer_settles_the_charge_once(customer: Customer, kobo: str) -> None:
    customer.house.fault("delay", times=1, seconds=3.0)
    customer.start(kobo)
    customer.rest(kobo)
    assert customer.charged(kobo) == [("succeeded", 11999)]
    (charge,) = customer.of(kobo, "charges")
    assert _in_flight(customer.house, charge["id"])  # so it was the callback's doing

    # The late answer comes under the sender's token, and says nothing new.
    wait(lambda: not _in_flight(customer.house, charge["id"]))
    customer.tell(in_workspace("addMemberToOrganization", "kobo", "ren", at("2025-01-15"), "ren joins"), kobo)
    assert payments(customer.house, kobo) == 2
    assert customer.booked(kobo) == [("succeeded", 11999, 1), ("succeeded", 11999, 1)]


def _in_flight(house: House, charge: str) -> bool:
    """Whether the endpoint has not answered the charge's first POST yet: it refuses another one by its key."""
    body = json.dumps({"id": charge, "attempt": 1, "currency": "USD", "amount": 11999}).encode()
    headers = {"Idempotency-Key": f"{charge}.1", **signed_headers(PAYMENT_SECRET, "look", datetime.now(UTC), body)}
    return requests.post(f"{house.sandbox}/charges", body, headers=headers, timeout=10).status_code == 409


def test_a_pending_charge_waits_for_its_callback(customer: Customer, kobo: str) -> None:
    customer.house.fault("pending", times=1, seconds=1.0)
    customer.start(kobo)
    wait(lambda: customer.charged(kobo) == [("pending", 11999)])
    customer.rest(kobo)

    assert customer.charged(kobo) == [("succeeded", 11999)]
    assert payments(customer.house, kobo) == 1


def test_late_and_duplicate_callbacks_change_nothing(customer: Customer, kobo: str) -> None:
    customer.house.fault("duplicate_callback", times=1)
    customer.start(kobo)
    customer.rest(kobo)
    (charge,) = customer.of(kobo, "charges")
    wait(lambda: customer.house.count("SELECT count(*) FROM callback WHERE charge_id = %s", charge["id"]))
    before = customer.house.sql("SELECT * FROM journal WHERE workspace_id = %s ORDER BY seq", kobo)

    assert says(customer.house, "succeeded", charge["id"], f"late.{charge['id']}") == 200
    assert says(customer.house, "succeeded", charge["id"], f"late.{charge['id']}") == 200
    assert says(customer.house, "failed", charge["id"], f"contrary.{charge['id']}") == 200
    for message in ("late", "contrary"):
        wait(partial(_done, customer.house, f"{message}.{charge['id']}"))

    assert customer.charged(kobo) == [("succeeded", 11999)]
    assert customer.house.sql("SELECT * FROM journal WHERE workspace_id = %s ORDER BY seq", kobo) == before
    assert customer.house.count("SELECT count(*) FROM callback WHERE charge_id = %s", charge["id"]) == 3


def test_a_declined_charge_stays_failed_and_its_receivable_stands(customer: Customer, kobo: str) -> None:
    customer.house.fault("decline", times=1)
    customer.start(kobo)
    customer.rest(kobo)

    (charge,) = customer.of(kobo, "charges")
    assert (charge["status"], charge["attempts"][0]["outcome"]) == ("failed", "failed")
    assert payments(customer.house, kobo) == 0
    assert customer.booked(kobo) == [("failed", 11999, 1)]


def test_a_callback_that_comes_before_its_charge_waits_and_then_counts(customer: Customer, kobo: str) -> None:
    early = f"ch_early_{kobo[-8:]}"
    assert says(customer.house, "succeeded", early, f"early.{kobo}") == 200
    wait(lambda: kept(customer.house, f"early.{kobo}").get("state") == "parked")
    assert kept(customer.house, f"early.{kobo}")["due_at"] is not None

    customer.house.fault("pending", times=1, seconds=3600)
    customer.start(kobo)
    wait(lambda: customer.charged(kobo) == [("pending", 11999)])
    (charge,) = customer.of(kobo, "charges")
    # Our ids are made at random, so the charge takes the one that the callback knew.
    customer.house.sql("UPDATE charge_line SET charge_id = %s WHERE charge_id = %s", early, charge["id"])
    customer.house.sql("UPDATE attempt SET charge_id = %s WHERE charge_id = %s", early, charge["id"])
    customer.house.sql("UPDATE charge SET id = %s WHERE id = %s", early, charge["id"])
    customer.house.sql("UPDATE callback SET due_at = now() WHERE id = %s", f"early.{kobo}")
    customer.rest(kobo)

    assert customer.charged(kobo) == [("succeeded", 11999)]
    assert kept(customer.house, f"early.{kobo}") == {
        "state": "done",
        "reason": None,
        "charge_id": early,
        "due_at": None,
    }


def test_a_callback_for_nobody_waits_a_day_and_is_then_left_to_a_person(house: House) -> None:
    assert says(house, "succeeded", "ch_nobody", "nobody") == 200
    wait(lambda: kept(house, "nobody").get("state") == "parked")
    house.sql("UPDATE callback SET received_at = received_at - interval '2 days', due_at = now() WHERE id = 'nobody'")
    wait(lambda: kept(house, "nobody")["due_at"] is None)

    assert kept(house, "nobody")["state"] == "parked"
    assert "ch_nobody" in kept(house, "nobody")["reason"]


def test_a_forged_callback_is_401_and_not_kept_and_an_unreadable_one_is_quarantined(
    house: House, new_customer: Callable[[datetime | None], Customer]
) -> None:
    customer = new_customer(at("2025-01-15"))
    workspace = customer.workspace("kobo")
    customer.roster(workspace, "aoi")
    house.fault("decline", times=1)
    customer.start(workspace)
    customer.rest(workspace)
    (charge,) = customer.of(workspace, "charges")

    assert says(house, "succeeded", charge["id"], "forged", secret=OTHER_SECRET) == 401
    assert house.call_back(b'{"type": "charge.succeeded"}', "unreadable") == 200

    assert kept(house, "forged") == {}
    assert kept(house, "unreadable")["state"] == "quarantined"
    assert customer.charged(workspace) == [("failed", 11999)]
