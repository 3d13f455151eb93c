"""What documents say, as arithmetic: one rounding per document and rate, and a full reversal that leaves nothing."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.core.documents import MOST_LINES, Head, Item, compose, grouped, kind_for, language_for, number_of, totals
from billing.core.errors import InvalidError
from billing.core.money import CurrencyMismatchError, Rounding
from billing.core.registration import check_digit, checked
from billing.core.tax import Tax

ISSUER = {"name": "株式会社ひだまり商店", "registration_number": "T7120001168421"}
TAXES = st.builds(
    Tax,
    st.sampled_from(["0", "1/10", "2/25", "1/3"]),
    st.sampled_from(["exclusive", "inclusive"]),
    st.sampled_from(get_args(Rounding)),
)


def item(amount: int, number: int = 0, *, currency: str = "JPY", kind: str = "seats_added", part: bool = False) -> Item:
    day = date(2026, 5, 1) + timedelta(days=number % 90)
    return Item(f"k{number}", kind, day, "standard", 1, amount, Fraction(1), amount, currency, ("XX-02",), part)


def head(tax: Tax, **more: Any) -> Head:
    told = {
        "kind": "invoice",
        "number": "INV-1-000001",
        "issued_at": datetime(2026, 4, 20, 16, tzinfo=UTC),
        "zone": "Asia/Tokyo",
        "currency": "JPY",
        "language": "ja",
        "issuer": ISSUER,
        "recipient": {"name": "合同会社すずらん設計"},
        "workspace": {"id": "ws_1", "name": "すずらん"},
        "charge_id": "ch_1",
        "method": "bank_transfer",
        "supplied": (date(2026, 5, 1), date(2026, 7, 31)),
        "tax": tax,
        "chain_head": "ab",
    }
    return Head(**{**told, **more})


def composed(amounts: Sequence[int], tax: Tax, **more: Any) -> dict[str, Any]:
    return compose(head(tax, **more), [item(amount, n) for n, amount in enumerate(amounts)])


def test_xx_03_three_lines_of_105_are_taxed_31_and_not_30() -> None:
    told = composed([105, 105, 105], Tax("1/10"))
    assert told["rates"] == [{"rate": "1/10", "net": 315, "tax": 31, "gross": 346}]
    assert (told["total"], told["amount"]) == (346, 346)


@pytest.mark.parametrize(
    ("gross", "net", "tax"), [(17_600, 16_000, 1_600), (2_970, 2_700, 270), (52_800, 48_000, 4_800)]
)
def test_xx_04_tax_is_split_out_of_a_price_that_has_it(gross: int, net: int, tax: int) -> None:
    (rate,) = composed([gross], Tax("1/10", "inclusive"))["rates"]
    assert (rate["net"], rate["tax"], rate["gross"]) == (net, tax, gross)


@pytest.mark.parametrize(("rounding", "tax"), [("floor", 10), ("ceil", 11), ("half_up", 11)])
def test_b_30_and_a_30_how_tax_is_rounded_is_the_issuers_choice(rounding: Rounding, tax: int) -> None:
    assert composed([105], Tax("1/10", "exclusive", rounding))["rates"][0]["tax"] == tax


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=250), TAXES)
def test_b_30_one_rounding_per_document_and_the_lines_sum_to_its_total(amounts: list[int], tax: Tax) -> None:
    told = composed(amounts, tax)
    (rate,) = told["rates"]
    exact = sum(amounts) * Fraction(tax.rate) / (1 + Fraction(tax.rate) * (tax.behavior == "inclusive"))
    assert abs(rate["tax"] - exact) < 1
    assert rate["net"] + rate["tax"] == rate["gross"] == told["total"]
    shown = sum(line["amount"] for line in told["lines"])
    assert shown == sum(amounts) == (rate["gross"] if tax.behavior == "inclusive" else rate["net"])
    assert len(told["lines"]) <= max(MOST_LINES, 90)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), TAXES)
def test_xx_13_taking_everything_back_in_parts_leaves_neither_amount_nor_tax(parts: list[int], tax: Tax) -> None:
    documents = [totals(tax, sum(parts))]
    left = sum(parts)
    for part in parts:
        documents.append(totals(tax, -part, left))
        left -= part
    assert all(sum(one[name] for one in documents) == 0 for name in ("net", "tax", "gross"))
    assert all(one["gross"] <= 0 for one in documents[1:])


def test_law_8_more_than_a_hundred_lines_are_shown_by_the_day_and_sum_as_before() -> None:
    amounts = list(range(1, 202))
    told = composed(amounts, Tax("1/10"))
    assert told["grouped"]
    assert len(told["lines"]) == 201  # other unit prices stay apart
    alike = compose(head(Tax("1/10")), [item(105, n) for n in range(201)])
    assert len(alike["lines"]) == 90
    assert sum(line["amount"] for line in alike["lines"]) == 201 * 105
    assert sum(line["seats"] for line in alike["lines"]) == sum(line["count"] for line in alike["lines"]) == 201
    mixed = [item(105, part=True), item(105)]
    assert [(line["amount"], line["seats"]) for line in grouped(mixed)] == [(210, None)]


def test_xx_01_one_document_has_one_currency() -> None:
    with pytest.raises(CurrencyMismatchError):
        compose(head(Tax()), [item(100), item(100, currency="USD")])


def test_b_31_the_six_items_are_there() -> None:
    told = composed([17_600], Tax("1/10", "inclusive"))
    assert told["qualified"]
    assert (told["issuer"]["name"], told["issuer"]["registration_number"]) == (ISSUER["name"], "T7120001168421")
    assert told["supplied"] == {"from": "2026-05-01", "to": "2026-07-31"}
    assert told["lines"][0]["description"]["ja"] == "standard 席の追加(日割り)"
    assert told["rates"] == [{"rate": "1/10", "net": 16_000, "tax": 1_600, "gross": 17_600}]
    assert told["recipient"]["name"] == "合同会社すずらん設計"
    assert told["issued_on"] == "2026-04-21"  # the day in the workspace's zone


@pytest.mark.parametrize(
    ("tax", "more"),
    [
        (Tax("1/10"), {"issuer": {"name": "個人商店あおば"}}),
        (Tax("0"), {}),
        (Tax("1/10"), {"kind": "receipt", "original": {"number": "INV-1-000001", "qualified": True}}),
    ],
)
def test_b_31_a_document_without_all_six_items_is_not_called_qualified(tax: Tax, more: dict[str, Any]) -> None:
    assert not composed([100], tax, **more)["qualified"]


@pytest.mark.parametrize(
    ("amount", "currency", "exempt"),
    [
        (-9_240, "JPY", True),
        (-9_999, "JPY", True),
        (-10_000, "JPY", False),
        (-462_000, "JPY", False),
        (-99, "USD", False),
    ],
)
def test_b_33_a_return_under_10000_yen_is_exempt_and_says_so(amount: int, currency: str, exempt: bool) -> None:
    original = {"id": "doc", "number": "INV-1-000001", "issued_on": "2026-04-21", "qualified": True}
    told = compose(
        head(Tax("1/10", "inclusive"), kind="return_invoice", original=original, currency=currency),
        [item(amount, currency=currency, part=True)],
        before=10**6,
    )
    assert told["exempt"] is exempt
    assert told["amount"] == amount
    assert told["qualified"]


@pytest.mark.parametrize(
    ("method", "kind"),
    [("card", "receipt"), ("bank_transfer", "invoice"), (None, "receipt")],
)
def test_xx_12_the_payment_method_decides_which_document_is_first(method: str | None, kind: str) -> None:
    assert kind_for(method) == kind


def test_the_language_is_the_contacts_else_that_of_the_currency() -> None:
    assert language_for("JPY", None) == "ja"
    assert language_for("USD", {"email": "ran@suzuran.example"}) == "en"
    assert language_for("JPY", {"language": "en"}) == "en"


def test_a_number_names_its_series_and_its_workspace() -> None:
    assert number_of("return_invoice", "ws_00064a0000000000cafe1234", 12) == "CRN-CAFE1234-000012"


@pytest.mark.parametrize("number", ["T7120001168421", "T1180301018771"])
def test_b_32_a_companys_registration_number_has_its_check_digit(number: str) -> None:
    assert checked(number) == []
    assert check_digit(number[2:]) == int(number[1])


def test_b_32_a_wrong_check_digit_warns_and_a_wrong_form_is_refused() -> None:
    assert len(checked("T8120001168421")) == 1
    for wrong in (
        "7120001168421",
        "T712000116842",
        "T71200011684210",
        "t7120001168421",
        "T712000116842１",
        "T7120001168421\n",
    ):
        with pytest.raises(InvalidError):
            checked(wrong)
