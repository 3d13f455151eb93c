"""Which question a fact answers, and when a fact that was only observed gives its place to a genuine one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing.core.facts import Fact
from billing.core.observed import Interval, interval, matter, standing_in
from tests.core.telling import fact, when

BETWEEN = Interval(when("2025-03-01"), when("2025-03-31"))
INSIDE = "2025-03-10"


def seen(kind: str, member: str | None = None, board: str | None = None, run: str = "ro_1", **more: object) -> Fact:
    """What a list showed at the end of March that was not so at its beginning."""
    one = fact(kind, "2025-03-31", member, board, **more)
    return replace(one, source_id=run, data={**one.data, "observed": BETWEEN.written()})


def test_an_interval_is_open_where_it_begins_and_closed_where_it_ends() -> None:
    moment = timedelta(microseconds=1)
    told = [BETWEEN.start, BETWEEN.start + moment, BETWEEN.end, BETWEEN.end + moment]
    assert [BETWEEN.has(at) for at in told] == [False, True, True, False]


def test_an_interval_is_written_with_its_microseconds_and_read_back() -> None:
    between = Interval(when("2025-03-01"), datetime(2025, 3, 31, 1, 2, 3, 456789, UTC))
    written = {"from": "2025-03-01T00:00:00+00:00", "to": "2025-03-31T01:02:03.456789+00:00"}
    assert between.written() == written
    assert interval(replace(fact("member.left", INSIDE, "ann"), data={"observed": written})) == between


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("member.joined", ("membership", "ann", None)),
        ("member.left", ("membership", "ann", None)),
        ("member.invited", ("membership", "ann", None)),
        ("member.deactivated", ("activity", "ann", None)),
        ("member.reactivated", ("activity", "ann", None)),
        ("member.role_changed", ("role", "ann", None)),
        ("board.member_added", ("seat", "ann", "b1")),
        ("board.member_removed", ("seat", "ann", "b1")),
        ("board.attached", ("owner", "ann", "b1")),
        ("board.closed", ("closed", "ann", "b1")),
        ("payment.failed", None),
    ],
)
def test_a_fact_answers_one_question(kind: str, wanted: tuple[str, str, str | None] | None) -> None:
    assert matter(kind, "ann", "b1") == wanted


def test_a_fact_that_answers_no_question_of_a_roster_is_passed_over() -> None:
    other = fact("payment.failed", INSIDE)
    left, genuine = seen("member.left", "ann"), fact("member.left", INSIDE, "ann")
    assert standing_in([other, left, genuine]) == [other, genuine]


def test_the_last_genuine_fact_within_the_interval_decides() -> None:
    left = seen("member.left", "ann")
    gone, back = fact("member.left", INSIDE, "ann"), fact("member.joined", "2025-03-12", "ann")
    outside = fact("member.joined", "2025-04-01", "ann")
    assert standing_in([left, gone, back]) == [left, gone, back]
    assert standing_in([left, gone, outside]) == [gone, outside]
    assert standing_in([left]) == [left]


@pytest.mark.parametrize(
    ("told", "same", "other"),
    [
        (
            seen("board.attached", board="b1", workspace="w1"),
            fact("board.attached", INSIDE, board="b1", workspace="w1"),
            fact("board.attached", INSIDE, board="b1", workspace="w2"),
        ),
        (
            seen("member.role_changed", "ann", data={"role": "admin"}),
            fact("member.role_changed", INSIDE, "ann", data={"role": "admin"}),
            fact("member.role_changed", INSIDE, "ann", data={"role": "member"}),
        ),
        (
            seen("member.joined", "ann", data={"role": "admin"}),
            fact("member.joined", INSIDE, "ann", data={"role": "member"}),
            fact("member.left", INSIDE, "ann"),
        ),
        (
            seen("board.member_added", "ann", "b1"),
            fact("board.member_added", INSIDE, "ann", "b1"),
            fact("board.member_added", INSIDE, "ann", "b2"),
        ),
    ],
)
def test_a_place_is_taken_by_a_fact_that_says_the_same_and_by_no_other(told: Fact, same: Fact, other: Fact) -> None:
    assert standing_in([told, same]) == [same]
    assert standing_in([told, other]) == [told, other]


def test_what_each_list_said_of_a_matter_is_judged_by_itself() -> None:
    first, second = seen("member.left", "ann"), seen("member.joined", "ann", run="ro_2")
    gone = fact("member.left", INSIDE, "ann")
    assert standing_in([first, second, gone]) == [second, gone]
