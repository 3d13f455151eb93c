"""Requests as bytes on a socket, so that nothing between the corpus and the server makes them decent."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.flows.house import House

_PIECE = 65_536


@dataclass(frozen=True)
class Answer:
    """What came back; `status` 0: the connection was closed without a word."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The content type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0]

    def told(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def post(house: House, path: str, body: bytes, headers: Mapping[str, str], *, chunked: bool = False) -> Answer:
    """POST and read the answer to its end."""
    size = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
    return talk(house, head("POST", path, {**headers, **size}), *_parts(body, chunked=chunked))


def head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: door.example", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def talk(house: House, *parts: bytes) -> Answer:
    """Send the parts, whatever the server says meanwhile, and read its answer."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=30) as line:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                line.sendall(part)
        return _answer(b"".join(_pieces(line)))


def _parts(body: bytes, *, chunked: bool) -> Iterator[bytes]:
    if not chunked:
        yield body
        return
    for start in range(0, len(body), _PIECE):
        part = body[start : start + _PIECE]
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def _pieces(line: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(ConnectionResetError):
        while piece := line.recv(_PIECE):
            yield piece


def _answer(data: bytes) -> Answer:
    top, _, body = data.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first[9:12] or 0), headers, body)
