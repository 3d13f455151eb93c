"""What each accepted command is kept as: the kind of its fact, all of its data, and what the actor is told."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from billing.core import plans
from billing.core.case import ANYBODY, Case, Verdict
from billing.core.commands import MOST_LICENCES, judge
from billing.core.course import Course
from billing.core.plans import Terms
from tests.core.judging import FREE, LARGE, NOW, SMALL, YEARLY, case, running, stretch, terms, trying
from tests.core.telling import when

BUY: Mapping[str, Any] = {"plan": "small"}
PAIRS = (("card", "month"), ("bank_transfer", "year"))
PAIRED, PAIRED_YEAR = terms(methods=PAIRS), terms(interval="year", methods=PAIRS)
LICENCES = terms(shape="licences", minimum=3)
SUPPORTED = terms(reopen="support", roles=("admin", "operator"))
JOINING = "CW-11: you hold an invitation to another contract; joining it does not give this purchase back"


def kept(command: str, body: Mapping[str, Any], asked: Case) -> tuple[str, dict[str, Any]]:
    verdict = judge(command, body, asked)
    assert verdict.warnings == ()
    return verdict.kind, verdict.data


def started(own: Terms, **more: Any) -> tuple[str, dict[str, Any]]:
    told = {"subscription": "sub-new", "terms": plans.written(own), "elsewhere": False, "anchor": "2025-03-10"}
    return "subscription.started", {**told, "payment_method": None, "seats": None, "auto_purchase": False, **more}


@pytest.mark.parametrize(
    ("body", "asked", "wanted"),
    [
        (BUY, case(), started(SMALL)),
        ({**BUY, "interval": "year"}, case(), started(YEARLY)),
        (
            {**BUY, "payment_method": "card", "auto_purchase": True},
            case(),
            started(SMALL, payment_method="card", auto_purchase=True),
        ),
        ({"plan": "free"}, case(None, FREE, invited=True), started(FREE)),
        ({"plan": "free"}, case(None, replace(FREE, rules=PAIRED.rules)), started(replace(FREE, rules=PAIRED.rules))),
        (BUY, case(Course(state="closed")), started(SMALL)),
        (BUY, case(None, SUPPORTED), started(SUPPORTED)),
        (BUY, case(Course(state="closed"), SUPPORTED, role="operator"), started(SUPPORTED)),
        (BUY, case(None, terms(caps={"users": 5}), occupied=5), started(terms(caps={"users": 5}))),
        ({**BUY, "licences": 3}, case(None, LICENCES, occupied=3), started(LICENCES, seats=3)),
        ({**BUY, "licences": 3}, case(None, LICENCES, occupied=9, users=lambda _: 3), started(LICENCES, seats=3)),
        ({**BUY, "licences": MOST_LICENCES}, case(None, LICENCES), started(LICENCES, seats=MOST_LICENCES)),
        ({**BUY, "payment_method": "card"}, case(None, PAIRED), started(PAIRED, payment_method="card")),
        (BUY, case(None, SMALL, role=ANYBODY), started(SMALL)),
        (
            {**BUY, "opening": {"seats": 4, "paid_from": date(2025, 2, 20)}},
            case(None, PAIRED),
            started(PAIRED, elsewhere=True, anchor="2025-02-20", seats=4),
        ),
        ({"plan": "large"}, case(), started(LARGE)),
    ],
)
def test_a_start_pins_its_terms_its_anchor_and_its_seats(
    body: Mapping[str, Any], asked: Case, wanted: tuple[str, dict[str, Any]]
) -> None:
    assert kept("subscription", body, asked) == wanted


def test_a_plan_change_of_a_free_workspace_is_a_start() -> None:
    assert kept("plan-change", BUY, case()) == started(SMALL)


def test_cw_11_who_buys_while_invited_elsewhere_is_told() -> None:
    assert judge("subscription", BUY, case(invited=True)).warnings == (JOINING,)
    assert judge("subscription", {"plan": "free"}, case(invited=True)).warnings == ()


def tried(own: Terms, **more: Any) -> tuple[str, dict[str, Any]]:
    told: dict[str, Any] = {"subscription": "sub-new", "terms": plans.written(own)}
    told |= {"trial_end": "2025-04-08T15:00:00.000Z"}
    told |= {"applicant": "boss", "payment_method": None, "terms_version": None, "terms_url": None}
    return "trial.started", {**told, "terms_accepted_at": "2025-03-10T03:00:00.000Z", **more}


def test_a_trial_keeps_who_applied_what_was_accepted_and_its_last_instant() -> None:
    own = terms(trial_days=30, trial_end="expire_unless_registered", terms_required=True)
    body = {
        **BUY,
        "terms_version": "v1",
        "terms_url": "https://terms.example",
        "terms_accepted_at": NOW,
        "payment_method": "card",
    }
    said = {"terms_version": "v1", "terms_url": "https://terms.example", "terms_accepted_at": str(NOW)}
    assert kept("trial", body, case(None, own, role="member")) == tried(own, **said)
    other = terms(trial_days=30)
    assert kept("trial", {**BUY, "payment_method": "card"}, case(None, other)) == tried(other, payment_method="card")
    assert kept("trial", BUY, case(Course(state="closed"), other)) == tried(other)


def registered(own: Terms, method: str = "card", **more: Any) -> tuple[str, dict[str, Any]]:
    told = {"subscription": "sub-new", "terms": plans.written(own), "payment_method": method}
    return "registration.completed", told | more


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"payment_method": "card", "interval": "month"}, registered(SMALL)),
        ({"payment_method": "card", "months": 12}, registered(YEARLY)),
        ({"payment_method": "card", "interval": "year", "months": 12}, registered(YEARLY)),
        ({"payment_method": "cash", "interval": "month", "plan": "small"}, registered(SMALL, "cash")),
    ],
)
def test_a_registration_keeps_the_term_and_how_to_pay(
    body: Mapping[str, Any], wanted: tuple[str, dict[str, Any]]
) -> None:
    assert kept("registration", body, case(trying())) == wanted


def test_a_18_an_operator_reopens_what_expired_under_any_plan() -> None:
    body = {"payment_method": "card", "interval": "month", "plan": "large"}
    expired = case(Course(state="expired"), role="operator")
    assert kept("registration", body, expired) == registered(LARGE, reopened=True)


def test_bl_18_who_applied_for_the_trial_is_in_charge_of_it() -> None:
    assert kept("cancellation", {}, case(trying(), actor="hana", role=None)) == ("subscription.cancelled", {})


@pytest.mark.parametrize(
    ("body", "kind", "count"),
    [
        ({"add": 2}, "licences.added", 2),
        ({"delta": 2}, "licences.added", 2),
        ({"remove": 2}, "licences.removed", 2),
        ({"delta": -2}, "licences.removed", 2),
        ({"delta": 1}, "licences.added", 1),
        ({"add": MOST_LICENCES - 6}, "licences.added", MOST_LICENCES - 6),
    ],
)
def test_licences_are_kept_as_a_positive_number_of_one_kind(body: Mapping[str, Any], kind: str, count: int) -> None:
    own = case(running(replace(LICENCES, minimum=4)), purchased=6, occupied=4)
    assert kept("licences", body, own) == (kind, {"count": count})


def changed(own: Terms, at: str) -> tuple[str, dict[str, Any]]:
    return "plan.changed", {"terms": plans.written(own), "from": at}


def test_a_plan_change_is_at_once_when_larger_and_with_the_renewal_when_smaller() -> None:
    up: Mapping[str, Any] = {"plan": "large"}
    assert kept("plan-change", up, case(running(), purchased=3)) == changed(LARGE, "now")
    assert kept("plan-change", {**up, "licences": 3}, case(running(), purchased=3)) == changed(LARGE, "now")
    floor = replace(LARGE, minimum=3)
    assert kept("plan-change", up, case(running(), floor, purchased=3)) == changed(floor, "now")
    by_year = case(running(YEARLY), SMALL, YEARLY, LARGE, replace(LARGE, interval="year"))
    assert kept("plan-change", up, by_year) == changed(replace(LARGE, interval="year"), "now")
    assert kept("plan-change", BUY, case(running(LARGE))) == changed(SMALL, "renewal")
    same = replace(LARGE, rank=1)
    assert kept("plan-change", up, case(running(), same)) == changed(same, "now")
    other = running(next_terms=LARGE)
    assert kept("plan-change", up, case(other)) == changed(LARGE, "now")
    waiting = running(PAIRED, next_terms=LARGE)
    sold = replace(LARGE, rules=PAIRED.rules)
    assert kept("plan-change", up, case(waiting, sold)) == changed(sold, "now")


def test_b_22_down_to_the_free_plan_is_a_cancellation_that_ends_there() -> None:
    assert kept("plan-change", {"plan": "free"}, case(running())) == ("subscription.cancelled", {"ends_in": "free"})


def test_an_interval_change_is_credited_forfeited_or_waits_as_the_plan_says() -> None:
    for how, said in (
        ("credited", {"from": "now", "credited": True}),
        ("forfeited", {"from": "now", "credited": False}),
        ("at_renewal", {"from": "renewal"}),
    ):
        own = terms(to_longer=how)
        year = replace(own, interval="year")
        wanted = ("interval.changed", {"terms": plans.written(year), **said})
        bill = how != "at_renewal"
        assert kept("interval-change", {"interval": "year"}, case(running(own), own, year, open_bill=bill)) == wanted
    down = terms(interval="year", to_shorter="at_renewal")
    month = replace(down, interval="month")
    wanted = ("interval.changed", {"terms": plans.written(month), "from": "renewal"})
    assert kept("interval-change", {"interval": "month"}, case(running(down), down, month)) == wanted
    owing = running(down, suspended=True, next_terms=LARGE)
    assert kept("interval-change", {"interval": "month"}, case(owing, down, month)) == wanted


def test_another_way_to_pay_holds_at_once_or_where_pairs_are_sold_from_the_renewal() -> None:
    card, transfer = {"payment_method": "card"}, {"payment_method": "bank_transfer"}
    both = (PAIRED, PAIRED_YEAR)
    kind = "payment_method.updated"
    assert kept("payment-method", transfer, case(running())) == (kind, {**transfer, "from": "now"})
    assert kept("payment-method", transfer, case(trying(PAIRED), *both)) == (kind, {**transfer, "from": "now"})
    own = case(running(PAIRED), *both, open_bill=True)
    assert kept("payment-method", card, own) == (kind, {**card, "from": "now"})
    later = {**transfer, "from": "renewal", "terms": plans.written(PAIRED_YEAR)}
    assert kept("payment-method", {**transfer, "interval": "year"}, case(running(PAIRED), *both)) == (kind, later)
    again = running(PAIRED, next_terms=PAIRED_YEAR)
    assert kept("payment-method", {**transfer, "interval": "year"}, case(again, *both)) == (kind, later)
    sure = trying(PAIRED, registered=PAIRED_YEAR, method="bank_transfer")
    assert kept("payment-method", transfer, case(sure, *both)) == (kind, {**transfer, "from": "now"})


def test_a_cancellation_a_refund_and_a_migration_end_a_contract() -> None:
    assert kept("cancellation", {}, case(running())) == ("subscription.cancelled", {})
    own = terms(refund_days=10, refund_rule="TR-26")
    last = when("2025-03-10T14:59")
    assert kept("refund", {}, case(running(own), now=last)) == ("refund.requested", {"rule": "TR-26"})
    before = (stretch(-3, "old", elsewhere=True), stretch(), stretch(1))
    assert kept("refund", {}, case(running(own, stretches=before))) == ("refund.requested", {"rule": "TR-26"})
    into = {"into": "ws-2"}
    for lone in (
        case(Course(state="closed")),
        case(Course(terms=FREE), target=FREE),
        case(running(), target=SMALL, occupied=1),
    ):
        assert kept("migration", {"into": "ws-2", "why": "-"}, lone) == ("contract.migrated", into)


def test_an_option_is_kept_with_its_price_under_the_subscription_there_is() -> None:
    option = replace(SMALL, plan="check", unit_amount=500)
    wanted = {"option": "check", "terms": plans.written(option)}
    body = {"option": "check"}
    for asked, name in (
        (case(running(), option=option), "sub"),
        (case(None, SMALL, option=option, role=None), "sub-new"),
    ):
        assert kept("option", body, asked) == ("option.ordered", {**wanted, "subscription": name})
    for course in (running(), trying()):
        gift = case(course, option=replace(option, unit_amount=0), role="member")
        assert judge("option", body, gift).kind == "option.ordered"


def test_law_10_a_verdict_on_old_facts_names_each_of_them_once() -> None:
    late = frozenset({"f-1", "f-2", "f-3"})
    for course in (None, running()):
        told = kept("late-facts", {"facts": ["f-2", "f-1", "f-2"]}, case(course, late=late))
        assert told == ("late.accepted", {"facts": ["f-1", "f-2"]})


def test_law_3_a_period_is_rerated_at_the_price_of_its_first_day_in_the_workspaces_zone() -> None:
    asked: list[tuple[str, str, date]] = []
    dearer = replace(SMALL, unit_amount=1200)

    def priced(plan: str, interval: str, day: date) -> Terms:
        asked.append((plan, interval, day))
        return dearer

    own = running(stretches=(stretch(-1, "old"), stretch(), stretch(1)))
    for body, key in (({"n": 1}, ("sub", 1)), ({"n": "-1", "subscription": "old"}, ("old", -1))):
        told = {"subscription": key[0], "n": key[1], "terms": plans.written(dearer)}
        assert judge("rerate", body, case(own, priced=priced)) == Verdict("period.rerated", told)
    assert asked == [("small", "month", date(2025, 4, 1)), ("small", "month", date(2025, 2, 1))]
