"""The line before the committer: bounded, and fair, so that one connection's crowd holds up nobody else (ADR 0011)."""

import threading
from collections import deque
from queue import Empty, SimpleQueue

from billing.store.inbox import Delivery, Outcome

#: Deliveries of one process that may wait for their commit; a body counts once more for each so many bytes.
MOST_WAITING = 512
HEAVY = 65_536
#: Rows and body bytes of one commit. More rows would save little, and a batch is how long a quiet connection waits.
MOST_ROWS = 64
MOST_BYTES = 4 * 1024 * 1024


class CrowdedError(Exception):
    """There is no room in the line. `shared_out`: there is for others, but this connection has its share already."""

    def __init__(self, *, shared_out: bool) -> None:
        super().__init__("the connection has its share of the line" if shared_out else "the line is full")
        self.shared_out = shared_out


class Ticket:
    """One request that waits: `done` is released when `outcome` is set, or left None for a failure."""

    __slots__ = ("delivery", "done", "given_up", "outcome", "weight")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.weight = 1 + len(delivery.body) // HEAVY
        self.outcome: Outcome | None = None
        self.given_up = False
        self.done = threading.Lock()
        self.done.acquire()

    def settle(self, outcome: Outcome | None) -> None:
        """Let the request go on."""
        self.outcome = outcome
        self.done.release()


class Line:
    """Tickets by connection, taken in turn over the connections. Who entered counts until it has left, answered."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._inside: dict[str, int] = {}
        self._count = 0
        self._come: SimpleQueue[Ticket] = SimpleQueue()
        self._turns: dict[str, deque[Ticket]] = {}  # the taker's own

    def check(self, connection_id: str) -> None:
        """Raises CrowdedError when `enter` would: a look without the lock, for before the work is done."""
        if self._count >= self._most // 2:
            self._judge(connection_id)

    def _judge(self, connection_id: str) -> None:
        """Half the line is whoever comes first's. Of the rest, a connection that holds its share gets no more."""
        holds = self._inside.get(connection_id, 0)
        if holds and holds >= self._most // 2 // max(len(self._inside), 1):
            raise CrowdedError(shared_out=True)
        if self._count >= self._most:
            raise CrowdedError(shared_out=False)

    def enter(self, ticket: Ticket) -> None:
        """Stand in line. Raises CrowdedError."""
        connection_id = ticket.delivery.connection_id
        with self._lock:
            if self._count >= self._most // 2:
                self._judge(connection_id)
            self._count += ticket.weight
            self._inside[connection_id] = self._inside.get(connection_id, 0) + ticket.weight
        self._come.put(ticket)

    def leave(self, ticket: Ticket) -> None:
        """The ticket's request is being answered."""
        connection_id = ticket.delivery.connection_id
        with self._lock:
            self._count -= ticket.weight
            left = self._inside[connection_id] - ticket.weight
            if left:
                self._inside[connection_id] = left
            else:
                del self._inside[connection_id]

    def take(self) -> list[Ticket]:
        """Wait for a ticket, then take all that wait beside it, up to the limits. For one thread only."""
        self._sort()
        batch: list[Ticket] = []
        size, turns = 0, self._turns
        while turns and len(batch) < MOST_ROWS and size < MOST_BYTES:
            connection_id, tickets = next(iter(turns.items()))
            ticket = tickets.popleft()
            if not tickets:
                del turns[connection_id]
            elif len(turns) > 1:
                turns[connection_id] = turns.pop(connection_id)  # its next turn is after the others'
            if not ticket.given_up:
                size += len(ticket.delivery.body)
                batch.append(ticket)
        return batch

    def _sort(self) -> None:
        """Put those who have come beside their connection's others; wait for one when there is none."""
        try:
            ticket = self._come.get(block=not self._turns)
            while True:
                tickets = self._turns.get(ticket.delivery.connection_id)
                if tickets is None:
                    self._turns[ticket.delivery.connection_id] = deque((ticket,))
                else:
                    tickets.append(ticket)
                ticket = self._come.get_nowait()
        except Empty:
            return

    def waiting(self) -> int:
        """How many have not been taken yet."""
        return self._come.qsize() + sum(map(len, self._turns.copy().values()))
