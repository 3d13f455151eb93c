"""What must not depend on size: a fact in its order in a large or long workspace, and one that comes late."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from statistics import median

from bench.house import NOW, START, House
from bench.mass import Crowd, crowded
from bench.mould import mould
from bench.row import Row, compare, limit, percentiles
from bench.rows import Bench

#: The small sides: 100 people; 1,000 past facts, of as many people as the long side has.
FEW_MEMBERS = 100
FEW_FACTS = 1_000
#: Facts settled before any is timed: plans are prepared and pages read. With those that are timed they must not be
#: more than the people of the small side, each of whom leaves once.
_WARM = 15
_FIRST = START + timedelta(seconds=1)


def in_order(bench: Bench) -> list[Row]:
    """One settlement of one new fact, the database included: a join, which buys a seat, and a leave."""
    size, house = bench.size, bench.house()
    bench.say(f"building a workspace of {size.members:,} people and one with {size.past:,} past facts")
    house.begin()
    few = Crowd(f"few {house.run}", FEW_MEMBERS, FEW_MEMBERS)
    short = Crowd(f"short {house.run}", FEW_FACTS, FEW_FACTS)
    pairs = {
        f"{size.members:,} members": (Crowd(f"many {house.run}", size.members, size.members), few),
        f"{size.past:,} facts": (Crowd(f"long {house.run}", FEW_FACTS, size.past), short),
    }
    places = {crowd: crowded(house, crowd, _FIRST, NOW) for pair in pairs.values() for crowd in pair}
    _neighbours(house, size.neighbours)
    house.tidy()
    house.turn(NOW)
    rows = []
    for name, (large, small) in pairs.items():
        for kind in ("join", "leave"):
            _rounds(house, kind, [large, small], places, range(_WARM))
            with bench.profile.on(f"in-order {kind}, {name}"):
                times = _rounds(house, kind, [large, small], places, range(_WARM, _WARM + size.facts))
            rows.append(_row(f"in-order {kind}, {name}", times))
            bench.say(f"  {rows[-1].name}: {rows[-1].sekisu:.2f} ms, {rows[-1].baseline:.2f} ms in the small one")
    for crowd in (pair[1] for pair in pairs.values()):
        house.must_verify(places[crowd])
    return rows


def _neighbours(house: House, count: int) -> None:
    """Small paying workspaces beside the large ones: what a database plans by is what most workspaces are like."""
    name = f"bench-neighbour-{house.run}-00000000"
    workspace = house.workspace(name)
    house.turn(START)
    house.file([house.event("member.joined", name, START, member=f"p{n}", name=f"Person {n}") for n in range(20)])
    house.settle(workspace)
    house.start(workspace)
    copies = mould(house.database.url, workspace, frozenset())
    copies.copy(1, count, lambda _: None)
    copies.connection.close()


def _rounds(
    house: House, kind: str, crowds: Sequence[Crowd], places: dict[Crowd, str], numbers: range
) -> list[tuple[float, ...]]:
    """Seconds to settle one fact in each of the workspaces, in turn, of a new person each or of one who is there."""
    times = []
    for number in numbers:
        house.turn(house.now + timedelta(minutes=1))
        told = {"member": f"new{number}" if kind == "join" else f"p{number}"}
        for crowd in crowds:
            house.file(
                [house.event("member.joined" if kind == "join" else "member.left", crowd.name, house.now, **told)]
            )
        taking = crowds if number % 2 else list(reversed(crowds))  # neither side is always the first
        took = {crowd: house.settle(places[crowd]) for crowd in taking}
        times.append(tuple(took[crowd] for crowd in crowds))
    return times


def _row(name: str, times: Sequence[tuple[float, ...]]) -> Row:
    large, small = zip(*times, strict=True)
    row = compare(name, "ms", [(1000 * one, 1000 * other) for one, other in zip(large, small, strict=True)], 1.2, 1.05)
    # The typical times against each other: the median of single ratios of a few milliseconds shakes more.
    ratio = median(large) / median(small)
    verdict = "ok" if ratio <= row.at_least else "below"
    return replace(row, ratio=ratio, verdict=verdict, notes=percentiles("", large) | percentiles("small_", small))


def late(bench: Bench) -> list[Row]:
    """A join before `behind` joins of the same period, each of which bought a seat at an instant of its own; and a
    leave there, which frees the seat that the first of them bought.
    """
    size, house = bench.size, bench.house()
    bench.say(f"building a period of {size.behind:,} facts")
    house.begin()
    name = f"late {house.run}"
    workspace = house.workspace(name)
    first = [house.event("member.joined", name, START, member=f"early{n}", name=f"Early {n}") for n in range(50)]
    house.file(first)
    house.settle(workspace)
    house.start(workspace)
    house.turn(NOW)
    gap = (NOW - START) / (size.behind + 2)
    joins = [
        house.event("member.joined", name, START + gap * (n + 2), member=f"m{n}", name=f"Member {n}")
        for n in range(size.behind)
    ]
    house.file(joins)
    bench.say(f"  the {size.behind:,} in order: {house.settle(workspace):.2f} s in one settlement")
    house.tidy()
    rows = []
    for kind in ("join", "leave"):
        times = [_late(bench, house, name, workspace, kind, n) for n in range(2 * bench.size.pairs + 1)]
        rows.append(limit(f"late {kind}, {size.behind:,} facts after", "s", times, 1.0, 0.2))
        bench.say(f"  late {kind}: {rows[-1].sekisu:.3f} s")
    if size.behind <= 2_000:
        house.must_verify(workspace)
    return rows


def _late(bench: Bench, house: House, name: str, workspace: str, kind: str, n: int) -> float:
    """Seconds to settle the n-th late fact, heard now."""
    house.turn(house.now + timedelta(minutes=1))
    at = START + timedelta(seconds=1 + n)
    told = {"member": f"late{n}"} if kind == "join" else {"member": f"early{n}"}
    house.file([house.event("member.joined" if kind == "join" else "member.left", name, at, **told)])
    with bench.profile.on(f"late {kind}"):
        return house.settle(workspace)
