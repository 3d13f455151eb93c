"""`python -m bench ROW [--json] [--quick]`: ratios against a baseline measured in the same run."""

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict

from bench.rows import QUICK, Bench, Size
from bench.table import HEAD, ROWS, line, measure


def main() -> int:
    """Exit code 0 when every row reached what it must, 1 when one is below or void (never with --quick)."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("row", nargs="?", default="all", choices=[*ROWS, "all", "peer"])
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument(
        "--quick", action="store_true", help="small and once: shows that the bench works, judges nothing"
    )
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes are ended on the way out
    with ExitStack() as stack:
        bench = Bench(stack, QUICK if asked.quick else Size(), lambda text: print(text, file=sys.stderr, flush=True))
        if asked.row == "peer":
            return peer(bench)
        rows = measure(bench, asked.row)
    if asked.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(HEAD, *map(line, rows), sep="\n")
    return 0 if asked.quick or all(row.verdict == "ok" for row in rows) else 1


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
