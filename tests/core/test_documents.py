"""The whole content of a document, field by field, for an invoice, a receipt and a return invoice."""

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import pytest

from billing.core.documents import Head, Item, compose, described, grouped, kind_for, language_for, number_of
from billing.core.money import CurrencyMismatchError
from billing.core.tax import Tax

HEAD = Head(
    kind="invoice",
    number="INV-CAFE1234-000001",
    issued_at=datetime(2026, 4, 20, 16, tzinfo=UTC),
    zone="Asia/Tokyo",
    currency="JPY",
    language="ja",
    issuer={"name": "株式会社ひだまり商店", "registration_number": "T7120001168421"},
    recipient={"name": "合同会社すずらん設計"},
    workspace={"id": "ws_1", "name": "すずらん"},
    charge_id="ch_1",
    method="bank_transfer",
    supplied=(date(2026, 5, 1), date(2026, 7, 31)),
    tax=Tax("1/10", "exclusive", "floor"),
    chain_head="ab",
    due_on=date(2026, 5, 31),
)
ITEM = Item("k1", "seats_added", date(2026, 5, 1), "standard", 2, 840, Fraction(1, 2), 840, "JPY", ("XX-02", "TR-08"))
LINE: dict[str, Any] = {
    "day": "2026-05-01",
    "kind": "seats_added",
    "description": {"en": "standard: seats added, prorated", "ja": "standard 席の追加(日割り)"},
    "seats": 2,
    "unit_amount": 840,
    "fraction": "1/2",
    "amount": 840,
    "rules": ["XX-02", "TR-08"],
    "count": 1,
}
INVOICE: dict[str, Any] = {
    "kind": "invoice",
    "number": "INV-CAFE1234-000001",
    "issued_at": "2026-04-20T16:00:00.000Z",
    "issued_on": "2026-04-21",
    "zone": "Asia/Tokyo",
    "currency": "JPY",
    "language": "ja",
    "languages": ["ja", "en"],
    "qualified": True,
    "exempt": False,
    "issuer": {"name": "株式会社ひだまり商店", "registration_number": "T7120001168421"},
    "recipient": {"name": "合同会社すずらん設計"},
    "workspace": {"id": "ws_1", "name": "すずらん"},
    "charge_id": "ch_1",
    "method": "bank_transfer",
    "due_on": "2026-05-31",
    "supplied": {"from": "2026-05-01", "to": "2026-07-31"},
    "original": None,
    "tax": {"rate": "1/10", "behavior": "exclusive", "rounding": "floor"},
    "rates": [{"rate": "1/10", "net": 840, "tax": 84, "gross": 924}],
    "total": 924,
    "credit": 0,
    "amount": 924,
    "lines": [LINE],
    "grouped": False,
    "rules": ["TR-08", "XX-02"],
    "chain_head": "ab",
}


def test_an_invoice_says_all_of_it() -> None:
    assert compose(HEAD, [ITEM]) == INVOICE


def test_a_receipt_that_confirms_an_invoice_is_no_second_qualified_invoice() -> None:
    original = {"id": "doc_1", "number": "INV-CAFE1234-000001", "qualified": True}
    told = compose(replace(HEAD, kind="receipt", original=original, due_on=None), [ITEM], credit=24)
    less = {"credit": 24, "amount": 900, "due_on": None}
    assert told == {**INVOICE, "kind": "receipt", "original": original, "qualified": False, **less}


@pytest.mark.parametrize("qualified", [True, False])
def test_a_return_invoice_is_what_its_original_is_and_takes_the_tax_back_with_the_amount(qualified: bool) -> None:
    original = {"id": "doc_1", "qualified": qualified}
    back = replace(ITEM, amount=-105, part=True)
    told = compose(replace(HEAD, kind="return_invoice", original=original), [back], before=210)
    words = {"en": "standard: seats added, prorated: returned", "ja": "standard 席の追加(日割り)(返還)"}
    line = {**LINE, "description": words, "seats": None, "unit_amount": None, "fraction": None, "amount": -105}
    more = {"kind": "return_invoice", "original": original, "qualified": qualified, "exempt": True, "lines": [line]}
    money = {"rates": [{"rate": "1/10", "net": -105, "tax": -11, "gross": -116}], "total": -116, "amount": -116}
    assert told == {**INVOICE, **more, **money}


def test_a_foreign_line_is_refused_in_words() -> None:
    with pytest.raises(CurrencyMismatchError) as refusal:
        compose(HEAD, [ITEM, replace(ITEM, currency="USD")])
    assert str(refusal.value) == "a document in JPY has lines of another currency"


def test_lines_of_a_day_are_one_when_plan_kind_and_price_are_one() -> None:
    other = replace(ITEM, rules=("TR-08", "CW-08"), seats=3, amount=1260)
    shown = [
        {**LINE, "seats": 5, "amount": 2100, "rules": ["CW-08", "TR-08", "XX-02"], "count": 2},
        {**LINE, "day": "2026-05-02", "rules": ["TR-08", "XX-02"]},
    ]
    assert grouped([ITEM, other, replace(ITEM, day=date(2026, 5, 2))]) == shown
    apart = [replace(ITEM, plan="premium"), replace(ITEM, kind="period"), replace(ITEM, unit_amount=1)]
    assert len(grouped([ITEM, *apart])) == 4
    none = {"seats": None, "unit_amount": None, "fraction": None}
    wanted = [{**LINE, **none, "amount": 1680, "rules": ["TR-08", "XX-02"], "count": 2}]
    for unlike in (replace(ITEM, fraction=Fraction(1, 3)), replace(ITEM, part=True)):
        assert grouped([ITEM, unlike]) == wanted


def test_more_than_a_hundred_lines_are_grouped_and_a_hundred_are_not() -> None:
    hundred = compose(HEAD, [ITEM] * 100)
    assert (hundred["grouped"], len(hundred["lines"])) == (False, 100)
    more = compose(HEAD, [ITEM] * 101)
    assert (more["grouped"], len(more["lines"])) == (True, 1)


@pytest.mark.parametrize(
    ("more", "english", "japanese"),
    [
        ({}, "standard: seats added, prorated", "standard 席の追加(日割り)"),
        ({"plan": ""}, "seats added, prorated", "席の追加(日割り)"),
        ({"part": True}, "standard: seats added, prorated (difference)", "standard 席の追加(日割り)(差額)"),
        (
            {"part": True, "amount": 0},
            "standard: seats added, prorated (difference)",
            "standard 席の追加(日割り)(差額)",
        ),
        ({"amount": 0}, "standard: seats added, prorated", "standard 席の追加(日割り)"),
        ({"amount": -1}, "standard: seats added, prorated: returned", "standard 席の追加(日割り)(返還)"),
        ({"kind": "option:check", "plan": ""}, "option check", "オプション check"),
        ({"kind": "some_thing"}, "standard: some thing", "standard some thing"),
    ],
)
def test_what_was_supplied_is_named_in_both_languages(more: dict[str, Any], english: str, japanese: str) -> None:
    assert described(replace(ITEM, **more)) == {"en": english, "ja": japanese}


def test_numbers_kinds_and_languages() -> None:
    assert number_of("invoice", "ws_00064a0000000000cafe1234", 1) == "INV-CAFE1234-000001"
    assert number_of("receipt", "ws_00064a0000000000cafe1234", 1234567) == "RCP-CAFE1234-1234567"
    assert (kind_for("bank_transfer"), kind_for("card"), kind_for(None)) == ("invoice", "receipt", "receipt")
    assert (language_for("JPY", {}), language_for("EUR", None)) == ("ja", "en")
