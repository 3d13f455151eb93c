"""The mutation run: for each rule, its code is broken in a copy of the packages, and its test must turn red.

    python -m tests.rules.mutate TR-08 XX-01      these rules
    python -m tests.rules.mutate --all --jobs 2   the whole table, two at once

Nothing in the repository is touched. The exit code is 0 when every test is green before and red after.
"""

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.rules.rule import Rule
from tests.rules.table import ROOT, rules

#: What the tests import or read of the repository.
_COPIED = ("billing", "workers", "service", "tests")
#: Longer than any rule's test takes; a mutant may loop.
_SECONDS = 180


class Copy:
    """A copy of the packages in which a file can be broken, and tests run against it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "main"
        for name in _COPIED:
            shutil.copytree(ROOT / name, self.root / name)
        shutil.copy2(ROOT / "pyproject.toml", self.root)
        if (shared := ROOT.parent / "shared").is_dir():
            (folder / "shared").symlink_to(shared)

    def run(self, tests: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """pytest over those tests of tests/rules. No byte code is written, so that none of a mutant is left behind."""
        names = [f"tests/rules/{test}" for test in tests]
        environ = {**os.environ, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        options = ["-o", "addopts=", "-q", "-rfE", "--tb=line", "-p", "no:cacheprovider", "--timeout", str(_SECONDS)]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, *names],
            cwd=self.root,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def judge(self, rule: Rule) -> str:
        """Break the rule's code, run its test, mend the code: red, green, or what else became of the test."""
        path = self.root / rule.file
        told, stat = path.read_text(encoding="utf-8"), path.stat()
        if told.count(rule.old) != 1:
            return f"not broken: {rule.old!r} stands {told.count(rule.old)} times in {rule.file}"
        path.write_text(told.replace(rule.old, rule.new), encoding="utf-8")
        try:
            done = self.run([rule.test])
        finally:
            path.write_text(told, encoding="utf-8")
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return became(done)


def became(done: "subprocess.CompletedProcess[str]") -> str:
    """Red only when the test itself failed: a fixture that fell over or a module that does not load proves nothing."""
    lines = done.stdout.splitlines()
    if done.returncode == 0:
        return "green"
    if done.returncode == 1 and any(line.startswith("FAILED") for line in lines):
        return "red"
    return "fell over: " + next((line for line in lines if line.startswith("ERROR")), done.stderr[-200:])


@dataclass(frozen=True)
class Run:
    """Some copies, each used by one at a time."""

    copies: "queue.SimpleQueue[Copy]"

    def judge(self, rule: Rule) -> tuple[Rule, str]:
        """One rule's verdict, told as soon as it is known."""
        copy = self.copies.get()
        try:
            word = copy.judge(rule)
        finally:
            self.copies.put(copy)
        print(f"{rule.id}  {word:6}  {rule.test}", flush=True)
        return rule, word


def main(arguments: Sequence[str]) -> int:
    """The run over the rules named, or all; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.rules.mutate", description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID")
    parser.add_argument("--all", action="store_true", help="the whole table")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at once (1)")
    given = parser.parse_args(arguments)
    asked = [rule for rule in rules() if rule.test and (given.all or rule.id in given.ids)]
    missing = set(given.ids) - {rule.id for rule in asked}
    if missing or not asked:
        parser.error(f"no such rule with a test: {', '.join(sorted(missing)) or 'name some, or --all'}")
    with ExitStack() as stack:
        copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for _ in range(given.jobs):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sekisu-mutate-"))
            copies.put(Copy(Path(folder)))
        first = copies.get()
        before = first.run([rule.test for rule in asked])
        copies.put(first)
        if before.returncode:
            print(before.stdout[-4000:], before.stderr[-2000:], "the tests are not green before anything is broken")
            return 1
        with ThreadPoolExecutor(given.jobs) as pool:
            verdicts = list(pool.map(Run(copies).judge, asked))
    wrong = [f"{rule.id} ({word})" for rule, word in verdicts if word != "red"]
    print(
        f"{len(verdicts) - len(wrong)} of {len(verdicts)} turned red" + (f"; not: {', '.join(wrong)}" if wrong else "")
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
