"""What a seed means, and nothing else: the events of a town, the order in which they are told, and what breaks when.

Pure: the same seed is the same plan on every machine.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

#: Everything that can break; five seeds have each of them (`chosen`).
FAULTS = (
    "worker killed",
    "worker frozen past its lease",
    "ticker killed",
    "web killed",
    "valkey flushed",
    "valkey frozen",
    "valkey stopped",
    "postgres killed",
    "postgres restarted",
    "cut before the commit",
    "cut behind the commit",
    "disk full",
    "clocks of the workers ahead",
    "clocks of the workers behind",
    "payment slow",
    "payment cut",
    "payment replays a saved error",
    "payment forgets keys",
    "payment down for 48 hours",
    "callbacks early",
    "callbacks late",
    "callbacks twice",
    "callbacks forged and unmatched",
)
WORKSPACES, PEOPLE, BOARDS = ("kobo", "mori", "hama"), 10, 2
ROUNDS, EVENTS = 6, 96
#: In a hundred events so many are sent twice, later than others, or not at all at first.
TWICE, LATE, DROPPED = 20, 30, 10


@dataclass(frozen=True, slots=True)
class Event:
    """What happened at the tool: somebody joined or left a workspace, or a board of it. No two at one instant."""

    kind: str
    workspace: str
    member: str
    board: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Round:
    """A fault, the numbers of the events that are sent under it, in their order, and the days the clock moves after."""

    fault: str
    sent: tuple[int, ...]
    days: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    events: tuple[Event, ...]
    rounds: tuple[Round, ...]

    def members(self, workspace: str) -> set[str]:
        """Who belongs to a workspace in the end, by what happened last to each."""
        last = {event.member: event.kind for event in self.events if event.workspace == workspace and not event.board}
        return {member for member, kind in last.items() if kind.startswith("add")}


def plan(seed: int, since: datetime, until: datetime) -> Plan:
    """The plan of a seed, for events between two instants."""
    random = Random(f"faults {seed}")
    events = _events(random, since, until)
    return Plan(seed, events, _rounds(random, seed, len(events)))


def _events(random: Random, since: datetime, until: datetime) -> tuple[Event, ...]:
    seconds = int((until - since).total_seconds())
    instants = sorted(random.sample(range(1, seconds), EVENTS))
    found, there = [], set[tuple[str, str, str]]()
    for instant in instants:
        workspace, member = random.choice(WORKSPACES), f"person {random.randrange(PEOPLE)}"
        board = f"board {random.randrange(BOARDS)} of {workspace}" if random.random() < 0.25 else ""
        place = (workspace, member, board)
        kind = "removeMemberFrom" if place in there else "addMemberTo"
        there ^= {place}
        what = "Board" if board else "Organization"
        found.append(Event(kind + what, workspace, member, board, since + timedelta(seconds=instant)))
    return tuple(found)


def _rounds(random: Random, seed: int, events: int) -> tuple[Round, ...]:
    """Everything is sent at last; some of it twice, some after what came later, some not before the tool's retry."""
    sent: list[list[int]] = [[] for _ in range(ROUNDS)]
    for number in range(events):
        turn = number * ROUNDS // events
        luck = random.randrange(100)
        if luck < LATE:
            turn = min(ROUNDS - 1, turn + random.randint(1, 3))
        elif luck < LATE + DROPPED:
            turn = ROUNDS - 1  # what the tool sends again after a while
        sent[turn].append(number)
        if random.randrange(100) < TWICE:
            sent[random.randint(turn, ROUNDS - 1)].append(number)
    for numbers in sent:
        random.shuffle(numbers)
    faults = chosen(seed)
    return tuple(Round(faults[turn], tuple(sent[turn]), random.choice((0, 0, 1, 40))) for turn in range(ROUNDS))


def chosen(seed: int) -> list[str]:
    """The faults of a seed: five seeds in a row, from a multiple of five on, have every one at least once."""
    deck = list(FAULTS)
    Random(f"deck {seed // 5}").shuffle(deck)
    first = (seed % 5) * ROUNDS
    return [deck[(first + turn) % len(deck)] for turn in range(ROUNDS)]
