"""What the door asks a room, guarded: a room that raises breaks neither the door nor the delivery."""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from billing.store.ids import new_id
from billing.store.inbox import Delivery
from billing.tools import parsing, room
from billing.tools.room import Room
from service.receiver.connections import Connection
from service.receiver.request import storable

_FINGERPRINT = re.compile(r"[0-9a-zA-Z:_-]{1,128}")

_LOG = logging.getLogger("sekisu.receiver")


class Rooms:
    """The rooms this process has loaded; `room.load` looks in the folder each time."""

    def __init__(self, load: Callable[[str], Room] = room.load) -> None:
        self._load = load
        self._loaded: dict[str, Room] = {}

    def get(self, tool: str) -> Room:
        """The room of `tool`; whatever its import raises goes to the caller."""
        found = self._loaded.get(tool)
        if found is None:
            found = self._loaded[tool] = self._load(tool)
        return found


def genuine(chosen: Room, headers: Mapping[str, str], body: bytes, connection: Connection, now: datetime) -> bool:
    """True when any live secret fits. All are tried, so that the time taken does not tell which one did."""
    if not chosen.SIGNED:
        return True

    def fits(secret: str) -> bool:
        try:
            return chosen.verify(headers, body, secret, connection.callback_url, now)
        except Exception:  # noqa: BLE001 - what cannot be checked is not genuine
            _LOG.exception("the room %s raised in verify", connection.tool)
            return False

    return any([fits(secret) for secret in connection.secrets])  # noqa: C419 - all of them


def greets(chosen: Room, method: str, headers: Mapping[str, str], body: bytes) -> bool:
    """True when the request is the tool's handshake."""
    try:
        return chosen.greet(method, headers, body)
    except Exception:  # noqa: BLE001 - then it is judged like any other request
        _LOG.exception("a room raised in greet")
        return False


def delivery(chosen: Room, headers: Mapping[str, str], body: bytes, connection_id: str) -> tuple[Delivery, str | None]:
    """The delivery to keep, and what to raise an alarm about: an id or a fingerprint the room could not give."""
    digest = hashlib.sha256(body).hexdigest()
    given, fault_of_id = _asked(chosen.delivery_id, headers, body, parsing.is_id)
    mark, fault_of_mark = _asked(chosen.fingerprint, headers, body, _is_fingerprint)
    found = Delivery(
        id=new_id("dl"),
        connection_id=connection_id,
        delivery_id=given or f"sha256:{digest}",
        fingerprint=mark or digest,
        sha256=digest,
        headers=json.dumps(storable(headers)),
        body=body,
    )
    return found, fault_of_id or fault_of_mark


def _is_fingerprint(value: object) -> bool:
    return isinstance(value, str) and _FINGERPRINT.fullmatch(value) is not None


def _asked(
    question: Callable[[Mapping[str, str], bytes], str],
    headers: Mapping[str, str],
    body: bytes,
    good: Callable[[object], bool],
) -> tuple[str | None, str | None]:
    """The room's answer, or the fault that takes its place."""
    try:
        answer = question(headers, body)
    except Exception as fault:  # noqa: BLE001 - the delivery is kept all the same, by its digest
        _LOG.exception("a room raised in %s", question)
        return None, f"raised {type(fault).__name__}"
    if not good(answer):
        return None, "gave an id or a fingerprint that cannot be kept"
    return answer, None
