"""Who is judged next: so many at once, the connections taking turns, the rest waiting at no cost (ADR 0013)."""

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager

#: Deliveries of one process that are judged and committed at a time; a body counts once more for each so many bytes.
#: Enough to keep the committer busy: more would only wait there, and whoever comes next behind them.
ROOM = 16
HEAVY = 65_536
#: Seconds a request waits for its turn. Tools wait for an answer for five and more.
PATIENCE = 2.0


class CrowdedError(Exception):
    """The turn did not come in time. `own`: others of the same connection still wait, so it is the crowd itself."""

    def __init__(self, *, own: bool) -> None:
        super().__init__("too many deliveries wait")
        self.own = own


class Gate:
    """Slots of one process. Used on its loop only."""

    def __init__(self, room: int = ROOM, patience: float = PATIENCE) -> None:
        self._free = room
        self._patience = patience
        self._turns: dict[str, deque[_Waiting]] = {}

    def turn(self, connection_id: str, size: int) -> "Turn":
        """A slot for a body of `size` bytes: `async with gate.turn(...)`. Entering raises CrowdedError."""
        return Turn(self, connection_id, 1 + size // HEAVY)

    async def enter(self, connection_id: str, weight: int) -> None:
        """Take slots, now or in turn. Raises CrowdedError."""
        if self._free > 0:
            self._free -= weight
            return
        waiting = _Waiting(weight)
        self._turns.setdefault(connection_id, deque()).append(waiting)
        late = waiting.loop.call_later(self._patience, waiting.go, False)
        try:
            admitted = await waiting.future
        except asyncio.CancelledError:
            if waiting.admitted:
                self.leave(weight)
            raise
        finally:
            late.cancel()
            waiting.gone = True
        if not admitted:
            raise CrowdedError(own=self._waits(connection_id))

    def leave(self, weight: int) -> None:
        """Give slots back; whoever's turn it is goes on."""
        self._free += weight
        while self._free > 0 and self._turns:
            connection_id, line = next(iter(self._turns.items()))
            waiting = line.popleft()
            del self._turns[connection_id]
            if line:
                self._turns[connection_id] = line  # its next turn is after the others'
            if not waiting.gone and waiting.go(True):
                self._free -= waiting.weight

    def _waits(self, connection_id: str) -> bool:
        return any(not waiting.gone for waiting in self._turns.get(connection_id, ()))


class _Waiting:
    __slots__ = ("future", "gone", "loop", "weight")

    def __init__(self, weight: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[bool] = self.loop.create_future()
        self.weight = weight
        self.gone = False

    @property
    def admitted(self) -> bool:
        """True once its turn has come, though it may not have heard of it."""
        return self.future.done() and not self.future.cancelled() and self.future.result()

    def go(self, admitted: bool) -> bool:
        """End the wait; False when it had ended."""
        if self.future.done():
            return False
        self.future.set_result(admitted)
        return True


class Turn(AbstractAsyncContextManager[None]):
    """Slots from entering to leaving."""

    __slots__ = ("_gate", "_name", "_weight")

    def __init__(self, gate: Gate, name: str, weight: int) -> None:
        self._gate, self._name, self._weight = gate, name, weight

    async def __aenter__(self) -> None:
        await self._gate.enter(self._name, self._weight)

    async def __aexit__(self, *_: object) -> None:
        self._gate.leave(self._weight)
