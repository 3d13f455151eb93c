"""What if: the same facts under another plan or another seat policy, side by side with what is owed. It only reads."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from billing.core import calendar
from billing.core.course import Course
from billing.core.errors import ConflictError
from billing.core.life import course
from billing.core.lines import Line, Pins
from billing.core.plans import Terms
from billing.core.statement import priced
from billing.store import catalogue, rows, subscriptions
from billing.store.db import Conn, Row, many
from billing.tools import room as rooms


def compare(connection: Conn, workspace: Row, body: Mapping[str, Any]) -> dict[str, Any]:
    """Every billed period as it is owed and as it would be: under `plan` (by the same intervals), and with
    `guests_free` or `closed_boards_count` where they are given. Amounts are minor units before tax.

    Raises ConflictError without a billed period, InvalidError for a plan that has no such price.
    """
    now, zone = workspace["now"], workspace["time_zone"]
    query = "SELECT * FROM fact WHERE workspace_id = %s AND at <= %s AND (settled_at IS NOT NULL OR source = 'command')"
    facts = [rows.fact(row) for row in many(connection, query, (workspace["id"], now))]
    life = course(facts, now, zone)
    if not life.stretches:
        raise ConflictError("nothing was billed yet: there is no period to compare")
    pins = subscriptions.pins(connection, workspace["id"])
    other_life, other_pins = _under(connection, life, pins, body, zone)
    base = rooms.seats(workspace["tool"])
    owed = priced(life, facts, pins, workspace["external_id"], base)
    then = priced(other_life, facts, other_pins, workspace["external_id"], base)
    periods = [_period(stretch.key, stretch.opens, owed, then) for stretch in life.stretches]
    first = other_pins[other_life.stretches[0].key]
    return {
        "plan": first.plan,
        "currency": first.currency,
        "owed_currency": pins[life.stretches[0].key].currency,
        "periods": periods,
        "owed": sum(line.amount for line in owed),
        "amount": sum(line.amount for line in then),
        "lines": [rows.line_json(rows.line_row(line, None)) for line in then],
    }


def _under(
    connection: Conn, life: Course, pins: Pins, body: Mapping[str, Any], zone: str
) -> tuple[Course, Mapping[tuple[str, int], Terms]]:
    """The course and the terms as they would be. Plan changes of the real course are left out under another plan."""
    policy = {name: body[name] for name in ("guests_free", "closed_boards_count") if body.get(name) is not None}
    plan, told = body.get("plan"), {}
    for stretch in life.stretches:
        terms = pins[stretch.key]
        if plan:
            day = calendar.local_date(stretch.opens, zone)
            terms = catalogue.price_at(connection, str(plan), stretch.interval, day)
            # Who bought licences chose a number; under this plan nobody did, so people are followed.
            terms = replace(terms, auto_purchase=terms.shape == "licences")
        told[stretch.key] = replace(terms, **policy)
    if not plan:
        return life, told
    stretches = tuple(replace(one, shape=told[one.key].shape, seats=None) for one in life.stretches)
    return replace(life, stretches=stretches, switches=(), grants=()), told


def _period(key: tuple[str, int], opens: object, owed: tuple[Line, ...], then: tuple[Line, ...]) -> dict[str, Any]:
    sums = [sum(line.amount for line in lines if (line.subscription, line.n) == key) for lines in (owed, then)]
    return {"subscription": key[0], "n": key[1], "start": opens, "owed": sums[0], "amount": sums[1]}
