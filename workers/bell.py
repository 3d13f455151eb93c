"""The bell: tells the workers that a row waits. Best effort; the row is the job, and the sweeper finds what is missed.

Ringing only notes what to ring and returns; a daemon thread of the process, made on the first ring, talks to Redis.
The same ring within `WINDOW` seconds is one message, and one that failed is tried again while it is remembered.
"""

import logging
import os
import threading
import time

from dramatiq.brokers.redis import RedisBroker
from dramatiq.message import Message

from billing import crash
from workers.broker import QUEUE, quick_broker

#: Seconds between two messages of one ring.
WINDOW = 0.05
#: Seconds to leave a broker alone that did not answer.
REST = 1.0
#: Rings remembered at a time; further ones are the sweeper's.
MOST = 10_000

_LOG = logging.getLogger("sekisu.bell")
_Ring = tuple[str, str | None]


class Bell:
    """Rings for the actors of `workers.actors`. No method blocks on Redis or raises; False: this ring is forgotten."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._state = _State(0)
        self._start = threading.Lock()

    def read(self, connection_id: str) -> bool:
        """A connection has deliveries to read."""
        return self._ring("read_connection", connection_id)

    def settle(self, workspace_id: str) -> bool:
        """A workspace has facts to settle."""
        return self._ring("settle_workspace", workspace_id)

    def send(self) -> bool:
        """There are charges to send."""
        return self._ring("send_charges", None)

    def crowd(self, helpers: int) -> bool:
        """There are more workspaces to settle than one process should: so many are called."""
        rung = [self._ring("settle_crowd", str(turn)) for turn in range(helpers)]
        return all(rung)

    def callbacks(self) -> bool:
        """There are callbacks of the payment endpoint to read."""
        return self._ring("read_callbacks", None)

    def flush(self, seconds: float = 0.3) -> bool:
        """Wait until all that was rung is on its way; False when it was not within `seconds`. For short commands."""
        state = self._state
        with state.changed:
            return state.changed.wait_for(lambda: not state.waiting and not state.busy, seconds)

    def _ring(self, actor: str, argument: str | None) -> bool:
        if self._state.pid != os.getpid():
            self._begin()
        state, ring = self._state, (actor, argument)
        with state.changed:
            if ring in state.waiting:
                return True
            if len(state.waiting) >= MOST:
                return False
            state.waiting[ring] = state.rung.get(ring, 0.0) + WINDOW
            if state.idle:
                state.changed.notify_all()
        return True

    def _begin(self) -> None:
        """Start the thread of this process: one that was forked has only the memory of its parent's."""
        with self._start:
            if self._state.pid != os.getpid():
                self._state = _State(os.getpid())
                threading.Thread(target=_run, args=(self._state, self._url), name="bell", daemon=True).start()


class _State:
    """What the ringers and the thread share, under `changed`. Instants are of the monotonic clock."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.changed = threading.Condition()
        self.waiting: dict[_Ring, float] = {}  # ring -> the instant it may go
        self.rung: dict[_Ring, float] = {}  # ring -> when it last went
        self.idle = False
        self.busy = False

    def take(self) -> list[_Ring]:
        """Wait for rings that may go and take them; the thread is busy until it calls again."""
        with self.changed:
            self.busy = False
            self.changed.notify_all()
            while True:
                now = time.monotonic()
                due = [ring for ring, at in self.waiting.items() if at <= now]
                if due:
                    break
                self.idle = not self.waiting
                self.changed.wait(WINDOW / 2 if self.waiting else None)
            self.rung = {ring: at for ring, at in self.rung.items() if at > now - WINDOW}
            for ring in due:
                del self.waiting[ring]
                self.rung[ring] = now
            self.busy, self.idle = True, False
            return due

    def put_back(self, rings: list[_Ring]) -> None:
        """Remember what could not go, for after the rest."""
        at = time.monotonic() + REST
        with self.changed:
            for ring in rings[: MOST - len(self.waiting)]:
                self.waiting.setdefault(ring, at)


def _run(state: _State, url: str) -> None:
    broker, silent = quick_broker(url), False
    while True:
        rings = state.take()
        sent, fault = _send(broker, rings)
        if fault and not silent:  # once, not each second of an hour
            _LOG.warning("the broker does not answer; the sweeper finds the work meanwhile (%s)", fault)
        silent = fault is not None
        if silent:
            state.put_back(rings[sent:])
            time.sleep(REST)


def _send(broker: RedisBroker, rings: list[_Ring]) -> tuple[int, Exception | None]:
    """How many rings went, and what stopped the next."""
    for number, (actor, argument) in enumerate(rings):
        args = () if argument is None else (argument,)
        try:
            with crash.around("bell.ring"):
                broker.enqueue(Message(queue_name=QUEUE, actor_name=actor, args=args, kwargs={}, options={}))
        except Exception as fault:  # noqa: BLE001 - the thread must outlive any fault of the broker
            return number, fault
    return len(rings), None
