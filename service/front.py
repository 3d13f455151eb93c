"""The web process as its server meets it: an ASGI application on one loop (ADR 0013).

The loop reads every body, in time and within bounds, and judges webhooks itself. The rest is Flask's, on threads that
neither who sends slowly nor who reads slowly can hold.
"""

import asyncio
import io
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from flask import Flask, Response

from service.problem import guard, problem, unavailable
from service.receiver.bodies import Bodies, CutShortError, FullError, Receive, Scope
from service.receiver.waits import OnLoop
from service.receiver.webhooks import Asked, Door

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Threads for what Flask answers, and for what a webhook's judgement asks the database.
_FLASK_THREADS = 32
_DOOR_THREADS = 16
_PATH = re.compile(r"/webhooks/([a-z0-9_]+)/([0-9A-Za-z_.-]+)")
_TAKEN: tuple[int, list[tuple[bytes, bytes]]] = (200, [(b"content-length", b"0"), (b"cache-control", b"no-store")])

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Front:
    """Serves `app`, a Flask application with a door."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._door: Door = app.extensions["sekisu"]["door"]
        self._bodies = Bodies()
        self._threads = ThreadPoolExecutor(_FLASK_THREADS, "flask")
        self._judges = ThreadPoolExecutor(_DOOR_THREADS, "door")
        self._waits: OnLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; the server starts no other kind of scope."""
        try:
            async with self._bodies.of(scope, receive, self._door.max_body_bytes) as body:
                answer = await self._answer(scope, body)
        except CutShortError:
            answer = problem(400, "cut_short", "the body ended before its announced length, or took too long")
        except FullError:
            answer = unavailable("too many bodies are under way just now")
        await _tell(answer, send)

    async def _answer(self, scope: Scope, body: bytes) -> Response | None:
        found = _PATH.fullmatch(scope["path"]) if scope["method"] in {"HEAD", "POST"} else None
        loop = asyncio.get_running_loop()
        if found is None:
            return await loop.run_in_executor(self._threads, _flask, self._app, _environ(scope, body))
        if self._waits is None or self._waits.loop is not loop:
            self._waits = OnLoop(loop, self._judges)
        kept = body if len(body) <= self._door.max_body_bytes else None
        return await self._door.answer(Asked(scope["method"], found[1], found[2], _headers(scope), kept), self._waits)


async def _tell(answer: Response | None, send: Send) -> None:
    if answer is None:
        (status, headers), data = _TAKEN, b""
    else:
        status, data = answer.status_code, answer.get_data()
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in guard(answer).headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def _headers(scope: Scope) -> dict[str, str]:
    """By lower-case name; what stands twice is joined, as HTTP has it."""
    found = {"content-type": ""}
    for name, value in _texts(scope):
        found[name] = f"{found[name]},{value}" if found.get(name) else value
    return found


def _texts(scope: Scope) -> Iterator[tuple[str, str]]:
    for name, value in scope["headers"]:
        yield name.decode("latin-1"), value.decode("latin-1")


def _flask(app: Flask, environ: "WSGIEnvironment") -> Response:
    """On a thread. The whole answer is taken before any of it goes out."""
    return Response.from_app(app, environ, buffered=True)  # type: ignore[return-value]


def _environ(scope: Scope, body: bytes) -> "WSGIEnvironment":
    """The request as PEP 3333 has it. A name with an underscore is left out: it could pass for another header."""
    (server, port), (client, _) = scope["server"], scope["client"]
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in _headers(scope).items():
        if "_" not in name:
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE")
    environ["CONTENT_LENGTH"] = str(len(body))
    for unneeded in ("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):
        environ.pop(unneeded, None)
    return environ
