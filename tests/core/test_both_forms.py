"""Small stories of every shape, whose lines are known to the fact, by both forms of the statement."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from billing.core.facts import Fact
from billing.core.lines import Line
from billing.core.plans import Dunning, Terms
from tests.core.judging import SMALL, ZONE, terms
from tests.core.memory import billed
from tests.core.telling import Plan, joined, left
from tests.core.test_life import Story, day

FLAT = terms(shape="flat", method="actual_days")
LICENCES = terms(shape="licences", method="actual_days", minimum=2)
PAID: Mapping[str, Any] = {"subscription": "sub", "n": 0, "purpose": "period", "nth": 1, "attempt": 1}


def told(story: Story, now: str, people: Iterable[Fact] = (), *sold: Terms) -> list[Line]:
    """The lines owed, by both forms; the price list is what the story and the test name."""
    prices = {(one.plan, one.interval): one for one in sold}
    return billed(people, Plan(tuple(story.facts), prices, ZONE), now)


def short(lines: Iterable[Line]) -> list[tuple[str, int, int, tuple[str, ...]]]:
    return [(line.kind, line.seats, line.amount, line.facts) for line in lines]


def names(facts: Iterable[Fact]) -> tuple[str, ...]:
    return tuple(sorted(fact.id for fact in facts))


def test_two_plan_changes_in_a_period_each_cost_the_difference_to_the_one_before() -> None:
    larger, largest = replace(FLAT, plan="large", unit_amount=4100), replace(FLAT, plan="huge", unit_amount=7200)
    story = Story().start(FLAT).then("plan.changed", day("2025-03-11"), larger, **{"from": "now"})
    story.then("plan.changed", day("2025-03-21"), largest, **{"from": "now"})
    lines = told(story, "2025-03-25", (), FLAT, larger, largest)
    wanted = [
        ("period", 1, 1000, ("fact-1",)),
        ("plan_changed", 1, 2100, ("fact-2",)),
        ("plan_changed", 1, 1100, ("fact-3",)),
    ]
    assert short(lines) == wanted


def test_two_plan_changes_at_one_instant_are_charged_one_after_the_other_on_all_seats() -> None:
    own = replace(SMALL, method="actual_days")
    larger, largest = replace(own, plan="large", unit_amount=4100), replace(own, plan="huge", unit_amount=6200)
    at = day("2025-03-11")
    people = joined("2025-02-20", "ann", "ben")
    story = Story().start(own).then("plan.changed", at, larger, **{"from": "now"})
    story.then("plan.changed", at, largest, **{"from": "now"})
    more = joined("2025-03-20T15:00", "cleo")
    lines = told(story, "2025-03-25", [*people, *more], own, larger, largest)
    assert [(line.kind, line.unit_amount, line.seats, line.amount) for line in lines] == [
        ("period", 1000, 2, 2000),
        ("plan_changed", 3100, 2, 4200),
        ("plan_changed", 2100, 2, 2845),
        ("seats_added", 6200, 1, 2200),
    ]


def test_two_plan_changes_at_one_instant_by_the_same_step_are_one_line_that_charges_both() -> None:
    own = replace(SMALL, method="actual_days")
    larger, largest = replace(own, plan="large", unit_amount=4100), replace(own, plan="huge", unit_amount=7200)
    at = day("2025-03-11")
    people = joined("2025-02-20", "ann", "ben")
    for first, second in (("one", "two"), ("two", "one")):  # whatever their names sort like
        story = Story().start(own).then("plan.changed", at, larger, **{"from": "now"})
        story.then("plan.changed", at, largest, **{"from": "now"})
        story.facts[1:] = [replace(story.facts[1], id=first), replace(story.facts[2], id=second)]
        lines = told(story, "2025-03-25", people, own, larger, largest)
        assert [(line.kind, line.unit_amount, line.seats, line.amount, line.facts) for line in lines] == [
            ("period", 1000, 2, 2000, ("fact-1",)),
            ("plan_changed", 3100, 4, 8400, ("one", "two")),
        ]


def test_equal_steps_of_plans_that_share_a_period_out_otherwise_are_rounded_once_on_their_exact_sum() -> None:
    larger = replace(FLAT, plan="large", unit_amount=4100)
    largest = replace(FLAT, plan="huge", unit_amount=7200, method="thirty_360")
    at = day("2025-03-12")
    story = Story().start(FLAT).then("plan.changed", at, larger, **{"from": "now"})
    story.then("plan.changed", at, largest, **{"from": "now"})
    [_, line] = told(story, "2025-03-25", (), FLAT, larger, largest)
    assert (line.seats, line.fraction) == (2, (Fraction(20, 31) + Fraction(19, 30)) / 2)
    assert line.amount == round(3100 * (Fraction(20, 31) + Fraction(19, 30))) == 3963


def test_equal_steps_of_a_period_that_was_taken_back_whole_come_to_nothing() -> None:
    own = terms(shape="flat", method="actual_days", lead_days={"card": 10}, ends_in="closed")
    larger, largest = replace(own, plan="large", unit_amount=4100), replace(own, plan="huge", unit_amount=7200)
    story = Story().start(own)
    for plan in (larger, largest):
        story.then("plan.changed", day("2025-03-25"), plan, **{"from": "now"})
    story.then("contract.migrated", day("2025-03-27"), into="w2")
    lines = told(story, "2025-04-05", (), own, larger, largest)
    assert [(line.kind, line.n, line.seats, line.amount, line.facts) for line in lines] == [
        ("period", 0, 1, 1000, ("fact-1",)),
        ("plan_changed", 0, 2, 1400, ("fact-2", "fact-3")),
        ("period", 1, 1, 0, ("fact-4",)),
        ("plan_changed", 1, 2, 0, ("fact-4",)),
    ]


def test_licences_given_up_while_people_use_them_are_bought_back_at_the_same_instant() -> None:
    own = replace(LICENCES, auto_purchase=True)
    at = day("2025-03-11")
    people = [*joined("2025-02-20", "ann", "ben", "cleo")]
    late = joined("2025-03-10T15:00", "dan")
    story = Story().start(own, seats=4, auto_purchase=True).then("licences.removed", at, count=2)
    more = joined("2025-03-20T15:00", "eve")
    lines = told(story, "2025-03-25", [*people, *late, *more], own)
    assert short(lines) == [
        ("period", 4, 4000, ("fact-1",)),
        ("licences_bought", 2, 1355, tuple(sorted([*names(late), "fact-2"]))),
        ("licences_bought", 1, 355, names(more)),
    ]


def test_a_plan_change_at_the_instant_of_a_cut_is_charged_before_the_rest_is_given_back() -> None:
    own = replace(SMALL, method="actual_days")
    larger = replace(own, plan="large", unit_amount=4100)
    year = replace(larger, interval="year", unit_amount=36500)
    at = day("2025-03-21")
    story = Story().start(own).then("plan.changed", at, larger, **{"from": "now"})
    story.then("interval.changed", at, year, **{"from": "now", "credited": True})
    lines = told(story, "2025-03-25", joined("2025-02-20", "ann"), own, larger, year)
    assert sorted((line.kind, line.n, line.amount) for line in lines) == [
        ("interval_credit", 0, -1455),
        ("period", 0, 1000),
        ("period", 1, 36500),
        ("plan_changed", 0, 1100),
    ]


def test_licences_bought_by_command_are_told_before_those_given_up_and_last_into_the_next_period() -> None:
    at = day("2025-03-11")
    story = Story().start(LICENCES, seats=4).then("licences.added", at, count=2).then("licences.removed", at, count=1)
    story.then("licences.added", at, count=1)
    lines = told(story, "2025-04-05", joined("2025-02-20", "ann"), LICENCES)
    assert short(lines) == [
        ("period", 4, 4000, ("fact-1",)),
        ("licences_added", 3, 2032, ("fact-2", "fact-4")),
        ("period", 6, 6000, ("fact-1",)),
    ]


def test_options_of_one_instant_are_one_line_for_each_price() -> None:
    at = day("2025-03-11")
    option, dearer = replace(FLAT, plan="check", unit_amount=500), replace(FLAT, plan="check", unit_amount=700)
    story = Story().start(FLAT)
    for own, name in ((option, "check"), (dearer, "check"), (option, "check"), (option, "sheets")):
        story.then("option.ordered", at, own, subscription="sub", option=name)
    lines = told(story, "2025-03-25", (), FLAT)
    assert sorted(short(lines)[1:]) == [
        ("option:check", 1, 700, ("fact-3",)),
        ("option:check", 2, 1000, ("fact-2", "fact-4")),
        ("option:sheets", 1, 500, ("fact-5",)),
    ]


def test_who_came_during_a_suspension_is_bought_when_it_is_paid_and_the_payment_stands_behind_it() -> None:
    own = terms(method="actual_days", dunning=Dunning((), 5, "failure", "suspended", 0))
    first = joined("2025-02-20", "ann")
    came = joined("2025-03-09T00:00", "ben")
    story = Story().start(own).then("payment.failed", day("2025-03-03"), **PAID)
    story.then("payment.succeeded", day("2025-03-11"), **PAID)
    lines = told(story, "2025-03-25", [*first, *came], own)
    assert short(lines) == [("period", 1, 1000, ("fact-1",)), ("seats_added", 1, 677, ("fact-3",))]


def test_an_interval_cut_gives_back_all_that_was_bought_at_the_price_it_then_had() -> None:
    own = replace(SMALL, method="actual_days")
    larger = replace(own, plan="large", unit_amount=4100)
    year = replace(larger, interval="year", unit_amount=36500)
    at = day("2025-03-21")
    story = Story().start(own).then("plan.changed", day("2025-03-11"), larger, **{"from": "now"})
    story.then("interval.changed", at, year, **{"from": "now", "credited": True})
    people = [*joined("2025-02-20", "ann"), *joined("2025-03-05", "ben"), *left("2025-03-15", "ben")]
    lines = told(story, "2025-03-25", people, own, larger, year)
    assert [(line.kind, line.n, line.seats, line.amount, line.facts) for line in lines] == [
        ("period", 0, 1, 1000, ("fact-1",)),
        ("seats_added", 0, 1, 871, names(people[1:2])),
        ("plan_changed", 0, 2, 4200, ("fact-2",)),
        ("interval_credit", 0, 2, -2910, ("fact-3",)),
        ("period", 1, 1, 36500, ("fact-3",)),
    ]


def test_a_period_billed_ahead_whose_plan_changed_and_that_never_began_is_owed_nothing() -> None:
    own = terms(shape="flat", method="actual_days", lead_days={"card": 10}, ends_in="closed")
    larger = replace(own, plan="large", unit_amount=4100)
    story = Story().start(own).then("plan.changed", day("2025-03-25"), larger, **{"from": "now"})
    story.then("contract.migrated", day("2025-03-27"), into="w2")
    lines = told(story, "2025-04-05", (), own, larger)
    assert [(line.kind, line.n, line.seats, line.amount) for line in lines] == [
        ("period", 0, 1, 1000),
        ("plan_changed", 0, 1, 700),
        ("period", 1, 1, 0),
        ("plan_changed", 1, 1, 0),
    ]


def test_a_renewal_counts_who_was_there_before_it_and_a_start_who_comes_with_it() -> None:
    own = replace(SMALL, minimum=2)
    people = [*joined("2025-03-01T03:00", "ann", "ben", "cleo"), *left("2025-03-31T15:00", "ann", "ben", "cleo")]
    lines = told(Story().start(own), "2025-05-05", people, own)
    assert [(line.n, line.seats) for line in lines] == [(0, 3), (1, 3), (2, 2)]
