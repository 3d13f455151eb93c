"""How each fault of a plan is brought about while a round is told, and undone after it."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import redis

from tests.faults.engines import BrokenHouse
from tests.faults.house import INSIDE, Patient
from tests.flows.house import PAYMENT_SECRET, wait
from tests.flows.parts import ROOT
from workers.sending import LEASE_S

OTHER_SECRET = PAYMENT_SECRET[:-6] + "AAAAA="
#: Seconds by which the workers' clocks are wrong; signatures of the payment endpoint bear five minutes.
SKEW_S = 240


@dataclass
class Tally:
    """What was done to the house, all in all."""

    runs: int = 0
    deliveries: int = 0
    charges: int = 0
    kills: int = 0
    freezes: int = 0
    flushes: int = 0
    restarts: int = 0
    cuts: int = 0
    disks: int = 0
    skews: int = 0
    payment_faults: int = 0
    callback_faults: int = 0
    unplayed: int = 0
    lost: int = 0
    doubled: int = 0


Tell = Callable[[], None]


class Breaker:
    """Breaks a house in the way a plan names; `tick` is called between two deliveries of the round."""

    def __init__(self, house: BrokenHouse, customer: Patient, tally: Tally) -> None:
        self.house, self.customer, self.tally = house, customer, tally
        self.told = 0
        self.tick: Tell = lambda: None

    def broken(self, fault: str) -> AbstractContextManager[None]:
        """The house with a fault, for the time of the block."""
        return {
            "worker killed": lambda: self._killing("worker"),
            "ticker killed": lambda: self._killing("ticker"),
            "web killed": self._web_killed,
            "worker frozen past its lease": self._worker_frozen,
            "valkey flushed": self._valkey_flushed,
            "valkey frozen": self._valkey_frozen,
            "valkey stopped": self._valkey_stopped,
            "postgres killed": lambda: self._postgres("kill"),
            "postgres restarted": lambda: self._postgres("restart"),
            "cut before the commit": lambda: self._cut(behind=False),
            "cut behind the commit": lambda: self._cut(behind=True),
            "disk full": self._disk_full,
            "clocks of the workers ahead": lambda: self._skewed(SKEW_S),
            "clocks of the workers behind": lambda: self._skewed(-SKEW_S),
            "payment slow": lambda: self._payment("delay", seconds=0.7),
            "payment cut": lambda: self._payment("cut"),
            "payment replays a saved error": self._payment_replays,
            "payment forgets keys": self._payment_forgets,
            "payment down for 48 hours": self._payment_down,
            "callbacks early": lambda: self._callbacks("delay", seconds=1.5),
            "callbacks late": lambda: self._callbacks("pending", seconds=3.0),
            "callbacks twice": lambda: self._callbacks("duplicate_callback"),
            "callbacks forged and unmatched": self._forged,
        }[fault]()

    def _every(self, count: int, act: Tell) -> None:
        """Act at every so many deliveries."""

        def tick() -> None:
            self.told += 1
            if self.told % count == 0:
                act()

        self.tick = tick

    @contextmanager
    def _killing(self, name: str) -> Iterator[None]:
        def kill() -> None:
            self.tally.kills += len(self.house.parts[name].pids())
            self.house.restart(name)

        self._every(6, kill)
        with self._in_flight():
            yield
            kill()

    @contextmanager
    def _in_flight(self) -> Iterator[None]:
        """Slow answers of the payment endpoint, so that a sender holds leases when it is hit."""
        self.house.fault("delay", seconds=0.4)
        yield
        self.house.fault(None)

    @contextmanager
    def _web_killed(self) -> Iterator[None]:
        def kill() -> None:
            part = self.house.parts["web"]
            members = sorted(part.pids() - {part.process.pid})
            if members:
                with suppress(ProcessLookupError):
                    os.kill(members[self.told % len(members)], signal.SIGKILL)
                    self.tally.kills += 1

        self._every(9, kill)
        yield

    @contextmanager
    def _worker_frozen(self) -> Iterator[None]:
        """Frozen in the middle of things; when it goes on, others hold what its leases held."""
        group, began = self.house.parts["worker"].process.pid, 0.0

        def freeze() -> None:
            nonlocal began
            if not began:
                began = time.monotonic()
                os.killpg(group, signal.SIGSTOP)
                self.tally.freezes += 1

        self._every(4, freeze)
        with self._in_flight():
            yield
            freeze()
        time.sleep(max(0.0, began + LEASE_S + 1.0 - time.monotonic()))
        os.killpg(group, signal.SIGCONT)

    @contextmanager
    def _valkey_flushed(self) -> Iterator[None]:
        def flush() -> None:
            with redis.Redis.from_url(self.house.valkey.url) as client:
                client.flushall()
            self.tally.flushes += 1

        self._every(3, flush)
        yield

    @contextmanager
    def _valkey_frozen(self) -> Iterator[None]:
        self.house.valkey.process.send_signal(signal.SIGSTOP)
        self.tally.freezes += 1
        try:
            yield
        finally:
            self.house.valkey.process.send_signal(signal.SIGCONT)

    @contextmanager
    def _valkey_stopped(self) -> Iterator[None]:
        self.house.stop_valkey()
        self.tally.restarts += 1
        yield
        self.house.start_valkey()

    @contextmanager
    def _postgres(self, how: str) -> Iterator[None]:
        def away() -> None:
            if how == "kill":
                self.tally.kills += 1
                self.house.postgres.kill()
            else:
                self.tally.restarts += 1
                self.house.postgres.restart()
            self.house.reconnect()

        self._every(9, away)
        yield
        away()

    @contextmanager
    def _cut(self, *, behind: bool) -> Iterator[None]:
        before = self.house.proxy.cuts
        self.house.proxy.cut("behind" if behind else "before", 12)
        yield
        self.house.proxy.mend()
        self.tally.cuts += self.house.proxy.cuts - before

    @contextmanager
    def _disk_full(self) -> Iterator[None]:
        """Nobody is answered 200 meanwhile, so the round is told in the background and ends when there is room."""
        self.tally.disks += 1
        with self.house.full_disk():
            end = time.monotonic() + 3.0
            self.tick = lambda: None
            yield
            time.sleep(max(0.0, end - time.monotonic()))

    @contextmanager
    def _skewed(self, seconds: int) -> Iterator[None]:
        self.tally.skews += 1
        for name in ("worker", "ticker"):
            self.house.restart(name, PYTHONPATH=f"{ROOT}:{INSIDE}", FAULTS_SKEW_S=str(seconds))
        yield
        for name in ("worker", "ticker"):
            self.house.restart(name)

    @contextmanager
    def _payment(self, mode: str, seconds: float = 1.0) -> Iterator[None]:
        self.tally.payment_faults += 1
        self.house.fault(mode, seconds=seconds)
        yield
        self.house.fault(None)

    @contextmanager
    def _payment_replays(self) -> Iterator[None]:
        """First 500 under each key, then that 500 again, now and then, though the money was taken meanwhile."""
        self.tally.payment_faults += 1
        self.house.fault("error", times=4)
        self._every(5, lambda: self.house.fault("replay_first", times=2))
        yield
        self.house.fault(None)

    @contextmanager
    def _payment_forgets(self) -> Iterator[None]:
        """The answer is cut, and when the same key comes again it is not known any more."""
        self.tally.payment_faults += 1
        self.house.fault("cut", times=4)
        self._every(8, lambda: self.house.fault("forget_keys"))
        yield
        self.house.fault(None)

    @contextmanager
    def _payment_down(self) -> Iterator[None]:
        """Down for two days, which pass quickly: every instant of a charge is moved into the past by an hour or two."""
        self.tally.payment_faults += 1
        self.house.parts["sandbox"].kill()
        self.tally.kills += 1
        yield
        for _ in range(24):
            self.house.sql(_TWO_HOURS, self.customer.account)
            time.sleep(0.25)
        self.most_tries()
        self.house.parts["sandbox"].start()
        wait(self.house.ready, 60)

    def most_tries(self) -> None:
        """The endpoint was not hammered: some sixty tries of a charge in two days, not thousands."""
        query = """SELECT COALESCE(max(tries), 0) FROM charge c JOIN workspace w ON w.id = c.workspace_id
                   WHERE account_id = %s"""
        assert self.house.count(query, self.customer.account) <= 80

    @contextmanager
    def _callbacks(self, mode: str, seconds: float = 1.0) -> Iterator[None]:
        """`delay`: the answer to the POST is slower than the callback. `pending`: the callback is all there is."""
        self.tally.callback_faults += 1
        self.house.fault(mode, seconds=seconds)
        yield
        self.house.fault(None)

    @contextmanager
    def _forged(self) -> Iterator[None]:
        """Somebody else says that charges failed; the endpoint tells of one we never made, and of old ones again."""
        self.tally.callback_faults += 1
        self._every(3, self._say)
        yield
        query = "SELECT count(*) FROM callback WHERE id LIKE 'forged%%'"
        assert not self.house.count(query), "a forged callback was kept"

    def _say(self) -> None:
        query = (
            "SELECT c.* FROM charge c JOIN workspace w ON w.id = c.workspace_id WHERE w.account_id = %s ORDER BY c.id"
        )
        for number, charge in enumerate(self.house.sql(query, self.customer.account)[-3:]):
            name = f"{self.told}.{charge['id']}"
            forged = _word("charge.failed", charge["id"])
            assert self.house.call_back(forged, f"forged.{name}", OTHER_SECRET) == 401
            if charge["status"] == "succeeded" and number:
                assert self.house.call_back(_word("charge.succeeded", charge["id"]), f"again.{name}") == 200
        stranger = _word("charge.succeeded", f"ch_stranger_{self.told}")
        assert self.house.call_back(stranger, f"stranger.{self.customer.account}.{self.told}") == 200


_TWO_HOURS = """
UPDATE charge SET due_at = due_at - interval '2 hours', first_sent_at = first_sent_at - interval '2 hours',
    leased_until = leased_until - interval '2 hours'
WHERE due_at IS NOT NULL AND workspace_id IN (SELECT id FROM workspace WHERE account_id = %s)
"""


def _word(kind: str, charge: str) -> bytes:
    data = {"charge_id": charge, "attempt": 1, "reference": None, "failure_code": None}
    return json.dumps({"type": kind, "timestamp": "2025-03-15T00:00:00.000Z", "data": data}).encode()
