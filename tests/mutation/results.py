"""What became of each mutant, kept between runs, and the table of it."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant

_FILE = "results.json"


@dataclass(slots=True)
class Result:
    """`became`: killed (by the test `by`), timeout (that test never ended), survived, or untested (no test runs it)."""

    became: str
    by: str
    seconds: float
    code: str = ""

    @property
    def dead(self) -> bool:
        """Whether a test noticed."""
        return self.became in ("killed", "timeout")


def read(folder: Path) -> dict[str, Result]:
    """The results kept in the folder."""
    path = folder / _FILE
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: Result(**one) for name, one in kept.items()}


def write(folder: Path, results: Mapping[str, Result]) -> None:
    """Keep the results in the folder."""
    text = json.dumps({name: asdict(one) for name, one in results.items()}, indent=0)
    (folder / f"{_FILE}.new").write_text(text, encoding="utf-8")
    (folder / f"{_FILE}.new").replace(folder / _FILE)


def current(folder: Path, mutants: Iterable[Mutant]) -> dict[str, Result]:
    """The results of mutants whose function has not changed since."""
    kept = read(folder)
    return {one.name: kept[one.name] for one in mutants if one.name in kept and kept[one.name].code == one.code}


def table(mutants: Iterable[Mutant], results: Mapping[str, Result]) -> str:
    """By module: mutants, how many were tried, killed and survived, and the score over those tried."""
    made: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    dead: Counter[str] = Counter()
    for one in mutants:
        for module in (one.module, "all"):
            made[module] += 1
            tried[module] += one.name in results
            dead[module] += one.name in results and results[one.name].dead
    lines = ["| module | mutants | tried | killed | survived | score |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for module in [*sorted(made.keys() - {"all"}), "all"]:
        score = f"{100 * dead[module] / tried[module]:.1f} %" if tried[module] else ""
        numbers = f"{made[module]} | {tried[module]} | {dead[module]} | {tried[module] - dead[module]}"
        lines.append(f"| {module} | {numbers} | {score} |")
    return "\n".join(lines)
