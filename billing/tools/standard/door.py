"""Genuine or not, and which event: the room's front door."""

from collections.abc import Mapping
from datetime import datetime

from billing.tools import parsing
from billing.tools.standard import signature
from billing.tools.standard.signature import ID, SIGNATURE, STAMP

#: What of the body is the event; an id or a key of the sender's transport may change from attempt to attempt.
_EVENT_KEYS = ("type", "timestamp", "data")


def greet(method: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Any HEAD: the specification knows no handshake, but senders like to see that an address answers."""
    return method.upper() == "HEAD"


def verify(headers: Mapping[str, str], body: bytes, secret: str, callback_url: str, now: datetime) -> bool:
    """True when the body was signed with `secret` within 300 s of `now`; the address is not part of it."""
    return signature.verify(secret, headers, body, now)


def sign(body: bytes, secret: str, callback_url: str, now: datetime, delivery_id: str) -> dict[str, str]:
    """The three headers. Raises InvalidError when the secret or the id cannot be used."""
    stamp = int(now.timestamp())
    return {ID: delivery_id, STAMP: str(stamp), SIGNATURE: signature.sign(secret, delivery_id, stamp, body)}


def delivery_id(headers: Mapping[str, str], body: bytes) -> str:
    """The header `webhook-id`, which stays over retries."""
    given = headers.get(ID, "")
    return given if parsing.is_id(given) else parsing.fallback_id(body)


def fingerprint(headers: Mapping[str, str], body: bytes) -> str:
    """Of type, timestamp and data in canonical JSON; of the raw bytes when they are no object."""
    value = parsing.parse(body).value
    if not isinstance(value, dict):
        return parsing.raw_digest(body)
    return parsing.canonical_digest({key: value[key] for key in _EVENT_KEYS if key in value})
