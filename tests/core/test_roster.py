"""The kept roster: what each fact does to a head, which people and boards are late, and the spans that flips make."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing.core.facts import Fact
from billing.core.roster import (
    BoardHead,
    Flip,
    Fold,
    Heads,
    MemberHead,
    Span,
    deltas,
    late_boards,
    late_members,
    spans_of,
)
from tests.core.telling import fact, when

AT, DAY = when("2025-03-10"), timedelta(days=1)


def one(kind: str, member: str | None = None, board: str | None = None, **more: object) -> Fact:
    return replace(fact(kind, "2025-03-10", member, board, **more), id="fact-1")


def folded(told: Fact, heads: Heads | None = None) -> tuple[Heads, list[Flip]]:
    fold = Fold(heads or Heads(), "w1")
    flips = list(fold.run([told]))
    return fold.heads, flips


@pytest.mark.parametrize(
    ("told", "before", "after"),
    [
        ("member.joined", {}, {"membership": "member", "billable": True, "rule": "TR-01"}),
        ("member.left", {"membership": "member"}, {"rule": "TR-06"}),
        ("member.invited", {}, {"membership": "pending", "rule": "TR-18"}),
        ("member.invited", {"on": 1}, {"on": 1}),
        ("member.invited", {"membership": "member"}, {"membership": "member", "billable": True, "rule": "TR-01"}),
        ("member.deactivated", {}, {"deactivated": True, "rule": "TR-19"}),
        ("member.reactivated", {"deactivated": True}, {}),
        ("member.role_changed", {}, {}),
    ],
)
def test_a_fact_of_a_person_changes_their_head(told: str, before: dict[str, object], after: dict[str, object]) -> None:
    heads = Heads(members={"ann": MemberHead(**before)})  # type: ignore[arg-type]
    wanted = MemberHead(**{"since": AT, "fact_id": "fact-1", "last_at": AT, **after})  # type: ignore[arg-type]
    assert folded(one(told, "ann"), heads)[0].members["ann"] == wanted


def test_an_unconfirmed_invitation_counts_for_somebody_on_a_board() -> None:
    heads = Heads(members={"ann": MemberHead(on=1)})
    told = one("member.invited", "ann", data={"unconfirmed": True})
    assert folded(told, heads)[0].members["ann"].membership == "pending"


def test_a_name_is_kept_and_a_role_only_of_the_workspace() -> None:
    heads, _ = folded(one("member.joined", "ann", data={"name": "Ann", "role": "admin"}))
    assert (heads.members["ann"].name, heads.members["ann"].role) == ("Ann", "admin")
    folded(one("member.role_changed", "ann", data={"role": "member", "name": 5}), heads)
    assert (heads.members["ann"].name, heads.members["ann"].role) == ("Ann", "member")
    folded(one("board.member_added", "ann", "b1", data={"role": "admin"}), heads)
    assert heads.members["ann"].role == "member"
    folded(one("member.left", "ann"), heads)
    assert heads.members["ann"].name == "Ann"
    assert not heads.members["ann"].role


def test_boards_are_counted_by_where_they_are() -> None:
    boards = {"b1": BoardHead("w1"), "b2": BoardHead("w1", closed=True), "b3": BoardHead("w2")}
    heads = Heads(boards=boards)
    for board in boards:
        folded(one("board.member_added", "gus", board), heads)
        folded(one("board.member_added", "gus", board), heads)
    assert (heads.members["gus"].on, heads.members["gus"].open, heads.members["gus"].shut) == (3, 1, 1)
    moved, flips = folded(one("board.attached", board="b3", workspace="w1"), heads)
    assert (moved.members["gus"].open, moved.members["gus"].shut) == (2, 1)
    assert flips == [Flip(AT, "gus", True, "fact-1")]
    folded(one("board.closed", board="b3"), heads)
    assert (heads.members["gus"].open, heads.members["gus"].shut) == (1, 2)
    folded(one("board.reopened", board="b2"), heads)
    assert (heads.members["gus"].open, heads.members["gus"].shut) == (2, 1)
    folded(one("board.detached", board="b2", workspace="w9"), heads)
    assert heads.members["gus"].open == 2
    folded(one("board.detached", board="b2", workspace="w1"), heads)
    assert heads.members["gus"].open == 1
    folded(one("board.member_removed", "gus", "b1"), heads)
    folded(one("board.member_removed", "gus", "b1"), heads)
    assert (heads.members["gus"].on, heads.members["gus"].open, heads.members["gus"].shut) == (2, 0, 1)


def test_a_board_belongs_to_whom_its_earliest_delivery_showed_before_it_was_moved() -> None:
    fold = Fold(Heads(), "w1")
    first, later = (
        one("board.member_added", "gus", "b1", owner="w1"),
        one("board.member_added", "gus", "b1", owner="w2"),
    )
    fold.show([replace(later, at=AT + DAY), first, one("member.joined", "ann")])
    assert fold.heads.boards == {"b1": BoardHead("w1", initial="w1", hint_at=AT)}
    moved = Fold(Heads(), "w1")
    moved.show([one("board.attached", board="b1", workspace="w2"), replace(first, at=AT + DAY)])
    assert moved.heads.boards == {"b1": BoardHead(explicit_at=AT)}


def test_flips_make_spans_and_spans_make_steps() -> None:
    flips = [Flip(AT, "ann", True, "f1"), Flip(AT, "ben", True, "f2"), Flip(AT + DAY, "ann", False, "f3")]
    spans = spans_of([*flips, Flip(AT + DAY, "ann", True, "f4")])
    closed = Span("ann", AT, "f1", AT + DAY)
    assert spans == [closed, Span("ben", AT, "f2"), Span("ann", AT + DAY, "f4")]
    assert deltas(spans) == {AT: 2, AT + DAY: 0}
    assert deltas([closed], sign=-1) == {AT: -1, AT + DAY: 1}


@pytest.mark.parametrize(
    ("told", "head", "late"),
    [
        (one("board.closed", board="b1"), {"last_at": AT, "initial": "w1"}, True),
        (one("board.closed", board="b1"), {"last_at": AT - DAY, "initial": "w1"}, False),
        (one("board.closed", board="b1"), {"initial": "w1"}, False),
        (one("board.member_added", "gus", "b1"), {"last_at": AT + DAY, "initial": "w1"}, False),
        (one("board.member_added", "gus", "b1", owner="w2"), {"initial": "w1", "hint_at": AT}, True),
        (one("board.member_added", "gus", "b1", owner="w2"), {"initial": "w1", "hint_at": AT - DAY}, False),
        (one("board.member_added", "gus", "b1", owner="w1"), {"initial": "w1", "hint_at": AT}, False),
        (one("board.member_added", "gus", "b1", owner="w2"), {}, True),
        (one("board.member_added", "gus", "b1", owner=None), {}, False),
        (one("board.member_added", "gus", "b1", owner="w2"), {"explicit_at": AT}, True),
        (one("board.member_added", "gus", "b1", owner="w2"), {"explicit_at": AT - DAY}, False),
        (one("board.attached", board="b1", workspace="w2"), {"hint_at": AT}, True),
        (one("board.detached", board="b1"), {"hint_at": AT}, True),
        (one("board.attached", board="b1", workspace="w2"), {"hint_at": AT - DAY}, False),
        (one("board.attached", board="b1", workspace="w2"), {"hint_at": AT, "explicit_at": AT - DAY}, False),
        (one("board.attached", board="b1", workspace="w2", owner="w3"), {"hint_at": AT - DAY}, False),
        (one("board.attached", board="b1", workspace="w2", owner="w3"), {}, False),
        (one("board.detached", board="b1", owner="w3"), {}, False),
        (one("member.joined", "ann"), {"last_at": AT}, False),
    ],
)
def test_a_board_is_late_when_its_own_fact_is_or_when_another_owner_turns_out_to_be_its_first(
    told: Fact, head: dict[str, object], late: bool
) -> None:
    assert late_boards([told], {"b1": BoardHead(**head)}) == ({"b1"} if late else set())  # type: ignore[arg-type]
    assert late_boards([told], {}) == set()


def test_people_are_late_when_their_last_fact_or_their_board_is() -> None:
    heads = Heads(members={"ann": MemberHead(last_at=AT), "ben": MemberHead(last_at=AT - DAY), "new": MemberHead()})
    heads.seats["b1"].update({"ann": False, "ben": True})
    heads.boards["b1"] = BoardHead(last_at=AT - DAY)
    heads.boards["b2"] = BoardHead(last_at=AT)
    facts = [one("member.joined", name) for name in ("ann", "ben", "new", "nobody")]
    assert late_members(facts, heads, set()) == {"ann"}
    assert late_members([], heads, {"b1"}) == {"ann", "ben"}
    assert late_members([one("board.closed", board="b1")], heads, set()) == {"ann"}
    assert late_members([one("board.member_added", "ben", "b2")], heads, set()) == {"ben"}
    assert late_members([one("board.member_added", "ben", "b1")], heads, set()) == set()
    assert late_members([one("board.member_added", "new", "b1")], heads, {"b1"}) == {"ann", "ben", "new"}
    assert late_members([one("board.member_added", "new", "b9")], heads, set()) == set()


def test_of_several_facts_each_makes_its_own_late() -> None:
    heads = Heads(members={"ann": MemberHead(last_at=AT), "ben": MemberHead(last_at=AT)})
    heads.boards.update({"b1": BoardHead(last_at=AT), "b2": BoardHead(last_at=AT)})
    heads.seats["b1"]["ann"] = heads.seats["b2"]["ben"] = True
    heads.seats["b1"]["somebody whose head is not there"] = True
    closed = [one("board.closed", board="b1"), one("board.closed", board="b2")]

    assert late_members(closed, heads, set()) == {"ann", "ben"}
    assert late_boards([one("member.joined", "ann"), one("board.closed", board="b9"), *closed], heads.boards) == {
        "b1",
        "b2",
    }


def test_described_are_those_who_are_new_or_have_another_name_or_role_and_nobody_else() -> None:
    heads = Heads()

    def described(told: Fact) -> set[str]:
        fold = Fold(heads, "w1")
        list(fold.run([told]))
        return fold.described

    assert described(one("member.joined", "ann")) == {"ann"}
    assert described(one("member.joined", "ann")) == set()
    assert described(one("board.member_added", "gus", "b1")) == {"gus"}
    assert described(one("board.member_added", "gus", "b2")) == set()
    assert described(one("member.role_changed", "ann", data={"role": "admin"})) == {"ann"}
    assert described(one("member.role_changed", "ann", data={"role": "admin"})) == set()
    assert described(one("member.role_changed", "ann", data={"name": "Ann"})) == {"ann"}
    assert described(one("board.closed", board="b1")) == set()


def test_a_fact_whose_place_was_taken_makes_what_comes_behind_it_late() -> None:
    heads = Heads(
        members={"ann": MemberHead(last_at=AT)}, boards={"b1": BoardHead(), "b2": BoardHead(last_at=AT + DAY)}
    )
    fold = Fold(heads, "w1")
    later = replace(one("member.left", "ann"), at=AT + DAY)
    boards = [one("board.closed", board=board) for board in ("b1", "b2", "b9")]
    fold.pass_over([later, one("member.left", "ann"), one("member.left", "nobody"), *boards])
    assert heads.members["ann"].last_at == AT + DAY
    assert (heads.boards["b1"].last_at, heads.boards["b2"].last_at) == (AT, AT + DAY)
    assert (set(heads.members), set(heads.boards)) == ({"ann"}, {"b1", "b2"})
