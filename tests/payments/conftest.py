"""A receiver of callbacks over real HTTP, and the pieces that every payment test needs."""

import base64
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from billing.payments.gateway import Gateway
from billing.payments.sandbox import Sandbox

Body = dict[str, object]


class Receiver:
    """Keeps every request it gets; answers with the next of `statuses`, or 200 when there is none."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.statuses: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.heard.put(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/callbacks/payments/standard"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def next(self) -> tuple[dict[str, str], bytes]:
        return self.heard.get(timeout=5)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def wall_clock() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def secret() -> str:
    return "whsec_" + base64.b64encode(b"a-pretend-key-of-thirty-two-byte").decode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def sandbox(secret: str) -> Iterator[Sandbox]:
    with Sandbox(secret=secret, callback_delay_s=0.0) as running:
        yield running


@pytest.fixture
def gateway(sandbox: Sandbox, secret: str) -> Iterator[Gateway]:
    made = Gateway(sandbox.url, secret, clock=wall_clock, read_timeout=1.0)
    yield made
    made.close()


@pytest.fixture
def body() -> Callable[..., Body]:
    def make(charge_id: str = "ch_kettle", attempt: int = 1, **other: object) -> Body:
        line = {
            "key": "sub_1/2031-02",
            "kind": "period",
            "seats": 3,
            "unit_amount": 700,
            "amount": 2100,
            "rules": ["TR-08"],
        }
        return {
            "id": charge_id,
            "attempt": attempt,
            "workspace": "ws_lantern",
            "account": None,
            "currency": "USD",
            "amount": 2100,
            "tax": 0,
            "lines": [line],
            "method": "card",
            "due_on": "2031-02-01",
            "callback_url": None,
        } | other

    return make
