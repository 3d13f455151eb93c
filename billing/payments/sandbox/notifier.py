"""The sandbox's callbacks: signed, and repeated until heard.

On the server's own loop over a few kept connections: threads with an HTTP library beside the loop fought for the
interpreter and cost five times as much per callback, which on a small machine is taken from the product under test.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from billing.payments.wire import signed_headers

#: Tries of one callback: with the waits below, some quarter of an hour.
TRIES_MAX = 30
#: Seconds between two tries at the most.
WAIT_MAX_S = 30.0
#: Seconds for one try, from connecting to the end of the answer.
TRY_MAX_S = 7.0
_SENDERS = 4

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class _Message:
    url: str
    id: str
    body: bytes
    tries: int = 1


class Notifier:
    """Sends each callback `delay_s` seconds after it is asked for. Belongs to the running loop."""

    def __init__(self, secret: str, clock: Callable[[], datetime], delay_s: float) -> None:
        self._secret = secret
        self._clock = clock
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.Queue[_Message] = asyncio.Queue()
        self._senders = [self._loop.create_task(self._work()) for _ in range(_SENDERS)]

    def tell(self, url: str, event: str, data: dict[str, object], *, copies: int = 1) -> None:
        """Send one callback; all `copies` of it have the same `webhook-id` and bytes."""
        at = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        body = json.dumps({"type": event, "timestamp": at, "data": data}, separators=(",", ":")).encode()
        message = _Message(url, f"msg_{secrets.token_hex(12)}", body)
        for _ in range(copies):
            self._loop.call_later(self._delay_s, self._due.put_nowait, message)

    def close(self) -> None:
        """Forget what was not sent."""
        for sender in self._senders:
            sender.cancel()

    async def _work(self) -> None:
        """One sender: takes what is due, and tries again later what was not heard."""
        kept: dict[str, _Connection] = {}
        try:
            while True:
                await self._deliver(await self._due.get(), kept)
        finally:
            for _, writer in kept.values():
                writer.close()

    async def _deliver(self, message: _Message, kept: dict[str, _Connection]) -> None:
        status = await self._try(message, kept)
        # 410 is how a receiver of Standard Webhooks says "never again".
        if 200 <= status < 300 or status == 410 or message.tries >= TRIES_MAX:
            return
        again = _Message(message.url, message.id, message.body, message.tries + 1)
        self._loop.call_later(min(0.1 * 2.0**message.tries, WAIT_MAX_S), self._due.put_nowait, again)

    async def _try(self, message: _Message, kept: dict[str, _Connection]) -> int:
        """The HTTP status of the answer; 0 when there was none."""
        where = urlsplit(message.url)
        origin = f"{where.scheme}://{where.netloc}"
        connection = kept.pop(origin, None)
        try:
            async with asyncio.timeout(TRY_MAX_S):
                connection = connection or await _connect(where)
                connection[1].write(self._rendered(message, where))
                status, keep = await _read_answer(connection[0])
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            status, keep = 0, False
        if keep and connection:
            kept[origin] = connection
        elif connection:
            with contextlib.suppress(OSError):
                connection[1].close()
        return status

    def _rendered(self, message: _Message, where: SplitResult) -> bytes:
        path = (where.path or "/") + (f"?{where.query}" if where.query else "")
        headers = {
            "Host": where.netloc.rpartition("@")[2],
            "Content-Type": "application/json",
            "Content-Length": str(len(message.body)),
        } | signed_headers(self._secret, message.id, self._clock(), message.body)
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + message.body


async def _connect(where: SplitResult) -> _Connection:
    secure = where.scheme == "https"
    return await asyncio.open_connection(where.hostname, where.port or (443 if secure else 80), ssl=secure or None)


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status, and whether the connection can carry another message."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    if "content-length:" not in head:
        # Told by its end or in chunks: the status is all we want, so the connection is given up.
        return status, False
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    await reader.readexactly(length)
    return status, "connection: close" not in head
