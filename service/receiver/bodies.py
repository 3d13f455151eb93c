"""Bodies as they come in: each within ten seconds, and all of a process within bounds (ADR 0013)."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from service.receiver.request import DRAIN

#: Seconds a body may take.
SECONDS = 10.0
#: Bytes of bodies that one process holds at a time.
MOST_BYTES = 128 * 1024 * 1024

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class CutShortError(Exception):
    """The sender left before the end, or took too long."""


class FullError(Exception):
    """So many bodies are under way that there is no room for this one."""


class Bodies:
    """What the requests of this process have sent. Used on its loop only."""

    def __init__(self, most: int = MOST_BYTES, seconds: float = SECONDS) -> None:
        self.held = 0
        self.most = most
        self.seconds = seconds

    def of(self, scope: Scope, receive: Receive, cap: int) -> "Body":
        """The body of a request, for as long as it is needed: `async with bodies.of(...) as body`."""
        return Body(self, scope, receive, cap)


class Body:
    """Reads one body on entering: what is over `cap` bytes is cut after `cap + 1`, and the rest read and dropped.

    Entering raises CutShortError and FullError.
    """

    __slots__ = ("_all", "_cap", "_held", "_receive", "_scope")

    def __init__(self, everyone: Bodies, scope: Scope, receive: Receive, cap: int) -> None:
        self._all, self._scope, self._receive, self._cap = everyone, scope, receive, cap
        self._held = 0

    async def __aenter__(self) -> bytes:
        try:
            async with asyncio.timeout(self._all.seconds):
                return await self._read(promised(self._scope))
        except TimeoutError:
            self._let_go()
            raise CutShortError from None
        except BaseException:
            self._let_go()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._let_go()

    async def _read(self, length: int | None) -> bytes:
        """`length`: what was promised; None: the body says itself where it ends."""
        body, come, more = bytearray(), 0, length != 0
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise CutShortError
            part = message.get("body", b"")
            come += len(part)
            if len(body) <= self._cap:
                self._hold(len(part))
                body += part
            more = message.get("more_body", False) and come != length and come <= self._cap + DRAIN
        if length is not None and come < length and come <= self._cap:
            raise CutShortError
        return bytes(body[: self._cap + 1])

    def _hold(self, size: int) -> None:
        if self._all.held + size > self._all.most:
            raise FullError
        self._all.held += size
        self._held += size

    def _let_go(self) -> None:
        self._all.held -= self._held
        self._held = 0


def promised(scope: Scope) -> int | None:
    """How many bytes the head announces: 0 without a body, None for one in chunks."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            return None
    return 0
