"""The rows by name, and the table."""

from dataclasses import replace
from statistics import median

from bench import sides
from bench.load import fire, must
from bench.rows import LEAST_PEER, Bench, Row, Run, compare

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
        waits.append(volleys[0].wait_ms(0.99))
        bench.say(f"  sekisu {volleys[0].rate:,.0f}/s, bare route {volleys[1].rate:,.0f}/s")
    bench.thaw("sekisu", count * bench.size.pairs + count // 10)
    return [replace(compare("receiver", "requests/s", pairs, 0.28, 0.4), notes={"p99_ms": median(waits)})]


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
    return _unless_void(rows, rows[0].baseline)


def _unless_void(rows: list[Row], peer: float) -> list[Row]:
    """The rows; void when the peer was slower than a fair one is."""
    return rows if peer >= LEAST_PEER else [replace(row, verdict="void") for row in rows]


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
    row = _rate("burst", runs, 10, 50)
    return _unless_void([row], row.baseline)


ROWS = {"receiver": receiver, "end-to-end": changes, "cpu": changes, "burst": burst}


def measure(bench: Bench, wanted: str) -> list[Row]:
    """The rows of one name, or of `all`. Runs that give several rows are done once."""
    if wanted != "all":
        return [row for row in ROWS[wanted](bench) if row.name.startswith(wanted)]
    return [row for run in dict.fromkeys(ROWS.values()) for row in run(bench)]


def line(row: Row) -> str:
    """One line of the table."""
    notes = ", ".join(f"{name} {value:,.4g}" for name, value in row.notes.items())
    return (
        f"{row.name:26} {row.sekisu:>10,.4g} {row.baseline:>10,.4g} {row.unit:14} {row.ratio:>7.2f}x"
        f" {row.at_least:>7}x {row.aim:>5}x  {row.verdict:5}  {notes}"
    )


HEAD = f"{'row':26} {'sekisu':>10} {'baseline':>10} {'unit':14} {'ratio':>8} {'at least':>8} {'aim':>6}  {'':5}"
