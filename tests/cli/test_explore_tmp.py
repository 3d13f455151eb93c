from random import Random
import pytest
from tests.workers.test_order_of_delivery import _history, _play
from tests.workers.world import World, at
from workers.verifying import verify

@pytest.mark.parametrize("seed", range(8))
def test_x(new_database, seed):
    world, homes = _play(new_database(), Random(1000+seed), _history(Random(seed)))
    report = verify(world.database, None, lambda a, b: None)
    for f in report.faults: print(f)
    world.database.close()
    assert report.ok
