"""A workspace of any vendor by the pure core alone: the shipped plans, judged commands, what is owed by both forms."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.core import calendar, plans
from billing.core.case import Case
from billing.core.commands import Verdict, judge
from billing.core.course import Course, Stretch
from billing.core.errors import RefusedError
from billing.core.facts import Fact
from billing.core.incremental import Position
from billing.core.lines import Line
from billing.core.plans import Terms
from billing.core.replay import Replay
from billing.store import planfile
from tests.core.memory import Remembered
from tests.core.telling import Plan, by_key, fact, life_fact, statement

JAPAN = "Asia/Tokyo"
CARD, BANK = "card", "bank_transfer"


@cache
def sold(plan: str, day: date) -> Mapping[str, Terms]:
    """What the shipped files sell a plan at on a civil day, by interval."""
    [told] = [one for one in planfile.shipped() if one["plan"] == plan]
    dated = sorted((p for p in told["prices"] if p["valid_from"] <= day), key=lambda price: price["valid_from"])
    own = {p["interval"]: {"price_id": plan, "interval": p["interval"], "unit_amount": p["unit_amount"]} for p in dated}
    return {name: plans.read({**told, **price, "method": told["proration"]}) for name, price in own.items()}


@dataclass(frozen=True, slots=True)
class Priced(Plan):
    """Periods pin the shipped price of their first day (XX-10), or that of a plan of the test's own."""

    own: tuple[Terms, ...] = ()
    auto_purchase: bool = False

    def price(self, stretch: Stretch) -> Terms:
        terms = self.sold(stretch.plan, calendar.local_date(stretch.opens, self.zone))[stretch.interval]
        return replace(terms, auto_purchase=self.auto_purchase)

    def sold(self, plan: str, day: date) -> Mapping[str, Terms]:
        """What a plan is sold at on a civil day, by interval."""
        mine = {terms.interval: terms for terms in self.own if terms.plan == plan}
        return mine or sold(plan, day)


class Tale:
    """One workspace. Days and instants (`2026-04-01`, `2026-03-31T23:59`) are those of its zone."""

    def __init__(self, zone: str = "UTC", *own: Terms) -> None:
        self.zone = zone
        self.own = own
        self.people: list[Fact] = []
        self.life: list[Fact] = []

    def at(self, moment: str) -> datetime:
        """The UTC instant of a moment in the zone."""
        return datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    # --- what happens ---------------------------------------------------------------------------------------------

    def tell(self, kind: str, moment: str, *members: str, boards: Iterable[str] = (None,), **data: object) -> None:  # type: ignore[assignment]
        """Facts of the roster, one for each person and board."""
        utc = self.at(moment).replace(tzinfo=None).isoformat()
        self.people += [fact(kind, utc, one, board, data=data) for one in members for board in boards]

    def join(self, moment: str, *members: str) -> None:
        self.tell("member.joined", moment, *members)

    def leave(self, moment: str, *members: str) -> None:
        self.tell("member.left", moment, *members)

    def guest(self, moment: str, member: str, *boards: str, **data: object) -> None:
        self.tell("board.member_added", moment, member, boards=boards, **data)

    def give(self, command: str, moment: str, role: str | None = None, **body: Any) -> Verdict:
        """Judge a command, of somebody who may give it unless `role` says otherwise, and hear it when accepted."""
        verdict = judge(command, body, self.case(moment, role, **body))
        self.hear(verdict.kind, moment, verdict.data)
        return verdict

    def start(self, moment: str, plan: str, interval: str, **more: Any) -> Verdict:
        return self.give("subscription", moment, plan=plan, interval=interval, **{"payment_method": CARD, **more})

    def refuses(self, command: str, moment: str, role: str | None = None, **body: Any) -> str:
        """The rule that refuses a command, which changes nothing."""
        before = self.owed(moment)
        with pytest.raises(RefusedError) as refused:
            self.give(command, moment, role, **body)
        assert self.owed(moment) == before
        return str(refused.value.rule)

    def hear(self, kind: str, moment: str, data: Mapping[str, object]) -> None:
        """An accepted command, or an outcome of a payment."""
        self.life.append(life_fact(kind, self.at(moment), len(self.life) + 1, data))

    def failed(self, moment: str, n: int) -> None:
        """The charge of the n-th period is declined."""
        self._paid("payment.failed", moment, n, 1)

    def paid(self, moment: str, n: int) -> None:
        """The charge of the n-th period is paid after all."""
        self._paid("payment.succeeded", moment, n, 2)

    def _paid(self, kind: str, moment: str, n: int, attempt: int) -> None:
        key = {"subscription": self.course(moment).stretches[-1].subscription, "n": n}
        self.hear(kind, moment, {**key, "purpose": "period", "nth": 1, "attempt": attempt})

    # --- what becomes of it ---------------------------------------------------------------------------------------

    def case(self, moment: str, role: str | None = None, **body: Any) -> Case:
        """What a command is judged against."""
        now, life, seats = self.at(moment), self.course(moment), self.seats(moment)
        day = calendar.local_date(now, self.zone)
        terms = life.trial.terms if life.trial else life.terms
        asked = [self.plan.sold(body["plan"], day)] if body.get("plan") else []
        known = terms or next((one for offers in asked for one in offers.values()), None)
        return Case(
            now=now,
            zone=self.zone,
            course=life,
            actor="somebody",
            role=role or (known.rules.roles[0] if known else None),
            new=f"sub-{len(self.life)}",
            offer=lambda plan: self.plan.sold(plan, day),
            occupied=seats.occupied,
            users=None if life.running else lambda wanted: self._users(moment, wanted),
            purchased=seats.purchased,
        )

    def _users(self, moment: str, terms: Terms) -> int:
        known = [one for one in self.people if one.at <= self.at(moment)]
        return Replay("w1", known, [(datetime.min.replace(tzinfo=UTC), terms.policy)]).occupied_at(self.at(moment))

    @property
    def plan(self) -> Priced:
        """The life told so far and the price list."""
        bought = any(one.data.get("auto_purchase") for one in self.life)
        return Priced(tuple(self.life), zone=self.zone, own=self.own, auto_purchase=bought)

    def course(self, moment: str) -> Course:
        return self.plan.course(self.at(moment))

    def state(self, moment: str) -> str:
        return self.course(moment).state

    def owed(self, moment: str) -> list[Line]:
        """The lines owed at a moment: the full statement's, and the incremental form agrees."""
        lines = list(statement(self.people, self.plan, self.at(moment), "w1"))
        assert by_key(self._kept(moment).book.values()) == by_key(lines)
        return lines

    def amounts(self, moment: str) -> list[int]:
        """Minor units, line by line in time order."""
        return [line.amount for line in self.owed(moment)]

    def seats(self, moment: str) -> Position:
        """Seats occupied and purchased."""
        return self._kept(moment).position

    def _kept(self, moment: str) -> Remembered:
        memory = Remembered()
        memory.settle([one for one in self.people if one.at <= self.at(moment)], self.plan, self.at(moment))
        return memory
