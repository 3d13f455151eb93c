"""Whatever tools, people, payment endpoints, time and death do to a workspace, it ends in its full statement.

`SEKISU_LIVES=200 SEKISU_LIVES_SEED=7` tries 200 long lives of each shape, others for each seed.
"""

import os
from random import Random
from typing import get_args

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.lives.happenings import shares
from tests.lives.life import Life
from tests.lives.machine import Machine, World
from tests.lives.voices import Shape
from workers import callbacks, refunding, sending

#: Lives of each shape; none told: twelve short ones, which are always the same.
MANY = int(os.environ.get("SEKISU_LIVES", "0"))
SEED = int(os.environ.get("SEKISU_LIVES_SEED", "20250115"))
HOW = settings(
    max_examples=MANY or 12,
    stateful_step_count=50 if MANY else 25,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
HOUR = 3600
SHAPES: tuple[Shape, ...] = get_args(Shape)


@pytest.fixture
def world(lives_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """So that a seed replays a run, charges are asked for one by one, and only `wait` makes the wall's clock go on."""
    monkeypatch.setattr(sending, "BATCH", 1)
    monkeypatch.setattr(callbacks, "RETRY_S", HOUR)
    for sender in (sending, refunding):
        monkeypatch.setattr(sender, "LEASE_S", float(HOUR))
        monkeypatch.setattr(sender, "backoff_s", lambda tries, roll: float(HOUR))
    return lives_world


@pytest.mark.timeout(0 if MANY else 300)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_life_that_comes_to_rest_owes_its_full_statement_and_was_asked_for_it_once(
    world: World, shape: Shape
) -> None:
    before = world.lives

    @seed(SEED + SHAPES.index(shape))
    class Ours(Machine):
        def __init__(self) -> None:
            super().__init__(world, shape)

    run_state_machine_as_test(Ours, settings=HOW)
    assert world.lives - before >= HOW.max_examples
    print(f"{shape}: {world.lives - before} lives; so far {len(world.told)} facts told, deeds {dict(world.deeds)}")
    print(f"deaths {dict(world.perils.deaths)}")


def test_what_is_told_comes_late_meets_others_at_one_instant_and_is_of_boards_often_enough(world: World) -> None:
    told = []
    for number in range(30):
        random = Random(number)
        life = Life(world.database, world.committer, world.perils, SHAPES[number % 3], number)
        for _ in range(10):
            life.deliver(random, life.happen(random))
            life.tick(random)
        told += [(one, heard, number) for one, heard in life.heard]
    found = shares(told)
    assert len(told) > 300
    assert found["late"] >= 0.3
    assert found["same-instant"] >= 0.2
    assert found["board"] >= 0.1
