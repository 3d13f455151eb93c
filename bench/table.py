"""The rows against the peer, all rows by name, and the table."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from bench import boards, order, recovery, renewal, sides, sizes
from bench.load import fire, must
from bench.row import Row, compare, percentiles
from bench.rows import LEAST_PEER, Bench, Run, elsewhere

FEW = 50


def receiver(bench: Bench) -> list[Row]:
    """Accept, verify and commit, the workers frozen, against a bare Flask route on granian WSGI 2x1."""
    side, bare = bench.side("sekisu"), sides.bare(bench.folder)
    bench.stack.callback(bare.stop)
    place, count = bench.workspaces("sekisu", 1), bench.size.requests
    bench.freeze("sekisu")
    for port in (side.port, bare.port):
        must(fire(port, bench.requests("sekisu", place, count // 10)), 200)
    pairs, waits = [], []
    for _ in range(bench.size.pairs):
        volleys = [must(fire(port, bench.requests("sekisu", place, count)), 200) for port in (side.port, bare.port)]
        pairs.append((volleys[0].rate, volleys[1].rate))
        waits += volleys[0].waits
        bench.say(f"  sekisu {volleys[0].rate:,.0f}/s, bare route {volleys[1].rate:,.0f}/s")
    bench.thaw("sekisu", count * bench.size.pairs + count // 10)
    return [replace(compare("receiver", "requests/s", pairs, 0.28, 0.4), notes=percentiles("", waits))]


def changes(bench: Bench) -> list[Row]:
    """End to end and CPU per change, from the same runs: one workspace for each change, then few workspaces."""
    count = bench.size.changes
    many, few = bench.pairs(count, count), bench.pairs(min(FEW, count), count)
    rows = [
        _rate("end-to-end", many, 2, 5),
        _rate(f"end-to-end, {FEW} workspaces", few, 4, 10),
        _cpu("cpu", many, 0.5, 0.2),
        _cpu(f"cpu, {FEW} workspaces", few, 0.5, 0.2),
    ]
    return unless_void(rows)


def unless_void(rows: list[Row]) -> list[Row]:
    """The rows, of which the first is a rate; void when the peer was slower than a fair one is."""
    return rows if (rows[0].baseline or 0.0) >= LEAST_PEER else [replace(row, verdict="void") for row in rows]


def _rate(name: str, runs: list[tuple[Run, Run]], at_least: float, aim: float) -> Row:
    row = compare(name, "changes/s", [(ours.rate, theirs.rate) for ours, theirs in runs], at_least, aim)
    return replace(row, notes={"charges": runs[0][0].charges, "peer_charges": runs[0][1].charges})


def _cpu(name: str, runs: list[tuple[Run, Run]], at_least: float, aim: float) -> Row:
    row = compare(name, "ms CPU/change", [(ours.cpu_ms, theirs.cpu_ms) for ours, theirs in runs], at_least, aim)
    engines = [median(run.engines_ms for run in side) for side in zip(*runs, strict=True)]
    return replace(row, notes={"engines_ms": engines[0], "peer_engines_ms": engines[1]})


def burst(bench: Bench) -> list[Row]:
    """Joins waiting in one new workspace when the workers thaw, against as many single jobs of the peer."""
    runs = []
    for _ in range(bench.size.pairs):
        bench.places.clear()
        runs.append(bench.pair(1, bench.size.burst, frozen=True))
    return unless_void([_rate("burst", runs, 10, 50)])


#: Rows with one function come from the same runs.
ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "receiver": receiver,
    "end-to-end": changes,
    "cpu": changes,
    "burst": burst,
    "in-order": sizes.in_order,
    "board": boards.board,
    "late": sizes.late,
    "order": order.order,
    "recovery": recovery.recovery,
    "memory": recovery.memory,
    "renewal": renewal.renewal,
}


def measure(bench: Bench, wanted: Sequence[str]) -> list[Row]:
    """The rows of those names. Runs that give several rows are done once."""
    names = tuple(wanted)
    found = [row for run in dict.fromkeys(ROWS[name] for name in names) for row in _watched(bench, run)]
    return [row for row in found if row.name.startswith(names)]


def _watched(bench: Bench, run: Callable[[Bench], list[Row]]) -> list[Row]:
    """The rows of one run, with how busy others kept the machine meanwhile."""
    began, foreign = time.monotonic(), elsewhere()
    rows = run(bench)
    cores = max(0.0, (elsewhere() - foreign) / (time.monotonic() - began))
    return [replace(row, foreign=round(cores, 2)) for row in rows]


HEAD = f"{'row':34} {'sekisu':>10} {'baseline':>10} {'unit':14} {'ratio':>8} {'at least':>8} {'aim':>7}  {'':5}"


def line(row: Row) -> str:
    """One line of the table."""
    mark = "" if row.ratio is None else "x"
    baseline = "-" if row.baseline is None else f"{row.baseline:,.4g}"
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}x"
    notes = [f"{name} {value:,.4g}" for name, value in row.notes.items()]
    notes += [f"noisy: {row.foreign:.2f} cores busy elsewhere"] if row.noisy else []
    return (
        f"{row.name:34} {row.sekisu:>10,.4g} {baseline:>10} {row.unit:14} {ratio:>8}"
        f" {f'{row.at_least:g}{mark}':>8} {f'{row.aim:g}{mark}':>7}  {row.verdict:5}  {', '.join(notes)}"
    )
