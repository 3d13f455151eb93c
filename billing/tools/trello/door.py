"""Genuine or not, and which action: the room's front door."""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime

from billing.tools import parsing

SIGNATURE = "x-trello-webhook"


def greet(method: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Any HEAD: Trello sends one, unsigned, before it makes the webhook."""
    return method.upper() == "HEAD"


def verify(headers: Mapping[str, str], body: bytes, secret: str, callback_url: str, now: datetime) -> bool:
    """True when the header is the exact base64 of HMAC-SHA1 over the body and the callback URL."""
    given = _utf8(headers.get(SIGNATURE, ""))
    return bool(secret) and hmac.compare_digest(_mac(body, secret, callback_url), given)


def sign(body: bytes, secret: str, callback_url: str, now: datetime, delivery_id: str) -> dict[str, str]:
    """The signature header. Neither the time nor the delivery's id is part of it: the id is in the body."""
    return {SIGNATURE: _mac(body, secret, callback_url).decode("ascii")}


def delivery_id(headers: Mapping[str, str], body: bytes) -> str:
    """`action.id`: the same from every webhook that heard the action, and on every retry."""
    given = _action(body).get("id")
    return given if isinstance(given, str) and parsing.is_id(given) else parsing.fallback_id(body)


def fingerprint(headers: Mapping[str, str], body: bytes) -> str:
    """Of the action without `display`, which is words for people; of the raw bytes when there is no action."""
    action = _action(body)
    if not action:
        return parsing.raw_digest(body)
    return parsing.canonical_digest({key: value for key, value in action.items() if key != "display"})


def _action(body: bytes) -> Mapping[str, object]:
    value = parsing.parse(body).value
    action = value.get("action") if isinstance(value, dict) else None
    return action if isinstance(action, dict) else {}


def _mac(body: bytes, secret: str, callback_url: str) -> bytes:
    return base64.b64encode(hmac.digest(_utf8(secret), body + _utf8(callback_url), "sha1"))


def _utf8(text: str) -> bytes:
    # A header may hold what has no UTF-8 form; that must be a wrong signature, not a fault.
    return text.encode("utf-8", "surrogatepass")
