"""The rulebook's worked examples, in money, by the full statement and the incremental form at once."""

from fractions import Fraction
from itertools import permutations

import pytest

from billing.core.facts import Fact
from tests.core.memory import Remembered, billed
from tests.core.telling import Plan, amounts, by_key, fact, joined, left, on_boards, people, plan, when

YEAR = "2025-01-15"


def story() -> list[Fact]:
    """One person starts; a second comes after three months and is deactivated two months on; a third takes the seat."""
    return [
        *joined(YEAR, "aoi"),
        *joined("2025-04-15", "ben"),
        fact("member.deactivated", "2025-06-15", "ben"),
        *joined("2025-06-20", "kit"),
    ]


def yearly(*prices: int) -> Plan:
    return plan(YEAR, "year", *prices)


def kept(facts: list[Fact], pins: Plan, now: str) -> Remembered:
    memory = Remembered()
    memory.settle(facts, pins, when(now))
    return memory


def test_tr_10_the_second_person_pays_three_quarters_of_the_year() -> None:
    lines = billed(story()[:2], yearly(11999), "2025-06-01")
    assert amounts(lines) == [11999, 8999]
    assert (lines[1].fraction, lines[1].exact, lines[1].seats) == (Fraction(3, 4), Fraction(35997, 4), 1)
    assert lines[1].rules == ("TR-08", "XX-02")


def test_tr_10_the_line_names_the_fact_that_filled_the_seat() -> None:
    facts = story()
    lines = billed(facts, yearly(11999), "2025-07-01")
    assert [line.facts for line in lines] == [("fact-start",), (facts[1].id,)]


def test_tr_11_the_third_person_takes_the_empty_seat_for_nothing() -> None:
    lines = billed(story(), yearly(11999), "2025-07-01")
    assert amounts(lines) == [11999, 8999]
    assert sum(amounts(lines)) == 20998


def test_tr_10_and_tr_11_renew_with_two_people_at_the_price_of_that_day() -> None:
    lines = billed(story(), yearly(11999, 12000), "2026-01-15")
    assert amounts(lines) == [11999, 8999, 24000]
    assert (lines[2].seats, lines[2].unit_amount, lines[2].rules) == (2, 12000, ("TR-09", "TR-22", "XX-10"))


def test_xx_10_a_seat_added_within_a_period_costs_the_price_of_that_period() -> None:
    late = [*story(), *joined("2025-10-15", "lee"), *joined("2026-10-15", "mo")]
    lines = billed(late, yearly(11999, 12000), "2026-12-01")
    assert [(line.unit_amount, line.amount) for line in lines[2:]] == [(11999, 3000), (12000, 36000), (12000, 3000)]


def test_tr_01_members_and_multi_board_guests_are_charged_alike() -> None:
    facts = joined(YEAR, *people(4))
    facts += [one for guest in people(2, "guest") for one in on_boards(YEAR, guest, "a", "b")]
    assert amounts(billed(facts, yearly(11999), YEAR)) == [71994]


@pytest.mark.parametrize(("workspace", "amount"), [("w1", 35997), ("w2", 23998)])
def test_tr_03_each_workspace_is_billed_on_its_own(workspace: str, amount: int) -> None:
    heads = {"w1": 3, "w2": 2}[workspace]
    assert amounts(billed(joined(YEAR, *people(heads)), yearly(11999), YEAR, workspace)) == [amount]


def test_tr_05_the_same_people_are_paid_for_in_each_workspace() -> None:
    five = joined(YEAR, *people(5))
    total = sum(amounts(billed(five, yearly(12000), YEAR, name))[0] for name in ("w1", "w2", "w3"))
    assert total == 180000


def test_tr_06_a_seat_that_was_emptied_is_filled_again_for_nothing() -> None:
    facts = [*joined(YEAR, *people(6)), *left("2025-02-01", "person-000"), *joined("2025-03-01", "new")]
    assert amounts(billed(facts, yearly(12000), "2025-04-01")) == [72000]


def test_tr_07_a_guest_who_loses_the_second_board_frees_the_seat_without_refund() -> None:
    facts = [*joined(YEAR, *people(6)), *on_boards(YEAR, "gus", "a", "b")]
    facts.append(fact("board.member_removed", "2025-02-01", "gus", "b"))
    assert amounts(billed(facts, yearly(12000), "2025-03-01")) == [84000]
    position = kept(facts, yearly(12000), "2025-03-01").position
    assert (position.purchased, position.occupied) == (7, 6)


def test_tr_08_a_new_member_without_an_empty_seat_pays_for_the_days_left() -> None:
    facts = [*joined("2025-06-01", "ann"), *joined("2025-06-11", "bob")]
    lines = billed(facts, plan("2025-06-01", "month", 1250), "2025-06-20")
    assert amounts(lines) == [1250, 833]
    assert lines[1].fraction == Fraction(20, 30)


def test_tr_09_a_renewal_charges_the_people_who_are_there() -> None:
    facts = [*joined(YEAR, *people(10)), *left("2025-08-01", *people(3))]
    assert amounts(billed(facts, yearly(12000), "2026-01-15")) == [120000, 84000]


def test_tr_13_empty_seats_are_those_bought_less_those_occupied() -> None:
    facts = [*joined(YEAR, *people(11)), *on_boards(YEAR, "gus", "a", "b"), *left("2025-02-01", *people(2))]
    position = kept(facts, yearly(12000), "2025-03-01").position
    assert (position.purchased, position.occupied, position.purchased - position.occupied) == (12, 10, 2)


@pytest.mark.parametrize(("boards", "lines"), [(["a", "b"], [12000]), (["a"], [])])
def test_tr_14_an_observer_costs_what_anybody_costs(boards: list[str], lines: list[int]) -> None:
    role = {"role": "observer"}
    facts = [fact("board.member_added", YEAR, "olga", board, data=role) for board in boards]
    assert amounts(billed(facts, yearly(12000), YEAR)) == lines


@pytest.mark.parametrize("guests", [40, 500])
def test_tr_15_and_tr_16_single_board_guests_never_raise_the_price(guests: int) -> None:
    facts = joined(YEAR, *people(3))
    facts += [one for guest in people(guests, "guest") for one in on_boards(YEAR, guest, "a")]
    memory = kept(facts, yearly(12000), "2025-03-01")
    assert amounts(memory.book.values()) == [36000]
    assert amounts(billed(facts[:20], yearly(12000), "2025-03-01")) == [36000]


def test_tr_17_what_is_refused_to_a_single_board_guest_costs_nothing() -> None:
    facts = [*joined(YEAR, *people(3)), *on_boards(YEAR, "gus", "a"), fact("member.deactivated", "2025-02-01", "gus")]
    assert amounts(billed(facts, yearly(12000), "2025-03-01")) == [36000]


def test_tr_18_only_those_who_have_joined_are_charged() -> None:
    invited = people(10)
    facts = [fact("member.invited", YEAR, name) for name in invited]
    facts += joined(YEAR, *invited[:4])
    assert amounts(billed(facts, yearly(12000), YEAR)) == [48000]


def test_tr_18_an_invited_person_who_joins_later_is_prorated_from_that_day() -> None:
    facts = [*joined(YEAR, "ann"), fact("member.invited", YEAR, "bob"), *joined("2025-07-15", "bob")]
    assert amounts(billed(facts, yearly(12000), "2025-08-01")) == [12000, 6000]


def test_tr_19_deactivated_members_are_not_in_the_renewal() -> None:
    facts = joined(YEAR, *people(8))
    facts += [fact("member.deactivated", "2025-12-01", name) for name in people(2)]
    assert amounts(billed(facts, yearly(12000), "2026-01-15")) == [96000, 72000]


def test_tr_19_a_reactivated_member_takes_the_empty_seat_or_buys_one() -> None:
    facts = [*joined(YEAR, "ann", "bob"), fact("member.deactivated", "2025-03-15", "bob")]
    back = fact("member.reactivated", "2025-07-15", "bob")
    assert amounts(billed([*facts, back], yearly(12000), "2025-08-01")) == [24000]
    taken = [*facts, *joined("2025-04-15", "cy"), back]
    assert amounts(billed(taken, yearly(12000), "2025-08-01")) == [24000, 6000]


def test_b_03_a_guest_promoted_to_member_costs_nothing_extra() -> None:
    facts = [*on_boards(YEAR, "gus", "a", "b"), *joined("2025-04-15", "gus")]
    assert amounts(billed(facts, yearly(12000), "2025-05-01")) == [12000]


def test_a_04_a_new_multi_board_guest_is_prorated_like_a_new_member() -> None:
    facts = [*joined(YEAR, "ann"), *on_boards(YEAR, "gus", "a"), *on_boards("2025-04-15", "gus", "b")]
    assert amounts(billed(facts, yearly(11999), "2025-05-01")) == [11999, 8999]


@pytest.mark.parametrize("together", [True, False])
def test_xx_09_a_swap_at_one_instant_costs_nothing_in_whatever_order_it_is_heard(together: bool) -> None:
    begun = joined(YEAR, *people(5))
    swap = [*left("2025-05-01T10:00", "person-000"), *joined("2025-05-01T10:00", "new")]
    swap += [
        fact("member.deactivated", "2025-05-01T10:00", "person-001"),
        *on_boards("2025-05-01T10:00", "gus", "a", "b"),
    ]
    pins = yearly(12000)
    alone = billed([*begun, *swap], pins, "2025-06-01")
    assert amounts(alone) == [60000]
    for heard in permutations(swap):
        memory = kept(begun, pins, "2025-05-01T10:00")
        for batch in [heard] if together else [[one] for one in heard]:
            memory.settle(list(batch), pins, when("2025-05-01T10:00"))
        memory.settle([], pins, when("2025-06-01"))
        assert by_key(memory.book.values()) == alone


def test_xx_08_the_same_fact_heard_five_times_is_charged_once() -> None:
    pins, facts = yearly(11999), story()[:2]
    memory = Remembered()
    for _ in range(5):
        memory.settle(facts, pins, when("2025-04-15"))
    assert amounts(memory.book.values()) == [11999, 8999]


def test_xx_08_a_late_joiner_re_rates_the_period_that_was_billed() -> None:
    pins = yearly(11999, 12000)
    memory = kept(story()[:1], pins, "2026-02-01")
    assert amounts(memory.book.values()) == [11999, 12000]
    memory.settle(joined("2025-04-15", "ben"), pins, when("2026-02-02"))
    assert amounts(sorted(memory.book.values(), key=lambda line: line.instant)) == [11999, 8999, 24000]


def test_a_renewal_comes_before_every_fact_of_its_own_instant() -> None:
    facts = [*joined(YEAR, "ann", "bob"), *left("2026-01-15", "bob"), *joined("2026-01-15", "cy", "di")]
    lines = billed(facts, yearly(12000), "2026-01-20")
    assert [(line.kind, line.seats) for line in lines] == [("period", 2), ("period", 2), ("seats_added", 1)]
    assert lines[2].amount == 12000


def test_facts_of_the_start_instant_count_into_the_opening_quantity() -> None:
    facts = [*joined("2025-01-01", "ann"), *joined(YEAR, "bob"), *left(YEAR, "ann"), *joined("2025-01-15T00:01", "cy")]
    lines = billed(facts, yearly(12000), "2025-02-01")
    assert [(line.kind, line.seats) for line in lines] == [("period", 1), ("seats_added", 1)]


def test_an_empty_workspace_owes_nothing_until_somebody_comes() -> None:
    assert billed([], yearly(12000), "2025-06-01") == []
    assert amounts(billed(joined("2025-07-15", "ann"), yearly(12000), "2025-08-01")) == [6000]


def test_before_a_subscription_starts_nothing_is_owed() -> None:
    assert billed(joined("2024-12-01", "ann"), yearly(12000), "2025-01-14") == []
