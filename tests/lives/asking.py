"""What people ask for: commands that fit the state of a workspace, and some that do not."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from billing.core import calendar
from billing.core.commands import COMMANDS
from billing.core.course import Course
from billing.store import subscriptions
from billing.store.db import Conn, Row
from tests.lives.voices import PLANS, ROLES, Body, Shape
from workers import judging

INTERVALS = ["month", "3-months", "6-months", "year"]
#: How Backlog is paid (BL-19).
_PAIRS = [
    ("card", "month"),
    ("card", "year"),
    ("bank_transfer", "3-months"),
    ("bank_transfer", "6-months"),
    ("bank_transfer", "year"),
]


def actor(random: Random, shape: Shape) -> Body:
    """Who asks; some may not."""
    who = {"id": "boss", "role": ROLES[shape]}
    return random.choice([who] * 18 + [{"id": "p1", "role": "member"}, {"id": "op", "role": "operator"}])


def a_start(random: Random, shape: Shape, occupied: int) -> Body:
    """A start that is accepted where nothing runs."""
    method, interval = random.choice(["card", "card", "bank_transfer"]), random.choice(["month", "month", "year"])
    if shape == "backlog":
        method, interval = random.choice(_PAIRS)
    body = {
        "plan": random.choice(PLANS[shape][1:3]),
        "interval": interval,
        "payment_method": method,
    }
    return body | ({"licences": max(5, occupied + random.randint(0, 3))} if shape == "chatwork" else {})


def asked(connection: Conn, random: Random, shape: Shape, workspace: Row) -> tuple[str, Body]:
    """A command and its body, by what runs now."""
    course = subscriptions.course(connection, workspace)
    command = _command(random, shape, course)
    body = _BODIES.get(command, _nothing)(random, shape, workspace, course)
    if command == "late-facts":
        waiting = judging.waiting_late(connection, workspace["id"])
        body = {"facts": random.sample(waiting, random.randint(1, len(waiting))) if waiting else ["nothing"]}
    return command, body


def _command(random: Random, shape: Shape, course: Course) -> str:
    if random.random() < 0.06:
        return random.choice(sorted(COMMANDS))
    if course.trial is not None:
        return random.choice(["registration"] * 4 + ["payment-method", "cancellation", "option"])
    if not course.running:
        return random.choice(["subscription"] * 5 + ["trial"] * 3 + ["registration"])
    usual = ["plan-change"] * 4 + ["interval-change"] * 4 + ["payment-method"] * 4 + ["option"] * 2 + ["late-facts"] * 2
    rare = ["cancellation", "refund", "rerate", "migration"]
    return random.choice(usual + rare + ["licences"] * (8 if shape == "chatwork" else 0))


def _subscription(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    body = a_start(random, shape, workspace["occupied"])
    if random.random() < 0.3:
        body |= {"plan": random.choice(PLANS[shape]), "payment_method": random.choice(["card", "bank_transfer", None])}
    if random.random() < 0.2:
        body["auto_purchase"] = True
    if random.random() < 0.15:
        body["opening"] = _opening(random, workspace["now"], workspace["time_zone"], str(body["interval"]))
    return body


def _opening(random: Random, now: datetime, zone: str, interval: str) -> Body:
    """Time that was paid elsewhere."""
    paid_from = calendar.local_date(now, zone) - timedelta(days=random.randint(0, 25))
    paid_to = calendar.month_date(paid_from, calendar.MONTHS[interval])
    seats, price = random.randint(0, 5), random.choice([0, 1100, 9000])
    return {"seats": seats, "paid_from": paid_from, "paid_to": paid_to, "unit_amount": price}


def _trial(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    terms = random.choice(["v1", "v1", "v1", None])
    plan, method = random.choice(PLANS[shape]), random.choice(["card", None])
    return {"plan": plan, "payment_method": method, "terms_version": terms}


def _registration(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    method, interval = random.choice(_PAIRS)
    body: Body = {"payment_method": method, "interval": interval}
    return body if course.trial else body | {"plan": random.choice(PLANS[shape])}


def _licences(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    return {random.choice(["add", "add", "remove"]): random.randint(1, 4)}


def _plan_change(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    body: Body = {"plan": random.choice(PLANS[shape])}
    if random.random() < 0.2:
        body["interval"] = random.choice(INTERVALS)
    if not course.running:
        body["payment_method"] = "card"
    return body


def _interval_change(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    return {"interval": random.choice(INTERVALS if shape == "backlog" else ["month", "year"])}


def _payment_method(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    body: Body = {"payment_method": random.choice(["card", "card", "bank_transfer"])}
    return body | ({"interval": random.choice(INTERVALS)} if random.random() < 0.5 else {})


def _option(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    return {"option": random.choice(["custom-checklist", "security-check-sheets", "nothing"])}


def _rerate(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    if not course.stretches:
        return {"n": 0}
    stretch = random.choice(course.stretches)
    return {"subscription": stretch.subscription, "n": stretch.n}


def _migration(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    return {"into": workspace["sister"]}


def _nothing(random: Random, shape: Shape, workspace: Row, course: Course) -> Body:
    return {}


_BODIES: dict[str, Any] = {
    "subscription": _subscription,
    "trial": _trial,
    "registration": _registration,
    "licences": _licences,
    "plan-change": _plan_change,
    "interval-change": _interval_change,
    "payment-method": _payment_method,
    "option": _option,
    "rerate": _rerate,
    "migration": _migration,
}
