"""Rate limits: token buckets in the memory of each web process, few and small enough for any flood (ADR 0011)."""

import hashlib
import math
import time
from collections.abc import Callable

from flask import Flask, Response, g, request

from service.problem import problem

#: Seconds of its rate that a bucket holds: what may come at once.
BURST = 10.0
#: Buckets of one kind at a time.
MOST = 10_000
#: What nobody has proved to be somebody's (an unknown id, an unknown key) shares this many buckets, by hash.
SLOTS = 256
#: Requests a second that one of these gets in one process.
STRANGER_RATE = 4.0

Clock = Callable[[], float]


class Buckets:
    """Token buckets by name. `rate`: tokens a second, 0 for no limit; a bucket is full at first and when forgotten.

    Two threads may now and then take the same token: that is cheaper than a lock, and a limit is not a count.
    """

    def __init__(self, rate: float, burst: float = BURST, clock: Clock = time.monotonic) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._slack = max(burst - self._gap, 0.0)  # a bucket holds one token at least
        self._clock = clock
        self._full_at: dict[object, float] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._full_at

    def wait(self, name: object) -> float:
        """Seconds until there is a token; 0.0: there is one now. Takes none."""
        full_at = self._full_at.get(name)
        if full_at is None:
            return 0.0
        wait = full_at - self._clock() - self._slack
        return wait if wait > 0.0 else 0.0

    def take(self, name: object) -> None:
        """Take a token, there or not."""
        full_at, now = self._full_at.get(name), self._clock()
        if full_at is None and len(self._full_at) >= MOST:
            self._forget(now)
        self._full_at[name] = (now if full_at is None or full_at < now else full_at) + self._gap

    def _forget(self, now: float) -> None:
        """Drop the full ones, which say nothing; if that is not enough, all."""
        left = {name: at for name, at in self._full_at.copy().items() if at > now}
        self._full_at = left if len(left) < MOST // 2 else {}


def strangers(clock: Clock = time.monotonic) -> Buckets:
    """Buckets for what is named by `slot`: their number does not grow with the names."""
    return Buckets(STRANGER_RATE, clock=clock)


def slot(name: object) -> int:
    """The shared bucket of a name that nobody vouches for. Which names share one nobody outside can tell."""
    return hash(name) % SLOTS


def too_many(wait: float, detail: str) -> Response:
    """429, and when to come again: whole seconds, at least one."""
    return problem(429, "too_many_requests", detail, {"Retry-After": str(max(1, math.ceil(wait)))})


def register(app: Flask, rate: float, clock: Clock = time.monotonic) -> None:
    """Limit `/v1` of `app` to `rate` requests a second for each key (0: no limit), before the database is asked."""
    keys, others = Buckets(rate, clock=clock), strangers(clock)

    def check() -> Response | None:
        mark = _mark()
        if mark is None:
            return None
        wait = keys.wait(mark) if mark in keys else others.wait(slot(mark))
        g.limited = bool(wait)
        return too_many(wait, "this API key calls too often; come again later") if wait else None

    def count(response: Response) -> Response:
        mark = _mark()
        if mark is None or g.get("limited"):
            return response
        if g.get("caller") is not None:
            keys.take(mark)
        elif response.status_code == 401:
            others.take(slot(mark))
        return response

    app.before_request(check)
    app.after_request(count)


def _mark() -> bytes | None:
    """What stands for the key of this request; None where no key is asked for, or none was sent."""
    given = request.headers.get("Authorization")
    if given is None or not request.path.startswith("/v1/"):
        return None
    return hashlib.sha256(given.encode("utf-8", "replace")).digest()
