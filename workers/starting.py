"""What a subscription start at a workspace's now would be: the same plan for the quote and for the command."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from billing.core import calendar
from billing.core.errors import InvalidError
from billing.core.lines import Subscription, Terms
from billing.store import catalogue
from billing.store.db import Conn, Row
from billing.store.ids import new_id

#: Interval names a Trello customer may choose (TR-21).
_INTERVALS = ("month", "year")


@dataclass(frozen=True, slots=True)
class Start:
    """A subscription start as it would be: what a quote shows and what the command then does."""

    subscription: Subscription
    terms: Terms


def plan_start(connection: Conn, workspace: Row, body: Mapping[str, Any], fact: str) -> Start:
    """The subscription and terms a start command at the workspace's now would make. Raises InvalidError."""
    interval = str(body["interval"])
    if interval not in _INTERVALS:
        raise InvalidError(f"interval must be one of {', '.join(_INTERVALS)}, not {interval!r} (TR-21)")
    now: datetime = workspace["now"]
    zone = workspace["time_zone"]
    today = calendar.local_date(now, zone)
    opening = body.get("opening")
    anchor = _opening_anchor(opening, interval, today) if opening else today
    terms = catalogue.price_at(connection, str(body["plan"]), interval, anchor)
    if opening:
        terms = catalogue.with_unit_amount(terms, int(opening["unit_amount"]))
    subscription = Subscription(
        id=new_id("sub"),
        started_at=now,
        anchor=anchor,
        zone=zone,
        months=terms.months,
        fact_id=fact,
        opening_seats=int(opening["seats"]) if opening else None,
        payment_method=body.get("payment_method"),
    )
    return Start(subscription, terms)


def _opening_anchor(opening: Mapping[str, Any], interval: str, today: date) -> date:
    """The anchor of time already paid elsewhere: the day it began, whose period must end on the day it says."""
    paid_from, paid_to = opening["paid_from"], opening["paid_to"]
    ends = calendar.month_date(paid_from, calendar.MONTHS[interval])
    if paid_to not in (ends, ends - timedelta(days=1)):
        raise InvalidError(f"opening.paid_to must be {ends}, one {interval} after paid_from, not {paid_to}")
    if not paid_from <= today < ends:
        raise InvalidError(f"today ({today}) is not within the paid time from {paid_from} to {ends}")
    return date(paid_from.year, paid_from.month, paid_from.day)
