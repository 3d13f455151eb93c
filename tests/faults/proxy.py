"""A TCP proxy before PostgreSQL that cuts a connection at its COMMIT: before the server heard it, or behind it."""

import asyncio
import contextlib
import threading
from typing import Literal

#: How a COMMIT looks on the wire (a simple query, PostgreSQL's protocol 3).
_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
#: The receiver's committer commits with each statement; a batch of bodies is longer than what it asks else.
_COMMITTER, _SYNC, _BATCH = b"sekisu committer", b"S\x00\x00\x00\x04", 600

Side = Literal["before", "behind"]


class Proxy:
    """Listens on a port of its own in a thread of its own; hand its `port` to the product."""

    def __init__(self, upstream: int) -> None:
        self.upstream, self.port = upstream, 0
        self.cuts = 0
        self._side: Side | None = None
        self._left = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="proxy", daemon=True)
        self._thread.start()
        self._started.wait()

    def cut(self, side: Side, times: int) -> None:
        """Cut the next `times` commits."""
        self._side, self._left = side, times

    def mend(self) -> None:
        """Cut no more."""
        self._side = None

    def close(self) -> None:
        """Stop listening; what is connected is cut."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        async with server:
            await self._stop.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        tasks: list[asyncio.Task[None]] = []
        with contextlib.suppress(OSError):
            behind, before = await asyncio.open_connection("127.0.0.1", self.upstream)
            writers.append(before)
            answers = asyncio.create_task(_pump(behind, writer))
            tasks = [answers, asyncio.create_task(self._ask(reader, before, answers))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in writers:
            each.close()

    async def _ask(
        self, reader: asyncio.StreamReader, before: asyncio.StreamWriter, answers: asyncio.Task[None]
    ) -> None:
        committer = False
        while chunk := await reader.read(65_536):
            committer = committer or _COMMITTER in chunk
            commits = _COMMIT in chunk or (committer and _SYNC in chunk and len(chunk) > _BATCH)
            side = self._take() if commits else None
            if side == "before":
                return
            if side == "behind":
                answers.cancel()  # the server does it, and nobody hears of it
            before.write(chunk)
            await before.drain()
            if side:
                await asyncio.sleep(0.2)
                return

    def _take(self) -> Side | None:
        if self._side is None or not self._left:
            return None
        self._left -= 1
        self.cuts += 1
        return self._side


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
