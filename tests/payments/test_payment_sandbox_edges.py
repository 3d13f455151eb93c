"""The sandbox against what is no request, and against a start that cannot be."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from billing.core.errors import InvalidError
from billing.payments.gateway import Gateway
from billing.payments.sandbox import Sandbox

Make = Callable[..., dict[str, object]]


@pytest.mark.parametrize("malformed", ["whsec_", "whsec_not base64", "whsk_QUFB"])
def test_a_secret_that_cannot_sign_is_told_at_the_start(malformed: str) -> None:
    with pytest.raises(InvalidError):
        Sandbox(secret=malformed)
    with pytest.raises(InvalidError):
        Gateway("http://127.0.0.1:9", malformed, clock=lambda: datetime.now(UTC))


def test_a_taken_port_is_told_at_the_start(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"), Sandbox(port=int(sandbox.url.rpartition(":")[2])):
        pass


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /charges HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"POST /charges HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"400"),
        (b"POST /charges HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"POST /charges HTTP/1.1\r\nX: " + b"y" * 70_000, b"400"),
        (b"GET /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
    ],
)
def test_bytes_that_are_no_request_are_refused_and_the_sandbox_lives_on(
    sandbox: Sandbox, gateway: Gateway, body: Make, request_head: bytes, status: bytes
) -> None:
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as peer:
        peer.sendall(request_head)
        answer = peer.recv(65_536)

    assert answer.split(b" ")[1] == status
    assert gateway.charge(body()).kind == "succeeded"
