"""The web process as its server meets it: bodies in time and within bounds, webhooks on the loop, the rest Flask's."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from service import front as front_module
from service.front import Front
from service.receiver import bodies, turnstile, webhooks
from service.receiver.connections import FRESH, STALE, Connection
from service.receiver.waits import _Settled
from tests.receiver.conftest import House, joined

PATH = "/webhooks/trello/con-1"


@dataclass
class Line:
    """One request as an ASGI server hands it on, and what was answered. `parts`: of the body; None: the sender left."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes | None] = field(default_factory=list)
    query: bytes = b""
    waits: float = 0.0
    answer: dict[str, Any] = field(default_factory=dict)
    asked_for: int = 0

    async def receive(self) -> MutableMapping[str, Any]:
        self.asked_for += 1
        await asyncio.sleep(self.waits)
        part = self.parts.pop(0) if self.parts else b""
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(self.parts)}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.answer |= message

    @property
    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "path": self.path,
            "query_string": self.query,
            "scheme": "http",
            "server": ("127.0.0.1", 8080),
            "client": ("127.0.0.1", 40_000),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()],
        }

    @property
    def status(self) -> int:
        return int(self.answer["status"])

    @property
    def code(self) -> str:
        return str(json.loads(self.answer["body"])["code"])


@pytest.fixture
def front(house: House) -> Iterator[Front]:
    made = Front(house.app)
    yield made
    for pool in (made._threads, made._judges):
        pool.shutdown()


def asked(front: Front, *lines: Line) -> None:
    """All at once, on one loop."""

    async def all_of_them() -> None:
        await asyncio.gather(*(front(line.scope, line.receive, line.send) for line in lines))

    asyncio.run(all_of_them())


def signed(house: House, body: bytes, *, promised: int | None = None) -> Line:
    length = str(len(body) if promised is None else promised)
    return Line("POST", PATH, house.sign(body) | {"Content-Length": length}, [body])


def test_a_crowd_of_webhooks_is_kept_on_one_loop(house: House, front: Front) -> None:
    lines = [signed(house, joined(f"action-{number}")) for number in range(100)]

    asked(front, *lines)

    assert {line.status for line in lines} == {200}
    assert len(house.run("SELECT 1 FROM delivery")) == 100
    assert front._bodies.held == 0


def test_a_forged_one_an_unknown_one_and_a_repeated_one_are_told_as_ever(house: House, front: Front) -> None:
    body = joined()
    forged = Line("POST", PATH, {"X-Trello-Webhook": "wrong", "Content-Length": str(len(body))}, [body])
    unknown = Line("POST", "/webhooks/trello/con-9", {"Content-Length": str(len(body))}, [body])
    first, again = signed(house, body), signed(house, body)

    asked(front, first)
    asked(front, forged, unknown, again)

    assert [line.status for line in (first, forged, unknown, again)] == [200, 401, 404, 200]
    assert dict(forged.answer["headers"])[b"x-content-type-options"] == b"nosniff"
    assert len(house.run("SELECT 1 FROM delivery")) == 1


def test_a_body_in_parts_is_put_together_with_and_without_its_length(house: House, front: Front) -> None:
    whole, chunked = joined("action-1"), joined("action-2")
    lines = [signed(house, whole), signed(house, chunked)]
    lines[0].parts = [whole[:10], b"", whole[10:]]
    lines[1].parts = [chunked[:10], chunked[10:], b""]
    del lines[1].headers["Content-Length"]
    lines[1].headers["Transfer-Encoding"] = "chunked"

    asked(front, *lines)

    assert [line.status for line in lines] == [200, 200]
    assert [line.asked_for for line in lines] == [3, 3]


def test_nothing_is_asked_for_after_the_promised_length_or_where_no_body_comes(house: House, front: Front) -> None:
    whole, greeting = signed(house, joined()), Line("HEAD", PATH)
    whole.parts.append(b"")  # some servers say only then that there is no more

    asked(front, whole, greeting)

    assert [line.status for line in (whole, greeting)] == [200, 200]
    assert [line.asked_for for line in (whole, greeting)] == [1, 0]


@pytest.mark.parametrize("path", [PATH, "/v1/workspaces", "/callbacks/payments/standard"])
def test_a_body_that_ends_early_or_comes_too_slowly_is_400_and_never_kept(
    house: House, front: Front, path: str
) -> None:
    front._bodies.seconds = 0.2
    body = joined()
    gone = Line("POST", path, house.sign(body) | {"Content-Length": "1000"}, [body, None])
    short = Line("POST", path, house.sign(body) | {"Content-Length": str(len(body) + 1)}, [body])
    slow = Line("POST", path, house.sign(body) | {"Content-Length": "1000"}, [b"{"] * 1000, waits=0.02)

    asked(front, gone, short, slow)

    assert [line.status for line in (gone, short, slow)] == [400, 400, 400]
    assert {line.code for line in (gone, short, slow)} == {"cut_short"}
    assert not house.run("SELECT 1 FROM delivery")
    assert front._bodies.held == 0


def test_a_body_over_the_cap_is_413_and_no_more_of_it_is_held_than_the_cap(house: House, front: Front) -> None:
    cap, part = house.settings.max_body_bytes, b"x" * 65_536
    count = cap // len(part) + 5
    webhook = Line("POST", PATH, {"Content-Length": str(count * len(part))}, [part] * count)
    api = Line("POST", "/v1/workspaces", {"Transfer-Encoding": "chunked"}, [part] * count)
    most = []

    async def watched() -> MutableMapping[str, Any]:
        most.append(front._bodies.held)
        return await Line.receive(webhook)

    webhook.receive = watched  # type: ignore[method-assign]
    asked(front, webhook)
    asked(front, api)

    assert webhook.status == 413
    assert api.status in {401, 413}
    assert max(most) <= cap + len(part)
    assert front._bodies.held == 0


def test_bodies_that_are_too_many_together_are_503_before_anything_is_kept(house: House, front: Front) -> None:
    front._bodies.most = 1_000
    heavy = [Line("POST", PATH, {"Content-Length": "600"}, [b"x" * 300, b"x" * 300], waits=0.02) for _ in range(5)]

    asked(front, *heavy)

    assert [line.status for line in heavy].count(503) >= 1
    refused = next(line for line in heavy if line.status == 503)
    assert dict(refused.answer["headers"])[b"retry-after"]
    assert front._bodies.held == 0


def test_the_rest_is_flasks_with_its_query_its_headers_and_its_guard(house: House, front: Front) -> None:
    health = Line("GET", "/healthz")
    listed = Line("GET", "/v1/workspaces", {"Authorization": "Bearer nobody"}, query=b"limit=3")
    missing = Line("GET", "/no%20where")

    asked(front, health, listed, missing)

    assert [line.status for line in (health, listed, missing)] == [200, 401, 404]
    for line in (health, listed, missing):
        names = dict(line.answer["headers"])
        assert names[b"x-content-type-options"] == b"nosniff"
        assert int(names[b"content-length"]) == len(line.answer["body"])


def test_a_header_that_could_pass_for_another_never_reaches_flask(house: House, front: Front) -> None:
    scope = Line("GET", "/", {"X_Forwarded": "a", "X-Seen": "b", "Content-Type": "text/plain"}).scope
    scope["headers"].append((b"x-seen", b"c"))

    environ = front_module._environ(scope, b"body")

    assert "HTTP_X_FORWARDED" not in environ
    assert environ["HTTP_X_SEEN"] == "b,c"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "4")
    assert environ["wsgi.input"].read() == b"body"


def test_a_429_is_held_back_and_holds_up_nobody_meanwhile(
    house: House, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "PAUSE", 0.4)
    door = front._door
    door.turnstile.genuine = turnstile.Buckets(0.001, burst=1)
    order: list[str] = []

    async def told(name: str, line: Line) -> None:
        await front(line.scope, line.receive, line.send)
        order.append(name)

    async def scene() -> None:
        await told("first", signed(house, joined("action-1")))
        health = Line("GET", "/healthz")
        await asyncio.gather(told("refused", signed(house, joined("action-2"))), told("health", health))

    asyncio.run(scene())

    assert order == ["first", "health", "refused"]


def test_a_slow_look_into_the_database_and_a_heavy_body_leave_the_loop_free(
    house: House, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections, find, genuine = front._door.connections, front._door.connections.find, webhooks.judge.genuine
    threads: dict[int, str] = {}

    def slowly(name: str) -> Connection | None:
        time.sleep(0.4)
        return find(name)

    def watched(room: Any, headers: Any, body: bytes, *more: Any) -> bool:
        threads[len(body)] = threading.current_thread().name
        return genuine(room, headers, body, *more)

    monkeypatch.setattr(type(connections), "find", lambda _, name: slowly(name))
    monkeypatch.setattr(webhooks.judge, "genuine", watched)
    monkeypatch.setattr(webhooks, "HEAVY", 400)
    light, heavy = joined("action-1"), joined("action-2", member="m" * 400)
    lines = [signed(house, light), signed(house, heavy)]
    ticks: list[float] = []

    async def ticking() -> None:
        while not all(line.answer for line in lines):
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    async def scene() -> None:
        await asyncio.gather(ticking(), *(front(line.scope, line.receive, line.send) for line in lines))

    asyncio.run(scene())

    assert [line.status for line in lines] == [200, 200]
    assert max(after - before for before, after in pairwise(ticks)) < 0.3
    assert threads[len(light)] == "MainThread"
    assert threads[len(heavy)].startswith("door")


def test_a_connection_that_is_being_asked_for_is_used_half_a_second_longer(house: House, front: Front) -> None:
    connections, now = front._door.connections, [100.0]
    connections._clock = lambda: now[0]
    known = connections.find("con-1")
    assert connections.recall("con-1") is known is not None

    now[0] += FRESH + STALE / 2
    assert connections.recall("con-1") is None
    connections._asking["con-1"] = threading.Lock()
    assert connections.recall("con-1") is known
    now[0] += STALE
    assert connections.recall("con-1") is None
    assert connections.recall("con-2") is None


def test_the_loop_is_woken_once_for_all_that_one_commit_kept() -> None:
    woken: list[Any] = []

    class Loop:
        def call_soon_threadsafe(self, call: Any) -> None:
            woken.append(call)

    async def scene() -> None:
        settled = _Settled(Loop())  # type: ignore[arg-type]
        futures = [asyncio.get_running_loop().create_future() for _ in range(5)]
        for future in futures:
            settled.put(future)
        assert len(woken) == 1
        woken.pop()()
        assert all(future.done() for future in futures)
        settled.put(asyncio.get_running_loop().create_future())
        assert len(woken) == 1

    asyncio.run(scene())


def test_a_fault_of_the_door_itself_is_500_and_the_next_one_is_served(
    house: House, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(webhooks.judge, "greets", lambda *_: 1 / 0)
        asked(front, failed := signed(house, joined()))
    asked(front, served := signed(house, joined()))

    assert (failed.status, served.status) == (500, 200)


def test_the_length_is_what_the_head_says() -> None:
    assert bodies.promised(Line("GET", "/").scope) == 0
    assert bodies.promised(Line("POST", "/", {"Content-Length": "7"}).scope) == 7
    assert bodies.promised(Line("POST", "/", {"Transfer-Encoding": "chunked"}).scope) is None
