"""Ten times the capacity of `sekisu up`, and what a quiet tenant notices of it."""

import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import machine
from bench.events import SECRET, joins
from bench.load import CONNECTIONS, fire, must
from bench.sides import Sekisu, Sink, workplace

#: Seconds between two of the quiet tenant's deliveries.
PACE = 0.05


@dataclass(frozen=True)
class Plan:
    """How much. `connections` of the flood: fewer than the web processes accept, so that it is they who judge."""

    capacity_requests: int
    alone_seconds: float
    flood_seconds: float
    connections: int = 1_000
    times: float = 10.0


FULL = Plan(10_000, 20.0, 60.0)
SHORT = Plan(800, 2.0, 4.0)


@dataclass(frozen=True)
class Found:
    """What was measured. Times in milliseconds, memory in MiB; statuses of the flood by number, 0: no answer."""

    capacity: float
    alone: list[float]
    busy: list[float]
    under: list[float]
    quiet_statuses: dict[int, int]
    offered: float
    sent: int
    statuses: dict[int, int]
    unanswered: int
    crowd_wait: float
    accepted: int
    stored: int
    settled: int
    billed: int
    posted: int
    asked: int
    quiet_age: float
    settled_meanwhile: int
    web_mib: float
    all_mib: float
    drained_seconds: float

    @property
    def slower(self) -> tuple[float, float]:
        """The quiet tenant's p99 under the flood: against alone, and against beside just what the service can take."""
        p99 = share(self.under, 0.99)
        return p99 / share(self.alone, 0.99), p99 / share(self.busy, 0.99)

    def told(self) -> str:
        refused = {status: count for status, count in sorted(self.statuses.items()) if status != 200}
        return "\n".join(
            [
                f"capacity (64 connections, closed loop)   {self.capacity:,.0f}/s accepted",
                f"offered {self.offered:,.0f}, sent {self.sent:,}: the flood's connections were busy for the rest",
                f"flood: accepted {self.statuses.get(200, 0):,}, refused {refused}, unanswered {self.unanswered}",
                f"accepted {self.accepted:,}, stored {self.stored:,}, settled {self.settled:,}, seats {self.billed:,}",
                f"money posted {self.posted:,} = asked for {self.asked:,}",
                f"settled {self.drained_seconds:.0f} s after the end; {self.settled_meanwhile:,} of them before it",
                _shares("quiet tenant alone:", self.alone),
                _shares("quiet tenant beside the capacity:", self.busy),
                _shares("quiet tenant under the flood:", self.under),
                f"one of the flood:    p50 {self.crowd_wait:.1f} ms",
                f"quiet tenant's p99:  {self.slower[0]:.1f}x alone, {self.slower[1]:.1f}x beside the capacity",
                f"quiet tenant's answers: {self.quiet_statuses}",
                f"quiet tenant's oldest delivery not settled yet, at worst: {self.quiet_age:.1f} s",
                f"memory, most: web processes {self.web_mib:.0f} MiB, all without PostgreSQL {self.all_mib:.0f} MiB",
            ]
        )


def _shares(name: str, waits: list[float]) -> str:
    return f"{name} p50 {share(waits, 0.5):.1f} ms, p99 {share(waits, 0.99):.1f} ms"


def share(waits: list[float], part: float) -> float:
    """The wait that this part did not exceed."""
    return sorted(waits)[min(len(waits) - 1, int(len(waits) * part))]


class Watch:
    """Samples memory, and how long the quiet tenant's oldest delivery has waited, twice a second."""

    def __init__(self, side: Sekisu, quiet: str) -> None:
        self.web_mib = self.all_mib = self.quiet_age = 0.0
        self._side, self._quiet = side, quiet
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with psycopg.connect(self._side.database_url, autocommit=True) as connection:
            while not self._ended.wait(0.5):
                self._memory()
                row = connection.execute(_OLDEST, {"id": self._quiet}).fetchone()
                assert row is not None
                self.quiet_age = max(self.quiet_age, row[0])

    def _memory(self) -> None:
        found = {pid: _rss_mib(pid) for pid in machine.tree(self._side.process.pid)}
        names = {pid: (machine.words(pid) or [""])[0] for pid in found}
        web = [mib for pid, mib in found.items() if names[pid].startswith("granian")]
        ours = [mib for pid, mib in found.items() if "postgres" not in names[pid]]
        self.web_mib, self.all_mib = max(self.web_mib, sum(web)), max(self.all_mib, sum(ours))


_OLDEST = """
SELECT coalesce(extract(epoch FROM now() - min(at)), 0)::float8 FROM (
    SELECT received_at AS at FROM delivery WHERE connection_id = %(id)s AND state = 'kept'
    UNION ALL
    SELECT d.received_at FROM delivery d JOIN fact f ON f.delivery_id = d.id
    WHERE d.connection_id = %(id)s AND f.settled_at IS NULL
) AS waits"""
_OPEN = """
SELECT (SELECT count(*) FROM delivery WHERE state = 'kept') + (SELECT count(*) FROM fact WHERE settled_at IS NULL)
     + (SELECT count(*) FROM charge WHERE status IN ('queued', 'sending', 'pending', 'unknown'))"""


def _rss_mib(pid: int) -> float:
    """Resident and its own (shared pages count where they were made); 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"RssAnon:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else 0.0


class House:
    """`sekisu up`, a loud connection with twenty workspaces, and a quiet one with one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.sink = Sink(folder)
        stack.callback(self.sink.stop)
        self.side = Sekisu(folder / "house", self.sink.url)
        stack.callback(self.side.stop)
        self.loud, self.places = self.side.path, self.side.prepare(20)
        [made] = self.side.post("/v1/connections", [{"tool": "standard", "secrets": [SECRET], "callback_url": None}])
        self.side.connection = self.quiet = made["id"]
        [self.quiet_place] = self.side.prepare(1)
        self.quiet_statuses: Counter[int] = Counter()

    def query(self, text: str) -> int:
        with psycopg.connect(self.side.database_url) as connection:
            row = connection.execute(text.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def purchased(self) -> int:
        """Seats bought since the start, in which each workspace had one."""
        ids = [place["id"] for place in self.side.get("/v1/workspaces")["data"]]
        return sum(int(self.side.get(f"/v1/workspaces/{name}/seats")["purchased"]) - 1 for name in ids)

    def drained(self, seconds: float) -> float:
        """Waits until nothing is left to do; how long that took."""
        began = time.monotonic()
        machine.await_true(lambda: self.query(_OPEN) == 0, "all is settled and paid", seconds, 0.5)
        return time.monotonic() - began

    def fire(self, count: int) -> float:
        """So many joins of the loud connection, 64 at a time; accepted a second."""
        return must(fire(self.side.port, joins(self.loud, self.places, count)), 200).rate

    def probe(self, seconds: float) -> list[float]:
        """The quiet tenant sends, each time by a new connection; milliseconds until each answer."""
        waits, end = [], time.monotonic() + seconds
        path = f"/webhooks/standard/{self.quiet}"
        while time.monotonic() < end:
            request = joins(path, [self.quiet_place], 1)
            began = time.monotonic()
            volley = fire(self.side.port, request)
            waits.append((time.monotonic() - began) * 1000)
            self.quiet_statuses += volley.statuses
            time.sleep(max(0.0, PACE - (time.monotonic() - began)))
        return waits


def measure(plan: Plan, say: Callable[[str], None] = lambda _: None) -> Found:
    """The whole run on engines of its own."""
    with ExitStack() as stack:
        house = House(Path(stack.enter_context(workplace())), stack)
        say("warm")
        house.fire(200)
        capacity = house.fire(plan.capacity_requests)
        house.drained(300)
        say(f"capacity {capacity:,.0f}/s; the quiet tenant alone")
        alone = house.probe(plan.alone_seconds)
        say(f"p99 {share(alone, 0.99):.1f} ms; beside what it can take")
        crowd = _flood(house, capacity, plan.alone_seconds, CONNECTIONS)
        busy = house.probe(plan.alone_seconds)
        accepted = json.loads(crowd.communicate(timeout=120)[0])["statuses"]["200"]
        house.drained(300)
        say(f"p99 {share(busy, 0.99):.1f} ms; the flood")
        with Watch(house.side, house.quiet) as watch:
            flood = _flood(house, capacity * plan.times, plan.flood_seconds, plan.connections)
            time.sleep(min(1.0, plan.flood_seconds / 4))
            under = house.probe(plan.flood_seconds - min(1.0, plan.flood_seconds / 4))
            told = json.loads(flood.communicate(timeout=120)[0])
            meanwhile = house.query(
                "SELECT count(*) FROM fact WHERE settled_at IS NOT NULL AND delivery_id IS NOT NULL"
            )
        say(f"the flood is over: {told}")
        drained = house.drained(900)
        time.sleep(0.5)
        statuses = {int(status): count for status, count in told["statuses"].items()}
        return Found(
            capacity=capacity,
            alone=alone,
            busy=busy,
            under=under,
            quiet_statuses=dict(house.quiet_statuses),
            offered=told["offered"],
            sent=told["sent"],
            statuses=statuses,
            unanswered=told["silent"],
            crowd_wait=told["wait"],
            accepted=statuses.get(200, 0) + accepted + 200 + plan.capacity_requests + house.quiet_statuses[200],
            stored=house.query("SELECT count(*) FROM delivery"),
            settled=house.query("SELECT count(*) FROM delivery WHERE state = 'done'"),
            billed=house.purchased(),
            posted=house.query("SELECT sum(amount) FROM charge"),
            asked=house.sink.book()["amount"],
            quiet_age=watch.quiet_age,
            settled_meanwhile=meanwhile,
            web_mib=watch.web_mib,
            all_mib=watch.all_mib,
            drained_seconds=drained,
        )


def _flood(house: House, rate: float, seconds: float, connections: int) -> "subprocess.Popen[bytes]":
    """Starts the flood. It knows the secret, and yields to the service: a real one comes from another machine."""
    words = [house.side.port, house.loud, rate, seconds, connections, *house.places]
    return subprocess.Popen(
        ["nice", "-n", "10", sys.executable, "-m", "tests.overload.flood", SECRET, *map(str, words)],
        stdout=subprocess.PIPE,
        cwd=machine.REPOSITORY,
    )
