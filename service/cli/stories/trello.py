"""Trello: the rulebook's worked year (TR-10, TR-11) in Trello's own webhooks, from month to year, and two refunds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.core import calendar
from service.cli.stage import Scene, trello_id
from service.cli.story import Act, Paper, Part, Step, Story, billable, give, moment, nothing, standing

ADMIN = "Casper"


def happens(kind: str, who: str) -> Act:
    """A webhook about somebody, in the shape that Trello sends."""
    return lambda scene: scene.deliver(_body(scene, kind, who))


def _body(scene: Scene, kind: str, who: str) -> Mapping[str, Any]:
    workspace = {"id": scene.external_id, "name": scene.name}
    adds = kind == "addMemberToOrganization"
    whom = {"idMemberAdded": scene.id(who)} if adds else {"idMember": scene.id(who)}
    role = {"memberType": "admin" if who == ADMIN else "normal"} if adds else {}
    return {
        "model": {"id": scene.external_id, "name": scene.name.lower().replace(" ", ""), "displayName": scene.name},
        "action": {
            "id": trello_id(),
            "idMemberCreator": scene.id(ADMIN),
            "data": {"organization": workspace, **whom, **role},
            "type": kind,
            "date": calendar.written(scene.now),
            "member": _person(scene, who),
            "memberCreator": _person(scene, ADMIN),
        },
        "webhook": {"id": scene.id("webhook"), "idModel": scene.external_id, "active": True, "consecutiveFailures": 0},
    }


def _person(scene: Scene, name: str) -> Mapping[str, str]:
    return {"id": scene.id(name), "fullName": name, "initials": name[0], "username": f"{name.lower()}_demo"}


def _joins(at: datetime, who: str, seats: tuple[int, int, int], why: str, charged: int = 0) -> Step:
    return Step(
        at=at,
        who=who,
        event="addMemberToOrganization",
        act=happens("addMemberToOrganization", who),
        look=standing(who),
        stands="billable TR-01",
        seats=seats,
        charged=charged,
        papers=(Paper("receipt", charged),) if charged else (),
        why=why,
    )


START = moment("2025-01-15")
YEAR = Part(
    title="The story of TR-10 and TR-11: a year, in signed Trello webhooks",
    tool="trello",
    name="Harbour Works",
    currency="USD",
    time_zone="UTC",
    start=START,
    explain="seats_added",
    steps=(
        _joins(START, ADMIN, (0, 1, 0), "no plan yet, nothing to pay"),
        Step(
            at=START,
            who=ADMIN,
            event="start trello-premium, yearly",
            act=give("subscription", ADMIN, "admin", plan="trello-premium", interval="year", payment_method="card"),
            look=standing(ADMIN),
            stands="billable TR-01",
            seats=(1, 1, 0),
            charged=11999,
            papers=(Paper("receipt", 11999),),
            why="1 seat for the year, paid in advance (TR-22)",
        ),
        _joins(
            moment("2025-04-15"),
            "Michael",
            (2, 2, 0),
            "no vacant seat, so one is bought for the 9 of 12 months left: 3/4 of $119.99 (TR-08, TR-10)",
            8999,
        ),
        Step(
            at=moment("2025-06-15"),
            who="Michael",
            event="deactivatedMemberInOrganization",
            act=happens("deactivatedMemberInOrganization", "Michael"),
            inferred=True,
            look=standing("Michael"),
            stands="free TR-19",
            seats=(2, 1, 1),
            why="the seat stays paid for and is vacant until the period ends, no refund (TR-06, TR-11)",
        ),
        _joins(moment("2025-06-16"), "Kristen", (2, 2, 0), "takes the vacant seat, nothing to pay (TR-06, TR-11)"),
        Step(
            at=moment("2026-01-15"),
            who="everyone",
            event="renewal (time passes)",
            act=nothing,
            look=billable,
            stands="2 billable",
            seats=(2, 2, 0),
            charged=24000,
            papers=(Paper("receipt", 24000),),
            why="2 seats for the next year at the price of that day, $120.00 (TR-09)",
        ),
    ),
)

SHRINKING = Part(
    title="A month's renewal: vacant seats are not charged again (TR-09)",
    tool="trello",
    name="Orchard Lane",
    currency="USD",
    time_zone="UTC",
    start=moment("2026-04-01"),
    steps=(
        _joins(moment("2026-04-01"), ADMIN, (0, 1, 0), "no plan yet, nothing to pay"),
        _joins(moment("2026-04-01"), "Michael", (0, 2, 0), "no plan yet, nothing to pay"),
        Step(
            at=moment("2026-04-01"),
            who=ADMIN,
            event="start trello-premium, monthly",
            act=give("subscription", ADMIN, "admin", plan="trello-premium", interval="month", payment_method="card"),
            stands="active",
            seats=(2, 2, 0),
            charged=2500,
            papers=(Paper("receipt", 2500),),
            why="2 seats at $12.50 for the month (TR-01, TR-22)",
        ),
        _joins(
            moment("2026-04-11"),
            "Kristen",
            (3, 3, 0),
            "one seat more for the 20 of 30 days left: $12.50 x 20/30 = $8.33 (TR-08)",
            833,
        ),
        Step(
            at=moment("2026-04-20"),
            who="Michael",
            event="removeMemberFromOrganization",
            act=happens("removeMemberFromOrganization", "Michael"),
            look=billable,
            stands="2 billable",
            seats=(3, 2, 1),
            why="the seat is paid for up to the end of the month: no refund (TR-06)",
        ),
        Step(
            at=moment("2026-05-01"),
            who="everyone",
            event="renewal (time passes)",
            act=nothing,
            look=billable,
            stands="2 billable",
            seats=(2, 2, 0),
            charged=2500,
            papers=(Paper("receipt", 2500),),
            why="the seats shrink from 3 to the 2 that are used (TR-09)",
        ),
    ),
)


def _to_the_year() -> tuple[Step, ...]:
    """A month from 2026-04-01, which becomes a year on the 16th."""
    return (
        _joins(moment("2026-04-01"), ADMIN, (0, 1, 0), "no plan yet, nothing to pay"),
        Step(
            at=moment("2026-04-01"),
            who=ADMIN,
            event="start trello-premium, monthly",
            act=give("subscription", ADMIN, "admin", plan="trello-premium", interval="month", payment_method="card"),
            stands="active",
            seats=(1, 1, 0),
            charged=1250,
            papers=(Paper("receipt", 1250),),
            why="the upgrade: its day is the first of the 30 for a refund (TR-26)",
        ),
        Step(
            at=moment("2026-04-16"),
            who=ADMIN,
            event="from monthly to yearly",
            act=give("interval-change", ADMIN, "admin", interval="year"),
            stands="active",
            seats=(1, 1, 0),
            charged=11375,
            papers=(Paper("return_invoice", -625), Paper("receipt", 11375)),
            why="$120.00 less the 15 of 30 days left of the month: $120.00 - $6.25 = $113.75 (TR-24)",
        ),
        Step(
            at=moment("2026-04-16"),
            who=ADMIN,
            event="from yearly to monthly",
            act=give("interval-change", ADMIN, "admin", interval="month"),
            refused="TR-25",
            stands="active",
            seats=(1, 1, 0),
            why="not directly: cancel, wait for the end of the year, start anew (TR-25)",
        ),
    )


LAST_DAY = Part(
    title="From the month to the year (TR-24), and a refund on day 30 (TR-26)",
    tool="trello",
    name="Lantern Street",
    currency="USD",
    time_zone="UTC",
    start=moment("2026-04-01"),
    steps=(
        *_to_the_year(),
        Step(
            at=moment("2026-04-30 23:59"),
            who=ADMIN,
            event="asks for a refund, at 23:59",
            act=give("refund", ADMIN, "admin"),
            stands="free",
            seats=(0, 1, 0),
            refunded=12625,
            papers=(Paper("return_invoice", -625), Paper("return_invoice", -12000)),
            why="day 30, the last: all of $12.50 + $113.75 goes back; the plan is over at once (TR-26, A-09)",
        ),
    ),
)
TOO_LATE = Part(
    title="The same, and a refund asked for on day 31",
    tool="trello",
    name="Beacon Yard",
    currency="USD",
    time_zone="UTC",
    start=moment("2026-04-01"),
    steps=(
        *_to_the_year(),
        Step(
            at=moment("2026-05-01"),
            who=ADMIN,
            event="asks for a refund, at 00:00",
            act=give("refund", ADMIN, "admin"),
            refused="TR-26",
            stands="active",
            seats=(1, 1, 0),
            why="one day too late: nothing goes back, the year runs on (TR-26)",
        ),
    ),
)

STORY = Story("trello", (YEAR, SHRINKING, LAST_DAY, TOO_LATE))
