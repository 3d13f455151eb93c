"""kill -9 at every named point of the product: both sides of every commit and of every outbound call."""

import pytest

from tests.faults.crash.scenes import SCENES, play
from tests.faults.house import FaultHouse
from tests.house.points import pairs, points


def test_every_point_of_the_product_has_a_scene_and_no_scene_is_without_one() -> None:
    assert sorted(SCENES) == sorted(pairs())


@pytest.mark.parametrize("point", points())
def test_a_process_killed_at_any_named_point_loses_and_doubles_nothing(house: FaultHouse, point: str) -> None:
    try:
        assert play(house, point, seed=1).faults == []
    except BaseException:
        print(house.words())
        raise
