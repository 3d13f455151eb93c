"""How a request waits: on the thread that has it, or on the loop that has a thousand (ADR 0013).

A judgement is a coroutine that says where it may wait. `run` drives one that never does, because its waits block.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, ParamSpec, Protocol, TypeVar

from billing.store.inbox import Delivery, Outcome
from service.receiver.committer import Committer, outcome_of
from service.receiver.gate import Gate
from service.receiver.line import Ticket

P = ParamSpec("P")
T = TypeVar("T")


class Waits(Protocol):
    """What a judgement may wait for."""

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of `work`, which may ask the database or take long."""

    async def keep(self, committer: Committer, delivery: Delivery) -> Outcome:
        """What became of `delivery`, once it is committed. Raises as `Committer.keep`."""

    def turn(self, connection_id: str, size: int) -> AbstractAsyncContextManager[None]:
        """A turn to be judged, for a body of `size` bytes. Entering raises CrowdedError."""

    async def pause(self, seconds: float) -> None:
        """Let so much time pass, if that costs nothing."""


class Blocking:
    """Waits on the thread that asks."""

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return work(*args, **kwargs)

    async def keep(self, committer: Committer, delivery: Delivery) -> Outcome:
        return committer.keep(delivery)

    def turn(self, connection_id: str, size: int) -> AbstractAsyncContextManager[None]:
        return nullcontext()  # a server of threads has as many turns as threads

    async def pause(self, seconds: float) -> None:
        return None  # it would hold a thread


def run(judgement: Coroutine[Any, Any, T]) -> T:
    """The answer of a judgement whose waits are `Blocking`."""
    try:
        judgement.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise RuntimeError("a judgement waited where nothing wakes it")


class OnLoop:
    """Waits that leave the loop free. `threads` do what blocks."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: Executor) -> None:
        self.loop = loop
        self._threads = threads
        self._settled = _Settled(loop)
        self._gate = Gate()

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    async def keep(self, committer: Committer, delivery: Delivery) -> Outcome:
        future: asyncio.Future[None] = self.loop.create_future()
        ticket = Ticket(delivery, lambda: self._settled.put(future))
        with committer.entered(ticket):
            late = self.loop.call_later(committer.patience, _end, future)
            await future
            late.cancel()
        return outcome_of(ticket)

    def turn(self, connection_id: str, size: int) -> AbstractAsyncContextManager[None]:
        return self._gate.turn(connection_id, size)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Settled:
    """Futures whose tickets the committer has settled: the loop is woken once for all of a batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[asyncio.Future[None]] = deque()
        self._called = False
        self._lock = threading.Lock()

    def put(self, future: "asyncio.Future[None]") -> None:
        """From the committer's thread."""
        self._done.append(future)
        with self._lock:
            called, self._called = self._called, True
        if not called:
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._lock:
            self._called = False
        while self._done:
            _end(self._done.popleft())


def _end(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
