"""The broker only rings the bell: flushed, stopped or frozen, it costs latency and nothing else."""

import signal
import time

import redis

from tests.flows.house import PATIENCE, House, wait
from tests.flows.tool import at, in_workspace
from tests.flows.town import Load, Town
from workers.ticker import GRACE_S, SWEEP_S

DELIVERIES, RATE = 1000, 100
#: Seconds within which 99 of 100 answers must come (DESIGN.md section 8).
P99 = 0.3
#: Seconds of work, on two busy cores, that the last deliveries and their charges may be behind the sweeper's start.
PROCESSING = 10.0


def test_a_broker_flushed_stopped_and_frozen_during_1000_deliveries_is_not_felt(house: House, town: Town) -> None:
    town.await_paid(0, 60)
    done = town.done()
    load = Load(town, town.joins(DELIVERIES, at("2025-05-15T09:00:00"), "faults"), RATE)
    load.start()
    try:
        wait(lambda: len(load.answers) >= 150)
        _flush(house)
        wait(lambda: len(load.answers) >= 250)
        house.stop_valkey()
        wait(lambda: len(load.answers) >= 450)
        house.start_valkey()
        wait(lambda: len(load.answers) >= 600)
        house.valkey.process.send_signal(signal.SIGSTOP)
        load.join(60)
        ended = time.monotonic()
        # Still frozen: the sweeper alone must bring all of it home.
        wait(lambda: town.settled(done + DELIVERIES), 60)
        took = time.monotonic() - ended
    finally:
        house.valkey.process.send_signal(signal.SIGCONT)
        load.join(60)

    waits = sorted(answer.seconds for answer in load.answers)
    late = sorted(answer.late for answer in load.answers)
    told = f"p50 {waits[500]:.3f} s, the last {waits[-5:]}; of it our own delay {late[-5:]}; settled after {took:.1f} s"
    print(told)
    assert {answer.status for answer in load.answers} == {200}
    assert len(waits) == DELIVERIES
    assert waits[DELIVERIES * 99 // 100] < P99 * PATIENCE, told
    assert took < SWEEP_S + GRACE_S + PROCESSING * PATIENCE
    town.await_paid(done + DELIVERIES, 60)
    assert all(posted == taken == booked for posted, taken, booked in town.books().values())


def _flush(house: House) -> None:
    """FLUSHALL, as an operator would by mistake."""
    with redis.Redis.from_url(house.valkey.url) as client:
        client.flushall()


def test_after_all_that_the_bell_rings_again(house: House, town: Town) -> None:
    """The workers found the broker again: a delivery is settled sooner than the sweeper would look for it."""
    workspace, name = town.workspaces[0], town.names[0]
    took = []
    for number in range(5):
        when = at(f"2025-06-15T0{number}:00:00")
        began = time.monotonic()
        town.tell(in_workspace("addMemberToOrganization", name, f"bell {number}", when, f"bell {number}"), workspace)
        took.append(time.monotonic() - began)
    assert min(took) < GRACE_S
