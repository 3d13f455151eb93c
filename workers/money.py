"""Law 2 at the edge: what the differences of one settlement step do to charges, credit and refunds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.core import calendar
from billing.core.course import Course, Void
from billing.core.facts import Fact
from billing.core.incremental import Ground
from billing.core.settlement import Decision, Difference, decide
from billing.core.tax import Tax
from billing.store import charges, ledger, outcomes
from billing.store.db import Conn, Row


def refunding(life: Course, facts: Sequence[Fact]) -> Void | None:
    """The refund that a command of this step asks for."""
    new = {fact.id for fact in facts if fact.kind == "refund.requested"}
    return next((void for void in life.voids.values() if void.fact in new), None)


@dataclass(frozen=True, slots=True)
class Money:
    """A locked workspace (`workspace` has its `now`), what its step is computed on, and the book it is posted in."""

    connection: Conn
    workspace: Row
    ground: Ground
    book: ledger.Book
    collect: str

    def settle(
        self, found: Sequence[Difference], entry_ids: dict[str, str], until: datetime, refunding: Void | None
    ) -> tuple[str | None, int]:
        """Write it, at `until` (UTC). Answers the charge to send, if one was opened and is queued, and the workspace's
        credit after."""
        decision = self.decide(found, refunding, entry_ids)
        currency, rule = found[0].line.currency, refunding.rule if refunding else None
        credit = self.workspace["credit"] + decision.credit_gained - decision.credit_used
        credit += charges.reduce(self.connection, self.book, decision.reductions, currency, rule)
        if decision.refunds:
            charges.pay_back(self.connection, self.book, decision.refunds, currency, rule or "", self.collect)
        self._clear(decision)
        return (self._open(decision, entry_ids, until) if decision.total else None), credit

    def decide(
        self, found: Sequence[Difference], refunding: Void | None, entry_ids: Mapping[str, str] | None = None
    ) -> Decision:
        """Seats already paid for elsewhere are posted, taken as collected, and never charged. Without `entry_ids`
        nothing is posted: a quote."""
        elsewhere = frozenset(one.key for one in self.ground.course.stretches if one.elsewhere)
        opening = [d for d in found if d.period in elsewhere and d.line.kind == "period"]
        for difference in opening:
            if difference.amount > 0 and entry_ids:
                entry = entry_ids[difference.line.key]
                self.book.move("opening", entry, difference.amount, difference.line.currency)
        charged = [d for d in found if d not in opening]
        falling = [d for d in charged if d.amount < 0]
        workspace_id, till = self.workspace["id"], None
        if refunding and falling:
            till = charges.till(self.connection, workspace_id, falling[0].line.subscription)
        # An interval's end, and a change to a lower price, may take from any line of its period.
        course = self.ground.course
        taken = {one.key for one in course.cuts} | {one.key for one in course.switches}
        shares = charges.shares(self.connection, workspace_id, falling, taken)
        tax = self._tax(charged)
        decision = decide(charged, shares, self.workspace["credit"], tax=tax, elsewhere=elsewhere, till=till)
        if self.collect == "shadow":  # what nobody will ever be asked for must not use up what was paid
            decision.credit_used = 0
        return decision

    def _tax(self, charged: Sequence[Difference]) -> Tax:
        """The tax of the step's charge: that of the period of its last line, or of the option ordered."""
        rising = [d.line for d in charged if d.amount > 0]
        if not rising:
            return Tax()
        last = rising[-1]
        orders = (one for one in self.ground.course.orders if one.at == last.instant)
        ordered = [one.terms for one in orders if last.kind == f"option:{one.option}"]
        terms = ordered[0] if ordered else self.ground.pins[last.subscription, last.n]
        return Tax(terms.tax_rate, terms.tax_behavior, terms.tax_rounding)

    def _clear(self, decision: Decision) -> None:
        """A failed charge of which nothing is left to ask is no longer unpaid: a fact says so."""
        reduced = {one.charge for one in decision.reductions if one.how == "reduced"}
        settled = charges.failed(self.connection, self.workspace["id"], asking=False) if reduced else ()
        for charge in settled:
            if charge["id"] in reduced:
                at = self.book.posted_at
                outcomes.file_outcome(self.connection, self.workspace, charge, "succeeded", charge["attempt"], at)

    def _open(self, decision: Decision, entry_ids: dict[str, str], until: datetime) -> str | None:
        life, zone = self.ground.course, self.workspace["time_zone"]
        day = calendar.local_date(max(until, decision.lines[-1].line.instant), zone)
        charge_id, status = charges.open_charge(
            self.book, life.method, decision, entry_ids, collect=self.collect, day=day
        )
        return charge_id if status == "queued" else None
