"""The mutants of billing/core, as mutmut makes them: each module holds all of its own, and one is awake at most."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import mutate_file_contents

ROOT = Path(__file__).parents[2]
CORE = Path("billing/core")
#: What the tests import or read of the repository, beside what is mutated.
_BESIDE = ("workers", "service", "tests", "docs", "pyproject.toml")
_LIST = "mutants.json"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function. `name` is mutmut's; `code` tells the function's text from what it was before."""

    name: str
    code: str

    @property
    def module(self) -> str:
        """The module of billing/core."""
        return self.name.split(".")[2]

    @property
    def function(self) -> str:
        """The function, by mutmut's name for it."""
        return self.name.partition("__mutmut_")[0]


def generate(folder: Path) -> list[Mutant]:
    """Copy the repository to the folder and mutate billing/core there; its modules that have not changed are kept."""
    _copy(folder, [Path(name) for name in _BESIDE])
    _copy(folder, [path.relative_to(ROOT) for path in (ROOT / "billing").iterdir() if path.name != CORE.name])
    known = _read(folder)
    made: dict[str, tuple[str, list[Mutant]]] = {}
    for path in sorted((ROOT / CORE).glob("*.py")):
        digest = sha256(path.read_bytes()).hexdigest()
        old = known.get(path.name)
        made[path.name] = old if old and old[0] == digest else (digest, _mutated(path, folder))
    told = {name: (digest, [asdict(one) for one in mutants]) for name, (digest, mutants) in made.items()}
    (folder / _LIST).write_text(json.dumps(told), encoding="utf-8")
    return listed(folder)


def _read(folder: Path) -> dict[str, tuple[str, list[Mutant]]]:
    """Of each module the digest of its source, and its mutants."""
    path = folder / _LIST
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: (digest, [Mutant(**one) for one in mutants]) for name, (digest, mutants) in told.items()}


def _copy(folder: Path, paths: Iterable[Path]) -> None:
    (folder / CORE).mkdir(parents=True, exist_ok=True)
    for path in paths:
        if (ROOT / path).is_file():
            shutil.copy2(ROOT / path, folder / path)
        elif path.name != "__pycache__":
            shutil.rmtree(folder / path, ignore_errors=True)
            shutil.copytree(ROOT / path, folder / path, ignore=shutil.ignore_patterns("__pycache__"))


def _mutated(path: Path, folder: Path) -> list[Mutant]:
    where = str(CORE / path.name)
    made = mutate_file_contents(where, path.read_text(encoding="utf-8"))
    (folder / where).write_text(made.code, encoding="utf-8")
    module, codes = where.removesuffix(".py").replace("/", "."), made.hash_by_function_name
    return [Mutant(f"{module}.{name}", codes.get(name.partition("__mutmut_")[0], "")) for name in made.mutant_names]


def listed(folder: Path) -> list[Mutant]:
    """The mutants that were generated into the folder."""
    return [one for _, mutants in _read(folder).values() for one in mutants]


def differences(folder: Path, mutants: Iterable[Mutant]) -> str:
    """What each mutant changes, as unified differences."""
    texts: dict[Path, str] = {}
    told = []
    for one in mutants:
        path = CORE / f"{one.module}.py"
        text = texts.setdefault(path, (folder / path).read_text(encoding="utf-8"))
        lines = get_diff_for_mutant(one.name, source=text, path=path).splitlines()
        told.append("\n".join([f"# {one.name}", *lines[2:], ""]))
    return "\n".join(told)
