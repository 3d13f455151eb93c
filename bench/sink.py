"""The payment endpoint of the bench: one small asyncio server, the same for both sides.

`python -m bench.sink PORT`. It answers every charge `succeeded`, keeps one per id, and counts the added seats it was
asked money for, so that "complete" is read from its book: `GET /book`, and `GET /workspaces`: [seats added, amount].
"""

import asyncio
import json
import re
import sys
import time
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Book:
    """What was asked for. `last_at` is CLOCK_MONOTONIC seconds, comparable between processes of one machine."""

    def __init__(self) -> None:
        self.posts = 0
        self.charges: dict[str, int] = {}
        self.seats = 0
        self.amount = 0
        self.last_at = 0.0
        self.workspaces: dict[str, list[int]] = {}

    def charge(self, body: dict[str, Any]) -> dict[str, object]:
        """One POST /charges; a known id is answered again and counted once."""
        self.posts += 1
        name = str(body["id"])
        if name not in self.charges:
            self.charges[name] = body["amount"]
            self.amount += body["amount"]
            added = sum(line["seats"] for line in body["lines"] if line["kind"] == "seats_added")
            self.seats += added
            told = self.workspaces.setdefault(body["workspace"], [0, 0])
            told[0] += added
            told[1] += body["amount"]
            self.last_at = time.monotonic()
        return {"id": f"sink-{name}", "status": "succeeded"}

    def summary(self) -> dict[str, object]:
        """The counts."""
        return {
            "posts": self.posts,
            "charges": len(self.charges),
            "seats": self.seats,
            "amount": self.amount,
            "last_at": self.last_at,
        }

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, object]]:
        """(status, body) of one request."""
        if (method, path) == ("POST", "/charges"):
            return 200, self.charge(json.loads(body))
        if (method, path) == ("POST", "/refunds"):
            return 200, {"id": f"sink-{json.loads(body)['id']}", "status": "succeeded"}
        if path == "/book":
            return 200, self.summary()
        if path == "/workspaces":
            return 200, dict(self.workspaces)
        name = path.removeprefix("/charges/")
        if name in self.charges:
            return 200, {"id": f"sink-{name}", "status": "succeeded"}
        return 404, {"code": "unknown"}


class Door(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and Content-Length bodies, as `requests` speaks it."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.parts: list[bytes] = []
        self.size = 0
        self.need = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport to answer on."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collects until a whole request is there."""
        self.parts.append(data)
        self.size += len(data)
        if self.size < self.need:
            return
        buffer = b"".join(self.parts)
        while (left := self._serve(buffer)) is not None:
            buffer = left
        self.parts, self.size = [buffer], len(buffer)

    def _serve(self, buffer: bytes) -> bytes | None:
        """Answers the first whole request and gives the rest; None when there is none yet."""
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            self.need = 0
            return None
        found = _LENGTH.search(buffer, 0, end)
        self.need = end + 4 + (int(found[1]) if found else 0)
        if len(buffer) < self.need:
            return None
        method, path, _ = buffer[: buffer.index(b"\r\n")].decode("latin-1").split(" ")
        status, answer = self.book.answer(method, path, buffer[end + 4 : self.need])
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        assert isinstance(self.transport, asyncio.WriteTransport)  # noqa: S101 - narrows the type
        self.transport.write(head.encode() + body)
        rest = buffer[self.need :]
        self.need = 0
        return rest


async def serve(port: int) -> None:
    """Serves on loopback until killed."""
    book = Book()
    server = await asyncio.get_running_loop().create_server(lambda: Door(book), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
