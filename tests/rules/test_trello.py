"""Trello by the pure core: the rulebook's own numbers under the plans that ship. What needs the service is in
`test_trello_served.py`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from fractions import Fraction
from functools import cache
from typing import Any

import pytest

from billing.core import calendar, limits, plans
from billing.core.case import Case, Verdict
from billing.core.classification import Standing
from billing.core.commands import judge
from billing.core.course import Course, Stretch
from billing.core.errors import InvalidError, RefusedError
from billing.core.facts import Fact
from billing.core.incremental import Position
from billing.core.lines import Line
from billing.core.plans import Terms
from billing.store import planfile
from billing.tools import trello
from tests.core.memory import Remembered
from tests.core.telling import (
    Plan,
    amounts,
    by_key,
    fact,
    joined,
    left,
    life_fact,
    on_boards,
    people,
    statement,
    when,
)

SEED, TODAY = "2025-01-15", "2026-01-15"  # $119.99 a year on the first, $120 on the second


@cache
def sold(plan: str, day: date) -> Mapping[str, Terms]:
    """What the shipped files sell a plan at on a day, by interval."""
    [told] = [one for one in planfile.shipped() if one["plan"] == plan]
    dated = sorted((p for p in told["prices"] if p["valid_from"] <= day), key=lambda price: price["valid_from"])
    own = {p["interval"]: {"price_id": plan, "interval": p["interval"], "unit_amount": p["unit_amount"]} for p in dated}
    return {name: plans.read({**told, **price, "method": told["proration"]}) for name, price in own.items()}


class Shipped(Plan):
    """Periods pin the shipped price of their first day."""

    __slots__ = ()

    def price(self, stretch: Stretch) -> Terms:
        return sold(stretch.plan, calendar.local_date(stretch.opens, self.zone))[stretch.interval]


class Space:
    """A workspace by the pure core alone: what was heard, what was commanded, what is owed by both forms."""

    def __init__(self, *facts: Fact) -> None:
        self.facts = list(facts)
        self.life: list[Fact] = []

    def upgrade(self, day: str, interval: str = "year", plan: str = "trello-premium") -> "Space":
        self.give("subscription", day, plan=plan, interval=interval, payment_method="card")
        return self

    def give(self, command: str, moment: str, role: str | None = "admin", **body: Any) -> Verdict:
        """Judge a command and, where it is accepted, hear its fact."""
        seen, now = self.kept(moment).position, when(moment)
        case = Case(
            now=now,
            zone="UTC",
            course=self.course(moment),
            actor="aoi",
            role=role,
            new=f"sub-{len(self.life)}",
            offer=lambda plan: sold(plan, now.date()),
            occupied=seen.occupied,
            purchased=seen.purchased,
        )
        verdict = judge(command, body, case)
        self.life.append(life_fact(verdict.kind, now, len(self.life) + 1, verdict.data))
        return verdict

    def refuses(self, rule: str, command: str, moment: str, role: str | None = "admin", **body: Any) -> None:
        """The command is refused by that rule, and nothing is owed that was not owed before."""
        before = self.owed(moment)
        with pytest.raises(RefusedError) as refused:
            self.give(command, moment, role, **body)
        assert refused.value.rule == rule
        assert self.owed(moment) == before

    def course(self, moment: str) -> Course:
        return self.plan.course(when(moment))

    def owed(self, moment: str) -> list[Line]:
        lines = list(statement(self.facts, self.plan, when(moment), "w1"))
        assert by_key(self.kept(moment).book.values()) == by_key(lines)
        return lines

    def seats(self, moment: str) -> Position:
        return self.kept(moment).position

    def kept(self, moment: str) -> Remembered:
        memory = Remembered()
        memory.settle(self.facts, self.plan, when(moment))
        return memory

    @property
    def plan(self) -> Shipped:
        return Shipped(tuple(self.life))


def guests(n: int, *boards: str, day: str = TODAY) -> list[Fact]:
    return [one for guest in people(n, "guest") for one in on_boards(day, guest, *boards)]


# --- who is counted ---------------------------------------------------------------------------------------------------


def test_tr_01_four_members_and_two_multi_board_guests_cost_six_seats() -> None:
    space = Space(*joined(SEED, *people(4)), *guests(2, "a", "b", day=SEED)).upgrade(SEED)
    assert amounts(space.owed(SEED)) == [71994]
    assert sold("trello-premium", date(2025, 1, 15))["year"].unit_amount * 6 == 71994


def test_tr_02_the_second_board_of_one_workspace_takes_the_seat_and_the_third_takes_none() -> None:
    space = Space(
        *joined(TODAY, "aoi"), *on_boards(TODAY, "aoi", "a", "b")
    )  # a member is no guest, whatever the boards
    space.facts += [*on_boards(TODAY, "gus", "a"), *on_boards(TODAY, "gus", "z", owner="w2")]
    space.upgrade(TODAY)
    assert amounts(space.owed("2026-04-14")) == [12000]
    space.facts += [*on_boards("2026-04-15", "gus", "b"), *on_boards("2026-05-15", "gus", "c")]
    assert amounts(space.owed("2026-06-01")) == [12000, 9000]
    assert space.seats("2026-06-01").occupied == 2


def test_tr_06_a_seat_that_was_emptied_is_filled_again_at_no_cost_and_nothing_is_given_back() -> None:
    space = Space(*joined(TODAY, *people(6)), *left("2026-03-01", "person-000"), *joined("2026-04-01", "new"))
    assert amounts(space.upgrade(TODAY).owed("2026-12-31")) == [72000]
    assert (space.seats("2026-03-15").purchased, space.seats("2026-03-15").occupied) == (6, 5)


def test_tr_07_a_guest_who_loses_the_second_board_leaves_an_empty_seat_and_takes_nothing_back() -> None:
    space = Space(*joined(TODAY, *people(6)), *on_boards(TODAY, "gus", "a", "b")).upgrade(TODAY)
    space.facts.append(fact("board.member_removed", "2026-03-01", "gus", "b"))
    assert space.seats("2026-02-28").occupied == 7
    assert (space.seats("2026-03-01").purchased, space.seats("2026-03-01").occupied) == (7, 6)
    assert amounts(space.owed("2026-12-31")) == [84000]


def test_tr_08_a_member_without_an_empty_seat_pays_the_20_days_left_of_30() -> None:
    space = Space(*joined("2026-04-01", "aoi"), *joined("2026-04-11", "ben")).upgrade("2026-04-01", "month")
    assert amounts(space.owed("2026-04-10")) == [1250]
    line = space.owed("2026-04-11")[1]
    assert (line.amount, line.seats, line.fraction) == (833, 1, Fraction(20, 30))
    assert line.rules == ("TR-08", "XX-02")


def test_tr_09_a_renewal_drops_to_those_who_are_there() -> None:
    space = Space(*joined(SEED, *people(10)), *left("2025-08-01", *people(3))).upgrade(SEED)
    line = space.owed("2026-01-15")[-1]
    assert (line.seats, line.unit_amount, line.amount) == (7, 12000, 84000)
    assert (space.seats(TODAY).purchased, space.seats(TODAY).occupied) == (7, 7)


def test_tr_10_who_joins_after_three_months_pays_three_quarters_of_the_year() -> None:
    space = Space(*joined(SEED, "aoi"), *joined("2025-04-15", "ben")).upgrade(SEED)
    assert amounts(space.owed("2025-04-14")) == [11999]
    assert amounts(space.owed("2025-04-15")) == [11999, 8999]
    assert space.owed("2025-04-15")[1].exact * 4 == 35997


def test_tr_11_a_deactivated_persons_seat_is_taken_over_for_nothing() -> None:
    space = Space(*joined(SEED, "aoi"), *joined("2025-04-15", "ben")).upgrade(SEED)
    space.facts += [fact("member.deactivated", "2025-06-15", "ben"), *joined("2025-06-20", "kit")]
    assert [(space.seats(day).purchased, space.seats(day).occupied) for day in ("2025-06-15", "2025-06-20")] == [
        (2, 1),
        (2, 2),
    ]
    assert amounts(space.owed("2026-01-14")) == [11999, 8999]
    assert sum(amounts(space.owed("2026-01-14"))) == 20998


def observing(number: int, kind: str, board: str, **data: str) -> bytes:
    about = {"board": {"id": board}, "idMember": "olga", "idMemberAdded": "olga", **data}
    action = {"id": f"{number:024x}", "type": kind, "date": f"{TODAY}T00:00:00.000Z", "data": about}
    action["member"] = {"id": "olga", "fullName": "Olga"}
    return json.dumps({"model": {"id": board, "idOrganization": "w1"}, "action": action}).encode()


@pytest.mark.parametrize(("boards", "owed"), [(["a", "b"], [12000]), (["a"], [])])
def test_tr_14_an_observer_costs_what_anybody_on_as_many_boards_costs(boards: list[str], owed: list[int]) -> None:
    told = [observing(n, "addMemberToBoard", board, memberType="observer") for n, board in enumerate(boards)]
    told += [observing(n + 9, "makeObserverOfBoard", board) for n, board in enumerate(boards)]
    events = [event for body in told for event in trello.read({}, body).events]
    heard = [
        fact(e.kind, TODAY, e.member, e.board, owner=e.owner, data=e.data)
        for e in events
        if e.board is not None and e.member is not None
    ]
    assert {one.data["role"] for one in heard if one.kind == "board.member_added"} == {"observer"}
    assert amounts(Space(*heard).upgrade(TODAY).owed(TODAY)) == owed


def test_tr_15_forty_single_board_guests_are_free() -> None:
    space = Space(*joined(TODAY, *people(3)), *guests(40, "a")).upgrade(TODAY)
    assert amounts(space.owed(TODAY)) == [36000]


def test_tr_16_a_paid_workspace_has_no_limit_and_500_single_board_guests_leave_the_price() -> None:
    space = Space(*joined(TODAY, *people(3))).upgrade(TODAY)
    space.facts += guests(500, "a", day="2026-03-01")
    assert amounts(space.owed("2026-03-02")) == [36000]
    counts, day = limits.Counts(users=3, collaborators=503, open_boards=1), date(2026, 3, 2)
    assert [limits.flags(sold(f"trello-{plan}", day)["year"], counts, 3) for plan in ("standard", "premium")] == [
        [],
        [],
    ]
    assert [flag.rule for flag in limits.flags(sold("trello-free", day)["year"], counts, 0)] == ["B-05"]


def test_tr_17_what_needs_all_boards_is_refused_for_a_single_board_guest_alone() -> None:
    with pytest.raises(RefusedError) as refused:
        limits.may_everywhere(Standing(boards=1))
    assert refused.value.rule == "TR-17"
    for other in (Standing(boards=2), Standing("member", boards=1), Standing("member")):
        limits.may_everywhere(other)


def test_tr_18_of_ten_invited_the_four_who_joined_are_charged_and_a_fifth_from_that_day_on() -> None:
    space = Space(*(fact("member.invited", TODAY, name) for name in people(10)), *joined(TODAY, *people(4)))
    assert amounts(space.upgrade(TODAY).owed(TODAY)) == [48000]
    space.facts += joined("2026-07-15", "person-004")
    assert amounts(space.owed("2026-07-15")) == [48000, 6000]


def test_tr_19_two_of_eight_deactivated_are_not_in_the_renewal_until_they_are_reactivated() -> None:
    space = Space(*joined(SEED, *people(8))).upgrade(SEED)
    space.facts += [fact("member.deactivated", "2025-12-01", name) for name in people(2)]
    # Only a reactivation clears the flag: neither leaving and coming back nor boards do.
    space.facts += [*left("2025-12-02", "person-000"), *joined("2025-12-03", "person-000")]
    space.facts += on_boards("2025-12-04", "person-001", "a", "b")
    assert amounts(space.owed(TODAY)) == [95992, 72000]
    space.facts.append(fact("member.reactivated", "2026-07-15", "person-001"))
    assert amounts(space.owed("2026-07-15")) == [95992, 72000, 6000]


# --- what may be commanded --------------------------------------------------------------------------------------------


def test_tr_21_a_month_or_a_year_is_picked_and_nothing_else() -> None:
    for interval, amount in (("month", 1250), ("year", 12000)):
        assert amounts(Space(*joined(TODAY, "aoi")).upgrade(TODAY, interval).owed(TODAY)) == [amount]
    for interval in ("3-months", "week"):
        with pytest.raises(InvalidError, match="month, year"):
            Space(*joined(TODAY, "aoi")).upgrade(TODAY, interval)


def test_tr_23_a_year_costs_less_than_twelve_months_in_every_plan_and_a_file_where_not_is_warned_of() -> None:
    shipped = [plan for plan in planfile.shipped() if plan["plan"].startswith("trello-")]
    assert planfile.warnings(shipped) == []
    premium = sold("trello-premium", date(2026, 11, 1))
    year, twelve = premium["year"].unit_amount, 12 * premium["month"].unit_amount
    assert (year, twelve, (twelve - year) * 100 // twelve) == (12000, 15000, 20)
    [dear] = [plan for plan in shipped if plan["plan"] == "trello-standard"]
    even = [price | {"unit_amount": 500} if price["interval"] == "month" else price for price in dear["prices"]]
    assert len(planfile.warnings([{**dear, "prices": even}])) == 1


def test_tr_24_half_a_month_is_given_back_on_the_year_that_begins_at_once() -> None:
    space = Space(*joined("2026-04-01", "aoi")).upgrade("2026-04-01", "month")
    space.give("interval-change", "2026-04-16", interval="year")
    lines = space.owed("2026-04-16")
    assert [(line.kind, line.amount) for line in lines] == [
        ("period", 1250),
        ("interval_credit", -625),
        ("period", 12000),
    ]
    assert sum(amounts(lines[1:])) == 11375
    assert amounts(space.owed("2027-04-15")) == amounts(lines)
    assert amounts(space.owed("2027-04-16"))[3:] == [12000]


def test_tr_24_a_plan_may_say_instead_that_the_whole_year_follows_the_month(monkeypatch: pytest.MonkeyPatch) -> None:
    """A-08's other reading, as data: $120, up to a year after the month's end."""
    rules = replace(sold("trello-premium", date(2026, 4, 1))["month"].rules, to_longer="at_renewal")
    altered = {name: replace(one, rules=rules) for name, one in sold("trello-premium", date(2026, 4, 1)).items()}
    monkeypatch.setattr(f"{__name__}.sold", lambda plan, day: altered)
    space = Space(*joined("2026-04-01", "aoi")).upgrade("2026-04-01", "month")
    space.give("interval-change", "2026-04-16", interval="year")
    assert amounts(space.owed("2026-04-30")) == [1250]
    assert amounts(space.owed("2026-05-01")) == [1250, 12000]
    assert space.course("2026-05-01").stretches[-1].period.last == date(2027, 5, 1)


def test_tr_25_from_the_year_to_the_month_only_by_waiting_for_the_end() -> None:
    space = Space(*joined(TODAY, "aoi")).upgrade(TODAY)
    space.refuses("TR-25", "interval-change", "2026-06-10", interval="month")
    space.give("cancellation", "2026-06-10")
    assert amounts(space.owed("2027-01-14")) == [12000]
    assert [space.course(day).state for day in ("2027-01-14T23:59", "2027-01-15")] == ["cancelling", "free"]
    space.upgrade("2027-01-15", "month")
    assert amounts(space.owed("2027-02-14")) == [12000, 1250]
    assert amounts(space.owed("2027-02-15")) == [12000, 1250, 1250]


def test_tr_26_the_last_day_is_the_30th_counted_from_the_upgrade() -> None:
    space = Space(*joined("2025-04-01", "aoi")).upgrade("2025-04-01")
    assert amounts(space.owed("2025-04-30")) == [11999]
    space.refuses("TR-26", "refund", "2025-05-01")
    space.give("refund", "2025-04-30T23:59")
    [line] = space.owed("2025-05-01")
    assert (line.amount, line.rules[-1], space.course("2025-05-01").state) == (0, "TR-26", "free")


def test_tr_28_only_an_administrator_replaces_the_card() -> None:
    space = Space(*joined(TODAY, "aoi")).upgrade(TODAY)
    for role in ("normal", "observer", None):
        space.refuses("TR-28", "payment-method", "2026-02-01", role, payment_method="bank_transfer")
    assert space.course("2026-02-01").method == "card"
    space.give("payment-method", "2026-02-01", payment_method="bank_transfer")
    assert space.course("2026-02-01").method == "bank_transfer"
    assert amounts(space.owed("2026-02-02")) == [12000]
