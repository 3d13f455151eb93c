"""What every room does with bytes from outside: a hardened JSON loader, one canonical form, ids, instants and schemas.

Nothing here knows a tool. A delivery that cannot be read is a value (`Parsed.fault`) or a `MalformedError` that the
room turns into a quarantined reading; it never becomes an exception at the door.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from billing.core import calendar
from billing.core.errors import InvalidError

MAX_DEPTH = 64
MAX_ID = 255
MAX_NAME = 255

_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
#: PostgreSQL keeps no NUL in text, and a lone surrogate has no UTF-8 form.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class MalformedError(InvalidError):
    """A genuine delivery (or answer) has not the shape its kind must have; the message names the field."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A body as JSON, or the reason why it is none. `value` is shared by all readers of the body: never change it."""

    value: Any = None
    fault: str | None = None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _no_constant(text: str) -> float:
    raise ValueError(text)


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)


# The door asks for the id and the fingerprint of one body in a row; the cache saves parsing it again.
@lru_cache(maxsize=16)
def parse(body: bytes) -> Parsed:
    """Strict UTF-8 JSON: no NaN or infinity, no NUL, no lone surrogate, at most `MAX_DEPTH` levels. Never raises."""
    try:
        text = body.decode("utf-8")
        value = _DECODER.decode(text)
    except UnicodeDecodeError:
        return Parsed(fault="the body is not UTF-8")
    except RecursionError:
        return Parsed(fault=f"the JSON is nested deeper than {MAX_DEPTH} levels")
    except ValueError:
        # Also raised for an integer of more digits than Python converts.
        return Parsed(fault="the body is not JSON")
    # Most bodies can be cleared without a walk: bad characters need an escape, and depth needs brackets.
    if "\\u" in text or text.count("{") + text.count("[") >= MAX_DEPTH:
        fault = _fault(value)
        return Parsed(fault=fault) if fault else Parsed(value)
    return Parsed(value)


def _fault(root: object) -> str | None:
    level: list[object] = [root]
    for _ in range(MAX_DEPTH):
        deeper: list[object] = []
        for node in level:
            if isinstance(node, str) and _UNSTORABLE.search(node):
                return "the JSON has a NUL character or a lone surrogate"
            if isinstance(node, dict):
                deeper += node.keys()
                deeper += node.values()
            elif isinstance(node, list):
                deeper += node
        if not deeper:
            return None
        level = deeper
    return f"the JSON is nested deeper than {MAX_DEPTH} levels"


def raw_digest(body: bytes) -> str:
    """Hex SHA-256 of the bytes."""
    return hashlib.sha256(body).hexdigest()


def fallback_id(body: bytes) -> str:
    """The id of a delivery that has none of its own."""
    return f"sha256:{raw_digest(body)}"


def canonical_digest(value: object) -> str:
    """Hex SHA-256 of a parsed value, the same whatever the order of keys and the spacing were."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return raw_digest(text.encode("ascii"))


def is_id(value: object) -> bool:
    """True for a printable string of 1 to 255 characters."""
    return isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable()


class Ident(fields.Field[str]):
    """An id or another short word of a tool."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> str:
        if isinstance(value, str) and is_id(value):
            return value
        raise ValidationError(f"must be a printable string of 1 to {MAX_ID} characters")


class Instant(fields.Field[datetime]):
    """An ISO 8601 instant with its zone, of the years 2000 to 2199, as an aware UTC datetime in whole milliseconds."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> datetime:
        if not (isinstance(value, str) and _INSTANT.fullmatch(value)):
            raise ValidationError("must be an ISO 8601 instant with a zone")
        try:
            at = datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError("names no instant") from None
        if not 2000 <= at.year < 2200:
            raise ValidationError("lies outside the years 2000 to 2199")
        return calendar.whole(at)


class Name(fields.Field[str]):
    """A display name, cut to 255 characters: a long name must not cost its owner the delivery."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> str:
        if not isinstance(value, str):
            raise ValidationError("must be a string")
        return value[:MAX_NAME]


class Shape(Schema):
    """Base of the rooms' schemas: a tool may add keys at any time."""

    class Meta:
        """marshmallow's settings."""

        unknown = EXCLUDE


def check(shape: Schema, value: object, where: str = "") -> dict[str, Any]:
    """The keys of `value` that `shape` names.

    Raises MalformedError that names the first wrong field, by its path from `where`.
    """
    try:
        # marshmallow itself refuses what is no mapping, so its declared type is narrower than its promise.
        loaded: dict[str, Any] = shape.load(value)  # type: ignore[arg-type]
    except ValidationError as error:
        raise MalformedError(_first(error.messages, where)) from None
    return loaded


def _first(messages: object, where: str) -> str:
    if isinstance(messages, Mapping):
        key = min(messages, key=str)
        inner = where if key == "_schema" else f"{where}.{key}".removeprefix(".")
        return _first(messages[key], inner)
    text = str(messages[0]) if isinstance(messages, list) and messages else str(messages)
    return f"{where or 'body'}: {text}"
