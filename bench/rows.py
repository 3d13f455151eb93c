"""What the rows share: how much of everything, the processes of a run, and one side's run of changes."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench import sides
from bench.events import joins
from bench.house import House, furnished
from bench.load import fire, must
from bench.machine import Cpu, await_true, busy, cpu
from bench.profile import Profile
from bench.sides import Side

#: A peer slower than this (changes per second, end to end) makes every ratio against it void.
LEAST_PEER = 200.0
QUIET_SECONDS = 0.5
#: Cores that others may keep busy during a run before the run says so.
FOREIGN = 0.1
#: Changes made before anything is timed: pools open, code is loaded, workers have started.
WARM = 200


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; `--quick` makes it small, for trying the bench itself."""

    pairs: int = 3
    requests: int = 10_000
    changes: int = 2_000
    burst: int = 10_000
    #: `in-order`: people of the large workspace, facts of the long one, and facts timed of each kind.
    members: int = 1_000_000
    past: int = 10_000_000
    facts: int = 80
    #: Small workspaces beside them.
    neighbours: int = 10_000
    #: `board`: people on the board. `late`: facts after the late one.
    guests: int = 10_000
    behind: int = 10_000
    #: `renewal`: subscriptions that renew at one instant, and the people of each.
    subscriptions: int = 100_000
    seats: int = 20
    #: `order`: workspaces whose changes come out of order, and the changes of each.
    boards: int = 50
    moves: int = 40

    def scaled(self, by: float) -> "Size":
        """The sizes that take gigabytes or many minutes, times `by`."""
        thousands = max(1, round(self.past * by / 1000)) * 1000  # each of a thousand people has as many facts
        return replace(
            self,
            members=max(100, round(self.members * by)),
            past=thousands,
            subscriptions=max(1, round(self.subscriptions * by)),
        )


QUICK = Size(
    pairs=1,
    requests=1_000,
    changes=200,
    burst=500,
    members=20_000,
    past=50_000,
    facts=7,
    neighbours=500,
    guests=1_000,
    behind=1_000,
    subscriptions=200,
    boards=25,
    moves=20,
)


@dataclass(frozen=True, slots=True)
class Run:
    """One side, once: changes per second, milliseconds of CPU per change (program; engines), charges posted, requests
    accepted per second, and the cores that processes foreign to the bench kept busy meanwhile.
    """

    rate: float
    cpu_ms: float
    engines_ms: float
    charges: int
    accepted: float
    foreign: float

    def __str__(self) -> str:
        foreign = f"; {self.foreign:.2f} cores busy elsewhere" if self.foreign > FOREIGN else ""
        return (
            f"{self.rate:,.0f} changes/s, {self.cpu_ms:.2f} ms CPU (engines {self.engines_ms:.2f} more),"
            f" {self.charges} charges, {self.accepted:,.0f} accepted/s{foreign}"
        )


def elsewhere() -> float:
    """CPU seconds used so far by what is not the bench."""
    own = cpu([os.getpid()])
    return busy() - own.program - own.engines


class Bench:
    """The processes of one run, started when a row first needs them."""

    def __init__(self, stack: ExitStack, size: Size, say: Callable[[str], None]) -> None:
        self.stack, self.size, self.say = stack, size, say
        self.folder = Path(stack.enter_context(sides.workplace()))
        self.started: dict[str, Side] = {}
        self.done: dict[str, int] = {}
        self.places: dict[str, list[str]] = {}
        self.born: dict[str, float] = {}
        self.sink_: sides.Sink | None = None
        self.house_: House | None = None
        self.profile = Profile(None)

    def house(self) -> House:
        """Sekisu's jobs in this process."""
        if self.house_ is None:
            self.house_ = self.stack.enter_context(furnished(self.folder / "house"))
            self.profile.watch_myself()
        return self.house_

    def sink(self) -> sides.Sink:
        """The payment endpoint."""
        if self.sink_ is None:
            self.sink_ = sides.Sink(self.folder)
            self.stack.callback(self.sink_.stop)
        return self.sink_

    def side(self, name: str) -> Side:
        """Sekisu or the peer."""
        if name not in self.started:
            self.say(f"starting {name}")
            made: Side = (sides.Sekisu if name == "sekisu" else sides.Peer)(self.folder / name, self.sink().url)
            self.stack.callback(made.stop)
            self.started[name], self.done[name] = made, 0
            self.changes(name, self.prepare(name, WARM), WARM)
        return self.started[name]

    def sekisu(self) -> sides.Sekisu:
        """Sekisu, as itself."""
        side = self.side("sekisu")
        if not isinstance(side, sides.Sekisu):
            raise TypeError(f"{side!r} is not Sekisu")
        return side

    def workspaces(self, name: str, count: int) -> list[str]:
        """The first `count` workspaces of a side, made when missing."""
        known = self.places.setdefault(name, [])
        if len(known) < count:
            self.say(f"{count - len(known)} workspaces for {name}")
            known += self.prepare(name, count - len(known))
        return known[:count]

    def prepare(self, name: str, count: int) -> list[str]:
        """New workspaces of a side."""
        made = self.side(name).prepare(count)
        self.born[name] = time.monotonic()
        return made

    def requests(self, name: str, places: list[str], count: int) -> list[bytes]:
        """`count` joins, a millisecond apart, the last of them now; all later than every subscription's start, and than
        the joins before: of those at one instant a later charge names all, and the sink would count them twice."""
        time.sleep(max(0.0, self.born[name] + (count + 100) / 1000 - time.monotonic()))
        self.born[name] = time.monotonic()
        return joins(self.side(name).path, places, count)

    def freeze(self, name: str) -> None:
        """Stops a side's background work."""
        sides.pause(self.side(name))

    def thaw(self, name: str, changes: int) -> None:
        """Lets it work off `changes` that were kept meanwhile, and sees that none is lost."""
        target = self.sink().book()["seats"] + changes
        sides.resume(self.side(name))
        await_true(lambda: bool(self.sink().book()["seats"] == target), f"{name} charged what it had accepted", 600)
        self.done[name] += changes
        self.side(name).check(self.done[name])

    def changes(self, name: str, places: list[str], count: int, *, frozen: bool = False) -> Run:
        """`count` joins over `places` until the sink has them all; `frozen`: the workers start when all are kept."""
        side, sink = self.side(name), self.sink()
        requests, before = self.requests(name, places, count), sink.book()
        if frozen:
            self.freeze(name)
        used, began, foreign = side.cpu(), time.monotonic(), elsewhere()
        started = began
        with self.profile.on("changes", name == "sekisu"):
            volley = must(fire(side.port, requests), 200)
            if frozen:
                started = time.monotonic()
                sides.resume(side)
            target = before["seats"] + count
            await_true(lambda: bool(sink.book()["seats"] >= target), f"{name} charged {count} changes", 600)
        time.sleep(QUIET_SECONDS)
        spent, foreign = side.cpu() - used, (elsewhere() - foreign) / (time.monotonic() - began)
        book = sink.book()
        self.done[name] += count
        side.check(self.done[name])
        each = Cpu(spent.program / count * 1000, spent.engines / count * 1000)
        rate, charges = count / (book["last_at"] - started), book["charges"] - before["charges"]
        run = Run(rate, each.program, each.engines, charges, volley.rate, foreign)
        self.say(f"  {name}: {run}")
        return run

    def pair(self, places: int, count: int, *, frozen: bool = False) -> tuple[Run, Run]:
        """Sekisu, then the peer."""
        ours = self.changes("sekisu", self.workspaces("sekisu", places), count, frozen=frozen)
        return ours, self.changes("peer", self.workspaces("peer", places), count, frozen=frozen)

    def pairs(self, places: int, count: int) -> list[tuple[Run, Run]]:
        """Sekisu, peer, Sekisu, peer ..."""
        return [self.pair(places, count) for _ in range(self.size.pairs)]
