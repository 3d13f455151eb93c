"""What happens in a tool and when: people come and go, boards move; much of it is told late, much at one instant."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from billing.core.facts import BOARD_KINDS

PEOPLE = [f"p{i}" for i in range(7)]
BOARDS = ["b0", "b1", "b2"]
HOMES = ["w1", "w2"]
_MEMBER = ["member.joined"] * 6 + ["member.left"] * 4 + ["member.deactivated", "member.reactivated"]
_BOARD_MEMBER = ["board.member_added"] * 6 + ["board.member_removed"] * 2
_BOARD = ["board.closed", "board.reopened"] * 2
_MOVED = ["board.attached"] * 2 + ["board.detached"]
#: Minutes around the re-rating window of 400 days: just inside, just outside, and far outside.
_WINDOW = [-1, 0, 1, 24 * 60, 120 * 24 * 60, 240 * 24 * 60]


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened at `at` (UTC). `home` is the workspace it names, `owner` the one the board shows."""

    kind: str
    at: datetime
    number: int
    member: str | None = None
    board: str | None = None
    home: str = "w1"
    owner: str | None = None


def happenings(
    random: Random, now: datetime, seen: Sequence[datetime], number: int, *, shared: bool
) -> list[Happening]:
    """A few of them as of `now` (UTC), some at instants `seen` before; `shared`: boards move between workspaces."""
    instants, found = list(seen), []
    for i in range(random.choice([1, 1, 2, 2, 4])):
        at = _when(random, now, instants)
        instants.append(at)
        found.append(_happening(random, at, number + i, shared=shared))
    return found


def _happening(random: Random, at: datetime, number: int, *, shared: bool) -> Happening:
    kind = random.choice(_MEMBER + _BOARD_MEMBER + _BOARD + (_MOVED if shared else []))
    member = random.choice(PEOPLE) if kind.startswith(("member.", "board.member_")) else None
    board = random.choice(BOARDS) if kind.startswith("board.") else None
    home = random.choice(["w1", "w1", "w1", "w2"])
    owner = random.choice(["w1", "w1", "w2", None]) if shared and board else None
    return Happening(kind, at, number, member, board, home, owner)


def _when(random: Random, now: datetime, seen: Sequence[datetime]) -> datetime:
    chance = random.random()
    if chance < 0.2:
        return now
    if chance < 0.24:
        return now + timedelta(minutes=random.randint(1, 4))
    if chance < 0.44:
        return min(random.choice(seen), now)
    if chance < 0.58:
        return now - timedelta(minutes=random.randint(1, 600))
    if chance < 0.8:
        return now - timedelta(days=random.randint(1, 45))
    if chance < 0.94:
        return now - timedelta(days=random.randint(1, 200), hours=random.choice([0, 0, 7]))
    return now - timedelta(days=400, minutes=random.choice(_WINDOW))


def shares(told: Sequence[tuple[Happening, datetime, int]]) -> dict[str, float]:
    """Of what was heard, when and in which life: the shares that came late, met others at one instant, were a board's.

    Late is what lies before the instant up to which its workspace was settled when it was heard.
    """
    crowd = Counter((life, one.at) for one, _, life in told)
    return {
        "late": sum(one.at < heard for one, heard, _ in told) / len(told),
        "same-instant": sum(crowd[life, one.at] > 1 for one, _, life in told) / len(told),
        "board": sum(one.kind in BOARD_KINDS for one, _, _ in told) / len(told),
    }
