"""Observed facts stand in until the genuine one is heard; then they count no more, whatever came first."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.core.facts import Fact, fact_id
from billing.core.observed import Interval, interval, standing_in
from billing.core.replay import Replay
from tests.core.telling import when

START, END = when("2025-03-01"), when("2025-03-31")
BETWEEN = Interval(START, END)
PEOPLE, BOARDS = ("aoi", "ren"), ("b1", "b2", "b3")


def fact(kind: str, at: datetime, who: str | None, board: str | None = None, number: int = 0, **more: object) -> Fact:
    name = f"{kind}-{at.isoformat()}-{who}-{board}-{number}"
    owner = "w1" if board else None
    return Fact(fact_id("acc", "tool", name, 0), kind, at, at, "tool", name, 0, who, board, "w1", owner, **more)  # type: ignore[arg-type]


def observed(one: Fact, between: Interval = BETWEEN, at: datetime | None = None, run: str = "ro_1") -> Fact:
    """The same, seen in a list."""
    told = {"observed": between.written()}
    return replace(
        one, id=f"{run}-{one.id}", source="roster", source_id=run, at=at or between.end, data={**one.data, **told}
    )


def histories(seed: int) -> tuple[list[Fact], list[Fact], list[Fact]]:
    """What was known at the start, all that truly happened in between, and what a list at the end shows beyond."""
    random = Random(seed)
    known = _moves(random, START - timedelta(days=20), START, random.randint(0, 8))
    truth = _moves(random, START, END, random.randint(1, 8))
    before, after = Replay("w1", known), Replay("w1", [*known, *truth])
    seen: list[Fact] = []
    for who in PEOPLE:
        if after.people[who].membership != before.people[who].membership:
            kind = "member.joined" if after.people[who].membership == "member" else "member.left"
            seen.append(fact(kind, END, who, number=99))
        seen += [fact("board.member_added", END, who, b, 99) for b in after.people[who].on - before.people[who].on]
        seen += [fact("board.member_removed", END, who, b, 99) for b in before.people[who].on - after.people[who].on]
    return known, truth, [observed(one) for one in seen]


def _moves(random: Random, start: datetime, end: datetime, count: int) -> list[Fact]:
    instants = sorted(start + (end - start) * random.uniform(0.01, 0.99) for _ in range(count))
    kinds = ["member.joined", "member.left", "board.member_added", "board.member_removed"]
    made = []
    for number, at in enumerate(instants):
        kind = random.choice(kinds)
        made.append(fact(kind, at, random.choice(PEOPLE), random.choice(BOARDS) if "board" in kind else None, number))
    return made


def steps(facts: Sequence[Fact]) -> list[tuple[datetime, int]]:
    """The occupancy wherever it changes."""
    told = [(step.at, step.occupied) for step in Replay("w1", facts).history]
    return [step for n, step in enumerate(told) if n == 0 or told[n - 1][1] != step[1]]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_law_1_what_counts_depends_on_the_set_of_facts_and_not_on_their_order(seed: int, shuffled: Random) -> None:
    known, truth, seen = histories(seed)
    facts = [*known, *truth, *seen]
    kept = {one.id for one in standing_in(facts)}
    shuffled.shuffle(facts)
    assert {one.id for one in standing_in(facts)} == kept
    assert {one.id for one in standing_in(standing_in(facts))} == kept


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 255))
def test_whichever_genuine_facts_come_later_what_the_list_showed_otherwise_stays_so(seed: int, mask: int) -> None:
    known, truth, seen = histories(seed)
    heard = [one for number, one in enumerate(truth) if mask >> number & 1]
    replay = Replay("w1", standing_in([*known, *heard, *seen]))
    for one in seen:
        person = replay.people[one.member or ""]
        if one.board is None:
            assert person.membership == ("member" if one.kind == "member.joined" else "none")
        else:
            assert (one.board in person.on) == (one.kind == "board.member_added")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_when_every_genuine_fact_has_come_the_observed_ones_count_no_more(seed: int) -> None:
    known, truth, seen = histories(seed)
    early = [replace(one, at=START + timedelta(microseconds=1)) for one in seen]
    for told in (seen, early):  # billed from the end of the interval, or from its start
        assert standing_in([*known, *truth, *told]) == [*known, *truth]
        assert steps(standing_in([*known, *truth, *told])) == steps([*known, *truth])


def test_a_genuine_fact_takes_the_place_of_the_observed_one_and_of_no_other() -> None:
    seen = observed(fact("member.left", END, "aoi"))
    inside = fact("member.left", when("2025-03-10"), "aoi")
    assert standing_in([seen, inside]) == [inside]
    for other in (
        fact("member.left", when("2025-03-10"), "ren"),
        fact("member.joined", when("2025-03-10"), "aoi"),
        fact("board.member_removed", when("2025-03-10"), "aoi", "b1"),
        fact("member.left", START, "aoi"),
        fact("member.left", END + timedelta(seconds=1), "aoi"),
    ):
        assert seen in standing_in([seen, other])


def test_an_observed_fact_stands_when_more_must_have_happened_after_the_genuine_one() -> None:
    seen = observed(fact("member.joined", END, "aoi"))
    joined, left = fact("member.joined", when("2025-03-05"), "aoi"), fact("member.left", when("2025-03-09"), "aoi")
    assert standing_in([seen, joined]) == [joined]
    assert standing_in([seen, joined, left]) == [seen, joined, left]


def test_what_one_list_said_of_one_matter_goes_as_a_whole() -> None:
    away, asked = observed(fact("member.left", END, "aoi", seq=1)), observed(fact("member.invited", END, "aoi", seq=2))
    left, invited = fact("member.left", when("2025-03-05"), "aoi"), fact("member.invited", when("2025-03-09"), "aoi")
    assert standing_in([away, asked, left]) == [away, asked, left]
    assert standing_in([away, asked, left, invited]) == [left, invited]


def test_an_observed_fact_takes_no_other_observed_ones_place() -> None:
    first = observed(fact("member.left", END, "aoi"))
    again = observed(fact("member.left", END, "aoi"), Interval(START, END + timedelta(days=1)), run="ro_2")
    assert standing_in([first, again]) == [first, again]


@pytest.mark.parametrize("odd", [None, 5, {}, {"from": "x", "to": "y"}, {"from": "2025-03-01T00:00:00Z"}])
def test_data_that_says_no_interval_is_a_genuine_facts(odd: object) -> None:
    one = replace(fact("member.left", END, "aoi"), data={"observed": odd})
    assert interval(one) is None
    assert standing_in([one]) == [one]
