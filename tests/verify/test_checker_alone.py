"""The offline checker against the product's own statement, on lives nobody thought of: it shares no line with it."""

import ast
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.core.course import Course
from billing.core.facts import Fact
from billing.core.observed import standing_in
from billing.core.plans import Shape
from service.cli import check_line
from tests.core.histories import LAW, History
from tests.core.histories import histories as everyday
from tests.core.lives import Told, lives
from tests.core.offers import SHAPES
from tests.core.often import often
from tests.core.telling import Plan, statement
from tests.core.test_old_facts import old
from tests.pull.test_observed import END, fact, steps
from tests.pull.test_observed import histories as observed
from tests.pull.test_observed import observed as look
from workers.exporting import grounds

Lines = dict[str, tuple[int, str, int]]


def recomputed(facts: Iterable[Fact], plan: Plan, now: datetime) -> Lines:
    """Every line as the checker comes to it."""
    life = plan.course(now)
    known = [fact for fact in (*facts, *plan.facts) if fact.at <= now]
    export = grounds(known, life, plan.pins(life), plan.base)
    found = check_line.owed(export | {"time_zone": plan.zone, "external_id": "w1"})
    return {key: (line["seats"], str(line["fraction"]), amount(line)) for key, line in found.items()}


def amount(line: check_line.Data) -> int:
    return check_line.rounded(line["unit"] * line["seats"] * line["fraction"], line["terms"]["rounding"])


def owed(facts: Iterable[Fact], plan: Plan, now: datetime) -> Lines:
    """Every line as the product owes it."""
    return {line.key: (line.seats, str(line.fraction), line.amount) for line in statement(facts, plan, now, "w1")}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_checker_comes_to_every_line_of_the_statement_on_its_own(shape: Shape) -> None:
    @settings(LAW, max_examples=often(30))
    @given(lives(shape))
    def tried(told: Told) -> None:
        for now in (told.end, told.start + (told.end - told.start) / 2):
            assert recomputed(told.facts, told.plan, now) == owed(told.facts, told.plan, now)

    tried()


@settings(LAW, max_examples=often(30))
@given(everyday(), st.integers(0, 2**32 - 1))
def test_the_checker_sees_facts_older_than_the_window_from_the_same_instant_on(case: History, seed: int) -> None:
    late = old(case, seed)
    assert recomputed(late.facts, late.plan, late.end) == owed(late.facts, late.plan, late.end)


@settings(LAW, max_examples=often(30))
@given(st.integers(0, 2**32))
def test_the_checker_lets_genuine_facts_take_the_place_of_observed_ones(seed: int) -> None:
    known, truth, seen = observed(seed)
    for heard in range(len(truth) + 1):
        facts = [*known, *truth[:heard], *seen]
        export = grounds(facts, Course(), {}, Plan().base) | {"external_id": "w1"}
        assert _changes(check_line.occupancy(export)) == _changes(steps(facts))


def test_a_genuine_fact_of_the_very_instant_of_the_look_takes_the_observed_ones_place() -> None:
    known = [fact("member.joined", END, "ada"), fact("member.left", END, "ada", number=1)]
    listed = look(fact("member.left", END, "ada", number=2))
    joined = look(fact("member.joined", END, "ada", number=3), run="ro_2")
    for facts in ([*known, listed], [known[0], joined], [known[1], joined]):
        export = grounds(facts, Course(), {}, Plan().base) | {"external_id": "w1"}
        assert {one["id"] for one in check_line.genuine(export["facts"])} == {one.id for one in standing_in(facts)}


def _changes(counted: check_line.Steps) -> list[tuple[datetime, int]]:
    """The steps at which the count changes."""
    found: list[tuple[datetime, int]] = []
    for at, taken in counted:
        if taken != (found[-1][1] if found else 0):
            found.append((at, taken))
    return found


def test_the_checker_imports_the_standard_library_and_nothing_else() -> None:
    tree = ast.parse(Path(check_line.__file__).read_text(encoding="utf-8"))
    named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert all(node.level == 0 for node in froms)
    tops = {name.partition(".")[0] for name in [*named, *(node.module or "" for node in froms)]}
    assert "fractions" in tops
    assert tops <= sys.stdlib_module_names
