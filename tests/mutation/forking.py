"""A pytest plugin that tries mutants: the tests are collected once, then a child is forked for each mutant.

mutmut's own runner starts pytest anew for each mutant, which here takes longer than the tests that kill it. Its
mutants, and its rule that a mutant meets the tests that run its function, are kept.
"""

import gc
import json
import os
import resource
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, wraps
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from _pytest.tmpdir import tmppath_result_key
from mutmut.mutation import trampoline

from tests.mutation.mutants import Mutant, listed
from tests.mutation.results import Result, read, write

#: A test may take so many seconds of processor, or so many times what it takes without a mutant.
_SECONDS, _TIMES = 1.0, 8.0
#: A mutant that eats memory fails instead of the machine (bytes).
_MEMORY = 3 * 2**30
_SAVE_EVERY = 50
_SURVEY = "survey.json"

_awake = ""
_called: set[str] = set()


def _switched(mutants: Mapping[str, Callable[..., Any]], is_classmethod: bool = False) -> Callable[..., Any]:
    """In the place of mutmut's trampoline, which looks into the environment at each call."""
    assert not is_classmethod, "no class method of billing/core had mutants when this was written"

    def switch(function: Callable[..., Any]) -> Callable[..., Any]:
        module = function.__module__
        name = ""

        @wraps(function)
        def call(*args: object, **named: object) -> object:
            nonlocal name
            if not _awake:
                name = name or f"{module}.{mutants['_mutmut_orig'].__name__.partition('__mutmut_')[0]}"
                _called.add(name)
                return mutants["_mutmut_orig"](*args, **named)
            return mutants.get(_awake, mutants["_mutmut_orig"])(*args, **named)

        return call

    return switch


trampoline.wrap_in_trampoline = _switched  # type: ignore[assignment]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", help="a file that names the mutants to try, one a line")
    parser.addoption("--children", type=int, default=1)
    parser.addoption("--budget", type=float, default=60.0, help="seconds of processor for each mutant")


def _kept(folder: Path) -> dict[str, tuple[str, float, list[str]]]:
    """Of each test the digest of its file, the seconds of processor it takes, and the functions it runs."""
    path = folder / _SURVEY
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: (one[0], one[1], one[2]) for name, one in told.items()}


@cache
def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


@dataclass(slots=True)
class _Child:
    mutant: Mutant
    pid: int
    pipe: int
    began: float


@dataclass(slots=True)
class Trial:
    """The tests, which of them run which function, and which of them killed."""

    items: Sequence[pytest.Item]
    budget: float
    seconds: list[float] = field(default_factory=list)
    running: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    killers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def survey(self, folder: Path) -> None:
        """Run every test without a mutant, but for those whose file has not changed since the last survey.

        Raises AssertionError when one fails.
        """
        kept = _kept(folder)
        for i, item in enumerate(self.items):
            digest = _digest(item.path)
            if item.nodeid not in kept or kept[item.nodeid][0] != digest:
                _called.clear()
                began = time.process_time()
                assert _passes(item), f"{item.nodeid} fails without any mutant"
                kept[item.nodeid] = (digest, time.process_time() - began, sorted(_called))
            _, seconds, called = kept[item.nodeid]
            self.seconds.append(seconds)
            for function in called:
                self.running[function].append(i)
        (folder / _SURVEY).write_text(json.dumps(kept), encoding="utf-8")

    def learn(self, results: Mapping[str, Result]) -> None:
        """Remember which tests killed in earlier runs."""
        places = {item.nodeid: i for i, item in enumerate(self.items)}
        for name, result in results.items():
            if result.became == "killed" and result.by in places:
                self.killers[name.partition("__mutmut_")[0]].append(places[result.by])

    def tests(self, mutant: Mutant) -> Iterator[int]:
        """The tests that run the mutant's function: those that killed its like first, then the quick ones."""
        killers = [*self.killers[mutant.function], *self.killers[mutant.module]]
        mine = self.running[mutant.function]
        first = list(dict.fromkeys(i for i in reversed(killers) if i in mine))[:12]
        left = self.budget
        for i in dict.fromkeys([*first, *sorted(mine, key=self.seconds.__getitem__)]):
            if self.seconds[i] <= left:
                left -= self.seconds[i]
                yield i

    def start(self, mutant: Mutant) -> _Child:
        """Fork a child that tries one mutant; it says on the pipe which test failed."""
        reads, writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reads)
            self._try(mutant, writes)
        os.close(writes)
        return _Child(mutant, pid, reads, time.perf_counter())

    def _try(self, mutant: Mutant, pipe: int) -> None:
        global _awake  # noqa: PLW0603
        _awake = mutant.name.rpartition(".")[2]
        gc.disable()
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        for i in self.tests(mutant):
            os.write(pipe, f"{i} ".encode())
            signal.setitimer(signal.ITIMER_PROF, max(_SECONDS, _TIMES * self.seconds[i]))
            if not _passes(self.items[i]):
                os._exit(1)
        os._exit(0)

    def ended(self, child: _Child) -> Result:
        """What became of a mutant whose child has ended."""
        with os.fdopen(child.pipe, "rb") as pipe:
            tried = pipe.read().split()
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - child.began
        if code == 0:
            return Result("survived" if tried else "untested", "", seconds)
        last = int(tried[-1]) if tried else 0
        if code < 0:
            return Result("timeout", self.items[last].nodeid, seconds)
        self.killers[child.mutant.function].append(last)
        self.killers[child.mutant.module].append(last)
        return Result("killed", self.items[last].nodeid, seconds)


def _passes(item: pytest.Item) -> bool:
    """Run one test with its fixtures. What it says when it fails is not wanted, so no report is made of it."""
    state = item.session._setupstate
    item.stash[tmppath_result_key] = {}  # what a report would have filled
    try:
        try:
            item._initrequest()  # type: ignore[attr-defined]
            state.setup(item)
            item.runtest()
        except pytest.skip.Exception:
            pass
        state.teardown_exact(None)
    except BaseException:  # noqa: BLE001 - a mutant may raise anything
        return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Survey the tests, then try each mutant and write down what became of it."""
    options = session.config.option
    folder = Path.cwd()
    names = Path(options.mutants).read_text(encoding="utf-8").split()
    asked = {one.name: one for one in listed(folder)}
    trial = Trial(session.items, options.budget)
    trial.survey(folder)
    print(f"{len(trial.items)} tests in {sum(trial.seconds):.1f} s; {len(names)} mutants", flush=True)
    _run(trial, [asked[name] for name in names], folder, options.children)
    return True


def _run(trial: Trial, mutants: Sequence[Mutant], folder: Path, children: int) -> None:
    gc.freeze()
    results = read(folder)
    trial.learn(results)
    waiting, running, done = list(reversed(mutants)), dict[int, _Child](), 0
    while waiting or running:
        while waiting and len(running) < children:
            child = trial.start(waiting.pop())
            running[child.pipe] = child
        for pipe in _over(running):
            child = running.pop(pipe)
            results[child.mutant.name] = result = trial.ended(child)
            result.code = child.mutant.code
            done += 1
            if done % _SAVE_EVERY == 0 or not (waiting or running):
                write(folder, results)
                print(f"{done} of {len(mutants)}, last of {child.mutant.module}", flush=True)
    write(folder, results)


def _over(running: Mapping[int, _Child]) -> list[int]:
    """The pipes whose child has ended; waits for one."""
    while True:
        for pid in [child.pid for child in running.values()]:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                return [pipe for pipe, child in running.items() if child.pid == pid]
        time.sleep(0.005)
