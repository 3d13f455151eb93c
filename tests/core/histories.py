"""Histories nobody thought of: who did what and when, and in what order, batches and copies it was heard.

A seed tells the frame and one seed each tells a fact, so that a failure shrinks to few facts and runs fast.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from billing.core import statement as full
from billing.core.calendar import midnight
from billing.core.classification import Policy
from billing.core.facts import BOARD_KINDS, Fact, fact_id, order
from billing.core.incremental import Change, advance
from billing.core.lines import Line
from billing.core.plans import Terms
from billing.core.proration import Period
from billing.core.replay import Replay
from billing.core.roster import MemberHead
from tests.core.memory import Remembered
from tests.core.often import often
from tests.core.telling import Plan, Whole, began, by_key, statement

Step = Callable[..., Change]

#: How every law is tried.
LAW = settings(
    max_examples=often(210), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

MOST_PEOPLE, MOST_BOARDS, FEWEST_FACTS, MOST_FACTS = 12, 4, 8, 60

_KINDS = [
    *["member.joined"] * 5,
    *["member.left"] * 3,
    "member.invited",
    *["member.deactivated"] * 2,
    "member.reactivated",
    "member.role_changed",
    *["board.member_added"] * 8,
    *["board.member_removed"] * 3,
    *["board.attached"] * 2,
    "board.detached",
    *["board.closed"] * 2,
    "board.reopened",
]
#: Minutes from the instant to the hearing of it; a clock may run up to five minutes ahead.
_PROMPT = [0, 0, 0, -4, 1]
_LATE = [0, 0, 0, 0, 0, -4, 60, 12 * 60, 5 * 24 * 60, 20 * 24 * 60, 35 * 24 * 60]
_SHUFFLED = range(60 * 24 * 60)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one settlement hears at `now` (UTC), copies of old facts among it; `dies` before its commit, then again."""

    now: datetime
    facts: tuple[Fact, ...] = ()
    dies: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """A set of facts, one way in which they were heard, and the plan they are billed under, up to `end` (UTC)."""

    facts: tuple[Fact, ...]
    batches: tuple[Batch, ...]
    plan: Plan
    end: datetime

    @property
    def start(self) -> datetime:
        """When the first subscription or trial started (UTC)."""
        return self.plan.facts[0].at


@dataclass(slots=True)
class Tally:
    """What the tried histories were like: numbers of facts, of histories, and of those with a re-rated line."""

    facts: Counter[str] = field(default_factory=Counter)
    histories: int = 0
    rerated: int = 0

    def share(self, what: str) -> float:
        """The share of facts that are `late`, `same-instant` or `board`."""
        return self.facts[what] / self.facts["all"]


def histories() -> st.SearchStrategy[History]:
    """Histories for hypothesis: up to 12 people, 4 boards and 60 facts over two periods."""
    seeds = st.integers(0, 2**32 - 1)
    numbers = st.integers(FEWEST_FACTS, MOST_FACTS).flatmap(lambda n: st.lists(seeds, min_size=n, max_size=n))
    return st.builds(history, seeds, numbers)


def seeded(seed: int) -> History:
    """A history for one fixed seed."""
    random = Random(seed)
    return history(seed, [random.getrandbits(32) for _ in range(random.randint(FEWEST_FACTS, MOST_FACTS))])


def history(seed: int, fact_seeds: Sequence[int]) -> History:
    """The history that these seeds tell."""
    random = Random(seed)
    plan, first = _plan(random)
    start = plan.facts[0].at
    instants = _instants(random, start, first)
    people = [f"p{i}" for i in range(random.randint(1, MOST_PEOPLE))]
    boards = [f"b{i}" for i in range(random.randint(1, MOST_BOARDS))]
    delays = random.choice([_PROMPT, _LATE, _LATE, _LATE, _SHUFFLED, _SHUFFLED])
    facts = tuple(told_fact(Random(told), i, instants, people, boards, delays) for i, told in enumerate(fact_seeds))
    batches = _batches(random, facts, start)
    end = max(batches[-1].now, replace(first, n=1).end)
    return History(facts, batches, plan, end)


def _plan(random: Random) -> tuple[Plan, Period]:
    """A month of seats from a random day on, and the first period."""
    anchor = random.choice([date(2025, 1, 15), date(2024, 1, 31), date(2018, 10, 20)])
    zone = random.choice(["UTC", "Asia/Tokyo", "America/Sao_Paulo"])
    opening = random.choice([None, None, None, 2])
    started = midnight(anchor, zone) + timedelta(hours=random.choice([0, 0, 9]))
    method = random.choice(["months_days", "actual_days", "thirty_360", "seconds"])
    rounding = random.choice(["half_up", "half_even", "floor", "ceil"])
    guests_free, shut_count = random.random() < 0.25, random.random() < 0.2
    pending = random.random() < 0.2
    terms = Terms("p", "plan", "month", "USD", 1250, method, rounding, "auto_seats", guests_free, shut_count)  # type: ignore[arg-type]
    terms = replace(terms, pending_count=pending, minimum=random.choice([0, 0, 0, 3]))
    amounts = tuple(range(1250, 1258))
    plan = Plan((began(started, anchor, terms, opening),), {("plan", "month"): terms}, zone, amounts)
    if random.random() < 0.2:
        plan = replace(plan, base=Policy(pending_count=random.random() < 0.5, guests_free=random.random() < 0.5))
    return plan, Period(anchor, 1, 0, zone)


def _instants(random: Random, start: datetime, first: Period) -> list[datetime]:
    """Few enough that facts meet at one of them; the borders of periods come up often."""
    renewal, end = first.end, replace(first, n=1).end
    borders = [start, renewal, renewal - timedelta(seconds=1), start - timedelta(days=2)]
    hours = int((end - start).total_seconds() // 3600)
    free = [start + timedelta(hours=random.randint(-72, hours - 1)) for _ in range(random.randint(3, 24))]
    return free + borders


def told_fact(
    random: Random, i: int, instants: list[datetime], people: list[str], boards: list[str], delays: Sequence[int]
) -> Fact:
    kind, at = random.choice(_KINDS), random.choice(instants)
    own = kind in BOARD_KINDS
    # A person may be deactivated on a board: such a fact names both, and shows who owns the board.
    on_board = kind.startswith("board.") or (kind.endswith("activated") and random.random() < 0.3)
    moved = kind in ("board.attached", "board.detached")
    workspace = random.choice(["w1", "w1", "w2"] if kind == "board.attached" else ["w1", "w2", None]) if moved else None
    owner = random.choice([None, "w1", "w1", "w1", "w2", ""]) if on_board and not moved else None
    data = {"unconfirmed": True} if kind == "member.invited" and random.random() < 0.3 else {"name": f"name {i}"}
    return Fact(
        id=fact_id("acc", "tool", f"e{i // 2}", i % 2),
        kind=kind,
        at=at,
        heard_at=at + timedelta(minutes=random.choice(delays)),
        source="tool",
        source_id=f"e{i // 2}",
        ordinal=i % 2,
        member=None if own else random.choice(people),
        board=random.choice(boards) if on_board else None,
        workspace=workspace,
        owner=owner,
        seq=random.choice([None, None, None, None, 1, 2]),
        data=data,
    )


def _batches(random: Random, facts: tuple[Fact, ...], start: datetime) -> tuple[Batch, ...]:
    """The facts as they were heard, cut at random; with copies, deaths, and settlements that hear nothing."""
    rest = sorted(facts, key=lambda fact: fact.heard_at)
    most = random.choice([1, 2, 5, 12])
    batches = [Batch(start)]
    heard: list[Fact] = []
    while rest:
        size = random.randint(1, most)
        new, rest = rest[:size], rest[size:]
        copies = random.choices(heard, k=2) if heard and random.random() < 0.2 else []
        batches.append(Batch(new[-1].heard_at, (*new, *copies), dies=random.random() < 0.1))
        heard += new
        if random.random() < 0.1:
            batches.append(Batch(new[-1].heard_at + timedelta(hours=random.randint(1, 200))))
    return tuple(sorted(batches, key=lambda batch: batch.now))


def settled(case: History, step: Step = advance, tally: Tally | None = None, workspace: str = "w1") -> Remembered:
    """The workspace at `end`, after every batch in the order it was heard."""
    memory = Remembered(workspace, step)
    rerated = False
    for batch in (*case.batches, Batch(case.end)):
        if tally is not None:
            _count(tally, memory, batch)
        before = dict(memory.book)
        memory.settle(batch.facts, case.plan, batch.now, dies=batch.dies)
        rerated = rerated or _rerated(before, memory.book)
    if tally is not None:
        tally.histories += 1
        tally.rerated += rerated
        crowd = Counter(fact.at for fact in case.facts)
        tally.facts["all"] += len(case.facts)
        tally.facts["same-instant"] += sum(crowd[fact.at] > 1 for fact in case.facts)
        tally.facts["board"] += sum(fact.kind in BOARD_KINDS for fact in case.facts)
    return memory


def _count(tally: Tally, memory: Remembered, batch: Batch) -> None:
    """A fact is late when the workspace was settled past its instant before it was heard."""
    if memory.now is None:
        return
    new = {fact.id: fact for fact in batch.facts if fact.id not in memory.facts and fact.id not in memory.waiting}
    tally.facts["late"] += sum(fact.at < memory.now for fact in new.values())


def _rerated(before: dict[str, Line], after: dict[str, Line]) -> bool:
    """Whether a posted line is gone or has another amount. Only a late fact can do that."""
    return any(key not in after or after[key].amount != line.amount for key, line in before.items())


def disagreements(
    case: History,
    step: Step = advance,
    whole: Whole = full.statement,
    tally: Tally | None = None,
) -> list[str]:
    """What the incremental form and the full statement say differently at the end: nothing, says law 1."""
    memory = settled(case, step, tally)
    owed = statement(case.facts, case.plan, case.end, "w1", whole)
    differences = [] if by_key(memory.book.values()) == by_key(owed) else [f"lines: {memory.book.values()} / {owed}"]
    return differences + _roster_differences(case, memory)


def _roster_differences(case: History, memory: Remembered) -> list[str]:
    replay = Replay("w1", case.facts, memory.policies)
    nobody = MemberHead()
    differences = []
    for name, person in replay.people.items():
        head = memory.members.get(name, nobody)
        if (head.standing(), head.billable) != (replay.standing(name), person.billable):
            differences.append(f"{name}: {head} / {replay.standing(name)} {person.billable}")
        if person.on != {board for (board, member), on in memory.seats.items() if member == name and on}:
            differences.append(f"{name} is on {person.on}")
    return differences


def in_order(case: History) -> History:
    """The same facts, each heard alone when it happened."""
    alone = [Batch(fact.at, (fact,)) for fact in sorted(case.facts, key=order)]
    begun = [Batch(case.start)]
    return History(case.facts, tuple(sorted([*alone, *begun], key=lambda batch: batch.now)), case.plan, case.end)
