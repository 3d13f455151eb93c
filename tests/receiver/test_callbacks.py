"""The payment endpoint's callbacks: the same door, kept once by `webhook-id`."""

import json
from datetime import timedelta

import pytest

from billing.tools.standard import signature
from tests.receiver.conftest import NOW, OTHER_SECRET, PAYMENT_SECRET, Answer, House

PATH = "/callbacks/payments/standard"
GOOD = json.dumps(
    {
        "type": "charge.succeeded",
        "timestamp": "2031-02-03T04:05:00.000Z",
        "data": {"charge_id": "ch-plum", "attempt": 1, "reference": "r-1", "failure_code": None},
    }
).encode()


def call(house: House, body: bytes, callback_id: str = "cb-1", secret: str = PAYMENT_SECRET, late: int = 0) -> Answer:
    stamp = int((NOW - timedelta(seconds=late)).timestamp())
    signed = signature.sign(secret, callback_id, stamp, body)
    headers = {"webhook-id": callback_id, "webhook-timestamp": str(stamp), "webhook-signature": signed}
    return house.send("POST", PATH, body, headers)


def test_a_genuine_callback_is_kept_and_answered(house: House) -> None:
    answer = call(house, GOOD)

    (row,) = house.run("SELECT * FROM callback")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"{}", "application/json")
    assert (row["gateway"], row["id"], row["state"], bytes(row["body"])) == ("standard", "cb-1", "kept", GOOD)
    assert row["due_at"] is not None


def test_a_callback_sent_twice_is_kept_once(house: House) -> None:
    assert [call(house, GOOD).status for _ in range(3)] == [200, 200, 200]
    assert len(house.run("SELECT * FROM callback")) == 1
    assert house.run("SELECT * FROM alarm") == []


def test_another_body_under_a_known_id_is_answered_alarmed_and_not_acted_on(house: House) -> None:
    call(house, GOOD)

    assert call(house, GOOD.replace(b"succeeded", b"failed")).status == 200

    (row,) = house.run("SELECT * FROM callback")
    assert bytes(row["body"]) == GOOD
    assert [alarm["kind"] for alarm in house.run("SELECT * FROM alarm")] == ["callback_id_reused"]


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[" * 50_000, b"\xff\0", b"{}", GOOD.replace(b"ch-plum", b"a\\u0000")]
)
def test_a_genuine_callback_that_cannot_be_read_is_quarantined(house: House, body: bytes) -> None:
    assert call(house, body).status == 200

    (row,) = house.run("SELECT * FROM callback")
    assert (row["state"], row["due_at"], bytes(row["body"])) == ("quarantined", None, body)
    assert row["reason"]


def test_a_forged_callback_is_401_and_nothing_is_kept(house: House) -> None:
    other = "whsec_" + OTHER_SECRET

    answers = [call(house, GOOD, secret=other), call(house, GOOD, late=301), house.send("POST", PATH, GOOD)]

    assert [answer.status for answer in answers] == [401, 401, 401]
    assert house.run("SELECT * FROM callback") == []


def test_an_unknown_gateway_is_404_and_a_long_body_413(house: House) -> None:
    assert house.send("POST", "/callbacks/payments/piggybank", GOOD).status == 404
    assert house.send("POST", PATH, b"x" * (house.settings.max_body_bytes + 1)).status == 413
    assert house.send("GET", PATH).status == 405
