"""Asks a tool for its full lists: page by page, within its rate limits, waiting when it says so, one after another.

Nothing is kept of a pull that did not come to its end: half a roster would look like people who left.
"""

import json
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from requests.adapters import HTTPAdapter

from billing import crash
from billing.core.errors import InvalidError, SekisuError
from billing.tools import parsing
from billing.tools.room import Api, Ask, Refusal, Room, Scope, Snapshot
from workers import outbound

_LOG = logging.getLogger("sekisu.pulling")
#: Seconds that all waiting of one pull may take together: a tool that says "later" for longer is asked another day.
PATIENCE_S = 600.0
#: Tries of a request that a broken network or a 5xx ended.
TRIES = 4
#: Bytes of an answer; a longer one is not read.
MOST_BYTES = 64 * 1024 * 1024
#: Requests of one pull; a dialogue that does not end is a fault of the room or of the tool.
MOST_ASKS = 100_000
_TIMEOUT = (5.0, 30.0)


class PullError(SekisuError):
    """A pull came to no end; nothing was applied. `retry` says whether another day may help."""

    code = "pull"

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


@dataclass(slots=True)
class Line:
    """The line to one tool's API under one credential. `allowed`: see `outbound.check_address`."""

    api: Api
    url: str
    credential: Mapping[str, str]
    allowed: str = "public"
    pause: Callable[[float], object] = time.sleep
    patience_s: float = PATIENCE_S
    _asked: deque[float] = field(default_factory=deque)
    _adapter: HTTPAdapter = field(init=False)

    def __post_init__(self) -> None:
        missing = sorted(self.api.credential.keys() - self.credential.keys())
        if missing:
            raise PullError(f"the connection's credential lacks {', '.join(missing)}", retry=False)
        self.url = (self.url or self.api.url).rstrip("/")
        if not self.url:
            raise PullError(
                "the connection has no api_url, and every customer of this tool has another one", retry=False
            )
        try:
            outbound.check_address(self.url, self.allowed)
        except InvalidError as fault:
            raise PullError(f"the connection's api_url {fault}", retry=False) from fault
        self._adapter = outbound.adapter(self.allowed)

    def close(self) -> None:
        """Hang up."""
        self._adapter.close()

    def ask(self, ask: Ask) -> object:
        """The JSON of one answer. Raises PullError."""
        tries = 0
        while True:
            self._keep_the_rate()
            try:
                status, headers, body = _sent(self._adapter, self._request(ask))
            except requests.RequestException as fault:
                if outbound.leads_inside(fault):
                    raise PullError(f"{ask.path}: the name of the address leads inside a network", retry=True) from None
                # The fault's text holds the address with the credential in it; its class says enough.
                status, headers, body, what = 0, {}, b"", f"no answer: {type(fault).__name__}"
            else:
                what = f"HTTP {status}"
            if status == 200:
                return _json(body, ask)
            if status not in (0, 429) and status < 500:
                raise PullError(f"{ask.path}: {_meaning(status)}", retry=status not in (401, 403))
            tries += 1
            if status != 429 and tries >= TRIES:
                raise PullError(f"{ask.path}: {what}, {tries} times", retry=True)
            self._wait(_wait_s(status, headers, tries), f"{ask.path}: {what}")

    def _request(self, ask: Ask) -> requests.PreparedRequest:
        params, headers = list(ask.params), {}
        for part, place in self.api.credential.items():
            where, _, name = place.partition(":")
            if where == "header":
                headers[name] = self.credential[part]
            else:
                params.append((name, self.credential[part]))
        return outbound.prepared(self.url + ask.path, params, headers)

    def _keep_the_rate(self) -> None:
        """Wait until one more request lies within the tool's limit. This waiting is ordinary, and no impatience."""
        most, seconds = self.api.rate
        now = time.monotonic()
        while self._asked and self._asked[0] <= now - seconds:
            self._asked.popleft()
        if len(self._asked) >= most:
            self.pause(self._asked.popleft() + seconds - now)
        self._asked.append(time.monotonic())

    def _wait(self, seconds: float, why: str) -> None:
        if seconds > self.patience_s:
            raise PullError(f"{why}; asked to wait {seconds:.0f} s, which is more than is left", retry=True)
        self.patience_s -= seconds
        _LOG.info("%s; waiting %.0f s", why, seconds)
        self.pause(seconds)


def pull(room: Room, scope: Scope, line: Line, progress: Callable[[int], None] = lambda _: None) -> Snapshot:
    """The room's whole dialogue with its tool; `progress` hears how many answers there are. Raises PullError."""
    answers: dict[Ask, object] = {}
    while True:
        step = room.pull(scope, answers)
        if isinstance(step, Snapshot):
            return step
        if isinstance(step, Refusal):
            raise PullError(f"the tool's answers cannot be used: {step.reason}", retry=True)
        wanted = [ask for ask in dict.fromkeys(step) if ask not in answers]
        if not wanted or len(answers) + len(wanted) > MOST_ASKS:
            raise PullError(f"the dialogue does not end after {len(answers)} answers", retry=False)
        for ask in wanted:
            answers[ask] = line.ask(ask)
            progress(len(answers))


def read_credential(sealed: str) -> dict[str, str]:
    """A credential from its JSON."""
    return {str(name): str(value) for name, value in json.loads(sealed).items()}


def _sent(adapter: HTTPAdapter, request: requests.PreparedRequest) -> tuple[int, Mapping[str, str], bytes]:
    with crash.around("pull.ask"):
        response = adapter.send(request, stream=True, timeout=_TIMEOUT)
    try:
        body = bytearray()
        for chunk in response.iter_content(65_536):
            body += chunk
            if len(body) > MOST_BYTES:
                raise requests.ConnectionError("the answer is too long")
        return response.status_code, response.headers, bytes(body)
    finally:
        response.close()


def _json(body: bytes, ask: Ask) -> object:
    parsed = parsing.parse(body)
    if parsed.fault:
        raise PullError(f"{ask.path}: {parsed.fault}", retry=True)
    return parsed.value


def _meaning(status: int) -> str:
    if status in (401, 403):
        return f"HTTP {status}: the tool does not accept the connection's credential here"
    if status == 404:
        return "HTTP 404: the tool does not know it, or the credential may not see it"
    return f"HTTP {status}"


def _wait_s(status: int, headers: Mapping[str, str], tries: int) -> float:
    """Seconds: what the tool asks for (Retry-After in seconds or as a date; with 429 the second its limit is reset),
    and at least doubling from about one, so that a tool that always says "now" is not hammered."""
    doubled: float = 2.0 ** min(tries - 1, 6)
    least = doubled * (0.5 + random.random())  # noqa: S311 - it spreads tries, it guards nothing
    for name in ("Retry-After", "X-RateLimit-Reset"):
        wait = _told_s(headers.get(name, "").strip(), name)
        if wait is not None and (status == 429 or name == "Retry-After"):
            return max(wait, least)
    return least


def _told_s(text: str, name: str) -> float | None:
    now = datetime.now(UTC)
    try:
        if text.isdecimal() and len(text) < 12:
            seconds = float(text)
            return max(0.0, seconds - now.timestamp()) if name == "X-RateLimit-Reset" else seconds
        if text and name == "Retry-After":
            at = parsedate_to_datetime(text)
            return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError):
        return None
    return None
