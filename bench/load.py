"""The load generator: prepared requests over keep-alive connections, as little Python between two of them as possible.

One epoll loop and no event-loop objects, because the generator shares the machine's cores with what it measures.
"""

import re
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CONNECTIONS = 64
ANSWER_SECONDS = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class LoadError(Exception):
    """The server closed, stalled or answered what the row does not allow."""


@dataclass(frozen=True, slots=True)
class Volley:
    """What one run of requests met. Times in seconds; `bodies` in the order of the requests, if asked for."""

    seconds: float
    statuses: Counter[int]
    waits: list[float]
    bodies: list[bytes]

    @property
    def rate(self) -> float:
        """Requests answered per second."""
        return len(self.waits) / self.seconds

    def wait_ms(self, share: float) -> float:
        """The wait that `share` of the requests did not exceed, in milliseconds."""
        return sorted(self.waits)[min(len(self.waits) - 1, int(len(self.waits) * share))] * 1000


class _Line:
    """One keep-alive connection with at most one request under way."""

    __slots__ = ("buffer", "index", "sent_at", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.index = -1
        self.sent_at = 0.0

    def send(self, feed: Iterator[tuple[int, bytes]]) -> bool:
        """Sends the next request; False when none is left."""
        for self.index, request in feed:
            self.sent_at = time.monotonic()
            self.socket.sendall(request)
            return True
        return False

    def receive(self) -> tuple[int, bytes] | None:
        """(status, body) once the whole answer is there."""
        data = self.socket.recv(65536)
        if not data:
            raise LoadError("the server closed a keep-alive connection")
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        if _CHUNKED.search(head):
            raise LoadError("chunked answers are not read here")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if len(rest) < size:
            return None
        self.buffer = rest[size:]
        return int(head[9:12]), rest[:size]


def fire(port: int, requests: Sequence[bytes], connections: int = CONNECTIONS) -> Volley:
    """Sends every request to 127.0.0.1:`port`, `connections` at a time, and waits for every answer.

    Raises LoadError when the server closes a connection or says nothing for a minute.
    """
    feed = iter(enumerate(requests))
    lines = [_Line(port) for _ in range(min(connections, len(requests)))]
    poll = select.epoll()
    by_number = {line.socket.fileno(): line for line in lines}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    volley = Volley(0.0, Counter(), [], [b""] * len(requests))
    started = time.monotonic()
    try:
        busy = sum(line.send(feed) for line in lines)
        while busy:
            ready = poll.poll(ANSWER_SECONDS)
            if not ready:
                raise LoadError(f"no answer for {ANSWER_SECONDS:.0f} s")
            busy -= sum(_answered(by_number[number], feed, volley) for number, _ in ready)
    finally:
        poll.close()
        for line in lines:
            line.socket.close()
    return Volley(time.monotonic() - started, volley.statuses, volley.waits, volley.bodies)


def _answered(line: _Line, feed: Iterator[tuple[int, bytes]], volley: Volley) -> bool:
    """Takes an answer, if it is whole, and sends the next request; True when the line has none left."""
    answer = line.receive()
    if answer is None:
        return False
    status, body = answer
    volley.statuses[status] += 1
    volley.waits.append(time.monotonic() - line.sent_at)
    volley.bodies[line.index] = body
    return not line.send(feed)


def must(volley: Volley, *allowed: int) -> Volley:
    """The volley, if every status is allowed. Raises LoadError with a sample body."""
    if set(volley.statuses) - set(allowed):
        raise LoadError(f"answers {dict(volley.statuses)}, wanted {allowed}; e.g. {volley.bodies[-1][:300]!r}")
    return volley
