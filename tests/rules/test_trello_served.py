"""Trello by the running service's own functions on a real database: what the pure core alone cannot show."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from billing.core.errors import RefusedError
from billing.store import outcomes, subscriptions, views
from billing.store.db import Row
from billing.store.outcomes import Answer
from tests.workers.world import ADMIN, World, at
from workers import commands, quotes
from workers.roster_import import import_roster


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url, at("2026-04-01"), tool="trello")
    yield made
    made.database.close()


def listed(world: World, workspace: str, *people: str, guests: Mapping[str, list[str]] | None = None) -> None:
    """Who is there from now on: members, and guests with their boards; the first member is the administrator."""
    members: list[dict[str, Any]] = [{"id": name, "role": "normal" if i else "admin"} for i, name in enumerate(people)]
    members += [{"id": name, "member": False, "boards": boards} for name, boards in (guests or {}).items()]
    with world.database.transaction("test") as connection:
        import_roster(connection, workspace, None, members, None)
    world.settle(workspace)


def named(n: int) -> list[str]:
    return [f"person-{i:02d}" for i in range(n)]


def give(world: World, workspace: str, command: str, actor: Mapping[str, str] = ADMIN, **body: Any) -> None:
    """As the API does it: a refusal changes nothing, and is kept."""
    try:
        with world.database.transaction("test") as connection:
            commands.give(connection, "live", workspace, command, body, actor)
    except RefusedError as refusal:
        with world.database.transaction("test") as connection:
            commands.refused(connection, workspace, command, body, actor, refusal)
        raise


def refused(world: World, workspace: str, command: str, actor: Mapping[str, str] = ADMIN, **body: Any) -> str:
    """The rule a command is refused by; the refusal is audited, and nothing else is written."""
    before = written(world)
    with pytest.raises(RefusedError) as told:
        give(world, workspace, command, actor, **body)
    assert written(world) == before
    audit = world.rows("SELECT verdict, rule FROM command ORDER BY id")[-1]
    assert audit == {"verdict": "refused", "rule": told.value.rule}
    return str(told.value.rule)


def written(world: World) -> list[Row]:
    tables = ("fact", "entry", "journal", "charge", "period")
    return [world.row(f"SELECT '{name}' AS name, count(*) AS n FROM {name}") for name in tables]  # noqa: S608


def paid(world: World, workspace: str) -> None:
    """Every charge that was asked for is collected."""
    with world.database.transaction("test") as connection:
        for row in world.rows("SELECT id FROM charge WHERE workspace_id = %s AND status = 'queued'", workspace):
            outcomes.book(connection, workspace, row["id"], Answer("succeeded", 1))
    world.settle(workspace)


def shown(world: World, workspace: str, view: str) -> dict[str, Any]:
    with world.database.transaction("test") as connection:
        row = views.require(connection, None, workspace)
        told: dict[str, Any] = getattr(views, view)(connection, row)
        return told


def test_tr_03_two_workspaces_of_an_account_are_two_subscriptions(database_url: str) -> None:
    world = World(database_url, at("2025-01-15"), tool="trello")
    one, two = world.workspace("w1"), world.workspace("w2")
    for workspace, heads in ((one, 3), (two, 2)):
        listed(world, workspace, *named(heads))
        world.start(workspace)
    assert (world.charges(one), world.charges(two)) == ([35997], [23998])
    assert world.row("SELECT count(DISTINCT subscription_id) AS n FROM period")["n"] == 2
    world.database.close()


def test_tr_04_an_upgrade_turns_on_one_workspaces_boards_and_no_others(world: World) -> None:
    one, two = world.workspace("w1"), world.workspace("w2")
    for workspace in (one, two):
        listed(world, workspace, "aoi", guests={"gus": [f"board of {workspace}"]})
    world.start(one)
    assert [shown(world, workspace, "entitlements")["plan"] for workspace in (one, two)] == [
        "trello-premium",
        "trello-free",
    ]
    assert [shown(world, workspace, "entitlements")["caps"] for workspace in (one, two)] == [
        {},
        {"collaborators": 10, "open_boards": 10},
    ]
    assert world.charges(two) == []


def test_tr_05_five_people_in_three_paid_workspaces_are_paid_for_in_each(world: World) -> None:
    total = []
    for day in (1, 2, 3):
        world.advance(at(f"2026-04-0{day}"))
        workspace = world.workspace(f"w{day}")
        listed(world, workspace, *named(5))
        world.start(workspace)
        total += world.charges(workspace)
    assert (total, sum(total)) == ([60000, 60000, 60000], 180000)


def test_tr_12_without_a_card_the_line_is_posted_the_charge_held_and_the_person_billable(world: World) -> None:
    workspace = world.workspace("w1")
    listed(world, workspace, "aoi")
    world.start(workspace, payment_method=None)
    world.advance(at("2026-07-01"), workspace)
    listed(world, workspace, "aoi", "ben")
    held = world.rows("SELECT status, amount, held_reason, due_at FROM charge ORDER BY id")
    assert [(row["status"], row["amount"], row["due_at"]) for row in held] == [
        ("held", 12000, None),
        ("held", 9000, None),
    ]
    assert {str(row["held_reason"])[:5] for row in held} == {"TR-12"}
    assert [row["amount"] for row in world.rows("SELECT amount FROM entry ORDER BY instant")] == [12000, 9000]
    assert world.row("SELECT billable FROM member WHERE member = 'ben'")["billable"]
    give(world, workspace, "payment-method", payment_method="card")
    asked = world.rows("SELECT status, method, amount FROM charge ORDER BY id")
    assert [(row["status"], row["method"], row["amount"]) for row in asked] == [
        ("queued", "card", 12000),
        ("queued", "card", 9000),
    ]


def test_tr_13_empty_seats_are_those_bought_less_those_taken_and_never_below_none(world: World) -> None:
    workspace, free = world.workspace("w1"), world.workspace("w2")
    listed(world, workspace, *named(11), guests={"gus": ["a", "b"]})
    listed(world, free, *named(3))
    world.start(workspace)
    world.advance(at("2026-04-02"), workspace)
    listed(world, workspace, *named(9), guests={"gus": ["a", "b"]})
    seats = shown(world, workspace, "seats")
    assert (seats["purchased"], seats["occupied"], seats["vacant"]) == (12, 10, 2)
    assert (seats["next_renewal"]["seats"], seats["next_renewal"]["amount"]) == (10, 120000)
    assert (shown(world, free, "seats")["occupied"], shown(world, free, "seats")["vacant"]) == (3, 0)


def test_tr_20_a_normal_member_may_not_change_the_plan_whatever_the_caller_says(world: World) -> None:
    workspace = world.workspace("w1")
    listed(world, workspace, "aoi", "ben")
    claims = {"id": "ben", "role": "admin"}
    start = {"interval": "year", "payment_method": "card"}
    assert refused(world, workspace, "subscription", claims, plan="trello-standard", **start) == "TR-20"
    give(world, workspace, "subscription", {"id": "aoi"}, plan="trello-standard", **start)
    for plan in ("trello-premium", "trello-free"):
        assert refused(world, workspace, "plan-change", claims, plan=plan) == "TR-20"
    assert refused(world, workspace, "cancellation", claims) == "TR-20"
    assert world.charges(workspace) == [12000]
    give(world, workspace, "plan-change", {"id": "aoi"}, plan="trello-premium")
    assert world.charges(workspace) == [12000, 12000]


def test_tr_22_every_period_is_charged_on_its_first_day(world: World) -> None:
    workspace = world.workspace("w1")
    listed(world, workspace, "aoi")
    world.start(workspace)
    world.advance(at("2027-03-31"), workspace)
    query = "SELECT amount, due_on::text AS due_on FROM charge ORDER BY id"
    assert world.rows(query) == [{"amount": 12000, "due_on": "2026-04-01"}]
    world.advance(at("2027-04-01"), workspace)
    assert world.rows(query)[1:] == [{"amount": 12000, "due_on": "2027-04-01"}]


def test_tr_24_what_is_charged_at_the_switch_is_the_year_less_the_credit(world: World) -> None:
    workspace = world.workspace("w1")
    listed(world, workspace, "aoi")
    world.start(workspace, interval="month")
    paid(world, workspace)
    world.advance(at("2026-04-16"), workspace)
    give(world, workspace, "interval-change", interval="year")
    query = "SELECT status, amount, credit FROM charge ORDER BY id"
    assert world.rows(query)[1:] == [{"status": "queued", "amount": 11375, "credit": 625}]
    assert world.row("SELECT credit FROM workspace")["credit"] == 0
    assert shown(world, workspace, "seats")["next_renewal"]["at"] == at("2027-04-16")


def test_tr_26_everything_collected_since_the_upgrade_comes_back_by_day_30_and_nothing_on_day_31(world: World) -> None:
    workspace, other = world.workspace("w1"), world.workspace("w2")
    for each in (workspace, other):
        listed(world, each, "aoi")
        world.start(each, interval="month")
        paid(world, each)
    world.advance(at("2026-04-16"), workspace, other)
    for each in (workspace, other):  # which does not begin the 30 days again
        give(world, each, "interval-change", interval="year")
        paid(world, each)
    world.advance(at("2026-04-20"), workspace, other)
    listed(world, workspace, "aoi", "ben")
    assert world.charges(workspace)[:2] == [1250, 11375]
    world.advance(at("2026-04-30T23:59"), workspace, other)
    give(world, workspace, "refund")
    refunds = world.rows("SELECT amount, reason FROM refund WHERE workspace_id = %s ORDER BY amount", workspace)
    assert refunds == [{"amount": 1250, "reason": "TR-26"}, {"amount": 11375, "reason": "TR-26"}]
    assert sum(row["amount"] for row in refunds) == 12625
    query = "SELECT status, amount FROM charge WHERE workspace_id = %s ORDER BY id"
    assert world.rows(query, workspace)[2:] == [{"status": "cancelled", "amount": 0}]
    row = world.row("SELECT state, credit, purchased FROM workspace WHERE id = %s", workspace)
    assert row == {"state": "free", "credit": 0, "purchased": 0}
    world.advance(at("2026-05-01"), workspace, other)
    assert refused(world, other, "refund") == "TR-26"
    assert world.row("SELECT count(*) AS n FROM refund WHERE workspace_id = %s", other)["n"] == 0


def test_tr_26_the_119_99_of_an_upgrade_comes_back_whole_on_its_last_day(database_url: str) -> None:
    world = World(database_url, at("2025-04-01"), tool="trello")
    workspace = world.workspace("w1")
    listed(world, workspace, "aoi")
    world.start(workspace)
    paid(world, workspace)
    world.advance(at("2025-04-30"), workspace)
    give(world, workspace, "refund")
    assert [row["amount"] for row in world.rows("SELECT amount FROM refund")] == [11999]
    world.database.close()


def test_tr_27_the_cost_is_told_before_it_is_paid_and_is_what_is_then_charged(world: World) -> None:
    workspace = world.workspace("w1")
    listed(world, workspace, *named(7), guests={"gus": ["a"]})
    before = written(world)
    asked = {"command": "subscription", "plan": "trello-standard", "interval": "year"}
    with world.database.transaction("test") as connection:
        told = quotes.quote(connection, "live", workspace, asked)
    assert (told["amount"], told["tax"], told["credit"]) == (42000, 0, 0)
    assert [(line["seats"], line["unit_amount"], line["amount"]) for line in told["lines"]] == [(7, 6000, 42000)]
    assert written(world) == before
    world.start(workspace, plan="trello-standard", quote_id=told["id"])
    assert world.charges(workspace) == [42000]


def test_tr_29_a_workspace_whose_plan_ended_is_free_and_its_limits_hold_again(world: World) -> None:
    workspace = world.workspace("w1")
    listed(world, workspace, *named(11), guests={"gus": ["a"]})
    world.start(workspace)
    give(world, workspace, "cancellation")
    world.advance(at("2027-03-31"), workspace)
    assert shown(world, workspace, "seats")["flags"] == []
    world.advance(at("2027-04-01"), workspace)
    assert world.row("SELECT state FROM workspace")["state"] == "free"
    told = shown(world, workspace, "entitlements")
    assert (told["plan"], told["counts"]["collaborators"], told["caps"]["collaborators"]) == ("trello-free", 12, 10)
    assert [flag["rule"] for flag in told["flags"]] == ["B-05"]
    assert world.charges(workspace) == [132000]
    with world.database.transaction("test") as connection:
        assert not subscriptions.course(connection, views.require(connection, None, workspace)).running
