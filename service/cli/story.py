"""The worked story of the rulebook (TR-10, TR-11), told in Trello's own webhooks, and what must come of each."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.core import calendar
from service.cli.stage import Stage, trello_id

#: Nobody has published a sample of these; their shape is inferred from the ones that were.
INFERRED = frozenset({"deactivatedMemberInOrganization"})
TOOL = "trello"
NAME = "Harbour Works"
START = datetime(2025, 1, 15, tzinfo=UTC)
PLAN = {"plan": "trello-premium", "interval": "year", "payment_method": "card"}
ADMIN = "Casper"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at `at` (UTC), and what must come of it.

    `event` is the type of a Trello action, or a word of ours: `start` (a command), `renewal` (time passing).
    `verdict` is the person's classification with its rule. `seats` are purchased, occupied, vacant. `charged` is in
    minor units; `why` says, in words, why it is what it is.
    """

    at: datetime
    who: str
    event: str
    verdict: str
    seats: tuple[int, int, int]
    charged: int
    why: str


def _day(text: str) -> datetime:
    return calendar.read(f"{text}T00:00:00.000Z")


STEPS = (
    Step(START, "Casper", "addMemberToOrganization", "billable TR-01", (0, 1, 0), 0, "no plan yet, nothing to pay"),
    Step(START, "Casper", "start", "billable TR-01", (1, 1, 0), 11999, "1 seat for the year, paid in advance (TR-22)"),
    Step(
        _day("2025-04-15"),
        "Michael",
        "addMemberToOrganization",
        "billable TR-01",
        (2, 2, 0),
        8999,
        "no vacant seat, so one is bought for the 9 of 12 months left: 3/4 of $119.99 (TR-08, TR-10)",
    ),
    Step(
        _day("2025-06-15"),
        "Michael",
        "deactivatedMemberInOrganization",
        "free TR-19",
        (2, 1, 1),
        0,
        "the seat stays paid for and is vacant until the period ends, no refund (TR-06, TR-11)",
    ),
    Step(
        _day("2025-06-16"),
        "Kristen",
        "addMemberToOrganization",
        "billable TR-01",
        (2, 2, 0),
        0,
        "takes the vacant seat, nothing to pay (TR-06, TR-11)",
    ),
    Step(
        _day("2026-01-15"),
        "everyone",
        "renewal",
        "2 billable",
        (2, 2, 0),
        24000,
        "2 seats for the next year at the price of that day, $120.00 (TR-09)",
    ),
)


class Trello:
    """The tool, as far as the story needs it: people with ids, and webhooks about them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._webhook = {"id": trello_id(), "idModel": stage.external_id, "active": True, "consecutiveFailures": 0}
        self.ids = {name: trello_id() for name in sorted({step.who for step in STEPS} - {"everyone"})}

    def act(self, step: Step) -> None:
        """Let the step happen and come to rest. Raises SekisuError."""
        if step.at > self._stage.now:
            self._stage.advance(step.at)
        if step.event == "start":
            self._stage.command("subscription", {"actor": {"id": self.ids[ADMIN], "role": "admin"}, **PLAN})
        elif step.event != "renewal":
            self._stage.deliver(self._body(step))

    def _body(self, step: Step) -> dict[str, Any]:
        """The body of the webhook, in the shape that Trello sends."""
        workspace = {"id": self._stage.external_id, "name": self._stage.name}
        adds = step.event == "addMemberToOrganization"
        whom = {"idMemberAdded": self.ids[step.who]} if adds else {"idMember": self.ids[step.who]}
        role = {"memberType": "admin" if step.who == ADMIN else "normal"} if adds else {}
        return {
            "model": {"id": workspace["id"], "name": "harbourworks", "displayName": workspace["name"]},
            "action": {
                "id": trello_id(),
                "idMemberCreator": self.ids[ADMIN],
                "data": {"organization": workspace, **whom, **role},
                "type": step.event,
                "date": calendar.written(step.at),
                "member": self._person(step.who),
                "memberCreator": self._person(ADMIN),
            },
            "webhook": self._webhook,
        }

    def _person(self, name: str) -> dict[str, Any]:
        return {"id": self.ids[name], "fullName": name, "initials": name[0], "username": f"{name.lower()}_demo"}
