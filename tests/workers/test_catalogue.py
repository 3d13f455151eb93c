"""The catalogue on a real database: versions that hide nothing, what is on offer, options."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from billing.core.errors import InvalidError, NotFoundError, RefusedError
from billing.core.plans import Terms
from billing.core.tax import Tax
from billing.store import catalogue, planfile
from billing.store.db import Conn, Database
from billing.store.planyaml import PlanFileError

TODAY = date(2026, 11, 2)
MINE = """\
plans:
  - {plan: kumo-team, rank: 1, shape: auto_seats, currency: EUR, proration: actual_days, rounding: half_up, prices: [
      {interval: month, valid_from: 2025-01-01, unit_amount: 700, grade: OWN, source: list},
      {interval: year, valid_from: 2025-01-01, unit_amount: 7000, grade: OWN, source: list}]}
"""
CHECKLIST = """\
options:
  - {option: custom-checklist, unit_amount: 50000, currency: JPY, grade: OWN, source: ours}
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[Conn]:
    """One transaction on a migrated database, so with the shipped plans as version 1."""
    database = Database(database_url, size=1)
    with database.transaction("test") as opened:
        yield opened
    database.close()


def load(connection: Conn, folder: Path, text: str) -> int:
    """Load the shipped plans and one file of the operator's."""
    folder.mkdir(exist_ok=True)
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return catalogue.load(connection, planfile.wanted(folder))


def today(connection: Conn, plan: str, interval: str = "month") -> Terms:
    return catalogue.price_at(connection, plan, interval, TODAY)


def changed(plan: str, **more: Any) -> list[dict[str, Any]]:
    """The shipped plans, with other fields for the prices of one."""
    return [
        one | {"prices": [price | more for price in one["prices"]]} if one["plan"] == plan else one
        for one in catalogue.shipped()
    ]


def test_offers_are_the_intervals_of_a_day_the_shortest_first(connection: Conn) -> None:
    assert [
        (interval, terms.unit_amount)
        for interval, terms in catalogue.offers(connection, "backlog-starter", TODAY).items()
    ] == [("month", 2_970), ("3-months", 8_910), ("6-months", 17_820), ("year", 35_640)]
    assert list(catalogue.offers(connection, "trello-enterprise", TODAY)) == ["year"]
    assert catalogue.offers(connection, "trello-enterprise", date(2016, 12, 31)) == {}
    assert catalogue.offers(connection, "no-such-plan", TODAY) == {}
    assert catalogue.offers(connection, "option:security-check-sheets", TODAY) == {}


def test_tr_29_the_free_plan_of_a_tool_is_the_one_of_rank_zero_that_bears_its_name(connection: Conn) -> None:
    for tool in ("trello", "chatwork", "backlog", "standard"):
        terms = catalogue.free_plan(connection, tool, TODAY)
        assert terms is not None
        assert (terms.plan, terms.unit_amount, terms.interval) == (f"{tool}-free", 0, "month")
    assert catalogue.free_plan(connection, "slack", TODAY) is None
    assert catalogue.free_plan(connection, "trell", TODAY) is None


def test_bl_28_an_option_without_a_price_is_refused_and_says_how_to_set_it(connection: Conn, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"SEKISU_PLANS_DIR.*sekisu plans --load") as refused:
        catalogue.option_at(connection, "custom-checklist", TODAY)
    assert refused.value.rule == "BL-28"

    load(connection, tmp_path, CHECKLIST)
    terms = catalogue.option_at(connection, "custom-checklist", TODAY)
    tax = Tax(terms.tax_rate, terms.tax_behavior, terms.tax_rounding)
    assert (terms.unit_amount, tax.gross(terms.unit_amount), terms.shape) == (50_000, 55_000, "flat")
    assert terms.line_rules["option"] == ("BL-28",)
    with pytest.raises(RefusedError):
        catalogue.option_at(connection, "custom-checklist", date(2016, 1, 1))

    catalogue.load(connection, catalogue.shipped())  # the price is taken out again
    with pytest.raises(RefusedError):
        catalogue.option_at(connection, "custom-checklist", TODAY)


def test_bl_27_both_check_sheets_are_one_option_that_costs_nothing(connection: Conn) -> None:
    terms = catalogue.option_at(connection, "security-check-sheets", TODAY)
    assert (terms.unit_amount, len(terms.features), terms.line_rules["option"]) == (0, 2, ("BL-27",))


def test_an_unknown_option_is_not_found_and_a_fixed_price_is_not_the_operators(
    connection: Conn, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="there is: custom-checklist, security-check-sheets"):
        catalogue.option_at(connection, "gold-plating", TODAY)
    with pytest.raises(PlanFileError, match=r"mine\.yaml:2: option: security-check-sheets has its price in backlog/"):
        load(connection, tmp_path, CHECKLIST.replace("custom-checklist", "security-check-sheets"))


def test_an_unchanged_catalogue_adds_nothing(connection: Conn, tmp_path: Path) -> None:
    first = catalogue.version(connection)
    before = len(catalogue.listed(connection, TODAY))
    assert catalogue.load(connection, catalogue.shipped()) == first == 1
    assert load(connection, tmp_path, MINE) == 2
    assert load(connection, tmp_path, MINE) == 2
    assert len(catalogue.listed(connection, TODAY)) == before + 2


def test_a_changed_price_is_a_new_version_and_one_changed_back_is_another(connection: Conn) -> None:
    assert catalogue.load(connection, changed("trello-standard", unit_amount=650)) == 2
    assert today(connection, "trello-standard").unit_amount == 650
    assert catalogue.load(connection, catalogue.shipped()) == 3
    assert today(connection, "trello-standard").unit_amount == 600
    assert today(connection, "trello-standard").catalogue_version == 3


def test_a_new_source_or_grade_or_another_field_of_a_plan_is_a_new_version_too(connection: Conn) -> None:
    assert catalogue.load(connection, changed("trello-standard", grade="VENDOR")) == 2
    plans = [plan | {"minimum": 2} if plan["plan"] == "trello-standard" else plan for plan in catalogue.shipped()]
    assert catalogue.load(connection, plans) == 3
    assert today(connection, "trello-standard").minimum == 2


def test_xx_10_a_new_version_with_new_dates_only_hides_no_older_row(connection: Conn) -> None:
    plans = catalogue.shipped()
    premium = next(plan for plan in plans if plan["plan"] == "trello-premium")
    premium["prices"] = [
        price | {"unit_amount": 13_000} for price in premium["prices"] if price["valid_from"].year > 2025
    ]
    assert catalogue.load(connection, plans) == 2
    days = (date(2025, 12, 31), date(2026, 1, 1))
    found = [catalogue.price_at(connection, "trello-premium", "year", day) for day in days]
    assert [(terms.unit_amount, terms.catalogue_version) for terms in found] == [(11_999, 1), (13_000, 2)]


def test_a_row_that_a_newer_version_took_out_is_not_in_force_any_more(connection: Conn) -> None:
    plans = catalogue.shipped()
    premium = next(plan for plan in plans if plan["plan"] == "trello-premium")
    premium["prices"] = [price for price in premium["prices"] if price["valid_from"].year < 2026]
    catalogue.load(connection, plans)
    assert today(connection, "trello-premium", "year").unit_amount == 11_999


def test_an_interval_that_is_not_sold_any_more_still_renews(connection: Conn) -> None:
    plans = catalogue.shipped()
    standard = next(plan for plan in plans if plan["plan"] == "trello-standard")
    standard["prices"] = standard["prices"][1:]
    catalogue.load(connection, plans)
    assert list(catalogue.offers(connection, "trello-standard", TODAY)) == ["year"]
    assert today(connection, "trello-standard", "month").unit_amount == 600


def test_the_operators_plans_stay_for_who_pays_by_them_when_their_directory_is_gone(
    connection: Conn, tmp_path: Path
) -> None:
    load(connection, tmp_path, MINE)
    assert catalogue.load(connection, changed("trello-standard", unit_amount=650)) == 3
    terms = today(connection, "kumo-team", "year")
    assert (terms.unit_amount, terms.catalogue_version) == (7_000, 2)
    assert list(catalogue.offers(connection, "kumo-team", TODAY)) == ["month", "year"]
    # And loaded again, beside shipped plans that changed meanwhile, they are what they were.
    assert load(connection, tmp_path, MINE) == 4
    assert today(connection, "kumo-team", "year").unit_amount == 7_000
    assert today(connection, "trello-standard").unit_amount == 600


def test_a_price_of_the_operators_counts_from_its_day_on(connection: Conn, tmp_path: Path) -> None:
    row = "      {interval: month, valid_from: 2026-06-01, unit_amount: 800, grade: OWN, source: list},\n"
    load(connection, tmp_path, MINE)
    head, tail = MINE.split("      {interval: year")
    assert load(connection, tmp_path, f"{head}{row}      {{interval: year{tail}") == 3
    days = (date(2026, 5, 31), date(2026, 6, 1))
    found = [catalogue.price_at(connection, "kumo-team", "month", day) for day in days]
    assert [(terms.unit_amount, terms.catalogue_version) for terms in found] == [(700, 3), (800, 3)]
    marked = [row for row in catalogue.listed(connection, TODAY) if row["plan"] == "kumo-team" and row["in_force"]]
    assert [(row["interval"], row["unit_amount"]) for row in marked] == [("month", 800), ("year", 7_000)]


def test_a_plan_or_a_day_without_a_price_names_what_there_is_and_no_options(connection: Conn) -> None:
    with pytest.raises(InvalidError, match="trello-premium by the month") as refused:
        catalogue.price_at(connection, "trello-premium", "month", date(2016, 12, 31))
    assert "option:" not in str(refused.value)


def test_a_stored_price_can_be_neither_changed_nor_taken_away(connection: Conn) -> None:
    for statement in ("UPDATE price SET unit_amount = 0", "DELETE FROM price"):
        with pytest.raises(psycopg.Error), connection.transaction():
            connection.execute(statement)
    assert today(connection, "trello-standard").unit_amount == 600
