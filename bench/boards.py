"""A board of many guests is closed, reopened, and moved to another workspace."""

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta

from bench.house import NOW, House
from bench.row import Row, limit
from bench.rows import Bench
from billing.tools.room import Event

_TOOL = "trello"


def board(bench: Bench) -> list[Row]:
    """From the fact, read, to the last settlement of it: everybody on the board is on one other board too, so that
    closing frees all of their seats, reopening fills them, and a move does the one here and the other there.
    """
    house, guests, rounds = bench.house(), bench.size.guests, bench.size.pairs
    bench.say(f"building {rounds + 1} workspaces with {guests:,} guests of one board")
    house.begin()
    home = Homes(house, guests, rounds)
    house.tidy()
    times: dict[str, list[float]] = {}
    for n in range(-1, rounds):  # the first is not counted: plans are prepared in it
        done = {kind: home.change(bench, f"board.{kind}") for kind in ("closed", "reopened")}
        if n >= 0:
            for kind, seconds in done.items():
                times.setdefault(kind, []).append(seconds)
    for target in home.targets:
        times.setdefault("moved", []).append(home.move(bench, target))
    for kind, took in times.items():
        bench.say(f"  {kind}: {', '.join(f'{one:.3f}' for one in took)} s")
    if guests <= 1_000:
        for workspace in home.all:
            house.must_verify(workspace)
    return [limit(f"board {kind}, {guests:,} guests", "s", took, 1.0, 0.3) for kind, took in times.items()]


class Homes:
    """A workspace whose board will be closed, reopened and moved, and the workspaces it moves to."""

    def __init__(self, house: House, guests: int, targets: int) -> None:
        self.house, self.run = house, house.run
        self.people = [f"guest{n}" for n in range(guests)]
        self.moving = f"moving {self.run}"
        self.source = f"home {self.run}"
        self.targets = [f"target {self.run} {n}" for n in range(targets)]
        self.ids = {name: self._furnished(name) for name in (self.source, *self.targets)}
        self.house.turn(NOW)
        self._seat(self.moving, self.source)

    @property
    def all(self) -> Sequence[str]:
        """Every workspace."""
        return list(self.ids.values())

    def _furnished(self, name: str) -> str:
        """A workspace with one member, a running subscription, and everybody on a board that stays."""
        workspace = self.house.workspace(name, _TOOL)
        self._do([self.house.event("member.joined", name, self.house.now, member="first", name="First Person")])
        self.house.start(workspace)
        self._seat(f"staying {name}", name)
        return workspace

    def _seat(self, board_name: str, owner: str) -> None:
        """Everybody is put on a board of `owner`, one after the other."""
        at = self.house.now
        self._do([self.house.event("board.attached", owner, at, board=board_name)])
        step = timedelta(milliseconds=1)
        self.house.turn(at + step * (len(self.people) + 1))
        self._do(
            self.house.event(
                "board.member_added",
                None,
                at + step * (n + 1),
                board=board_name,
                owner=owner,
                member=who,
                name=who.title(),
            )
            for n, who in enumerate(self.people)
        )

    def _do(self, events: Iterable[Event]) -> None:
        for workspace in self.house.file(events, _TOOL, shared=True):
            self.house.settle(workspace)

    def change(self, bench: Bench, kind: str) -> float:
        """Closes or reopens the board; seconds."""
        self.house.turn(self.house.now + timedelta(minutes=1))
        return self._timed(bench, kind, [self.house.event(kind, None, self.house.now, board=self.moving)])

    def move(self, bench: Bench, target: str) -> float:
        """Moves the board to a workspace that never had it; seconds until both are settled."""
        self.house.turn(self.house.now + timedelta(minutes=1))
        return self._timed(
            bench, "board.moved", [self.house.event("board.attached", target, self.house.now, board=self.moving)]
        )

    def _timed(self, bench: Bench, what: str, events: Sequence[Event]) -> float:
        with bench.profile.on(what):
            began = time.perf_counter()
            self._do(events)
            return time.perf_counter() - began
