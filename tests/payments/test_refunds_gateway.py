"""Asking for refunds, and the one 4xx that says the key was used before."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import requests
import responses

from billing.payments.gateway import Gateway
from billing.tools.standard import signature

URL = "http://pay.test/api"
NOW = datetime(2031, 3, 1, 9, 30, tzinfo=UTC)
REFUND: dict[str, object] = {
    "id": "rf_lamp",
    "charge_id": "ch_lamp",
    "currency": "USD",
    "amount": 4200,
    "reason": "TR-26",
}
REUSED = {"code": "idempotency_key_reused"}

Make = Callable[..., dict[str, object]]


@pytest.fixture
def endpoint() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def asked(secret: str) -> Gateway:
    return Gateway(URL, secret, clock=lambda: NOW)


def test_tr_26_a_refund_is_signed_and_its_key_is_its_id_and_one(
    endpoint: responses.RequestsMock, asked: Gateway, secret: str
) -> None:
    endpoint.post(f"{URL}/refunds", status=201, json={"id": "px_1", "status": "succeeded"})

    outcome = asked.refund(REFUND)

    assert (outcome.kind, outcome.reference) == ("succeeded", "px_1")
    request = endpoint.calls[0].request
    assert request.headers["Idempotency-Key"] == request.headers["webhook-id"] == "rf_lamp.1"
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == REFUND
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert signature.verify(secret, headers, request.body, NOW)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "code"),
    [
        (202, {"id": "px_1", "status": "pending"}, "pending", None),
        (200, {"id": "px_1", "status": "failed", "failure_code": "account_closed"}, "failed", "account_closed"),
        (402, {"id": "px_1", "failure_code": "refund_exceeds_charge"}, "failed", "refund_exceeds_charge"),
        (400, {}, "failed", "http_400"),
        (404, {}, "failed", "http_404"),
        (409, {"code": "other"}, "failed", "http_409"),
        (409, {"code": "in_progress"}, "retry", None),
        (408, {}, "retry", None),
        (425, {}, "retry", None),
        (429, {}, "retry", None),
        (500, {"id": "px_1", "status": "failed"}, "retry", None),
        (503, {}, "retry", None),
        (307, {}, "retry", None),
        (200, {"status": "succeeded"}, "retry", None),
    ],
)
def test_a_refund_is_judged_as_a_charge_is(
    endpoint: responses.RequestsMock, asked: Gateway, status: int, answer: dict[str, str], kind: str, code: str | None
) -> None:
    endpoint.post(f"{URL}/refunds", status=status, json=answer)

    outcome = asked.refund(REFUND)

    assert (outcome.kind, outcome.failure_code) == (kind, code)


def test_a_time_out_of_a_refund_is_an_unknown_outcome(endpoint: responses.RequestsMock, asked: Gateway) -> None:
    endpoint.post(f"{URL}/refunds", body=requests.ReadTimeout("http://user:word@pay.test"))

    assert asked.refund(REFUND).detail == "no answer: ReadTimeout"


def test_a_refund_whose_key_is_known_with_another_body_is_unknown_and_never_declined(
    endpoint: responses.RequestsMock, asked: Gateway
) -> None:
    endpoint.post(f"{URL}/refunds", status=422, json=REUSED)

    assert asked.refund(REFUND).kind == "retry"
    assert len(endpoint.calls) == 1


@pytest.mark.parametrize("said", ["succeeded", "pending", "failed"])
def test_a_charge_whose_key_is_known_with_another_body_is_looked_up(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, said: str
) -> None:
    endpoint.post(f"{URL}/charges", status=422, json=REUSED)
    endpoint.get(f"{URL}/charges/ch_kettle", json={"id": "px_8", "status": said})

    outcome = asked.charge(body())

    assert (outcome.kind, outcome.reference) == (said, "px_8")


@pytest.mark.parametrize("status", [404, 401, 500])
def test_a_charge_whose_key_is_known_and_whose_lookup_says_nothing_is_asked_again(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, status: int
) -> None:
    endpoint.post(f"{URL}/charges", status=422, json=REUSED)
    endpoint.get(f"{URL}/charges/ch_kettle", status=status, json={})

    assert asked.charge(body()).kind == "retry"


@pytest.mark.parametrize("answer", [{}, {"code": "invalid"}])
def test_any_other_422_is_a_decline_without_a_lookup(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, answer: dict[str, str]
) -> None:
    endpoint.post(f"{URL}/charges", status=422, json=answer)

    assert asked.charge(body()).kind == "failed"
    assert len(endpoint.calls) == 1
