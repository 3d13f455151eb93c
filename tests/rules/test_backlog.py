"""Backlog's rules on the pure core: a 30-day trial, formal registration, one price for each space (BL, B-20 to 24)."""

from typing import Any

import pytest

from billing.core.errors import ConflictError
from billing.core.limits import Counts, flags
from billing.core.tax import Tax
from tests.core.telling import joined, people
from tests.rules.space import Space, day, jst, shelf

PAID = ["backlog-starter", "backlog-standard", "backlog-premium", "backlog-platinum"]
PAIRS = [(method, interval) for method in ("card", "bank_transfer") for interval in shelf()["backlog-standard"]]
SOLD = {
    ("card", "month"): 17_600,
    ("card", "year"): 211_200,
    ("bank_transfer", "3-months"): 52_800,
    ("bank_transfer", "6-months"): 105_600,
    ("bank_transfer", "year"): 211_200,
}


@pytest.fixture
def tried() -> Space:
    """A trial of Standard from 1 April 2026: free up to 30 April."""
    space = Space()
    space.trial("2026-04-01T10:00")
    return space


@pytest.fixture
def paying() -> Space:
    """Standard by card and month, registered in its trial; the first period begins on 1 April 2026."""
    space = Space()
    space.trial("2026-03-02")
    space.register("2026-03-10")
    return space


def test_bl_01_a_trial_of_a_plan_is_free_for_thirty_days_and_ends_at_midnight_in_japan(tried: Space) -> None:
    trial = tried.course("2026-04-01T10:00").trial
    assert trial is not None
    assert (trial.terms.plan, trial.end) == ("backlog-standard", jst("2026-05-01T00:00"))
    assert tried.course("2026-04-30T23:59:59").state == "trialing"
    assert tried.course("2026-05-01T00:00").state == "expired"
    assert tried.lines("2027-04-01") == []


def test_bl_04_two_hundred_members_are_checked_against_caps_and_never_priced() -> None:
    space = Space(joined("2026-03-20", *people(200)))
    space.trial("2026-04-01")
    space.register("2026-04-20")
    (line,) = space.lines("2026-05-15")
    assert (line.seats, line.unit_amount, line.amount) == (1, 17_600, 17_600)
    standard, starter = (shelf()[plan]["month"] for plan in ("backlog-standard", "backlog-starter"))
    assert flags(standard, Counts(200, 200, 3), 1) == []
    assert [flag.rule for flag in flags(starter, Counts(31, 31, 3), 1)] == ["XX-15"]
    assert flags(starter, Counts(30, 30, 3), 1) == []


@pytest.mark.parametrize("plan", PAID)
def test_bl_05_every_paid_plan_passes_thirty_free_days_before_its_first_charge(plan: str) -> None:
    space = Space()
    space.trial("2026-04-01", plan=plan)
    space.register("2026-04-02")
    assert space.lines("2026-04-30T23:59:59") == []
    assert space.owed("2026-05-01T00:00") == [("2026-05-01", shelf()[plan]["month"].unit_amount)]


def test_bl_06_a_trial_registered_on_20_april_is_active_on_1_may_and_first_charged_then(tried: Space) -> None:
    tried.register("2026-04-20")
    assert tried.course("2026-04-30T23:59").state == "trial_registered"
    assert tried.course("2026-05-01").state == "active"
    assert tried.owed("2026-05-01") == [("2026-05-01", 17_600)]


def test_bl_07_a_trial_asks_for_no_payment_method_and_the_registration_for_method_and_term(tried: Space) -> None:
    assert tried.life[0].data["payment_method"] is None
    assert tried.refused("registration", "2026-04-20", interval="month") == "BL-07"
    assert tried.refused("registration", "2026-04-20", payment_method="card") == "BL-07"
    assert tried.course("2026-04-20").state == "trialing"
    tried.register("2026-04-20")


def test_bl_08_an_unregistered_trial_is_never_charged_even_if_a_card_is_known() -> None:
    space = Space()
    space.trial("2026-04-01", payment_method="card")
    space.ask("payment-method", "2026-04-10", payment_method="card")
    assert space.course("2026-05-01").state == "expired"
    assert space.lines("2027-05-01") == []


def test_bl_12_registering_at_once_still_leaves_thirty_free_days(tried: Space) -> None:
    tried.register("2026-04-01T10:00")
    assert tried.lines("2026-04-30T23:59:59") == []
    (first,) = tried.course("2026-05-01").stretches
    assert first.billed_at == first.opens == jst("2026-05-01")
    assert tried.owed("2026-05-01") == [("2026-05-01", 17_600)]


def test_bl_14_upgrading_from_free_has_no_free_days_and_is_charged_at_once() -> None:
    space = Space()
    space.ask("subscription", "2026-04-01", plan="backlog-free", interval="month")
    assert space.refused("trial", "2026-04-10", plan="backlog-starter", terms_version="v12") == "BL-14"
    space.ask("plan-change", "2026-04-10", plan="backlog-starter", payment_method="card")
    assert space.owed("2026-04-10") == [("2026-04-10", 2_970)]
    assert space.course("2026-04-10").stretches[0].billed_at == jst("2026-04-10")
    assert space.course("2026-04-10").state == "active"


def test_bl_15_a_trial_is_registered_up_to_its_last_minute_and_not_after(tried: Space) -> None:
    assert tried.refused("registration", "2026-05-01T00:00", payment_method="card", interval="month") == "BL-15"
    tried.register("2026-04-30T23:59")
    assert tried.course("2026-05-01").state == "active"


def test_bl_16_registration_is_complete_once_a_method_is_set_and_use_then_continues_after_the_trial(
    tried: Space,
) -> None:
    # The card did not pass 3-D Secure: there is no method to register with.
    assert tried.refused("registration", "2026-04-19", payment_method=None, interval="month") == "BL-07"
    assert (tried.course("2026-04-19").state, tried.course("2026-05-01").state) == ("trialing", "expired")
    tried.register("2026-04-20")
    assert tried.course("2026-04-20").state == "trial_registered"
    assert (tried.course("2026-05-01").state, tried.course("2026-05-01").method) == ("active", "card")
    assert tried.owed("2026-06-01") == [("2026-05-01", 17_600), ("2026-06-01", 17_600)]


@pytest.mark.parametrize("role", ["admin", "normal", None])
def test_bl_17_only_a_contract_administrator_registers(tried: Space, role: str | None) -> None:
    asked = {"payment_method": "card", "interval": "month"}
    assert tried.refused("registration", "2026-04-20", role=role, **asked) == "BL-17"
    tried.register("2026-04-20", role="contract_admin")


def test_bl_18_who_applied_for_the_trial_is_its_one_contract_administrator(tried: Space) -> None:
    assert tried.course("2026-04-01T10:00").applicant == "hana@yuzu.example"
    asked = {"payment_method": "card", "interval": "month"}
    assert tried.refused("registration", "2026-04-20", by="ren@yuzu.example", role=None, **asked) == "BL-17"
    tried.register("2026-04-20", by="hana@yuzu.example", role=None)


@pytest.mark.parametrize(("method", "interval"), PAIRS)
def test_bl_19_there_are_five_ways_to_pay(tried: Space, method: str, interval: str) -> None:
    asked = {"payment_method": method, "interval": interval}
    if (method, interval) not in SOLD:
        assert tried.refused("registration", "2026-04-20", **asked) == "BL-19"
        return
    tried.register("2026-04-20", method, interval)
    (line,) = tried.lines("2026-05-01")
    assert (line.amount, day(line.instant).isoformat()) == (SOLD[method, interval], "2026-05-01")
    terms = shelf()["backlog-standard"][interval]
    assert (terms.tax_behavior, Tax("1/10", terms.tax_behavior).part(52_800)) == ("inclusive", 4_800)


def test_bl_25_a_trial_without_the_terms_of_service_accepted_is_refused() -> None:
    space = Space()
    for missing in ({}, {"terms_version": None}, {"terms_version": ""}):
        asked = {"plan": "backlog-standard", **missing}
        assert space.refused("trial", "2026-04-01", by="hana@yuzu.example", role=None, **asked) == "BL-25"
    space.trial("2026-04-01", terms_version="v12")


def test_b_20_a_running_trial_changes_no_plan_is_not_cut_short_and_never_becomes_free(tried: Space) -> None:
    premium = {"plan": "backlog-premium"}
    assert tried.refused("plan-change", "2026-04-10", **premium) == "B-20"
    assert tried.refused("trial", "2026-04-10", terms_version="v12", **premium) == "B-20"
    assert tried.refused("registration", "2026-04-10", payment_method="card", interval="month", **premium) == "B-20"
    assert tried.course("2026-05-01").state == "expired"
    tried.register("2026-04-10")
    assert tried.owed("2026-05-01") == [("2026-05-01", 17_600)]


def test_b_21_how_it_is_paid_changes_with_the_next_renewal_and_not_while_a_bill_is_open() -> None:
    space = Space()
    space.trial("2026-04-01")
    space.register("2026-04-20", "bank_transfer", "3-months")
    assert space.owed("2026-04-20") == [("2026-05-01", 52_800)]
    by_card: dict[str, Any] = {"payment_method": "card", "interval": "month"}
    for now in ("2026-04-25", "2026-05-10"):
        assert space.refused("payment-method", now, open_bill=True, **by_card) == "B-21"
        assert space.refused("payment-method", now, role="admin", **by_card) == "B-21"
    assert space.refused("payment-method", "2026-06-10", payment_method="card") == "BL-19"  # (card, 3-months)
    space.ask("payment-method", "2026-06-10", **by_card)
    assert space.course("2026-07-30T23:59").method == "bank_transfer"
    later = space.course("2026-07-31")
    assert (later.method, later.stretches[-1].billed_at) == ("card", jst("2026-07-31"))
    assert space.owed("2026-07-31") == [("2026-05-01", 52_800), ("2026-08-01", 17_600)]


def test_b_22_up_is_charged_that_day_by_the_days_left_and_down_comes_with_the_next_payment(paying: Space) -> None:
    paying.ask("plan-change", "2026-04-21", plan="backlog-premium")
    up = paying.lines("2026-04-21")[-1]
    assert (up.unit_amount, str(up.fraction), up.amount) == (29_700 - 17_600, "1/3", 4_033)
    assert Tax("1/10", "inclusive").part(up.amount) == 366
    assert paying.owed("2026-04-30")[-1] == ("2026-05-01", 29_700)
    # The bill of May is out since 30 April: going down comes with the period after it.
    paying.ask("plan-change", "2026-04-30T10:00", plan="backlog-standard")
    assert paying.owed("2026-05-31")[2:] == [("2026-05-01", 29_700), ("2026-06-01", 17_600)]


def test_b_23_a_contract_administrator_cancels_to_the_end_of_the_paid_period_and_nothing_is_given_back(
    paying: Space,
) -> None:
    assert paying.refused("cancellation", "2026-04-10", role="admin") == "B-23"
    paying.ask("cancellation", "2026-04-10")
    assert paying.course("2026-04-30T23:59").state == "cancelling"
    assert paying.refused("refund", "2026-04-10") == "B-23"
    assert paying.course("2026-05-01").state == "closed"
    assert paying.owed("2027-04-01") == [("2026-04-01", 17_600)]


def test_b_24_an_unpaid_renewal_stops_the_space_the_day_after_and_may_be_paid_for_two_weeks(paying: Space) -> None:
    paying.paid("2026-04-01", 0)
    renewal = paying.course("2026-04-30").stretches[-1]
    assert (renewal.billed_at, renewal.opens) == (jst("2026-04-30"), jst("2026-05-01"))
    paying.paid("2026-04-30", 1, kind="failed")
    states = {now: paying.course(now).state for now in ("2026-05-01T23:59", "2026-05-02", "2026-05-14T23:59")}
    assert list(states.values()) == ["past_due", "suspended", "suspended"]
    unpaid = list(paying.life)
    paying.paid("2026-05-14T23:59", 1, attempt=2)
    assert paying.course("2026-05-14T23:59").state == "active"
    assert paying.owed("2026-05-31") == [("2026-04-01", 17_600), ("2026-05-01", 17_600), ("2026-06-01", 17_600)]
    paying.life = unpaid
    assert paying.course("2026-05-15").state == "closed"
    assert paying.owed("2026-05-15") == [("2026-04-01", 17_600), ("2026-05-01", 0)]
    with pytest.raises(ConflictError):  # only support helps now
        paying.ask("payment-method", "2026-05-15", payment_method="card")


def test_a_trial_registered_by_card_keeps_its_pair_until_a_period_runs(tried: Space) -> None:
    tried.register("2026-04-10")
    with pytest.raises(ConflictError):
        tried.ask("payment-method", "2026-04-20", payment_method="bank_transfer", interval="year")
    tried.ask("payment-method", "2026-04-20", payment_method="card")
    assert (tried.course("2026-05-01").method, tried.owed("2026-05-01")) == ("card", [("2026-05-01", 17_600)])


def test_two_changes_that_wait_for_one_renewal_never_make_a_pair_that_is_not_sold() -> None:
    space = Space()
    space.trial("2026-04-01")
    space.register("2026-04-20", "bank_transfer", "3-months")
    assert space.refused("interval-change", "2026-06-10", interval="6-months", open_bill=True) == "B-21"
    space.ask("payment-method", "2026-06-10", payment_method="card", interval="month")
    asked: list[dict[str, Any]] = [
        {"command": "interval-change", "interval": "6-months"},
        {"command": "plan-change", "plan": "backlog-premium"},
        {"command": "plan-change", "plan": "backlog-starter"},
    ]
    for more in asked:
        with pytest.raises(ConflictError):
            space.ask(now="2026-06-12", **more)
    space.ask("payment-method", "2026-06-13", payment_method="card", interval="year")
    renewed = space.course("2026-08-01")
    assert renewed.terms is not None
    assert (renewed.method, renewed.terms.interval) == ("card", "year")
    space.ask("plan-change", "2026-08-01", plan="backlog-starter")
    with pytest.raises(ConflictError):
        space.ask("payment-method", "2026-08-02", payment_method="card", interval="month")
