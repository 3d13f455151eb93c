"""Scenes in which a worker dies; the ticker stands still meanwhile, or it would do the work first."""

from typing import Any

from tests.faults.crash.scene import ADMIN, TODAY, Story
from tests.flows.house import wait
from tests.flows.tool import at, ident, in_workspace


class Joins(Story):
    """Somebody joins: read, settled, charged, and the callback read."""

    part = "worker"
    rival = "ticker"
    most = 2


class JoinTogether(Joins):
    """Somebody joins each of two workspaces: what waits for a worker is settled in one transaction."""

    most = 1

    def found(self) -> None:
        super().found()
        self.annex = self.customer.workspace("annex")
        self.customer.roster(self.annex, "aoi")
        self.customer.start(self.annex, interval=self.interval)
        self.customer.rest(self.annex)
        self.joined = 1

    def act(self, turn: int) -> None:
        self.house.freeze("worker")
        self.happens(f"new {turn}")
        body = in_workspace("addMemberToOrganization", "annex", f"new {turn}", TODAY, f"annex {turn}")
        assert self.customer.deliver(body) == 200
        self.joined += 1
        self.house.thaw("worker")

    def after(self) -> None:
        super().after()
        assert self.customer.of(self.annex, "seats")["occupied"] == self.joined


class TakesOver(Joins):
    """A worker that begins looks for what dead ones were sending."""

    most = 1


class LookedUp(Joins):
    """A pending charge is asked after."""

    most = 1

    def act(self, turn: int) -> None:
        self.house.fault("pending", times=1, seconds=4.0)
        self.happens(f"slow {turn}")
        query = """SELECT c.id FROM charge c JOIN workspace w ON w.id = c.workspace_id
                   WHERE w.account_id = %s AND c.status = 'pending'"""
        wait(lambda: self.house.sql(query, self.customer.account))
        for row in self.house.sql(query, self.customer.account):  # an hour passes
            self.house.sql("UPDATE charge SET due_at = now() WHERE id = %s", row["id"])
        self.happens(f"new {turn}")


class GivesBack(Joins):
    """TR-26: the money of the first month is given back."""

    interval = "month"
    most = 1

    def found(self) -> None:
        super().found()
        self.given: list[str] = []
        self.ready = [self._another()]

    def _another(self) -> str:
        name = self.customer.workspace(f"another {self.random.random()}")
        self.customer.roster(name, "aoi", "ren")
        self.customer.start(name, interval="month")
        self.customer.rest(name)
        return name

    def act(self, turn: int) -> None:
        workspace = self.ready.pop() if self.ready else self._another()
        self.customer.post(f"/v1/workspaces/{workspace}/refund", ADMIN)
        self.given.append(workspace)

    def after(self) -> None:
        super().after()
        for workspace in self.given:
            rows = self.house.sql("SELECT status FROM refund WHERE workspace_id = %s", workspace)
            assert [row["status"] for row in rows] == ["succeeded"]


class Travels(Joins):
    """A clock goes over two renewals: the second waits for the answer to the first."""

    interval = "month"
    most = 1

    def act(self, turn: int) -> None:
        self.clock_to(at(f"2025-0{5 + turn}-20"))

    def after(self) -> None:
        path = f"/v1/clocks/{self.customer.clock}"
        wait(lambda: self.customer.get(path)["status"] == "ready", 40)
        super().after()
        query = "SELECT count(DISTINCT key) FROM entry WHERE workspace_id = %s AND kind = 'period'"
        assert self.house.count(query, self.kobo) >= 5


class Poisoned(Joins):
    """Among three deliveries one cannot be filed: it is set aside and its neighbours are served."""

    alarms = ("delivery_quarantined",)
    most = 1

    def act(self, turn: int) -> None:
        poison = f"poison {self.customer.account} {turn}"
        self.house.sql("INSERT INTO poison VALUES (%s)", ident(poison))
        self.house.freeze("worker")
        self.happens(f"before {turn}")
        bad: dict[str, Any] = self.happens(poison)
        self.customer.poison.add(bad["action"]["id"])
        self.people -= 1
        self.happens(f"behind {turn}", TODAY)
        self.house.thaw("worker")

    def after(self) -> None:
        super().after()
        query = """SELECT d.id, (SELECT count(*) FROM alarm a WHERE strpos(a.detail, d.id) > 0) AS alarms
                   FROM delivery d WHERE d.connection_id = %s AND d.state = 'quarantined'"""
        found = self.house.sql(query, self.customer.connection["id"])
        assert [row["alarms"] for row in found] == [1] * len(self.customer.poison)


SCENES = {
    "read": Joins,
    "read.alone": Poisoned,
    "read.quarantine": Poisoned,
    "settle": Joins,
    "settle.together": JoinTogether,
    "charge.take_over": TakesOver,
    "charge.lease": Joins,
    "charge.post": Joins,
    "charge.book": Joins,
    "charge.lookup": LookedUp,
    "refund.lease": GivesBack,
    "refund.post": GivesBack,
    "refund.book": GivesBack,
    "callback.read": Joins,
    "documents.travel": Travels,
}
