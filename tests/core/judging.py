"""Cases to judge commands by: a workspace on the 10th of March 2025 at noon in Tokyo, told in a few words."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date
from typing import Any

from billing.core.calendar import midnight, month_date
from billing.core.case import Case
from billing.core.course import Course, Stretch, Trial
from billing.core.errors import InvalidError
from billing.core.plans import Rules, Terms
from billing.core.proration import Period
from tests.core.telling import when

ZONE = "Asia/Tokyo"
NOW = when("2025-03-10T03:00")
ANCHOR = date(2025, 3, 1)
_RULES = {one.name for one in fields(Rules)}


def terms(plan: str = "small", interval: str = "month", **more: Any) -> Terms:
    """Terms of 1,000 yen; what `Rules` has is put there."""
    rules = Rules(**{name: value for name, value in more.items() if name in _RULES})
    own = {name: value for name, value in more.items() if name not in _RULES}
    return Terms(**{**PRICE, "plan": plan, "interval": interval, "rules": rules, **own})


PRICE: Mapping[str, Any] = {"price_id": "price-1", "currency": "JPY", "unit_amount": 1000}
SMALL, YEARLY, FREE = terms(), terms(interval="year"), terms("free", rank=0)
LARGE = terms("large", rank=2)


def stretch(n: int = 0, subscription: str = "sub", **more: Any) -> Stretch:
    """The n-th month from the first of March on."""
    opens, closes = (midnight(month_date(ANCHOR, n + i), ZONE) for i in (0, 1))
    told = {"subscription": subscription, "n": n, "period": Period(ANCHOR, 1, n, ZONE), "billed_at": opens}
    told |= {"opens": opens, "closes": closes, "fact": "fact-1", "plan": "small", "interval": "month"}
    return Stretch(**{**told, "shape": "auto_seats", **more})


def running(own: Terms = SMALL, **more: Any) -> Course:
    """A subscription that runs since the first of March."""
    told = {"state": "active", "subscription": "sub", "terms": own, "method": "card", "stretches": (stretch(),)}
    return Course(**{**told, **more})


def trying(own: Terms = SMALL, **more: Any) -> Course:
    """A trial since the first of March, applied for by Hana."""
    trial = Trial(own, "sub", when("2025-03-01"), when("2025-03-31"), "fact-1")
    return Course(state="trialing", trial=replace(trial, **more), applicant="hana")


def case(course: Course | None = None, *sold: Terms, **more: Any) -> Case:
    """The boss asks, an administrator, of a workspace to which those terms are sold."""
    shop: dict[str, dict[str, Terms]] = {}
    for one in sold or (SMALL, YEARLY, LARGE, replace(LARGE, interval="year"), FREE):
        shop.setdefault(one.plan, {})[one.interval] = one

    def offer(plan: str) -> Mapping[str, Terms]:
        if plan not in shop:
            raise InvalidError(f"there is no plan {plan!r}")
        return shop[plan]

    told = {"now": NOW, "zone": ZONE, "actor": "boss", "role": "admin", "new": "sub-new", "offer": offer}
    return Case(**{**told, "course": course or Course(), **more})
