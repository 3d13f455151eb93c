"""`python -m bench ROW... [--quick] [--json] [--chart FILE]`: every promise of speed, measured on this machine."""

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from bench import chart
from bench.machine import facts
from bench.profile import Profile, report
from bench.row import Row
from bench.rows import QUICK, Bench, Size
from bench.table import HEAD, ROWS, line, measure


def main() -> int:
    """Exit code 0 when every row reached what it must, 1 when one is below or void (never with --quick)."""
    asked = _asked()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes are ended on the way out
    size = (QUICK if asked.quick else Size()).scaled(asked.scale)
    machine = facts()
    _say(", ".join(f"{name} {value}" for name, value in machine.items()))
    with ExitStack() as stack:
        bench = Bench(stack, size, _say)
        if asked.row == ["peer"]:
            return peer(bench)
        if asked.profile:
            bench.profile = Profile(bench.folder / "samples")
        rows = measure(bench, list(ROWS) if not asked.row or "all" in asked.row else asked.row)
        samples = bench.profile.samples()
    _write(asked, machine, rows)
    if asked.profile:
        print(report(samples))
    return 0 if asked.quick or all(row.verdict == "ok" for row in rows) else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    rows = ", ".join([*ROWS, "all", "peer"])
    parser.add_argument("row", nargs="*", metavar="ROW", help=f"{rows}; without one, all. `profile ROW`: as --profile")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="draw the rows against what they must reach")
    parser.add_argument("--profile", action="store_true", help="tell the functions the measured time went into")
    parser.add_argument(
        "--quick", action="store_true", help="small and once: shows that the bench works, judges nothing"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="times the large sizes of in-order and renewal (0.1: a tenth)"
    )
    asked = parser.parse_args()
    if asked.row[:1] == ["profile"]:
        asked.profile, asked.row = True, asked.row[1:]
    unknown = [name for name in asked.row if name not in (*ROWS, "all", "peer")]
    if unknown or ("peer" in asked.row and len(asked.row) > 1):
        parser.error(f"no row {', '.join(unknown)}; there is {rows}" if unknown else "peer is run alone")
    return asked


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _write(asked: argparse.Namespace, machine: dict[str, str], rows: list[Row]) -> None:
    told = json.dumps({"machine": machine, "quick": asked.quick, "rows": [asdict(row) for row in rows]}, indent=2)
    print(told if asked.json else "\n".join([HEAD, *map(line, rows)]))
    if asked.save:
        asked.save.write_text(told + "\n")
    if asked.chart:
        asked.chart.write_text(chart.svg(rows, machine))


def peer(bench: Bench) -> int:
    """The peer alone, as a check that it is a fair one."""
    count = bench.size.changes
    for places in (count, min(50, count)):
        for _ in range(bench.size.pairs):
            bench.changes("peer", bench.workspaces("peer", places), count)
    bench.changes("peer", bench.workspaces("peer", 1), bench.size.burst, frozen=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
