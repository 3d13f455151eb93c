"""kill -9 of all that works, again and again, changes nothing in the end."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.flows.customer import Customer
from tests.flows.house import PATIENCE, House, wait
from tests.flows.tool import at
from tests.flows.town import SIZE, UNIT, Load, Town

DELIVERIES = 500
JOINS = DELIVERIES // SIZE
STORY = "killed"
#: Workers that name it in their charges get no callbacks: nobody listens there.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def lost_callbacks(house: House) -> Iterator[None]:
    """The endpoint's callbacks do not arrive, so that only a repeated POST can tell what became of a charge."""
    _restart(house, SEKISU_PUBLIC_URL=NOWHERE)
    yield
    _restart(house)


def _restart(house: House, **settings: str) -> None:
    for part in (house.worker, house.ticker):
        part.stop()
    for part in (house.worker, house.ticker):
        part.start(**settings)


@pytest.mark.usefixtures("lost_callbacks")
def test_workers_killed_at_every_fifth_of_500_deliveries_post_and_charge_each_line_once(
    house: House, town: Town
) -> None:
    town.await_paid(0, 60)
    before, done = _charges(town), town.done()
    house.fault("delay", seconds=0.05)
    load = Load(town, town.joins(DELIVERIES, at("2025-03-15T09:00:00"), STORY), rate=50)
    try:
        load.start()
        for part in (1, 2, 3, 4):
            wait(partial(_answered, load, part * DELIVERIES // 5), 60)
            wait(lambda: len(house.worker.pids()) == 3 and _unheard(town), 30)
            house.worker.kill()
            if part % 2 == 0:  # who sweeps is no safer than who works
                house.ticker.kill()
                house.ticker.start(SEKISU_PUBLIC_URL=NOWHERE)
            house.worker.start(SEKISU_PUBLIC_URL=NOWHERE)
        load.join(60)
        began = time.monotonic()
        town.await_paid(done + DELIVERIES, 60)
        took = time.monotonic() - began
    finally:
        load.join(60)
        house.fault(None)

    assert {answer.status for answer in load.answers} == {200}
    assert len(load.answers) == DELIVERIES
    _each_line_once(town)
    assert all(posted == taken == booked for posted, taken, booked in town.books().values())
    fresh = {name: charge for name, charge in _charges(town).items() if name not in before}
    book = house.book()
    assert all((charge["attempt"], len(book[name]["keys"])) == (1, 1) for name, charge in fresh.items())
    assert [name for name, charge in fresh.items() if charge["token"] > 1], "no lease was taken over"
    assert [name for name in fresh if book[name]["posts"] > 1], "no POST was repeated"
    assert took < 20 * PATIENCE  # a lease of 8 s runs out, and what it held is done


def _answered(load: Load, count: int) -> bool:
    return len(load.answers) >= count


def _unheard(town: Town) -> set[str]:
    """Charges that the endpoint has booked and whose sender has not heard it yet."""
    query = "SELECT id FROM charge WHERE workspace_id = ANY(%s) AND status = 'sending'"
    sending = {row["id"] for row in town.house.sql(query, town.workspaces)}
    return sending & town.house.book().keys()


def _charges(town: Town) -> dict[str, dict[str, Any]]:
    rows = town.house.sql("SELECT * FROM charge WHERE workspace_id = ANY(%s)", town.workspaces)
    return {row["id"]: row for row in rows}


def _each_line_once(town: Town) -> None:
    """Every person of the story is a seat of their own, charged in one charge, at the pinned price, once."""
    rows = town.house.sql(
        """SELECT e.workspace_id, e.key, count(*) AS times, sum(e.amount)::bigint AS amount, sum(e.seats)::int AS seats,
                  (SELECT count(*) FROM charge_line l WHERE (l.workspace_id, l.key) = (e.workspace_id, e.key)) AS asked
           FROM entry e WHERE e.workspace_id = ANY(%s) AND e.kind = 'seats_added'
             AND e.instant BETWEEN '2025-03-15' AND '2025-03-16' GROUP BY 1, 2""",
        town.workspaces,
    )
    assert len(rows) == DELIVERIES
    told = {(row["times"], row["amount"], row["seats"], row["asked"]) for row in rows}
    assert told == {(1, UNIT * 10 // 12, 1, 1)}
    assert {row["workspace_id"] for row in rows} == set(town.workspaces)


def test_a_post_is_repeated_with_the_same_bytes_though_the_settings_changed(house: House, customer: Customer) -> None:
    """Law 2: a charge's body stands once `sending` is committed; under one key the endpoint takes only one body."""
    workspace = customer.workspace("kobo")
    customer.roster(workspace, "aoi")
    _restart(house, SEKISU_PUBLIC_URL=NOWHERE)
    house.fault("cut")
    customer.start(workspace)
    wait(lambda: customer.charged(workspace) == [("unknown", 11999)])
    _restart(house)
    house.fault(None)
    customer.rest(workspace)

    assert customer.charged(workspace) == [("succeeded", 11999)]
    (charge,) = customer.of(workspace, "charges")
    assert house.book()[charge["id"]]["posts"] > 1
    assert customer.booked(workspace) == [("succeeded", 11999, 1)]
