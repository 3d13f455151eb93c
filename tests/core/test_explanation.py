"""Why was this paid: numbers that anybody can recompute, and the same in two languages."""

from dataclasses import asdict
from fractions import Fraction
from typing import Any

import pytest

from billing.core.explanation import describe, explain
from billing.core.lines import Line
from billing.core.money import rounded
from tests.core.telling import fact, plan, statement, when


def entry(line: Line, amount: int | None = None) -> dict[str, Any]:
    more = {"id": "entry-1", "key": line.key, "heard_at": line.instant, "line_amount": line.amount}
    return {**asdict(line), **more, "fraction": str(line.fraction), "amount": line.amount if amount is None else amount}


def told() -> tuple[Line, ...]:
    facts = [fact("member.joined", "2025-01-15", "aoi"), fact("member.joined", "2025-04-15", "ben")]
    return statement(facts, plan("2025-01-15", "year", 11999), when("2025-06-01"), "w1")


def row(**more: Any) -> dict[str, Any]:
    one = asdict(fact("member.joined", "2025-04-15", "ben", data={"name": "Ben"})) | {"delivery_id": "d1"} | more
    return {**one, "data": dict(one["data"])}


def test_the_documents_second_seat_is_explained_down_to_the_minor_unit() -> None:
    said = explain(entry(told()[1]), [row()])
    assert (said["fraction"], said["exact"], said["amount"]) == ("3/4", "35997/4", 8999)
    assert said["rules"] == ["TR-08", "XX-02"]
    assert said["at"] == "2025-04-15T00:00:00.000Z"
    assert [one["delivery_id"] for one in said["facts"]] == ["d1"]
    for text in said["text"].values():
        assert "$89.99" in text
        assert "3/4" in text
        assert "$89.9925" in text
        assert "Ben" in text


def test_the_explanation_can_be_recomputed_from_its_own_numbers() -> None:
    for line in told():
        said = explain(entry(line), [])
        exact = said["unit_amount"] * said["seats"] * Fraction(said["fraction"])
        assert Fraction(said["exact"]) == exact
        assert rounded(exact, said["rounding"]) == said["amount"]


def test_a_correction_tells_the_line_and_its_own_part() -> None:
    said = explain(entry(told()[1], amount=-1000), [])
    assert (said["amount"], said["line_amount"]) == (-1000, 8999)
    assert "-$10.00" in said["text"]["en"]
    assert "-$10.00" in said["text"]["ja"]


@pytest.mark.parametrize(
    ("kind", "seats", "name", "text"),
    [
        ("period", 2, "", "2 seats for the period"),
        ("seats_added", 1, "Premium", "Premium: 1 seat added, prorated"),
        ("something", 3, "", "3 seats"),
    ],
)
def test_a_line_describes_itself_in_a_few_words(kind: str, seats: int, name: str, text: str) -> None:
    assert describe(kind, seats, name) == text
