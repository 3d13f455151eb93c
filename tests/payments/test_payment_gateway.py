"""The gateway against every odd answer a payment endpoint can give."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
import responses

from billing.payments.gateway import BACKOFF_MAX_S, RETRY_FOR_S, Gateway, backoff_s
from billing.payments.wire import ANSWER_BYTES_MAX
from billing.tools.standard import signature

URL = "http://pay.test/api"
NOW = datetime(2031, 2, 1, 9, 30, tzinfo=UTC)

Make = Callable[..., dict[str, object]]


@pytest.fixture
def endpoint() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def asked(secret: str) -> Gateway:
    return Gateway(URL + "/", secret, clock=lambda: NOW)


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("said", ["succeeded", "pending", "failed"])
def test_a_2xx_with_a_valid_body_has_the_status_of_its_body(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, status: int, said: str
) -> None:
    endpoint.post(
        f"{URL}/charges", status=status, json={"id": "px_9", "status": said, "failure_code": "no_funds", "x": 1}
    )

    outcome = asked.charge(body())

    assert (outcome.kind, outcome.reference) == (said, "px_9")
    assert outcome.failure_code == ("no_funds" if said == "failed" else None)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"<html>welcome</html>",
        b"[]",
        b"{}",
        b'{"id": "px_9"}',
        b'{"id": "px_9", "status": "done"}',
        b'{"id": 9, "status": "succeeded"}',
        b'{"id": "", "status": "succeeded"}',
        b'{"id": "px\\u0000", "status": "succeeded"}',
        b'{"id": "px\\ud800", "status": "succeeded"}',
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b'{"id": "px_9", "status": "succeeded", "pad": "' + b"x" * ANSWER_BYTES_MAX + b'"}',
    ],
)
def test_a_2xx_that_cannot_be_read_is_an_unknown_outcome(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, garbage: bytes
) -> None:
    endpoint.post(f"{URL}/charges", status=200, body=garbage)

    assert asked.charge(body()).kind == "retry"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 410, 422, 451])
def test_a_4xx_is_a_definitive_failure_of_the_attempt(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, status: int
) -> None:
    endpoint.post(f"{URL}/charges", status=status, body=b"no")

    outcome = asked.charge(body())

    assert (outcome.kind, outcome.failure_code) == ("failed", f"http_{status}")


def test_a_decline_keeps_the_failure_code_and_the_reference_of_its_body(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make
) -> None:
    endpoint.post(f"{URL}/charges", status=402, json={"id": "px_3", "status": "failed", "failure_code": "card_expired"})

    outcome = asked.charge(body())

    assert (outcome.kind, outcome.reference, outcome.failure_code) == ("failed", "px_3", "card_expired")


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 408, 425, 429, 500, 502, 503, 504, 599])
def test_what_says_nothing_definitive_is_asked_again(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, status: int
) -> None:
    endpoint.post(f"{URL}/charges", status=status, json={"id": "px_9", "status": "succeeded"})

    assert asked.charge(body()).kind == "retry"


def test_409_is_asked_again_only_when_the_first_request_is_in_progress(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make
) -> None:
    endpoint.post(f"{URL}/charges", status=409, json={"code": "in_progress"})
    endpoint.post(f"{URL}/charges", status=409, json={"code": "other"})

    assert [asked.charge(body()).kind, asked.charge(body()).kind] == ["retry", "failed"]


def test_a_redirect_is_not_followed(endpoint: responses.RequestsMock, asked: Gateway, body: Make) -> None:
    endpoint.post(f"{URL}/charges", status=307, headers={"Location": "http://10.0.0.1/steal"})

    outcome = asked.charge(body())

    assert outcome.kind == "retry"
    assert "redirect" in outcome.detail
    assert len(endpoint.calls) == 1


@pytest.mark.parametrize(
    "fault",
    [
        requests.ConnectTimeout("http://user:password@pay.test"),
        requests.ReadTimeout("http://user:password@pay.test"),
        requests.ConnectionError("http://user:password@pay.test"),
        requests.exceptions.SSLError("http://user:password@pay.test"),
        requests.exceptions.ChunkedEncodingError("http://user:password@pay.test"),
    ],
)
def test_no_fault_of_the_network_is_raised_and_none_tells_the_address(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, fault: Exception
) -> None:
    endpoint.post(f"{URL}/charges", body=fault)

    outcome = asked.charge(body())

    assert outcome.kind == "retry"
    assert outcome.detail == f"no answer: {type(fault).__name__}"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ((NOW + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 90.0),
        ("Sat, 01 Feb 2020 00:00:00 GMT", 0.0),
        ("99999999999", 86_400.0),
        ("-3", None),
        ("nan", None),
        ("soon", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_read_in_both_spellings_and_never_believed_blindly(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, header: str, seconds: float | None
) -> None:
    endpoint.post(f"{URL}/charges", status=503, headers={"Retry-After": header})

    assert asked.charge(body()).retry_after_s == seconds


def test_a_charge_is_signed_and_carries_its_attempt_as_key(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make, secret: str
) -> None:
    endpoint.post(f"{URL}/charges", json={"id": "px_9", "status": "succeeded"})

    asked.charge(body("ch_kettle", 2))

    request = endpoint.calls[0].request
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["idempotency-key"] == headers["webhook-id"] == "ch_kettle.2"
    assert headers["content-type"] == "application/json"
    assert isinstance(request.body, bytes)
    assert signature.verify(secret, headers, request.body, NOW)
    assert json.loads(request.body) == body("ch_kettle", 2)


def test_one_body_is_the_same_bytes_whatever_the_order_of_its_fields(
    endpoint: responses.RequestsMock, asked: Gateway, body: Make
) -> None:
    endpoint.post(f"{URL}/charges", json={"id": "px_9", "status": "succeeded"})

    asked.charge(body())
    asked.charge(dict(reversed(body().items())))

    assert endpoint.calls[0].request.body == endpoint.calls[1].request.body


def test_a_refund_has_its_own_key(endpoint: responses.RequestsMock, asked: Gateway) -> None:
    endpoint.post(f"{URL}/refunds", json={"id": "pr_1", "status": "pending"})

    outcome = asked.refund({"id": "rf_1", "charge_id": "ch_1", "currency": "USD", "amount": 5, "reason": "TR-20"})

    assert (outcome.kind, outcome.reference) == ("pending", "pr_1")
    assert endpoint.calls[0].request.headers["Idempotency-Key"] == "rf_1.1"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, "failed"), (404, "absent"), (400, "retry"), (401, "retry"), (410, "retry"), (503, "retry")],
)
def test_a_lookup_never_turns_a_refused_question_into_a_failed_charge(
    endpoint: responses.RequestsMock, asked: Gateway, status: int, kind: str
) -> None:
    endpoint.get(re.compile(re.escape(URL)), status=status, json={"id": "px_9", "status": "failed"})

    assert asked.lookup("ch_1").kind == kind


def test_a_charge_id_cannot_leave_its_place_in_the_address(endpoint: responses.RequestsMock, asked: Gateway) -> None:
    endpoint.get(f"{URL}/charges/a%2F..%2F..%2Fbook%3Fx", status=404)

    assert asked.lookup("a/../../book?x").kind == "absent"


def _answering(raw: bytes) -> tuple[str, threading.Thread]:
    """A server on a real socket that reads one request, answers `raw` and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            peer.recv(65_536)
            peer.sendall(raw)

    thread = threading.Thread(target=serve)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", thread


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b'HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"id": "px_9", "status": "succeeded"}',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
)
def test_a_cut_answer_is_an_unknown_outcome(secret: str, body: Make, raw: bytes) -> None:
    url, thread = _answering(raw)

    outcome = Gateway(url, secret, clock=lambda: NOW, read_timeout=2.0).charge(body())
    thread.join()

    assert outcome.kind == "retry"


def test_a_silent_endpoint_is_given_up_after_the_read_timeout(secret: str, body: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        outcome = Gateway(url, secret, clock=lambda: NOW, read_timeout=0.1).charge(body())

    assert (outcome.kind, outcome.detail) == ("retry", "no answer: ReadTimeout")


def test_a_closed_port_and_a_nonsense_address_are_unknown_outcomes(secret: str, body: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}"
    outcomes = [Gateway(url, secret, clock=lambda: NOW).charge(body()) for url in (closed, "nonsense", "http://[")]

    assert [outcome.kind for outcome in outcomes] == ["retry"] * 3


def test_the_backoff_starts_near_one_second_doubles_and_is_capped() -> None:
    middle = [backoff_s(tries, 0.5) for tries in range(1, 15)]

    assert middle == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, BACKOFF_MAX_S, BACKOFF_MAX_S]
    assert backoff_s(1, 0.0) == 0.5
    assert backoff_s(10_000, 0.999) < 1.5 * BACKOFF_MAX_S


def test_an_endpoint_down_for_three_days_is_asked_less_than_a_hundred_times() -> None:
    waited = tries = 0.0
    while waited < RETRY_FOR_S:
        tries += 1
        waited += backoff_s(int(tries), 0.5)

    assert 60 < tries < 100
    assert waited < RETRY_FOR_S + BACKOFF_MAX_S
