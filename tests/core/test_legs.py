"""What comes behind a late fact and is not changed by it is neither read nor walked again (DESIGN.md section 1)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from billing.core.facts import Fact
from billing.core.incremental import Leg, advance
from billing.core.lines import BOUGHT, Line
from billing.core.plans import Dunning
from tests.core.histories import LAW, Step
from tests.core.judging import ZONE, terms
from tests.core.memory import Remembered
from tests.core.telling import Plan, by_key, fact, joined, left, plan, statement, when
from tests.core.test_life import Story, day

YEAR = plan("2025-01-15", "year", 12000)
NOW = when("2025-12-01")


class Watched(Remembered):
    """Counts the legs that are read."""

    legs = 0

    def ahead(self, since: datetime) -> Iterator[Leg]:
        for leg in super().ahead(since):
            self.legs += 1
            yield leg


def shuffled(seed: int) -> list[Fact]:
    """People come and go within one long period; what they did is heard in any order, long after."""
    random = Random(seed)
    people = [f"p{n}" for n in range(random.randint(2, 7))]
    days = [(NOW - timedelta(days=random.randint(1, 310))).date().isoformat() for _ in range(random.randint(8, 24))]
    kinds = ["member.joined", "member.joined", "member.left", "member.deactivated", "member.reactivated"]
    facts = [fact(random.choice(kinds), random.choice(days), random.choice(people)) for _ in range(30)]
    return [replace(one, heard_at=NOW) for one in facts]


def owing(memory: Remembered, told: Plan) -> list[Line]:
    """What the full statement says of all that the memory heard."""
    heard = [one for one in memory.facts.values() if one not in told.facts]
    return by_key(statement(heard, told, memory.now or NOW, "w1"))


def one_by_one(seed: int, step: Step = advance) -> list[str]:
    """Where the two forms disagree after any of the facts, settled alone."""
    memory, facts = Remembered(step=step), shuffled(seed)
    memory.settle(joined("2025-01-15", "first"), YEAR, NOW)
    found = []
    for n, late in enumerate(facts):
        memory.settle([late], YEAR, NOW)
        owed = owing(memory, YEAR)
        purchased = sum(line.seats for line in owed if line.kind in BOUGHT)
        if by_key(memory.book.values()) != owed or memory.position.purchased != purchased:
            found.append(f"{n}: {late.kind} of {late.member} at {late.at}")
    return found


def unpaid(step: Step = advance) -> list[Line]:
    """The lines of a period in which nine people came, hour by hour, and which was never paid: time takes it back."""
    own = terms(dunning=Dunning((), 1, "failure", "suspended", 14))
    story = Story().start(own).paid("failed", day("2025-03-03"))
    told, memory = Plan(tuple(story.facts), {("small", "month"): own}, ZONE), Remembered(step=step)
    for n in range(9):
        [came] = joined(f"2025-03-01T{n + 2:02d}:00", f"p{n}")
        memory.settle([came], told, came.at)
    memory.settle([], told, day("2025-03-25"))
    return by_key(memory.book.values())


@LAW
@given(st.integers(0, 2**32 - 1))
def test_law_1_late_facts_settled_one_by_one_in_any_order_owe_what_the_full_statement_says(seed: int) -> None:
    assert one_by_one(seed) == []


def test_what_time_takes_back_is_every_line_of_the_period_however_many_they_are() -> None:
    lines = unpaid()
    assert len(lines) == 8  # two were there when it began
    assert all(line.amount == line.fraction == 0 for line in lines)


def crowd(late: Fact) -> tuple[Watched, list[Line]]:
    """A hundred came one after the other, each on a new seat; then a late fact is heard. Answers the lines walked."""
    memory = Watched()
    memory.settle(joined("2025-01-15", "first", "second"), YEAR, when("2025-01-15"))
    for n in range(100):
        [came] = joined((when("2025-02-01") + timedelta(hours=n)).isoformat()[:16], f"p{n}")
        memory.settle([came], YEAR, came.at)
    memory.legs = 0
    change = memory.settle([replace(late, heard_at=NOW)], YEAR, NOW)
    assert by_key(memory.book.values()) == owing(memory, YEAR)
    return memory, change.new_lines


def test_somebody_who_came_unheard_before_a_hundred_others_is_one_line_and_the_others_are_not_read() -> None:
    [late] = joined("2025-01-20", "late")
    memory, [line] = crowd(late)
    assert (line.seats, line.facts) == (1, (late.id,))
    assert (memory.legs, memory.position.purchased) == (1, 103)


def test_somebody_who_left_unheard_before_a_hundred_others_leaves_a_seat_that_only_the_next_one_takes() -> None:
    memory, lines = crowd(left("2025-01-20", "second")[0])
    assert [line.instant.isoformat()[:16] for line in lines] == ["2025-02-01T01:00"]
    assert (memory.legs, memory.position.purchased) == (2, 101)


def test_nothing_is_read_for_what_comes_last() -> None:
    memory = Watched()
    for n in range(1, 4):
        memory.settle(joined(f"2025-02-0{n}", f"p{n}"), YEAR, when(f"2025-02-0{n}"))
    assert memory.legs == 0


def test_what_is_learned_of_an_earlier_period_is_walked_up_to_the_renewals_behind_it() -> None:
    """A renewal counts who is there, whatever was bought before."""
    month, now, memory = plan("2025-01-15", "month", 1250), when("2025-03-01"), Remembered()
    memory.settle(joined("2025-01-15", "first"), month, when("2025-01-15"))
    for n in range(20, 30):
        memory.settle(joined(f"2025-01-{n}", f"p{n}"), month, when(f"2025-01-{n}"))
    memory.settle([], month, now)
    memory.settle(joined("2025-01-17", "late"), month, now)
    assert by_key(memory.book.values()) == owing(memory, month)
    assert [line.seats for line in by_key(memory.book.values()) if line.kind == "period"] == [1, 12]
