"""Law 10: what is heard too late acts on the roster at once, and on money only from inside the re-rating window."""

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.core.facts import Fact
from billing.core.plans import RERATING_DAYS
from billing.core.replay import seen_from
from tests.core.histories import LAW, Batch, History, disagreements, histories
from tests.core.memory import Remembered
from tests.core.often import often
from tests.core.telling import amounts, by_key, fact, joined, left, life_fact, on_boards, plan, statement, when

_DELAYS = [0, 0, 0, 30, 399, 400, 401, 420, 500, 800]


def old(case: History, seed: int) -> History:
    """The same facts heard up to two years later, and a person's verdict on some of those that are too old."""
    random = Random(seed)
    facts = tuple(replace(one, heard_at=one.at + timedelta(days=random.choice(_DELAYS))) for one in case.facts)
    too_old = [one for one in facts if seen_from(one) > one.at]
    heard = sorted(facts, key=lambda one: one.heard_at)
    batches = [Batch(case.start), *(Batch(max(case.start, one.heard_at), (one,)) for one in heard)]
    end = max(batches[-1].now, case.end) + timedelta(days=random.choice([1, 40]))
    allowed = random.sample(too_old, len(too_old) // 3)
    verdicts = [(max(one.heard_at, case.start) + timedelta(hours=1), [one.id]) for one in allowed]
    told = sorted(verdicts, key=lambda verdict: verdict[0])
    life = [life_fact("late.accepted", at, i + 2, {"facts": ids}) for i, (at, ids) in enumerate(told)]
    return History(facts, tuple(batches), replace(case.plan, facts=(*case.plan.facts, *life)), end)


@settings(LAW, max_examples=often(60))
@given(histories(), st.integers(0, 2**32 - 1))
def test_law_10_both_forms_see_an_old_fact_from_the_same_instant_on(case: History, seed: int) -> None:
    assert disagreements(old(case, seed)) == []


@LAW
@given(histories(), st.integers(0, 2**32 - 1))
def test_law_10_an_old_fact_moves_no_line_from_before_the_window(case: History, seed: int) -> None:
    told = old(case, seed)
    named = {name for verdict in told.plan.facts[1:] for name in verdict.data["facts"]}  # type: ignore[attr-defined]
    waiting = [one for one in told.facts if seen_from(one) > one.at and one.id not in named]
    for one in waiting[:3]:
        without = tuple(other for other in told.facts if other != one)
        assert before(told, told.facts, seen_from(one)) == before(told, without, seen_from(one))


def before(case: History, facts: tuple[Fact, ...], instant: object) -> list[object]:
    lines = statement(facts, case.plan, case.end, "w1")
    return [line for line in lines if line.instant < instant]  # type: ignore[operator]


def heard(one: Fact, days: int) -> Fact:
    return replace(one, heard_at=one.at + timedelta(days=days))


def test_law_10_a_leave_heard_401_days_late_is_billed_up_to_the_window_and_a_person_may_say_otherwise() -> None:
    """Two people by the month; one left on the first day of the second month, told 401 days after."""
    pins = plan("2024-01-15", "month", 1000)
    begun, gone = joined("2024-01-15", "ann", "bob"), left("2024-02-14", "bob")[0]
    now = when("2025-04-01")
    late = [*begun, heard(gone, RERATING_DAYS + 1)]
    assert seen_from(late[-1]) == when("2024-02-15")
    in_time = [*begun, heard(gone, RERATING_DAYS)]
    assert amounts(statement(late, pins, now, "w1"))[:3] == [2000, 2000, 1000]
    assert amounts(statement(in_time, pins, now, "w1"))[:3] == [2000, 1000, 1000]
    verdict = life_fact("late.accepted", now, 2, {"facts": [gone.id]})
    accepted = replace(pins, facts=(*pins.facts, verdict))
    assert amounts(statement(late, accepted, now, "w1"))[:3] == [2000, 1000, 1000]
    memory = Remembered()
    memory.settle(late, pins, late[-1].heard_at)
    assert not memory.members["bob"].billable
    memory.settle([], accepted, now)
    assert by_key(memory.book.values()) == by_key(statement(late, accepted, now, "w1"))


def test_law_10_an_old_delivery_shows_a_boards_owner_only_from_the_window_on() -> None:
    pins = plan("2024-01-15", "month", 1000)
    shown = fact("board.member_added", "2024-01-16", "cy", "b", owner="w2")
    facts = [*joined("2024-01-15", "ann"), *on_boards("2024-01-20", "gus", "a", "b"), heard(shown, 500)]
    now = when("2025-08-01")
    memory = Remembered()
    for one in sorted(facts, key=lambda one: one.heard_at):
        memory.settle([one], pins, max(one.heard_at, when("2024-01-15")))
    memory.settle([], pins, now)
    owed = statement(facts, pins, now, "w1")
    assert by_key(memory.book.values()) == by_key(owed)
    assert {line.seats for line in owed if line.instant < seen_from(facts[-1])} == {1, 2}
