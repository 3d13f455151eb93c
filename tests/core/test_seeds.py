"""The laws on fixed seeds, a few at a time and quick to fail: what a mutation run asks first."""

from random import Random

import pytest

from billing.core.life import course
from billing.core.plans import Shape
from tests.core.histories import disagreements, in_order, seeded
from tests.core.lives import live, reheard
from tests.core.offers import SHAPES
from tests.core.plain_life import PlainLife
from tests.core.telling import by_key
from tests.core.test_plain_life import periods, plain_periods
from tests.core.test_settlement import kept_books


@pytest.mark.parametrize("first", range(0, 80, 4))
def test_law_1_both_forms_say_the_same_of_a_history_however_it_is_heard(first: int) -> None:
    for seed in range(first, first + 4):
        case = seeded(seed)
        assert disagreements(case) == []
        assert disagreements(in_order(case)) == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(12))
def test_law_1_both_forms_say_the_same_of_a_life_however_it_is_heard(seed: int, shape: Shape) -> None:
    told = live(shape, seed, 16, 16)
    assert by_key(told.memory.book.values()) == told.owed()
    assert by_key(reheard(told, Random(seed)).book.values()) == told.owed()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(12))
def test_a_life_is_what_reading_it_day_by_day_says(seed: int, shape: Shape) -> None:
    told = live(shape, seed, 6, 18)
    for now in sorted({fact.at for fact in told.plan.facts} | {told.end}):
        life, plain = course(told.plan.facts, now, told.plan.zone), PlainLife(told.plan.facts, now, told.plan.zone)
        assert (life.state, periods(life)) == (plain.state, plain_periods(plain)), now
        assert [[one.begins, one.ends] for one in life.mutes] == plain.suspensions, now
        assert [due.at for due in life.dues if due.what == "retry"] == plain.retried, now


@pytest.mark.parametrize("first", range(0, 80, 8))
def test_law_2_the_books_balance_on_random_differences(first: int) -> None:
    for seed in range(first, first + 8):
        till = kept_books(seed)
        assert {key: amount for key, amount in till.entries.items() if amount} == {
            key: line.amount for key, line in till.posted.items() if line.amount
        }
