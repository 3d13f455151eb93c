"""Who is billable and who is free: every rule, asked of the one pure function and of a replayed roster."""

from dataclasses import fields
from itertools import product

import pytest

from billing.core.classification import ORDINARY, Membership, Policy, Standing, Verdict, classify, present
from billing.core.facts import Fact
from billing.core.replay import Replay
from tests.core.memory import Remembered
from tests.core.telling import fact, joined, left, on_boards, plan, when

GUESTS_FREE = Policy(guests_free=True)
CLOSED_COUNT = Policy(closed_boards_count=True)
DAY = "2025-03-01"


def verdict(facts: list[Fact], member: str, workspace: str = "w1", policy: Policy = ORDINARY) -> Verdict:
    """What the replayed roster says of a person, after making sure that the kept roster says the same."""
    memory = Remembered(workspace)
    seats = {"guests_free": policy.guests_free, "closed_boards_count": policy.closed_boards_count}
    terms = plan("2025-02-01", "month", 1250, **seats)
    for one in sorted(facts, key=lambda one: one.at):
        memory.settle([one], terms, one.at)
    replayed = classify(Replay(workspace, facts, memory.policies).standing(member), policy)
    head = memory.members[member]
    assert (head.billable, head.rule) == (replayed.billable, replayed.rule)
    return replayed


@pytest.mark.parametrize(
    ("standing", "policy", "billable", "rule"),
    [
        (Standing("member"), ORDINARY, True, "TR-01"),
        (Standing("member", boards=9), GUESTS_FREE, True, "TR-01"),
        (Standing(boards=2), ORDINARY, True, "TR-02"),
        (Standing(boards=2), GUESTS_FREE, False, "B-04"),
        (Standing(boards=1), ORDINARY, False, "TR-15"),
        (Standing(boards=1), GUESTS_FREE, False, "TR-15"),
        (Standing("pending"), ORDINARY, False, "TR-18"),
        (Standing("pending", boards=2), ORDINARY, False, "TR-18"),
        (Standing("member", deactivated=True), ORDINARY, False, "TR-19"),
        (Standing(deactivated=True, boards=2), ORDINARY, False, "TR-19"),
        (Standing(boards=1, closed_boards=1), ORDINARY, False, "TR-15"),
        (Standing(boards=1, closed_boards=1), CLOSED_COUNT, True, "TR-02"),
        (Standing(closed_boards=2), ORDINARY, False, "A-05"),
        (Standing(), ORDINARY, False, "TR-06"),
    ],
)
def test_every_standing_has_one_answer_and_names_its_rule(
    standing: Standing, policy: Policy, billable: bool, rule: str
) -> None:
    assert classify(standing, policy) == Verdict(billable, rule)


def test_classification_cannot_see_a_role() -> None:
    assert {field.name for field in fields(Standing)} == {"membership", "deactivated", "boards", "closed_boards"}


def test_only_members_and_multi_board_guests_are_ever_billable_and_never_when_deactivated() -> None:
    memberships: list[Membership] = ["none", "pending", "member"]
    policies = [Policy(free, shut) for free, shut in product([False, True], repeat=2)]
    for membership, off, boards, shut, policy in product(memberships, [False, True], range(4), range(4), policies):
        answer = classify(Standing(membership, off, boards, shut), policy)
        counted = boards + (shut if policy.closed_boards_count else 0)
        guest = membership == "none" and counted >= 2 and not policy.guests_free
        assert answer.billable == (not off and (membership == "member" or guest))


def test_tr_01_a_workspace_member_is_billable_without_any_board() -> None:
    assert verdict(joined(DAY, "mia"), "mia") == Verdict(True, "TR-01")


def test_tr_02_a_guest_becomes_billable_on_the_second_board_and_stays_one_person_on_the_third() -> None:
    assert verdict(on_boards(DAY, "gus", "a"), "gus") == Verdict(False, "TR-15")
    assert verdict(on_boards(DAY, "gus", "a", "b"), "gus") == Verdict(True, "TR-02")
    assert verdict(on_boards(DAY, "gus", "a", "b", "c"), "gus") == Verdict(True, "TR-02")


def test_tr_02_the_same_board_twice_is_one_board() -> None:
    facts = [*on_boards(DAY, "gus", "a"), *on_boards("2025-03-02", "gus", "a")]
    assert verdict(facts, "gus") == Verdict(False, "TR-15")


def test_tr_02_boards_of_other_workspaces_do_not_count() -> None:
    facts = [*on_boards(DAY, "gus", "a"), *on_boards(DAY, "gus", "z", owner="w2")]
    assert verdict(facts, "gus", "w1") == Verdict(False, "TR-15")
    assert verdict(facts, "gus", "w2") == Verdict(False, "TR-15")


def test_tr_02_a_board_that_belongs_to_no_workspace_does_not_count() -> None:
    facts = [*on_boards(DAY, "gus", "a"), *on_boards(DAY, "gus", "z", owner="")]
    assert verdict(facts, "gus") == Verdict(False, "TR-15")


def test_tr_06_who_left_the_workspace_is_free() -> None:
    assert verdict([*joined(DAY, "mia"), *left("2025-03-02", "mia")], "mia") == Verdict(False, "TR-06")


def test_tr_07_a_guest_who_falls_below_two_boards_is_free_again() -> None:
    facts = [*on_boards(DAY, "gus", "a", "b"), fact("board.member_removed", "2025-03-02", "gus", "b")]
    assert verdict(facts, "gus") == Verdict(False, "TR-15")


@pytest.mark.parametrize("role", ["observer", "normal", "admin", "", None, "emperor"])
def test_tr_14_a_role_never_enters_the_count(role: str | None) -> None:
    data = {"role": role}
    added = [fact("board.member_added", DAY, "olga", board, data=data) for board in ("a", "b")]
    assert verdict(added, "olga") == Verdict(True, "TR-02")
    assert verdict(added[:1], "olga") == Verdict(False, "TR-15")
    assert verdict([fact("member.joined", DAY, "olga", data=data)], "olga") == Verdict(True, "TR-01")
    assert verdict([*added[:1], fact("member.role_changed", DAY, "olga", data=data)], "olga").rule == "TR-15"


def test_tr_18_an_invited_person_without_an_account_is_free_until_they_join() -> None:
    invited = [fact("member.invited", DAY, "vera")]
    assert verdict(invited, "vera") == Verdict(False, "TR-18")
    assert verdict([*invited, *joined("2025-03-05", "vera")], "vera") == Verdict(True, "TR-01")


def test_tr_18_an_invitation_takes_no_seat_away_from_who_is_here_already() -> None:
    invited = fact("member.invited", "2025-03-05", "mia")
    assert verdict([*joined(DAY, "mia"), invited], "mia") == Verdict(True, "TR-01")
    assert verdict([*on_boards(DAY, "mia", "a", "b"), invited], "mia") == Verdict(True, "TR-02")


def test_tr_19_a_deactivated_member_is_free_until_reactivated() -> None:
    facts = [*joined(DAY, "mia"), fact("member.deactivated", "2025-03-02", "mia")]
    assert verdict(facts, "mia") == Verdict(False, "TR-19")
    assert verdict([*facts, fact("member.reactivated", "2025-03-03", "mia")], "mia") == Verdict(True, "TR-01")


def test_tr_19_deactivation_survives_leaving_rejoining_and_board_changes() -> None:
    facts = [
        *joined(DAY, "mia"),
        fact("member.deactivated", "2025-03-02", "mia"),
        *left("2025-03-03", "mia"),
        *joined("2025-03-04", "mia"),
        *on_boards("2025-03-05", "mia", "a", "b"),
    ]
    assert verdict(facts, "mia") == Verdict(False, "TR-19")


def test_a_05_a_closed_board_does_not_count_unless_the_plan_says_so() -> None:
    facts = [*on_boards(DAY, "gus", "a", "b"), fact("board.closed", "2025-03-02", board="b")]
    assert verdict(facts, "gus") == Verdict(False, "TR-15")
    assert verdict(facts, "gus", policy=CLOSED_COUNT) == Verdict(True, "TR-02")
    reopened = [*facts, fact("board.reopened", "2025-03-03", board="b")]
    assert verdict(reopened, "gus") == Verdict(True, "TR-02")


def test_a_05_a_guest_of_closed_boards_only_is_free() -> None:
    facts = [*on_boards(DAY, "gus", "a"), fact("board.closed", "2025-03-02", board="a")]
    assert verdict(facts, "gus") == Verdict(False, "A-05")


def test_a_06_a_virtual_person_on_two_boards_is_free_until_the_account_exists() -> None:
    unconfirmed = {"unconfirmed": True}
    facts = [*on_boards(DAY, "vera", "a", "b"), fact("member.invited", "2025-03-02", "vera", data=unconfirmed)]
    assert verdict(facts, "vera") == Verdict(False, "TR-18")
    assert verdict([*facts, *joined("2025-03-03", "vera")], "vera") == Verdict(True, "TR-01")


def test_a_06_a_deactivated_guest_of_many_boards_is_free_in_every_capacity() -> None:
    facts = [*on_boards(DAY, "gus", "a", "b", "c"), fact("member.deactivated", "2025-03-02", "gus")]
    assert verdict(facts, "gus") == Verdict(False, "TR-19")


def test_a_06_a_deactivation_on_a_board_counts_as_well_as_one_in_the_workspace() -> None:
    facts = [*joined(DAY, "mia"), fact("member.deactivated", "2025-03-02", "mia", "a")]
    assert verdict(facts, "mia") == Verdict(False, "TR-19")


def test_b_03_a_guest_promoted_to_member_stays_one_billable_person() -> None:
    facts = on_boards(DAY, "gus", "a", "b")
    assert verdict(facts, "gus") == Verdict(True, "TR-02")
    assert verdict([*facts, *joined("2025-03-02", "gus")], "gus") == Verdict(True, "TR-01")
    assert [step.occupied for step in Replay("w1", [*facts, *joined("2025-03-02", "gus")]).history] == [1, 1]


def test_b_04_a_plan_may_let_multi_board_guests_in_for_free() -> None:
    facts = on_boards(DAY, "gus", "a", "b")
    assert verdict(facts, "gus", policy=GUESTS_FREE) == Verdict(False, "B-04")
    assert verdict([*facts, *joined("2025-03-02", "gus")], "gus", policy=GUESTS_FREE) == Verdict(True, "TR-01")


def test_a_plan_may_tell_each_standing_by_a_rule_of_its_own() -> None:
    policy = Policy(names=(("member", "CW-01"), ("guest", "CW-29")))
    assert classify(Standing("member"), policy) == Verdict(True, "CW-01")
    assert classify(Standing(boards=2), policy) == Verdict(True, "CW-29")
    assert classify(Standing(boards=1), policy) == Verdict(False, "TR-15")


def test_a_board_that_moves_takes_its_guests_along() -> None:
    facts = [*on_boards(DAY, "gus", "a", "b"), fact("board.attached", "2025-03-02", board="b", workspace="w2")]
    assert verdict(facts, "gus", "w1") == Verdict(False, "TR-15")
    assert verdict(facts, "gus", "w2") == Verdict(False, "TR-15")
    gone = [*facts, fact("board.detached", "2025-03-03", board="b", workspace="w2")]
    assert verdict(gone, "gus", "w2") == Verdict(False, "TR-06")


def test_a_detachment_from_a_workspace_that_no_longer_owns_the_board_changes_nothing() -> None:
    facts = [
        *on_boards(DAY, "gus", "a", "b"),
        fact("board.attached", "2025-03-02", board="b", workspace="w1"),
        fact("board.detached", "2025-03-03", board="b", workspace="w2"),
    ]
    assert verdict(facts, "gus", "w1") == Verdict(True, "TR-02")


def test_a_board_belongs_from_the_beginning_to_whom_its_earliest_delivery_shows() -> None:
    facts = [
        fact("board.member_added", DAY, "gus", "a", owner=None),
        fact("board.member_added", DAY, "gus", "b", owner=None),
        fact("board.member_removed", "2025-03-02", "ann", "a"),
        fact("board.member_removed", "2025-03-02", "ann", "b"),
    ]
    assert verdict(facts, "gus") == Verdict(True, "TR-02")
    assert [step.occupied for step in Replay("w1", facts).history] == [1, 1]
    assert Replay("w1", facts).history[0].at == when(DAY)


@pytest.mark.parametrize(
    ("standing", "here"),
    [
        (Standing(), False),
        (Standing("pending"), True),
        (Standing("member"), True),
        (Standing(deactivated=True), True),
        (Standing(boards=1), True),
        (Standing(closed_boards=1), True),
    ],
)
def test_the_roster_lists_who_was_invited_is_here_or_is_flagged(standing: Standing, here: bool) -> None:
    assert present(standing) == here
