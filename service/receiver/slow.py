"""A body has ten seconds (ADR 0011).

The server waits for a body where nobody can interrupt it, and does not tell whose socket it is. So while a body is
late, one thread of the process looks at all its sockets, as the kernel tells of them (Linux), and shuts those that have
been receiving, or silent, for so long. A request that is being worked on is never cut: while one takes long, none is.
"""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: Seconds a body may take.
SECONDS = 10.0
#: Seconds between two looks at the requests; a body older than one is worth a look at the sockets.
TURN = 0.5

_FDS = Path("/proc/self/fd")
#: Where the kernel's `tcp_info` has the bytes that the other side has acknowledged, and those it has sent.
_ACKED_RECEIVED = struct.Struct("@120xQQ")
_INFO = getattr(socket, "TCP_INFO", None) if _FDS.exists() else None


class Slow:
    """What the requests of this process are at. Its thread is made on the first body, never before a fork."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._requests: dict[int, float] = {}
        self._bodies: dict[int, float] = {}
        self._pid = 0
        self._start = threading.Lock()

    def enter(self) -> None:
        """This thread has a request."""
        self._requests[threading.get_ident()] = self._clock()

    def leave(self) -> None:
        """This thread has answered it."""
        self._requests.pop(threading.get_ident(), None)

    def begin(self, port: int) -> float:
        """This thread waits for a body sent to `port`; answers when it began to."""
        if self._pid != os.getpid():
            self._watch(port)
        began = self._bodies[threading.get_ident()] = self._clock()
        return began

    def end(self, began: float) -> bool:
        """The body is there, or its sender is gone; True when it had all its time."""
        self._bodies.pop(threading.get_ident(), None)
        return self._clock() - began > SECONDS

    def turn(self, sockets: "Sockets") -> None:
        """One look. A late body's socket is shut, unless a request that takes long could be taken for it."""
        now, bodies = self._clock(), self._bodies.copy()
        if not bodies or now - min(bodies.values()) < TURN:
            sockets.forget()
            return
        working = [at for who, at in self._requests.copy().items() if who not in bodies]
        sockets.look(now, shut=all(now - at < SECONDS - 2 * TURN for at in working))

    def _watch(self, port: int) -> None:
        with self._start:
            if self._pid != os.getpid():
                if _INFO is not None:
                    threading.Thread(target=self._run, args=(Sockets(port),), name="slow", daemon=True).start()
                self._pid = os.getpid()

    def _run(self, sockets: "Sockets") -> None:
        while True:
            time.sleep(TURN)
            self.turn(sockets)


@dataclass(slots=True)
class _Seen:
    """One socket: its bytes, when they last changed, and since when it has been receiving without an answer."""

    acked: int
    received: int
    changed_at: float
    receiving_since: float | None = None

    def note(self, acked: int, received: int, now: float) -> None:
        if acked != self.acked:
            self.receiving_since = None
        elif received != self.received and self.receiving_since is None:
            self.receiving_since = now
        if (acked, received) != (self.acked, self.received):
            self.acked, self.received, self.changed_at = acked, received, now

    def overdue(self, now: float) -> bool:
        since = self.changed_at if self.receiving_since is None else self.receiving_since
        return now - since >= SECONDS


class Sockets:
    """The connections to `port` that this process has accepted, as they were at the last looks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._seen: dict[tuple[int, object], _Seen] = {}

    def forget(self) -> None:
        """Nothing is late: begin anew."""
        self._seen.clear()

    def look(self, now: float, *, shut: bool) -> None:
        """Note what has changed; `shut` those that have been receiving, or silent, too long."""
        before, self._seen = self._seen, {}
        for connection in self._accepted():
            with contextlib.suppress(OSError):
                name = (connection.fileno(), connection.getpeername())
                acked, received = _ACKED_RECEIVED.unpack(connection.getsockopt(socket.IPPROTO_TCP, _INFO or 0, 136))
                seen = self._seen[name] = before.get(name) or _Seen(acked, received, now)
                seen.note(acked, received, now)
                if shut and seen.overdue(now):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accepted(self) -> Iterator[socket.socket]:
        """Each socket by its own number: it is the server's, so it is let go of, never closed."""
        for path in _FDS.iterdir():
            try:
                connection = socket.socket(fileno=int(path.name))
            except OSError:
                continue  # a file, or closed meanwhile
            try:
                if connection.family in {socket.AF_INET, socket.AF_INET6} and connection.getsockname()[1] == self._port:
                    yield connection
            finally:
                connection.detach()


SLOW = Slow()
