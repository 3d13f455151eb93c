"""Law 3: a deploy posts nothing. New prices and new rules are for what begins under them."""

from collections.abc import Iterator
from typing import Any

import pytest

from billing.store import catalogue
from tests.flows.customer import Customer
from tests.flows.house import House, wait
from tests.flows.tool import Body, at, in_workspace
from tests.flows.town import PLAN, UNIT, Town


@pytest.fixture
def deployed(house: House, town: Town) -> Iterator[dict[str, int]]:
    """The next version: another price from before the town's start on, another rule, and new processes."""
    town.await_paid(0, 60)
    before = _posted(town)
    with house.database.transaction("test") as connection:
        catalogue.load(connection, [_dearer(plan) for plan in catalogue.shipped() if plan["plan"] == PLAN])
    for part in (house.worker, house.ticker):
        part.stop()
        part.start("tests.flows.other_rules", part.name)
    yield before
    for part in (house.worker, house.ticker):
        part.stop()
        part.start()


def _dearer(plan: Any) -> Any:
    return plan | {"prices": [price | {"unit_amount": 10 * price["unit_amount"]} for price in plan["prices"]]}


def _posted(town: Town) -> dict[str, int]:
    tables = ("entry", "journal", "charge", "line", "alarm")
    return {
        table: town.house.count(
            f"SELECT count(*) FROM {table} WHERE workspace_id = ANY(%s)",  # noqa: S608 - the names above
            town.workspaces,
        )
        for table in tables
    }


def _dirty(town: Town) -> int:
    query = "SELECT count(*) FROM workspace WHERE id = ANY(%s) AND due_at <= settled_through"
    return town.house.count(query, town.workspaces)


def test_a_new_price_and_a_changed_rule_post_nothing_under_a_hundred_settled_workspaces(
    town: Town, deployed: dict[str, int], customer: Customer
) -> None:
    # Have every one of them settled by the new processes, and read again what it was told.
    town.house.sql("UPDATE workspace SET due_at = settled_through WHERE id = ANY(%s)", town.workspaces)
    for delivery in town.deliveries()[:50]:
        town.post(f"/v1/deliveries/{delivery['id']}/replay", {}, 202)
    wait(lambda: not _dirty(town), 60)
    town.rest(town.workspaces[0])

    assert _posted(town) == deployed
    assert deployed["entry"] >= len(town.workspaces)
    assert {row["amount"] for row in town.of(town.workspaces[0], "statement") if row["kind"] == "period"} == {UNIT}

    # And it was the new version indeed: what begins under it is judged and priced by it.
    newcomer = customer.workspace("newcomer")
    customer.roster(newcomer, "aoi", guests={"sora": ["plans"]})
    customer.rest(newcomer)
    customer.start(newcomer, plan=PLAN)
    customer.rest(newcomer)
    assert customer.charged(newcomer) == [("succeeded", 2 * 10 * UNIT)]


def test_a_late_fact_after_it_posts_its_own_line_and_what_rules_alone_changed_is_held_with_an_alarm(
    town: Town, joined: tuple[str, str], deployed: dict[str, int]
) -> None:
    """The late fact has every line behind it computed again, now by other rules."""
    name, workspace = joined
    town.tell(_joins(name, "late", "2025-02-15T12:00:00"), workspace)

    after = _posted(town)
    assert (after["entry"], after["charge"]) == (deployed["entry"] + 1, deployed["charge"] + 1)
    assert town.charged(workspace)[-1] == ("succeeded", UNIT)  # at the pinned price
    alarms = town.house.sql("SELECT kind, detail FROM alarm WHERE workspace_id = %s", workspace)
    assert {alarm["kind"] for alarm in alarms} == {"unexplained"}
    assert len([alarm for alarm in alarms if "seats_added/2025-03-15T12:00:00" in alarm["detail"]]) == 1
    sora = next(row for row in town.of(workspace, "members") if row["name"] == "Sora")
    assert (sora["classification"], sora["rule"]) == ("free", "TR-15")


@pytest.fixture
def joined(town: Town) -> tuple[str, str]:
    """A workspace, by its name and our id, where somebody joined in March."""
    name, workspace = town.names[7], town.workspaces[7]
    town.tell(_joins(name, "early", "2025-03-15T12:00:00"), workspace)
    assert town.charged(workspace)[-1] == ("succeeded", UNIT * 10 // 12)
    return name, workspace


def _joins(name: str, member: str, when: str) -> Body:
    return in_workspace("addMemberToOrganization", name, member, at(when), f"{name} {member}")
