"""Scenes in which a web process dies."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import requests

from tests.faults.crash.scene import ADMIN, TODAY, Story
from tests.faults.house import INSIDE, insist
from tests.flows.house import wait
from tests.flows.parts import ROOT
from tests.flows.tool import ident, in_workspace


class Joins(Story):
    """Somebody joins: the delivery is kept, the bell rings, and the endpoint calls back."""

    part = "web"
    most = 3


class Impostor(Story):
    """Two events under one id: the second is set aside, with one alarm."""

    part = "web"
    alarms = ("delivery_id_reused",)
    acts = 0

    def act(self, turn: int) -> None:
        body = self.happens(f"new {turn}")
        name = body["action"]["id"]
        other = in_workspace("addMemberToOrganization", "kobo", f"other {turn}", TODAY, f"new {turn} joins")
        assert self.customer.deliver(other) == 200
        self.customer.accepted[name] -= 1
        self.acts += 1

    def after(self) -> None:
        super().after()
        query = "SELECT count(*) FROM delivery WHERE connection_id = %s AND state = 'quarantined'"
        assert self.house.count(query, self.customer.connection["id"]) == self.acts
        query = """SELECT count(*) FROM alarm a JOIN delivery d ON strpos(a.detail, d.id) > 0
                   WHERE d.connection_id = %s AND a.kind = 'delivery_id_reused'"""
        assert self.house.count(query, self.customer.connection["id"]) == self.acts


class Clumsy(Story):
    """The room cannot tell the id of a body: it is kept under its digest, and the alarm may get lost, not doubled."""

    part = "web"
    settings: ClassVar[dict[str, str]] = {
        "PYTHONPATH": f"{ROOT}:{INSIDE}",
        "FAULTS_CLUMSY": ident("clumsy")[:12],
    }

    def act(self, turn: int) -> None:
        body = in_workspace("addMemberToOrganization", "kobo", "clumsy", TODAY, f"clumsy joins {turn}")
        assert self.customer.deliver(body) == 200
        del self.customer.accepted[body["action"]["id"]]
        self.digests = 1 + turn

    def after(self) -> None:
        self.people += 1
        super().after()
        query = "SELECT id FROM delivery WHERE connection_id = %s AND delivery_id LIKE 'sha256:%%'"
        found = [row["id"] for row in self.house.sql(query, self.customer.connection["id"])]
        assert len(found) == self.digests
        for name in found:
            assert self.house.count("SELECT count(*) FROM alarm WHERE strpos(detail, %s) > 0", name) <= 1
        self.house.sql("DELETE FROM alarm WHERE kind = 'room_raised'")


class Commands(Story):
    """Every command under its Idempotency-Key has its effect once, and its caller gets an answer."""

    part = "web"
    most = 4
    given = 0

    def before(self) -> None:
        super().before()
        self.ways: list[Callable[[], Any]] = [self.subscribe, self.buy, self.card, self.change]
        self.random.shuffle(self.ways)

    def act(self, turn: int) -> None:
        self.ways[turn % len(self.ways)]()

    def subscribe(self) -> None:
        """One command."""
        another = self.customer.workspace(f"another {self.random.random()}")
        self.customer.roster(another, "aoi", "ren")
        self.customer.start(another)
        self.given += 1

    def buy(self) -> None:
        now = (TODAY + timedelta(hours=self.given)).isoformat()
        self.customer.post(f"/v1/clocks/{self.customer.clock}/advance", {"to": now}, 202)
        self.customer.roster(self.kobo, *("aoi", "ren", "kei")[: self.random.randint(1, 3)])

    def card(self) -> None:
        body = {**ADMIN, "payment_method": "card"}
        self.customer.post(f"/v1/workspaces/{self.kobo}/payment-method", body)
        self.given += 1

    def change(self) -> None:
        for collect in ("paused", "live"):
            self.customer.patch(f"/v1/workspaces/{self.kobo}", {"collect": collect})

    def after(self) -> None:
        self.house.quiet(self.customer.account)
        query = """SELECT count(*) FROM command c JOIN workspace w ON w.id = c.workspace_id
                   WHERE w.account_id = %s AND c.kind IN ('subscription', 'payment-method')"""
        assert self.house.count(query, self.customer.account) == self.given + 1  # and the story's own


class CalledBack(Story):
    """Only a callback tells what became of a charge."""

    part = "web"

    def act(self, turn: int) -> None:
        self.house.fault("pending", times=1, seconds=0.3)
        self.happens(f"new {turn}")
        wait(lambda: not self.house.waiting(self.customer.account))


class Refused(Story):
    """Somebody without a key is refused, and that is written down."""

    part = "web"
    most = 3

    def act(self, turn: int) -> None:
        headers = {"Authorization": "Bearer sekisu_pretend_nobody"}
        url = f"{self.house.url}/v1/workspaces/{self.kobo}/cancellation"
        assert insist(lambda: requests.post(url, json=ADMIN, headers=headers, timeout=10)).status_code == 401

    def after(self) -> None:
        super().after()
        query = "SELECT count(*) FROM audit WHERE workspace_id = %s AND status = 401"
        assert self.house.count(query, self.kobo) >= self.nth - 1
        query = "SELECT count(*) FROM command WHERE workspace_id = %s AND kind = 'cancellation'"
        assert not self.house.count(query, self.kobo)


SCENES = {
    "audit": Refused,
    "inbox.keep": Joins,
    "inbox.impostor": Impostor,
    "webhook.alarm": Clumsy,
    "callback.keep": CalledBack,
    "bell.ring": Joins,
    "api": Commands,
}
