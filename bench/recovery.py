"""What a kill of every worker costs, and what the service costs when nothing happens."""

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from statistics import median

from bench import machine, sides
from bench.load import fire, must
from bench.machine import await_true
from bench.row import Row, limit
from bench.rows import Bench

#: Looks at the sink's book this often while it waits for the middle of the work.
_POLL_S = 0.01
#: Seconds a fresh `sekisu up` is left alone before its memory is read.
IDLE_S = 10.0
_SECONDS = 300.0


def recovery(bench: Bench) -> list[Row]:
    """`changes` webhooks in as many workspaces; when half of them are charged, every worker process is killed -9. The
    seconds from there until all are charged, beside what that half takes undisturbed.
    """
    killed, undisturbed = [], []
    for _ in range(bench.size.pairs):
        undisturbed.append(_second_half(bench, kill=False))
        killed.append(_second_half(bench, kill=True))
        bench.say(f"  complete {killed[-1]:.2f} s after the kill; undisturbed {undisturbed[-1]:.2f} s after the middle")
    row = limit("recovery", "s", killed, 10, 2)
    return [replace(row, notes=row.notes | {"undisturbed": median(undisturbed)})]


def _second_half(bench: Bench, *, kill: bool) -> float:
    """Seconds from the middle of the work to its end, by the sink's own clock."""
    side, sink, count = bench.sekisu(), bench.sink(), bench.size.changes
    requests = bench.requests("sekisu", bench.workspaces("sekisu", count), count)
    before = sink.book()["seats"]
    middle: list[float] = []

    def wait_for_the_middle() -> None:
        with suppress(Exception):  # the row fails below, and says why
            await_true(lambda: sink.book()["seats"] >= before + count // 2, "half of the work", _SECONDS, _POLL_S)
            middle.append(time.monotonic())
            if kill:
                kill_workers(side)

    watcher = threading.Thread(target=wait_for_the_middle, daemon=True)
    with bench.profile.on("recovery", kill):
        watcher.start()
        must(fire(side.port, requests), 200)
        await_true(lambda: bool(sink.book()["seats"] >= before + count), f"{count} changes charged", _SECONDS)
    watcher.join()
    bench.done["sekisu"] += count
    side.check(bench.done["sekisu"])
    book = sink.book()
    if book["seats"] != before + count:
        raise machine.StartError(f"{book['seats'] - before} seats were charged for {count} changes")
    return float(book["last_at"]) - middle[0]


def kill_workers(side: sides.Sekisu) -> int:
    """Kills -9 every process that works: parents, so that they replace nobody, and their children; how many."""
    pids = [pid for root in side.child_pids("worker") for pid in machine.tree(root)]
    for pid in pids:
        with suppress(ProcessLookupError):  # it died with its parent
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def memory(bench: Bench) -> list[Row]:
    """A fresh `sekisu up` as a user starts it, its own sandbox included, left alone: the proportional share (PSS) of
    every process but PostgreSQL's.
    """
    bench.say("starting an idle sekisu up")
    side = sides.Sekisu(bench.folder / "idle", None)
    try:
        time.sleep(IDLE_S if bench.size.pairs > 1 else IDLE_S / 5)
        found = [machine.memory(pid) for pid in machine.tree(side.process.pid) if machine.name(pid) != "postgres"]
    finally:
        side.stop()
    row = limit("memory", "MB", [sum(pss for pss, _ in found)], 300, 150)
    return [replace(row, notes={"rss": sum(rss for _, rss in found), "processes": len(found)})]
