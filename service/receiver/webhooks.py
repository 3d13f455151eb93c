"""`HEAD|POST /webhooks/{tool}/{connection_id}`: 404, 429, 413, 401, commit, 200, judged in this order."""

import logging
import re
from collections.abc import Callable, Mapping
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
from service.receiver.gate import HEAVY, CrowdedError
from service.receiver.request import capped_body, headers
from service.receiver.turnstile import PAUSE, Turnstile, crowded
from service.receiver.waits import Blocking, Waits, run
from service.sparing import Sparing
from workers.bell import Bell

_ID = re.compile(r"[!-~]{1,128}")
_LOG = logging.getLogger("sekisu.receiver")
_FORGED, _AWAY = Sparing(), Sparing()


@dataclass(frozen=True, slots=True)
class Asked:
    """One webhook request. `headers` by lower-case name; `body` is None when it was over the cap."""

    method: str
    tool: str
    connection_id: str
    headers: Mapping[str, str]
    body: bytes | None


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

    async def answer(self, asked: Asked, waits: Waits) -> Response | None:
        """Judge a request and keep it if it is genuine; None is 200 with an empty body. Never raises."""
        response = await self._answer(asked, waits)
        if response is not None and response.status_code == 429:
            await waits.pause(PAUSE)
        return response

    async def _answer(self, asked: Asked, waits: Waits) -> Response | None:
        try:
            async with waits.turn(asked.connection_id, len(asked.body or b"")):
                return await self._receive(asked, waits)
        except UnavailableError as fault:
            if times := _AWAY.note(asked.connection_id):
                _LOG.warning("%s webhooks of %s were turned away: %s", times, asked.connection_id, fault)
            return unavailable()
        except CrowdedError as fault:
            return crowded(fault)
        except Exception:  # noqa: BLE001 - the last line of the door: 500 makes the sender come again
            _LOG.exception("a webhook could not be judged")
            return problem(500, "internal", "something went wrong here; it was written down")

    async def _receive(self, asked: Asked, waits: Waits) -> Response | None:
        name = asked.connection_id
        connection = self.connections.recall(name)
        if connection is None:
            if not self.connections.remembers(name) and (refusal := self.turnstile.stranger(name)):
                return refusal
            connection = await waits.call(self.connections.find, name) if _ID.fullmatch(name) else None
        if connection is None or connection.tool != asked.tool:
            self.turnstile.nobody(name)
            return problem(404, "not_found", "there is no such connection")
        if asked.body is None:
            return problem(413, "too_large", f"a body may have at most {self.max_body_bytes} bytes")
        return self.turnstile.busy(name) or await self._judge(connection, asked, asked.body, waits)

    async def _judge(self, connection: Connection, asked: Asked, body: bytes, waits: Waits) -> Response | None:
        room = self._room(connection.tool)
        if room is None:
            return unavailable("this tool's room does not work just now")
        if judge.greets(room, asked.method, asked.headers, body):
            return None
        if asked.method == "HEAD":
            return problem(405, "method_not_allowed", "this tool has no handshake", {"Allow": "POST"})
        if not await self._genuine(room, asked, body, connection, waits):
            # The secret may be newer than what this process remembers, and many a tool never sends again after a 401.
            if refusal := self.turnstile.forged(connection.id):
                return refusal
            connection = await waits.call(self.connections.anew, connection)
            if not await self._genuine(room, asked, body, connection, waits):
                return _refused(connection)
        self.turnstile.genuine.take(connection.id)
        await self._keep(*judge.delivery(room, asked.headers, body, connection.id), waits)
        return None

    async def _genuine(self, room: Room, asked: Asked, body: bytes, connection: Connection, waits: Waits) -> bool:
        if len(body) < HEAVY:
            return judge.genuine(room, asked.headers, body, connection, self.clock())
        return await waits.call(judge.genuine, room, asked.headers, body, connection, self.clock())

    def _room(self, tool: str) -> Room | None:
        try:
            return self.rooms.get(tool)
        except Exception:  # noqa: BLE001 - a broken room breaks its own route only
            _LOG.exception("the room %s cannot be loaded", tool)
            return None

    async def _keep(self, delivery: inbox.Delivery, fault: str | None, waits: Waits) -> None:
        if await waits.keep(self.committer, delivery) != "kept":
            return
        self.bell.read(delivery.connection_id)
        if fault:
            told = f"the room of {delivery.connection_id} {fault} at delivery {delivery.id}"
            await waits.call(self._alarm, told)

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
        body = capped_body(request.environ, door.max_body_bytes)
        asked = Asked(request.method, tool, connection_id, headers(request.environ), body)
        return run(door.answer(asked, Blocking())) or Response(status=200)

    app.add_url_rule(
        "/webhooks/<tool>/<connection_id>",
        "webhook",
        receive,
        methods=["HEAD", "POST"],
        provide_automatic_options=False,
    )
    return door
