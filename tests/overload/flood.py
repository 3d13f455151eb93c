"""A sender without manners: an open loop over many connections, in a process of its own.

`python -m tests.overload.flood SECRET PORT PATH RATE SECONDS CONNECTIONS WORKSPACE...` prints what came of it as JSON.
It sends by the clock, whatever the answers; what is refused it sends again at once, and it never looks at Retry-After.
"""

import contextlib
import json
import secrets
import select
import socket
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime

from bench import events


class Line:
    """One connection with at most one request under way."""

    __slots__ = ("buffer", "request", "sent_at", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.request = b""
        self.sent_at = 0.0

    def answered(self) -> int | None:
        """The status, once the whole answer is there; 0: the connection is gone."""
        try:
            data = self.socket.recv(65_536)
        except OSError:
            data = b""
        if not data:
            return 0
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        start = head.lower().find(b"content-length: ") + 16
        if len(body) < int(head[start:].partition(b"\r\n")[0]):
            return None
        self.buffer = b""
        return int(head[9:12])


def joins(path: str, workspaces: list[str]) -> Iterator[bytes]:
    """New people, one after the other, in turn over the workspaces."""
    run, number = secrets.token_hex(4), 0
    while True:
        name, at = f"{run}-{number}", datetime.now(UTC)
        event = {
            "type": "member.joined",
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "data": {"workspace": workspaces[number % len(workspaces)], "member": {"id": f"m-{name}", "name": name}},
        }
        yield events.signed(path, f"msg_{name}", json.dumps(event).encode(), at)
        number += 1


class Flood:
    """The loop. `again` are the requests that were refused."""

    def __init__(self, port: int, connections: int, fresh: Iterator[bytes]) -> None:
        self.port, self.fresh = port, fresh
        self.again: deque[bytes] = deque()
        self.statuses: Counter[int] = Counter()
        self.waits: list[float] = []
        self.sent = 0
        self.poll = select.epoll()
        self.lines: dict[int, Line] = {}
        self.idle: deque[Line] = deque()
        for _ in range(connections):
            self.open()

    def open(self) -> None:
        with contextlib.suppress(OSError):
            line = Line(self.port)
            self.lines[line.socket.fileno()] = line
            self.poll.register(line.socket.fileno(), select.EPOLLIN)
            self.idle.append(line)

    def send(self) -> None:
        line = self.idle.popleft()
        line.request = self.again.popleft() if self.again else next(self.fresh)
        self.sent += 1
        line.sent_at = time.monotonic()
        with contextlib.suppress(OSError):
            line.socket.sendall(line.request)

    def receive(self, seconds: float) -> None:
        for number, _ in self.poll.poll(seconds):
            line = self.lines[number]
            status = line.answered()
            if status is None:
                continue
            request, line.request = line.request, b""
            if request:
                self.statuses[status] += 1
                self.waits.append((time.monotonic() - line.sent_at) * 1000)
            if request and status != 200:
                self.again.append(request)
            if status:
                self.idle.append(line)
            else:
                self.replace(number, line, idle=not request)

    def replace(self, number: int, line: Line, *, idle: bool) -> None:
        """The server closed it."""
        self.poll.unregister(number)
        del self.lines[number]
        if idle:
            self.idle.remove(line)
        line.socket.close()
        self.open()

    def run(self, rate: float, seconds: float) -> float:
        """Sends for so long, then only what was refused, until all is accepted; how many requests were due."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            for _ in range(min(int(rate * passed) - self.sent, len(self.idle), 200)):
                self.send()
            self.receive(0.001)
        end = time.monotonic() + 60
        while (self.again or any(line.request for line in self.lines.values())) and time.monotonic() < end:
            under_way = len(self.lines) - len(self.idle)
            for _ in range(min(len(self.again), len(self.idle), max(0, 64 - under_way))):
                self.send()
            self.receive(0.1)
        return rate * seconds


def main() -> None:
    """Prints offered, sent, statuses, how many were left without an answer, and the median wait (ms) for one."""
    events.SECRET, port, path, rate, seconds, connections, *workspaces = sys.argv[1:]
    flood = Flood(int(port), int(connections), joins(path, workspaces))
    offered = flood.run(float(rate), float(seconds))
    silent = sum(1 for line in flood.lines.values() if line.request)
    told = {"offered": offered, "sent": flood.sent, "statuses": flood.statuses, "silent": silent}
    print(json.dumps(told | {"wait": statistics.median(flood.waits)}))


if __name__ == "__main__":
    main()
