"""Bodies and queries: read once, capped, parsed strictly, every fault named by its field."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import marshmallow
from flask import Request, g, request
from webargs.flaskparser import FlaskParser

from billing.core.errors import InvalidError, NotFoundError
from service.api.faults import FieldsError, MediaTypeError, NotJsonError, TooLargeError
from service.receiver.request import capped_body

_NO_TEXT = re.compile("[\\0\ud800-\udfff]")
#: How deep arrays and objects of a body may nest; the deepest of ours is four.
DEPTH = 32


def take(cap: int) -> None:
    """Read the body before the database is asked for anything: a slow sender holds no connection of the pool.

    Raises TooLargeError over `cap` bytes, and for a path or query that no id of ours can match.
    """
    if "\0" in request.path:
        raise NotFoundError("there is nothing at this address")
    if any("\0" in value for values in request.args.listvalues() for value in values):
        raise InvalidError("a query value holds a NUL character")
    raw = capped_body(request.environ, cap) if request.method in {"POST", "PATCH", "PUT", "DELETE"} else b""
    if raw is None:
        raise TooLargeError(f"the body is over {cap} bytes")
    g.raw_body = raw


def json_body() -> Any:
    """The body as JSON. Raises NotJsonError, MediaTypeError, InvalidError."""
    if g.raw_body and not request.is_json:
        raise MediaTypeError("send the body with `Content-Type: application/json`")
    try:
        text = g.raw_body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as fault:
        raise NotJsonError(f"the body is not JSON: {fault}") from fault
    for text in _texts(value, DEPTH):
        if _NO_TEXT.search(text):
            raise InvalidError("a text of the body holds a character that is none: NUL, or half of a surrogate pair")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(written: str) -> float:
    number = float(written)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object. Of a name that stands twice one reader takes the first value and another the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _texts(value: object, depth: int) -> Iterator[str]:
    if depth == 0:
        raise InvalidError(f"the body nests deeper than {DEPTH}")
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _texts(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, depth - 1)


class Parser(FlaskParser):
    """Loads what `take` read, and answers faults as FieldsError."""

    def load_json(self, req: Request, schema: marshmallow.Schema) -> Any:
        """The body that `take` read."""
        return json_body()

    def handle_error(
        self,
        error: marshmallow.ValidationError,
        req: Request,
        schema: marshmallow.Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        """Name every wrong field at once. Raises FieldsError."""
        by_place = error.messages if isinstance(error.messages, dict) else {"": error.messages}
        raise FieldsError(dict(_flat(part) for place in by_place.values() for part in _paths("", place)))


def _paths(path: str, messages: object) -> Iterator[tuple[str, object]]:
    """(path, messages) of every leaf: `members.0.id`."""
    if not isinstance(messages, dict):
        yield path or "body", messages
        return
    for name, inner in messages.items():
        step = "" if name == "_schema" else str(name)
        yield from _paths(".".join(part for part in (path, step) if part), inner)


def _flat(part: tuple[str, object]) -> tuple[str, list[str]]:
    path, messages = part
    return path, [str(message) for message in messages] if isinstance(messages, list) else [str(messages)]
