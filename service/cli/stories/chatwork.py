"""Chatwork: licences ライセンス bought ahead, whoever uses them; given up in time and too late; Enterprise; a move."""

from collections.abc import Mapping
from typing import Any

from service.cli.stage import Scene, number
from service.cli.story import Act, Paper, Part, Step, Story, give, moment, nothing

ZONE = "Asia/Tokyo"
ADMIN = "Haruka"
_ROLE = "administrator"
_YEARLY = {"interval": "year", "payment_method": "card"}


def users(count: int) -> Act:
    """The contract's full list, imported: the administrator 管理者 and `count` - 1 managed users 管理対象ユーザー."""
    names = [ADMIN, *(f"user {n}" for n in range(2, count + 1))]
    roles = {ADMIN: {"role": _ROLE}}
    return lambda scene: scene.people(
        [{"id": scene.id(name), "name": name, **roles.get(name, {"role": "member"})} for name in names]
    )


def hint(scene: Scene) -> None:
    """A system message about somebody removed from a room: text that anybody may type, so only a hint."""
    at = int(scene.now.timestamp())
    event = {
        "message_id": number(),
        "room_id": int(scene.id("room")),
        "account_id": int(scene.id("user 40")),
        "body": f"[info][title][dtext:chatroom_chat_edited][/title][dtext:chatroom_deleted][piconname:"
        f"{scene.id('user 40')}][/info]",
        "send_time": at,
        "update_time": 0,
    }
    body: Mapping[str, Any] = {
        "webhook_setting_id": scene.id("webhook"),
        "webhook_event_type": "message_created",
        "webhook_event_time": at,
        "webhook_event": event,
    }
    scene.deliver(body, "ignored")


def moved(into: str) -> Act:
    """The contract is moved into that of the workspace with the name; a new and free one when there is none."""

    def act(scene: Scene) -> None:
        there = scene.stage.scenes.get(into) or Scene(scene.stage, "chatwork", into, scene.now, ZONE)
        give("migration", ADMIN, _ROLE, into=there.external_id)(scene)

    return act


def business(licences: int) -> Act:
    """Contract Business by the year."""
    return give("subscription", ADMIN, _ROLE, plan="chatwork-business", licences=licences, **_YEARLY)


def _begins(people: int, why: str) -> Step:
    return Step(
        at=moment("2025-04-01", ZONE),
        who=ADMIN,
        event=f"import {people} {'user' if people == 1 else 'users'}",
        act=users(people),
        stands="free",
        seats=(0, people, 0),
        why=why,
    )


_FIFTY = (
    _begins(40, "1 administrator 管理者 and 39 managed users make 40 (CW-01, CW-02)"),
    Step(
        at=moment("2025-04-01", ZONE),
        who=ADMIN,
        event="contract Business, 50 licences",
        act=business(50),
        stands="active",
        seats=(50, 40, 10),
        charged=462_000,
        tax=42_000,
        papers=(Paper("receipt", 462_000, 42_000),),
        why="50 x ¥8,400 = ¥420,000 before tax 税抜, whoever uses them: 10 more may join (CW-05, CW-09)",
    ),
)
_RENEWED = Step(
    at=moment("2026-04-01", ZONE),
    who="",
    event="renewal 更新 (time passes)",
    act=nothing,
    stands="active",
    seats=(50, 30, 20),
    charged=462_000,
    tax=42_000,
    papers=(Paper("receipt", 462_000, 42_000),),
    why="50 licences, used or not: renewal at the old count (CW-22, CW-24)",
)

IN_TIME = Part(
    title="50 licences ライセンス and 40 users ユーザー (CW-09); licences given up the day before the renewal (CW-25)",
    tool="chatwork",
    name="Minato Trading",
    currency="JPY",
    time_zone=ZONE,
    start=moment("2025-04-01", ZONE),
    explain="licences_added",
    steps=(
        *_FIFTY,
        Step(
            at=moment("2025-05-01", ZONE),
            who="user 40",
            event="a message: somebody was removed",
            act=hint,
            stands="active",
            seats=(50, 40, 10),
            why="anybody can type it, so the signed webhook is only a hint to read the lists again: ¥0",
        ),
        Step(
            at=moment("2025-05-01", ZONE),
            who=ADMIN,
            event="import 30 users: 10 are gone",
            act=users(30),
            stands="active",
            seats=(50, 30, 20),
            why="deleting a user is not deleting a licence: the fee follows the licences (CW-20 to CW-22)",
        ),
        Step(
            at=moment("2025-06-30", ZONE),
            who=ADMIN,
            event="gives up 5 licences",
            act=give("licences", ADMIN, _ROLE, remove=5),
            stands="active",
            seats=(45, 30, 15),
            why="45 at once (CW-26); the time that is left of them is not given back (CW-28)",
        ),
        Step(
            at=moment("2025-06-30", ZONE),
            who=ADMIN,
            event="wants them back: buys 5",
            act=give("licences", ADMIN, _ROLE, add=5),
            stands="active",
            seats=(50, 30, 20),
            charged=34_807,
            tax=3_164,
            papers=(Paper("receipt", 34_807, 3_164),),
            why="no undoing (CW-27): 5 x ¥8,400 for 275 of 365 days = ¥31,643 and tax again (CW-15, B-11)",
        ),
        Step(
            at=moment("2026-03-31 23:59", ZONE),
            who=ADMIN,
            event="gives up 21 licences, at 23:59",
            act=give("licences", ADMIN, _ROLE, remove=21),
            refused="A-22",
            stands="active",
            seats=(50, 30, 20),
            why="30 people use the contract: users go before licences (CW-26)",
        ),
        Step(
            at=moment("2026-03-31 23:59", ZONE),
            who=ADMIN,
            event="gives up 5 licences, at 23:59",
            act=give("licences", ADMIN, _ROLE, remove=5),
            stands="active",
            seats=(45, 30, 15),
            why="the day before the renewal, the last to count for it (CW-25)",
        ),
        Step(
            at=moment("2026-04-01", ZONE),
            who="",
            event="renewal 更新 (time passes)",
            act=nothing,
            stands="active",
            seats=(45, 30, 15),
            charged=415_800,
            tax=37_800,
            papers=(Paper("receipt", 415_800, 37_800),),
            why="45 x ¥8,400 = ¥378,000 (CW-23), used or not",
        ),
    ),
)

TOO_LATE = Part(
    title="The same, and licences given up on the day of the renewal (CW-25)",
    tool="chatwork",
    name="Sakura Press",
    currency="JPY",
    time_zone=ZONE,
    start=moment("2025-04-01", ZONE),
    steps=(
        *_FIFTY,
        Step(
            at=moment("2025-05-01", ZONE),
            who=ADMIN,
            event="import 30 users: 10 are gone",
            act=users(30),
            stands="active",
            seats=(50, 30, 20),
            why="the licences stay (CW-21)",
        ),
        _RENEWED,
        Step(
            at=moment("2026-04-01", ZONE),
            who=ADMIN,
            event="gives up 5 licences, at 00:00",
            act=give("licences", ADMIN, _ROLE, remove=5),
            stands="active",
            seats=(45, 30, 15),
            why="too late for this renewal, which was taken at 50: nothing comes back (CW-25, CW-28)",
        ),
        Step(
            at=moment("2027-04-01", ZONE),
            who="",
            event="renewal 更新 (time passes)",
            act=nothing,
            stands="active",
            seats=(45, 30, 15),
            charged=415_800,
            tax=37_800,
            papers=(Paper("receipt", 415_800, 37_800),),
            why="it counts for the next one: 45 x ¥8,400 = ¥378,000 (CW-23)",
        ),
    ),
)


def enterprise(licences: int) -> Act:
    """Contract Enterprise by the year."""
    return give("subscription", ADMIN, _ROLE, plan="chatwork-enterprise", licences=licences, **_YEARLY)


ENTERPRISE = Part(
    title="Enterprise is sold from 5 licences (CW-14)",
    tool="chatwork",
    name="Hotaru Clinic",
    currency="JPY",
    time_zone=ZONE,
    start=moment("2025-04-01", ZONE),
    steps=(
        _begins(1, "a person alone (CW-03)"),
        Step(
            at=moment("2025-04-01", ZONE),
            who=ADMIN,
            event="contract Enterprise, 4 licences",
            act=enterprise(4),
            refused="CW-14",
            stands="free",
            seats=(0, 1, 0),
            why="5 at least, for a single person too (CW-14)",
        ),
        Step(
            at=moment("2025-04-01", ZONE),
            who=ADMIN,
            event="contract Enterprise, 5 licences",
            act=enterprise(5),
            stands="active",
            seats=(5, 1, 4),
            charged=79_200,
            tax=7_200,
            papers=(Paper("receipt", 79_200, 7_200),),
            why="5 x ¥14,400 = ¥72,000 before tax (CW-14)",
        ),
        Step(
            at=moment("2025-05-01", ZONE),
            who=ADMIN,
            event="gives up 1 licence",
            act=give("licences", ADMIN, _ROLE, remove=1),
            refused="CW-14",
            stands="active",
            seats=(5, 1, 4),
            why="never below 5 (A-21)",
        ),
        Step(
            at=moment("2025-05-01", ZONE),
            who=ADMIN,
            event="change to Business",
            act=give("plan-change", ADMIN, _ROLE, plan="chatwork-business"),
            refused="B-13",
            stands="active",
            seats=(5, 1, 4),
            why="there is no way down: cancel, then sign up anew (B-13)",
        ),
    ),
)

MOVED = Part(
    title="A contract moved 移行 into another one (CW-16 to CW-19)",
    tool="chatwork",
    name="Haruka alone",
    currency="JPY",
    time_zone=ZONE,
    start=moment("2025-04-01", ZONE),
    steps=(
        _begins(3, "3 people use it for now"),
        Step(
            at=moment("2025-04-01", ZONE),
            who=ADMIN,
            event="contract Business, 3 licences",
            act=business(3),
            stands="active",
            seats=(3, 3, 0),
            charged=27_720,
            tax=2_520,
            papers=(Paper("receipt", 27_720, 2_520),),
            why="3 x ¥8,400 = ¥25,200 before tax (CW-07)",
        ),
        Step(
            at=moment("2025-07-01", ZONE),
            who=ADMIN,
            event="moves into Minato Trading",
            act=moved("Minato Trading"),
            refused="CW-16",
            stands="active",
            seats=(3, 3, 0),
            why="only somebody who is alone in their contract can be moved (CW-16)",
        ),
        Step(
            at=moment("2025-07-01", ZONE),
            who=ADMIN,
            event="import 1 user: 2 are gone",
            act=users(1),
            stands="active",
            seats=(3, 1, 2),
            why="now the administrator is alone",
        ),
        Step(
            at=moment("2025-07-01", ZONE),
            who=ADMIN,
            event="moves into a Free contract",
            act=moved("Friends for free"),
            refused="CW-17",
            stands="active",
            seats=(3, 1, 2),
            why="who pays cannot be added to a Free contract (CW-17)",
        ),
        Step(
            at=moment("2025-07-01", ZONE),
            who=ADMIN,
            event="moves into Minato Trading",
            act=moved("Minato Trading"),
            stands="migrated",
            seats=(0, 1, 0),
            why="9 months are left, and nothing is given back (CW-19)",
        ),
        Step(
            at=moment("2026-04-01", ZONE),
            who="",
            event="the renewal's day (time passes)",
            act=nothing,
            stands="migrated",
            seats=(0, 1, 0),
            why="the payment stopped by itself: no renewal (CW-18)",
        ),
    ),
)

STORY = Story("chatwork", (IN_TIME, TOO_LATE, ENTERPRISE, MOVED))
