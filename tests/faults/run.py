"""Drives a plan against a house, and says what does not hold in the end."""

import threading
import time
from collections.abc import Iterable
from datetime import datetime
from queue import SimpleQueue

from tests.faults import invariants
from tests.faults.breaking import Breaker, Tally
from tests.faults.crash.scene import START
from tests.faults.engines import BrokenHouse
from tests.faults.house import Patient
from tests.faults.plan import WORKSPACES, Event, Plan, Round, plan
from tests.flows.tool import Body, at, ident, in_workspace, on_board

#: Between these two instants things happened at the tool; then the clock of the workspaces goes on.
SINCE, UNTIL = at("2025-01-20"), at("2025-03-01")
TODAY = at("2025-03-02")
TELLERS = 3


class Run:
    """One plan, with a customer of its own."""

    def __init__(self, house: BrokenHouse, seed: int, tally: Tally) -> None:
        self.house, self.tally = house, tally
        self.plan: Plan = plan(seed, SINCE, UNTIL)
        self.customer = Patient(house, START)
        self.now = TODAY
        self.workspaces = {name: self._found(name) for name in WORKSPACES}
        self._clock_to_now()
        self.house.quiet(self.customer.account)
        self._left: SimpleQueue[int | None] = SimpleQueue()
        self._faults: list[BaseException] = []

    def _found(self, name: str) -> str:
        workspace = self.customer.workspace(name)
        self.customer.roster(workspace, "aoi")
        self.customer.start(workspace, interval="month" if name == WORKSPACES[0] else "year")
        contact = {"name": "Aoi", "email": f"aoi@{name}.example", "language": "en"}
        if name == WORKSPACES[0]:
            self.customer.patch(f"/v1/workspaces/{workspace}", {"billing_contact": contact})
        return workspace

    def play(self) -> list[str]:
        """Every round of the plan; answers what does not hold when all is quiet."""
        for each in self.plan.rounds:
            try:
                self._round(each)
            except BaseException as fault:
                fault.add_note(f"in the round: {each.fault}")
                raise
        self.house.mend()
        self.house.quiet(self.customer.account, 90, hurry=True)
        self.tally.runs += 1
        self.tally.deliveries += sum(self.customer.accepted.values())
        query = "SELECT count(*) FROM charge c JOIN workspace w ON w.id = c.workspace_id WHERE w.account_id = %s"
        self.tally.charges += self.house.count(query, self.customer.account)
        return [*invariants.faults(self.house, self.customer), *self._rosters()]

    def _round(self, each: Round) -> None:
        breaker = Breaker(self.house, self.customer, self.tally)
        with breaker.broken(each.fault):
            self._tell(each.sent, breaker)
            if each.fault == "disk full":
                time.sleep(2.0)
        self._join()
        if each.days:
            self.now = self.now.replace(day=min(28, self.now.day + 1)) if each.days == 1 else _next_month(self.now)
            self._clock_to_now()
        self.house.mend()

    def _tell(self, numbers: Iterable[int], breaker: Breaker) -> None:
        """Hand the round to the tellers, at an even pace, and let the fault act between two deliveries."""
        self._tellers = [threading.Thread(target=self._work, daemon=True) for _ in range(TELLERS)]
        for teller in self._tellers:
            teller.start()
        for number in numbers:
            self._left.put(number)
            time.sleep(0.05)
            breaker.tick()

    def _join(self) -> None:
        for _ in self._tellers:
            self._left.put(None)
        end = time.monotonic() + 120
        while any(teller.is_alive() for teller in self._tellers):
            assert time.monotonic() < end, "a delivery was never answered"
            self.house.mend()  # a web server whose processes are killed again and again gives up; `up` starts it again
            time.sleep(0.2)
        if self._faults:
            raise self._faults[0]

    def _work(self) -> None:
        while (number := self._left.get()) is not None:
            try:
                status = self.customer.deliver(body(self.plan, number))
                assert status == 200, f"a delivery was answered {status}"
            except BaseException as fault:  # noqa: BLE001 - told in the main thread
                self._faults.append(fault)

    def _clock_to_now(self) -> None:
        path = f"/v1/clocks/{self.customer.clock}/advance"
        self.customer.post(path, {"to": self.now.isoformat()}, 202)

    def _rosters(self) -> list[str]:
        """Who belongs to each workspace, by the plan alone."""
        found = []
        for name, workspace in self.workspaces.items():
            query = "SELECT member FROM member WHERE workspace_id = %s AND membership = 'member'"
            there = {row["member"] for row in self.house.sql(query, workspace)}
            wanted = {ident(member) for member in self.plan.members(name) | {"aoi"}}
            if there != wanted:
                found.append(f"{name} has {sorted(there - wanted)} too many and lacks {sorted(wanted - there)}")
        return found


def body(told: Plan, number: int) -> Body:
    """The webhook of an event."""
    event: Event = told.events[number]
    action = f"seed {told.seed} event {number}"
    if event.board:
        more = {"owner": event.workspace, "member": event.member, "workspace": event.workspace}
        return on_board(event.kind, event.board, event.at, action, **more)
    return in_workspace(event.kind, event.workspace, event.member, event.at, action)


def _next_month(now: datetime) -> datetime:
    year, month = divmod(now.year * 12 + now.month, 12)
    return now.replace(year=year, month=month + 1)
