"""The laws have teeth: one wrong word in the full statement or in the incremental form turns them red."""

import inspect
from types import ModuleType

import pytest

from billing.core import incremental, roster
from billing.core import statement as full
from tests.core.histories import Step, Whole, disagreements, in_order, seeded

SEEDS = range(150)

STATEMENT = [
    ("if step.occupied > high:", "if step.occupied >= high:"),
    ("if opens <= step.at < closes", "if opens < step.at < closes"),
    ("if step.at < instant]", "if step.at <= instant]"),
    ("high = step.occupied", "high = seats"),
    ("groupby(self._facts, key=lambda fact: fact.at)", "((one.at, [one]) for one in self._facts)"),
    ("fact.workspace in (None, self.owner.get(fact.board))", "fact.workspace is not None"),
]
INCREMENTAL = [
    ("if self.occupied > self.purchased:", "if self.occupied >= self.purchased:"),
    ("since <= position.frontier", "since < position.frontier"),
    ("occupied -= sum(stored.values())", "occupied -= 0"),
    ("if at < starts:", "if at <= starts:"),
    ("if again - boards:", "if False:"),
    ("if span.member not in change.rewritten", "if True"),
]
ROSTER = [
    ("return last is not None and at <= last", "return last is not None and at < last"),
    ("if self.heads.seats[board].get(member, False) == on:", "if False:"),
    ("head.on == 0 or", ""),
    ("or shown or", "or"),
    # A deactivation on a board names a person and a board, and shows the board's owner.
    ("(f for f in facts if f.board)", "(f for f in facts if f.board and f.kind.startswith('board.'))"),
    ("    if fact.board is None:\n", "    if fact.board is None or fact.kind.startswith('member.'):\n"),
]


def mutant(module: ModuleType, word: str, wrong: str) -> ModuleType:
    source = inspect.getsource(module)
    assert source.count(word) == 1, f"the mutant's word {word!r} is no longer in {module.__name__} once: choose another"
    changed = ModuleType(module.__name__)
    exec(compile(source.replace(word, wrong), f"mutant of {module.__name__}", "exec"), changed.__dict__)  # noqa: S102
    return changed


def red(step: Step = incremental.advance, whole: Whole = full.statement) -> bool:
    """Whether in any history of the fixed seeds the two forms disagree, or one of them falls over."""
    return any(_differs(seed, step, whole) for seed in SEEDS)


def _differs(seed: int, step: Step, whole: Whole) -> bool:
    case = seeded(seed)
    try:
        return bool(disagreements(case, step, whole) or disagreements(in_order(case), step, whole))
    except (KeyError, StopIteration, ValueError):
        return True


def test_without_a_mutant_the_same_histories_are_green() -> None:
    assert not red()


@pytest.mark.parametrize(("word", "wrong"), STATEMENT, ids=[word for word, _ in STATEMENT])
def test_a_mutant_of_the_full_statement_turns_law_1_red(word: str, wrong: str) -> None:
    assert red(whole=mutant(full, word, wrong).statement)


@pytest.mark.parametrize(("word", "wrong"), INCREMENTAL, ids=[word for word, _ in INCREMENTAL])
def test_a_mutant_of_the_incremental_form_turns_law_1_red(word: str, wrong: str) -> None:
    assert red(step=mutant(incremental, word, wrong).advance)


@pytest.mark.parametrize(("word", "wrong"), ROSTER, ids=[word for word, _ in ROSTER])
def test_a_mutant_of_the_kept_roster_turns_law_1_red(word: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = mutant(roster, word, wrong)
    for name in ("Fold", "late_boards", "late_members", "Heads", "MemberHead"):
        monkeypatch.setattr(incremental, name, getattr(changed, name))
    assert red()
