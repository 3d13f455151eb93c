"""How the door says no: problem+json (RFC 9457), for the pages nobody wrote as well."""

import json
import logging
from collections.abc import Mapping

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.http import HTTP_STATUS_CODES

from billing.core.errors import UnavailableError
from billing.store.ids import new_id

_LOG = logging.getLogger("sekisu.door")
#: Seconds after which a sender may try again.
RETRY_AFTER = "5"
#: Letters of a detail that are told: it may quote what was sent, and nobody shall make us answer more than they send.
_LONGEST = 4_000
#: An answer is data: no browser shall run, frame, keep or name it to others. Pages say what they may do themselves.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **more: object) -> Response:
    """A problem+json answer; `more` are further members, such as `rule` or `errors`."""
    title = HTTP_STATUS_CODES.get(status, "Error")
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail[:_LONGEST], "code": code, **more}
    text = json.dumps(body, ensure_ascii=False) + "\n"
    return Response(text, status, headers, content_type="application/problem+json")


def guard(response: Response) -> Response:
    """Headers that every answer has, unless its route says otherwise."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def request_id() -> str:
    """The id of this request: its answer carries it in `X-Request-Id`, the audit and the log name it."""
    if "request_id" not in g:
        g.request_id = new_id("req")
    return str(g.request_id)


def unavailable(detail: str = "the database does not answer just now") -> Response:
    """503, and when to come again."""
    return problem(503, UnavailableError.code, detail, {"Retry-After": RETRY_AFTER})


def register(app: Flask) -> None:
    """Answer every fault of `app` as a problem."""
    app.url_map.merge_slashes = False  # an id left out is a fault to be told, not an address to be guessed
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(UnavailableError, _unavailable)
    app.register_error_handler(Exception, _unforeseen)


#: What the framework says of an address names neither the fault nor the way out.
_NOWHERE = {
    NotFound.description: "there is nothing at this address; every route is listed at /docs",
    MethodNotAllowed.description: "this address takes other methods, see Allow; every route is listed at /docs",
}


def _http(fault: HTTPException) -> Response:
    status = fault.code or 500
    name = HTTP_STATUS_CODES.get(status, "error").lower().replace(" ", "_").replace("'", "")
    headers = {name: value for name, value in fault.get_headers() if name in {"Allow", "Retry-After", "Location"}}
    detail = fault.description or name
    return problem(status, name, _NOWHERE.get(detail, detail), headers)


def _unavailable(fault: UnavailableError) -> Response:
    _LOG.warning("%s", fault)
    return unavailable()


def _unforeseen(fault: Exception) -> Response:
    _LOG.error("request %s failed", request_id(), exc_info=fault)
    return problem(500, "internal", "something went wrong here; it was written down")
