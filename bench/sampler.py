"""A sampling profiler of one process, from within: no privilege, no dependency, and it survives a fork.

A thread looks at the stacks of the others every few milliseconds while the file `on`, which says what is measured, is
in the folder. What a thread used of a CPU since the last look (its schedstat) goes to the stack it is seen in, so
waiting weighs nothing. With `wall`, the main thread's time weighs, waiting included.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

FOLDER = "SEKISU_BENCH_SAMPLES"
GATE = "on"
_TICK_S = 0.005
_REST_S = 0.05
#: Less than this of a CPU since the last look is not looked at: an idle process costs next to nothing.
_IDLE_NS = 500_000
_WRITE_EVERY_S = 0.5
_Stack = tuple[str, ...]


def watch(*, wall: bool = False) -> None:
    """Samples this process, and every fork of it, from now on. Where to is told by the environment."""
    sampler = _Sampler(Path(os.environ[FOLDER]), wall)
    sampler.start()
    os.register_at_fork(after_in_child=lambda: _Sampler(sampler.folder, wall).start())


class _Sampler(threading.Thread):
    def __init__(self, folder: Path, wall: bool) -> None:
        super().__init__(name="bench sampler", daemon=True)
        self.folder, self.wall = folder, wall
        self.weights: Counter[tuple[str, _Stack]] = (
            Counter()
        )  # nanoseconds by what is measured and stack, outermost first
        self.used: dict[int, int] = {}
        self.others = _others_ns()

    def run(self) -> None:
        gate, written = self.folder / GATE, time.monotonic()
        while True:
            try:
                what = gate.read_text()
            except OSError:
                self._write()
                self.used.clear()
                self.others = _others_ns()
                time.sleep(_REST_S)
                continue
            time.sleep(_TICK_S)
            if self.wall or _others_ns() - self.others > _IDLE_NS:
                self._look(what)
            if time.monotonic() - written > _WRITE_EVERY_S:
                self._write()
                written = time.monotonic()

    def _look(self, what: str) -> None:
        frames, total, main = sys._current_frames(), 0, threading.main_thread()
        for thread in [main] if self.wall else threading.enumerate():
            # After a fork Python 3.11 still tells the parent's number for the main thread.
            number = os.getpid() if thread is main else thread.native_id
            frame = frames.pop(thread.ident or 0, None)
            if number is None or frame is None or thread is self:
                continue
            used = time.monotonic_ns() if self.wall else _cpu_ns(number)
            spent = used - self.used.get(number, used)
            self.used[number] = used
            total += spent
            if spent > 0:
                self.weights[what, _stack(frame)] += spent
        if not self.wall:
            self._foreign(what, list(frames.values()), total)

    def _foreign(self, what: str, frames: list[FrameType], known: int) -> None:
        """A server's own threads, which Python does not list: what the process used beside the known ones is theirs."""
        others, before = _others_ns(), self.others
        self.others = others
        for frame in frames:
            self.weights[what, _stack(frame)] += max(0, others - before - known) // len(frames)

    def _write(self) -> None:
        if not self.weights:
            return
        words = [word for word in sys.argv[1:] if not word.startswith("-") and "/" not in word]
        named = [word for word in words if not word.isdecimal()] or [Path(sys.argv[0]).stem]
        role = "bench" if self.wall else named[0]
        told = {"role": role, "stacks": [[what, weight, stack] for (what, stack), weight in self.weights.items()]}
        draft = self.folder / f"{os.getpid()}.draft"
        with contextlib.suppress(OSError):  # the folder goes when the bench ends
            draft.write_text(json.dumps(told))
            draft.replace(self.folder / f"{os.getpid()}.json")


def _cpu_ns(thread: int) -> int:
    try:
        with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:  # noqa: PTH123 - a hundred times a second
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _others_ns() -> int:
    """CPU time of every thread of this process but the calling one."""
    return time.process_time_ns() - time.thread_time_ns()


def _stack(frame: FrameType | None) -> _Stack:
    names = []
    while frame is not None:
        code = frame.f_code
        names.append(f"{code.co_filename}:{code.co_firstlineno}:{code.co_qualname}")
        frame = frame.f_back
    return tuple(reversed(names))
