"""Writes down who called what: every call that writes, in its own transaction, and every refusal.

A refusal's row is written apart, because what was refused is rolled back; refusals in swarms are counted (`Sparing`),
so that whoever has no key can neither fill the table nor keep the database busy. Bodies, keys and names stay out.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import psycopg
from flask import Flask, Response, g, request

from billing.core.errors import SekisuError
from billing.store import audit
from billing.store.db import Conn, Database
from service.api.here import Caller
from service.problem import request_id
from service.sparing import Sparing

_LOG = logging.getLogger("sekisu.refusals")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: Seconds without a further try after the database did not take a row.
_PAUSE = 10.0


def written(connection: Conn, response: Response) -> None:
    """Write down a call that writes, in its transaction: there is either the effect and its row, or neither."""
    if request.method not in _READING and "Idempotent-Replayed" not in response.headers:
        audit.insert(connection, _call(response))
        g.witnessed = True


class Witness:
    """Sees every answer of an app on its way out."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._sparing = Sparing(clock)
        self._not_before = float("-inf")

    def see(self, response: Response) -> Response:
        """Give the answer its request's id, and write it down if it is a refusal that is not written yet."""
        response.headers["X-Request-Id"] = request_id()
        if _refused(response) and "witnessed" not in g:
            call = _call(response)
            times = self._sparing.note(f"{call.key_id}")
            if times:
                self._tell(call, times)
        return response

    def _tell(self, call: audit.Call, times: int) -> None:
        who = call.key_id or "nobody known"
        _LOG.warning("%s %s: %s for %s, %s times", call.method, call.route, call.status, who, times)
        if self._clock() < self._not_before:
            return
        try:
            with self._db.transaction("audit") as connection:
                audit.insert(connection, replace(call, times=times))
        except (SekisuError, psycopg.Error):
            _LOG.warning("a refusal could not be written down")  # it stays a refusal
            self._not_before = self._clock() + _PAUSE


def register(app: Flask, db: Database) -> None:
    """Have every answer of `app` seen."""
    app.after_request(Witness(db).see)


def _refused(response: Response) -> bool:
    """No key, not this key, nothing there for this key; and whatever a known key may not write."""
    if response.status_code in (401, 403):
        return True
    wrong = 400 <= response.status_code < 500
    return "caller" in g and wrong and (response.status_code == 404 or request.method not in _READING)


def _id(named: Mapping[str, str]) -> str | None:
    """The workspace that the path names, if it can be one's id: anybody may write anything into a path."""
    found = named.get("workspace_id", "")
    return found if found.isascii() and found.isprintable() and 0 < len(found) <= 100 else None


def _call(response: Response) -> audit.Call:
    caller: Caller | None = g.get("caller")
    told = response.get_json(force=True, silent=True) if response.status_code >= 400 else None
    problem = told if isinstance(told, dict) else {}
    return audit.Call(
        request_id=request_id(),
        key_id=caller.key_id if caller else None,
        account_id=caller.account_id if caller else None,
        workspace_id=_id(request.view_args or {}),
        method=request.method,
        route=request.url_rule.rule if request.url_rule else "",
        status=response.status_code,
        code=problem.get("code"),
        rule=problem.get("rule"),
    )
