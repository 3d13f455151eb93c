"""As much of HTTP/1.1 as the outbound protocol needs, on asyncio streams: keep-alive, Content-Length bodies."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

#: Bytes of a request's body: a charge of 10,000 lines is some 3 MB.
BODY_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


#: Answers a request with a status and a JSON value, or None to end the connection without a word.
Handler = Callable[[Request], Awaitable[tuple[int, object] | None]]


class _BadRequestError(Exception):
    """The bytes are no request that we read; the message is the answer."""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
    """Answer the requests of one connection, one after the other, until the peer ends it."""
    # The peer may be gone at any moment, and at the end of the sandbox so are we: neither is a fault.
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        try:
            while await _serve_one(reader, writer, handler):
                pass
        finally:
            writer.close()


async def _serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> bool:
    """Answer one request; False when the connection is to end."""
    try:
        request = await _read_request(reader, writer)
    except (_BadRequestError, asyncio.LimitOverrunError, ValueError) as fault:
        writer.write(_rendered(400, {"code": "bad_request", "detail": str(fault)}, keep=False))
        await writer.drain()
        return False
    answered = await handler(request)
    if answered is None:
        writer.transport.abort()
        return False
    keep = request.headers.get("connection", "").lower() != "close"
    writer.write(_rendered(*answered, keep=keep))
    await writer.drain()
    return keep


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    method, path, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise _BadRequestError("send Content-Length; chunked bodies are not read here")
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_BYTES_MAX:
        raise _BadRequestError(f"the body may have {BODY_BYTES_MAX} bytes")
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(length) if length else b""
    return Request(method, path.partition("?")[0], headers, body)


def _rendered(status: int, value: object, *, keep: bool) -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode("ascii") + body
