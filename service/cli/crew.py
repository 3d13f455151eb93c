"""A crew: copies of one function in forked processes, each replaced when it dies.

The copies share the memory of what was imported before, and a new one stands within milliseconds.
"""

import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

_LOG = logging.getLogger("sekisu.crew")
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_STEADY = 2.0  # seconds


class _StopAsked(BaseException):
    """Raised by the signal handler to leave the wait for a death."""


def run(count: int, body: Callable[[], None], grace: float) -> None:
    """Runs `body` in `count` processes until asked to stop; each then gets SIGTERM and `grace` seconds."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _stop_asked)
    gc.freeze()  # a collection in a copy would else touch, and so copy, every shared page
    members: dict[int, float] = {}
    try:
        _keep(count, body, members)
    except _StopAsked:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        _stop(members, grace)


def _stop_asked(_number: int, _frame: FrameType | None) -> None:
    raise _StopAsked


def _keep(count: int, body: Callable[[], None], members: dict[int, float]) -> None:
    deaths = 0
    while True:
        while len(members) < count:
            with _undisturbed():
                members[_fork(body)] = time.monotonic()
        pid, status = os.waitpid(-1, 0)
        lived = time.monotonic() - members.pop(pid, 0.0)
        deaths = 1 if lived > _STEADY else deaths + 1
        pause = min(5.0, 0.05 * 2 ** (deaths - 1))
        _LOG.warning("process %d ended (%d); another starts in %.2f s", pid, os.waitstatus_to_exitcode(status), pause)
        time.sleep(pause)


def _fork(body: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        _be(body)
    return pid


def _be(body: Callable[[], None]) -> NoReturn:
    """The life of a copy: it leaves without running what the original planned for its own end."""
    code = 1
    try:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        body()
        code = 0
    except Exception:  # noqa: BLE001 - the last line of a process: written down, and the crew replaces it
        _LOG.exception("a process of the crew failed")
    finally:
        os._exit(code)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Holds signals back, so that no copy is made without being written down."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _stop(members: dict[int, float], grace: float) -> None:
    end = time.monotonic() + grace
    for pid in members:
        os.kill(pid, signal.SIGTERM)
    while members and time.monotonic() < end:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        members.pop(pid, None)
        if not pid:
            time.sleep(0.02)
    for pid in members:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
