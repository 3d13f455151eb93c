"""What the payment endpoint calls back to say. Pure.

A callback is a Standard Webhooks message in both framing and body:
`{"type": "charge.succeeded", "timestamp": "...Z", "data": {"charge_id", "attempt", "reference", "failure_code"}}`.
It is genuine when `billing.tools.standard.signature.verify` says so with the PAYMENT_SECRET, and it is kept once per
`webhook-id` header. For `refund.*` the id is `data.refund_id`, or `data.charge_id` where an endpoint puts the
refund's id there; both given, `refund_id` names the refund. Which obligation an id stands for is the store's affair.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from billing.core.errors import InvalidError
from billing.payments.text import WORD_MAX

TYPES = ("charge.succeeded", "charge.failed", "refund.succeeded", "refund.failed")


@dataclass(frozen=True, slots=True)
class Callback:
    """One final state of a charge or a refund: `id` is ours, `reference` the endpoint's own, `at` a UTC instant."""

    subject: Literal["charge", "refund"]
    id: str
    attempt: int
    succeeded: bool
    at: datetime
    reference: str | None
    failure_code: str | None


def _printable(value: str) -> None:
    # A NUL or a lone surrogate is a text that the database cannot keep.
    if not value.isprintable():
        raise ValidationError("must be printable characters")


class _Word(fields.String):
    def __init__(self) -> None:
        super().__init__(allow_none=True, load_default=None, validate=[validate.Length(1, WORD_MAX), _printable])


class _DataSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    charge_id = _Word()
    refund_id = _Word()
    attempt = fields.Integer(strict=True, load_default=None, validate=validate.Range(1, 2**31 - 1))
    reference = _Word()
    failure_code = _Word()


class _CallbackSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    type = fields.String(required=True, validate=validate.OneOf(TYPES))
    timestamp = fields.AwareDateTime(required=True, format="iso")
    data = fields.Nested(_DataSchema, required=True)


_CALLBACK = _CallbackSchema()


def read(body: bytes) -> Callback:
    """The callback in a request body. Raises InvalidError naming the field that is wrong (`body` when unreadable)."""
    try:
        loaded = _CALLBACK.load(json.loads(body))
        at = loaded["timestamp"].astimezone(UTC)
    except ValidationError as fault:
        raise InvalidError(_told(fault.messages_dict)) from None
    except OverflowError:
        raise InvalidError("timestamp: is outside the calendar") from None
    except (ValueError, RecursionError):
        raise InvalidError("body: is not JSON") from None
    subject, _, outcome = loaded["type"].partition(".")
    name, value = _identity(subject, loaded["data"])
    if value is None:
        raise InvalidError(f"data.{name}: is missing")
    return Callback(
        subject=subject,
        id=value,
        attempt=_attempt(subject, loaded["data"]["attempt"]),
        succeeded=outcome == "succeeded",
        at=at,
        reference=loaded["data"]["reference"],
        failure_code=loaded["data"]["failure_code"],
    )


def _identity(subject: str, data: dict[str, Any]) -> tuple[str, str | None]:
    if subject == "charge":
        return "charge_id", data["charge_id"]
    return "refund_id", data["refund_id"] or data["charge_id"]


def _attempt(subject: str, attempt: int | None) -> int:
    """A charge's callback must name its attempt (states only move forward by it, law 6); a refund has one attempt."""
    if attempt is None and subject == "charge":
        raise InvalidError("data.attempt: is missing")
    return attempt or 1


def _told(messages: dict[str, Any], path: str = "") -> str:
    """The first fault of a marshmallow error tree as `field.path: what is wrong`."""
    name, fault = min(messages.items(), key=lambda item: str(item[0]))
    where = f"{path}{name}" if name != "_schema" else (path.rstrip(".") or "body")
    if isinstance(fault, dict):
        return _told(fault, f"{where}.")
    return f"{where}: {fault[0] if isinstance(fault, list) else fault}"
