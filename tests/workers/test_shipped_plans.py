"""The shipped plans: every price and rule of the three vendors, as the rulebook has them."""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction

import pytest

from billing.core.classification import Standing, Verdict, classify
from billing.core.money import rounded
from billing.core.plans import Dunning, Terms
from billing.core.tax import Tax
from billing.store import catalogue, planfile
from billing.store.db import Conn, Database

TODAY = date(2026, 11, 2)
PAIRS = (("card", "month"), ("card", "year"), *(("bank_transfer", one) for one in ("3-months", "6-months", "year")))
#: The rulebook's plan catalogue: plan, interval, day, minor units, rank.
PRICES = [
    ("trello-free", "month", TODAY, 0, 0),
    ("trello-free", "year", TODAY, 0, 0),
    ("trello-standard", "month", TODAY, 600, 1),
    ("trello-standard", "year", TODAY, 6_000, 1),
    ("trello-premium", "month", date(2017, 1, 1), 1_250, 2),
    ("trello-premium", "year", date(2025, 1, 15), 11_999, 2),
    ("trello-premium", "year", date(2025, 12, 31), 11_999, 2),
    ("trello-premium", "year", date(2026, 1, 1), 12_000, 2),
    ("trello-enterprise", "year", TODAY, 21_000, 3),
    ("chatwork-free", "month", TODAY, 0, 0),
    ("chatwork-free", "year", TODAY, 0, 0),
    ("chatwork-business", "month", date(2020, 4, 1), 600, 1),
    ("chatwork-business", "month", date(2023, 7, 2), 600, 1),
    ("chatwork-business", "month", date(2023, 7, 3), 840, 1),
    ("chatwork-business", "year", date(2025, 1, 1), 8_400, 1),
    ("chatwork-enterprise", "month", date(2025, 1, 1), 1_440, 2),
    ("chatwork-enterprise", "year", date(2025, 1, 1), 14_400, 2),
    ("backlog-free", "month", TODAY, 0, 0),
    ("backlog-starter", "month", TODAY, 2_970, 1),
    ("backlog-standard", "month", TODAY, 17_600, 2),
    ("backlog-premium", "month", TODAY, 29_700, 3),
    ("backlog-platinum", "month", TODAY, 82_500, 4),
    ("backlog-standard", "3-months", TODAY, 52_800, 2),
    ("backlog-standard", "6-months", TODAY, 105_600, 2),
    ("backlog-standard", "year", TODAY, 211_200, 2),
]


@pytest.fixture
def connection(database_url: str) -> Iterator[Conn]:
    """One transaction on a migrated database, so with the shipped plans."""
    database = Database(database_url, size=1)
    with database.transaction("test") as opened:
        yield opened
    database.close()


def today(connection: Conn, plan: str, interval: str = "month") -> Terms:
    return catalogue.price_at(connection, plan, interval, TODAY)


def test_cw_12_every_price_of_the_rulebook_is_a_dated_row_tr_21_bl_19_a_02(connection: Conn) -> None:
    for plan, interval, day, amount, rank in PRICES:
        terms = catalogue.price_at(connection, plan, interval, day)
        assert (terms.unit_amount, terms.rank) == (amount, rank), (plan, interval, day)
    assert {row["plan"] for row in catalogue.listed(connection, TODAY)} == {
        *(plan for plan, *_ in PRICES),
        "standard-free",
        "option:custom-checklist",
        "option:security-check-sheets",
    }


def test_backlog_longer_terms_are_so_many_months_at_the_monthly_price_and_say_that_they_are_not_confirmed(
    connection: Conn,
) -> None:
    rows = [row for row in catalogue.listed(connection, TODAY) if row["plan"].startswith("backlog-")]
    for row in rows:
        months = {"month": 1, "3-months": 3, "6-months": 6, "year": 12}[row["interval"]]
        assert row["unit_amount"] == months * today(connection, row["plan"]).unit_amount
    grades = {row["terms"]["grade"] for row in rows if row["interval"] in ("6-months", "year") and row["unit_amount"]}
    assert grades == {"UNCONFIRMED"}


def test_tr_23_a_year_costs_less_than_twelve_months_wherever_a_vendor_sells_both() -> None:
    told = planfile.warnings(catalogue.shipped())
    assert {line.split(": ")[1].partition("-")[0] for line in told} == {"backlog"}  # whose yearly price is not known
    assert len(told) == 4


def test_a_31_currency_tax_proration_and_rounding_are_those_of_the_vendor(connection: Conn) -> None:
    wanted = {
        "trello": ("USD", "exclusive", "0", "months_days", "half_up"),
        "chatwork": ("JPY", "exclusive", "1/10", "actual_days", "floor"),
        "backlog": ("JPY", "inclusive", "1/10", "actual_days", "floor"),
    }
    for plan, interval, day, *_ in PRICES:
        terms = catalogue.price_at(connection, plan, interval, day)
        found = (terms.currency, terms.tax_behavior, terms.tax_rate, terms.method, terms.rounding)
        assert found == wanted[plan.partition("-")[0]]
        assert terms.tax_rounding == "floor"


def test_cw_09_fifty_licences_are_420000_and_462000_with_tax_cw_13_one_is_9240(connection: Conn) -> None:
    terms = today(connection, "chatwork-business", "year")
    tax = Tax(terms.tax_rate, terms.tax_behavior, terms.tax_rounding)
    assert (50 * terms.unit_amount, tax.gross(50 * terms.unit_amount), tax.gross(terms.unit_amount)) == (
        420_000,
        462_000,
        9_240,
    )


def test_cw_14_enterprise_from_five_licences_is_7200_and_72000(connection: Conn) -> None:
    month, year = today(connection, "chatwork-enterprise"), today(connection, "chatwork-enterprise", "year")
    assert (month.minimum * month.unit_amount, year.minimum * year.unit_amount) == (7_200, 72_000)
    assert month.cap_rules["minimum"] == "CW-14"


def test_cw_15_b_11_five_licences_for_17_of_31_days_are_2303_and_for_17_of_365_are_1956(connection: Conn) -> None:
    month, year = today(connection, "chatwork-business"), today(connection, "chatwork-business", "year")
    assert rounded(5 * month.unit_amount * Fraction(17, 31), month.rounding) == 2_303
    assert rounded(5 * year.unit_amount * Fraction(17, 365), year.rounding) == 1_956
    assert month.line_rules["licences_added"] == ("CW-15", "B-11")


def test_bl_19_bl_22_three_months_are_52800_with_4800_of_tax_and_a_year_211200(connection: Conn) -> None:
    terms = today(connection, "backlog-standard", "3-months")
    tax = Tax(terms.tax_rate, terms.tax_behavior, terms.tax_rounding)
    assert (tax.gross(terms.unit_amount), tax.part(terms.unit_amount)) == (52_800, 4_800)
    assert today(connection, "backlog-standard", "year").unit_amount == 211_200
    assert tax.part(17_600) == 1_600
    assert tax.part(2_970) == 270


def test_b_22_a_third_of_a_month_between_standard_and_premium_is_4033(connection: Conn) -> None:
    lower, upper = today(connection, "backlog-standard"), today(connection, "backlog-premium")
    assert rounded((upper.unit_amount - lower.unit_amount) * Fraction(10, 30), upper.rounding) == 4_033


def test_xx_15_minimums_and_caps_are_those_of_the_rulebook(connection: Conn) -> None:
    wanted: dict[str, tuple[int, dict[str, int]]] = {
        "trello-free": (0, {"collaborators": 10, "open_boards": 10}),
        "trello-standard": (0, {}),
        "chatwork-free": (0, {"users": 100}),
        "chatwork-business": (1, {}),
        "chatwork-enterprise": (5, {}),
        "backlog-free": (0, {"users": 10, "projects": 1, "storage_mb": 100}),
        "backlog-starter": (1, {"users": 30, "projects": 5, "storage_mb": 1_024}),
        "backlog-standard": (1, {"projects": 100, "storage_mb": 30_720}),
        "backlog-premium": (1, {"storage_mb": 102_400}),
        "backlog-platinum": (1, {"storage_mb": 307_200}),
    }
    for plan, (minimum, caps) in wanted.items():
        terms = today(connection, plan)
        assert (terms.minimum, dict(terms.caps)) == (minimum, caps), plan
        assert set(caps) <= set(terms.cap_rules), plan
    assert today(connection, "trello-free").cap_rules["collaborators"] == "B-05"
    assert today(connection, "chatwork-free").cap_rules["users"] == "CW-04"


def test_bl_02_gantt_is_from_standard_on_and_custom_fields_from_premium_on(connection: Conn) -> None:
    features = {plan: today(connection, f"backlog-{plan}").features for plan in ("starter", "standard", "premium")}
    assert features == {"starter": (), "standard": ("gantt",), "premium": ("gantt", "custom_fields")}


def test_xx_05_who_may_command_is_said_by_each_plan_with_the_rule_of_the_refusal(connection: Conn) -> None:
    found = {
        plan: today(connection, plan).rules for plan in ("trello-premium", "chatwork-business", "backlog-standard")
    }
    assert {plan: (rules.roles, rules.role_rule) for plan, rules in found.items()} == {
        "trello-premium": (("admin",), "TR-20"),
        "chatwork-business": (("administrator", "admin"), "XX-05"),
        "backlog-standard": (("contract_admin",), "BL-17"),
    }
    assert found["trello-premium"].role_rules == {"payment-method": "TR-28"}


def test_xx_11_trials_last_and_end_as_each_vendor_says(connection: Conn) -> None:
    plans = ("trello-premium", "trello-standard", "backlog-free", "backlog-starter", "chatwork-business")
    found = {plan: today(connection, plan).rules for plan in plans}
    assert [rules.trial_days for rules in found.values()] == [14, 0, 0, 30, 0]
    assert found["trello-premium"].trial_end == "convert_if_method"
    assert found["backlog-starter"].trial_end == "expire_unless_registered"
    assert found["backlog-starter"].terms_required  # BL-25


def test_tr_26_thirty_days_of_refund_are_trello_standard_and_premium_and_no_other(connection: Conn) -> None:
    found = {plan: catalogue.price_at(connection, plan, interval, TODAY).rules for plan, interval, *_ in PRICES}
    days = {plan: (rules.refund_days, rules.refund_rule) for plan, rules in found.items() if rules.refund_days}
    assert days == dict.fromkeys(("trello-standard", "trello-premium"), (30, "TR-26"))
    assert found["chatwork-business"].refund_rule == "CW-28"


def test_bl_19_backlog_is_paid_in_five_ways_and_b_24_a_card_is_charged_the_day_before(connection: Conn) -> None:
    rules = today(connection, "backlog-standard").rules
    assert rules.methods == PAIRS
    assert rules.lead_days == {"card": 1, "bank_transfer": 30}
    assert set(catalogue.offers(connection, "backlog-standard", TODAY)) == set(rules.intervals)


def test_b_13_b_18_b_21_b_22_a_smaller_plan_and_another_interval_are_what_each_vendor_says(connection: Conn) -> None:
    found = {
        plan: today(connection, plan).rules for plan in ("trello-premium", "chatwork-business", "backlog-standard")
    }
    assert [(one.downgrade, one.downgrade_rule) for one in found.values()] == [
        ("at_renewal", "B-06"),
        ("refused", "B-13"),
        ("at_renewal", "B-22"),
    ]
    assert [(one.to_longer, one.to_shorter, one.interval_rule) for one in found.values()] == [
        ("credited", "refused", "TR-25"),
        ("forfeited", "refused", "B-13"),
        ("at_renewal", "at_renewal", "B-21"),
    ]
    assert [one.ends_in for one in found.values()] == ["free", "closed", "closed"]


def test_b_16_b_24_b_43_what_follows_a_failed_payment_is_what_each_vendor_says(connection: Conn) -> None:
    assert today(connection, "trello-premium").rules.dunning == Dunning((7, 14, 21), 28, "failure", "free")
    daily = Dunning(tuple(range(1, 14)), 14, "failure", "suspended")
    assert today(connection, "chatwork-business").rules.dunning == daily
    assert today(connection, "backlog-standard").rules.dunning == Dunning((), 1, "renewal", "suspended", 14)


def test_b_04_b_15_who_takes_a_seat_is_said_by_each_plan_and_told_by_its_own_rules(connection: Conn) -> None:
    enterprise = catalogue.price_at(connection, "trello-enterprise", "year", TODAY)
    assert classify(Standing(boards=2), enterprise.policy) == Verdict(billable=False, rule="B-04")
    assert 50 * enterprise.unit_amount == 1_050_000  # 30 guests beside the 50 people cost nothing
    chatwork = today(connection, "chatwork-business").policy
    assert (chatwork.guests_free, chatwork.pending_count) == (True, True)
    assert dict(chatwork.names)["member"] == "CW-06"
    for plan in ("chatwork-business", "chatwork-enterprise", "chatwork-free", "backlog-standard", "backlog-free"):
        terms = today(connection, plan)
        named = [*terms.seat_rules.values(), *(rule for rules in terms.line_rules.values() for rule in rules)]
        assert not [rule for rule in named if rule.startswith("TR-")]
        assert {"period", "renewal", "plan_changed"} <= set(terms.line_rules)
    # A change from one to the other may go through at once only where both count the same people (B-06).
    assert today(connection, "chatwork-enterprise").policy == chatwork
