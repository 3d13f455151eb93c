"""Genuine or not, and which event: the room's front door."""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime

from billing.core.errors import InvalidError
from billing.tools import parsing

SIGNATURE = "x-chatworkwebhooksignature"

#: An edited message. Two edits in one second share an id, so the text of one is not part of what the event is.
UPDATED = "message_updated"


def greet(method: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Any HEAD: Chatwork knows no handshake, but a person who sets it up likes to see that the address answers."""
    return method.upper() == "HEAD"


def verify(headers: Mapping[str, str], body: bytes, secret: str, callback_url: str, now: datetime) -> bool:
    """True when the header is the exact base64 of HMAC-SHA256 over the body; the key is the token, base64-decoded.

    Constant time. Neither the address nor the time is signed. A token that is empty or no base64 verifies nothing.
    """
    key = _key(secret)
    # A header may hold what has no UTF-8 form; that must be a wrong signature, not a fault.
    given = headers.get(SIGNATURE, "").encode("utf-8", "surrogatepass")
    return bool(key) and hmac.compare_digest(_mac(key, body), given)


def sign(body: bytes, secret: str, callback_url: str, now: datetime, delivery_id: str) -> dict[str, str]:
    """The signature header. Raises InvalidError when the token is not base64."""
    key = _key(secret)
    if not key:
        raise InvalidError("a Chatwork webhook token must be base64")
    return {SIGNATURE: _mac(key, body).decode("ascii")}


def delivery_id(headers: Mapping[str, str], body: bytes) -> str:
    """Composed of the webhook, the type, the message and its time of update, because the event has no id."""
    envelope = _object(parsing.parse(body).value)
    event = _object(envelope.get("webhook_event"))
    words = (envelope.get("webhook_setting_id"), envelope.get("webhook_event_type"), event.get("message_id"))
    updated = event.get("update_time")
    if not all(map(parsing.is_id, words)) or not isinstance(updated, int) or isinstance(updated, bool):
        return parsing.fallback_id(body)
    composed = ":".join([*map(str, words), str(updated)])
    return composed if parsing.is_id(composed) else parsing.fallback_id(body)


def fingerprint(headers: Mapping[str, str], body: bytes) -> str:
    """Of the type and the event; of the raw bytes when there is no event."""
    envelope = _object(parsing.parse(body).value)
    word, event = envelope.get("webhook_event_type"), _object(envelope.get("webhook_event"))
    if not event:
        return parsing.raw_digest(body)
    told = {key: value for key, value in event.items() if not (word == UPDATED and key == "body")}
    return parsing.canonical_digest([word, told])


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _key(token: str) -> bytes:
    try:
        return base64.b64decode(token, validate=True)
    except ValueError:
        return b""


def _mac(key: bytes, body: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, body, "sha256"))
