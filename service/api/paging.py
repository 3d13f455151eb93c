"""Paging: `next` is the sort key of the last row, made opaque."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from billing.core import calendar
from billing.core.errors import InvalidError
from service.api.faults import FieldsError
from service.api.fields import Instant

DEFAULT, MOST = 100, 1000
_MAX_SEQ = 2**63 - 1


class Query(Schema):
    """What every list takes."""

    class Meta:
        """An unknown query parameter changes nothing."""

        unknown = EXCLUDE

    cursor = fields.String(metadata={"description": "The `next` of the page before."})
    limit = fields.Integer(
        load_default=DEFAULT, validate=validate.Range(min=1, max=MOST), metadata={"description": "Rows of a page."}
    )


class KnownQuery(Query):
    """What lists take that can be told as they were known earlier."""

    as_known_at = Instant(metadata={"description": "Only what had been heard by this instant."})


class AccountQuery(Query):
    """What lists take that the admin may narrow to one account."""

    account_id = fields.String(metadata={"description": "Admin keys only: the account."})


def after(query: Mapping[str, Any], name: str, *kinds: type) -> tuple[Any, ...] | None:
    """The position that the query's cursor stands for in the list `name`; None: the beginning. Raises FieldsError."""
    if "cursor" not in query:
        return None
    try:
        told = json.loads(base64.urlsafe_b64decode(query["cursor"].encode("ascii") + b"=="))
        if not isinstance(told, list) or told[:1] != [name] or len(told) != len(kinds) + 1:
            raise InvalidError("of another list")
        return tuple(_value(value, kind) for value, kind in zip(told[1:], kinds, strict=True))
    except (InvalidError, ValueError, binascii.Error, RecursionError, OverflowError) as fault:
        raise FieldsError({"cursor": ["Not a cursor of this list; pass back a `next` as it came."]}) from fault


def _value(value: object, kind: type) -> Any:
    if kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(calendar.read(value).isoformat())
    if type(value) is not kind or value == "" or (kind is str and "\0" in str(value)):
        raise InvalidError("not a position")
    if isinstance(value, int) and not 0 <= value <= _MAX_SEQ:
        raise InvalidError("not a position")
    return value


def page(
    rows: Sequence[Mapping[str, Any]],
    query: Mapping[str, Any],
    name: str,
    key: Callable[[Mapping[str, Any]], tuple[Any, ...]],
) -> dict[str, Any]:
    """A list answer from `limit + 1` rows: the row too many only says that there is a next page."""
    limit = query["limit"]
    shown = list(rows[:limit])
    more = len(rows) > limit
    return {"data": shown, "next": _cursor(name, key(shown[-1])) if more else None}


def by_id(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The sort key of most lists."""
    return (row["id"],)


def _cursor(name: str, position: tuple[Any, ...]) -> str:
    told = [name, *(value.isoformat() if isinstance(value, datetime) else value for value in position)]
    packed = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")
