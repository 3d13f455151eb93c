"""What the API says when it says no: one table from faults to HTTP statuses."""

from collections.abc import Mapping
from itertools import islice

import psycopg
from flask import Flask, Response

from billing.core.errors import ConflictError, InvalidError, NotFoundError, RefusedError, SekisuError, UnavailableError
from service.problem import RETRY_AFTER, problem

#: Wrong fields that are named in one answer, and letters of each one's path and message.
_MOST_TOLD, _LONGEST = 50, 200


class UnauthorizedError(SekisuError):
    """No key, or none that we know."""

    code = "unauthorized"


class ForbiddenError(SekisuError):
    """The key is good, but not for this."""

    code = "forbidden"


class NotJsonError(SekisuError):
    """The body cannot be read as JSON."""

    code = "not_json"


class MediaTypeError(SekisuError):
    """The body does not say that it is JSON."""

    code = "unsupported_media_type"


class TooLargeError(SekisuError):
    """The body is over the cap."""

    code = "too_large"


class FieldsError(InvalidError):
    """Fields of the body or the query are wrong; `errors` maps each one's path to what is wrong with it.

    Of many the first are told, and of what is long the beginning: paths and messages quote the sender's own words.
    """

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        told = {
            name[:_LONGEST]: [message[:_LONGEST] for message in messages[:_MOST_TOLD]]
            for name, messages in islice(errors.items(), _MOST_TOLD)
        }
        super().__init__("; ".join(f"{name}: {' '.join(messages)}" for name, messages in told.items()))
        self.errors = told


_STATUS: tuple[tuple[type[SekisuError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (RefusedError, 409),
    (InvalidError, 422),
    (UnavailableError, 503),
    (UnauthorizedError, 401),
    (ForbiddenError, 403),
    (NotJsonError, 400),
    (MediaTypeError, 415),
    (TooLargeError, 413),
)


def status_of(fault: SekisuError) -> int:
    """The HTTP status of a fault; 500 for one that no caller can help."""
    if isinstance(fault, RefusedError) and fault.actor:
        return 403
    return next((status for kind, status in _STATUS if isinstance(fault, kind)), 500)


def answer(fault: SekisuError) -> Response:
    """The problem+json answer to a fault."""
    more: dict[str, object] = {"rule": fault.rule} if fault.rule else {}
    if isinstance(fault, FieldsError):
        more["errors"] = fault.errors
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(fault, UnauthorizedError) else {}
    if fault.retry:
        headers["Retry-After"] = RETRY_AFTER
    return problem(status_of(fault), fault.code, str(fault), headers, **more)


def register(app: Flask) -> None:
    """Answer the house's own faults, and values that the database cannot hold."""
    app.register_error_handler(SekisuError, answer)
    app.register_error_handler(psycopg.DataError, _unstorable)


def _unstorable(fault: psycopg.DataError) -> Response:
    return answer(InvalidError(f"a value cannot be stored: {str(fault).splitlines()[0]}"))
