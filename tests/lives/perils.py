"""Death of a process inside this one: at a named point of a commit or an outbound call, all it has in hand is lost."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest import mock

from billing import crash


class KilledError(BaseException):
    """The process died here. No `except Exception` of the product survives it, as none survives a SIGKILL."""


class Perils:
    """Stands in for the crash points of the product; it kills at the one that it was told to."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self._left: int | None = None

    def point(self, name: str) -> None:
        """What the product calls at each of its points."""
        self.passed[name] += 1
        if self._left is None:
            return
        if self._left == 0:
            self._left = None
            self.deaths[name] += 1
            raise KilledError(name)
        self._left -= 1

    def kill(self, job: Callable[[], object], after: int) -> str | None:
        """Run a job that dies when it has passed `after` points; answers where it died, None when it lived."""
        self._left = after
        try:
            job()
        except KilledError as death:
            return str(death)
        finally:
            self._left = None
        return None

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """The product's points are these meanwhile."""
        with mock.patch.object(crash, "point", self.point):
            yield


class Inline(ThreadPoolExecutor):
    """A pool that does its work at once, in the caller's thread: a seed replays a run."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as fault:  # noqa: BLE001 - as a thread of a pool does
            done.set_exception(fault)
        return done
