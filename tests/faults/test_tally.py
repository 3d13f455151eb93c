"""What a long run counts as lost, as doubled, and as not played at all."""

from collections.abc import Callable
from typing import cast

import pytest

from tests.faults.__main__ import Play, Runner, tell
from tests.faults.breaking import Tally
from tests.faults.engines import BrokenHouse
from tests.faults.house import NotBegunError


class _House:
    def words(self) -> str:
        return "what its parts said"


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | list[str]], tuple[Runner, Tally]]:
    def one(outcome: Exception | list[str]) -> tuple[Runner, Tally]:
        def run(*_: object) -> list[str]:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(Play, "run", run)
        runner, tally = Runner(), Tally()
        runner._one(cast("BrokenHouse", _House()), tally, Play(7, "read.before"))
        return runner, tally

    return one


def test_a_play_that_never_came_to_its_fault_fails_and_is_no_loss(
    played: Callable[[Exception | list[str]], tuple[Runner, Tally]],
) -> None:
    runner, tally = played(NotBegunError("worker is never at rest"))
    assert tally == Tally(unplayed=1)
    assert runner.failed == ["--seed 7 --point read.before"]


def test_a_play_that_broke_off_counts_as_a_loss(
    played: Callable[[Exception | list[str]], tuple[Runner, Tally]],
) -> None:
    runner, tally = played(AssertionError("after 40 s these still wait: {'charges': 1}"))
    assert tally == Tally(lost=1)
    assert runner.failed


def test_what_held_counts_as_nothing(played: Callable[[Exception | list[str]], tuple[Runner, Tally]]) -> None:
    runner, tally = played([])
    assert tally == Tally()
    assert not runner.failed


def test_what_is_there_too_often_is_doubled_and_everything_else_is_lost() -> None:
    tally = Tally()
    tell(tally, ["charge ch_1 was taken 2 times", "delivery dl_1 is not in the inbox"])
    assert tally == Tally(lost=1, doubled=1)
