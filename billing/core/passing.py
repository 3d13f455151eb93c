"""What time does to a workspace: trials end, periods are billed, the unpaid is suspended, the cancelled ends.

Pure. The commands and payments that set this going are heard in `life.py`.
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from billing.core import calendar
from billing.core.course import Course, Cut, Due, Failure, Grant, Mute, Order, Stretch, Switch, Trial, Void
from billing.core.plans import Terms
from billing.core.proration import Period

#: Which charge of which period, never a charge id (law 6): subscription, n, purpose, nth.
Obligation = tuple[str, int, str, int]


@dataclass(slots=True)
class Passing:
    """Where a workspace's life stands; `pass_time` lets due instants come, in time order (law 4)."""

    zone: str
    at: datetime | None = None
    state: str = "free"
    subscription: str | None = None
    terms: Terms | None = None
    next_terms: Terms | None = None
    method: str | None = None
    next_method: str | None = None
    auto_purchase: bool = False
    applicant: str | None = None
    trial: Trial | None = None
    cancel_at: datetime | None = None
    ends_in: str | None = None
    suspended: bool = False
    first: int = 0
    anchor: date | None = None
    retried: int = 0
    heard: int = 0
    failing: dict[Obligation, Failure] = field(default_factory=dict)
    outcomes: dict[Obligation, tuple[int, int]] = field(default_factory=dict)
    stretches: list[Stretch] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    mutes: list[Mute] = field(default_factory=list)
    voids: dict[tuple[str, int], Void] = field(default_factory=dict)
    dues: list[Due] = field(default_factory=list)

    def course(self) -> Course:
        """The course as it now stands."""
        coming = self._next()
        return Course(
            state=self._state(),
            subscription=self.subscription,
            terms=self.terms,
            next_terms=self.next_terms,
            method=self.method,
            auto_purchase=self.auto_purchase,
            applicant=self.applicant,
            trial=self.trial,
            cancel_at=self.cancel_at,
            suspended=self.suspended,
            failing=dict(self.failing),
            stretches=tuple(self.stretches),
            grants=tuple(self.grants),
            switches=tuple(self.switches),
            cuts=tuple(self.cuts),
            orders=tuple(self.orders),
            mutes=tuple(self.mutes),
            voids=dict(self.voids),
            dues=tuple(self.dues),
            next_due=coming[0] if coming else None,
            seq=self.heard,
        )

    def _state(self) -> str:
        if self.trial is not None:
            return "trial_registered" if self.trial.registered else "trialing"
        if self.subscription is None:
            return self.state
        if self.suspended:
            return "suspended"
        if self.failing:
            return "past_due"
        return "cancelling" if self.cancel_at else "active"

    # --- time -----------------------------------------------------------------------------------------------------

    def pass_time(self, until: datetime) -> None:
        """Let everything that is due by `until` (UTC) happen, one after the other."""
        while (coming := self._next()) is not None and coming[0] <= until:
            at, what = coming
            self.at = at
            since = {"trial_end": self._trial_ends, "bill": self._bill, "end": self._end, "retry": self._retry}.get(
                what, self._stop
            )(at)
            self.dues.append(Due(at, what, since or at))
        self.at = until

    def _next(self) -> tuple[datetime, str] | None:
        """The next due instant and what it is; of one instant an end comes before a renewal."""
        found: list[tuple[datetime, int, str]] = []
        if self.trial is not None:
            found.append((self.trial.end, 0, "trial_end"))
        if self.subscription is not None:
            if self.cancel_at is not None:
                found.append((self.cancel_at, 0, "end"))
            found += self._dunning()
            if not self.suspended and (bill := self._bill_at()) is not None:
                found.append((bill, 9, "bill"))
        if not found:
            return None
        at, _, what = min(found)
        return (at if self.at is None else max(at, self.at)), what

    def _bill_at(self) -> datetime | None:
        """When the next period is billed; None when the subscription ends before it begins."""
        following = self._following()
        if self.cancel_at is not None and following.start >= self.cancel_at:
            return None
        return calendar.midnight(following.first - timedelta(days=self._lead()), self.zone)

    def _lead(self) -> int:
        method = self.next_method or self.method
        return (self.terms.rules.lead_days.get(method, 0) if self.terms and method else 0) or 0

    def _following(self) -> Period:
        """The period after the last one billed, of the run as it will then be."""
        last = self.stretches[-1].period
        months = self.next_terms.months if self.next_terms else last.months
        if months != last.months:
            return Period(last.last, months, 0, self.zone)
        return replace(last, n=last.n + 1)

    def _bill(self, at: datetime) -> datetime:
        """A renewal: one more period of the plan as it then is (TR-09, CW-24)."""
        following = self._following()
        self._turn_over()
        self._open(following, max(following.start, self.stretches[-1].opens), at, self.stretches[-1].fact)
        return self.stretches[-1].opens

    def _turn_over(self) -> None:
        """What was to change with the renewal changes."""
        self.terms = self.next_terms or self.terms
        self.method, self.next_method, self.next_terms = self.next_method or self.method, None, None

    def _open(self, period: Period, opens: datetime, at: datetime, fact: str, **more: object) -> None:
        assert self.subscription is not None  # noqa: S101 - only a subscription's periods open
        assert self.terms is not None  # noqa: S101 - it has a plan
        mine = [one.n for one in self.stretches if one.subscription == self.subscription]
        stretch = Stretch(
            subscription=self.subscription,
            n=more.pop("n", max(mine, default=-1) + 1),  # type: ignore[arg-type]
            period=period,
            opens=opens,
            closes=period.end,
            billed_at=at,
            fact=fact,
            plan=self.terms.plan,
            interval=self.terms.interval,
            shape=self.terms.shape,
            **more,  # type: ignore[arg-type]
        )
        self.stretches.append(stretch)

    def _trial_ends(self, at: datetime) -> None:
        """Registered, or by a card on file: paid from here on. Else free, or expired (XX-11, BL-08, BL-11)."""
        trial, self.trial = self.trial, None
        assert trial is not None  # noqa: S101 - it is due
        policy = trial.terms.rules.trial_end
        if trial.registered is not None:
            self._begin_after(trial, trial.registered, at)
        elif policy == "convert_if_method" and trial.method:
            self._begin_after(trial, trial.terms, at)
        else:
            self.state = "expired" if policy == "expire_unless_registered" else "free"

    def _begin_after(self, trial: Trial, terms: Terms, at: datetime) -> None:
        if self.subscription is None:  # else it was billed ahead, at registration
            self._begin(trial.subscription, terms, trial.method, calendar.local_date(trial.end, self.zone))
            self._open(self._period(), trial.end, at, trial.fact)

    def _begin(self, subscription: str, terms: Terms, method: str | None, anchor: date) -> None:
        self.subscription, self.terms, self.method, self.anchor = subscription, terms, method, anchor
        self.next_terms = self.next_method = self.cancel_at = self.ends_in = None
        self.suspended, self.failing, self.retried = False, {}, 0

    def _period(self) -> Period:
        assert self.terms is not None  # noqa: S101 - begun
        assert self.anchor is not None  # noqa: S101 - begun
        return Period(self.anchor, self.terms.months, 0, self.zone)

    def _end(self, at: datetime) -> None:
        """The subscription is over: free again, or closed (TR-29, B-23)."""
        assert self.terms is not None  # noqa: S101 - it ran
        self._stop_billing(at, self.ends_in or self.terms.rules.ends_in, "B-23", self.stretches[-1].fact)

    def _stop_billing(self, at: datetime, state: str, rule: str, fact: str) -> None:
        """The end. What was billed ahead and has not begun is not owed, by that rule."""
        self._unbegun(at, rule, fact)
        self.stretches = [replace(one, closes=min(one.closes, at)) for one in self.stretches]
        if self.suspended:
            self._unmute(at, "")
        self.state, self.subscription, self.cancel_at = state, None, None
        self.suspended, self.failing = False, {}

    def _unbegun(self, at: datetime, rule: str, fact: str) -> None:
        """Periods billed ahead that now will never begin."""
        for i, one in enumerate(self.stretches):
            if one.subscription == self.subscription and one.opens > at:
                self.stretches[i] = replace(one, closes=at)
                self.voids.setdefault(one.key, Void(at, rule, fact))

    # --- unpaid ---------------------------------------------------------------------------------------------------

    def _dunning(self) -> list[tuple[datetime, int, str]]:
        """The next retry, suspension and closing of a subscription with something unpaid (B-16, B-24)."""
        if not self.failing or self.terms is None:
            return []
        rules, found = self.terms.rules.dunning, []
        failed = min(failure.at for failure in self.failing.values())
        from_day = calendar.local_date(failed, self.zone)
        if not self.suspended and self.retried < len(rules.retry_days):
            found.append((self._day(from_day, rules.retry_days[self.retried]), 5, "retry"))
        base = from_day if rules.grace_from == "failure" else self._unpaid_from()
        if not self.suspended:
            found.append((self._day(base, rules.grace_days), 1, "grace"))
        elif rules.close_days:
            found.append((self._day(base, rules.close_days), 1, "close"))
        return found

    def _day(self, day: date, days: int) -> datetime:
        return calendar.midnight(day + timedelta(days=days), self.zone)

    def _unpaid_from(self) -> date:
        """The day the unpaid period begins; what was bought within a period is unpaid from the day it failed."""
        opens = {one.key: one.opens for one in self.stretches}
        since = [opens[one.key] if what[2] == "period" else one.at for what, one in self.failing.items()]
        return calendar.local_date(min(since), self.zone)

    def _retry(self, at: datetime) -> None:
        """The failed charges are tried again; the edge does it."""
        self.retried += 1

    def _stop(self, at: datetime) -> datetime | None:
        """The grace is over: suspended, or free; later closed for good, and what was never renewed is not owed."""
        assert self.terms is not None  # noqa: S101 - it is unpaid
        rules = self.terms.rules.dunning
        if self.suspended:
            return self._close_unpaid(at)
        if rules.then == "free":
            self._stop_billing(at, "free", "B-24", min(self.failing.values(), key=lambda one: one.at).fact)
        else:
            self.suspended = True
            self.mutes.append(Mute(at))
        return None

    def _close_unpaid(self, at: datetime) -> datetime:
        assert self.terms is not None  # noqa: S101 - it is unpaid
        # What was bought within a paid period stays owed, and the period itself stays paid.
        voided = {f.key: f.fact for what, f in self.failing.items() if what[2] == "period"}
        begun = [one.opens for one in self.stretches if one.key in voided]
        self.voids |= {key: Void(at, "B-24", fact) for key, fact in voided.items()}
        fact = min(failure.fact for failure in self.failing.values())
        self._stop_billing(at, self.terms.rules.ends_in, "B-24", fact)
        return min([*begun, at])

    def _unmute(self, at: datetime, fact: str) -> None:
        self.mutes[-1] = replace(self.mutes[-1], ends=at, fact=fact)
