"""The lines of a stretch of time, instant by instant: the incremental form's half of every seat shape."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from billing.core.course import Course, Grant, Stretch
from billing.core.lines import (
    Line,
    Pins,
    added_line,
    changed_line,
    credit_line,
    merged,
    order_line,
    period_line,
    voided,
)
from billing.core.plans import Terms


@dataclass(slots=True)
class Walk:
    """Occupancy and the course walked together, from the instant `since` (UTC) on, each moment once.

    `occupied` and `purchased` are the seats just before it, `current` the stretch that ran before it. `turns` are the
    instants at which the course itself goes another way, `terms` those now in force.
    """

    course: Course
    pins: Pins
    occupied: int
    purchased: int
    current: Stretch | None
    since: datetime
    turns: frozenset[datetime] = field(init=False)
    terms: dict[tuple[str, int], Terms] = field(init=False)

    def __post_init__(self) -> None:
        course = self.course
        turns = {one.opens for one in course.stretches} | {mute.ends for mute in course.mutes if mute.ends}
        for told in (course.cuts, course.grants, course.switches, course.orders):
            turns |= {one.at for one in told}
        self.turns = frozenset(at for at in turns if at >= self.since)
        self.terms = {stretch.key: self.pins[stretch.key] for stretch in course.stretches}
        self.terms |= {switch.key: switch.terms for switch in course.switches if switch.at < self.since}

    def lines(
        self, steps: Mapping[datetime, int], filled: Mapping[datetime, Sequence[str]], until: datetime | None = None
    ) -> Iterator[Line]:
        """The lines from here up to, not including, `until`; the next walk goes on from there.

        `steps`: what changes in occupancy at each instant in between; `filled`: the facts that filled seats then.
        """
        voids = self.course.voids
        for at in sorted({*steps, *(at for at in self.turns if until is None or at < until)}):
            for line in self._moment(at, steps.get(at, 0), filled.get(at, ())):
                void = voids.get((line.subscription, line.n))
                yield voided(line, void) if void and not line.kind.startswith("option:") else line
        self.turns = frozenset(at for at in self.turns if until is not None and at >= until)

    def _moment(self, at: datetime, step: int, filled: Sequence[str]) -> Iterator[Line]:
        if at in self.turns:
            return self._turn(at, step, filled)
        self.occupied += step
        return self._bought(at, self.current, filled) if self.current else iter(())

    def _turn(self, at: datetime, step: int, filled: Sequence[str]) -> Iterator[Line]:
        """In the order of law 7: what time opens, what a command cuts, the facts, what a command opens, what is
        bought, what is granted, what changes price."""
        opening = [one for one in self.course.stretches if one.opens == at]
        for stretch in opening:
            if not stretch.by_fact:
                yield from self._open(stretch)
        yield from self._cut(at)
        self.occupied += step
        for stretch in opening:
            if stretch.by_fact:
                yield from self._within(at, filled)
                yield from self._open(stretch)
                yield from self._cut(at)  # one begun and cut at one instant
        yield from self._within(at, filled)
        yield from self._ordered(at)

    def _within(self, at: datetime, filled: Sequence[str]) -> Iterator[Line]:
        """What is bought and changed in the running period at the instant, unless a cut told it already."""
        stretch = self.current
        if stretch is not None and not any(cut.at == at and cut.key == stretch.key for cut in self.course.cuts):
            yield from self._bought(at, stretch, filled)
            yield from self._switched(at, stretch, self.purchased)

    def _open(self, stretch: Stretch) -> Iterator[Line]:
        terms = self.terms[stretch.key]
        seats = self._opening(stretch, terms)
        if seats:
            yield period_line(stretch, terms, seats)
        if stretch.opens <= stretch.closes:
            self.purchased, self.current = seats, stretch
        else:  # it was billed ahead, and never began
            yield from self._switched(stretch.opens, stretch, seats)

    def _opening(self, stretch: Stretch, terms: Terms) -> int:
        if stretch.shape == "flat":
            return 1
        if stretch.n == 0 and stretch.seats is not None:
            return stretch.seats
        kept = self.purchased if stretch.n else 0
        return max(kept if stretch.shape == "licences" else self.occupied, terms.minimum)

    def _cut(self, at: datetime) -> Iterator[Line]:
        for cut in self.course.cuts:
            if cut.at == at and self.current is not None and cut.key == self.current.key:
                yield from self._granted(at, self.current)
                yield from self._switched(at, self.current, self.purchased)
                if cut.credited and self.purchased:
                    yield credit_line(self.current, self.terms[cut.key], self.purchased, at, cut.fact)

    def _more(self, at: datetime, stretch: Stretch) -> int:
        """More people than seats: bought at once, but for licences only by the setting, and never while suspended."""
        if stretch.shape == "flat" or at >= stretch.closes or self.course.muted(at):
            return 0
        if stretch.shape == "licences" and not self.terms[stretch.key].auto_purchase:
            return 0
        return max(0, self.occupied - self.purchased)

    def _bought(self, at: datetime, stretch: Stretch, filled: Sequence[str]) -> Iterator[Line]:
        """What people took, and what they were found to use of licences given up at this instant, in one line."""
        risen, short = self._more(at, stretch), 0
        self.purchased += risen
        if at in self.turns:
            yield from self._granted(at, stretch)
            short = self._more(at, stretch)
            self.purchased += short
        if risen + short:
            facts = [*filled, *(mute.fact for mute in self.course.mutes if mute.ends == at)]
            if short:
                facts += [grant.fact for grant in self._grants(at, stretch) if grant.count < 0]
            kind = "licences_bought" if stretch.shape == "licences" else "seats_added"
            yield added_line(stretch, self.terms[stretch.key], kind, risen + short, at, tuple(sorted(facts)))

    def _grants(self, at: datetime, stretch: Stretch) -> list[Grant]:
        return [grant for grant in self.course.grants if grant.at == at and grant.key == stretch.key]

    def _granted(self, at: datetime, stretch: Stretch) -> Iterator[Line]:
        """Licences bought or given up by command."""
        mine = self._grants(at, stretch)
        bought = [grant for grant in mine if grant.count > 0]
        if bought:
            facts = tuple(sorted(grant.fact for grant in bought))
            count = sum(grant.count for grant in bought)
            yield added_line(stretch, self.terms[stretch.key], "licences_added", count, at, facts)
        self.purchased += sum(grant.count for grant in mine)

    def _switched(self, at: datetime, stretch: Stretch, purchased: int) -> Iterator[Line]:
        """What a plan change costs on all that is purchased; equal steps are one line."""
        lines = []
        for switch in self.course.switches:
            if switch.at == at and switch.key == stretch.key:
                if purchased:
                    lines.append(changed_line(stretch, self.terms[stretch.key], switch, purchased))
                self.terms[stretch.key] = switch.terms
        yield from merged(lines)

    def _ordered(self, at: datetime) -> Iterator[Line]:
        mine = sorted(
            (order for order in self.course.orders if order.at == at),
            key=lambda order: (order.key, order.option, order.terms.unit_amount),
        )
        for _, same in groupby(mine, key=lambda order: (order.key, order.option, order.terms.unit_amount)):
            orders = list(same)
            yield order_line(orders[0], len(orders), tuple(sorted(order.fact for order in orders)))
