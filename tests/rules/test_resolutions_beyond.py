"""A-21 to A-33: how the rulebook's silences about Chatwork, taxes and Backlog's seats are read."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest

from billing.core.commands import judge
from billing.core.errors import RefusedError
from billing.core.limits import Counts, flags
from billing.core.money import rounded
from billing.core.plans import Terms
from billing.core.tax import Tax
from tests.core.telling import people
from tests.rules.tale import CARD, JAPAN, Tale, sold
from tests.rules.test_resolutions import BUSINESS, ENTERPRISE, PREMIUM, STANDARD, TODAY, give, space
from tests.workers.world import World, at


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url, at("2026-04-01"))
    yield made
    made.database.close()


@pytest.mark.parametrize(("interval", "unit", "least"), [("month", 1_440, 7_200), ("year", 14_400, 72_000)])
def test_a_21_enterprise_costs_its_unit_for_every_licence_and_never_less_than_five(
    interval: str, unit: int, least: int
) -> None:
    for licences, amount in ((5, least), (6, 6 * unit), (50, 50 * unit)):
        tale = Tale(JAPAN)
        tale.start("2026-04-01", ENTERPRISE, interval, licences=licences)
        assert tale.amounts("2026-04-01") == [amount]
    assert Tale(JAPAN).refuses("subscription", "2026-04-01", plan=ENTERPRISE, interval=interval, licences=4) == "CW-14"


def contract(managed: int = 39, licences: int = 50) -> Tale:
    """Business by the year from 1 April 2026, the administrator and so many managed users in it."""
    tale = Tale(JAPAN)
    tale.join("2026-04-01", *people(managed + 1))
    tale.start("2026-04-01", BUSINESS, "year", licences=licences)
    return tale


def test_a_22_licences_that_users_hold_cannot_go() -> None:
    tale = contract()
    assert tale.refuses("licences", "2026-05-01", remove=11) == "A-22"
    tale.leave("2026-05-02", "person-000")
    tale.give("licences", "2026-05-03", remove=11)
    assert (tale.seats("2026-05-03").purchased, tale.seats("2026-05-03").occupied) == (39, 39)


def test_a_23_fewer_licences_hold_at_once_cost_less_from_the_renewal_on_and_give_nothing_back() -> None:
    tale = contract()
    tale.give("licences", "2026-10-01", remove=5)
    assert (tale.seats("2026-10-01").purchased, tale.amounts("2027-03-31")) == (45, [420_000])
    assert tale.amounts("2027-04-01") == [420_000, 378_000]


@pytest.mark.parametrize(("moment", "amount"), [("2027-03-31T23:59", 378_000), ("2027-04-01T00:00", 420_000)])
def test_a_24_the_day_before_ends_at_midnight_in_japan(moment: str, amount: int) -> None:
    tale = contract()
    tale.give("licences", moment, remove=5)
    assert tale.amounts("2027-04-02") == [420_000, amount]


def test_a_25_an_invitation_changes_nothing_and_the_move_itself_stops_the_payment(world: World) -> None:
    own, target = world.workspace("own", JAPAN), world.workspace("target", JAPAN)
    nagi = {"id": "nagi", "role": "administrator"}
    for name, state in (("own", "member.joined"), ("target", "member.invited")):
        world.tell(state, name, "nagi", at("2026-03-01"))
    world.read_and_settle()
    for workspace, licences in ((own, 1), (target, 5)):
        give(
            world,
            workspace,
            "subscription",
            nagi,
            plan=BUSINESS,
            interval="year",
            licences=licences,
            payment_method=CARD,
        )
    world.advance(at("2027-03-31T15:00"), own, target)
    assert world.charges(own) == [9_240, 9_240]  # invited only: renewed
    give(world, own, "migration", nagi, into=target)
    world.advance(at("2028-03-31T15:00"), own, target)
    assert world.charges(own) == [9_240, 9_240]
    assert world.row("SELECT state, credit FROM workspace WHERE id = %s", own) == {"state": "migrated", "credit": 0}


def test_a_26_the_hundred_of_free_are_the_administrator_and_99_others() -> None:
    for managed, fits in ((99, True), (100, False)):
        tale = Tale(JAPAN)
        tale.join("2026-04-01", "administrator", *people(managed))
        assert tale.case("2026-04-01", plan="chatwork-free").count(sold("chatwork-free", TODAY)["month"]) == managed + 1
        if fits:
            tale.start("2026-04-01", "chatwork-free", "month")
        else:
            assert tale.refuses("subscription", "2026-04-01", plan="chatwork-free", interval="month") == "CW-04"


def test_a_27_on_free_users_may_be_swapped_under_the_cap_and_no_licence_is_missed() -> None:
    terms = sold("chatwork-free", TODAY)["month"]
    for users in (100, 99, 100):  # one is deleted, another comes
        assert flags(terms, Counts(users, users, 0), 0) == []
    paid = sold(BUSINESS, TODAY)["year"]
    assert [flag.rule for flag in flags(paid, Counts(51, 51, 0), 50)] == ["CW-08"]


def test_a_28_only_from_paid_into_free_nobody_moves() -> None:
    found = {}
    for source in ("chatwork-free", BUSINESS):
        for target in ("chatwork-free", BUSINESS):
            tale = Tale(JAPAN)
            tale.join("2026-04-01", "nagi")
            tale.start("2026-04-01", source, "month", **({"licences": 1} if source == BUSINESS else {}))
            case = replace(tale.case("2026-04-02"), target=sold(target, TODAY)["month"])
            try:
                found[source, target] = judge("migration", {"into": "other"}, case).kind
            except RefusedError as refused:
                found[source, target] = str(refused.rule)
    assert found.pop((BUSINESS, "chatwork-free")) == "CW-17"
    assert set(found.values()) == {"contract.migrated"}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("begun", "interval", "unit", "added", "amount"),
    [
        ("2016-08-01", "month", 500, "2016-08-15", 1_371),  # $5 x 17/31 x 5
        ("2015-09-01", "year", 5_000, "2016-08-15", 1_161),  # $50 x 17/366 x 5
    ],
)
def test_a_29_the_divisor_is_the_days_of_the_running_term(
    begun: str, interval: str, unit: int, added: str, amount: int
) -> None:
    terms = Terms("own", "own", interval, "USD", unit, "actual_days", "half_up", "licences", minimum=1)
    tale = Tale(JAPAN, terms)
    tale.start(begun, "own", interval, licences=1)
    tale.give("licences", added, add=5)
    assert tale.amounts(added) == [unit, amount]
    today = contract()
    today.give("licences", "2027-03-15", add=5)
    assert today.amounts("2027-03-15") == [420_000, 1_956]  # 8,400 x 17/365 x 5


def test_a_30_yen_are_cut_once_a_line_on_the_magnitude_and_the_tax_once_a_document() -> None:
    tale = Tale(JAPAN)
    tale.start("2026-08-01", BUSINESS, "month", licences=1)
    tale.give("licences", "2026-08-15", add=5)
    added = tale.owed("2026-08-15")[1]
    assert (added.exact, added.amount) == (Fraction(71_400, 31), 2_303)  # 840 x 17/31 x 5 = 2,303.2
    assert rounded(-added.exact, "floor") == -2_303
    assert [Tax("1/10", "exclusive", mode).part(315) for mode in ("floor", "half_up", "ceil")] == [31, 32, 32]
    for plan in (BUSINESS, ENTERPRISE, STANDARD):
        terms = sold(plan, TODAY)["month"]
        assert (terms.rounding, terms.tax_rounding) == ("floor", "floor")


# --- every vendor -----------------------------------------------------------------------------------------------------


def test_a_31_whether_tax_is_in_a_price_is_said_by_the_price(world: World) -> None:
    asked = {}
    for plan, more in ((BUSINESS, {"licences": 1}), (STANDARD, {}), (PREMIUM, {})):
        workspace = world.workspace(plan)
        world.tell("member.joined", plan, "aoi", at("2026-03-01"))
        world.read_and_settle()
        actor = {"id": "aoi", "role": sold(plan, TODAY)["month"].rules.roles[0]}
        give(world, workspace, "subscription", actor, plan=plan, interval="month", payment_method=CARD, **more)
        row = world.row("SELECT amount, tax, currency FROM charge WHERE workspace_id = %s", workspace)
        asked[plan] = (row["currency"], row["amount"], row["tax"])
    assert asked == {BUSINESS: ("JPY", 924, 84), STANDARD: ("JPY", 17_600, 1_600), PREMIUM: ("USD", 1_250, 0)}


def test_a_33_a_space_is_one_whoever_is_in_it() -> None:
    tale = space("2026-04-01")
    tale.join("2026-04-02", *people(200))
    tale.give("registration", "2026-04-20", payment_method=CARD, interval="month")
    tale.join("2026-05-02", "one more")
    assert [(line.seats, line.amount) for line in tale.owed("2026-06-01")] == [(1, 17_600), (1, 17_600)]
    assert flags(sold(STANDARD, TODAY)["month"], Counts(201, 201, 0), 1) == []
