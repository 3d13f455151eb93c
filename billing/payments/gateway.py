"""Asking for money: one request to the payment endpoint, one outcome of a closed set. Protocol: docs of the outbound
payment endpoint (`POST /charges`, `GET /charges/{id}`, `POST /refunds`)."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import quote

import requests
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from billing.payments.text import plain
from billing.payments.wire import Reply, Wire

Kind = Literal["succeeded", "pending", "failed", "retry", "absent"]

#: Seconds for which an unknown outcome is asked again under the same key; after that: look up, then a person.
RETRY_FOR_S = 3 * 24 * 3600.0
#: Seconds between two tries at the most: an endpoint down for two days gets some 60 tries per charge, not thousands.
BACKOFF_MAX_S = 3600.0
#: Seconds; a longer Retry-After is not believed.
RETRY_AFTER_MAX_S = 24 * 3600.0

#: 4xx answers that say nothing definitive about the attempt.
_ASK_AGAIN = frozenset({408, 425, 429})
#: The code of a 422 that knows our key with another body: something was done under it, and the answer is not that.
_KEY_REUSED = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the endpoint said of an attempt. `retry` means unknown: same attempt, same key, later.

    `absent` comes from a lookup only. `reference` is the endpoint's own id. `retry_after_s` (seconds) is what the
    endpoint asked for. `detail` is for people and logs; it never holds addresses or body content.
    """

    kind: Kind
    reference: str | None = None
    failure_code: str | None = None
    retry_after_s: float | None = None
    detail: str = ""


class Gateway:
    """The payment endpoint at `url`; requests are signed with `secret` (`whsec_...`). Safe to share by threads.

    `clock` gives wall time (aware UTC): the endpoint judges the signature's age by its own clock. Time-outs are
    seconds per socket operation. No method raises for a fault of the network: an unknown outcome is an outcome.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        clock: Callable[[], datetime],
        connect_timeout: float = 2.0,
        read_timeout: float = 5.0,
    ) -> None:
        self._url = url.rstrip("/")
        self._clock = clock
        self._wire = Wire(secret, clock, connect_timeout=connect_timeout, read_timeout=read_timeout)

    def charge(self, body: Mapping[str, object]) -> Outcome:
        """Ask for a charge. `body` holds at least `id` and `attempt`; the same body gives the same bytes each time.

        Where the endpoint knows the key with another body, it is looked up what became of the charge; when that says
        nothing either, the outcome is unknown, never a decline.
        """
        outcome = self._post("charge.post", "charges", body, f"{body['id']}.{body['attempt']}")
        if (outcome.kind, outcome.failure_code) != ("retry", _KEY_REUSED):
            return outcome
        found = self.lookup(str(body["id"]))
        return outcome if found.kind in ("absent", "retry") else found

    def refund(self, body: Mapping[str, object]) -> Outcome:
        """Ask for a refund of a charge. `body` holds `id`; `attempt` counts from 1 and may be left out.

        Refunds have no lookup: a key known with another body is an unknown outcome.
        """
        return self._post("refund.post", "refunds", body, f"{body['id']}.{body.get('attempt', 1)}")

    def lookup(self, charge_id: str) -> Outcome:
        """What became of a charge; `absent` when the endpoint never heard of it."""
        return self._ask(
            "charge.lookup",
            "GET",
            f"charges/{quote(charge_id, safe='')}",
            f"{charge_id}.lookup",
            b"",
            {},
            _judge_lookup,
        )

    def close(self) -> None:
        """Drop the pooled connections."""
        self._wire.close()

    def _post(self, point: str, path: str, body: Mapping[str, object], key: str) -> Outcome:
        # Sorted, so that a body read back from the database is the same bytes: endpoints compare bodies under a key.
        raw = json.dumps(dict(body), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        return self._ask(point, "POST", path, key, raw, {"Idempotency-Key": key}, _judge_post)

    def _ask(
        self,
        point: str,
        method: str,
        path: str,
        message_id: str,
        raw: bytes,
        headers: Mapping[str, str],
        judge: Callable[[Reply, datetime], Outcome],
    ) -> Outcome:
        try:
            reply = self._wire.send(point, method, f"{self._url}/{path}", message_id, raw, headers)
        except requests.RequestException as fault:
            # The fault's text holds the address, which may hold a password; its class says enough.
            return Outcome("retry", detail=f"no answer: {type(fault).__name__}")
        return judge(reply, self._clock())


def backoff_s(tries: int, random: float) -> float:
    """Seconds until the next try after `tries` tries (1 or more): doubling from about 1 s up to BACKOFF_MAX_S.

    `random` in [0, 1) spreads it by half to either side, so that charges which failed together do not return
    together. The caller stops at RETRY_FOR_S after the first try: some 80 tries.
    """
    doubled: float = 2.0 ** min(max(tries, 1) - 1, 30)
    return min(doubled, BACKOFF_MAX_S) * (0.5 + random)


def _judge_post(reply: Reply, now: datetime) -> Outcome:
    if 200 <= reply.status < 300:
        return _read_answer(reply)
    body = _json_object(reply.body)
    in_progress = reply.status == 409 and body.get("code") == "in_progress"
    if reply.status == 422 and _KEY_REUSED in (body.get("code"), body.get("failure_code")):
        return Outcome("retry", failure_code=_KEY_REUSED, detail=f"HTTP 422: {_KEY_REUSED}")
    if 400 <= reply.status < 500 and reply.status not in _ASK_AGAIN and not in_progress:
        code = plain(body.get("failure_code")) or f"http_{reply.status}"
        return Outcome("failed", plain(body.get("id")), code, detail=f"HTTP {reply.status}")
    return _unknown(reply, now)


def _judge_lookup(reply: Reply, now: datetime) -> Outcome:
    """Only 404 says that there is no such charge; any other 4xx is about our question, not about the charge."""
    if reply.status == 404:
        return Outcome("absent", detail="HTTP 404")
    return _read_answer(reply) if 200 <= reply.status < 300 else _unknown(reply, now)


def _unknown(reply: Reply, now: datetime) -> Outcome:
    what = "redirect, not followed" if 300 <= reply.status < 400 else "unknown outcome"
    wait = _retry_after_s(reply.headers.get("Retry-After"), now)
    return Outcome("retry", retry_after_s=wait, detail=f"HTTP {reply.status}: {what}")


class _AnswerSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    id = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(("succeeded", "pending", "failed")))
    failure_code = fields.String(load_default=None, allow_none=True)


_ANSWER = _AnswerSchema()


def _read_answer(reply: Reply) -> Outcome:
    """A 2xx counts only with a body we understand; else the money may or may not have moved."""
    try:
        answer = _ANSWER.load(_json_object(reply.body))
    except ValidationError as fault:
        names = ", ".join(sorted(map(str, fault.messages_dict)))
        return Outcome("retry", detail=f"HTTP {reply.status} with an invalid body: {names}")
    reference = plain(answer["id"])
    if reference is None:
        return Outcome("retry", detail=f"HTTP {reply.status} with an invalid body: id")
    code = plain(answer["failure_code"]) if answer["status"] == "failed" else None
    return Outcome(answer["status"], reference, code, detail=f"HTTP {reply.status}")


def _json_object(raw: bytes | None) -> dict[str, object]:
    try:
        value = json.loads(raw or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _retry_after_s(text: str | None, now: datetime) -> float | None:
    """Retry-After is seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if not text:
        return None
    try:
        wait = float(text) if text.strip().isdecimal() else _until_s(text, now)
    except (ValueError, OverflowError):
        return None
    return min(max(wait, 0.0), RETRY_AFTER_MAX_S) if math.isfinite(wait) else None


def _until_s(http_date: str, now: datetime) -> float:
    at = parsedate_to_datetime(http_date)
    return (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
