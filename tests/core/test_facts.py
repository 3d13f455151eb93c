"""The identity and the order of facts: both are kept in databases for ever, so neither may ever change."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing.core.facts import RANK, fact_id, order
from tests.core.telling import fact


@pytest.mark.parametrize(
    ("account", "source", "source_id", "ordinal", "wanted"),
    [
        ("acc", "trello", "5f1", 0, "fact_76bc359e1e80c2dd7dcdb37f2cbe3740"),
        ("acc", "trello", "5f1", 1, "fact_291013a076167140661392300ae6e7a7"),
        ("a", "b\ud800", "c", 0, "fact_5b5cac5dfe05ed60d95e917f1e7ccfde"),
    ],
)
def test_law_1_the_id_of_an_event_is_the_same_in_every_version(
    account: str, source: str, source_id: str, ordinal: int, wanted: str
) -> None:
    assert fact_id(account, source, source_id, ordinal) == wanted


def test_the_parts_of_an_id_do_not_run_into_each_other() -> None:
    assert fact_id("ab", "c", "d", 0) != fact_id("a", "bc", "d", 0) != fact_id("a", "b", "cd", 0)


def test_law_7_facts_of_one_instant_go_by_the_sources_sequence_then_by_kind_then_by_name() -> None:
    one = replace(fact("member.joined", "2025-01-15", "ann"), source_id="e1", ordinal=2)
    assert order(one) == (one.at, 0, RANK["member.joined"], "e1", 2)
    assert order(replace(one, seq=5)) == (one.at, 5, RANK["member.joined"], "e1", 2)
    assert order(replace(one, kind="something.new")) == (one.at, 0, 99, "e1", 2)
    earlier = replace(one, at=one.at - timedelta(microseconds=1), seq=9)
    assert order(earlier) < order(one) < order(replace(one, seq=1))
