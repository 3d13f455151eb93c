"""The row on events that come late: what is right, and how late they come."""

from random import Random

from bench.order import Move, bought, late, moves


def test_a_seat_is_bought_only_when_more_people_are_there_than_seats() -> None:
    swap = [Move(0, "a", True), Move(0, "a", False), Move(0, "b", True), Move(1, "c", True), Move(1, "d", True)]
    assert bought(swap, 2) == [1, 2]


def test_the_order_of_a_swap_is_what_the_charge_depends_on() -> None:
    swap = [Move(0, "a", True), Move(0, "a", False), Move(0, "b", True)]
    assert bought(swap, 1) == [1]
    assert bought([swap[0], swap[2], swap[1]], 1) == [2]


def test_nobody_leaves_who_is_not_there_and_nobody_joins_twice() -> None:
    there: set[tuple[int, str]] = set()
    for move in moves(5, 40, Random(1)):
        assert ((move.board, move.member) in there) != move.joins
        there ^= {(move.board, move.member)}


def test_no_event_comes_more_places_late_than_said_and_some_come_late() -> None:
    coming = late(moves(5, 40, Random(1)), 20, Random(2))
    assert sorted(coming) == list(range(200))
    assert 0 < max(turn - place for turn, place in enumerate(coming)) <= 20


def test_a_seed_makes_the_same_plan_again() -> None:
    assert moves(5, 40, Random(3)) == moves(5, 40, Random(3)) != moves(5, 40, Random(4))
