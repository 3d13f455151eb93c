"""The laws have teeth: one wrong word in any form of the statement, in a life or in the settlement turns them red."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from random import Random
from types import ModuleType
from typing import Any

import pytest

from billing.core import incremental, life, passing, replay, roster, settlement, walk
from billing.core import statement as full
from tests.core import till
from tests.core.histories import Step, disagreements, in_order, seeded
from tests.core.lives import Told, live, reheard
from tests.core.offers import SHAPES
from tests.core.plain_life import PlainLife
from tests.core.telling import Whole, by_key
from tests.core.test_legs import one_by_one
from tests.core.test_settlement import kept_books

SEEDS = range(110)

STATEMENT = [
    ("if stretch.opens <= step.at < stretch.closes]", "if stretch.opens < step.at < stretch.closes]"),
    ("risen = max(0, step.occupied - quantity)", "risen = step.occupied"),
    ("if stretch.by_fact else replay.occupied_before", "if False else replay.occupied_before"),
    ("if cut.key == stretch.key and cut.credited and quantity]", "if cut.key == stretch.key and quantity]"),
    ("return max(occupied, terms.minimum)", "return occupied"),
    ("max(held if stretch.n else 0, terms.minimum)", "max(replay.occupied_before(stretch.opens), terms.minimum)"),
    ("if not life.muted(at) and at < stretch.closes", "if at < stretch.closes"),
    ("lines += [voided(line, void) for line in told] if void else told", "lines += told"),
    ("(s.at < at if before else s.at <= at)", "s.at <= at"),
    ("told = merged(told)", "pass"),
]
REPLAY = [
    ("if step.at < instant]", "if step.at <= instant]"),
    ("fact.workspace in (None, self.owner.get(fact.board))", "fact.workspace is not None"),
    ("if at in turns:\n", "if False:\n"),
    ("person.deactivated = False", "pass"),
    ("if fact.board is None or fact.board in settled:", "if fact.board is None:"),
]
INCREMENTAL = [
    ("since <= position.frontier", "since < position.frontier"),
    ("occupied -= memory.risen(since)", "occupied -= 0"),
    ("if again - boards:", "if False:"),
    ("if span.member not in change.rewritten", "if True"),
    ("turned |= {begun[key]", "{begun[key]"),
    ("through is None or d.at > through", "through is None"),
    ("course.licences(memory.bought(stretch.key, until), stretch.key, stretch.opens, until)", "0"),
    ("if turns and fact.at <= turns[-1][0]]", "if False]"),
]
#: What makes the walk stop where nothing is changed any more.
LEGS = [
    ("since > max(touched) and", ""),
    ("and not walk.turns:", ":"),
    ("if more == sum(change.steps.values()):", "if True:"),
    ("purchased = position.purchased + more", "purchased = walk.purchased"),
]
WALK = [
    ("if not stretch.by_fact:\n", "if stretch.by_fact is None:\n"),
    ("        self.occupied += step\n        for", "        self.occupied = step\n        for"),
    ("        self.occupied += step\n        return", "        self.occupied = step\n        return"),
    ("at >= stretch.closes or self.course.muted(at)", "at >= stretch.closes"),
    ("self.purchased += sum(grant.count for grant in mine)", "self.purchased += 0"),
    ("if cut.credited and self.purchased:", "if self.purchased:"),
    ("                self.terms[stretch.key] = switch.terms\n", ""),
    ("if switch.at < self.since}", "if switch.at <= self.since}"),
    (" | {mute.ends for mute in course.mutes if mute.ends}", ""),
    ("yield from merged(lines)", "yield from lines"),
    ("        self.purchased += risen\n", ""),
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
PASSING = [
    ("following.start >= self.cancel_at", "following.start > self.cancel_at"),
    ("if months != last.months:", "if False:"),
    ("self._unbegun(at, rule, fact)", "pass"),
    ('if policy == "convert_if_method" and trial.method:', 'if policy == "convert_if_method":'),
    ("self._lead()), self.zone)", "0), self.zone)"),
    ("if not self.suspended and self.retried < len", "if self.retried < len"),
    ("voided = {f.key: f.fact", "voided = {(f.key[0], -1): f.fact"),
]
LIFE = [
    ("known[1] == 1 or", ""),
    (
        "or self.failing.pop(obligation, None) is None or self.failing:",
        "or self.failing.pop(obligation, None) is None:",
    ),
    ("        self.retried = 0\n", ""),
    ("registered=None, method=None", "method=None"),
    ("self.cancel_at = self.stretches[-1].period.end", "self.cancel_at = self.stretches[0].period.end"),
    ("replace(last, closes=fact.at)", "last"),
    ("self.stretches[-1].period.end:\n            return", "self.stretches[-1].period.end:\n            pass"),
    ("or key[0] != self.subscription", ""),
]
SETTLEMENT = [
    ("min(decision.tax.gross(decision.total), credit", "min(decision.total, credit"),
    ('"failed": "reduced"', '"failed": "credited"'),
    ('"pending": "waiting"', '"pending": "credited"'),
    ("self._left[share.charge, share.key] -= part", "pass"),
    ("self._standing[share.charge] -= part", "pass"),
    ("part = min(one.amount, -amounts[i])", "part = 0"),
    ("return max(0, asked - by), min(back, credit_used)", "return max(0, asked - by), 0"),
    ("if part > 0:\n            refunds", "if part < 0:\n            refunds"),
    ("for share in own + others:", "for share in own:"),
    ('one.how in ("credited", "granted")', 'one.how == "credited"'),
]


def mutant(module: ModuleType, word: str, wrong: str, **parts: object) -> ModuleType:
    """The module with one word replaced; `parts` stand in for names that it imports."""
    source = inspect.getsource(module)
    assert source.count(word) == 1, f"the mutant's word {word!r} is no longer in {module.__name__} once: choose another"
    changed = ModuleType(module.__name__)
    exec(compile(source.replace(word, wrong), f"mutant of {module.__name__}", "exec"), changed.__dict__)  # noqa: S102
    changed.__dict__.update(parts)
    return changed


@cache
def told() -> Sequence[Told]:
    """Lives told without any mutant."""
    return [live(shape, seed, 16, 16, climbs=seed % 3 == 0) for seed in range(74) for shape in SHAPES]


def red(step: Step = incremental.advance, whole: Whole = full.statement) -> bool:
    """Whether in any history or life of the fixed seeds the two forms disagree, or one of them falls over."""
    for seed in SEEDS:
        if falls(partial(_differs, seed, step, whole)):
            return True
        if any(falls(partial(_lived_otherwise, one, step, whole)) for one in told()[seed * 2 : seed * 2 + 2]):
            return True
    return False


def falls(differs: Callable[[], bool]) -> bool:
    try:
        return differs()
    except (AssertionError, AttributeError, KeyError, IndexError, StopIteration, TypeError, ValueError):
        return True


def _unsound(seed: int) -> bool:
    kept_books(seed)
    return False


def _differs(seed: int, step: Step, whole: Whole) -> bool:
    case = seeded(seed)
    return bool(disagreements(case, step, whole) or disagreements(in_order(case), step, whole))


def _lived_otherwise(one: Told, step: Step, whole: Whole) -> bool:
    owed = one.owed(whole=whole)
    return any(by_key(reheard(one, Random(seed), step=step).book.values()) != owed for seed in (1, 2))


def course_red(course: Callable[..., Any]) -> bool:
    """Whether a life read day by day ever differs from the course."""
    return any(falls(partial(_read_otherwise, one, course)) for one in told())


def _read_otherwise(one: Told, course: Callable[..., Any]) -> bool:
    for now in sorted({fact.at for fact in one.plan.facts} | {one.end}):
        read, plain = course(one.plan.facts, now, one.plan.zone), PlainLife(one.plan.facts, now, one.plan.zone)
        if (read.state, periods(read)) != (plain.state, plain_periods(plain)):
            return True
        if [due.at for due in read.dues if due.what == "retry"] != plain.retried:
            return True
    return False


def periods(read: Any) -> list[object]:
    return [(one.key, one.opens, one.closes, one.plan, one.key in read.voids) for one in read.stretches]


def plain_periods(plain: PlainLife) -> list[object]:
    return [((one.subscription, one.n), one.opens, one.closes, one.plan, one.void) for one in plain.billed]


def ids(words: Iterable[tuple[str, str]]) -> list[str]:
    return [word for word, _ in words]


def test_without_a_mutant_the_same_histories_and_lives_are_green() -> None:
    assert not red()
    assert not course_red(life.course)


@pytest.mark.parametrize(("word", "wrong"), STATEMENT, ids=ids(STATEMENT))
def test_a_mutant_of_the_full_statement_turns_law_1_red(word: str, wrong: str) -> None:
    assert red(whole=mutant(full, word, wrong).statement)


@pytest.mark.parametrize(("word", "wrong"), REPLAY, ids=ids(REPLAY))
def test_a_mutant_of_the_replayed_roster_turns_law_1_red(
    word: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full, "Replay", mutant(replay, word, wrong).Replay)
    assert red()


@pytest.mark.parametrize(("word", "wrong"), INCREMENTAL, ids=ids(INCREMENTAL))
def test_a_mutant_of_the_incremental_form_turns_law_1_red(word: str, wrong: str) -> None:
    assert red(step=mutant(incremental, word, wrong).advance)


@pytest.mark.parametrize(("word", "wrong"), LEGS, ids=ids(LEGS))
def test_a_mutant_that_stops_elsewhere_turns_law_1_red(word: str, wrong: str) -> None:
    step = mutant(incremental, word, wrong).advance
    assert red(step) or any(falls(partial(_stops_elsewhere, seed, step)) for seed in range(50))


def _stops_elsewhere(seed: int, step: Step) -> bool:
    return bool(one_by_one(seed, step))


@pytest.mark.parametrize(("word", "wrong"), WALK, ids=ids(WALK))
def test_a_mutant_of_the_walk_turns_law_1_red(word: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "Walk", mutant(walk, word, wrong).Walk)
    assert red()


@pytest.mark.parametrize(("word", "wrong"), ROSTER, ids=ids(ROSTER))
def test_a_mutant_of_the_kept_roster_turns_law_1_red(word: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = mutant(roster, word, wrong)
    for name in ("Fold", "late_boards", "late_members", "Heads", "MemberHead"):
        monkeypatch.setattr(incremental, name, getattr(changed, name))
    assert red()


@pytest.mark.parametrize(("word", "wrong"), PASSING, ids=ids(PASSING))
def test_a_mutant_of_what_time_does_is_not_the_life_read_day_by_day(word: str, wrong: str) -> None:
    changed = mutant(passing, word, wrong)
    assert course_red(life_on(changed.Passing))


@pytest.mark.parametrize(("word", "wrong"), LIFE, ids=ids(LIFE))
def test_a_mutant_of_what_commands_do_is_not_the_life_read_day_by_day(word: str, wrong: str) -> None:
    assert course_red(mutant(life, word, wrong).course)


def life_on(base: object) -> Callable[..., Any]:
    """The course of lives over another `Passing`."""
    line = "from billing.core.passing import Obligation, Passing\n"
    source = inspect.getsource(life)
    assert line in source
    changed = ModuleType("life")
    changed.__dict__.update({"Passing": base, "Obligation": tuple})
    exec(compile(source.replace(line, ""), "life on a mutant", "exec"), changed.__dict__)  # noqa: S102
    course: Callable[..., Any] = changed.course
    return course


@pytest.mark.parametrize(("word", "wrong"), SETTLEMENT, ids=ids(SETTLEMENT))
def test_a_mutant_of_the_settlement_turns_law_2_red(word: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = mutant(settlement, word, wrong)
    for name in ("decide", "differences", "shrunk", "Share", "Collected"):
        monkeypatch.setattr(till, name, getattr(changed, name))
    assert any(falls(partial(_unsound, seed)) for seed in range(500))
