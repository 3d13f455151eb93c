"""A second, plainer reading of a workspace's life, from the rulebook's table of states: it walks every single day.

It knows states, billed periods, suspensions and retries; of seats and money it knows nothing. It shares no code with
`billing.core.life` but the local midnight and the reading of terms.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from billing.core import plans
from billing.core.calendar import local_date, midnight, read
from billing.core.facts import Fact
from billing.core.plans import Terms

LONG = {"month": 1, "3-months": 3, "6-months": 6, "year": 12}


def later(anchor: date, months: int) -> date:
    """So many months after a day, on the month's last day where it has no such day."""
    month = anchor.month - 1 + months
    year, month = anchor.year + month // 12, month % 12 + 1
    for day in (anchor.day, 30, 29, 28):
        if day <= anchor.day:
            try:
                return date(year, month, day)
            except ValueError:
                continue
    raise AssertionError("every month has 28 days")


@dataclass
class Billed:
    """One billed period: its civil days, and from when to when its seats are billed."""

    subscription: str
    n: int
    first: date
    last: date
    opens: datetime
    closes: datetime
    plan: str
    interval: str
    void: bool = False


@dataclass
class Run:
    """A paid subscription: the day it counts its periods from, and how many of them were counted."""

    name: str
    terms: Terms
    method: str | None
    anchor: date
    counted: int = 0
    then: Terms | None = None
    then_method: str | None = None
    ends_on: date | None = None
    ends_in: str | None = None
    suspended: bool = False
    retries: int = 0
    unpaid: dict[Any, tuple[datetime, int]] = field(default_factory=dict)

    @property
    def next_first(self) -> date:
        """The first day of the next period to bill."""
        return later(self.anchor, self.counted * LONG[self.terms.interval])


class PlainLife:
    """Every day of a workspace up to `now`; `state` is where it then stands."""

    def __init__(self, facts: Iterable[Fact], now: datetime, zone: str) -> None:
        self.zone = zone
        self.rest = "free"
        self.trial: dict[str, Any] | None = None
        self.run: Run | None = None
        self.billed: list[Billed] = []
        self.suspensions: list[list[datetime | None]] = []
        self.retried: list[datetime] = []
        self.heard: dict[Any, tuple[int, bool]] = {}
        life = sorted((fact for fact in facts if fact.at <= now), key=lambda fact: (fact.at, fact.seq or 0))
        if not life:
            return
        day = local_date(life[0].at, zone)
        while (morning := midnight(day, zone)) <= now:
            self._passes(morning)
            day += timedelta(days=1)
            evening = midnight(day, zone)
            for fact in [fact for fact in life if morning <= fact.at < evening]:
                getattr(self, fact.kind.replace(".", "_"))(fact, fact.data)
                self._passes(fact.at)

    @property
    def state(self) -> str:
        """The state's name in the rulebook."""
        if self.trial:
            return "trial_registered" if self.trial["registered"] else "trialing"
        if not self.run:
            return self.rest
        if self.run.suspended:
            return "suspended"
        if self.run.unpaid:
            return "past_due"
        return "cancelling" if self.run.ends_on else "active"

    # --- what a day brings ----------------------------------------------------------------------------------------

    def _passes(self, now: datetime) -> None:
        today = local_date(now, self.zone)
        while due := sorted(one for one in self._dues() if one[0] <= today):
            _, _, what = due[0]
            getattr(self, "day_of_" + what)(now)

    def _dues(self) -> list[tuple[date, int, str]]:
        dues = []
        if self.trial:
            dues.append((self.trial["end"], 0, "trial_end"))
        run = self.run
        if not run:
            return dues
        if run.ends_on:
            dues.append((run.ends_on, 0, "end"))
        lead = timedelta(days=run.terms.rules.lead_days.get(run.then_method or run.method or "", 0))
        if not run.suspended and (not run.ends_on or self._coming(run)[1] < run.ends_on):
            dues.append((self._coming(run)[1] - lead, 9, "bill"))
        if run.unpaid:
            dues += self._overdue(run)
        return dues

    def _overdue(self, run: Run) -> list[tuple[date, int, str]]:
        dunning, dues = run.terms.rules.dunning, []
        failed = local_date(min(at for at, _ in run.unpaid.values()), self.zone)
        renewals = {n for what, (_, n) in run.unpaid.items() if what[2] == "period"}
        begun = [one.opens for one in self.billed if one.subscription == run.name and one.n in renewals]
        begun += [at for what, (at, _) in run.unpaid.items() if what[2] != "period"]
        since = failed if dunning.grace_from == "failure" else local_date(min(begun), self.zone)
        if run.suspended:
            return [(since + timedelta(days=dunning.close_days), 1, "close")] if dunning.close_days else []
        dues.append((since + timedelta(days=dunning.grace_days), 1, "grace"))
        if run.retries < len(dunning.retry_days):
            dues.append((failed + timedelta(days=dunning.retry_days[run.retries]), 5, "retry"))
        return dues

    def day_of_trial_end(self, now: datetime) -> None:
        trial, self.trial = self.trial, None
        assert trial
        first: Terms = trial["terms"]
        if trial["registered"]:
            self._begin(trial["subscription"], trial["registered"], trial["method"], trial["end"], now)
        elif first.rules.trial_end == "convert_if_method" and trial["method"]:
            self._begin(trial["subscription"], first, trial["method"], trial["end"], now)
        else:
            self.rest = {"expire_unless_registered": "expired"}.get(first.rules.trial_end, "free")

    def day_of_end(self, now: datetime) -> None:
        assert self.run
        self._over(now, self.run.ends_in or self.run.terms.rules.ends_in)

    def day_of_bill(self, now: datetime) -> None:
        run = self.run
        assert run
        anchor, first = self._coming(run)
        counted = 0 if anchor != run.anchor else run.counted
        self._changes(run)
        run.anchor, run.counted = anchor, counted
        self._bill(run, max(midnight(first, self.zone), self.billed[-1].opens))

    def day_of_retry(self, now: datetime) -> None:
        assert self.run
        self.run.retries += 1
        self.retried.append(now)

    def day_of_grace(self, now: datetime) -> None:
        assert self.run
        if self.run.terms.rules.dunning.then == "free":
            self._over(now, "free")
        else:
            self.run.suspended = True
            self.suspensions.append([now, None])

    def day_of_close(self, now: datetime) -> None:
        run = self.run
        assert run
        periods = {n for what, (_, n) in run.unpaid.items() if what[2] == "period"}
        for one in self.billed:
            one.void = one.void or (one.subscription == run.name and one.n in periods)
        self._over(now, run.terms.rules.ends_in)

    # --- steps of it ----------------------------------------------------------------------------------------------

    def _coming(self, run: Run) -> tuple[date, date]:
        """From which day the next period is counted, and on which it begins: another interval counts anew."""
        if run.then and LONG[run.then.interval] != LONG[run.terms.interval]:
            return run.next_first, run.next_first
        return run.anchor, run.next_first

    def _changes(self, run: Run) -> None:
        run.terms, run.method = run.then or run.terms, run.then_method or run.method
        run.then = run.then_method = None

    def _begin(self, name: str, terms: Terms, method: str | None, anchor: date, opens: datetime) -> None:
        if self.run is None:  # else it was billed at registration
            self.run = Run(name, terms, method, anchor)
            self._bill(self.run, opens)

    def _bill(self, run: Run, opens: datetime) -> None:
        first = run.next_first
        run.counted += 1
        n = sum(one.subscription == run.name for one in self.billed)
        last = run.next_first
        closes = midnight(last, self.zone)
        self.billed.append(Billed(run.name, n, first, last, opens, closes, run.terms.plan, run.terms.interval))

    def _over(self, now: datetime, rest: str) -> None:
        if self.run:
            self._never_begin(now)
            for one in self.billed:
                one.closes = min(one.closes, now)
            if self.run.suspended:
                self.suspensions[-1][1] = now
        self.run, self.rest = None, rest

    def _never_begin(self, now: datetime) -> None:
        assert self.run
        for one in self.billed:
            if one.subscription == self.run.name and one.opens > now:
                one.void, one.closes = True, now

    # --- what is heard --------------------------------------------------------------------------------------------

    def trial_started(self, fact: Fact, data: Any) -> None:
        terms, end = plans.read(data["terms"]), local_date(read(data["trial_end"]), self.zone)
        self.trial = {"terms": terms, "end": end, "subscription": data["subscription"]}
        self.trial |= {"method": data["payment_method"], "registered": None}

    def registration_completed(self, fact: Fact, data: Any) -> None:
        terms, method = plans.read(data["terms"]), data["payment_method"]
        if not self.trial:
            self._begin(data["subscription"], terms, method, local_date(fact.at, self.zone), fact.at)
            return
        self.trial |= {"registered": terms, "method": method}
        if method != "card" and terms.rules.lead_days.get(method):
            end = self.trial["end"]
            self._begin(self.trial["subscription"], terms, method, end, midnight(end, self.zone))

    def subscription_started(self, fact: Fact, data: Any) -> None:
        terms = plans.read(data["terms"])
        if terms.rank:
            anchor = date.fromisoformat(data["anchor"])
            self._begin(data["subscription"], terms, data["payment_method"], anchor, fact.at)
        else:
            self.rest = "free"

    def plan_changed(self, fact: Fact, data: Any) -> None:
        assert self.run
        terms = plans.read(data["terms"])
        if data["from"] == "now":
            self.run.terms, self.run.then = terms, None
        else:
            self.run.then = terms

    def interval_changed(self, fact: Fact, data: Any) -> None:
        run = self.run
        assert run
        terms = plans.read(data["terms"])
        if data["from"] == "renewal":
            run.then = terms
            return
        self._never_begin(fact.at)
        [running] = [one for one in self.billed if one.opens <= fact.at and not one.void][-1:]
        running.closes = fact.at
        run.terms, run.then, run.anchor, run.counted = terms, None, local_date(fact.at, self.zone), 0
        self._bill(run, fact.at)

    def payment_method_updated(self, fact: Fact, data: Any) -> None:
        if data["from"] == "renewal":
            assert self.run
            self.run.then_method, self.run.then = data["payment_method"], plans.read(data["terms"])
        elif self.trial and not self.trial["registered"]:
            self.trial["method"] = data["payment_method"]
        elif self.run:
            self.run.method = data["payment_method"]

    def subscription_cancelled(self, fact: Fact, data: Any) -> None:
        if self.trial:
            self.trial |= {"registered": None, "method": None}
            if self.run:
                self._over(fact.at, self.rest)
        else:
            assert self.run
            self.run.ends_on, self.run.ends_in = self.billed[-1].last, data.get("ends_in")
            self.run.then = self.run.then_method = None

    def refund_requested(self, fact: Fact, data: Any) -> None:
        for one in self.billed:
            one.void = one.void or (self.run is not None and one.subscription == self.run.name)
        self._over(fact.at, "free")

    def contract_migrated(self, fact: Fact, data: Any) -> None:
        self.trial = None
        self._over(fact.at, "migrated")

    def option_ordered(self, fact: Fact, data: Any) -> None:
        pass

    licences_added = licences_removed = late_accepted = period_rerated = option_ordered

    def payment_failed(self, fact: Fact, data: Any) -> None:
        what = self._news(data, paid=False)
        if what and self.run and what[0] == self.run.name:
            self.run.unpaid.setdefault(what, (fact.at, int(data["n"])))

    def payment_succeeded(self, fact: Fact, data: Any) -> None:
        what, run = self._news(data, paid=True), self.run
        if not what or not run or what not in run.unpaid:
            return
        del run.unpaid[what]
        if run.unpaid:
            return
        run.retries = 0
        if run.suspended:
            run.suspended = False
            self.suspensions[-1][1] = fact.at
            self._catches_up(run, fact.at)

    def _catches_up(self, run: Run, now: datetime) -> None:
        """Periods that began while it was suspended were not billed; what is left of the running one is."""
        today = local_date(now, self.zone)
        if today < self.billed[-1].last:
            return
        anchor, _ = self._coming(run)
        if anchor != run.anchor:
            run.counted = 0
        self._changes(run)
        run.anchor = anchor
        while later(anchor, (run.counted + 1) * LONG[run.terms.interval]) <= today:
            run.counted += 1
        self._bill(run, now)

    def _news(self, data: Any, *, paid: bool) -> tuple[Any, ...] | None:
        """The obligation, if the answer says anything new of it: a success is final, an old failure is no news."""
        what = (data["subscription"], data["n"], data["purpose"], data["nth"])
        attempt, done = self.heard.get(what, (0, False))
        if done or (not paid and data["attempt"] <= attempt):
            return None
        self.heard[what] = (data["attempt"], paid)
        return what
