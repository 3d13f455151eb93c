"""The mutation run over billing/core: `python -m tests.mutation` (`make mutation`).

    python -m tests.mutation                          every mutant not tried yet, and every survivor again
    python -m tests.mutation money lines --sample 60  sixty mutants of each module, chosen by --seed
    python -m tests.mutation --only-new --budget 4    survivors are left; four seconds of tests for each mutant
    python -m tests.mutation --show roster            what the survivors change, nothing is run
    python -m tests.mutation --write                  the table into docs/mutation.md, nothing is run

It works in a copy (--folder), where results are kept until a function changes; nothing in the repository is touched.
The exit code is 0 when the score is at least 90 %.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from random import Random

from tests.mutation.mutants import ROOT, Mutant, differences, generate
from tests.mutation.results import Result, current, table

PAGE = ROOT / "docs" / "mutation.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
GOAL = 0.9


def main(arguments: Sequence[str]) -> int:
    """Answers the exit code."""
    given = _parser().parse_args(arguments)
    folder = Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    mutants = generate(folder)
    results = current(folder, mutants)
    mine = [one for one in mutants if not given.modules or one.module in given.modules]
    if given.show:
        print(differences(folder, [one for one in mine if one.name in results and not results[one.name].dead]))
        return 0
    if not given.write:
        _run(folder, _chosen(mine, results, given), given)
        results = current(folder, mutants)
    print(table(mutants, results))
    if given.write:
        _write(table(mutants, results))
    dead = sum(result.dead for result in results.values())
    return 0 if results and dead >= GOAL * len(results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", help="modules of billing/core; all when none is named")
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "sekisu-mutation"))
    parser.add_argument("--sample", type=int, help="so many mutants of each module")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of tests for each mutant")
    parser.add_argument("--children", type=int, default=1, help="mutants tried at once")
    parser.add_argument("--only-new", action="store_true", help="leave the survivors of earlier runs")
    parser.add_argument("--only-survivors", action="store_true", help="try the survivors of earlier runs again")
    parser.add_argument("--show", action="store_true", help="print the survivors")
    parser.add_argument("--write", action="store_true", help="write the table into docs/mutation.md")
    return parser


def _chosen(mutants: Sequence[Mutant], results: Mapping[str, Result], given: argparse.Namespace) -> list[str]:
    """The mutants to try: one of each module in turn, in a random order, so that what is done is always a sample."""
    own: dict[str, list[str]] = {}
    for one in mutants:
        own.setdefault(one.module, []).append(one.name)
    for module, names in own.items():
        Random(f"{given.seed} {module}").shuffle(names)
    turns = zip_longest(*(names[: given.sample] for names in own.values()))
    drawn = [name for turn in turns for name in turn if name]
    if given.only_survivors:
        return [name for name in drawn if name in results and not results[name].dead]
    return [name for name in drawn if name not in results or not (given.only_new or results[name].dead)]


def _run(folder: Path, names: Sequence[str], given: argparse.Namespace) -> None:
    (folder / "asked.txt").write_text("\n".join(names), encoding="utf-8")
    selection = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    command = [sys.executable, "-m", "pytest", "-p", "tests.mutation.forking", *selection["pytest_add_cli_args"]]
    command += ["--assert=plain", "--mutants", str(folder / "asked.txt"), "--children", str(given.children), "-s", "-q"]
    command += ["--budget", str(given.budget), *selection["pytest_add_cli_args_test_selection"]]
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    if names:
        subprocess.run(command, cwd=folder, env=environ, check=True)


def _write(text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}{text}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
