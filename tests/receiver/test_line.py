"""The line before the committer: bounded, and fair between connections."""

import threading
import time

import pytest

from billing.store.ids import new_id
from billing.store.inbox import Delivery
from service.receiver.line import HEAVY, MOST_ROWS, CrowdedError, Line, Ticket
from service.receiver.turnstile import MOST_PAUSED, Turnstile, crowded


def ticket(connection: str, number: int = 0, size: int = 2) -> Ticket:
    body = b"x" * size
    name = f"{connection}-{number}"
    return Ticket(
        Delivery(
            id=new_id("dl"),
            connection_id=connection,
            delivery_id=name,
            fingerprint="a",
            sha256="b",
            headers="{}",
            body=body,
        )
    )


def _enter(line: Line, connection: str, count: int) -> list[Ticket]:
    made = [ticket(connection, number) for number in range(count)]
    for one in made:
        line.enter(one)
    return made


def test_a_crowd_gets_half_the_line_and_a_quiet_connection_still_gets_in() -> None:
    line = Line(most=20)
    _enter(line, "loud", 10)

    with pytest.raises(CrowdedError) as refused:
        line.enter(ticket("loud"))
    line.enter(ticket("quiet"))

    assert refused.value.shared_out
    assert crowded(refused.value).status_code == 429


def test_two_crowds_share_and_whoever_holds_nothing_still_gets_in() -> None:
    line = Line(most=20)
    _enter(line, "loud", 6)
    _enter(line, "louder", 4)

    for name in ("loud", "louder"):
        line.enter(ticket("quiet-a")) if name == "louder" else None
        with pytest.raises(CrowdedError):
            _enter(line, name, 5)
    line.enter(ticket("quiet-b"))


def test_a_line_that_is_full_of_different_connections_is_503() -> None:
    line = Line(most=20)
    for number in range(20):
        line.enter(ticket(f"con-{number}"))

    with pytest.raises(CrowdedError) as refused:
        line.enter(ticket("con-20"))

    assert not refused.value.shared_out
    answer = crowded(refused.value)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1


def test_what_was_taken_still_counts_until_it_is_answered() -> None:
    line = Line(most=20)
    made = _enter(line, "loud", 10)
    assert len(line.take()) == 10

    with pytest.raises(CrowdedError):
        line.check("loud")
    for one in made:
        line.leave(one)

    line.check("loud")
    _enter(line, "loud", 10)


def test_heavy_bodies_fill_the_line_sooner() -> None:
    line = Line(most=20)
    line.enter(ticket("loud", size=9 * HEAVY))

    with pytest.raises(CrowdedError):
        line.enter(ticket("loud"))


def test_connections_take_turns_and_each_keeps_its_order() -> None:
    line = Line()
    _enter(line, "loud", MOST_ROWS + 10)
    _enter(line, "quiet", 2)
    _enter(line, "other", 1)

    first = [one.delivery.delivery_id for one in line.take()]

    assert first[:6] == ["loud-0", "quiet-0", "other-0", "loud-1", "quiet-1", "loud-2"]
    assert len(first) == MOST_ROWS
    second = [one.delivery.delivery_id for one in line.take()]
    assert second == [f"loud-{number}" for number in range(MOST_ROWS - 3, MOST_ROWS + 10)]


def test_who_gave_up_is_not_taken() -> None:
    line = Line()
    gone, stays = _enter(line, "loud", 2)
    gone.given_up = True

    assert line.take() == [stays]


def test_a_429_is_held_back_for_a_moment_but_not_more_of_them_than_there_are_threads_to_spare() -> None:
    stile = Turnstile(1, pause=0.3)
    began = time.monotonic()
    threads = [threading.Thread(target=stile.hold) for _ in range(MOST_PAUSED)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.3

    for _ in range(MOST_PAUSED):
        assert stile._paused.acquire(blocking=False)
    began = time.monotonic()
    stile.hold()
    assert time.monotonic() - began < 0.3
