"""One line of the table, and how a measurement becomes one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

#: Cores that others may keep busy during a row before the row says that it is noisy.
NOISE = 0.3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` is the median over the pairs; None, as `baseline`, where the measure is absolute.

    `verdict` is ok, below or void (the peer was too slow to be a fair one); `foreign` the cores that processes foreign
    to the bench kept busy meanwhile.
    """

    name: str
    unit: str
    sekisu: float
    baseline: float | None
    ratio: float | None
    at_least: float
    aim: float
    verdict: str
    notes: dict[str, float] = field(default_factory=dict)
    foreign: float = 0.0

    @property
    def figure(self) -> float:
        """What `at_least` and `aim` are about."""
        return self.sekisu if self.ratio is None else self.ratio

    @property
    def noisy(self) -> bool:
        """Whether others kept the machine too busy to trust the figure."""
        return self.foreign > NOISE

    @property
    def reached(self) -> float:
        """The figure in multiples of `at_least`, so that more is better and 1 is just enough."""
        best = max(self.figure, 1e-9)
        return self.at_least / best if self.aim < self.at_least else best / max(self.at_least, 1e-9)


def _verdict(figure: float, at_least: float, aim: float) -> str:
    """`aim` below `at_least` means that less is better."""
    return "ok" if (figure <= at_least if aim < at_least else figure >= at_least) else "below"


def compare(name: str, unit: str, pairs: Sequence[tuple[float, float]], at_least: float, aim: float) -> Row:
    """A row from (sekisu, baseline) pairs: the median of their ratios."""
    ratio = median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    return Row(name, unit, ours, theirs, ratio, at_least, aim, _verdict(ratio, at_least, aim))


def limit(name: str, unit: str, values: Sequence[float], at_least: float, aim: float) -> Row:
    """A row from measurements that stand for themselves: their median against what is allowed."""
    middle = median(values)
    notes = {"worst": max(values)} if len(values) > 1 else {}
    return Row(name, unit, middle, None, None, at_least, aim, _verdict(middle, at_least, aim), notes)


def percentiles(prefix: str, seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds, as notes."""
    ordered = sorted(seconds)
    places = {share: ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] for share in (50, 95, 99)}
    return {f"{prefix}p{share}_ms": value * 1000 for share, value in places.items()}
