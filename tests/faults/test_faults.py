"""The whole product under a seeded plan of faults; one number replays a run (`python -m tests.faults --seed N`)."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.faults.breaking import Tally
from tests.faults.engines import BrokenHouse, broken_house
from tests.faults.plan import FAULTS, chosen, plan
from tests.faults.run import SINCE, UNTIL, Run

SEEDS = range(5)


def test_five_seeds_in_a_row_break_everything_there_is_to_break() -> None:
    for first in (0, 5, 45):
        assert {fault for seed in range(first, first + 5) for fault in chosen(seed)} == set(FAULTS)


def test_a_seed_is_one_plan_and_everything_that_happened_is_told_in_it() -> None:
    for seed in range(50):
        told = plan(seed, SINCE, UNTIL)
        sent = [number for each in told.rounds for number in each.sent]
        assert told == plan(seed, SINCE, UNTIL)
        assert set(sent) == set(range(len(told.events)))
        assert len(sent) > 1.1 * len(told.events), "few are sent twice"
        assert sum(one > other for one, other in pairwise(sent)) > len(told.events) / 3


@pytest.fixture(scope="module")
def broken() -> Iterator[BrokenHouse]:
    with broken_house() as house:
        yield house


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_doubled_whatever_breaks(broken: BrokenHouse, seed: int) -> None:
    try:
        assert "\n".join(Run(broken, seed, Tally()).play()) == ""
    except BaseException:
        print(f"replay it with: python -m tests.faults --seed {seed}\n{broken.words()}")
        raise
