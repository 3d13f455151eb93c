"""Who comes too often: allowances of connections, of unknown ids, and of signatures that do not fit (ADR 0011)."""

import time
from collections.abc import Callable

from flask import Response

from service.limits import Buckets, slot, strangers, too_many
from service.problem import unavailable
from service.receiver.gate import CrowdedError

#: Forged requests a second and connection that are looked at twice, in one process.
FORGED_RATE = 4.0
#: Seconds before a 429 goes out: a sender that asks again at once is slowed, and costs less than it takes.
PAUSE = 1.0

Clock = Callable[[], float]


class Turnstile:
    """Allowances in one process. `rate`: genuine deliveries a second of one connection, 0 for no limit.

    A forger uses up an allowance of forgers only: what a genuine sender may send is counted after its signature fits.
    """

    def __init__(self, rate: float, clock: Clock = time.monotonic) -> None:
        self.genuine = Buckets(rate, clock=clock)
        self._forged = Buckets(FORGED_RATE, clock=clock)
        self._unknown = strangers(clock)

    def stranger(self, connection_id: str) -> Response | None:
        """A 429 for an id this process has not met, when too many such ids turned out to be nobody's."""
        wait = self._unknown.wait(slot(connection_id))
        return too_many(wait, "too many webhooks for connections that do not exist; come again later") if wait else None

    def nobody(self, connection_id: str) -> None:
        """The id turned out to be nobody's."""
        self._unknown.take(slot(connection_id))

    def busy(self, connection_id: str) -> Response | None:
        """A 429 for a connection that has used up its allowance."""
        wait = self.genuine.wait(connection_id)
        return too_many(wait, "this connection sends more than its allowance; come again later") if wait else None

    def forged(self, connection_id: str) -> Response | None:
        """A 429 when so many signatures did not fit that no more are looked at twice: it may yet be a genuine one."""
        wait = self._forged.wait(connection_id)
        if wait:
            return too_many(wait, "too many signatures do not fit the secrets of this connection; come again later")
        self._forged.take(connection_id)
        return None


def crowded(fault: CrowdedError) -> Response:
    """429 for a connection that is the crowd itself, 503 for one that others hold up."""
    if fault.own:
        return too_many(1.0, "this connection has too many deliveries waiting; come again later")
    return unavailable("too many deliveries wait just now")
