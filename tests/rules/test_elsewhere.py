"""B: what the vendors and the tax agency say on other pages, by the rulebook's own numbers."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, get_args

import pytest

from billing.core.documents import is_exempt
from billing.core.errors import InvalidError
from billing.core.limits import Counts, flags
from billing.core.money import Rounding
from billing.core.registration import check_digit, checked
from billing.core.tax import Tax
from billing.store import views
from tests.core.telling import people
from tests.papers.test_composition import ISSUER, composed
from tests.rules.tale import CARD, JAPAN, Tale, sold
from tests.workers.world import World, at

PREMIUM, SMALLER, ENTERPRISE, BUSINESS = "trello-premium", "trello-standard", "trello-enterprise", "chatwork-business"
TODAY = date(2026, 11, 2)


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url, at("2026-04-01"))
    yield made
    made.database.close()


def counts(world: World, workspace: str) -> Counts:
    with world.database.transaction("test") as connection:
        return Counts(**views.entitlements(connection, views.require(connection, None, workspace))["counts"])


# --- Trello -----------------------------------------------------------------------------------------------------------


def test_b_01_a_seat_is_charged_when_somebody_joins_and_not_when_they_are_invited() -> None:
    tale = Tale()
    tale.join("2025-01-15", "aoi", "ben", "cy")
    tale.tell("member.invited", "2025-01-15", "dai")
    tale.start("2025-01-15", PREMIUM, "year")
    tale.join("2025-04-15", "dai")
    assert tale.amounts("2025-05-01") == [35_997, 8_999]


def test_b_03_a_guest_becomes_a_member_for_nothing_and_one_with_a_single_board_left_is_not_renewed() -> None:
    tale = Tale()
    tale.join("2026-04-01", "aoi")
    tale.guest("2026-04-01", "gus", "a", "b")
    tale.guest("2026-04-01", "hal", "a", "b")
    tale.start("2026-04-01", PREMIUM, "year")
    tale.join("2026-05-01", "gus")
    tale.tell("board.member_removed", "2026-06-01", "hal", boards=["b"])
    assert tale.amounts("2027-03-31") == [36_000]
    assert tale.amounts("2027-04-01") == [36_000, 24_000]


def test_b_04_fifty_people_of_enterprise_and_thirty_guests_cost_fifty_seats() -> None:
    tale = Tale()
    tale.join("2026-04-01", *people(50))
    for guest in people(30, "guest"):
        tale.guest("2026-04-01", guest, "a", "b")
    tale.start("2026-04-01", ENTERPRISE, "year")
    assert tale.amounts("2026-04-01") == [1_050_000]


def test_b_05_members_guests_and_the_invited_are_collaborators_of_free_and_nobody_else(world: World) -> None:
    workspace, day = world.workspace("w1"), at("2026-03-01")
    world.tell("board.attached", "w1", None, day, board="open")
    world.tell("board.attached", "w1", None, day, board="shut")
    for person in people(7):
        world.tell("member.joined", "w1", person, day)
    world.tell("member.deactivated", "w1", "person-006", at("2026-03-02"))
    for guest in people(3, "guest"):
        world.tell("board.member_added", "w1", guest, day, board="open")
    world.tell("board.member_added", "w1", "gone", day, board="shut")
    world.tell("board.closed", "w1", None, at("2026-03-02"), board="shut")
    world.tell("member.invited", "w1", "vic", day)
    world.read_and_settle()
    counted = counts(world, workspace)
    assert (counted.collaborators, counted.users) == (10, 7)
    terms = sold("trello-free", TODAY)["month"]
    assert flags(terms, counted, 0) == []
    world.tell("member.invited", "w1", "wen", at("2026-03-03"))
    world.read_and_settle()
    counted = counts(world, workspace)
    assert [flag.rule for flag in flags(terms, counted, 0)] == ["B-05"]
    assert world.rows("SELECT * FROM entry") == []  # they count for the cap, not for money


def test_b_06_a_larger_plan_holds_at_once_for_the_difference_and_a_smaller_one_from_the_renewal_on() -> None:
    tale = Tale()
    tale.join("2026-04-01", *people(10))
    tale.start("2026-04-01", SMALLER, "year")
    tale.give("plan-change", "2026-10-01", plan=PREMIUM)
    assert tale.amounts("2026-10-01") == [60_000, 30_000]
    assert tale.refuses("plan-change", "2026-10-02", plan=ENTERPRISE) == "B-06"  # through support
    tale.give("plan-change", "2026-11-01", plan=SMALLER)
    assert tale.amounts("2027-03-31") == [60_000, 30_000]
    assert tale.amounts("2027-04-01") == [60_000, 30_000, 60_000]
    tale.give("cancellation", "2027-05-01")
    assert [tale.state(day) for day in ("2027-05-01", "2028-03-31", "2028-04-01")] == ["cancelling"] * 2 + ["free"]


def test_b_07_of_fourteen_open_boards_four_are_above_the_free_plans_ten() -> None:
    [flag] = flags(sold("trello-free", TODAY)["month"], Counts(5, 5, 14), 0)
    assert (flag.rule, flag.detail.partition(",")[0]) == ("B-07", "14 open boards")
    assert flags(sold(PREMIUM, TODAY)["month"], Counts(5, 5, 14), 5) == []


def test_b_09_a_trial_with_a_card_is_paid_from_day_15_on_and_one_without_ends_free() -> None:
    for method, amounts, state in ((CARD, [6_250], "active"), (None, [], "free")):
        tale = Tale()
        tale.join("2026-04-01", *people(5))
        tale.give("trial", "2026-04-01", plan=PREMIUM, interval="month", payment_method=method)
        assert (tale.amounts("2026-04-14T23:59"), tale.state("2026-04-14T23:59")) == ([], "trialing")
        assert (tale.amounts("2026-04-15"), tale.state("2026-04-15")) == (amounts, state)


def test_b_43_what_is_unpaid_is_tried_on_days_7_14_and_21_and_falls_to_free_on_day_28() -> None:
    tale = Tale()
    tale.join("2026-04-01", "aoi")
    tale.start("2026-04-01", PREMIUM, "month")
    tale.failed("2026-04-01", 0)
    tried = [due.at for due in tale.course("2026-04-30").dues if due.what == "retry"]
    assert tried == [tale.at("2026-04-01") + timedelta(days=days) for days in (7, 14, 21)]
    assert [tale.state(day) for day in ("2026-04-28T23:59", "2026-04-29")] == ["past_due", "free"]


# --- Chatwork ---------------------------------------------------------------------------------------------------------


def test_b_14_from_free_every_user_comes_along_and_needs_a_licence_and_only_the_administrator_buys() -> None:
    tale = Tale(JAPAN)
    tale.join("2026-04-01", *people(12))
    tale.start("2026-04-01", "chatwork-free", "month")
    asked: dict[str, Any] = {"plan": BUSINESS, "interval": "year", "payment_method": CARD}
    assert tale.refuses("subscription", "2026-04-02", **asked, licences=11) == "CW-07"
    assert tale.refuses("subscription", "2026-04-02", role="user_admin", **asked, licences=12) == "XX-05"
    tale.give("subscription", "2026-04-02", **asked, licences=12)
    assert tale.amounts("2026-04-02") == [100_800]


# --- Japanese tax documents -------------------------------------------------------------------------------------------


def test_b_30_tax_is_rounded_once_for_each_invoice_in_the_way_the_issuer_chose() -> None:
    found = {mode: composed([105, 105, 105], Tax("1/10", "exclusive", mode))["rates"][0] for mode in get_args(Rounding)}
    assert {mode: rate["tax"] for mode, rate in found.items()} == {
        "floor": 31,
        "ceil": 32,
        "half_up": 32,
        "half_even": 32,
    }
    assert {rate["net"] for rate in found.values()} == {315}


def test_b_31_a_qualified_invoice_has_six_items_and_without_the_number_it_is_none() -> None:
    told = composed([17_600], Tax("1/10", "inclusive"), kind="receipt")
    assert told["qualified"]
    assert (told["issuer"], told["recipient"]) == (ISSUER, {"name": "合同会社すずらん設計"})
    assert told["supplied"] == {"from": "2026-05-01", "to": "2026-07-31"}
    assert told["lines"][0]["description"]["ja"].startswith("standard")
    assert told["rates"] == [{"rate": "1/10", "net": 16_000, "tax": 1_600, "gross": 17_600}]
    assert not composed([17_600], Tax("1/10", "inclusive"), issuer={"name": "株式会社ひだまり商店"})["qualified"]


def test_b_32_a_companys_number_begins_with_its_check_digit_and_another_digit_is_only_doubtful() -> None:
    for number in ("T7120001168421", "T1180301018771"):
        assert (check_digit(number[2:]), checked(number)) == (int(number[1]), [])
    assert len(checked("T6120001168421")) == 1  # a sole trader's may be so
    with pytest.raises(InvalidError):
        checked("7120001168421")


def test_b_33_a_return_of_9240_yen_needs_no_return_invoice_and_one_of_462000_does() -> None:
    assert [is_exempt("JPY", amount) for amount in (-9_240, -9_999, -10_000, -462_000)] == [True, True, False, False]
    original = {"id": "doc", "number": "INV-1-000001", "issued_on": "2026-04-21", "qualified": True}
    for amount, exempt in ((-9_240, True), (-462_000, False)):
        told = composed([amount], Tax("1/10", "inclusive"), kind="return_invoice", original=original)
        assert (told["exempt"], told["amount"]) == (exempt, amount)
