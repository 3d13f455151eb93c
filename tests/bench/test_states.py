"""The states the bench builds by SQL are what the product would have made: `verify` finds nothing to object to."""

from datetime import UTC, datetime, timedelta

import pytest

from bench.house import NOW, START, House, StateError
from bench.mass import Crowd, crowded
from bench.mould import mould
from bench.renewal import month_ago
from billing.core import calendar


@pytest.fixture
def house(database_url: str) -> House:
    made = House(database_url)
    made.begin()
    return made


@pytest.mark.parametrize(("people", "facts"), [(2_000, 2_000), (100, 2_000), (70, 2_100)])
def test_a_crowd_is_as_the_product_would_have_left_it(house: House, people: int, facts: int) -> None:
    workspace = crowded(house, Crowd("w", people, facts), START + timedelta(seconds=1), NOW)
    house.turn(NOW)
    house.must_verify(workspace)
    assert house.settle(workspace) >= 0
    house.must_verify(workspace)
    [found] = house.sql("SELECT occupied, purchased FROM workspace WHERE id = %s", workspace)
    assert found == {"occupied": people + 1, "purchased": people + 1}


def test_after_new_facts_in_a_crowd_the_books_still_come_out(house: House) -> None:
    workspace = crowded(house, Crowd("w", 50, 150), START + timedelta(seconds=1), NOW)
    house.turn(NOW)
    house.file([house.event("member.joined", "w", NOW, member="new", name="New Person")])
    house.settle(workspace)
    house.turn(NOW + timedelta(minutes=1))
    house.file([house.event("member.left", "w", house.now, member="p7")])
    house.settle(workspace)
    house.must_verify(workspace)
    [bought] = house.sql("SELECT seats FROM line WHERE workspace_id = %s AND kind = 'seats_added'", workspace)
    assert bought == {"seats": 1}


def test_a_state_that_the_product_would_not_have_made_is_refused(house: House) -> None:
    workspace = crowded(house, Crowd("w", 50, 150), START + timedelta(seconds=1), NOW)
    house.sql(
        "UPDATE span SET start_at = start_at - interval '1 ms' WHERE workspace_id = %s AND member = 'p3'", workspace
    )
    with pytest.raises(StateError):
        house.must_verify(workspace)


def test_copies_of_a_paid_workspace_have_a_chain_and_ids_of_their_own(house: House, database_url: str) -> None:
    workspace = house.workspace("paying")
    house.file([house.event("member.joined", "paying", START, member=f"p{n}", name=f"Person {n}") for n in range(20)])
    house.settle(workspace)
    house.start(workspace)
    copies = mould(database_url, workspace, frozenset())
    copies.copy(1, 30, lambda _: None)
    for n in (1, 30):
        house.must_verify(copies.renamed(workspace, n))
    [told] = house.sql(
        """SELECT (SELECT count(*) FROM charge) AS charges, (SELECT count(*) FROM entry) AS entries,
                  (SELECT count(DISTINCT subscription_id) FROM period) AS subscriptions"""
    )
    assert set(told.values()) == {31}
    [heads] = house.sql("SELECT count(DISTINCT chain_head) AS n FROM workspace")
    assert heads["n"] == 31
    copies.connection.close()


def test_a_workspace_without_a_ledger_is_no_template(house: House, database_url: str) -> None:
    with pytest.raises(ValueError, match="no ledger"):
        mould(database_url, house.workspace("new"), frozenset())


@pytest.mark.parametrize("day", ["2026-11-22", "2026-03-31", "2026-01-01", "2028-02-29", "2026-03-28"])
def test_a_month_from_a_month_ago_ends_on_or_before_today_and_two_months_do_not(day: str) -> None:
    today = datetime.fromisoformat(f"{day}T09:30:00+00:00")
    start = month_ago(today)
    ends = calendar.month_date(start.date(), 1), calendar.month_date(start.date(), 2)
    assert ends[0] <= today.date() < ends[1]
    assert start.astimezone(UTC).hour == 0
