"""Which scene brings which pair of points about."""

from dataclasses import dataclass
from random import Random

from tests.faults import invariants
from tests.faults.crash import at_the_door, by_hand, by_the_clock, in_the_engine
from tests.faults.crash.scene import Scene
from tests.faults.house import FaultHouse

SCENES: dict[str, type[Scene]] = {
    **at_the_door.SCENES,
    **in_the_engine.SCENES,
    **by_the_clock.SCENES,
    **by_hand.SCENES,
}


@dataclass(frozen=True, slots=True)
class Played:
    """What did not hold after a crash, and what there was to hold."""

    faults: list[str]
    deliveries: int
    charges: int


def play(house: FaultHouse, point: str, seed: int) -> Played:
    """Kill at a point in the history of a seed, mend, and see that nothing is lost or doubled."""
    scene = SCENES[point.rpartition(".")[0]](house, point, Random(f"{point} {seed}"))
    if seed < 2:
        scene.nth = 1  # the first time there is something to lose; a later one may be of a look that found nothing
    scene.play()
    customer = scene.customer
    query = "SELECT count(*) FROM charge c JOIN workspace w ON w.id = c.workspace_id WHERE w.account_id = %s"
    charges = house.count(query, customer.account)
    return Played(invariants.faults(house, customer, scene.alarms), sum(customer.accepted.values()), charges)
