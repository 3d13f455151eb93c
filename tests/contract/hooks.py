"""What schemathesis loads: somebody who knows the service, its words and its secrets.

It runs in the process of schemathesis; the file that `KNOWN` names says what is known.
"""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis

from billing.payments.wire import signed_headers
from billing.tools import room
from tests.contract.fuzzer import KNOWN

_KEY = "Idempotency-Key"
#: {"secret", "payment_secret", "public_url", "connections": {id: tool}, "words": {field of a body: words}}
_KNOWN: dict[str, Any] = json.loads(Path(os.environ[KNOWN]).read_text(encoding="utf-8"))


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Make four of five calls such as somebody would make who knows the service; the fifth goes as it is."""
    digest = hashlib.sha256(repr((case.path_parameters, case.body)).encode("utf-8", "replace")).hexdigest()
    turn = int(digest[:8], 16)
    if turn % 5 == 0:
        return
    key = case.headers.get(_KEY) if case.headers else None
    if isinstance(key, str) and 1 <= len(key) <= 255 and key.isprintable():
        case.headers[_KEY] = f"{key[:200]}{digest[:16]}"  # one key with many bodies would be 409 for ever
    if isinstance(case.body, dict):
        case.body = _worded(case.body, turn)
    if case.method == "POST" and case.path.startswith(("/webhooks/", "/callbacks/")):
        _sign(case)


def _worded(body: dict[str, Any], turn: int, above: str = "") -> dict[str, Any]:
    """The body with words that mean something for texts that mean nothing; what is no text stays as it is."""
    told = dict(body)
    for name, value in body.items():
        words = _KNOWN["words"].get(above + name)
        if isinstance(value, dict):
            told[name] = _worded(value, turn, f"{above}{name}.")
        elif words and isinstance(value, str) and value not in words:
            told[name] = words[turn % len(words)]
    return told


def _sign(case: schemathesis.Case[Any]) -> None:
    """Sign the body as the tool of the connection does, or as the payment endpoint."""
    connection = str(case.path_parameters.get("connection_id"))
    if case.path.startswith("/webhooks/") and connection in _KNOWN["connections"]:
        case.path_parameters["tool"] = _KNOWN["connections"][connection]
    sent = case.as_transport_kwargs()
    wanted = ("method", "url", "headers", "data", "json")
    prepared = requests.Request(**{name: sent[name] for name in wanted if name in sent}).prepare()
    body, now = prepared.body or b"", datetime.now(UTC)
    body = body.encode() if isinstance(body, str) else body
    message = f"msg-{hashlib.sha256(body).hexdigest()}"
    if case.path.startswith("/callbacks/"):
        found = signed_headers(_KNOWN["payment_secret"], message, now, body)
    else:
        url = _KNOWN["public_url"] + urlsplit(prepared.url or "").path
        tool = str(case.path_parameters.get("tool"))
        if tool not in _KNOWN["connections"].values():
            return
        found = room.load(tool).sign(body, _KNOWN["secret"], url, now, message)
    case.headers.update(found)
