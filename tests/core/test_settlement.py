"""What becomes of a difference (law 2): one line at a time, and over whole histories with charges on their way."""

from dataclasses import replace
from fractions import Fraction
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.core.lines import Line
from billing.core.settlement import (
    Collected,
    Difference,
    Reduction,
    Share,
    decide,
    differences,
    obligations,
    shrunk,
    unexplained,
)
from billing.core.tax import Tax
from tests.core.histories import LAW, Batch, History, histories, seeded
from tests.core.memory import Remembered
from tests.core.often import often
from tests.core.telling import amounts, joined, left, plan, statement, when
from tests.core.till import Till

PINS = plan("2025-01-15", "year", 12000)


@cache
def two_lines() -> tuple[Line, Line]:
    """A year for one person, and a second seat from its middle on."""
    facts = [*joined("2025-01-15", "ann"), *joined("2025-07-15", "bob")]
    first, second = statement(facts, PINS, when("2025-08-01"), "w1")
    return first, second


def less(line: Line, by: int) -> Difference:
    return Difference(replace(line, amount=line.amount - by), -by)


def test_what_is_already_posted_makes_no_difference() -> None:
    lines = two_lines()
    assert differences(lines, lines) == []


def test_another_person_on_the_same_seat_at_the_same_instant_is_an_entry_of_no_amount() -> None:
    first, second = two_lines()
    [difference] = differences([first, second], [first, replace(second, facts=("another",))])
    assert (difference.amount, difference.line.facts) == (0, ("another",))


def test_a_new_line_is_a_difference_of_its_whole_amount() -> None:
    first, second = two_lines()
    assert differences([first], [first, second]) == [Difference(second, 6000)]


def test_a_line_that_vanished_stands_at_zero_and_its_whole_amount_is_taken_back() -> None:
    first, second = two_lines()
    [gone] = differences([first, second], [first])
    assert (gone.amount, gone.line.key, gone.line.seats, gone.line.amount) == (-6000, second.key, 0, 0)
    assert differences([first, gone.line], [first]) == []


def test_a_line_that_stood_at_zero_already_vanishes_without_an_entry() -> None:
    first, second = two_lines()
    [gone] = differences([first, second], [first], ("cause",))
    assert gone.line.facts == ("cause",)
    assert differences([first, gone.line], [first], ("another",)) == []


def test_two_lines_of_one_key_are_refused_because_one_of_them_would_not_be_charged() -> None:
    first, second = two_lines()
    for posted, owed in (([first], [first, second, second]), ([first, second, first], [first, second])):
        with pytest.raises(ValueError, match="two lines of one key"):
            differences(posted, owed)


def test_only_the_changed_part_of_a_line_is_posted() -> None:
    first, second = two_lines()
    assert differences([first, second], [replace(first, seats=3, amount=36000), second])[0].amount == 24000


def test_a_line_whose_arithmetic_changed_is_posted_even_for_nothing() -> None:
    first, _ = two_lines()
    assert differences([first], [replace(first, rules=("TR-01",))])[0].amount == 0


def test_a_difference_that_neither_seats_nor_facts_explain_is_held() -> None:
    """Law 3: it can only come of changed rules or arithmetic."""
    first, second = two_lines()
    dearer = replace(second, fraction=Fraction(1), amount=12000)
    assert unexplained([first, second], differences([first, second], [first, dearer])) == [Difference(dearer, 6000)]
    twice = second.facts * 2
    for new in (replace(dearer, seats=2), replace(dearer, facts=("another",)), replace(dearer, facts=twice)):
        assert unexplained([first, second], differences([first, second], [first, new])) == []
    assert unexplained([first], differences([first], [first, second])) == []
    assert unexplained([first, second], differences([first, second], [first])) == []


def test_differences_come_in_the_order_of_time() -> None:
    first, second = two_lines()
    assert [difference.line for difference in differences([], [second, first])] == [first, second]


@pytest.mark.parametrize(
    ("kinds", "purpose"),
    [
        (["period", "seats_added", "option:check"], "period"),
        (["seats_added"], "seats"),
        (["option:check", "option:sheets"], "option"),
        (["option:check", "seats_added"], "seats"),
    ],
)
def test_law_6_an_obligation_is_that_of_the_last_line_and_of_the_greatest_purpose(
    kinds: list[str], purpose: str
) -> None:
    line, _ = two_lines()
    lines = [Difference(replace(line, kind=kind, n=n), 1) for n, kind in enumerate(kinds)]
    assert dict(obligations(lines)) == {"subscription_id": "sub", "n": len(kinds) - 1, "purpose": purpose}


def test_the_smallest_amounts_are_charged_taken_back_and_paid_back_as_well() -> None:
    line, _ = two_lines()
    assert decide([Difference(line, 1)], [], 0).lines == [Difference(line, 1)]
    assert decide([Difference(line, 0)], [], 0).lines == []
    back = decide(
        [less(line, 1)], [Share("c1", line.key, "succeeded", 1)], 0, till=[Collected("c0", 0), Collected("c1", 5)]
    )
    assert back.reductions == [Reduction("c1", line.key, 1, "credited", 1)]
    assert back.refunds == [Collected("c1", 1)]
    two = [Share("c1", line.key, "queued", 9), Share("c2", line.key, "succeeded", 9)]
    assert decide([less(line, 9)], two, 0).reductions == [Reduction("c1", line.key, 9, "shrunk", 9)]
    assert back.credit_gained == 0


def test_less_given_back_is_set_against_what_falls_in_its_period_before_any_charge_is_touched() -> None:
    line, _ = two_lines()
    giving = Difference(replace(line, kind="interval_credit"), 500)
    shares = [Share("c1", line.key, "queued", 12000)]
    taken = decide([less(line, 800), giving], shares, 0)
    assert (taken.lines, taken.reductions) == ([], [Reduction("c1", line.key, 300, "shrunk", 300)])


def test_a_positive_difference_becomes_one_charge() -> None:
    decision = decide(differences([], two_lines()), [], 0)
    assert (decision.total, decision.amount, decision.credit_used, decision.reductions) == (18000, 18000, 0, [])


@pytest.mark.parametrize(
    ("status", "how"),
    [
        ("queued", "shrunk"),
        ("held", "shrunk"),
        ("sending", "waiting"),
        ("pending", "waiting"),
        ("unknown", "waiting"),
        ("failed", "reduced"),
        ("succeeded", "credited"),
        ("cancelled", "forgone"),
    ],
)
def test_a_negative_difference_meets_a_charge_by_its_status(status: str, how: str) -> None:
    line, _ = two_lines()
    decision = decide([less(line, 4000)], [Share("c1", line.key, status, 12000)], 0)
    assert decision.reductions == [Reduction("c1", line.key, 4000, how, 4000)]
    assert decision.lines == []
    assert decision.credit_gained == (4000 if how == "credited" else 0)


def test_what_was_not_sent_is_taken_back_first_and_what_was_collected_last() -> None:
    line, _ = two_lines()
    statuses = ["succeeded", "failed", "pending", "queued"]
    shares = [Share(f"c-{status}", line.key, status, 1000) for status in statuses]
    taken = decide([less(line, 3500)], shares, 0).reductions
    assert [(one.how, one.amount) for one in taken] == [
        ("shrunk", 1000),
        ("waiting", 1000),
        ("reduced", 1000),
        ("credited", 500),
    ]


def test_of_charges_alike_the_newest_gives_first() -> None:
    line, _ = two_lines()
    shares = [Share(name, line.key, "queued", 1000) for name in ("c1", "c3", "c2")]
    assert [one.charge for one in decide([less(line, 2500)], shares, 0).reductions] == ["c3", "c2", "c1"]


def test_a_charge_of_another_line_of_the_period_gives_only_what_the_own_ones_cannot() -> None:
    """What an interval's end gave back may have been taken from any of them (TR-24)."""
    first, second = two_lines()
    shares = [Share("c1", first.key, "succeeded", 400), Share("c2", second.key, "queued", 6000)]
    taken = decide([less(first, 500)], shares, 0).reductions
    assert [(one.charge, one.how, one.amount) for one in taken] == [("c1", "credited", 400), ("c2", "shrunk", 100)]


def test_a_charge_of_another_period_is_left_alone() -> None:
    first, _ = two_lines()
    shares = [Share("c1", replace(first, n=1).key, "queued", 6000)]
    taken = decide([less(first, 500)], shares, 0).reductions
    assert [(one.charge, one.how, one.amount) for one in taken] == [("", "granted", 500)]


def test_credit_is_netted_against_the_next_charge_and_no_more_than_it() -> None:
    first, second = two_lines()
    assert decide([Difference(second, 6000)], [], 1000).amount == 5000
    covered = decide([Difference(second, 6000)], [], 7000)
    assert (covered.amount, covered.credit_used) == (0, 6000)
    both = decide([less(first, 2000), Difference(second, 6000)], [Share("c1", first.key, "succeeded", 12000)], 500)
    assert (both.credit_gained, both.credit_used, both.amount) == (2000, 2500, 3500)


def test_credit_alone_opens_no_charge() -> None:
    assert decide([], [], 7000).credit_used == 0


def test_what_is_given_back_of_a_period_paid_elsewhere_is_credit() -> None:
    first, _ = two_lines()
    credit = replace(first, kind="interval_credit", seats=1, fraction=Fraction(-1, 2), amount=-6000)
    found = differences([], [credit])
    decision = decide(found, [], 0, elsewhere=frozenset({("sub", 0)}))
    assert [(one.how, one.gross) for one in decision.reductions] == [("granted", 6000)]
    assert (decision.credit_gained, decision.lines) == (6000, [])
    opening = [Difference(first, 12000)]
    assert decide(opening, [], 0, elsewhere=frozenset({("sub", 0)})).lines == []


def test_what_a_cut_took_from_a_line_is_not_asked_for_again_when_that_line_moves() -> None:
    """The charge of the second seat gave 800 of its 1000 back; a late fact makes it a seat of the opening (TR-24)."""
    first, second = two_lines()
    found = [Difference(first, 1000), less(second, 1000)]
    decision = decide(found, [Share("c1", second.key, "succeeded", 200)], 0)
    assert [(one.how, one.amount) for one in decision.reductions] == [("credited", 200)]
    assert (decision.total, decision.credit_used, decision.amount) == (200, 200, 0)


def test_a_09_a_refund_pays_back_all_that_was_collected_and_not_only_what_was_not_yet_credited() -> None:
    """Half of the first charge was credit for the second, which was never paid and, voided, needs it no more."""
    first, second = two_lines()
    paid = Share("c1", first.key, "succeeded", 1250)
    unpaid = Share("c2", second.key, "failed", 24000, credit=1250)
    decision = decide([less(first, 1250), less(second, 24000)], [paid, unpaid], 0, till=[Collected("c1", 2500)])
    assert decision.refunds == [Collected("c1", 2500)]
    assert decision.credit_gained == -1250  # voiding the second charge gives as much back

    older = replace(unpaid, credit=2000, returned=0)  # 750 of it was there before the upgrade: it is not paid out
    decision = decide([less(first, 1250), less(second, 24000)], [paid, older], 0, till=[Collected("c1", 2500)])
    assert decision.refunds == [Collected("c1", 2500)]


def test_an_unsent_charge_shrinks_and_gives_back_the_credit_it_no_longer_needs() -> None:
    assert shrunk(5000, 1000, 2000) == (3000, 0)
    assert shrunk(5000, 1000, 5500) == (0, 500)
    assert shrunk(5000, 1000, 6000) == (0, 1000)


def test_a_person_who_never_came_turns_into_credit_and_pays_the_next_seat() -> None:
    till = Till()
    memory = Remembered()
    memory.settle([*joined("2025-01-15", "ann"), *joined("2025-07-15", "bob")], PINS, when("2025-07-16"))
    till.post(memory.book.values())
    [charge] = till.charges.values()
    till.move(charge, "sending")
    till.move(charge, "succeeded")
    memory.settle(left("2025-07-15", "bob"), PINS, when("2025-07-17"))
    till.post(memory.book.values())
    assert (till.collected, till.credit) == (18000, 6000)
    memory.settle(joined("2025-10-15", "cy"), PINS, when("2025-10-15"))
    assert till.post(memory.book.values()).amount == 0
    assert (amounts(memory.book.values()), till.credit) == ([12000, 3000], 3000)


@LAW
@given(histories(), st.integers(0, 2**32 - 1))
def test_law_2_the_books_balance_whatever_was_on_its_way(case: History, seed: int) -> None:
    random, memory, till = Random(seed), Remembered(), Till()
    for batch in (*case.batches, Batch(case.end)):
        memory.settle(batch.facts, case.plan, batch.now)
        before = sum(till.entries.values())
        decision = till.post(memory.book.values())
        taken = sum(one.amount for one in decision.reductions)
        assert decision.total - taken == sum(till.entries.values()) - before
        till.sound()
        till.move_some(random)
        till.sound()
    again = till.post(memory.book.values())
    assert (again.reductions, again.lines) == ([], [])
    owed = {line.key: line.amount for line in statement(case.facts, case.plan, case.end, "w1")}
    assert {key: amount for key, amount in till.entries.items() if amount} == {k: v for k, v in owed.items() if v}


@settings(LAW, max_examples=often(150))
@given(st.integers(0, 2**32 - 1))
def test_law_2_the_books_balance_with_tax_credit_refunds_and_cuts_whatever_was_on_its_way(seed: int) -> None:
    till = kept_books(seed)
    assert {key: amount for key, amount in till.entries.items() if amount} == {
        key: line.amount for key, line in till.posted.items() if line.amount
    }


def kept_books(seed: int) -> Till:
    """Two periods of three lines each that are owed, fall, are cut and given back at random; sound at every step."""
    random, till = Random(seed), Till()
    tax = Tax(random.choice(["0", "1/10", "1/10"]), random.choice(["exclusive", "inclusive"]))
    elsewhere = frozenset({("sub", 0)}) if random.random() < 0.2 else frozenset()
    for _ in range(24):
        if random.random() < 0.6:
            refunding = "sub" if random.random() < 0.08 else None
            owed = [] if refunding else owed_at_random(random, till, elsewhere)
            found = [one for one in differences(till.posted.values(), owed) if not paid_elsewhere(one, elsewhere)]
            till.take(found, tax, elsewhere, refunding)
            till.sound()
        till.move_some(random, failing=0.4)
        till.sound()
        if random.random() < 0.3:
            till.retry("sub")
    return till


def paid_elsewhere(one: Difference, elsewhere: frozenset[tuple[str, int]]) -> bool:
    """What was paid elsewhere is posted once and never falls."""
    return one.period in elsewhere and one.line.kind == "period" and one.amount <= 0


def owed_at_random(random: Random, till: Till, elsewhere: frozenset[tuple[str, int]]) -> list[Line]:
    """New amounts of some lines; a cut never gives back more than its period's lines are worth."""
    first, _ = two_lines()
    owed = []
    for n in (0, 1):
        worth = 0
        for kind in ("period", "seats_added", "interval_credit"):
            key = replace(first, n=n, kind=kind)
            old = till.posted.get(key.key)
            amount = old.amount if old else 0
            if kind == "interval_credit":
                given = -amount if random.random() < 0.5 else random.choice([0, worth // 2, random.randint(0, worth)])
                amount = -min(worth, given)
            elif random.random() < 0.5 and not (("sub", n) in elsewhere and kind == "period" and old):
                amount = random.choice([0, 105, 999, 1250, random.randint(0, 5000)])
            worth += amount
            if amount or old:
                owed.append(replace(key, amount=amount, seats=1 if amount else 0))
    return owed


def test_law_2_the_histories_meet_every_kind_of_reduction() -> None:
    """The law above would hold of nothing, if late facts never met charges on their way."""
    seen: set[str] = set()
    for seed in range(60):
        case, random, memory, till = seeded(seed), Random(seed), Remembered(), Till()
        for batch in case.batches:
            memory.settle(batch.facts, case.plan, batch.now)
            seen |= {reduction.how for reduction in till.post(memory.book.values()).reductions}
            till.move_some(random)
    assert seen == {"shrunk", "waiting", "reduced", "credited"}
