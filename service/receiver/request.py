"""A request as the receiver takes it: raw bytes, capped, and its headers by lower-case name."""

import re
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import get_input_stream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Bytes of a body we do not want that are read and dropped, so that its sender gets to read our answer.
DRAIN = 8 * 1024 * 1024
_CHUNK = 65_536
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
#: Headers no room signs by: what they hold is somebody's password.
_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization", "proxy"})


def capped_body(environ: "WSGIEnvironment", cap: int) -> bytes | None:
    """The body; None when it is over `cap` bytes, and then the rest of it was read and dropped.

    Read to `cap + 1` here, because servers cut a chunked body at Flask's own limit in silence. Raises
    ClientDisconnected when the sender left before the end.
    """
    return _capped(get_input_stream(environ), cap, environ.get("CONTENT_LENGTH"))


def _capped(stream: IO[bytes], cap: int, promised: str | None) -> bytes | None:
    body = bytearray()
    while len(body) <= cap:
        chunk = _read(stream, cap + 1 - len(body))
        if not chunk:
            return _whole(bytes(body), promised)
        body += chunk
    _drop(stream)
    return None


def _read(stream: IO[bytes], size: int) -> bytes:
    try:
        return stream.read(size)
    except OSError as fault:
        raise ClientDisconnected from fault


def _whole(body: bytes, promised: str | None) -> bytes:
    # A tool that cannot sign would else leave us half an event.
    if promised and promised.isdecimal() and int(promised) != len(body):
        raise ClientDisconnected
    return body


def _drop(stream: IO[bytes]) -> None:
    dropped = 0
    while dropped < DRAIN:
        chunk = _read(stream, _CHUNK)
        if not chunk:
            return
        dropped += len(chunk)


def headers(environ: "WSGIEnvironment") -> dict[str, str]:
    """The headers, by lower-case name."""
    found = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"}
    found["content-type"] = str(environ.get("CONTENT_TYPE", ""))
    return found


def storable(found: Mapping[str, str]) -> dict[str, str]:
    """The headers that are kept, with nothing the database cannot hold."""
    return {
        name: value if value.isascii() and "\0" not in value else _UNSTORABLE.sub("\ufffd", value)
        for name, value in found.items()
        if name not in _PRIVATE
    }
