"""A-01 to A-20: how the rulebook's silences and contradictions are read, by its own numbers."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any, get_args

import pytest

from billing.core.errors import RefusedError
from billing.core.limits import Counts, access, flags
from billing.core.money import Rounding, rounded
from billing.payments.sandbox import Sandbox
from billing.store import views
from tests.core.telling import people
from tests.rules.tale import BANK, CARD, JAPAN, Tale, sold
from tests.workers.test_charges import Payments
from tests.workers.world import World, at
from workers import commands, documents

PREMIUM, BUSINESS, ENTERPRISE, STANDARD = (
    "trello-premium",
    "chatwork-business",
    "chatwork-enterprise",
    "backlog-standard",
)
TODAY = date(2026, 11, 2)
ADMIN = {"id": "sora", "role": "contract_admin"}


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url, at("2026-04-01"))
    yield made
    made.database.close()


def give(world: World, workspace: str, command: str, actor: dict[str, str] = ADMIN, **body: Any) -> dict[str, Any]:
    with world.database.transaction("test") as connection:
        return commands.give(connection, "live", workspace, command, body, actor)


def entitled(world: World, workspace: str) -> dict[str, Any]:
    with world.database.transaction("test") as connection:
        return views.entitlements(connection, views.require(connection, None, workspace))


def space(moment: str, plan: str = STANDARD) -> Tale:
    """A Backlog trial from that moment on."""
    tale = Tale(JAPAN)
    tale.give("trial", moment, plan=plan, terms_version="v12")
    return tale


# --- Trello -----------------------------------------------------------------------------------------------------------


def test_a_01_three_quarters_of_11999_are_8999_by_months_and_by_no_count_of_days() -> None:
    tale = Tale()
    tale.join("2025-01-15", "aoi")
    tale.start("2025-01-15", PREMIUM, "year")
    tale.join("2025-04-15", "ben")
    assert tale.amounts("2025-05-01") == [11_999, 8_999]
    assert tale.owed("2025-05-01")[1].exact == Fraction(35_997, 4)
    modes = get_args(Rounding)
    by_days = {
        whole: {
            days
            for days in range(whole + 1)
            for mode in modes
            if rounded(Fraction(11_999 * days, whole), mode) == 8_999
        }
        for whole in (360, 365, 366)
    }
    assert by_days == {360: {270}, 365: set(), 366: set()}
    assert rounded(Fraction(35_997, 4), "ceil") == 9_000


def test_a_02_the_seeds_119_99_and_todays_120_are_two_dated_prices() -> None:
    days = {date(2017, 1, 1): 11_999, date(2025, 12, 31): 11_999, date(2026, 1, 1): 12_000}
    assert {day: sold(PREMIUM, day)["year"].unit_amount for day in days} == days


def test_a_03_a_guests_seat_is_freed_when_fewer_than_two_boards_are_left() -> None:
    tale = Tale()
    tale.join("2026-04-01", "aoi")
    tale.guest("2026-04-01", "gus", "a", "b", "c")
    tale.start("2026-04-01", PREMIUM, "year")
    tale.tell("board.member_removed", "2026-05-01", "gus", boards=["a"])
    assert tale.seats("2026-05-02").occupied == 2
    tale.tell("board.member_removed", "2026-06-01", "gus", boards=["b"])
    tale.guest("2026-06-02", "gus", "c")  # a board counts once
    assert tale.seats("2026-06-03").occupied == 1
    assert tale.amounts("2026-06-03") == [24_000]


def test_a_04_a_guest_who_takes_a_second_board_is_prorated_like_a_new_member() -> None:
    tale = Tale()
    tale.join("2025-01-15", "aoi")
    tale.guest("2025-01-15", "gus", "a")
    tale.start("2025-01-15", PREMIUM, "year")
    tale.guest("2025-04-15", "gus", "b")
    assert tale.amounts("2025-05-01") == [11_999, 8_999]


@pytest.mark.parametrize(("counted", "amounts"), [(False, [12_000]), (True, [24_000])])
def test_a_05_people_of_closed_boards_cost_nothing_unless_the_plan_says_so(counted: bool, amounts: list[int]) -> None:
    terms = replace(sold(PREMIUM, TODAY)["year"], plan="own", closed_boards_count=counted)
    tale = Tale("UTC", terms)
    tale.join("2026-04-01", "aoi")
    tale.guest("2026-03-01", "gus", "a", "b")
    tale.people += [replace(tale.people[-1], id="closed", kind="board.closed", member=None, at=tale.at("2026-03-02"))]
    tale.start("2026-04-01", "own", "year")
    assert tale.amounts("2026-04-02") == amounts


def test_a_06_the_invited_and_the_deactivated_cost_nothing_in_any_capacity() -> None:
    tale = Tale()
    tale.join("2026-04-01", "aoi", "ben")
    tale.tell("member.invited", "2026-03-01", "vic")
    tale.guest("2026-04-01", "vic", "a", "b")
    tale.guest("2026-04-01", "ben", "a", "b")
    tale.tell("member.deactivated", "2026-04-01T01:00", "ben")
    tale.start("2026-04-01T02:00", PREMIUM, "year")
    tale.leave("2026-04-02", "ben")  # a guest now, and deactivated still
    assert tale.amounts("2026-04-03") == [12_000]
    tale.join("2026-10-01", "vic")
    assert tale.amounts("2026-10-02") == [12_000, 6_000]


@pytest.mark.parametrize(("boards", "amounts"), [(("a", "b"), [24_000]), (("a",), [12_000])])
def test_a_07_an_observer_costs_what_anybody_on_as_many_boards_costs(
    boards: tuple[str, ...], amounts: list[int]
) -> None:
    tale = Tale()
    tale.join("2026-04-01", "aoi")
    tale.guest("2026-04-01", "olga", *boards, role="observer")
    tale.start("2026-04-01", PREMIUM, "year")
    assert tale.amounts("2026-04-02") == amounts


def test_a_08_to_yearly_in_the_middle_of_a_month_costs_the_year_less_half_the_month() -> None:
    tale = Tale()
    tale.join("2026-04-01", "aoi")
    tale.start("2026-04-01", PREMIUM, "month")
    tale.give("interval-change", "2026-04-16", interval="year")
    assert tale.amounts("2026-04-16") == [1_250, -625, 12_000]
    assert sum(tale.amounts("2026-04-16")[1:]) == 11_375
    assert tale.course("2026-04-16").stretches[-1].period.last == date(2027, 4, 16)
    assert tale.refuses("refund", "2026-05-01") == "TR-26"  # thirty days from the upgrade, not from the switch
    vacant = Tale()
    vacant.join("2026-04-01", "aoi", "ben")
    vacant.start("2026-04-01", PREMIUM, "month")
    vacant.leave("2026-04-02", "ben")
    vacant.give("interval-change", "2026-04-16", interval="year")
    assert vacant.amounts("2026-04-16") == [2_500, -1_250, 12_000]  # purchased is credited, occupied is bought


def test_a_09_on_day_30_everything_since_the_upgrade_is_paid_back_and_on_day_31_nothing(world: World) -> None:
    with Sandbox() as sandbox:
        payments = Payments(world, sandbox)
        kept = []
        for name, day in (("w1", "2026-04-30T23:59"), ("w2", "2026-05-01")):
            workspace = world.workspace(name)
            world.tell("member.joined", name, "aoi", at("2026-03-01"))
            world.read_and_settle()
            kept.append((workspace, day))
        for workspace, _ in kept:
            world.start(workspace, interval="month")
        payments.send()
        admin = {"id": "admin", "role": "admin"}
        world.advance(at("2026-04-16"), *(workspace for workspace, _ in kept))
        for workspace, _ in kept:
            give(world, workspace, "interval-change", admin, interval="year")
        payments.send()
        assert [charge["amount"] for charge in payments.book()] == [1_250, 1_250, 11_375, 11_375]
        (early, last), (late, after) = kept
        world.tell(
            "member.joined", "w1", "ben", at("2026-04-17")
        )  # its charge is not sent: there is nothing to pay back
        world.read_and_settle()
        world.advance(at(last), early, late)
        give(world, early, "refund", admin)
        world.advance(at(after), early, late)
        with pytest.raises(RefusedError) as refused:
            give(world, late, "refund", admin)
        payments.pool.shutdown()
    assert refused.value.rule == "TR-26"
    found = world.row(
        "SELECT sum(amount)::int AS amount, min(reason) AS reason FROM refund WHERE workspace_id = %s", early
    )
    assert found == {"amount": 12_625, "reason": "TR-26"}
    assert world.rows("SELECT * FROM refund WHERE workspace_id = %s", late) == []
    assert world.row("SELECT state, credit FROM workspace WHERE id = %s", early) == {"state": "free", "credit": 0}
    assert world.rows("SELECT status FROM charge WHERE workspace_id = %s AND status = 'queued'", early) == []


def test_a_10_the_free_plan_holds_ten_and_with_eleven_it_is_only_viewed() -> None:
    terms = sold("trello-free", TODAY)["month"]
    for people_there, rules, word in ((9, [], "full"), (10, [], "full"), (11, ["B-05"], "view_only")):
        counts = Counts(6, people_there, 1)
        assert [flag.rule for flag in flags(terms, counts, 0)] == rules
        assert access("free", terms, counts) == word


def test_a_11_empty_seats_fall_at_trellos_renewal_and_stay_at_chatworks() -> None:
    for plan, more, seats in ((PREMIUM, {}, 7), (BUSINESS, {"licences": 10}, 10)):
        tale = Tale()
        tale.join("2026-04-01", *people(10))
        tale.start("2026-04-01", plan, "year", **more)
        tale.leave("2026-10-01", *people(3))
        assert [line.seats for line in tale.owed("2027-04-01")] == [10, seats]


# --- Backlog ----------------------------------------------------------------------------------------------------------


def test_a_12_there_are_five_ways_to_pay_and_no_sixth() -> None:
    sold_as = [(CARD, "month"), (CARD, "year"), (BANK, "3-months"), (BANK, "6-months"), (BANK, "year")]
    for method in (CARD, BANK):
        for interval in ("month", "3-months", "6-months", "year"):
            tale, asked = space("2026-04-01"), {"payment_method": method, "interval": interval}
            if (method, interval) in sold_as:
                tale.give("registration", "2026-04-02", **asked)
            else:
                assert tale.refuses("registration", "2026-04-02", **asked) == "BL-19"
    assert list(sold(STANDARD, TODAY)["month"].rules.methods) == sold_as


def test_a_13_registered_at_once_it_is_free_for_thirty_days_and_the_anchor_is_their_end() -> None:
    tale = space("2026-04-10")
    tale.give("registration", "2026-04-10", payment_method=CARD, interval="month")
    assert (tale.state("2026-05-09T23:59"), tale.amounts("2026-05-09T23:59")) == ("trial_registered", [])
    assert tale.amounts("2026-05-10") == [17_600]
    assert [str(one.period.first) for one in tale.course("2026-06-10").stretches] == ["2026-05-10", "2026-06-10"]


def test_a_14_from_free_there_are_no_free_days_at_any_step() -> None:
    tale = Tale(JAPAN)
    tale.start("2026-04-01", "backlog-free", "month")
    assert tale.refuses("trial", "2026-04-10", plan="backlog-starter", terms_version="v12") == "BL-14"
    tale.give("plan-change", "2026-04-10", plan="backlog-starter", interval="month", payment_method=CARD)
    assert tale.amounts("2026-04-10") == [2_970]


def test_a_15_a_new_trial_space_of_a_free_customer_has_its_thirty_days_and_the_free_one_is_untouched(
    world: World,
) -> None:
    old, new = world.workspace("acme", JAPAN), world.workspace("acme-two", JAPAN)
    give(world, old, "subscription", plan="backlog-free", interval="month")
    give(world, new, "trial", plan=STANDARD, terms_version="v12")
    world.advance(at("2026-04-30T14:59"), old, new)
    assert [entitled(world, one)["state"] for one in (old, new)] == ["free", "trialing"]
    world.advance(at("2026-04-30T15:00"), old, new)
    assert [entitled(world, one)["state"] for one in (old, new)] == ["free", "expired"]
    assert world.charges(old) == world.charges(new) == []


def test_a_16_day_1_is_the_first_day_the_last_free_one_is_the_30th_and_the_31st_is_paid_from_midnight() -> None:
    tale = space("2026-04-01T17:30")
    tale.give("registration", "2026-04-30T23:59", payment_method=CARD, interval="month")
    assert tale.amounts("2026-04-30T23:59") == []
    [line] = tale.owed("2026-05-01")
    assert (line.instant.isoformat(), line.amount) == ("2026-04-30T15:00:00+00:00", 17_600)


def test_a_17_trials_are_without_number_and_an_expired_id_stays_reserved() -> None:
    tales = [space(f"2026-0{month}-01") for month in range(1, 6)]
    assert [tale.state("2026-05-01") for tale in tales] == ["expired"] * 4 + ["trialing"]
    for command in ("trial", "subscription"):
        asked = {"plan": STANDARD, "interval": "month", "payment_method": CARD, "terms_version": "v12"}
        assert tales[0].refuses(command, "2026-05-01", **asked) == "BL-11"


def test_a_18_after_the_trial_only_an_operator_reopens_and_it_is_charged_at_once() -> None:
    tale = space("2026-04-01")
    asked = {"plan": STANDARD, "payment_method": CARD, "interval": "month"}
    assert tale.refuses("registration", "2026-05-01", **asked) == "BL-15"
    tale.give("registration", "2026-05-03", role="operator", **asked)
    assert (tale.state("2026-05-03"), tale.amounts("2026-05-03")) == ("active", [17_600])


def test_a_19_an_expired_space_is_locked_and_nothing_of_it_is_lost(world: World) -> None:
    workspace = world.workspace("acme", JAPAN)
    world.tell("member.joined", "acme", "hana", at("2026-04-01"))
    world.read_and_settle()
    give(world, workspace, "trial", plan="backlog-premium", terms_version="v12")
    assert (entitled(world, workspace)["access"], entitled(world, workspace)["plan"]) == ("full", "backlog-premium")
    world.advance(at("2027-05-01"), workspace)
    told = entitled(world, workspace)
    assert (told["state"], told["access"], told["plan"], told["features"]) == ("expired", "locked", None, [])
    assert told["counts"]["users"] == 1
    assert world.row("SELECT count(*) AS n FROM fact") == {"n": 2}


def test_a_20_a_bank_transfer_is_invoiced_at_registration_and_receipted_on_request(world: World) -> None:
    workspace = world.workspace("acme", JAPAN)
    give(world, workspace, "trial", plan=STANDARD, terms_version="v12")
    world.advance(at("2026-04-20"), workspace)
    give(world, workspace, "registration", payment_method=BANK, interval="3-months")
    with world.database.transaction("test") as connection:
        documents.issue_due(connection, workspace)
    shown = "SELECT kind, amount, tax, due_on::text AS due_on FROM document ORDER BY id"
    invoice = {"kind": "invoice", "amount": 52_800, "tax": 4_800, "due_on": "2026-05-01"}
    assert world.rows(shown) == [invoice]
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE charge SET status = 'succeeded', document_due = true")
    charge = world.row("SELECT id FROM charge")["id"]
    with world.database.transaction("test") as connection:
        assert documents.issue_due(connection, workspace) == []
        documents.receipt(connection, None, charge)
    assert world.rows(shown) == [invoice, {"kind": "receipt", "amount": 52_800, "tax": 4_800, "due_on": None}]
