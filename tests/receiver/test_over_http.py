"""The door as senders meet it: `sekisu web` under granian, spoken to through raw sockets."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing.engines.postgres import start_postgres
from billing.engines.process import Engine
from billing.engines.valkey import start_valkey
from billing.settings import Settings
from billing.store.migrate import migrate
from service.app import create_app
from tests.conftest import open_folder
from tests.ports import free_port
from tests.receiver.conftest import House, joined

ROOT = Path(__file__).parents[2]
PATH = "/webhooks/trello/con-1"


class Web:
    """A running web server; its engines may be frozen and ended by the test."""

    def __init__(self, house: House, folder: Path, postgres: Engine, valkey: Engine) -> None:
        self.house, self.folder, self.postgres, self.valkey = house, folder, postgres, valkey
        self.port = house.settings.port

    def end(self) -> None:
        self.postgres.stop()
        shutil.rmtree(self.folder)

    def processes(self) -> set[str]:
        """The web processes that have committed something, by what they tell the database."""
        query = "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, 'sekisu committer')"
        return {row["application_name"] for row in self.house.run(query)}

    def talk(self, *parts: bytes) -> tuple[int, bytes]:
        """Send the parts and read the whole answer: status, and head with body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as line:
            for part in parts:
                line.sendall(part)
            with contextlib.suppress(ConnectionResetError):
                return _answer(line)
        return 0, b""

    def post(self, body: bytes, headers: dict[str, str] | None = None, path: str = PATH) -> int:
        signed = self.house.sign(body) if headers is None else headers
        return self.talk(head("POST", path, {"Content-Length": str(len(body))} | signed) + body)[0]


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: door.example", "Connection: close"]
    return "\r\n".join(lines + [f"{name}: {value}" for name, value in headers.items()] + ["", ""]).encode("latin-1")


def chunked(body: bytes, size: int = 16_384) -> list[bytes]:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return [b"%x\r\n%s\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"]


def _answer(line: socket.socket) -> tuple[int, bytes]:
    data = b""
    while piece := line.recv(65_536):
        data += piece
    return int(data[9:12] or b"0"), data


def await_true(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the state that was waited for did not come"
        time.sleep(0.02)


@contextlib.contextmanager
def served(settings: Settings, log: Path) -> Iterator[None]:
    """`sekisu web` for the time of the block; it dies with this process."""
    ours, theirs = os.pipe()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SEKISU_")}
    environ |= settings.environ() | {"SEKISU_LIFELINE": str(ours)}
    words = [sys.executable, "-m", "service.cli.lifeline", "service.cli.main", "web"]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            words, cwd=ROOT, env=environ, pass_fds=[ours], start_new_session=True, stdout=stream, stderr=stream
        )
    os.close(ours)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
        os.close(theirs)


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """Three web processes on engines of their own."""
    with contextlib.ExitStack() as stack:
        folder = open_folder()
        postgres = start_postgres(folder, {"fsync": "off"})
        stack.callback(lambda: found.end())  # noqa: PLW0108 - bound when it is called
        valkey = start_valkey(folder)
        stack.callback(valkey.stop)
        migrate(postgres.url)
        environ = {"SEKISU_DATABASE_URL": postgres.url, "SEKISU_REDIS_URL": valkey.url, "SEKISU_SECRET_KEY": "test"}
        made = Settings.load(
            environ | {"SEKISU_PAYMENT_URL": "http://127.0.0.1:9", "SEKISU_DATA_DIR": str(folder / "d")}
        )
        settings = replace(made, port=free_port(), web_processes=3)
        house = House(settings, create_app(settings), datetime.now(UTC))
        house.connect()
        stack.enter_context(served(settings, folder / "web.log"))
        found = Web(house, folder, postgres, valkey)
        await_true(lambda: _ready(found))
        yield found


def _ready(web: Web) -> bool:
    try:
        return web.talk(head("GET", "/readyz", {}))[0] == 200
    except OSError:
        return False


def test_a_genuine_delivery_a_greeting_and_a_stranger(web: Web) -> None:
    assert web.post(joined("http-1")) == 200
    assert web.talk(head("HEAD", PATH, {}))[0] == 200
    assert web.talk(head("HEAD", "/webhooks/trello/con-9", {}))[0] == 404
    assert web.post(joined(), {}, "/webhooks/trello/con-9") == 404


@pytest.mark.parametrize("signature", ["bad", "b\xe4d", "\xff\xfe", ""])
def test_a_bad_or_non_ascii_signature_is_401(web: Web, signature: str) -> None:
    assert web.post(joined(), {"X-Trello-Webhook": signature}) == 401


@pytest.mark.parametrize("path", [PATH, "/webhooks/trello/con-9"])
@pytest.mark.parametrize("size", [2_000_000, 8_000_000])
def test_a_body_over_the_cap_is_read_and_refused(web: Web, path: str, size: int) -> None:
    body = b"x" * size
    wanted = 413 if path == PATH else 404

    with_length = web.talk(head("POST", path, {"Content-Length": str(len(body))}), body)
    in_chunks = web.talk(head("POST", path, {"Transfer-Encoding": "chunked"}), *chunked(body))

    assert [with_length[0], in_chunks[0]] == [wanted, wanted]
    assert len(in_chunks[1]) < 2048


def test_a_chunked_delivery_is_kept_whole(web: Web) -> None:
    body = joined("http-chunked") + b" " * 100_000

    status, _ = web.talk(
        head("POST", PATH, {"Transfer-Encoding": "chunked"} | web.house.sign(body)), *chunked(body, 999)
    )

    assert status == 200
    assert [bytes(row["body"]) for row in web.house.deliveries() if row["delivery_id"] == "http-chunked"] == [body]


@pytest.mark.parametrize("body", [b"no json", b"[" * 500_000, b'{"action":{"id":"a\\u0000"}}', b"\0\xff"])
def test_genuine_rubbish_is_accepted_and_there(web: Web, body: bytes) -> None:
    assert web.post(body) == 200
    assert body in [bytes(row["body"]) for row in web.house.deliveries()]


def test_a_hundred_parallel_deliveries_over_three_processes_are_one_row(web: Web) -> None:
    body = joined("http-parallel")

    with ThreadPoolExecutor(100) as pool:
        statuses = list(pool.map(lambda _: web.post(body), range(100)))

    assert set(statuses) == {200}
    assert len(web.processes()) == 3
    assert len([row for row in web.house.deliveries() if row["delivery_id"] == "http-parallel"]) == 1


def test_slow_senders_do_not_keep_a_quick_one_waiting(web: Web) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(400):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
            line.sendall(head("POST", PATH, {"Content-Length": "100"}) + b"half")

        waits = [_timed(web, joined(f"quick-{number}")) for number in range(40)]

    assert max(waits) < 1


def test_a_frozen_broker_is_not_felt_by_a_sender(web: Web) -> None:
    web.valkey.process.send_signal(signal.SIGSTOP)
    try:
        waits = [_timed(web, joined(f"frozen-{number}")) for number in range(100)]
    finally:
        web.valkey.process.send_signal(signal.SIGCONT)

    assert sorted(waits)[98] < 0.3


def _timed(web: Web, body: bytes) -> float:
    began = time.monotonic()
    assert web.post(body) == 200
    return time.monotonic() - began


def test_a_database_that_is_away_is_503_and_then_works_again(web: Web) -> None:
    assert web.post(joined("before")) == 200
    web.postgres.stop()
    try:
        status, answer = web.talk(_request(web, joined("during")))
    finally:
        web.postgres = start_postgres(web.folder, {"fsync": "off"})

    assert status == 503
    assert b"retry-after: " in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "unavailable"
    await_true(lambda: web.post(joined("after")) == 200)


def _request(web: Web, body: bytes) -> bytes:
    return head("POST", PATH, {"Content-Length": str(len(body))} | web.house.sign(body)) + body
