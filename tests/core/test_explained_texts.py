"""The sentences of an explanation, word for word in both languages, for each way a line comes about."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from billing.core.explanation import describe, explain
from tests.core.telling import fact, when

ENTRY: Mapping[str, Any] = {
    "id": "entry-1",
    "key": "sub/0/seats_added/2025-04-14T20:00:00.000Z/11999",
    "instant": when("2025-04-14T20:00"),
    "heard_at": when("2025-04-16"),
    "seats": 1,
    "unit_amount": 11999,
    "currency": "USD",
    "method": "months_days",
    "fraction": "3/4",
    "rounding": "half_up",
    "amount": 8999,
    "line_amount": 8999,
    "rules": ("TR-08", "XX-02"),
    "kind": "seats_added",
}
ADDED = (
    "On 2025-04-15 too few paid seats were empty, so 1 more had to be bought. $119.99 x 1 x 3/4 of the period "
    "(whole months left and days of the running month) = $89.9925, rounded half up: $89.99."
)
ADDED_JA = (
    "2025年04月15日に支払い済みの席が足りず、1席を追加しました。"
    "単価$119.99 × 1席 × 期間の3/4(残りの月数と当月の残り日数)= $89.9925、四捨五入して$89.99。"
)


@pytest.mark.parametrize(
    ("more", "english", "japanese"),
    [
        ({}, ADDED, ADDED_JA),
        (
            {"seats": 2, "kind": "licences_added", "method": "actual_days", "rounding": "half_even"},
            (
                "On 2025-04-15 2 more licences were bought. $119.99 x 2 x 3/4 of the period (days left "
                "over days in the "
                "period) = $179.985, rounded half to even: $89.99."
            ),
            (
                "2025年04月15日に2ライセンスを追加購入しました。"
                "単価$119.99 × 2席 × 期間の3/4(残り日数÷期間の日数)= $179.985、偶数丸めして$89.99。"
            ),
        ),
        (
            {"kind": "interval_credit", "fraction": "-1/3", "line_amount": -4000, "amount": -4000},
            (
                "On 2025-04-15 another interval began; what was paid for the rest of the old period is given back. "
                "$119.99 x 1 x -1/3 of the period (whole months left and days of the running month) = ≈ -$39.996666, "
                "rounded half up: -$40.00."
            ),
            (
                "2025年04月15日に契約期間を変更しました。旧期間の未使用分をお返しします。"
                "単価$119.99 × 1席 × 期間の-1/3(残りの月数と当月の残り日数)= ≈ -$39.996666、四捨五入して-$40.00。"
            ),
        ),
        (
            {"kind": "option:check", "fraction": "1", "currency": "JPY", "unit_amount": 500, "line_amount": 500},
            (
                "On 2025-04-15 an option was ordered. ¥500 x 1 x 1 of the period (whole months left and days of the "
                "running month) = ¥500, rounded half up: ¥500. This entry corrects the line by ¥8,999."
            ),
            (
                "2025年04月15日にオプションを注文しました。単価¥500 × 1席 × 期間の1(残りの月数と当月の残り日数)= ¥500、"
                "四捨五入して¥500。この記帳による差額: ¥8,999。"
            ),
        ),
        (
            {"kind": "period", "fraction": "1"},
            "On 2025-04-15 a period began with 1 seat at $119.99 each: $89.99.",
            "2025年04月15日に期間が始まりました。単価$119.99 × 1席 = $89.99。",
        ),
        (
            {"kind": "period", "fraction": "1", "seats": 3},
            "On 2025-04-15 a period began with 3 seats at $119.99 each: $89.99.",
            "2025年04月15日に期間が始まりました。単価$119.99 × 3席 = $89.99。",
        ),
        (
            {"kind": "period", "fraction": "1/2"},
            (
                "On 2025-04-15 billing went on. $119.99 x 1 x 1/2 of the period (whole months left and "
                "days of the running "
                "month) = $59.995, rounded half up: $89.99."
            ),
            (
                "2025年04月15日に利用を再開しました。"
                "単価$119.99 × 1席 × 期間の1/2(残りの月数と当月の残り日数)= $59.995、四捨五入して$89.99。"
            ),
        ),
        (
            {"kind": "gift", "fraction": "1"},
            (
                "On 2025-04-15 billing went on. $119.99 x 1 x 1 of the period (whole months left and days "
                "of the running "
                "month) = $119.99, rounded half up: $89.99."
            ),
            (
                "2025年04月15日に利用を再開しました。"
                "単価$119.99 × 1席 × 期間の1(残りの月数と当月の残り日数)= $119.99、四捨五入して$89.99。"
            ),
        ),
        (
            {"seats": 0, "line_amount": 0, "amount": -8999},
            (
                "This line no longer stands: what was learned later takes it to $0.00. This entry corrects the line by "
                "-$89.99."
            ),
            "後から分かった事実により、この明細は$0.00になりました。この記帳による差額: -$89.99。",
        ),
        (
            {"fraction": "0", "line_amount": 0, "amount": 0, "rules": ("TR-01", "TR-22", "XX-02")},
            "This line was taken back whole (XX-02): $0.00.",
            "この明細は全額取り消されました(XX-02): $0.00。",
        ),
        (
            {"fraction": "0", "line_amount": 0, "amount": 0, "rules": ()},
            "This line was taken back whole (): $0.00.",
            "この明細は全額取り消されました(): $0.00。",
        ),
    ],
)
def test_an_entry_is_told_in_both_languages(more: Mapping[str, Any], english: str, japanese: str) -> None:
    assert explain({**ENTRY, **more}, [], "Asia/Tokyo")["text"] == {"en": english, "ja": japanese}


def row(number: int, **data: object) -> dict[str, Any]:
    one = fact("member.joined", "2025-04-14T20:00", f"person-{number}", "b1", data=data)
    return {**asdict(one), "delivery_id": f"d{number}"}


def test_an_explanation_has_every_number_that_a_checker_needs() -> None:
    known = row(1, name="Aoi")
    told = explain({**ENTRY, "instant": when("2025-04-15")}, [known])
    text = told.pop("text")
    facts = told.pop("facts")
    assert told == {
        "entry_id": "entry-1",
        "key": ENTRY["key"],
        "at": "2025-04-15T00:00:00.000Z",
        "heard_at": "2025-04-16T00:00:00.000Z",
        "seats": 1,
        "unit_amount": 11999,
        "currency": "USD",
        "method": "months_days",
        "fraction": "3/4",
        "exact": "35997/4",
        "rounding": "half_up",
        "amount": 8999,
        "line_amount": 8999,
        "rules": ["TR-08", "XX-02"],
    }
    same = ("id", "kind", "source", "source_id", "member", "board", "delivery_id")
    wanted = {name: known[name] for name in same}
    assert facts == [{**wanted, "at": "2025-04-14T20:00:00.000Z", "heard_at": "2025-04-14T20:00:00.000Z"}]
    assert text["en"] == f"{ADDED} For: Aoi (member.joined)."
    assert text["ja"] == f"{ADDED_JA}対象: Aoi (member.joined)。"


def test_who_is_behind_a_line_is_named_up_to_twenty_and_then_counted() -> None:
    board = {**row(0), "member": None}
    for many, more in ((20, ""), (21, "+1"), (23, "+3")):
        text = explain(ENTRY, [row(i) for i in range(many)] + [board], "Asia/Tokyo")["text"]
        names = [f"person-{i} (member.joined)" for i in range(20)] + ([more] if more else [])
        # What counts the rest stands behind the last name, after the same mark.
        assert text["en"] == f"{ADDED} For: {'; '.join(names)}."
        assert text["ja"] == f"{ADDED_JA}対象: {'、'.join(names)}。"


@pytest.mark.parametrize(
    ("kind", "seats", "text"),
    [
        ("period", 1, "1 seat for the period"),
        ("licences_added", 1, "1 licence added, prorated"),
        ("licences_added", 2, "2 licences added, prorated"),
        ("licences_bought", 2, "2 licences bought automatically, prorated"),
        ("plan_changed", 2, "change to a larger plan, 2 seats, prorated"),
        ("interval_credit", 1, "unused part of 1 seat, given back"),
        ("option:check", 1, "check ordered"),
        ("option:check", 2, "check ordered, 2 times"),
        ("gift", 0, "0 seats"),
    ],
)
def test_a_line_is_described_in_the_words_of_its_kind(kind: str, seats: int, text: str) -> None:
    assert describe(kind, seats) == text
    assert describe(kind, seats, "Premium") == f"Premium: {text}"
