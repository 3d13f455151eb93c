"""Backlog: thirty free days, formal registration 正式登録 on the first and on the last of them and one too late, the
five ways to pay, and the exception of the Free plan."""

from typing import Any

from billing.core import calendar
from service.cli.stage import Scene, number
from service.cli.story import Act, Paper, Part, Step, Story, give, moment, nothing

ZONE = "Asia/Tokyo"
ADMIN = "Midori"
_ROLE = "contract_admin"
_TERMS = {"terms_version": "v12", "terms_url": "https://example.com/terms"}
_QUARTER = 3
_RECEIPT = Paper("receipt", 17_600, 1_600)
APPLIED, LAST, PAID = (moment(text, ZONE) for text in ("2026-04-01 10:00", "2026-04-30 23:59", "2026-05-01"))


def users(count: int) -> Act:
    """The space's full list, imported: its contract administrator 契約管理者 and others, `count` in all."""
    names = [ADMIN, *(f"user {n}" for n in range(2, count + 1))]
    return lambda scene: scene.people([{"id": scene.id(name), "name": name} for name in names])


def applies(plan: str) -> Act:
    """The first user of the space applies for a free trial, and accepts the terms of service."""

    def act(scene: Scene) -> None:
        users(1)(scene)
        give("trial", ADMIN, _ROLE, plan=plan, **_TERMS)(scene)

    return act


def free(scene: Scene) -> None:
    """The first user of the space starts on the Free plan."""
    users(1)(scene)
    give("subscription", ADMIN, _ROLE, plan="backlog-free", interval="month")(scene)


def project(kind: int, who: str) -> Act:
    """A webhook of a project: somebody was added to it (15) or removed from it (16). Backlog signs nothing."""

    def act(scene: Scene) -> None:
        content = {"users": [{"id": int(scene.id(who)), "name": who, "nulabAccount": None}], "comment": ""}
        body: dict[str, Any] = {
            "id": int(number()),
            "type": kind,
            "created": calendar.written(scene.now),
            "project": {"id": int(scene.id("project")), "projectKey": "MIDORI", "name": "Midori", "archived": False},
            "content": content,
            "createdUser": {"id": int(scene.id(ADMIN)), "name": ADMIN, "roleType": 1, "lang": "ja"},
            "notifications": [],
        }
        scene.deliver(body)

    return act


def receipt(scene: Scene) -> None:
    """Ask for the receipt of what was paid last: that of a bank transfer is not issued by itself."""
    scene.ask(f"/v1/charges/{scene.rows('charges')[-1]['id']}/receipt", {})


def registration(method: str, months: int, who: str = ADMIN, role: str = _ROLE) -> Act:
    """Register formally, with a way to pay and a term."""
    return give("registration", who, role, payment_method=method, months=months)


def _applies(why: str) -> Step:
    return Step(
        at=APPLIED,
        who=ADMIN,
        event="applies for a trial of Standard",
        act=applies("backlog-standard"),
        stands="trialing",
        seats=(0, 1, 0),
        why=why,
    )


def _paid_use(event: str, why: str, users: int = 1) -> Step:
    return Step(
        at=PAID,
        who="",
        event=event,
        act=nothing,
        stands="active",
        seats=(1, users, 0),
        charged=17_600,
        tax=1_600,
        papers=(_RECEIPT,),
        why=why,
    )


FIRST_DAY = Part(
    title="A trial 無料トライアル, registered on day 1; users never change the price",
    tool="backlog",
    name="Midori Works",
    currency="JPY",
    time_zone=ZONE,
    start=APPLIED,
    steps=(
        Step(
            at=APPLIED,
            who=ADMIN,
            event="a trial without the terms",
            act=give("trial", ADMIN, _ROLE, plan="backlog-standard"),
            refused="BL-25",
            stands="free",
            seats=(0, 0, 0),
            why="agreeing to the terms of service stands in for a contract (BL-25)",
        ),
        _applies("30 free days, all functions, no way to pay asked for (BL-01, BL-07 to BL-09)"),
        Step(
            at=APPLIED,
            who="Ren",
            event="registers 正式登録",
            act=registration("card", 1, "Ren", "admin"),
            refused="BL-17",
            stands="trialing",
            seats=(0, 1, 0),
            why="only a contract administrator 契約管理者 may; who applied is one (BL-17, BL-18)",
        ),
        Step(
            at=APPLIED,
            who=ADMIN,
            event="registers 正式登録: card, 1 month",
            act=registration("card", 1),
            stands="trial_registered",
            seats=(0, 1, 0),
            why="on day 1: the 30 days stay free (BL-12)",
        ),
        Step(
            at=moment("2026-04-10", ZONE),
            who=ADMIN,
            event="import 40 users",
            act=users(40),
            stands="trial_registered",
            seats=(0, 40, 0),
            why="users are checked against the plan's caps, never priced (BL-04)",
        ),
        Step(
            at=moment("2026-04-30 23:59", ZONE),
            who="",
            event="day 30, 23:59 (time passes)",
            act=nothing,
            stands="trial_registered",
            seats=(0, 40, 0),
            why="the last free day (BL-05)",
        ),
        _paid_use(
            "day 31 (time passes)", "paid use begins: ¥17,600 with tax in it 税込, for 1 space (BL-06, BL-21)", 40
        ),
        Step(
            at=moment("2026-05-10", ZONE),
            who="user 41",
            event="webhook 15: joins a project",
            act=project(15, "user 41"),
            stands="active",
            seats=(1, 40, 0),
            why="no price hangs on it (BL-04)",
        ),
        Step(
            at=moment("2026-05-11", ZONE),
            who="user 41",
            event="webhook 16: leaves the project",
            act=project(16, "user 41"),
            stands="active",
            seats=(1, 40, 0),
            why="no price hangs on it (BL-04)",
        ),
        Step(
            at=moment("2026-05-31", ZONE),
            who="",
            event="renewal 更新 (time passes)",
            act=nothing,
            stands="active",
            seats=(1, 40, 0),
            charged=17_600,
            tax=1_600,
            papers=(_RECEIPT,),
            why="the card is charged the day before the renewal of 06-01 (B-24)",
        ),
    ),
)

LAST_DAY = Part(
    title="The same, registered on day 30",
    tool="backlog",
    name="Aozora Studio",
    currency="JPY",
    time_zone=ZONE,
    start=APPLIED,
    steps=(
        _applies("free up to 04-30 (A-16)"),
        Step(
            at=LAST,
            who=ADMIN,
            event="registers 正式登録, at 23:59",
            act=registration("card", 1),
            stands="trial_registered",
            seats=(0, 1, 0),
            why="day 30, the last (BL-15)",
        ),
        _paid_use("day 31 (time passes)", "paid use begins the day after (BL-05)"),
    ),
)

TOO_LATE = Part(
    title="The same, registered on day 31",
    tool="backlog",
    name="Komorebi Lab",
    currency="JPY",
    time_zone=ZONE,
    start=APPLIED,
    steps=(
        _applies("free up to 04-30 (A-16)"),
        Step(
            at=PAID,
            who=ADMIN,
            event="registers 正式登録, at 00:00",
            act=registration("card", 1),
            refused="BL-15",
            stands="expired",
            seats=(0, 1, 0),
            why="one day too late: the trial is over, and nothing was charged (BL-08, BL-15)",
        ),
        Step(
            at=PAID,
            who=ADMIN,
            event="applies for a trial once more",
            act=give("trial", ADMIN, _ROLE, plan="backlog-standard", **_TERMS),
            refused="BL-11",
            stands="expired",
            seats=(0, 1, 0),
            why="the space id スペースID stays reserved: a new trial needs a new one (BL-10, BL-11)",
        ),
    ),
)


def _pays(method: str, months: int, amount: int) -> Part:
    """One of the five ways: the card's receipt when it is charged, the bank's invoice when it is registered."""
    by_card = method == "card"
    tax = amount // 11
    bill = Paper("invoice", amount, tax, "2026-05-01")
    registered = Step(
        at=moment("2026-04-20", ZONE),
        who=ADMIN,
        event="registers 正式登録",
        act=registration(method, months),
        stands="trial_registered",
        seats=(0, 1, 0),
        charged=0 if by_card else amount,
        tax=0 if by_card else tax,
        papers=() if by_card else (bill,),
        why="charged after day 30 (BL-05)" if by_card else "the invoice comes now, due by the first paid day (A-20)",
    )
    begins = Step(
        at=PAID,
        who="",
        event="day 31 (time passes)",
        act=nothing,
        stands="active",
        seats=(1, 1, 0),
        charged=amount if by_card else 0,
        tax=tax if by_card else 0,
        papers=(Paper("receipt", amount, tax),) if by_card else (),
        why="paid use begins, with a receipt for the card (BL-21)" if by_card else "paid use begins (BL-22)",
    )
    asked = Step(
        at=PAID,
        who=ADMIN,
        event="asks for the receipt",
        act=receipt,
        stands="active",
        seats=(1, 1, 0),
        papers=(Paper("receipt", amount, tax),),
        why="of a bank transfer only on request (A-20)",
    )
    following = Step(
        at=moment("2026-07-02", ZONE),
        who="",
        event="30 days before the renewal",
        act=nothing,
        stands="active",
        seats=(1, 1, 0),
        charged=amount,
        tax=tax,
        papers=(Paper("invoice", amount, tax, "2026-08-01"),),
        why="the invoice of the next 3 months, due by the first of them, 08-01 (BL-22)",
    )
    by_bank = (asked, following) if months == _QUARTER else (asked,)
    way, term = "Card カード" if by_card else "Bank transfer 銀行振込", "month" if months == 1 else f"{months} months"
    return Part(
        title=f"{way}, every {term} (BL-19)",
        tool="backlog",
        name=f"Space by {method} every {months}",
        currency="JPY",
        time_zone=ZONE,
        start=APPLIED,
        steps=(
            _applies("30 free days, however it is paid after them"),
            registered,
            begins,
            *(() if by_card else by_bank),
        ),
    )


WAYS = tuple(
    _pays(*way)
    for way in (
        ("card", 1, 17_600),
        ("card", 12, 211_200),
        ("bank_transfer", 3, 52_800),
        ("bank_transfer", 6, 105_600),
        ("bank_transfer", 12, 211_200),
    )
)

NO_WAY = Part(
    title="A pair that is not sold (BL-19)",
    tool="backlog",
    name="Tsubame Post",
    currency="JPY",
    time_zone=ZONE,
    start=APPLIED,
    steps=(
        _applies("30 free days"),
        Step(
            at=moment("2026-04-20", ZONE),
            who=ADMIN,
            event="registers: card, 3 months",
            act=registration("card", 3),
            refused="BL-19",
            stands="trialing",
            seats=(0, 1, 0),
            why="a card pays every 1 or 12 months",
        ),
        Step(
            at=moment("2026-04-20", ZONE),
            who=ADMIN,
            event="registers: bank, 1 month",
            act=registration("bank_transfer", 1),
            refused="BL-19",
            stands="trialing",
            seats=(0, 1, 0),
            why="a bank transfer pays every 3, 6 or 12 months",
        ),
    ),
)

FREE = Part(
    title="The exception: from the Free plan フリープラン (BL-14)",
    tool="backlog",
    name="Hinata Circle",
    currency="JPY",
    time_zone=ZONE,
    start=APPLIED,
    steps=(
        Step(
            at=APPLIED,
            who=ADMIN,
            event="starts on Free",
            act=free,
            stands="free",
            seats=(0, 1, 0),
            why="no limit of time, nothing to pay (B-20)",
        ),
        Step(
            at=moment("2026-04-10", ZONE),
            who=ADMIN,
            event="applies for a trial of Starter",
            act=give("trial", ADMIN, _ROLE, plan="backlog-starter", **_TERMS),
            refused="BL-14",
            stands="free",
            seats=(0, 1, 0),
            why="there is no free time on the way up from Free (BL-14)",
        ),
        Step(
            at=moment("2026-04-10", ZONE),
            who=ADMIN,
            event="upgrades to Starter",
            act=give("plan-change", ADMIN, _ROLE, plan="backlog-starter", interval="month", payment_method="card"),
            stands="active",
            seats=(1, 1, 0),
            charged=2_970,
            tax=270,
            papers=(Paper("receipt", 2_970, 270),),
            why="charged at once (BL-14); ¥2,970 is ¥2,700 and tax (XX-04)",
        ),
    ),
)

STORY = Story("backlog", (FIRST_DAY, LAST_DAY, TOO_LATE, *WAYS, NO_WAY, FREE))
