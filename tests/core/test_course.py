"""What a course answers: which stretch an instant lies in, when nothing is bought, how many licences are held."""

from dataclasses import replace
from datetime import timedelta

from billing.core.course import Course, Grant, Mute
from tests.core.judging import stretch
from tests.core.telling import when

SECOND = timedelta(seconds=1)
FIRST, NEXT = stretch(0), stretch(1)
MET = Course(stretches=(FIRST, NEXT))


def test_an_instant_lies_in_the_stretch_that_opens_with_it_and_not_in_the_one_that_closes() -> None:
    assert MET.at(FIRST.opens - SECOND) is None
    assert MET.at(FIRST.opens) == MET.at(FIRST.closes - SECOND) == FIRST
    assert MET.at(FIRST.closes) == NEXT
    assert MET.at(NEXT.closes) is None
    overlapping = Course(stretches=(FIRST, replace(NEXT, opens=FIRST.opens)))
    assert overlapping.at(FIRST.opens) == overlapping.stretches[1]


def test_the_stretch_before_an_instant_is_the_last_that_opened_earlier() -> None:
    assert MET.before(FIRST.opens) is None
    assert MET.before(FIRST.opens + SECOND) == MET.before(NEXT.opens) == FIRST
    assert MET.before(NEXT.opens + SECOND) == NEXT


def test_nothing_is_bought_from_the_suspension_up_to_the_payment() -> None:
    begins, ends = when("2025-03-05"), when("2025-03-08")
    course = Course(mutes=(Mute(begins, ends), Mute(when("2025-03-20"))))
    told = [course.muted(at) for at in (begins - SECOND, begins, ends - SECOND, ends)]
    assert told == [False, True, True, False]
    assert not course.muted(when("2025-03-20") - SECOND)
    assert course.muted(when("2025-03-20"))
    assert course.muted(when("2026-03-20"))
    assert not Course().muted(begins)


def test_licences_held_are_those_of_the_period_less_what_was_given_up_in_it() -> None:
    since, until = when("2025-03-05"), when("2025-03-08")
    told = [
        (since - SECOND, ("sub", 0), -1),
        (since, ("sub", 0), -2),
        (until - SECOND, ("sub", 0), -4),
        (until, ("sub", 0), -8),
        (since, ("sub", 1), -16),
        (since, ("sub", 0), 32),
    ]
    grants = tuple(Grant(at, key, count, f"fact-{-count}") for at, key, count in told)
    assert Course(grants=grants).licences(100, ("sub", 0), since, until) == 94
    assert Course().licences(100, ("sub", 0), since, until) == 100
