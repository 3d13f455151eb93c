"""The fields every schema is made of: instants, ids, whole numbers."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from billing.core import calendar
from billing.core.errors import InvalidError

#: Instants outside these years are typing mistakes; they would only make the calendar walk for ever.
YEARS = (1970, 2199)
#: The longest id of a tool that we take.
LONGEST_ID = 200
MAX_INT = 2**31 - 1
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\Z")


class Instant(fields.Field[datetime]):
    """An instant, always written like 2025-01-15T00:00:00.000Z."""

    def _serialize(self, value: datetime | str | None, attr: str | None, obj: object, **kwargs: Any) -> str | None:
        return calendar.written(value) if isinstance(value, datetime) else value

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        if not isinstance(value, str):
            raise ValidationError("Not an instant; write it like 2025-01-15T00:00:00.000Z.")
        try:
            instant = calendar.read(value)
        except (InvalidError, OverflowError) as fault:
            raise ValidationError(str(fault)) from fault
        if not YEARS[0] <= instant.year <= YEARS[1]:
            raise ValidationError(f"Must be between the years {YEARS[0]} and {YEARS[1]}.")
        return instant


class Day(fields.Field[date]):
    """A civil day, 2025-01-15; of an instant its day in UTC."""

    def _serialize(self, value: date | None, attr: str | None, obj: object, **kwargs: Any) -> str | None:
        return None if value is None else value.isoformat()

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> date:
        try:
            day = calendar.read(value).date() if "T" in value else date.fromisoformat(value)
        except (InvalidError, OverflowError, TypeError, ValueError) as fault:
            raise ValidationError("Not a day; write it like 2025-01-15.") from fault
        if not YEARS[0] <= day.year <= YEARS[1]:
            raise ValidationError(f"Must be between the years {YEARS[0]} and {YEARS[1]}.")
        return day


class Whole(fields.Integer):
    """A whole number; true and "5" are none."""

    def __init__(self, least: int = 0, most: int = MAX_INT, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(min=least, max=most), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


def text(longest: int = LONGEST_ID, **kwargs: Any) -> fields.String:
    """A text that is not empty."""
    return fields.String(validate=validate.Length(min=1, max=longest), **kwargs)


def mail_address(**kwargs: Any) -> fields.String:
    """A mail address that any mail server takes."""
    return fields.String(validate=[validate.Length(max=254), validate.Regexp(_EMAIL)], **kwargs)


def one_of(*choices: str, **kwargs: Any) -> fields.String:
    """One of a few words."""
    return fields.String(validate=validate.OneOf(choices), **kwargs)


def flag(**kwargs: Any) -> fields.Boolean:
    """True or false, and nothing that merely looks like it."""
    return fields.Boolean(truthy={True}, falsy={False}, **kwargs)


def page_of(schema: type[Schema]) -> type[Schema]:
    """The schema of a list answer: `data`, and `next` to be passed back as `?cursor=` (null: this was the last)."""
    members: dict[str, Any] = {
        "data": fields.List(fields.Nested(schema), required=True),
        "next": fields.String(required=True, allow_none=True),
    }
    return Schema.from_dict(members, name=f"{schema.__name__}Page")
