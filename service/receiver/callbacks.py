"""`POST /callbacks/payments/{gateway}`: the same door as a webhook; the row is the job, the bell only rings."""

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime

from flask import Flask, Response, request

from billing.core.errors import UnavailableError
from billing.payments import callback
from billing.payments.wire import genuine
from billing.settings import Settings
from billing.store import inbox
from billing.store.db import Database
from billing.tools.standard import signature
from service.problem import problem, unavailable
from service.receiver.request import capped_body, headers
from workers.bell import Bell

#: The payment endpoints we know how to listen to.
GATEWAYS = ("standard",)
_LOG = logging.getLogger("sekisu.receiver")


def register(app: Flask, settings: Settings, db: Database, bell: Bell, clock: Callable[[], datetime]) -> None:
    """Add the route to `app`."""

    def receive(gateway: str) -> Response:
        body = capped_body(request.environ, settings.max_body_bytes)
        if gateway not in GATEWAYS:
            return problem(404, "not_found", "there is no such payment endpoint")
        if body is None:
            return problem(413, "too_large", f"a body may have at most {settings.max_body_bytes} bytes")
        found = headers(request.environ)
        if not genuine(settings.payment_secret, found, body, clock()):
            return problem(401, "forged", "the signature fits no payment secret")
        try:
            _keep(db, gateway, found[signature.ID], body)
        except UnavailableError as fault:
            _LOG.warning("a callback was turned away: %s", fault)
            return unavailable()
        bell.callbacks()
        return Response("{}", 200, content_type="application/json")

    app.add_url_rule(
        "/callbacks/payments/<gateway>", "callback", receive, methods=["POST"], provide_automatic_options=False
    )


def _keep(db: Database, gateway: str, callback_id: str, body: bytes) -> None:
    digest = hashlib.sha256(body).hexdigest()
    with db.transaction("callback.keep") as transaction:
        inbox.keep_callback(transaction, gateway, callback_id, body, digest, _fault(body))


def _fault(body: bytes) -> str | None:
    """Why a genuine callback cannot be acted on; None when it can."""
    try:
        callback.read(body)
    except Exception as fault:  # noqa: BLE001 - whatever it is, the callback is kept and a person looks at it
        return str(fault).replace("\0", "")[:500] or type(fault).__name__
    return None
