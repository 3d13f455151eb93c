"""The bell: best effort, coalesced, never in the way of who rings."""

import json
import multiprocessing
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from billing.engines.process import Engine
from billing.engines.valkey import start_valkey
from workers import bell
from workers.bell import Bell
from workers.broker import quick_broker, worker_broker


def rung(url: str) -> list[tuple[str, list[Any]]]:
    """The messages that wait in the broker."""
    with redis.Redis.from_url(url) as client:
        found = [json.loads(message) for message in client.hvals("dramatiq:default.msgs")]
    return sorted((message["actor_name"], message["args"]) for message in found)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Engine]:
    """A Valkey this test may freeze and end."""
    engine = start_valkey(tmp_path)
    yield engine
    engine.process.send_signal(signal.SIGCONT)
    engine.stop()


def test_each_ring_is_a_message_for_its_actor(valkey_url: str) -> None:
    one = Bell(valkey_url)

    assert all([one.read("con-1"), one.settle("ws-1"), one.send(), one.callbacks()])

    assert one.flush(5)
    wanted = [
        ("read_callbacks", []),
        ("read_connection", ["con-1"]),
        ("send_charges", []),
        ("settle_workspace", ["ws-1"]),
    ]
    assert rung(valkey_url) == wanted


def test_the_workers_broker_finds_what_was_rung(valkey_url: str) -> None:
    one, broker = Bell(valkey_url), worker_broker(valkey_url)
    one.read("con-1")
    assert one.flush(5)

    message = next(broker.consume("default", prefetch=1, timeout=2000))

    assert message is not None
    assert (message.actor_name, list(message.args)) == ("read_connection", ["con-1"])


def test_one_connection_rings_at_most_once_in_a_window(valkey_url: str) -> None:
    one = Bell(valkey_url)
    began = time.monotonic()

    while time.monotonic() < began + 6 * bell.WINDOW:
        assert one.read("con-1")
        time.sleep(0)

    assert one.flush(5)
    windows = (time.monotonic() - began) / bell.WINDOW
    assert 1 <= len(rung(valkey_url)) <= windows + 2


def test_a_ring_after_the_message_went_makes_another(valkey_url: str) -> None:
    one = Bell(valkey_url)

    for _ in range(2):
        one.read("con-1")
        assert one.flush(5)

    assert len(rung(valkey_url)) == 2


def test_a_frozen_broker_blocks_nobody_and_gets_the_ring_later(own_valkey: Engine) -> None:
    one = Bell(own_valkey.url)
    one.read("con-0")
    assert one.flush(5)
    own_valkey.process.send_signal(signal.SIGSTOP)

    began = time.monotonic()
    for number in range(1, 100):
        assert one.read(f"con-{number}")
    assert time.monotonic() - began < 0.2

    own_valkey.process.send_signal(signal.SIGCONT)
    assert one.flush(10)
    assert {args[0] for _, args in rung(own_valkey.url)} == {f"con-{number}" for number in range(100)}


def test_a_broker_that_is_away_raises_nothing_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell, "MOST", 50)
    one = Bell("redis://127.0.0.1:9/0")

    answers = [one.read(f"con-{number}") for number in range(200)]

    assert answers.count(False) >= 100
    assert not one.flush(0.2)


def _ring_in_a_child(one: Bell) -> None:
    one.read("con-child")
    one.flush(5)


def test_a_forked_process_rings_for_itself(valkey_url: str) -> None:
    one = Bell(valkey_url)
    one.read("con-parent")
    assert one.flush(5)
    child = multiprocessing.get_context("fork").Process(target=_ring_in_a_child, args=(one,))

    child.start()
    child.join(10)

    assert [args for _, args in rung(valkey_url)] == [["con-child"], ["con-parent"]]


def test_a_quick_broker_gives_up_soon(own_valkey: Engine) -> None:
    own_valkey.process.send_signal(signal.SIGSTOP)
    broker = quick_broker(own_valkey.url)

    began = time.monotonic()
    with pytest.raises(redis.RedisError):
        broker.client.ping()
    assert time.monotonic() - began < 1


def test_dead_workers_are_looked_for_at_every_command(valkey_url: str) -> None:
    broker = worker_broker(valkey_url)

    assert (broker.maintenance_chance, broker.heartbeat_timeout) == (1_000_000, 15_000)
