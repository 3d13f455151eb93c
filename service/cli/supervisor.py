"""Keeps child processes alive: starts each in its own session, prefixes its log, starts it again when it dies.

One thread does all, because the kernel's parent-death signal is tied to the thread that starts a child.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

from service.cli import lifeline

Log = Callable[[str, str], None]

#: Seconds a child must live for its next death to count as the first.
_STEADY = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@dataclass(eq=False)
class Child:
    """A process that is kept alive. `deaths` counts those in a row, `restart_at` is monotonic seconds."""

    name: str
    argv: list[str]
    environ: Mapping[str, str]
    grace: float
    keep: bool = True
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    deaths: int = 0
    restart_at: float = 0.0
    code: int | None = None
    pending: bytes = b""
    words: deque[str] = field(default_factory=lambda: deque(maxlen=5))


class Supervisor:
    """Starts, watches, restarts and stops children; use it in the main thread, as a context manager."""

    def __init__(self, log: Log) -> None:
        self.children: list[Child] = []
        self.stopping = False
        self.checks: list[Callable[[], None]] = []
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._lifeline = os.pipe()  # held open by us alone: children see it end when we die
        self._wake = os.pipe()
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Supervisor":
        for end in self._wake:
            os.set_blocking(end, False)
        self._selector.register(self._wake[0], selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            self._before[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(*self.children)
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        self._selector.close()
        for end in (*self._lifeline, *self._wake):
            os.close(end)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return
        if self.stopping:  # asked twice: do not wait any longer
            for child in self.children:
                child.grace = 0.0
        self.stopping = True

    def start(
        self,
        name: str,
        module: str,
        arguments: list[str],
        environ: Mapping[str, str],
        grace: float,
        *,
        keep: bool = True,
    ) -> Child:
        """Starts `python -m module arguments`, kept alive if `keep`; `grace` is the seconds it gets to stop."""
        argv = [sys.executable, "-m", "service.cli.lifeline", module, *arguments]
        child = Child(name, argv, environ, grace, keep)
        self.children.append(child)
        if not self.stopping:
            self._spawn(child)
        return child

    def _spawn(self, child: Child) -> None:
        environ = {**child.environ, lifeline.VARIABLE: str(self._lifeline[0]), "PYTHONUNBUFFERED": "1"}
        child.process = subprocess.Popen(
            child.argv,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self._lifeline[0],),
            start_new_session=True,
        )
        child.started, child.code = time.monotonic(), None
        stream = child.process.stdout
        if stream is not None:
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, child)

    def turn(self, timeout: float) -> None:
        """Passes on log lines, notices deaths, starts again what is due; returns after an event or `timeout` s."""
        waiting = [child for child in self.children if child.process is None and child.keep and not self.stopping]
        due = [child.restart_at - time.monotonic() for child in waiting]
        for key, _ in self._selector.select(max(0.0, min([timeout, *due]))):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake[0], 4096)
            else:
                self._pass_on(key.data, key.fileobj)  # type: ignore[arg-type]  # we registered streams only
        for child in self.children:
            self._mind(child)
        if not self.stopping:
            for check in self.checks:
                check()

    def _mind(self, child: Child) -> None:
        if child.process is not None:
            if _has_ended(child.process):
                self._bury(child)
        elif child.keep and not self.stopping and time.monotonic() >= child.restart_at:
            self._spawn(child)

    def _bury(self, child: Child) -> None:
        process = child.process
        if process is None:
            return
        # Before it is reaped its number cannot be given away: whatever it left behind in its group ends now.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        child.code = process.wait()
        if process.stdout is not None:
            self._pass_on(child, process.stdout)
            with contextlib.suppress(KeyError):
                self._selector.unregister(process.stdout)
            process.stdout.close()
        child.process = None
        if child.keep and not self.stopping:
            self._plan_restart(child)

    def _plan_restart(self, child: Child) -> None:
        now = time.monotonic()
        child.deaths = 1 if now - child.started > _STEADY else child.deaths + 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (child.deaths - 1))
        child.restart_at = now + pause
        self._log("up", f"{child.name} ended ({_how(child.code)}); it starts again in {pause:.1f} s")

    def _pass_on(self, child: Child, stream: "IO[bytes]") -> None:
        chunk = self._read(stream)
        *lines, child.pending = (child.pending + chunk).split(b"\n")
        if not chunk and child.pending:
            lines, child.pending = [*lines, child.pending], b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            child.words.append(text)
            self._log(child.name, text)

    def _read(self, stream: "IO[bytes]") -> bytes:
        try:
            chunk = os.read(stream.fileno(), 65_536)
        except BlockingIOError:
            return b""
        if not chunk:
            with contextlib.suppress(KeyError):
                self._selector.unregister(stream)
        return chunk

    def wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Turns until `done()`; False when `seconds` passed, or when we are asked to stop, before that."""
        end = time.monotonic() + seconds
        while not done():
            if self.stopping or time.monotonic() > end:
                return False
            self.turn(0.05)
        return True

    def run(self) -> None:
        """Supervises until a signal asks to stop."""
        while not self.stopping:
            self.turn(5.0)

    def stop(self, *children: Child) -> None:
        """Asks each to stop (SIGTERM to the direct child alone), waits its grace, kills what is left."""
        for child in children:
            child.keep = False
            if child.process is not None and not _has_ended(child.process):
                child.process.terminate()
        began = time.monotonic()
        while alive := [child for child in children if child.process is not None]:
            for child in alive:
                if time.monotonic() - began > child.grace:
                    self._log("up", f"{child.name} did not stop within {child.grace:.0f} s and is killed")
                    self._bury(child)
            self.turn(0.05)


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _how(code: int | None) -> str:
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
