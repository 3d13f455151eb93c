"""Processes that stand in for the service's own in the supervisor's tests, and the means to watch them.

    python -m tests.cli.processes NOTES up        a supervisor of one crew, as `up` is
    python -m tests.cli.processes NOTES crew      a process that forks two members, as `worker` is
    python -m tests.cli.processes NOTES stubborn  a process that ignores SIGTERM
    python -m tests.cli.processes NOTES failing   a process that says a word and fails

Each writes its role and pid into the folder NOTES.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from service.cli import crew
from service.cli.supervisor import Supervisor

ROOT = Path(__file__).parents[2]


def await_true(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for a state; fails the test when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the state that was waited for did not come"
        time.sleep(0.01)


def noted(notes: Path, role: str) -> set[int]:
    """The pids that wrote themselves down in this role."""
    return {int(path.name.partition("-")[2]) for path in notes.glob(f"{role}-*")}


def alive(pid: int) -> bool:
    """True unless the process is gone or waits, dead, to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def living(notes: Path, role: str) -> set[int]:
    return {pid for pid in noted(notes, role) if alive(pid)}


def _note(notes: Path, role: str) -> None:
    (notes / f"{role}-{os.getpid()}").touch()


def _member(notes: Path) -> None:
    _note(notes, "member")
    signal.pause()


def main() -> None:
    notes, role = Path(sys.argv[1]), sys.argv[2]
    _note(notes, role)
    if role == "up":
        with Supervisor(lambda name, line: print(f"{name}| {line}", flush=True)) as supervisor:
            supervisor.start("crew", "tests.cli.processes", [str(notes), "crew"], os.environ, 5.0)
            supervisor.run()
    elif role == "crew":
        crew.run(2, lambda: _member(notes), 5.0)
    elif role == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _note(notes, "deaf")
        signal.pause()
    else:
        sys.exit("it is broken")


if __name__ == "__main__":
    main()
