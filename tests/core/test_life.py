"""The course that each command and each payment leads to, whole: every field of it, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from billing.core import plans
from billing.core.calendar import midnight, written
from billing.core.course import Course, Cut, Due, Failure, Grant, Mute, Order, Stretch, Switch, Trial, Void
from billing.core.facts import Fact
from billing.core.life import course
from billing.core.plans import Dunning, Terms
from billing.core.proration import Period
from tests.core.judging import FREE, LARGE, SMALL, YEARLY, ZONE, terms
from tests.core.telling import life_fact, when

START = when("2025-03-01T03:00")
MONTH = Period(date(2025, 3, 1), 1, 0, ZONE)
STRICT = terms(dunning=Dunning((2,), 5, "failure", "suspended", 20), ends_in="closed")


def day(text: str) -> datetime:
    """The first instant of a day in Tokyo."""
    return midnight(date.fromisoformat(text), ZONE)


class Story:
    """Commands and payments, told one after the other; each is known by its number."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def then(self, kind: str, at: datetime, own: Terms | None = None, **data: Any) -> "Story":
        more = {"terms": plans.written(own)} if own else {}
        self.facts.append(life_fact(kind, at, len(self.facts) + 1, {**data, **more}, f"fact-{len(self.facts) + 1}"))
        return self

    def start(self, own: Terms = SMALL, at: datetime = START, **data: Any) -> "Story":
        told: dict[str, Any] = {"subscription": "sub", "anchor": "2025-03-01", "payment_method": "card"}
        return self.then("subscription.started", at, own, **{**told, **data})

    def paid(self, word: str, at: datetime, n: int = 0, purpose: str = "period", **more: Any) -> "Story":
        told: dict[str, Any] = {"subscription": "sub", "n": n, "purpose": purpose, "nth": 1, "attempt": 1}
        return self.then(f"payment.{word}", at, **{**told, **more})

    def at(self, now: datetime) -> Course:
        return course(self.facts, now, ZONE)


def first(own: Terms = SMALL, **more: Any) -> Stretch:
    told: dict[str, Any] = {"subscription": "sub", "n": 0, "period": replace(MONTH, months=own.months), "opens": START}
    told |= {"billed_at": START, "fact": "fact-1", "plan": own.plan, "interval": own.interval, "by_fact": True}
    told |= {"closes": told["period"].end, "shape": own.shape}
    return Stretch(**{**told, **more})


def second(own: Terms = SMALL, **more: Any) -> Stretch:
    period = replace(MONTH, n=1)
    told = {"n": 1, "period": period, "opens": period.start, "billed_at": period.start, "closes": period.end}
    return first(own, by_fact=False, **{**told, **more})


def begun(own: Terms = SMALL, **more: Any) -> Course:
    """The course after the start alone."""
    told: dict[str, Any] = {"state": "active", "subscription": "sub", "terms": own, "method": "card", "seq": 1}
    told |= {"stretches": (first(own),), "next_due": replace(MONTH, months=own.months).end}
    return Course(**{**told, **more})


def test_nothing_told_is_a_free_workspace() -> None:
    assert Story().at(START) == Course()
    assert Story().start().at(START - (day("2025-03-02") - day("2025-03-01"))) == Course()


def test_a_start_opens_the_first_period_and_time_bills_the_next() -> None:
    story = Story().start(auto_purchase=True, seats=4, elsewhere=True)
    opened = first(seats=4, elsewhere=True)
    wanted = begun(auto_purchase=True, stretches=(opened,))
    assert story.at(START) == wanted
    renewed = (opened, second())
    due = (Due(second().opens, "bill", second().opens),)
    assert story.at(second().opens) == replace(wanted, stretches=renewed, next_due=second().closes, dues=due)


def test_a_free_plan_only_sets_its_limits() -> None:
    assert Story().start(FREE).at(START) == Course(terms=FREE, seq=1)


def trial(own: Terms, **data: Any) -> Story:
    told: dict[str, Any] = {"subscription": "sub", "applicant": "hana", "trial_end": written(day("2025-03-15"))}
    return Story().then("trial.started", START, own, **{**told, **data})


def test_a_trial_runs_to_its_end_and_is_free_expires_or_converts() -> None:
    running = Trial(SMALL, "sub", START, day("2025-03-15"), "fact-1", "card")
    story = trial(SMALL, payment_method="card")
    wanted = Course("trialing", applicant="hana", trial=running, next_due=day("2025-03-15"), seq=1)
    assert story.at(START) == wanted
    due = (Due(day("2025-03-15"), "trial_end", day("2025-03-15")),)
    assert story.at(day("2025-03-15")) == Course(applicant="hana", dues=due, seq=1)
    expiring = terms(trial_end="expire_unless_registered")
    assert trial(expiring).at(day("2025-03-15")) == Course("expired", applicant="hana", dues=due, seq=1)
    turning = terms(trial_end="convert_if_method")
    assert trial(turning).at(day("2025-03-15")) == Course(applicant="hana", dues=due, seq=1)
    paid = trial(turning, payment_method="card").at(day("2025-03-15"))
    period = Period(date(2025, 3, 15), 1, 0, ZONE)
    opened = first(period=period, opens=period.start, billed_at=period.start, closes=period.end, by_fact=False)
    assert paid == begun(turning, applicant="hana", stretches=(opened,), dues=due, next_due=period.end)


def test_a_registered_trial_goes_on_under_the_registered_terms_and_is_billed_ahead_by_invoice() -> None:
    registered: dict[str, Any] = {"subscription": "other", "payment_method": "card"}
    by_card = trial(SMALL).then("registration.completed", day("2025-03-05"), YEARLY, **registered)
    kept = Trial(SMALL, "sub", START, day("2025-03-15"), "fact-2", "card", YEARLY)
    wanted = Course("trial_registered", applicant="hana", trial=kept, next_due=day("2025-03-15"), seq=2)
    assert by_card.at(day("2025-03-05")) == wanted
    invoiced = terms(interval="year", lead_days={"bank_transfer": 30})
    registered["payment_method"] = "bank_transfer"
    story = trial(SMALL).then("registration.completed", day("2025-03-05"), invoiced, **registered)
    year = Period(date(2025, 3, 15), 12, 0, ZONE)
    ahead = first(
        invoiced,
        period=year,
        opens=year.start,
        billed_at=day("2025-03-05"),
        closes=year.end,
        by_fact=False,
        fact="fact-2",
    )
    sure = replace(kept, method="bank_transfer", registered=invoiced)
    told = Course(
        "trial_registered",
        "sub",
        invoiced,
        None,
        "bank_transfer",
        applicant="hana",
        trial=sure,
        stretches=(ahead,),
        next_due=day("2025-03-15"),
        seq=2,
    )
    assert story.at(day("2025-03-05")) == told
    after = story.at(day("2025-03-15"))
    due = (Due(day("2025-03-15"), "trial_end", day("2025-03-15")),)
    assert after == replace(told, state="active", trial=None, dues=due, next_due=day("2026-02-13"))
    story.then("subscription.cancelled", day("2025-03-10"))
    gone = replace(sure, method=None, registered=None)
    void = {("sub", 0): Void(day("2025-03-10"), "BL-08", "fact-3")}
    cancelled = Course(
        "trialing",
        None,
        invoiced,
        None,
        "bank_transfer",
        applicant="hana",
        trial=gone,
        voids=void,
        stretches=(replace(ahead, closes=day("2025-03-10")),),
        next_due=day("2025-03-15"),
        seq=3,
    )
    assert story.at(day("2025-03-10")) == cancelled


def test_a_trial_cancelled_after_a_registration_by_card_ends_as_an_unregistered_one() -> None:
    story = trial(SMALL).then(
        "registration.completed", day("2025-03-05"), SMALL, subscription="x", payment_method="card"
    )
    story.then("subscription.cancelled", day("2025-03-06"))
    kept = Trial(SMALL, "sub", START, day("2025-03-15"), "fact-2")
    assert story.at(day("2025-03-06")).trial == kept
    assert story.at(day("2025-03-15")).state == "free"


def test_a_18_an_expired_space_is_reopened_at_once() -> None:
    at = when("2025-04-02T03:00")
    story = trial(terms(trial_end="expire_unless_registered"))
    story.then("registration.completed", at, SMALL, subscription="again", payment_method="card")
    period = Period(date(2025, 4, 2), 1, 0, ZONE)
    opened = first(subscription="again", period=period, opens=at, billed_at=at, closes=period.end, fact="fact-2")
    due = (Due(day("2025-03-15"), "trial_end", day("2025-03-15")),)
    told: dict[str, Any] = {"applicant": "hana", "dues": due, "next_due": period.end, "seq": 2, "stretches": (opened,)}
    assert story.at(at) == begun(**{**told, "subscription": "again"})


def test_a_way_to_pay_changes_at_once_in_a_trial_or_with_the_renewal() -> None:
    at = day("2025-03-05")
    now: Mapping[str, Any] = {"payment_method": "cash", "from": "now"}
    tried = trial(SMALL).then("payment_method.updated", at, **now).at(at)
    assert tried.trial == Trial(SMALL, "sub", START, day("2025-03-15"), "fact-1", "cash")
    assert Story().start().then("payment_method.updated", at, **now).at(at) == begun(method="cash", seq=2)
    later: dict[str, Any] = {"payment_method": "cash", "from": "renewal"}
    story = Story().start().then("payment_method.updated", at, YEARLY, **later)
    assert story.at(at) == begun(next_terms=YEARLY, seq=2)
    renewed = story.at(day("2025-04-01"))
    assert (renewed.method, renewed.terms, renewed.next_terms) == ("cash", YEARLY, None)
    plain = Story().start().then("payment_method.updated", at, **later)
    assert plain.at(at) == begun(seq=2)
    assert plain.at(day("2025-04-01")).method == "cash"


def test_licences_are_granted_and_given_up_within_the_last_billed_period() -> None:
    at = day("2025-03-05")
    story = Story().start().then("licences.added", at, count=2).then("licences.removed", at, count=1)
    grants = (Grant(at, ("sub", 0), 2, "fact-2"), Grant(at, ("sub", 0), -1, "fact-3"))
    assert story.at(at) == begun(grants=grants, seq=3)


def test_a_plan_change_switches_the_price_of_what_runs_and_of_what_was_billed_ahead() -> None:
    at = day("2025-03-05")
    now: Mapping[str, Any] = {"from": "now"}
    switch = Switch(at, ("sub", 0), LARGE, "fact-2")
    story = Story().start().then("plan.changed", at, LARGE, **now)
    assert story.at(at) == begun(terms=LARGE, switches=(switch,), seq=2)
    renewal: Mapping[str, Any] = {"from": "renewal"}
    waiting = Story().start().then("plan.changed", at, LARGE, **renewal)
    assert waiting.at(at) == begun(next_terms=LARGE, seq=2)
    assert waiting.at(day("2025-04-01")).stretches[1] == second(LARGE)
    assert waiting.then("plan.changed", at, YEARLY, **now).at(at).next_terms is None
    ahead = terms(lead_days={"card": 10})
    billed = Story().start(ahead).then("plan.changed", day("2025-03-25"), LARGE, **now).at(day("2025-03-25"))
    two = (replace(switch, at=day("2025-03-25")), Switch(day("2025-04-01"), ("sub", 1), LARGE, "fact-2"))
    assert billed.switches == two
    late = Story().start().then("plan.changed", day("2025-04-01"), LARGE, **now).at(day("2025-04-01"))
    assert late.switches == (Switch(day("2025-04-01"), ("sub", 1), LARGE, "fact-2"),)


def test_an_interval_change_cuts_the_period_and_opens_another_from_its_day_on() -> None:
    at = when("2025-03-05T03:00")
    year = Period(date(2025, 3, 5), 12, 0, ZONE)
    opened = first(YEARLY, n=1, period=year, opens=at, billed_at=at, closes=year.end, fact="fact-2")
    for credited in (True, False):
        told = Story().start().then("interval.changed", at, YEARLY, **{"from": "now", "credited": credited}).at(at)
        cut = Cut(at, ("sub", 0), credited, "fact-2")
        stretches = (first(closes=at), opened)
        assert told == begun(terms=YEARLY, stretches=stretches, cuts=(cut,), next_due=year.end, seq=2)
    waiting = Story().start().then("interval.changed", at, YEARLY, **{"from": "renewal"})
    assert waiting.at(at) == begun(next_terms=YEARLY, seq=2)
    renewed = waiting.at(day("2025-04-01")).stretches[1]
    period = Period(date(2025, 4, 1), 12, 0, ZONE)
    assert renewed == second(YEARLY, period=period, closes=period.end)


def test_an_interval_change_takes_back_what_was_billed_ahead() -> None:
    own, at = terms(lead_days={"card": 10}, interval_rule="BL-19"), day("2025-03-25")
    told = Story().start(own).then("interval.changed", at, YEARLY, **{"from": "now"}).at(at)
    assert told.voids == {("sub", 1): Void(at, "BL-19", "fact-2")}
    assert [one.closes for one in told.stretches[:2]] == [at, at]
    assert told.cuts == (Cut(at, ("sub", 0), False, "fact-2"),)
    assert told.stretches[2].n == 2


def test_a_cancellation_ends_with_the_period_in_what_the_plan_or_the_command_says() -> None:
    at, end = day("2025-03-05"), MONTH.end
    free: dict[str, Any] = {"ends_in": "free"}
    for own, more, state in ((SMALL, {}, "free"), (STRICT, {}, "closed"), (STRICT, free, "free")):
        story = Story().start(own).then("plan.changed", at, LARGE, **{"from": "renewal"})
        story.then("subscription.cancelled", at, **more)
        assert story.at(at) == begun(own, state="cancelling", cancel_at=end, next_due=end, seq=3)
        over = begun(own, state=state, subscription=None, next_due=None, seq=3, dues=(Due(end, "end", end),))
        assert story.at(end) == over


def test_a_refund_takes_back_every_period_of_the_subscription() -> None:
    at = day("2025-04-02")
    told = Story().start().then("refund.requested", at, rule="TR-26").at(at)
    void = Void(at, "TR-26", "fact-2")
    due = (Due(second().opens, "bill", second().opens),)
    stretches = (first(), second(closes=at))
    voids = {("sub", 0): void, ("sub", 1): void}
    more: dict[str, Any] = {"stretches": stretches, "voids": voids, "dues": due, "next_due": None, "seq": 2}
    assert told == begun(state="free", subscription=None, **more)


def test_cw_18_a_migrated_contract_ends_at_once() -> None:
    at = day("2025-03-05")
    told = Story().start().then("contract.migrated", at, into="w2").at(at)
    assert told == begun(state="migrated", subscription=None, stretches=(first(closes=at),), next_due=None, seq=2)
    assert trial(SMALL).then("contract.migrated", at, into="w2").at(at).trial is None


def test_an_option_and_verdicts_of_people_leave_the_course_as_it_is() -> None:
    at = day("2025-03-05")
    story = Story().start().then("option.ordered", at, LARGE, subscription="sub", option="check")
    story.then("period.rerated", at, LARGE, subscription="sub", n=0).then("late.accepted", at, facts=["f"])
    assert story.at(at) == begun(orders=(Order(at, ("sub", 0), LARGE, "check", "fact-2"),), seq=4)


def failing(own: Terms = STRICT) -> Story:
    return Story().start(own).paid("failed", day("2025-03-03"))


def failed(**more: Any) -> Course:
    """Past due since the third of March."""
    failure = Failure(day("2025-03-03"), "fact-2", ("sub", 0))
    told: dict[str, Any] = {"state": "past_due", "failing": {("sub", 0, "period", 1): failure}, "seq": 2}
    return begun(STRICT, **{**told, "next_due": day("2025-03-05"), **more})


def test_a_failed_charge_is_tried_again_then_the_subscription_is_suspended_then_closed() -> None:
    story = failing()
    assert story.at(day("2025-03-03")) == failed()
    dues = [Due(day("2025-03-05"), "retry", day("2025-03-05")), Due(day("2025-03-08"), "grace", day("2025-03-08"))]
    assert story.at(day("2025-03-05")) == failed(dues=tuple(dues[:1]), next_due=day("2025-03-08"))
    mute = Mute(day("2025-03-08"))
    more: dict[str, Any] = {"state": "suspended", "suspended": True, "mutes": (mute,)}
    assert story.at(day("2025-03-08")) == failed(dues=tuple(dues), next_due=day("2025-03-23"), **more)
    closed = day("2025-03-23")
    dues.append(Due(closed, "close", START))
    over: dict[str, Any] = {
        "subscription": None,
        "failing": {},
        "next_due": None,
        "mutes": (replace(mute, ends=closed),),
    }
    voids = {("sub", 0): Void(closed, "B-24", "fact-2")}
    ended = failed(state="closed", dues=tuple(dues), stretches=(first(STRICT, closes=closed),), voids=voids, **over)
    assert story.at(closed) == ended


def test_who_pays_in_time_goes_on_and_a_second_failure_begins_the_grace_anew() -> None:
    story = failing().paid("succeeded", day("2025-03-06"))
    due = (Due(day("2025-03-05"), "retry", day("2025-03-05")),)
    assert story.at(day("2025-03-06")) == begun(STRICT, dues=due, seq=3)
    again = story.paid("failed", day("2025-04-02"), n=1).at(day("2025-04-02"))
    assert (again.state, again.next_due) == ("past_due", day("2025-04-04"))


def test_a_suspended_subscription_that_is_paid_goes_on_within_its_period() -> None:
    told = failing().paid("succeeded", day("2025-03-10")).at(day("2025-03-10"))
    assert told.mutes == (Mute(day("2025-03-08"), day("2025-03-10"), "fact-3"),)
    assert (told.state, told.suspended, told.stretches, told.next_due) == ("active", False, (first(STRICT),), MONTH.end)


def test_a_suspended_subscription_that_is_paid_late_is_billed_for_what_is_left_of_the_period_then_running() -> None:
    own = terms(dunning=Dunning((), 5, "failure", "suspended", 0))
    at = when("2025-05-10T03:00")
    story = failing(own).then("plan.changed", day("2025-03-04"), LARGE, **{"from": "renewal"})
    told = story.paid("succeeded", at).at(at)
    may = replace(MONTH, n=2)
    opened = first(LARGE, n=1, period=may, opens=at, billed_at=at, closes=may.end, fact="fact-4", share=True)
    assert told.stretches == (first(own), opened)
    assert (told.terms, told.next_terms, told.next_due) == (LARGE, None, may.end)
    whole = failing(own).paid("succeeded", day("2025-05-01")).at(day("2025-05-01")).stretches[1]
    assert (whole.share, whole.opens, whole.period) == (False, may.start, may)


def test_b_24_what_was_bought_within_a_paid_period_stays_owed_when_the_unpaid_is_closed() -> None:
    story = Story().start(STRICT).paid("failed", day("2025-03-03"), purpose="seats")
    told = story.at(day("2025-03-23"))
    assert (told.state, told.voids, told.dues[-1]) == ("closed", {}, Due(day("2025-03-23"), "close", day("2025-03-23")))


def test_a_lenient_plan_turns_free_when_the_grace_is_over() -> None:
    own = terms(dunning=Dunning((), 5, "renewal", "free", 0))
    story = Story().start(own).paid("failed", day("2025-04-02"), n=1).paid("failed", day("2025-04-03"), n=1, nth=2)
    told = story.at(day("2025-04-06"))
    dues = (Due(second().opens, "bill", second().opens), Due(day("2025-04-06"), "grace", day("2025-04-06")))
    assert (told.state, told.subscription, told.failing, told.dues) == ("free", None, {}, dues)
    assert told.stretches == (first(own), second(own, closes=day("2025-04-06")))


def test_law_6_an_obligation_only_moves_forward() -> None:
    at = day("2025-03-04")
    story = failing().paid("failed", at).paid("failed", at, attempt=2)
    assert story.at(at) == failed(seq=4)
    paid = story.paid("succeeded", at, attempt=2).paid("failed", at, attempt=3).at(at)
    assert (paid.state, paid.failing) == ("active", {})
    other = failing().paid("failed", at, subscription="old").at(at)
    assert other == failed(seq=3)
    two = failing().paid("failed", at, purpose="seats").paid("succeeded", at).at(at)
    assert list(two.failing) == [("sub", 0, "seats", 1)]
    assert two.failing["sub", 0, "seats", 1] == Failure(at, "fact-3", ("sub", 0))
