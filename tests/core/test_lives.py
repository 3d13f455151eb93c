"""The laws over whole lives, of all three shapes: commands, payments, failures, dunning, and facts that come late.

While a life is told, each step's money is checked (law 2), and each accepted command owes its quote (law 11).
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.core.commands import Verdict, judge
from billing.core.course import Course
from billing.core.errors import RefusedError, SekisuError
from billing.core.facts import Fact
from billing.core.lines import BOUGHT, policies
from billing.core.plans import Shape
from billing.core.replay import Replay
from tests.core.lives import Judged, Told, book, live, lives, reheard
from tests.core.memory import Remembered
from tests.core.offers import SHAPES
from tests.core.often import often
from tests.core.telling import Plan, by_key, statement
from tests.core.till import Till

LIFE = settings(
    max_examples=often(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.parametrize("shape", SHAPES)
def test_law_1_and_2_and_11_hold_over_lives_of_every_shape(shape: Shape) -> None:
    @LIFE
    @given(lives(shape), st.randoms(use_true_random=False), st.sampled_from(["each", "due", "none"]))
    def law(told: Told, random: Random, stops: str) -> None:
        memory = told.memory
        assert by_key(memory.book.values()) == told.owed()
        assert {key: amount for key, amount in told.till.entries.items() if amount} == {
            line.key: line.amount for line in memory.book.values() if line.amount
        }
        other = reheard(told, random, stops)  # type: ignore[arg-type]
        assert by_key(other.book.values()) == told.owed()
        assert other.members == memory.members
        # The frontier is only a bound: a step that came to nothing may have moved it.
        assert replace(other.position, frontier=None) == replace(memory.position, frontier=None)
        assert set(other.spans) == set(memory.spans)

    law()


def test_the_lives_meet_every_state_every_kind_of_line_and_every_command() -> None:
    """The laws above would hold of nothing, if lives stood still."""
    seen: Counter[str] = Counter()
    for shape in SHAPES:
        for seed in range(40):
            seen += live(shape, seed, 16, 14).seen
    assert seen.keys() >= STATES
    assert seen.keys() >= KINDS
    assert {f"{command} accepted" for command in ACCEPTED} <= seen.keys()


def test_the_lives_that_climb_change_plans_twice_at_one_instant_by_equal_steps() -> None:
    for shape in SHAPES:
        seen = sum((live(shape, seed, 8, 16, climbs=True).seen for seed in range(40)), Counter[str]())
        assert seen["equal steps"] > 0, shape


STATES = {"free", "trialing", "trial_registered", "active", "cancelling", "past_due", "suspended", "closed", "expired"}
STATES |= {"migrated"}
KINDS = {"period", "seats_added", "licences_added", "licences_bought", "plan_changed", "interval_credit"}
KINDS |= {"option:check"}
ACCEPTED = {"subscription", "trial", "registration", "licences", "plan-change", "interval-change", "payment-method"}
ACCEPTED |= {"cancellation", "refund", "migration", "option"}


@LIFE
@given(lives(), st.integers(0, 2**32 - 1), st.lists(st.floats(0, 1), max_size=5).map(sorted))
def test_law_4_thirteen_months_at_once_or_in_stops_are_the_same_charge_for_charge(
    told: Told, seed: int, stops: list[float]
) -> None:
    """Every fact is known from the beginning and waits for its instant; every charge is answered where it is asked."""
    known = tuple(replace(fact, heard_at=told.start - timedelta(days=9)) for fact in told.facts)
    at_once = advanced(told, known, seed, [told.end])
    between = [told.start + (told.end - told.start) * stop for stop in stops]
    in_stops = advanced(told, known, seed, [*between, told.end])
    assert at_once.entries == in_stops.entries
    assert list(at_once.charges.values()) == list(in_stops.charges.values())
    assert (at_once.credit, at_once.collected, at_once.refunded) == (
        in_stops.credit,
        in_stops.collected,
        in_stops.refunded,
    )


def advanced(told: Told, known: tuple[Fact, ...], seed: int, stops: list[datetime]) -> Till:
    """The money after advancing from stop to stop; an obligation is paid or not, whenever it is asked for."""
    till = Till()

    def posted(memory: Remembered, taken: object, change: object) -> None:
        book(till, memory, taken, change, told.plan)  # type: ignore[arg-type]
        for charge in till.charges.values():
            if charge.status == "queued":
                till.move(charge, "sending")
                till.move(
                    charge, Random(f"{seed} {charge.obligation} {charge.attempt}").choice(["succeeded", "failed"])
                )
        till.sound()

    memory = Remembered(posted=posted)
    memory.settle(known, told.plan, told.start - timedelta(days=4))
    for now in stops:
        memory.settle((), told.plan, now)
    return till


@LIFE
@given(lives())
def test_law_5_a_verdict_equals_judging_again_at_its_recorded_sequence(told: Told) -> None:
    for judged in told.judged:
        again = judge_again(told, judged)
        if isinstance(judged.answer, Verdict):
            assert again == judged.answer
        else:
            assert (type(again), str(again), getattr(again, "rule", None)) == (
                type(judged.answer),
                str(judged.answer),
                judged.answer.rule,
            )


def judge_again(told: Told, judged: Judged) -> Verdict | SekisuError:
    """The verdict on what was known at the recorded sequence, computed by the full statement."""
    now, plan = judged.case.now, replace(told.plan, facts=told.plan.facts[: judged.seq])
    facts = [fact for fact in told.facts if fact.id in judged.heard and fact.at <= now]
    life = plan.course(now)
    occupied = Replay("w1", facts, policies(life, plan.pins(life), plan.base)).occupied_at(now)
    case = replace(judged.case, course=life, occupied=occupied, purchased=purchased(facts, plan, life, now))
    try:
        return judge(judged.command, judged.body, case)
    except SekisuError as refusal:
        return refusal


def purchased(facts: list[Fact], plan: Plan, life: Course, now: datetime) -> int:
    """What the running period has bought, by the lines of the full statement."""
    running = life.at(now) or (life.before(now) if life.suspended else None)
    if running is None:
        return 0
    mine = [line for line in statement(facts, plan, now, "w1") if (line.subscription, line.n) == running.key]
    given_up = sum(grant.count for grant in life.grants if grant.key == running.key and grant.count < 0)
    return sum(line.seats for line in mine if line.kind in BOUGHT) + given_up


@LIFE
@given(lives())
def test_law_9_a_refused_command_leaves_no_fact_and_names_its_rule(told: Told) -> None:
    accepted = [one for one in told.judged if isinstance(one.answer, Verdict)]
    commands = [fact for fact in told.plan.facts if fact.source == "command"]
    assert [(one.answer.kind, one.case.now) for one in accepted] == [(fact.kind, fact.at) for fact in commands]  # type: ignore[union-attr]
    for one in told.judged:
        assert not isinstance(one.answer, RefusedError) or one.answer.rule
