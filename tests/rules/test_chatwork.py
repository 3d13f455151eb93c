"""CW-01 to CW-30: licences are bought ahead and billed, used or not; users come and go within them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from billing.core.errors import InvalidError
from billing.payments.sandbox import Sandbox
from billing.store import catalogue, views
from tests.rules.contract import Contract, Till, jst
from tests.workers.world import World

BUSINESS, ENTERPRISE, FREE = "chatwork-business", "chatwork-enterprise", "chatwork-free"


@pytest.fixture(scope="module")
def shared_url(new_database: Callable[[], str]) -> str:
    """One database for these tests: each has contracts of its own."""
    return new_database()


@pytest.fixture
def contract(shared_url: str, tmp_path: Path) -> Iterator[Contract]:
    """A contract without a plan, on 1 April 2026 in Tokyo."""
    world = World(shared_url, jst("2026-04-01"), tool="chatwork")
    made = Contract(world, tmp_path)
    yield made
    assert made.faults() == []
    world.database.close()


@pytest.fixture
def yearly(contract: Contract) -> Contract:
    """Business by the year: 50 licences, 40 users."""
    contract.users(39)
    contract.start(BUSINESS, "year", 50)
    return contract


def test_cw_01_the_number_of_users_is_the_administrator_and_the_managed_users(yearly: Contract) -> None:
    assert yearly.numbers() == (50, 40, 10)


def test_cw_02_the_one_administrator_takes_a_licence_of_fifty_and_leaves_49(contract: Contract) -> None:
    contract.users(0)
    contract.start(BUSINESS, "year", 50)
    assert contract.numbers() == (50, 1, 49)


def test_cw_03_a_contract_is_personal_while_its_administrator_is_its_only_user(contract: Contract) -> None:
    target = contract.beside()
    target.start(BUSINESS, "year", 5)
    contract.users(0)
    contract.start(BUSINESS, "year", 2)
    assert contract.numbers() == (2, 1, 1)
    contract.users(1)
    assert contract.refused("migration", into=target.id) == "CW-16"
    contract.users(0)
    contract.give("migration", into=target.id)
    assert contract.state() == "migrated"


def test_cw_04_free_holds_a_hundred_users_and_the_101st_is_kept_flagged_and_costs_nothing(contract: Contract) -> None:
    contract.users(99)
    contract.start(FREE, "month")
    assert (contract.shown()["occupied"], contract.flags()) == (100, [])
    contract.users(100)
    assert (contract.shown()["occupied"], contract.flags()) == (101, ["CW-04"])
    assert contract.charges() == []
    crowded = contract.beside()
    crowded.users(100)
    assert crowded.refused("subscription", plan=FREE, interval="month") == "CW-04"


def test_cw_05_licences_stand_apart_from_users_who_should_be_no_more_than_there_are(yearly: Contract) -> None:
    assert (yearly.numbers(), yearly.flags()) == ((50, 40, 10), [])
    yearly.users(50)
    assert yearly.numbers() == (50, 51, 0)
    assert yearly.shown()["flags"] == [{"rule": "CW-08", "detail": "51 users on 50 licences: buy 1 more"}]


def test_cw_06_each_user_takes_exactly_one_licence(yearly: Contract) -> None:
    assert yearly.numbers() == (50, 40, 10)
    yearly.users(40)
    assert yearly.numbers() == (50, 41, 9)


def test_cw_07_the_number_is_chosen_with_the_plan_twelve_users_need_twelve_and_free_has_none(
    contract: Contract,
) -> None:
    contract.users(11)
    assert contract.refused("subscription", plan=FREE, interval="month", licences=12) == "CW-07"
    contract.start(FREE, "month")
    assert contract.numbers() == (0, 12, 0)
    bought: dict[str, Any] = {"plan": BUSINESS, "interval": "year", "payment_method": "card"}
    with pytest.raises(InvalidError, match="licences must be given"):
        contract.give("plan-change", **bought)
    assert contract.refused("plan-change", **bought, licences=11) == "CW-07"
    contract.give("plan-change", **bought, licences=12)
    assert contract.lines() == [("period", 12, 100_800)]
    assert contract.numbers() == (12, 12, 0)


def test_cw_08_licences_are_bought_before_people_are_added_and_never_by_themselves(contract: Contract) -> None:
    contract.users(49)
    contract.start(BUSINESS, "year", 50)
    contract.to("2026-07-01")
    contract.users(50)
    assert (contract.numbers(), contract.flags()) == ((50, 51, 0), ["CW-08"])
    assert contract.lines() == [("period", 50, 420_000)]
    contract.give("licences", add=1)
    assert (contract.numbers(), contract.flags()) == ((51, 51, 0), [])
    assert contract.lines()[1:] == [("licences_added", 1, 8_400 * 274 // 365)]


def test_cw_08_only_a_setting_outside_the_vendors_plan_buys_when_people_are_more_than_licences(
    contract: Contract,
) -> None:
    contract.users(49)
    contract.start(BUSINESS, "year", 50, auto_purchase=True)
    contract.to("2026-07-01")
    contract.users(50)
    assert (contract.numbers(), contract.flags()) == ((51, 51, 0), [])
    assert contract.lines() == [("period", 50, 420_000), ("licences_bought", 1, 8_400 * 274 // 365)]
    kinds = "SELECT count(*)::int AS n FROM fact WHERE workspace_id = %s AND kind = 'licences.added'"
    assert contract.world.row(kinds, contract.id)["n"] == 0


def test_cw_09_fifty_licences_are_420000_and_462000_with_tax_whoever_uses_them(yearly: Contract) -> None:
    assert yearly.lines() == [("period", 50, 420_000)]
    assert yearly.charges() == [(462_000, 42_000)]
    yearly.users(49)
    assert (yearly.numbers(), yearly.flags()) == ((50, 50, 0), [])
    assert yearly.charges() == [(462_000, 42_000)]


def test_cw_10_nobody_joins_by_himself_only_the_administrators_list_makes_a_user(yearly: Contract) -> None:
    for text in ("[dtext:chatroom_chat_joined] by link", "[dtext:chatroom_member_is] I am a user now"):
        reading = yearly.hear(text)
        assert (reading.events, reading.reread) == ((), True)
    yearly.rooms({11: [1001, 2001, 7777], 12: [7777]})
    told = yearly.world.row("SELECT billable, rule FROM member WHERE member = '7777' AND workspace_id = %s", yearly.id)
    assert told == {"billable": False, "rule": "CW-29"}
    assert (yearly.numbers(), yearly.charges()) == ((50, 40, 10), [(462_000, 42_000)])
    yearly.users(39, pending=1)
    assert yearly.numbers() == (50, 41, 9)


def test_cw_11_who_buys_while_invited_elsewhere_is_warned_and_not_stopped(contract: Contract) -> None:
    inviting = contract.beside()
    inviting.listed(["3001,joined,administrator", "1001,pending,member"])
    contract.users(0)
    made = contract.start(BUSINESS, "year", 1)
    assert [warning[:5] for warning in made["warnings"]] == ["CW-11"]
    assert contract.charges() == [(9_240, 840)]
    inviting.start(BUSINESS, "year", 2)
    contract.give("migration", into=inviting.id)
    assert contract.given_back() == (0, 0, 0)
    lone = contract.beside()
    lone.listed(["4001,joined,administrator"])
    assert (
        lone.give("subscription", {"id": "4001", "role": ""}, plan=BUSINESS, interval="year", licences=1)["warnings"]
        == []
    )


def test_cw_12_the_price_of_a_licence_is_a_dated_row_of_the_catalogue(contract: Contract) -> None:
    with contract.world.database.transaction("test") as connection:
        rows = catalogue.listed(connection, jst("2026-04-01").date())
    told = [(str(r["valid_from"]), r["interval"], r["unit_amount"]) for r in rows if r["plan"] == BUSINESS]
    assert told == [
        ("2020-04-01", "month", 600),
        ("2023-07-03", "month", 840),
        ("2017-01-01", "year", 8_400),
        ("2023-07-03", "year", 8_400),
    ]
    earlier = contract.beside()
    earlier.world.advance(jst("2023-06-15"))
    earlier.start(BUSINESS, "month", 2)
    earlier.to("2023-07-15")
    assert earlier.lines() == [("period", 2, 1_200), ("period", 2, 1_680)]


def test_cw_13_one_person_on_business_needs_one_licence(contract: Contract) -> None:
    contract.users(0)
    contract.start(BUSINESS, "year", 1)
    assert contract.lines() == [("period", 1, 8_400)]
    assert contract.charges() == [(9_240, 840)]
    assert contract.refused("licences", remove=1) == "CW-13"


@pytest.mark.parametrize(("interval", "price"), [("month", 7_200), ("year", 72_000)])
def test_cw_14_enterprise_is_sold_from_five_licences_also_to_one_person(
    contract: Contract, interval: str, price: int
) -> None:
    contract.users(0)
    assert contract.refused("subscription", plan=ENTERPRISE, interval=interval, licences=4) == "CW-14"
    contract.start(ENTERPRISE, interval, 5)
    assert contract.lines() == [("period", 5, price)]
    assert contract.refused("licences", remove=1) == "CW-14"


def test_cw_15_five_licences_with_17_of_31_days_left_are_2303_before_tax(contract: Contract) -> None:
    contract.to("2026-08-01")
    contract.users(0)
    contract.start(BUSINESS, "month", 1)
    contract.to("2026-08-15T10:00")
    quoted = contract.quote("licences", add=5)
    contract.give("licences", add=5, quote_id=quoted["id"])
    assert contract.lines() == [("period", 1, 840), ("licences_added", 5, 2_303)]
    assert contract.charges()[1] == (2_533, 230) == (quoted["amount"], quoted["tax"])
    assert contract.numbers() == (6, 1, 5)


@pytest.mark.parametrize("plan", [FREE, BUSINESS])
def test_cw_16_a_contract_of_three_moves_only_when_two_are_removed_whatever_its_plan(
    contract: Contract, plan: str
) -> None:
    target = contract.beside()
    target.start(BUSINESS, "year", 5)
    contract.users(2)
    contract.rooms({11: [1001, 60_000], 12: [1001, 60_000]})
    contract.start(plan, "month", None if plan == FREE else 3)
    assert contract.refused("migration", into=target.name) == "CW-16"
    contract.users(1)
    assert contract.refused("migration", into=target.name) == "CW-16"
    contract.users(0)
    contract.give("migration", into=target.name)
    assert contract.state() == "migrated"


def test_cw_17_who_pays_cannot_be_added_to_a_free_contract(contract: Contract) -> None:
    free, paid = contract.beside(), contract.beside()
    free.start(FREE, "month")
    paid.start(ENTERPRISE, "year", 5)
    contract.start(BUSINESS, "month", 1)
    assert contract.refused("migration", into=free.id) == "CW-17"
    contract.give("migration", into=paid.id)
    lone = contract.beside()
    lone.start(FREE, "month")
    lone.give("migration", into=free.id)
    assert (contract.state(), lone.state()) == ("migrated", "migrated")


def test_cw_18_who_was_moved_is_not_charged_next_january(contract: Contract) -> None:
    target = contract.beside()
    target.start(BUSINESS, "year", 5)
    contract.world.advance(jst("2027-01-01"))
    contract.start(BUSINESS, "year", 1)
    assert contract.renewal() == (1, 8_400, 840)
    contract.to("2027-04-01")
    contract.give("migration", into=target.id)
    contract.to("2029-01-02")
    assert contract.charges() == [(9_240, 840)]
    assert (contract.state(), contract.shown()["next_renewal"]) == ("migrated", None)


def test_cw_19_what_was_paid_for_the_rest_of_the_year_is_not_given_back(contract: Contract) -> None:
    target = contract.beside()
    target.start(BUSINESS, "month", 5)
    contract.world.advance(jst("2027-01-01"), target.id)
    contract.start(BUSINESS, "year", 1)
    with Sandbox() as sandbox:
        till = Till(contract, sandbox)
        till.send()
        assert till.to("2027-04-01") == "active"
        owed = target.lines()
        assert contract.refused("refund") == "CW-28"
        contract.give("migration", into=target.id)
        till.send()
        assert till.attempts() == [(9_240, "succeeded", ["1"])]
    assert (contract.given_back(), target.given_back()) == ((0, 0, 0), (0, 0, 0))
    assert target.lines() == owed


def test_cw_20_the_licence_of_a_removed_user_serves_the_next_one_for_nothing(contract: Contract) -> None:
    contract.users(49)
    contract.start(BUSINESS, "year", 50)
    contract.to("2026-06-01")
    contract.users(48)
    assert contract.numbers() == (50, 49, 1)
    contract.to("2026-06-10")
    contract.listed(
        ["1001,joined,administrator", "5555,joined,member", *(f"{2001 + n},joined,member" for n in range(48))]
    )
    assert (contract.numbers(), contract.flags()) == ((50, 50, 0), [])
    assert contract.charges() == [(462_000, 42_000)]


def test_cw_21_removing_users_and_removing_licences_are_two_things_and_the_licences_are_billed(
    contract: Contract,
) -> None:
    contract.users(49)
    contract.start(BUSINESS, "year", 50)
    contract.users(39)
    assert (contract.numbers(), contract.renewal()) == ((50, 40, 10), (50, 420_000, 42_000))
    contract.give("licences", remove=5)
    assert contract.numbers() == (45, 40, 5)


def test_cw_22_removed_users_leave_the_next_renewal_as_it_was(yearly: Contract) -> None:
    yearly.to("2026-12-01")
    yearly.users(29)
    assert yearly.renewal() == (50, 420_000, 42_000)
    yearly.to("2027-04-01")
    assert yearly.charges() == [(462_000, 42_000)] * 2


def test_cw_23_removed_licences_make_the_next_renewal_378000(yearly: Contract) -> None:
    yearly.to("2026-12-01")
    yearly.give("licences", remove=5)
    assert yearly.renewal() == (45, 378_000, 37_800)
    yearly.to("2027-04-01")
    assert yearly.lines() == [("period", 50, 420_000), ("period", 45, 378_000)]
    assert yearly.charges()[1] == (415_800, 37_800)


def test_cw_24_a_contract_renews_each_first_of_april_until_it_is_cancelled(yearly: Contract) -> None:
    yearly.to("2027-03-31T23:59")
    assert len(yearly.charges()) == 1
    yearly.to("2027-04-01")
    assert len(yearly.charges()) == 2
    yearly.to("2028-04-01")
    assert yearly.charges() == [(462_000, 42_000)] * 3
    yearly.give("cancellation")
    yearly.to("2029-04-01")
    assert (len(yearly.charges()), yearly.state()) == (3, "closed")


@pytest.mark.parametrize(
    ("asked", "renewed", "after"), [("2027-03-31T23:59", 378_000, 378_000), ("2027-04-01T00:00", 420_000, 378_000)]
)
def test_cw_25_a_licence_given_up_by_the_day_before_the_renewal_date_is_not_renewed(
    yearly: Contract, asked: str, renewed: int, after: int
) -> None:
    yearly.to(asked)
    yearly.give("licences", remove=5)
    assert yearly.numbers() == (45, 40, 5)
    yearly.to("2028-04-01")
    assert [amount for _, _, amount in yearly.lines()] == [420_000, renewed, after]


def test_cw_26_fewer_licences_hold_that_second_and_never_fewer_than_users(yearly: Contract) -> None:
    yearly.give("licences", remove=5)
    assert yearly.numbers() == (45, 40, 5)
    assert yearly.refused("licences", remove=6) == "A-22"
    yearly.give("licences", remove=5)
    assert yearly.numbers() == (40, 40, 0)
    yearly.users(40)
    assert yearly.flags() == ["CW-08"]


def test_cw_27_giving_up_is_not_undone_five_again_with_275_of_365_days_left_are_31643(yearly: Contract) -> None:
    yearly.to("2026-06-30")
    yearly.give("licences", remove=5)
    yearly.give("licences", add=5)
    assert yearly.lines() == [("period", 50, 420_000), ("licences_added", 5, 31_643)]
    assert yearly.charges()[1] == (34_807, 3_164)
    assert yearly.numbers() == (50, 40, 10)


def test_cw_28_nothing_is_given_back_for_the_time_a_removed_licence_was_not_used(yearly: Contract) -> None:
    yearly.to("2026-10-01")
    yearly.give("licences", remove=5)
    assert yearly.refused("refund") == "CW-28"
    assert yearly.given_back() == (0, 0, 0)
    assert yearly.charges() == [(462_000, 42_000)]


def test_cw_29_three_hundred_contacts_are_an_address_book_and_cost_nothing(contract: Contract) -> None:
    contract.users(0)
    contract.start(BUSINESS, "year", 1)
    reading = contract.hear("[dtext:chatroom_contact_added] pleased to meet you")
    contacts = range(60_000, 60_300)
    contract.rooms({11: [1001, *contacts], 12: [1001, *contacts]})
    assert (reading.events, reading.reread) == ((), False)
    assert (contract.numbers(), contract.flags()) == ((1, 1, 0), [])
    contract.to("2027-04-01")
    assert contract.lines() == [("period", 1, 8_400)] * 2


def test_cw_30_one_user_alone_is_a_whole_contract_and_still_has_rooms_to_talk_in(contract: Contract) -> None:
    contract.users(0)
    contract.rooms({11: [1001, 60_000]})
    contract.start(BUSINESS, "month", 1)
    with contract.world.database.transaction("test") as connection:
        told = views.entitlements(connection, views.require(connection, None, contract.id))
    assert (told["counts"]["users"], told["flags"], told["state"]) == (1, [], "active")
