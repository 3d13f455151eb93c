"""The gate before the judge: so many at once, the connections in turn, and nobody waits for ever."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from billing.store.ids import new_id
from billing.store.inbox import Delivery
from service.receiver.gate import HEAVY, CrowdedError, Gate
from service.receiver.line import MOST_ROWS, Line, Ticket
from service.receiver.turnstile import crowded


class Door:
    """A gate, and who went through it in which order; each stays until it is let out."""

    def __init__(self, room: int, patience: float = 20.0) -> None:
        self.gate = Gate(room, patience)
        self.entered: list[str] = []
        self.refused: dict[str, CrowdedError] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.out: dict[str, asyncio.Event] = {}

    async def come(self, connection: str, count: int = 1, size: int = 2) -> None:
        """So many requests of a connection; returns when each has entered or waits."""
        for _ in range(count):
            name = f"{connection}-{sum(known.startswith(connection) for known in self.tasks)}"
            self.out[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._one(connection, name, size))
        await asyncio.sleep(0)

    async def _one(self, connection: str, name: str, size: int) -> None:
        try:
            async with self.gate.turn(connection, size):
                self.entered.append(name)
                await self.out[name].wait()
        except CrowdedError as fault:
            self.refused[name] = fault

    async def leave(self, *names: str) -> None:
        for name in names:
            self.out[name].set()
        for _ in range(5):
            await asyncio.sleep(0)

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def played(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_so_many_enter_at_once_and_the_next_when_one_has_left() -> None:
    async def scene() -> None:
        door = Door(room=2)
        await door.come("loud", 4)
        assert door.entered == ["loud-0", "loud-1"]

        await door.leave("loud-1")

        assert door.entered == ["loud-0", "loud-1", "loud-2"]
        await door.end()

    played(scene())


def test_however_many_of_a_crowd_wait_a_quiet_connection_is_among_the_next_two() -> None:
    async def scene() -> None:
        door = Door(room=1)
        await door.come("loud", 500)
        await door.come("quiet", 2)
        await door.come("other")

        for number in range(5):
            await door.leave(door.entered[number])

        assert door.entered == ["loud-0", "loud-1", "quiet-0", "other-0", "loud-2", "quiet-1"]
        await door.end()

    played(scene())


def test_a_heavy_body_takes_the_room_of_many() -> None:
    async def scene() -> None:
        door = Door(room=10)
        await door.come("big", 1, size=9 * HEAVY)
        await door.come("small", 1)
        assert door.entered == ["big-0"]

        await door.leave("big-0")
        await door.come("small", 20)

        assert len(door.entered) == 11
        await door.end()

    played(scene())


def test_who_waits_too_long_is_told_to_come_again_by_429_in_a_crowd_of_his_own_else_by_503() -> None:
    async def scene() -> None:
        door = Door(room=1, patience=0.05)
        await door.come("loud")
        await door.come("quiet")
        await asyncio.sleep(0.03)
        await door.come("loud", 2)
        await asyncio.sleep(0.2)

        assert list(door.refused) == ["quiet-0", "loud-1", "loud-2"]
        quiet, loud = crowded(door.refused["quiet-0"]), crowded(CrowdedError(own=True))
        assert (quiet.status_code, loud.status_code) == (503, 429)
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in (quiet, loud))
        assert [door.refused[name].own for name in ("loud-1", "loud-2")] == [True, False]
        await door.end()

    played(scene())


def test_who_left_while_waiting_takes_no_room_and_holds_up_nobody() -> None:
    async def scene() -> None:
        door = Door(room=1)
        await door.come("loud", 4)
        door.tasks["loud-1"].cancel()
        door.tasks["loud-2"].cancel()
        await asyncio.sleep(0)

        await door.leave("loud-0")
        assert door.entered == ["loud-0", "loud-3"]
        await door.leave("loud-3")

        await door.come("quiet")
        assert door.entered[-1] == "quiet-0"
        await door.end()

    played(scene())


def test_one_admitted_at_the_moment_he_leaves_gives_his_room_back() -> None:
    async def scene() -> None:
        door = Door(room=1)
        await door.come("loud", 2)
        door.out["loud-0"].set()
        await asyncio.sleep(0)
        door.tasks["loud-1"].cancel()  # its turn has come, and it has not heard of it yet
        for _ in range(5):
            await asyncio.sleep(0)

        await door.come("quiet")
        assert door.entered[-1] == "quiet-0"
        await door.end()

    played(scene())


def ticket(number: int) -> Ticket:
    delivery = Delivery(
        id=new_id("dl"),
        connection_id="con-1",
        delivery_id=f"action-{number}",
        fingerprint="a",
        sha256="b",
        headers="{}",
        body=b"{}",
    )
    return Ticket(delivery, lambda: None)


def test_what_waits_for_its_commit_is_taken_in_order_and_not_who_gave_up() -> None:
    line, made = Line(), [ticket(number) for number in range(MOST_ROWS + 10)]
    made[3].given_up = True
    for one in made:
        line.enter(one)

    assert line.take() == [*made[:3], *made[4 : MOST_ROWS + 1]]
    assert line.take() == made[MOST_ROWS + 1 :]


@pytest.mark.parametrize("count", [1, 3])
def test_all_who_gave_up_are_passed_over_until_one_has_not(count: int) -> None:
    line = Line()
    for number in range(count):
        line.enter(gone := ticket(number))
        gone.given_up = True
    line.enter(stays := ticket(9))

    assert line.take() == [stays]
