"""The full statement: what the whole history says is owed, replayed plainly from the first fact.

This is the truth and the oracle. Its incremental form (`incremental.py`) is another way to the same lines and shares
nothing with it but money, calendar, proration, classification, lines and the course of commands and payments (which
nobody hears late), so that each can catch the other's fault.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from billing.core.classification import ORDINARY, Policy
from billing.core.course import Course, Grant, Stretch, Switch
from billing.core.facts import Fact
from billing.core.life import course
from billing.core.lines import (
    BOUGHT,
    Line,
    Pins,
    added_line,
    changed_line,
    credit_line,
    merged,
    order_line,
    period_line,
    policies,
    voided,
)
from billing.core.plans import Terms
from billing.core.replay import Occupancy, Replay


def statement(
    facts: Iterable[Fact], pins: Pins, now: datetime, workspace: str, zone: str, base: Policy = ORDINARY
) -> tuple[Line, ...]:
    """What is owed at `now` (UTC) by everything that happened up to it, in time order.

    Pure. `pins` holds the terms of every period billed by `now`; `workspace` is the tool's own id, `zone` its time
    zone, `base` the tool's seat policy before the first period. Raises KeyError when a billed period pinned no terms.
    """
    known = [fact for fact in facts if fact.at <= now]
    return priced(course(known, now, zone), known, pins, workspace, base)


def priced(
    life: Course, known: Sequence[Fact], pins: Pins, workspace: str, base: Policy = ORDINARY
) -> tuple[Line, ...]:
    """The lines of a course, on the roster that the `known` facts tell: the statement, or a what-if of it."""
    replay = Replay(workspace, known, policies(life, pins, base), accepted(known))
    lines: list[Line] = []
    held = 0
    for stretch in life.stretches:
        told = _flat(stretch, life, pins) if stretch.shape == "flat" else _seats(stretch, life, pins, replay, held)
        told = merged(told)
        held = sum(line.seats for line in told if line.kind in BOUGHT)
        held += sum(grant.count for grant in life.grants if grant.key == stretch.key and grant.count < 0)
        void = life.voids.get(stretch.key)
        lines += [voided(line, void) for line in told] if void else told
    return tuple(sorted([*lines, *_orders(life)], key=lambda line: (line.instant, line.n)))


def accepted(facts: Iterable[Fact]) -> frozenset[str]:
    """Facts older than the re-rating window that a person let move money all the same (law 10)."""
    verdicts = [fact.data.get("facts") for fact in facts if fact.kind == "late.accepted"]
    return frozenset(str(name) for names in verdicts if isinstance(names, list | tuple) for name in names)


def _flat(stretch: Stretch, life: Course, pins: Pins) -> list[Line]:
    """One space at one price, whatever its people do; a plan change is charged its difference (BL-04, B-22)."""
    lines = [period_line(stretch, pins[stretch.key], 1)]
    terms = pins[stretch.key]
    for switch in _switches(stretch, life):
        lines.append(changed_line(stretch, terms, switch, 1))
        terms = switch.terms
    return lines + _credits(stretch, life, pins[stretch.key], 1)


def _switches(stretch: Stretch, life: Course) -> list[Switch]:
    return [switch for switch in life.switches if switch.key == stretch.key]


def _seats(stretch: Stretch, life: Course, pins: Pins, replay: Replay, held: int) -> list[Line]:
    """Auto seats and licences: the opening quantity, then what was bought, in time order.

    `held`: the licences of the stretch before.
    """
    first = pins[stretch.key]
    quantity = _opening(stretch, first, replay, held)
    lines = [period_line(stretch, first, quantity)] if quantity else []
    within = [step for step in replay.history if stretch.opens <= step.at < stretch.closes]
    instants = {step.at: step for step in within}
    resumed = {mute.ends: (mute.fact,) for mute in life.mutes if mute.ends and stretch.opens <= mute.ends}
    grants = [grant for grant in life.grants if grant.key == stretch.key]
    turns = [*resumed, *(grant.at for grant in grants), *(switch.at for switch in _switches(stretch, life))]
    moments = {stretch.opens, *instants, *(at for at in turns if at <= stretch.closes)}
    for at in sorted(moments):
        terms = _terms(stretch, life, first, at, before=True)
        mine = [grant for grant in grants if grant.at == at]
        if more := sum(grant.count for grant in mine if grant.count > 0):
            added = tuple(sorted(grant.fact for grant in mine if grant.count > 0))
            lines.append(added_line(stretch, terms, "licences_added", more, at, added))
        granted = sum(grant.count for grant in mine)
        if not life.muted(at) and at < stretch.closes and _buys(stretch, terms):
            step = instants.get(at) or Occupancy(at, replay.occupied_at(at), ())
            step = replace(step, filled_by=tuple(sorted([*step.filled_by, *resumed.get(at, ())])))
            risen = _rise(stretch, terms, quantity, step, mine)
            lines += risen
            quantity += sum(line.seats for line in risen)
        quantity += granted
        for switch in _switches(stretch, life):
            if switch.at == at and quantity:
                lines.append(changed_line(stretch, terms, switch, quantity))
                terms = switch.terms
    return lines + _credits(stretch, life, first, quantity)


def _buys(stretch: Stretch, terms: Terms) -> bool:
    """Seats are bought by themselves; licences only where it is so set (CW-08)."""
    return stretch.shape != "licences" or terms.auto_purchase


def _rise(stretch: Stretch, terms: Terms, quantity: int, step: Occupancy, grants: Sequence[Grant]) -> list[Line]:
    """Seats bought because more are occupied than were ever bought (TR-06, TR-08).

    Licences given up are given up after that; where it turns out that people still used them, they are bought back.
    """
    risen = max(0, step.occupied - quantity)
    short = max(0, step.occupied - quantity - risen - sum(grant.count for grant in grants))
    if not risen + short:
        return []
    given_up = [grant.fact for grant in grants if grant.count < 0] if short else []
    kind = "licences_bought" if stretch.shape == "licences" else "seats_added"
    return [added_line(stretch, terms, kind, risen + short, step.at, tuple(sorted([*step.filled_by, *given_up])))]


def _terms(stretch: Stretch, life: Course, first: Terms, at: datetime, *, before: bool) -> Terms:
    turned = [s.terms for s in _switches(stretch, life) if (s.at < at if before else s.at <= at)]
    return turned[-1] if turned else first


def _opening(stretch: Stretch, terms: Terms, replay: Replay, held: int) -> int:
    """A renewal comes before every fact of its instant; what a fact opened counts those of its own (law 7)."""
    if stretch.n == 0 and stretch.seats is not None:
        return stretch.seats
    if stretch.shape == "licences":
        return max(held if stretch.n else 0, terms.minimum)
    occupied = replay.occupied_at(stretch.opens) if stretch.by_fact else replay.occupied_before(stretch.opens)
    return max(occupied, terms.minimum)


def _credits(stretch: Stretch, life: Course, first: Terms, quantity: int) -> list[Line]:
    """What is left of a period that another interval cut, given back on all that was bought (TR-24, A-08)."""
    cuts = [cut for cut in life.cuts if cut.key == stretch.key and cut.credited and quantity]
    return [
        credit_line(stretch, _terms(stretch, life, first, cut.at, before=False), quantity, cut.at, cut.fact)
        for cut in cuts
    ]


def _orders(life: Course) -> Sequence[Line]:
    """Options ordered, those of one kind and instant together."""
    lines = []
    for first in {(o.key, o.option, o.at, o.terms.unit_amount): o for o in life.orders}.values():
        same = [o for o in life.orders if (o.key, o.option, o.at) == (first.key, first.option, first.at)]
        same = [o for o in same if o.terms.unit_amount == first.terms.unit_amount]
        lines.append(order_line(first, len(same), tuple(sorted(o.fact for o in same))))
    return lines
