"""A Backlog space on paper: commands judged and heard by the shipped plans, in Japan's time, and what it then owes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.core import plans
from billing.core.commands import Case, Verdict, judge
from billing.core.course import Course
from billing.core.errors import RefusedError
from billing.core.facts import Fact
from billing.core.life import course
from billing.core.lines import Line
from billing.core.plans import Terms
from billing.core.statement import statement
from billing.store import planfile
from tests.core.telling import life_fact

ZONE = "Asia/Tokyo"


def jst(text: str) -> datetime:
    """The UTC instant of `2026-05-01` or `2026-04-30T23:59` in Japan."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


@cache
def shelf() -> Mapping[str, Mapping[str, Terms]]:
    """The terms of every shipped plan, by plan and interval, at the newest price."""
    found: dict[str, dict[str, Terms]] = {}
    for plan in planfile.shipped():
        for price in sorted(plan["prices"], key=lambda price: price["valid_from"]):
            own = {"price_id": f"{plan['plan']}.{price['interval']}", "method": plan["proration"]}
            own |= {"interval": price["interval"], "unit_amount": price["unit_amount"]}
            found.setdefault(plan["plan"], {})[price["interval"]] = plans.read({**plan, **own})
    return found


class Space:
    """One space. `ask` gives a command as a contract administrator, who is not the one who applied for the trial."""

    def __init__(self, people: Iterable[Fact] = ()) -> None:
        self.life: list[Fact] = []
        self.people = list(people)

    def course(self, now: str) -> Course:
        return course(self.life, jst(now), ZONE)

    def ask(
        self,
        command: str,
        now: str,
        *,
        by: str = "sora",
        role: str | None = "contract_admin",
        open_bill: bool = False,
        **body: object,
    ) -> Verdict:
        """Judge a command, and hear it when it is accepted."""
        standing = self.course(now)
        case = Case(
            now=jst(now),
            zone=ZONE,
            course=standing,
            actor=by,
            role=role,
            new=f"sub-{len(self.life)}",
            offer=lambda plan: shelf()[plan],
            occupied=len(self.people),
            purchased=int(standing.running),
            open_bill=open_bill,
        )
        verdict = judge(command, body, case)
        self.life.append(life_fact(verdict.kind, jst(now), standing.seq + 1, verdict.data))
        return verdict

    def refused(self, command: str, now: str, **more: Any) -> str:
        """The rule that refuses a command; it changes nothing."""
        before = self.course(now)
        with pytest.raises(RefusedError) as refusal:
            self.ask(command, now, **more)
        assert self.course(now) == before
        return str(refusal.value.rule)

    def trial(self, now: str, plan: str = "backlog-standard", **more: Any) -> Verdict:
        """A trial of somebody who only has a mail address."""
        asked = {"by": "hana@yuzu.example", "role": None, "plan": plan, "terms_version": "v12", **more}
        return self.ask("trial", now, **asked)

    def register(self, now: str, method: str = "card", interval: str = "month", **more: Any) -> Verdict:
        return self.ask("registration", now, payment_method=method, interval=interval, **more)

    def paid(self, now: str, n: int, *, attempt: int = 1, kind: str = "succeeded") -> None:
        """What became of the charge of the n-th period."""
        subscription = self.course(now).stretches[-1].subscription
        data = {"subscription": subscription, "n": n, "purpose": "period", "nth": 1, "attempt": attempt}
        self.life.append(life_fact(f"payment.{kind}", jst(now), self.course(now).seq + 1, data))

    def lines(self, now: str) -> list[Line]:
        """Everything owed by then."""
        pins = {one.key: shelf()[one.plan][one.interval] for one in self.course(now).stretches}
        return list(statement([*self.people, *self.life], pins, jst(now), "w1", ZONE))

    def owed(self, now: str) -> list[tuple[str, int]]:
        """The day in Japan and the amount of every line owed by then."""
        return [(str(day(line.instant)), line.amount) for line in self.lines(now)]


def day(instant: datetime) -> date:
    """The civil day in Japan."""
    return instant.astimezone(ZoneInfo(ZONE)).date()
