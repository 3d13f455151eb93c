"""The laws of the design as properties over histories nobody thought of (DESIGN.md section 2)."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.core.classification import classify
from billing.core.facts import Fact, order
from billing.core.lines import Line
from billing.core.money import rounded, shared
from billing.core.proration import Period, share_left
from billing.core.replay import Replay
from tests.core.histories import (
    LAW,
    MOST_BOARDS,
    MOST_FACTS,
    MOST_PEOPLE,
    Batch,
    History,
    Tally,
    disagreements,
    histories,
    in_order,
    seeded,
    settled,
)
from tests.core.memory import Remembered
from tests.core.telling import amounts, by_key, fact, joined, left, on_boards, people, plan, statement, when


def periods(case: History) -> list[Period]:
    """The periods of the subscription up to the end."""
    return [stretch.period for stretch in case.plan.course(case.end).stretches]


def owed(case: History, facts: tuple[Fact, ...] | None = None, workspace: str = "w1") -> list[Line]:
    return by_key(statement(case.facts if facts is None else facts, case.plan, case.end, workspace))


def test_law_1_however_facts_are_heard_lines_and_roster_end_as_the_full_statement_says() -> None:
    """Permuted, late, doubled, batched, and cut off by a death; in histories as hard as the design asks."""
    tally = Tally()

    @LAW
    @given(histories())
    def law(case: History) -> None:
        assert disagreements(case, tally=tally) == []

    law()
    assert tally.histories >= 200
    assert tally.share("late") >= 0.3
    assert tally.share("same-instant") >= 0.2
    assert tally.share("board") >= 0.1
    assert tally.rerated / tally.histories >= 0.25


def test_the_histories_reach_the_size_that_the_design_asks() -> None:
    cases = [seeded(seed) for seed in range(200)]
    assert max(len(case.facts) for case in cases) == MOST_FACTS == 60
    assert max(len({one.member for one in case.facts if one.member}) for case in cases) == MOST_PEOPLE == 12
    assert max(len({one.board for one in case.facts if one.board}) for case in cases) == MOST_BOARDS == 4
    for case in cases:
        assert case.start < periods(case)[1].end <= case.end
    assert Counter(batch.dies for case in cases for batch in case.batches)[True] > 100


@LAW
@given(histories(), st.sampled_from(["w1", "w2"]))
def test_law_1_two_ways_of_hearing_the_same_facts_end_in_the_same_roster(case: History, workspace: str) -> None:
    one, other = settled(case, workspace=workspace), settled(in_order(case), workspace=workspace)
    assert one.book == other.book
    assert one.members == other.members
    assert one.position == other.position
    assert by_member(one) == by_member(other)
    assert boards(one) == boards(other)


def by_member(memory: Remembered) -> set[object]:
    return set(memory.spans) | {seat for seat, on in memory.seats.items() if on}


def boards(memory: Remembered) -> dict[str, object]:
    return {name: (head.owner, head.closed) for name, head in memory.board_heads.items()}


@LAW
@given(histories())
def test_law_1_settling_again_changes_nothing(case: History) -> None:
    memory = settled(case)
    before = deepcopy(memory)
    change = memory.settle(case.facts, case.plan, case.end)
    assert not change.steps
    assert change.old_lines == change.new_lines == []
    assert (memory.book, memory.members, memory.position) == (before.book, before.members, before.position)


@pytest.mark.parametrize("happened", list(permutations(range(3))))
def test_law_1_guest_joins_board_enters_and_moves_end_equal_in_every_order(happened: tuple[int, ...]) -> None:
    days = ["2025-02-03", "2025-02-04", "2025-02-05"]
    pins = plan("2025-01-15", "month", 1250)
    before = [*on_boards("2025-02-01", "gus", "a"), *on_boards("2025-02-01", "gus", "z", owner="w2")]
    events = [
        fact("board.member_added", days[happened[0]], "gus", "b", owner=None),
        fact("board.attached", days[happened[1]], board="b", workspace="w1"),
        fact("board.attached", days[happened[2]], board="b", workspace="w2"),
    ]
    for workspace in ("w1", "w2"):
        full = by_key(statement([*before, *events], pins, when("2025-03-20"), workspace))
        assert bool(full) == (_visible(events, workspace)), workspace
        for heard in permutations([*before, *events]):
            for size in (1, 2, 5):
                memory = Remembered(workspace)
                for start in range(0, len(heard), size):
                    memory.settle(heard[start : start + size], pins, when("2025-02-10"))
                memory.settle([], pins, when("2025-03-20"))
                assert by_key(memory.book.values()) == full


def _visible(events: list[Fact], workspace: str) -> bool:
    """Whether the guest was ever on board b while it was the workspace's: then on two boards, and billable."""
    guest, *moves = events
    moves.sort(key=lambda move: move.at)
    until = [moves[1].at, when("2100-01-01")]
    return any(move.workspace == workspace and guest.at < end for move, end in zip(moves, until, strict=True))


def test_law_1_a_deactivation_on_a_board_is_kept_when_that_board_is_folded_again() -> None:
    pins, memory = plan("2025-01-15", "month", 1250), Remembered()
    memory.settle(joined("2025-01-15", "ann"), pins, when("2025-01-15"))
    memory.settle([fact("board.closed", "2025-01-20", board="a")], pins, when("2025-01-20"))
    late = fact("board.reopened", "2025-01-18", board="a")
    memory.settle([late, fact("member.deactivated", "2025-01-25", "ann", "a")], pins, when("2025-01-25"))
    assert memory.members["ann"].deactivated
    assert memory.position.occupied == 0


def test_law_1_what_happened_before_the_seat_policy_turned_is_judged_by_both_policies_when_it_is_heard_late() -> None:
    pins, memory = plan("2025-02-01", "month", 1250, guests_free=True), Remembered()
    begun = joined("2025-01-20", "ann")
    late = [*on_boards("2025-01-25", "gus", "a", "b"), fact("board.reopened", "2025-01-26", board="a")]
    memory.settle(begun, pins, when("2025-02-05"))
    for one in late:
        memory.settle([one], pins, when("2025-02-06"))
    assert by_key(memory.book.values()) == by_key(statement([*begun, *late], pins, when("2025-02-06"), "w1"))
    assert (memory.members["gus"].billable, memory.members["gus"].rule) == (False, "B-04")


@LAW
@given(histories(), st.integers(1, 7))
def test_law_3_the_terms_of_a_later_period_move_no_line_of_an_earlier_one(case: History, n: int) -> None:
    changed = replace(case.plan, amounts=(*case.plan.amounts[:n], *[9999] * 8))
    after = by_key(statement(case.facts, changed, case.end, "w1"))
    assert [line for line in after if line.n < n] == [line for line in owed(case) if line.n < n]
    memory = settled(case)
    assert memory.settle([], changed, case.end).new_lines == []


@LAW
@given(histories(), st.lists(st.integers(0, 1500), max_size=6).map(sorted))
def test_law_4_time_in_one_step_or_in_many_ends_in_the_same_lines(case: History, hours: list[int]) -> None:
    """Every fact is known from the beginning and waits for its instant."""
    at_once, in_steps = Remembered(stops="none"), Remembered()
    for memory in (at_once, in_steps):
        memory.settle(case.facts, case.plan, case.start - timedelta(days=4))
        assert memory.book == {}
    for hour in hours:
        now = case.start + timedelta(hours=hour)
        if now < case.end:
            in_steps.settle([], case.plan, now)
            assert by_key(in_steps.book.values()) == by_key(statement(case.facts, case.plan, now, "w1"))
    for memory in (at_once, in_steps):
        memory.settle([], case.plan, case.end)
    assert at_once.book == in_steps.book
    assert at_once.members == in_steps.members
    assert at_once.position == in_steps.position


@LAW
@given(histories(), st.randoms(use_true_random=False))
def test_law_7_the_order_of_arrival_within_an_instant_never_matters(case: History, random: Random) -> None:
    heard = list(case.facts)
    random.shuffle(heard)
    heard.sort(key=lambda one: one.at)
    batches = tuple(Batch(max(one.at, case.start), (one,)) for one in heard)
    alone = settled(replace(case, batches=(Batch(case.start), *batches)))
    assert by_key(alone.book.values()) == owed(case)


@LAW
@given(histories())
def test_law_7_seats_are_measured_once_per_instant_on_the_state_after_all_its_facts(case: History) -> None:
    lines = owed(case)
    for line in lines:
        others = [other for other in lines if (other.instant, other.kind) == (line.instant, line.kind)]
        assert others == [line]
    replay = Replay("w1", case.facts)
    assert [step.at for step in replay.history] == sorted({one.at for one in case.facts})
    assert replay.history[-1].occupied == sum(classify(replay.standing(name)).billable for name in replay.people)


@LAW
@given(st.integers(1, 6), st.integers(0, 6), st.randoms(use_true_random=False))
def test_law_7_swapping_any_number_of_people_at_one_instant_costs_nothing(n: int, k: int, random: Random) -> None:
    pins, instant = plan("2025-01-15", "month", 1250), "2025-01-20T10:00"
    begun = joined("2025-01-15", *people(n))
    swap = [*left(instant, *people(min(k, n))), *joined(instant, *people(min(k, n), "new"))]
    random.shuffle(swap)
    memory = Remembered()
    for one in [*begun, *swap]:
        memory.settle([one], pins, one.at)
    assert amounts(memory.book.values()) == [1250 * n]
    assert memory.position.occupied == memory.position.purchased == n


def test_law_7_the_sources_own_sequence_comes_before_additions_before_removals() -> None:
    pins, instant = plan("2025-01-15", "month", 1250), "2025-01-20"
    added, gone = joined(instant, "ann")[0], left(instant, "ann")[0]
    assert statement([gone, added], pins, when("2025-01-21"), "w1") == ()
    sequenced = [replace(gone, seq=1), replace(added, seq=2)]
    assert len(statement(sequenced, pins, when("2025-01-21"), "w1")) == 1


@LAW
@given(histories())
def test_law_8_lines_never_merge_and_each_is_rounded_once_from_its_exact_amount(case: History) -> None:
    lines = owed(case)
    assert len({line.key for line in lines}) == len(lines)
    for line in lines:
        assert line.seats > 0
        assert 0 <= line.fraction <= 1
        assert line.exact == line.unit_amount * line.seats * line.fraction
        assert line.amount == rounded(line.exact, line.rounding)
        assert line.facts


@LAW
@given(histories())
def test_law_8_persons_sum_on_exact_fractions_and_shown_amounts_sum_to_the_line(case: History) -> None:
    for line in owed(case):
        each = [line.unit_amount * line.fraction] * line.seats
        assert sum(each) == line.exact
        if line.exact:
            assert sum(shared(line.amount, each)) == line.amount
        if line.kind == "seats_added":
            assert line.fraction == share_left(line.method, periods(case)[line.n], line.instant)
        else:
            assert line.fraction == Fraction(1)


@LAW
@given(histories())
def test_what_was_bought_in_a_period_is_its_high_water_mark(case: History) -> None:
    """The auto seats shape in one sentence, read from the finished lines (TR-06, TR-08, TR-09)."""
    begun, [terms] = case.plan.facts[0].data, case.plan.prices.values()
    replay = Replay("w1", case.facts, settled(case).policies)
    bought = Counter[int]()
    for line in owed(case):
        bought[line.n] += line.seats
    for n, period in enumerate(periods(case)):
        opens = period.start if n else case.start
        within = [step.occupied for step in replay.history if opens <= step.at < period.end]
        first = replay.occupied_before(opens)
        if n == 0:
            first = max([step.occupied for step in replay.history if step.at <= opens][-1:], default=0)
        floor = int(str(begun["seats"])) if n == 0 and begun["seats"] is not None else terms.minimum
        assert bought[n] == max([*within, first, floor])


@LAW
@given(histories(), st.integers(1, 5))
def test_law_11_a_quote_is_what_the_added_people_then_cost(case: History, heads: int) -> None:
    """The difference of two statements; and the same facts, when they really come, owe exactly that."""
    at = case.end + timedelta(hours=1)
    what_if = [
        replace(one, at=at, heard_at=at, id=f"new-{i}", source_id=f"~{i}")
        for i, one in enumerate(joined("2025-01-01", *people(heads, "new")))
    ]
    known = statement(case.facts, case.plan, at, "w1")
    quote = by_key(set(statement([*case.facts, *what_if], case.plan, at, "w1")) - set(known))
    memory = settled(case)
    memory.settle([], case.plan, at)
    before = dict(memory.book)
    memory.settle(what_if, case.plan, at)
    assert by_key(line for key, line in memory.book.items() if before.get(key) != line) == quote
    assert before.items() <= memory.book.items()
    assert sum(line.seats for line in quote) <= heads


def test_facts_are_told_apart_by_a_total_order() -> None:
    for seed in range(50):
        facts = seeded(seed).facts
        assert len({order(one) for one in facts}) == len(facts)
