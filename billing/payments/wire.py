"""One signed HTTP request out, one short answer back: the gateway's way to the network."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import requests
from requests.adapters import HTTPAdapter

from billing import crash
from billing.tools.standard import signature

#: Bytes read of an answer; one that is longer is not an answer of this protocol.
ANSWER_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `body` is None when it was longer than ANSWER_BYTES_MAX. Header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class Wire:
    """Sends signed requests over pooled connections; one object serves all threads of a process.

    An adapter without a session on purpose: no cookies, no redirects, no proxies or .netrc of the environment, no
    second try behind our back, and a third less time per request. The time-outs are seconds per socket operation.
    An empty secret sends unsigned; a
    malformed one raises InvalidError at once.
    """

    def __init__(
        self, secret: str, clock: Callable[[], datetime], *, connect_timeout: float, read_timeout: float, pool: int = 64
    ) -> None:
        signed_headers(secret, "start", clock(), b"")  # a secret that cannot sign is told now, not at the first charge
        self._secret = secret
        self._clock = clock
        self._timeout = (connect_timeout, read_timeout)
        self._adapter = HTTPAdapter(pool_connections=8, pool_maxsize=pool, max_retries=0)

    def send(
        self,
        point: str,
        method: str,
        url: str,
        message_id: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request and read its answer, between the crash points of the name `point`.

        Raises requests.RequestException for every fault of the network.
        """
        request = _prepared(method, url).copy()
        request.headers.update(headers or {})
        request.headers.update(signed_headers(self._secret, message_id, self._clock(), body))
        if body:
            request.body = body
            request.headers["Content-Length"] = str(len(body))
            request.headers["Content-Type"] = "application/json"
        with crash.around(point):
            response = self._adapter.send(request, stream=True, timeout=self._timeout)
            try:
                return Reply(response.status_code, response.headers, _read_capped(response))
            finally:
                response.close()

    def close(self) -> None:
        """Drop the pooled connections."""
        self._adapter.close()


@functools.lru_cache(maxsize=16)
def live(secret: str) -> tuple[str, ...]:
    """The secrets of a comma or newline separated list: two are live while they are rotated."""
    return tuple(part.strip() for part in secret.replace("\n", ",").split(",") if part.strip())


def signed_headers(secret: str, message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks, signed with each live secret, so that either end may change first.

    None with an empty secret. Raises InvalidError for a malformed one.
    """
    if not live(secret):
        return {}
    timestamp = int(now.timestamp())
    return {
        signature.ID: message_id,
        signature.STAMP: str(timestamp),
        signature.SIGNATURE: " ".join(signature.sign(one, message_id, timestamp, body) for one in live(secret)),
    }


def genuine(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether a message is signed with any live secret, now. All are tried: time does not tell which one fits."""
    return any([signature.verify(one, headers, body, now) for one in live(secret)])  # noqa: C419 - all of them


@functools.lru_cache(maxsize=64)
def _prepared(method: str, url: str) -> requests.PreparedRequest:
    """The part of a request that is the same every time; parsing the address anew doubles the cost of a send."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "sekisu"}
    return requests.Request(method, url, headers=headers).prepare()


def _read_capped(response: requests.Response) -> bytes | None:
    body = bytearray()
    for chunk in response.iter_content(8192):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            return None
    return bytes(body)
