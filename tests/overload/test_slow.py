"""Senders that take for ever, 500 at a time, against the bare web server: they hold up nobody, and are ended."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing.settings import Settings
from service.app import create_app
from tests.ports import free_port
from tests.receiver.conftest import House, joined
from tests.receiver.test_over_http import PATH, Web, _ready, await_true, chunked, head, served

#: Slow senders, and quick requests beside them.
SLOW, QUICK = 500, 40


@pytest.fixture
def web(database_url: str, valkey_url: str, tmp_path: Path) -> Iterator[Web]:
    """Two web processes on the session's engines."""
    environ = {"SEKISU_DATABASE_URL": database_url, "SEKISU_REDIS_URL": valkey_url, "SEKISU_SECRET_KEY": "test"}
    made = Settings.load(environ | {"SEKISU_PAYMENT_URL": "http://127.0.0.1:9", "SEKISU_DATA_DIR": str(tmp_path)})
    house = House(replace(made, port=free_port()), create_app(made), datetime.now(UTC))
    house.connect()
    with served(house.settings, tmp_path / "web.log"):
        found = Web(house, tmp_path, None, None)  # type: ignore[arg-type]
        await_true(lambda: _quietly_ready(found))
        yield found


def _quietly_ready(web: Web) -> bool:
    with contextlib.suppress(OSError):
        return _ready(web)
    return False


class Crowd:
    """Connections on which a beginning was sent, and then a byte a second; notes when each was ended."""

    def __init__(self, port: int, beginnings: Sequence[bytes], drip: bytes = b"x") -> None:
        self.began = time.monotonic()
        self.lines = [socket.create_connection(("127.0.0.1", port)) for _ in beginnings]
        for line, beginning in zip(self.lines, beginnings, strict=True):
            line.sendall(beginning)
        self.drip = drip
        self.ended: dict[int, float] = {}
        self.said: dict[int, bytes] = {}
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Crowd":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        for line in self.lines:
            line.close()

    def _run(self) -> None:
        poll = select.poll()
        by_number = {line.fileno(): line for line in self.lines}
        for number in by_number:
            poll.register(number, select.POLLIN)
        while not self.stop.wait(1.0) and by_number:
            for number, _ in poll.poll(0):
                line = by_number.pop(number)
                poll.unregister(number)
                self.ended[number] = time.monotonic() - self.began
                with contextlib.suppress(OSError):
                    self.said[number] = line.recv(4096)
            for line in by_number.values():
                with contextlib.suppress(OSError):
                    line.send(self.drip)

    def all_ended(self) -> bool:
        return len(self.ended) == len(self.lines)


def _quick(web: Web) -> list[float]:
    """Seconds of each quick request; all are kept."""
    waits = []
    for number in range(QUICK):
        body = joined(f"quick-{time.monotonic_ns()}-{number}")
        signed = web.house.sign(body)
        began = time.monotonic()
        assert web.post(body, signed) == 200
        waits.append(time.monotonic() - began)
        time.sleep(0.05)
    return waits


def _told(kind: str, alone: list[float], beside: list[float], crowd: Crowd) -> str:
    ended = sorted(crowd.ended.values())
    return (
        f"{SLOW} slow {kind}: slowest of {QUICK} quick requests {max(beside) * 1000:.0f} ms, median"
        f" {sorted(beside)[QUICK // 2] * 1000:.1f} ms; without them {max(alone) * 1000:.0f} and"
        f" {sorted(alone)[QUICK // 2] * 1000:.1f} ms; ended after {ended[0]:.1f} to {ended[-1]:.1f} s"
    )


def test_five_hundred_slow_heads_hold_up_nobody_and_are_ended_after_ten_seconds(web: Web) -> None:
    alone = _quick(web)

    with Crowd(web.port, [b"POST " + PATH.encode() + b" HTTP/1.1\r\nX-Slow: "] * SLOW) as crowd:
        beside = _quick(web)
        await_true(crowd.all_ended, 30)

    print(_told("heads", alone, beside, crowd))
    assert max(beside) < 0.1 + 3 * max(alone)
    assert min(crowd.ended.values()) > 9
    assert max(crowd.ended.values()) < 20


def test_five_hundred_slow_bodies_hold_up_nobody_and_are_ended_after_ten_seconds(web: Web) -> None:
    promised = head("POST", PATH, {"Content-Length": "1000"}) + b"{"
    in_chunks = head("POST", PATH, {"Transfer-Encoding": "chunked"}) + chunked(b"{" * 10)[0]
    nobodys = head("POST", "/webhooks/trello/con-9", {"Content-Length": "1000"}) + b"{"
    api = head("POST", "/v1/workspaces", {"Content-Length": "1000", "Authorization": "Bearer x"}) + b"{"
    alone = _quick(web)

    with Crowd(web.port, [promised, in_chunks, nobodys, api] * (SLOW // 4), drip=b"1") as crowd:
        beside = _quick(web)
        await_true(crowd.all_ended, 40)

    print(_told("bodies", alone, beside, crowd))
    assert max(beside) < 0.1 + 3 * max(alone)
    assert min(crowd.ended.values()) > 9
    assert max(crowd.ended.values()) < 25
    assert {said[9:12] for said in crowd.said.values()} <= {b"", b"400"}
    assert len([row for row in web.house.deliveries() if not row["delivery_id"].startswith("quick-")]) == 0


def test_a_body_that_stops_is_ended_too(web: Web) -> None:
    with Crowd(web.port, [head("POST", PATH, {"Content-Length": "1000"}) + b"{"] * 5, drip=b"") as crowd:
        await_true(crowd.all_ended, 30)

    assert min(crowd.ended.values()) > 9
