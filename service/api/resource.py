"""One way to declare a route: its body, its query, its answer, its documentation. Every route needs a key."""

import hashlib
import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, g, request
from flask_smorest import Blueprint
from marshmallow import Schema

from billing.core.errors import RefusedError, SekisuError
from billing.store import idempotency
from billing.store.db import Conn, savepoint
from service.api import auth, body, here, witness
from service.api.faults import FieldsError, answer

View = Callable[..., Any]
Decorator = Callable[[View], View]

_PARSER = body.Parser()
#: How the description shows a file.
_FILE = {"type": "string", "format": "binary"}
#: The longest Idempotency-Key.
LONGEST_KEY = 255


class Resource:
    """The routes of one kind of thing, below one path."""

    def __init__(self, name: str, description: str, *, admin_only: bool = False, scope: str | None = None) -> None:
        """`scope` is a narrower one than `write` that is enough to write here."""
        self.blueprint = Blueprint(name, __name__, url_prefix="/v1", description=description)
        self.blueprint.ARGUMENTS_PARSER = _PARSER
        self._admin_only = admin_only
        self._scope = scope

    def get(self, path: str, answer_schema: type[Schema], query: type[Schema] | None = None) -> Decorator:
        """A reading route; the view gets the path's ids and the query."""
        return self._route("GET", path, 200, answer_schema, query, "query")

    def get_file(self, path: str, content_type: str, query: type[Schema] | None = None) -> Decorator:
        """A reading route whose view answers with the bytes of a file, as a Response of that content type."""
        return self._route("GET", path, 200, _FILE, query, "query", content_type)

    def post(
        self, path: str, answer_schema: type[Schema], given: type[Schema] | None = None, status: int = 201
    ) -> Decorator:
        """A writing route; the view gets the path's ids and the body."""
        return self._route("POST", path, status, answer_schema, given, "json")

    def patch(self, path: str, answer_schema: type[Schema], given: type[Schema]) -> Decorator:
        """A changing route; the view gets the path's ids and the body."""
        return self._route("PATCH", path, 200, answer_schema, given, "json")

    def delete(self, path: str) -> Decorator:
        """A removing route; it answers 204 and nothing."""
        return self._route("DELETE", path, 204, None, None, "json")

    def _route(
        self,
        method: str,
        path: str,
        status: int,
        answer_schema: type[Schema] | dict[str, str] | None,
        given: type[Schema] | None,
        place: str,
        content_type: str | None = None,
    ) -> Decorator:
        def declare(view: View) -> View:
            wrapped = self.blueprint.response(status, answer_schema, content_type=content_type)(view)
            if given is not None:
                wrapped = self.blueprint.arguments(given, location=place)(wrapped)
            if method == "POST":
                wrapped = self.blueprint.doc(parameters=["IdempotencyKey"])(wrapped)
            served = _served(wrapped, admin_only=self._admin_only, scope=self._scope)
            self.blueprint.add_url_rule(path, view.__name__, served, methods=[method])
            return view

        return declare


def _served(view: View, *, admin_only: bool, scope: str | None) -> View:
    """The view in one transaction of its own, for a known key; bells ring after the commit."""

    view.__dict__["provide_automatic_options"] = False  # Flask's own answer to OPTIONS asks for no key

    @wraps(view)
    def serve(*args: Any, **kwargs: Any) -> Response:
        house = here.house()
        key = auth.bearer()
        body.take(house.settings.max_body_bytes)
        g.afterwards = []
        with house.db.transaction("api") as connection:
            g.connection = connection
            g.caller = auth.identify(connection, house.settings.api_key, key)
            auth.permit(g.caller, request.method, admin_only=admin_only, also=scope)
            response = _once(connection, lambda: view(*args, **kwargs))
            witness.written(connection, response)
        for ring in g.afterwards:
            ring()
        response.headers["Cache-Control"] = "no-store"
        return response

    return serve


def _once(connection: Conn, work: Callable[[], Response]) -> Response:
    """Do the work; with an Idempotency-Key do it once, and answer again what was answered."""
    key = request.headers.get("Idempotency-Key")
    if request.method != "POST":
        return work()
    if key is None:
        return _judged(connection, work)
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise FieldsError({"Idempotency-Key": [f"Must be 1 to {LONGEST_KEY} printable characters."]})
    vault = here.house().settings.vault
    mark = (here.caller().key_id, request.path, key, _digest())
    kept = idempotency.begin(connection, *mark)
    if kept is not None:
        text = vault.decrypt(kept["answer"].encode()).decode()
        kind, _, content = text.partition("\n")
        return Response(content, kept["status"], {"Idempotent-Replayed": "true"}, content_type=kind)
    response = _judged(connection, work)
    text = f"{response.content_type}\n{response.get_data(as_text=True)}"
    idempotency.keep(connection, *mark, response.status_code, vault.encrypt(text.encode()).decode())
    return response


def _judged(connection: Conn, work: Callable[[], Response]) -> Response:
    """Do the work in a savepoint. A refusal is an answer whose record stays (law 5); any other fault undoes the work.

    Raises what a repeated call may overcome, and FieldsError: neither is an answer worth keeping.
    """
    try:
        with savepoint(connection):
            try:
                return work()
            except RefusedError as refusal:
                return answer(refusal)
    except SekisuError as fault:
        if fault.retry or isinstance(fault, FieldsError):
            raise
        return answer(fault)


def _digest() -> str:
    """SHA-256 of the body, the same for the same JSON however it is spaced."""
    text = json.dumps(body.json_body(), sort_keys=True).encode() if g.raw_body else b""
    return hashlib.sha256(text).hexdigest()
