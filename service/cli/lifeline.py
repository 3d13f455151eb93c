"""Runs a Python module that dies with the process that started it, together with everything it forks.

    python -m service.cli.lifeline MODULE [ARGUMENT ...]

The starter keeps the write end of a pipe open and names the read end in `SEKISU_LIFELINE`: when the starter dies,
however it dies, the pipe ends and this process kills its own process group. Processes that it forks ask the kernel
(Linux) to be killed with it, for the case that this one is killed first.
"""

import ctypes
import os
import runpy
import signal
import sys
import threading

VARIABLE = "SEKISU_LIFELINE"
_PR_SET_PDEATHSIG = 1


def hold() -> None:
    """Ties this process to the pipe named in the environment, if there is one, and its forks to this process."""
    forking = {"parent": os.getpid()}
    os.register_at_fork(
        before=lambda: forking.update(parent=os.getpid()),
        after_in_child=lambda: _die_with(forking["parent"]),
    )
    handle = os.environ.pop(VARIABLE, "")
    if handle:
        threading.Thread(target=_watch, args=(int(handle),), name="lifeline", daemon=True).start()


def _watch(handle: int) -> None:
    try:
        ended = os.read(handle, 1) == b""
    except OSError:
        ended = True
    if ended:
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Holds the lifeline, then becomes the module."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m service.cli.lifeline MODULE [ARGUMENT ...]")
    hold()
    module, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
