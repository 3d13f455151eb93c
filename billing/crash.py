"""Named points where a test may kill this process: on both sides of every commit and of every outbound call.

Armed only by the environment: `SEKISU_CRASH=NAME:N:FILE` kills with SIGKILL the first process that comes to the point
NAME for the N-th time, once; FILE is made then, and whoever finds it there lives on. Unset, a point costs a comparison.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count


class _Armed:
    def __init__(self, told: str) -> None:
        self.name, nth, self.file = told.split(":", 2)
        self.nth, self.hits = int(nth), count(1)

    def hit(self) -> None:
        if next(self.hits) < self.nth:
            return
        try:
            os.close(os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


_armed = _Armed(os.environ["SEKISU_CRASH"]) if os.environ.get("SEKISU_CRASH") else None


def point(name: str) -> None:
    """The process may die here."""
    if _armed is not None and _armed.name == name:
        _armed.hit()


@contextmanager
def around(name: str) -> Iterator[None]:
    """The points `NAME.before` and `NAME.after` of a commit or an outbound call; after a fault there is no after."""
    point(f"{name}.before")
    yield
    point(f"{name}.after")
