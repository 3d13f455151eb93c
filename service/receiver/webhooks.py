"""`HEAD|POST /webhooks/{tool}/{connection_id}`: 404, 413, 401, commit, 200, judged in this order."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg
from flask import Flask, Response, request

from billing.core.errors import SekisuError, UnavailableError
from billing.settings import Settings
from billing.store import inbox
from billing.store.db import Database
from billing.tools.room import Room
from service.problem import problem, unavailable
from service.receiver import judge
from service.receiver.committer import Committer
from service.receiver.connections import Connection, Connections
from service.receiver.request import capped_body, drain, headers
from workers.bell import Bell

_ID = re.compile(r"[!-~]{1,128}")
_LOG = logging.getLogger("sekisu.receiver")


@dataclass(frozen=True, slots=True)
class Door:
    """All that judging a webhook takes. `clock` is the wall clock (UTC): signatures age by it."""

    db: Database
    connections: Connections
    rooms: judge.Rooms
    committer: Committer
    bell: Bell
    clock: Callable[[], datetime]
    max_body_bytes: int

    def receive(self, tool: str, connection_id: str) -> Response:
        """Judge the request of the current context and keep it if it is genuine. Raises UnavailableError."""
        connection = self.connections.find(connection_id) if _ID.fullmatch(connection_id) else None
        if connection is None or connection.tool != tool:
            drain(request.environ)
            return problem(404, "not_found", "there is no such connection")
        body = capped_body(request.environ, self.max_body_bytes)
        if body is None:
            return problem(413, "too_large", f"a body may have at most {self.max_body_bytes} bytes")
        return self._judge(connection, body)

    def _judge(self, connection: Connection, body: bytes) -> Response:
        room = self._room(connection.tool)
        if room is None:
            return unavailable("this tool's room does not work just now")
        found = headers(request.environ)
        if judge.greets(room, request.method, found, body):
            return Response(status=200)
        if request.method == "HEAD":
            return problem(405, "method_not_allowed", "this tool has no handshake", {"Allow": "POST"})
        if judge.genuine(room, found, body, connection, self.clock()):
            return self._keep(*judge.delivery(room, found, body, connection.id))
        if connection.complete:
            return problem(401, "forged", "the signature fits no secret of this connection")
        return unavailable("a secret of this connection cannot be read just now")

    def _room(self, tool: str) -> Room | None:
        try:
            return self.rooms.get(tool)
        except Exception:  # noqa: BLE001 - a broken room breaks its own route only
            _LOG.exception("the room %s cannot be loaded", tool)
            return None

    def _keep(self, delivery: inbox.Delivery, fault: str | None) -> Response:
        outcome = self.committer.keep(delivery)
        if outcome == "kept":
            self.bell.read(delivery.connection_id)
            if fault:
                self._alarm(f"the room of {delivery.connection_id} {fault} at delivery {delivery.id}")
        return Response(status=200)

    def _alarm(self, detail: str) -> None:
        """The delivery is safe already, so the alarm may fail."""
        try:
            with self.db.transaction() as transaction:
                inbox.alarm(transaction, "room_raised", detail)
        except (SekisuError, psycopg.Error):
            _LOG.exception("an alarm was not written down: %s", detail)


def register(app: Flask, settings: Settings, db: Database, bell: Bell, clock: Callable[[], datetime]) -> Door:
    """Add the route to `app`."""
    door = Door(
        db=db,
        connections=Connections(db, settings.vault, settings.public_url),
        rooms=judge.Rooms(),
        committer=Committer(settings.database_url),
        bell=bell,
        clock=clock,
        max_body_bytes=settings.max_body_bytes,
    )

    def receive(tool: str, connection_id: str) -> Response:
        try:
            return door.receive(tool, connection_id)
        except UnavailableError as fault:
            _LOG.warning("a webhook was turned away: %s", fault)
            return unavailable()

    app.add_url_rule(
        "/webhooks/<tool>/<connection_id>",
        "webhook",
        receive,
        methods=["HEAD", "POST"],
        provide_automatic_options=False,
    )
    return door
