"""Scenes in which the ticker dies: it does what is due when it starts, so all is laid out before it does."""

from tests.faults.crash.scene import Story
from tests.faults.house import Patient
from tests.flows.house import wait
from tests.pull.tool import Trello, served
from tests.pull.town import START


class Mails(Story):
    """A charge is paid; its receipt is issued and mailed."""

    part = "ticker"
    down = False

    def before(self) -> None:
        contact = {"name": "Aoi", "email": "aoi@kobo.example", "language": "ja"}
        self.customer.patch(f"/v1/workspaces/{self.kobo}", {"billing_contact": contact})
        for number in range(1 + self.most):
            self.happens(f"paid {number}")
        query = "SELECT count(*) FROM charge WHERE workspace_id = %s AND status <> 'succeeded'"
        wait(lambda: self.customer.of(self.kobo, "seats")["occupied"] == self.people)
        wait(lambda: not self.house.count(query, self.kobo))
        if self.down:
            self.house.mailroom.close()

    def act(self, turn: int) -> None:
        """It is due already."""

    def after(self) -> None:
        if self.down:
            self.house.mailroom.open()
        # The lease of a mail is ten minutes long, and after a silent server it waits.
        self.house.quiet(self.customer.account, 60, hurry=True)
        super().after()


class MailsInVain(Mails):
    """The mail server is down; when it is back the mails go."""

    down = True


class Forgets(Story):
    """Idempotency keys of the day before yesterday."""

    part = "ticker"

    def before(self) -> None:
        self.house.sql("UPDATE idempotency SET created_at = created_at - interval '2 days'")

    def act(self, turn: int) -> None:
        """It tidies when it starts."""

    def after(self) -> None:
        super().after()
        query = "SELECT count(*) FROM idempotency WHERE created_at < now() - interval '1 day'"
        wait(lambda: not self.house.count(query))


class LetsGo(Story):
    """The service as a whole was paused; what it held goes when it is live again."""

    part = "ticker"

    def before(self) -> None:
        self.house.restart("worker", SEKISU_COLLECT="paused")
        self.happens("held")
        query = "SELECT count(*) FROM charge WHERE workspace_id = %s AND status = 'held'"
        wait(lambda: self.house.count(query, self.kobo))
        self.house.restart("worker")

    def act(self, turn: int) -> None:
        """It looks when it starts."""

    def after(self) -> None:
        wait(lambda: {status for status, _ in self.customer.charged(self.kobo)} == {"succeeded"})
        super().after()


class Pulls(Story):
    """A tool's lists are asked for, and what webhooks never told becomes facts."""

    part = "ticker"
    most = 3
    broken = False

    def before_it_stops(self) -> None:
        """Nothing: the workspace must not be seen before the ticker is armed."""

    def before(self) -> None:
        self.customer = Patient(self.house)
        for who in ("100", "101", "102"):
            self.town.happens("member.joined", START, who)
        self.town.happens("board.attached", START, None, "11")
        self.town.happens("board.member_added", START, "103", "11")
        self.town.fault = (401, {}, "invalid key") if self.broken else None

    def play(self) -> None:
        self.town = Trello()
        with served(self.town):
            super().play()

    def die(self) -> None:
        body = {"tool": "trello", "secrets": ["s"], "credential": dict(self.town.credential), "api_url": self.town.url}
        line = self.customer.post("/v1/connections", body)
        body = {"tool": "trello", "external_id": "w1", "name": "Kobo", "connection_id": line["id"]}
        self.kobo = str(self.customer.post("/v1/workspaces", body)["id"])
        super().die()

    def act(self, turn: int) -> None:
        """It is due already."""

    def after(self) -> None:
        self.town.fault = None
        wait(self._pulled, 60)
        self.house.quiet(self.customer.account)
        query = "SELECT member FROM member WHERE workspace_id = %s AND membership <> 'none' ORDER BY 1"
        assert [row["member"] for row in self.house.sql(query, self.kobo)] == ["100", "101", "102"]
        query = "SELECT member FROM seat WHERE workspace_id = %s AND present"
        assert [row["member"] for row in self.house.sql(query, self.kobo)] == ["103"]

    def _pulled(self) -> bool:
        """The lease of a pull is half an hour long, and one that failed waits as long: let that time pass."""
        self.house.sql("UPDATE workspace SET pull_after = NULL WHERE id = %s AND pull_after IS NOT NULL", self.kobo)
        query = "SELECT count(*) FROM workspace WHERE id = %s AND pulled_at IS NOT NULL AND pull_fault IS NULL"
        return bool(self.house.count(query, self.kobo))


class PullsOnce(Pulls):
    """As before, with what it does once for each pull."""

    most = 1


class PullsInVain(PullsOnce):
    """The tool refuses the credential; it is asked again later, and then it does not."""

    broken = True


SCENES = {
    "documents.issue": Mails,
    "mail.lease": Mails,
    "mail.compose": Mails,
    "mail.send": Mails,
    "mail.book": Mails,
    "mail.back": MailsInVain,
    "tidy": Forgets,
    "tidy.collect": LetsGo,
    "pull.ask": Pulls,
    "reconcile.lease": PullsOnce,
    "reconcile.apply": PullsOnce,
    "reconcile.fail": PullsInVain,
    "reconcile.later": PullsInVain,
}
