"""The machine that hypothesis drives: any order of what tools, people, endpoints, time and death can do to a workspace.

Hypothesis draws a seed for each deed, and leaves deeds out to make a failure short; the seed tells which deed it is.
"""

import sys
from collections import Counter
from datetime import datetime
from random import Random

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from billing.store.db import Conn, Database
from tests.lives import asking, truths
from tests.lives.happenings import Happening
from tests.lives.life import Life
from tests.lives.perils import Perils
from tests.lives.voices import Shape

SEEDS = st.integers(0, 2**63 - 1)
#: How often each thing is done.
DEEDS = {
    "deliver": 3,
    "deliver_and_work": 6,
    "deliver_again": 2,
    "hold_back": 1,
    "release": 2,
    "read_a_list": 1,
    "work": 1,
    "send": 5,
    "a_worker_dies": 5,
    "a_sender_freezes": 1,
    "outage": 2,
    "the_endpoint_decides": 4,
    "wait": 2,
    "command": 3,
    "command_and_pay": 3,
    "tick": 2,
    "tick_and_pay": 4,
    "rest": 1,
}
JOBS = ["read", "settle", "send", "hear_back", "papers", "command", "everything", "everything", "everything"]
#: After how many crash points somebody dies.
AFTER = [0, 0, 1, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15]
_DUE = "SELECT FROM charge WHERE workspace_id = ANY(%s) AND due_at <= now() LIMIT 1"


class World:
    """What all the lives of a session share, and what they were like."""

    def __init__(self, database: Database, committer: Conn, perils: Perils) -> None:
        self.database, self.committer, self.perils = database, committer, perils
        self.lives = 0
        self.told: list[tuple[Happening, datetime]] = []
        self.deeds: Counter[str] = Counter()


class Machine(RuleBasedStateMachine):
    """One life."""

    life: Life

    def __init__(self, world: World, shape: Shape) -> None:
        super().__init__()
        self.world, self.shape, self.said = world, shape, list[str]()

    @initialize(seed=SEEDS)
    def begin(self, seed: int) -> None:
        """Some people are there; most often a subscription starts. Every life likes some deeds better than others."""
        world, random = self.world, Random(seed)
        self.life = Life(world.database, world.committer, world.perils, self.shape, seed)
        self._tell("life", f"{self.life.tool} {self.life.zone} tax {self.life.tax} patient {self.life.patient}")
        self._tell("delivered", self.life.deliver(random, self.life.people(random)))
        self.life.read()
        self.liked = Counter(DEEDS) + Counter(dict.fromkeys(random.sample(sorted(DEEDS), 3), 6))
        self.liked["rest"] = 1
        if random.random() < 0.9:
            self._tell("start", self.life.command(random, body=asking.a_start(random, self.shape, 7)))

    @rule(seed=SEEDS)
    def go_on(self, seed: int) -> None:
        """The next deed. Hypothesis likes to repeat a seed: at each step it tells something else."""
        random = Random(f"{seed} {len(self.said)}")
        [deed] = random.choices(list(self.liked), list(self.liked.values()))
        getattr(self, deed)(random)

    def teardown(self) -> None:
        """At its end every life comes to rest, unless it broke before."""
        if not hasattr(self, "life"):
            return
        try:
            if sys.exc_info()[0] is None:
                self.rest(Random(0))
                self.world.lives += 1
                self.world.told += self.life.heard
                self.world.deeds += self.life.deeds
        finally:
            self.life.leave()

    def _tell(self, what: str, told: str) -> None:
        line = f"{self.life.now:%Y-%m-%d %H:%M} {what}: {told}"
        self.said.append(line)
        self.life.deeds[what] += 1
        note(line)

    # --- what is heard -------------------------------------------------------------------------------------------

    def deliver(self, random: Random) -> None:
        """The receiver may die of it: then the tool has no answer, and sends again."""
        after = random.choice([0, 1, 2, *[None] * 12])
        self._tell("delivered", self.life.deliver(random, self.life.happen(random), after))

    def deliver_and_work(self, random: Random) -> None:
        self.deliver(random)
        self.work(random)

    def deliver_again(self, random: Random) -> None:
        self._tell("duplicate", self.life.again(random))

    def hold_back(self, random: Random) -> None:
        self.life.held += self.life.happen(random)
        self._tell("held back", str(len(self.life.held)))

    def release(self, random: Random) -> None:
        """What was held back comes, in another order, and perhaps not all of it."""
        held = self.life.held or self.life.happen(random)
        random.shuffle(held)
        taken = [held.pop() for _ in range(random.randint(1, len(held)))]
        self._tell("released", self.life.deliver(random, taken))

    def read_a_list(self, random: Random) -> None:
        self._tell("list", self.life.listed(random, random.random() < 0.5))

    # --- what the workers do -------------------------------------------------------------------------------------

    def work(self, random: Random) -> None:
        self.life.read()
        self.life.settle()
        if random.random() < 0.3:
            self.life.papers()
        self._tell("worked", "")

    def send(self, random: Random) -> None:
        self.life.endpoint.random = random
        self.life.send()
        self.life.settle()
        self._tell("sent", self._charges())

    def a_worker_dies(self, random: Random) -> None:
        """At a commit or at an outbound call of some job."""
        self.life.endpoint.random = random
        sending = ["send"] * 12 if self.life.rows(_DUE, self.life.workspaces) else []
        job, after = random.choice([*JOBS, *sending]), random.choice(AFTER)
        died = self.world.perils.kill(
            (lambda: self.life.command(random)) if job == "command" else getattr(self.life, job), after
        )
        self._tell("death", f"{job} at {died}")

    def a_sender_freezes(self, random: Random) -> None:
        self.life.endpoint.random = random
        self._tell("frozen", self.life.freeze(random))

    # --- what the endpoint, people and time do -------------------------------------------------------------------

    def outage(self, random: Random) -> None:
        self.life.endpoint.mode = random.choice(["up", "up", "out", "cut", "busy"])
        self._tell("endpoint", self.life.endpoint.mode)

    def the_endpoint_decides(self, random: Random) -> None:
        self.life.endpoint.resolve(random, 0.5)
        self._tell("callbacks", self.life.call_back(random))
        self.life.settle()

    def wait(self, random: Random) -> None:
        """The wall's clock goes on; another sender takes over what a frozen one held, which then goes on too."""
        self._tell("waited", self.life.wait(random.choice([0, 0, 1, 73])))
        self.send(random)
        if random.random() < 0.5:
            self._tell("thawed", self.life.thaw())

    def command(self, random: Random) -> None:
        self._tell("command", self.life.command(random, quoted=random.random() < 0.4))

    def command_and_pay(self, random: Random) -> None:
        self.command(random)
        self.send(random)

    def tick(self, random: Random) -> None:
        self._tell("tick", self.life.tick(random))
        self.life.settle()

    def tick_and_pay(self, random: Random) -> None:
        self.tick(random)
        self.send(random)

    # --- what must hold ------------------------------------------------------------------------------------------

    def rest(self, random: Random) -> None:
        self.life.rest()
        self._tell("rest", self._charges())
        found = truths.broken(self.life)
        assert not found, "\n".join(["", *found, "--", *self.said])

    def _charges(self) -> str:
        query = "SELECT status, amount FROM charge WHERE workspace_id = ANY(%s) ORDER BY id"
        return ", ".join(f"{row['status']} {row['amount']}" for row in self.life.rows(query, self.life.workspaces))
