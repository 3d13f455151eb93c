"""Runs the crash and the fault suite at length, and writes down what came of it.

    python -m tests.faults --seed 7                                     one plan of faults, again
    python -m tests.faults --point settle.after --seed 3                one crash, again
    python -m tests.faults --seeds 50 --points-seeds 20 --long 30 --record docs/reliability.md
    python -m tests.faults --check-record                               warn when the record is old

Exit code 1 when anything did not hold.
"""

import argparse
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from tests.faults import record
from tests.faults.breaking import Tally
from tests.faults.crash.scenes import play
from tests.faults.engines import BrokenHouse, broken_house
from tests.faults.house import NotBegunError
from tests.faults.run import Run
from tests.house.points import points

#: Runs after which a house is left for a new one, so that a record does not tell of one database alone.
_HOUSE = 25
#: Seeds of the long run: far from those that are counted.
_LONG_FROM = 100_000


@dataclass(frozen=True, slots=True)
class Play:
    """A plan of faults, or a crash at a point."""

    seed: int
    point: str = ""

    @property
    def words(self) -> str:
        """What replays it."""
        return f"--seed {self.seed}" + (f" --point {self.point}" if self.point else "")

    def run(self, house: BrokenHouse, tally: Tally) -> list[str]:
        """Play it; answers what did not hold."""
        if not self.point:
            return Run(house, self.seed, tally).play()
        found = play(house, self.point, self.seed)
        tally.runs += 1
        tally.kills += 1
        tally.deliveries += found.deliveries
        tally.charges += found.charges
        return found.faults


def tell(tally: Tally, faults: Iterable[str]) -> None:
    """Count what did not hold: what is there too often, and everything else, which is taken for a loss."""
    for fault in faults:
        if any(word in fault for word in ("times", "once", "too many", "the endpoint took")):
            tally.doubled += 1
        else:
            tally.lost += 1


class Runner:
    """Plays one thing after the other, in houses that are made anew now and then, and keeps count."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.tallies: dict[str, Tally] = {}

    def all(self, name: str, plays: Iterable[Play], until: float = float("inf")) -> None:
        """Play all of them, or as many as there is time for (`until`, monotonic seconds)."""
        tally, waiting = self.tallies.setdefault(name, Tally()), iter(plays)
        while (some := list(islice(waiting, _HOUSE))) and time.monotonic() < until:
            self._some(iter(some), tally, until)

    def _some(self, some: Iterator[Play], tally: Tally, until: float) -> None:
        """In one house; what failed may have spoiled it, so then the rest have another."""
        held = True
        with broken_house() as house:
            for each in some:
                if time.monotonic() > until:
                    return
                held = self._one(house, tally, each)
                if not held:
                    break
        if not held:
            self._some(some, tally, until)

    def _one(self, house: BrokenHouse, tally: Tally, each: Play) -> bool:
        began = time.monotonic()
        try:
            found = each.run(house, tally)
            tell(tally, found)
        except NotBegunError as fault:
            tally.unplayed += 1
            found = [f"not begun: {fault}"]
        except Exception as fault:  # noqa: BLE001 - told, counted, and the next one is played
            traceback.print_exc(limit=-4, chain=False)
            found = [f"{type(fault).__name__}: {fault}"]
            tell(tally, found)
        print(f"{each.words}: {'; '.join(found) or 'held'} ({time.monotonic() - began:.0f} s)", flush=True)
        if found:
            self.failed.append(each.words)
            print(f"replay it with: python -m tests.faults {each.words}\n{house.words()}", flush=True)
        return not found


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Breaks the product, at length.")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--point", help="a crash at this point, of --seed")
    parser.add_argument("--seeds", type=int, default=0, help="so many plans of faults")
    parser.add_argument("--points-seeds", type=int, default=0, help="so many seeds at each point")
    parser.add_argument("--long", type=float, default=0, metavar="MINUTES", help="plans of faults for so long")
    parser.add_argument("--record", type=Path, help="the file that the record is written into")
    parser.add_argument("--check-record", action="store_true", help="warn when the record is old; exit code 0")
    asked = parser.parse_args()
    if asked.check_record:
        told = record.warning()
        if told:
            print(f"warning: {told}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started and mounted is ended with us
    began, runner = time.monotonic(), Runner()
    if asked.seed is not None:
        runner.all("one", [Play(asked.seed, asked.point or "")])
    runner.all("crash points", (Play(seed, name) for seed in range(asked.points_seeds) for name in points()))
    runner.all("fault seeds", (Play(seed) for seed in range(asked.seeds)))
    runner.all("long run", (Play(seed) for seed in count(_LONG_FROM)), time.monotonic() + 60 * asked.long)
    tallies = {name: tally for name, tally in runner.tallies.items() if tally.runs}
    command = f"python -m tests.faults {shlex.join(sys.argv[1:])}"
    text = record.written(command, tallies, runner.failed, (time.monotonic() - began) / 60)
    print(text)
    if asked.record:
        record.write(text, asked.record)
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
