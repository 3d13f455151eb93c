"""Is the charge right when people come and go on many boards, and the events come up to 100 places late?"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from bench import sides
from bench.events import membership
from bench.load import fire, must
from bench.machine import await_true
from bench.peer import store
from bench.row import Row
from bench.rows import Bench

LATE_BY = 100
#: Nobody's board holds more people, so that seats fall free and are filled again.
_MOST = 4
_SEED = 7
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Move:
    """Somebody joins or leaves `board` (a number); every board begins with one person on one paid seat."""

    board: int
    member: str
    joins: bool


def moves(boards: int, each: int, random: Random) -> list[Move]:
    """`each` moves on every board, in turn over the boards, in the order in which they happen."""
    people: list[list[str]] = [[] for _ in range(boards)]
    made = []
    for turn in range(each):
        for board, there in enumerate(people):
            joins = not there or (len(there) < _MOST and random.random() < 0.5)
            if joins:
                there.append(f"m-{board}-{turn}")
            member = there[-1] if joins else there.pop(random.randrange(len(there)))
            made.append(Move(board, member, joins))
    return made


def bought(made: Sequence[Move], boards: int) -> list[int]:
    """The seats each board must have bought, by plain counting: one whenever more people are there than seats."""
    occupied, seats = [1] * boards, [1] * boards
    for move in made:
        occupied[move.board] += 1 if move.joins else -1
        seats[move.board] = max(seats[move.board], occupied[move.board])
    return [count - 1 for count in seats]


def late(made: Sequence[Move], by: int, random: Random) -> list[int]:
    """Places of the moves in the order in which they come: each up to `by` places late."""
    return sorted(range(len(made)), key=lambda place: (place + random.randint(0, by), place))


def order(bench: Bench) -> list[Row]:
    """Boards charged for the right seats, of Sekisu and of the peer; beside it the peer's when nothing is late."""
    boards, each = bench.size.boards, bench.size.moves
    made = moves(boards, each, Random(_SEED))
    right = bought(made, boards)
    coming = late(made, LATE_BY, Random(_SEED + 1))
    ours = _ours(bench, made, coming, right)
    peer = sides.Peer(bench.folder / "peer in order", bench.sink().url)
    try:
        calm = _theirs(bench, peer, made, range(len(made)), right)
        theirs = _theirs(bench, peer, made, coming, right)
    finally:
        peer.stop()
    bench.say(f"  wrong of {boards}: sekisu {ours}, peer {theirs}, peer with nothing late {calm}")
    verdict = "ok" if ours == 0 else "below"
    notes = {"wrong": float(ours), "peer_wrong": float(theirs), "peer_wrong_in_order": float(calm)}
    return [
        Row("order", "boards right", boards - ours, boards - theirs, None, boards, boards, verdict, notes),
    ]


def _send(bench: Bench, side: sides.Side, made: Sequence[Move], coming: Sequence[int]) -> list[str]:
    """New workspaces, and every move of theirs, one request after the other; the workspaces' names."""
    names = side.prepare(bench.size.boards)
    time.sleep((len(made) + 200) / 1000)  # every move is later than every start, and none is ahead of now
    first = datetime.now(UTC) - timedelta(milliseconds=len(made))
    requests = [
        membership(
            side.path,
            f"msg_{names[made[place].board]}_{place}",
            "member.joined" if made[place].joins else "member.left",
            names[made[place].board],
            made[place].member,
            first + timedelta(milliseconds=place),
        )
        for place in coming
    ]
    must(fire(side.port, requests, connections=1), 200)
    return names


def _ours(bench: Bench, made: Sequence[Move], coming: Sequence[int], right: Sequence[int]) -> int:
    """Boards that are wrong: another number of seats owed than counted, or other money kept than is owed."""
    side = bench.sekisu()
    names = _send(bench, side, made, coming)
    side.check(len(made))
    book = bench.sink().workspaces()
    there = {workspace["external_id"]: workspace for workspace in side.all("/v1/workspaces")}
    wrong = 0
    for name, seats in zip(names, right, strict=True):
        workspace = there[name]
        lines = list(side.all(f"/v1/workspaces/{workspace['id']}/statement"))
        owed = sum(line["amount"] for line in lines)
        kept = book[workspace["id"]][1] - workspace["credit"]
        wrong += (sum(line["seats"] for line in lines) - 1, owed) != (seats, kept)
    return wrong


def _theirs(bench: Bench, side: sides.Peer, made: Sequence[Move], coming: Sequence[int], right: Sequence[int]) -> int:
    """Boards of the peer that were charged for another number of seats than counted."""
    names = _send(bench, side, made, coming)
    await_true(lambda: store.waiting(side.url) == 0, "the peer has counted and charged everything", _SECONDS)
    book = bench.sink().workspaces()
    return sum(book.get(name, [0, 0])[0] != seats for name, seats in zip(names, right, strict=True))
