"""A workspace's life as a fold: accepted commands and payment outcomes, with time passing between (rules.md, States).

Pure. Commands and payment facts are heard when they happen, so this fold only ever goes forward.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime

from billing.core import calendar, plans
from billing.core.course import Course, Cut, Failure, Grant, Order, Switch, Trial, Void
from billing.core.facts import LIFE_KINDS, Fact, order
from billing.core.passing import Obligation, Passing


def course(facts: Iterable[Fact], now: datetime, zone: str) -> Course:
    """The course up to `now` (UTC) that the commands and payments among `facts` tell; others are passed over.

    `zone` is the workspace's time zone, which a subscription pins when it starts.
    """
    life = Life(zone)
    for fact in sorted((fact for fact in facts if fact.kind in LIFE_KINDS and fact.at <= now), key=order):
        life.pass_time(fact.at)
        life.hear(fact)
    life.pass_time(now)
    return life.course()


@dataclass(slots=True)
class Life(Passing):
    """The fold: `hear` takes the next fact."""

    def hear(self, fact: Fact) -> None:
        """Apply one accepted command or payment outcome at its own instant."""
        self.heard += 1
        getattr(self, "_" + fact.kind.replace(".", "_"))(fact)

    def _trial_started(self, fact: Fact) -> None:
        terms = plans.read(fact.data["terms"])  # type: ignore[arg-type]
        self.applicant = _text(fact, "applicant")
        end = calendar.read(str(fact.data["trial_end"]))
        self.trial = Trial(terms, str(fact.data["subscription"]), fact.at, end, fact.id, _text(fact, "payment_method"))

    def _registration_completed(self, fact: Fact) -> None:
        terms, method = plans.read(fact.data["terms"]), _text(fact, "payment_method")  # type: ignore[arg-type]
        if self.trial is None:  # reopened by an operator after it expired: charged at once
            self._begin(str(fact.data["subscription"]), terms, method, calendar.local_date(fact.at, self.zone))
            self._open(self._period(), fact.at, fact.at, fact.id, by_fact=True)
            return
        self.trial = replace(self.trial, registered=terms, method=method, fact=fact.id)
        if method != "card" and terms.rules.lead_days.get(method or "", 0):
            # Who pays by invoice gets it now; the period still begins after every free day (A-20, BL-12).
            trial = self.trial
            self._begin(trial.subscription, terms, method, calendar.local_date(trial.end, self.zone))
            self._open(self._period(), trial.end, fact.at, fact.id)

    def _subscription_started(self, fact: Fact) -> None:
        terms = plans.read(fact.data["terms"])  # type: ignore[arg-type]
        if terms.rank == 0:
            self.terms, self.state = terms, "free"
            return
        self._begin(
            str(fact.data["subscription"]),
            terms,
            _text(fact, "payment_method"),
            date.fromisoformat(str(fact.data["anchor"])),
        )
        self.auto_purchase = bool(fact.data.get("auto_purchase"))
        seats = fact.data.get("seats")
        self._open(
            self._period(),
            fact.at,
            fact.at,
            fact.id,
            seats=seats,
            elsewhere=bool(fact.data.get("elsewhere")),
            by_fact=True,
        )

    def _licences_added(self, fact: Fact) -> None:
        self._grant(fact, 1)

    def _licences_removed(self, fact: Fact) -> None:
        self._grant(fact, -1)

    def _grant(self, fact: Fact, sign: int) -> None:
        self.grants.append(Grant(fact.at, self.stretches[-1].key, sign * int(str(fact.data["count"])), fact.id))

    def _plan_changed(self, fact: Fact) -> None:
        terms = plans.read(fact.data["terms"])  # type: ignore[arg-type]
        if fact.data["from"] == "renewal":
            self.next_terms = terms
            return
        self.terms, self.next_terms = terms, None
        for stretch in self.stretches:
            if stretch.subscription == self.subscription and stretch.closes > fact.at:
                self.switches.append(Switch(max(fact.at, stretch.opens), stretch.key, terms, fact.id))

    def _interval_changed(self, fact: Fact) -> None:
        terms = plans.read(fact.data["terms"])  # type: ignore[arg-type]
        if fact.data["from"] == "renewal":
            self.next_terms = terms
            return
        assert self.terms is not None  # noqa: S101 - a subscription runs
        self._unbegun(fact.at, self.terms.rules.interval_rule, fact.id)
        at = max(i for i, one in enumerate(self.stretches) if one.opens <= fact.at)
        last = self.stretches[at]
        self.stretches[at] = replace(last, closes=fact.at)
        self.cuts.append(Cut(fact.at, last.key, bool(fact.data.get("credited")), fact.id))
        self.terms, self.next_terms, self.anchor = terms, None, calendar.local_date(fact.at, self.zone)
        self._open(self._period(), fact.at, fact.at, fact.id, by_fact=True)

    def _payment_method_updated(self, fact: Fact) -> None:
        if fact.data.get("from") == "renewal":
            self.next_method = _text(fact, "payment_method")
            if fact.data.get("terms"):
                self.next_terms = plans.read(fact.data["terms"])  # type: ignore[arg-type]
        elif self.trial is not None and not self.trial.registered:
            self.trial = replace(self.trial, method=_text(fact, "payment_method"))
        else:
            self.method = _text(fact, "payment_method")

    def _subscription_cancelled(self, fact: Fact) -> None:
        if self.trial is not None:
            self.trial = replace(self.trial, registered=None, method=None)
            if self.subscription is not None:  # billed ahead, at registration: nothing of it is owed
                self._stop_billing(fact.at, self.state, "BL-08", fact.id)
        else:
            self.cancel_at = self.stretches[-1].period.end
            self.ends_in = _text(fact, "ends_in")  # the Free plan was asked for, whatever the plan ends in (B-22)
            self.next_terms = self.next_method = None

    def _refund_requested(self, fact: Fact) -> None:
        for stretch in self.stretches:
            if stretch.subscription == self.subscription:
                self.voids[stretch.key] = Void(fact.at, str(fact.data["rule"]), fact.id)
        self._stop_billing(fact.at, "free", str(fact.data["rule"]), fact.id)

    def _contract_migrated(self, fact: Fact) -> None:
        self.trial = None
        self._stop_billing(fact.at, "migrated", "CW-18", fact.id)

    def _option_ordered(self, fact: Fact) -> None:
        terms = plans.read(fact.data["terms"])  # type: ignore[arg-type]
        key = (str(fact.data["subscription"]), 0)
        self.orders.append(Order(fact.at, key, terms, str(fact.data["option"]), fact.id))

    def _period_rerated(self, fact: Fact) -> None:
        """Other terms for a period that was pinned: the pins are the edge's; here it is only heard (law 3)."""

    def _late_accepted(self, fact: Fact) -> None:
        """A verdict on facts older than the re-rating window: the roster reads it (law 10)."""

    def _payment_failed(self, fact: Fact) -> None:
        obligation, key = _obligation(fact)
        if not self._forward(obligation, fact, 0) or key[0] != self.subscription:
            return
        self.failing.setdefault(obligation, Failure(fact.at, fact.id, key))

    def _payment_succeeded(self, fact: Fact) -> None:
        obligation, _ = _obligation(fact)
        if not self._forward(obligation, fact, 1) or self.failing.pop(obligation, None) is None or self.failing:
            return
        self.retried = 0
        if self.suspended:
            self._resume(fact)

    def _forward(self, obligation: Obligation, fact: Fact, rank: int) -> bool:
        """States only move forward by (attempt, rank) (law 6); a success is final."""
        attempt = int(str(fact.data["attempt"]))
        known = self.outcomes.get(obligation)
        if known is not None and (known[1] == 1 or (rank == 0 and attempt <= known[0])):
            return False
        self.outcomes[obligation] = (attempt, rank)
        return True

    def _resume(self, fact: Fact) -> None:
        """Paid after all: goes on; a period that began meanwhile is billed for what is left of it."""
        self.suspended = False
        self._unmute(fact.at, fact.id)
        if fact.at < self.stretches[-1].period.end:
            return
        following = self._following()  # what was to change with the renewal changed while nothing was billed
        self._turn_over()
        behind = calendar.period_of(following.anchor, following.months, calendar.local_date(fact.at, self.zone))
        now = replace(following, n=behind)
        self._open(now, fact.at, fact.at, fact.id, by_fact=True, share=now.start != fact.at)


def _text(fact: Fact, name: str) -> str | None:
    value = fact.data.get(name)
    return None if value is None else str(value)


def _obligation(fact: Fact) -> tuple[Obligation, tuple[str, int]]:
    """Which (subscription, period, purpose, n) a payment fact speaks of, never a charge id (law 6)."""
    subscription, n = str(fact.data["subscription"]), int(str(fact.data["n"]))
    return (subscription, n, str(fact.data["purpose"]), int(str(fact.data["nth"]))), (subscription, n)
