"""What waits for its commit."""

from collections.abc import Callable
from queue import Empty, SimpleQueue

from billing.store.inbox import Delivery, Outcome

#: Rows and body bytes of one commit.
MOST_ROWS = 64
MOST_BYTES = 4 * 1024 * 1024


class Ticket:
    """One request that waits. `tell` is called once, when `outcome` is set, or left None for a failure."""

    __slots__ = ("delivery", "given_up", "outcome", "settled", "tell")

    def __init__(self, delivery: Delivery, tell: Callable[[], object]) -> None:
        self.delivery = delivery
        self.tell = tell
        self.outcome: Outcome | None = None
        self.settled = False
        self.given_up = False

    def settle(self, outcome: Outcome | None) -> None:
        """Let the request go on."""
        self.outcome, self.settled = outcome, True
        self.tell()


class Line:
    """Tickets in the order they came. Who may enter is the gate's to say."""

    def __init__(self) -> None:
        self._come: SimpleQueue[Ticket] = SimpleQueue()

    def enter(self, ticket: Ticket) -> None:
        """Stand in line."""
        self._come.put(ticket)

    def take(self) -> list[Ticket]:
        """Wait for a ticket, then take all that wait beside it, up to the limits. For one thread only."""
        batch: list[Ticket] = []
        size = 0
        try:
            while len(batch) < MOST_ROWS and size < MOST_BYTES:
                ticket = self._come.get(block=not batch)
                if not ticket.given_up:
                    size += len(ticket.delivery.body)
                    batch.append(ticket)
        except Empty:
            pass
        return batch

    def waiting(self) -> int:
        """How many have not been taken yet."""
        return self._come.qsize()
