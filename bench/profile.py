"""Where the time of a row goes: turns sampling on around what is measured, and tells the functions it was spent in."""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import sampler
from bench.machine import REPOSITORY

_HOOK = REPOSITORY / "bench" / "hook"
_OURS = ("billing/", "workers/", "service/")
TOLD = 18

#: (what was measured and in which kind of process, milliseconds, stack).
Samples = Sequence[tuple[str, float, Sequence[str]]]


class Profile:
    """Samples of every process that a row starts, and of this one; none without a folder."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        if folder is not None:
            folder.mkdir()
            folder.chmod(0o777)
            os.environ[sampler.FOLDER] = str(folder)
            paths = [str(_HOOK), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
            os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        self.watched = False

    def watch_myself(self) -> None:
        """Samples this process too, its waiting included: for jobs that are timed here."""
        if self.folder is not None and not self.watched:
            sampler.watch(wall=True)
            self.watched = True

    @contextmanager
    def on(self, what: str, wanted: bool = True) -> Iterator[None]:
        """What is done within is what the row measures; without `wanted` it is the other side's."""
        if self.folder is None or not wanted:
            yield
            return
        gate = self.folder / sampler.GATE
        draft = gate.with_suffix(".draft")
        draft.write_text(what)
        draft.replace(gate)
        try:
            yield
        finally:
            gate.unlink()

    def samples(self) -> Samples:
        """Those of all processes so far."""
        files = sorted(self.folder.glob("*.json")) if self.folder else []
        told = [json.loads(file.read_text()) for file in files]
        return [
            (f"{what}, {one['role']}", weight / 1e6, stack) for one in told for what, weight, stack in one["stacks"]
        ]


def report(samples: Samples) -> str:
    """For each measure and kind of process: its total, the functions it was spent within, and those that spent it."""
    roles: dict[str, float] = {}
    for role, weight, _ in samples:
        roles[role] = roles.get(role, 0.0) + weight
    busiest = sorted(roles.items(), key=lambda one: -one[1])
    text = [line for role, total in busiest for line in _role(role, total, samples)]
    return "\n".join(text) or "no samples: nothing was busy while the row measured"


def _role(role: str, total: float, samples: Samples) -> list[str]:
    within: defaultdict[str, float] = defaultdict(float)
    itself: defaultdict[str, float] = defaultdict(float)
    for who, weight, stack in samples:
        if who == role:
            names = [_short(name) for name in stack]
            itself[names[-1]] += weight
            for name in {name for name in names if name.startswith(_OURS)}:
                within[name] += weight
    head = f"{role}: {total:,.0f} ms"
    return [head, *_told("within, callees included", within, total), *_told("itself", itself, total)]


def _told(title: str, weights: Mapping[str, float], total: float) -> list[str]:
    heaviest = sorted(weights.items(), key=lambda one: -one[1])[:TOLD]
    return [f"  {title}", *(f"  {weight / total:6.1%} {weight:9,.1f} ms  {name}" for name, weight in heaviest)]


def _short(name: str) -> str:
    """`workers/settle.py:settle` of a path as the interpreter tells it."""
    path, line, function = name.rsplit(":", 2)
    for root in (f"{REPOSITORY}/.venv/", f"{REPOSITORY}/"):
        path = path.removeprefix(root)
    for packages in ("site-packages/", f"python{sys.version_info[0]}.{sys.version_info[1]}/"):
        path = path.rpartition(packages)[2]
    return f"{path}:{line}:{function}"
