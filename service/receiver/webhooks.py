"""`HEAD|POST /webhooks/{tool}/{connection_id}`: 404, 429, 413, 401, commit, 200, judged in this order."""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg
from flask import Flask, Response, request
from werkzeug.exceptions import ClientDisconnected

from billing.core.errors import SekisuError, UnavailableError
from billing.settings import Settings
from billing.store import inbox
from billing.store.db import Database
from billing.tools.room import Room
from service.problem import guard, problem, unavailable
from service.receiver import judge
from service.receiver.committer import Committer
from service.receiver.connections import Connection, Connections
from service.receiver.line import CrowdedError
from service.receiver.request import capped_body, drain, headers
from service.receiver.slow import SLOW
from service.receiver.turnstile import Turnstile, crowded
from service.sparing import Sparing
from workers.bell import Bell

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ID = re.compile(r"[!-~]{1,128}")
_PATH = re.compile(r"/webhooks/([a-z0-9_]+)/([0-9A-Za-z_.-]+)")
_LOG = logging.getLogger("sekisu.receiver")
_FORGED, _AWAY = Sparing(), Sparing()


@dataclass(frozen=True, slots=True)
class Door:
    """All that judging a webhook takes. `clock` is the wall clock (UTC): signatures age by it."""

    db: Database
    connections: Connections
    rooms: judge.Rooms
    committer: Committer
    turnstile: Turnstile
    bell: Bell
    clock: Callable[[], datetime]
    max_body_bytes: int

    def answer(self, environ: "WSGIEnvironment", tool: str, connection_id: str) -> Response | None:
        """Judge a request and keep it if it is genuine; None is 200 with an empty body. Never raises."""
        response = self._answer(environ, tool, connection_id)
        if response is not None and response.status_code == 429:
            self.turnstile.hold()
        return response

    def _answer(self, environ: "WSGIEnvironment", tool: str, connection_id: str) -> Response | None:
        try:
            return self._receive(environ, tool, connection_id)
        except UnavailableError as fault:
            if times := _AWAY.note(connection_id):
                _LOG.warning("%s webhooks of %s were turned away: %s", times, connection_id, fault)
            return unavailable()
        except CrowdedError as fault:
            return crowded(fault)
        except ClientDisconnected:
            return problem(400, "cut_short", "the body ended before its announced length")
        except Exception:  # noqa: BLE001 - the last line of the door: 500 makes the sender come again
            _LOG.exception("a webhook could not be judged")
            return problem(500, "internal", "something went wrong here; it was written down")

    def _receive(self, environ: "WSGIEnvironment", tool: str, connection_id: str) -> Response | None:
        known = self.connections.remembers(connection_id)
        if not known and (refusal := self.turnstile.stranger(connection_id)):
            drain(environ)
            return refusal
        connection = self.connections.find(connection_id) if _ID.fullmatch(connection_id) else None
        if connection is None or connection.tool != tool:
            self.turnstile.nobody(connection_id)
            drain(environ)
            return problem(404, "not_found", "there is no such connection")
        body = capped_body(environ, self.max_body_bytes)
        if body is None:
            return problem(413, "too_large", f"a body may have at most {self.max_body_bytes} bytes")
        self.committer.check(connection.id)
        return self.turnstile.busy(connection.id) or self._judge(connection, environ, body)

    def _judge(self, connection: Connection, environ: "WSGIEnvironment", body: bytes) -> Response | None:
        room, method, found = self._room(connection.tool), environ["REQUEST_METHOD"], headers(environ)
        if room is None:
            return unavailable("this tool's room does not work just now")
        if judge.greets(room, method, found, body):
            return None
        if method == "HEAD":
            return problem(405, "method_not_allowed", "this tool has no handshake", {"Allow": "POST"})
        if not judge.genuine(room, found, body, connection, self.clock()):
            # The secret may be newer than what this process remembers, and many a tool never sends again after a 401.
            if refusal := self.turnstile.forged(connection.id):
                return refusal
            connection = self.connections.anew(connection)
            if not judge.genuine(room, found, body, connection, self.clock()):
                return _refused(connection)
        self.turnstile.genuine.take(connection.id)
        self._keep(*judge.delivery(room, found, body, connection.id))
        return None

    def _room(self, tool: str) -> Room | None:
        try:
            return self.rooms.get(tool)
        except Exception:  # noqa: BLE001 - a broken room breaks its own route only
            _LOG.exception("the room %s cannot be loaded", tool)
            return None

    def _keep(self, delivery: inbox.Delivery, fault: str | None) -> None:
        if self.committer.keep(delivery) != "kept":
            return
        self.bell.read(delivery.connection_id)
        if fault:
            self._alarm(f"the room of {delivery.connection_id} {fault} at delivery {delivery.id}")

    def _alarm(self, detail: str) -> None:
        """The delivery is safe already, so the alarm may fail."""
        try:
            with self.db.transaction("webhook.alarm") as transaction:
                inbox.alarm(transaction, "room_raised", detail)
        except (SekisuError, psycopg.Error):
            _LOG.exception("an alarm was not written down: %s", detail)


def _refused(connection: Connection) -> Response:
    times = _FORGED.note(connection.id)
    if times:
        _LOG.warning("%s deliveries to connection %s were forged, or signed with another secret", times, connection.id)
    if connection.complete:
        return problem(401, "forged", "the signature fits no secret of this connection")
    return unavailable("a secret of this connection cannot be read just now")


class Shortcut:
    """Webhooks of plain paths go past Flask's routing and contexts, which take longer than to judge one."""

    def __init__(self, wsgi: "WSGIApplication", door: Door) -> None:
        self._wsgi = wsgi
        self._door = door

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a webhook; anything else is Flask's."""
        SLOW.enter()
        try:
            return self._call(environ, start_response)
        finally:
            SLOW.leave()

    def _call(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        found = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        if found is None or environ["REQUEST_METHOD"] not in {"HEAD", "POST"}:
            return self._wsgi(environ, start_response)
        response = self._door.answer(environ, found[1], found[2])
        if response is not None:
            return guard(response)(environ, start_response)
        start_response("200 OK", [("Content-Length", "0"), ("Cache-Control", "no-store")])
        return [b""]


def register(app: Flask, settings: Settings, db: Database, bell: Bell, clock: Callable[[], datetime]) -> Door:
    """Add the route to `app`."""
    door = Door(
        db=db,
        connections=Connections(db, settings.vault, settings.public_url),
        rooms=judge.Rooms(),
        committer=Committer(settings.database_url),
        turnstile=Turnstile(settings.rate_connection / settings.web_processes),
        bell=bell,
        clock=clock,
        max_body_bytes=settings.max_body_bytes,
    )

    def receive(tool: str, connection_id: str) -> Response:
        return door.answer(request.environ, tool, connection_id) or Response(status=200)

    app.add_url_rule(
        "/webhooks/<tool>/<connection_id>",
        "webhook",
        receive,
        methods=["HEAD", "POST"],
        provide_automatic_options=False,
    )
    app.wsgi_app = Shortcut(app.wsgi_app, door)  # type: ignore[method-assign]
    return door
