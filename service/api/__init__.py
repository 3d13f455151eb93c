"""The API: accounts, connections, workspaces and their books, for a key."""

import json

from flask import Flask, Response, g
from flask.json.provider import DefaultJSONProvider

from billing.settings import Settings
from billing.store.db import Database
from service import problem
from service.api import auth, docs, faults, here, spec, witness
from service.api.accounts import ACCOUNTS, KEYS
from service.api.audit import AUDIT
from service.api.books import BOOKS
from service.api.clocks import CLOCKS
from service.api.commands import COMMANDS
from service.api.connections import CONNECTIONS
from service.api.deliveries import DELIVERIES
from service.api.documents import DOCUMENTS
from service.api.drift import DRIFT
from service.api.quotes import QUOTES
from service.api.refunds import REFUNDS
from service.api.roster import ROSTER
from service.api.workspaces import WORKSPACES

RESOURCES = (
    ACCOUNTS,
    KEYS,
    CONNECTIONS,
    WORKSPACES,
    ROSTER,
    COMMANDS,
    AUDIT,
    QUOTES,
    BOOKS,
    DOCUMENTS,
    REFUNDS,
    DELIVERIES,
    DRIFT,
    CLOCKS,
)
#: Where an app keeps its description.
DESCRIPTION = "sekisu-openapi"


def register(app: Flask, settings: Settings, db: Database, bell: here.Bell) -> None:
    """Add the API and its documentation to `app`. Nothing is connected yet."""
    app.extensions[here.EXTENSION] = here.House(settings, db, bell)
    if isinstance(app.json, DefaultJSONProvider):
        app.json.ensure_ascii = False  # an explanation in Japanese is to be read in a terminal too
    api = spec.make(app)
    for resource in RESOURCES:
        api.register_blueprint(resource.blueprint)
    app.extensions[DESCRIPTION] = spec.text(api)
    # flask-smorest has put its own way of saying no in place of ours.
    problem.register(app)
    faults.register(app)
    witness.register(app, db)
    described = json.dumps(spec.document(api))

    def openapi() -> Response:
        key = auth.bearer()
        with db.reading() as connection:
            g.caller = auth.identify(connection, settings.api_key, key)
        return Response(described, content_type="application/json")

    app.add_url_rule("/docs", "docs", docs.page)
    app.add_url_rule("/openapi.json", "openapi", openapi)
