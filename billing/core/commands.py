"""Commands judged: accepted, as the data of a fact, or refused by a rule. Pure; each is judged once, at its own now,
against what is then known (law 5). Quantities are deltas.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from billing.core import calendar, plans
from billing.core.case import (
    ANYBODY,
    Body,
    Case,
    Verdict,
    fits,
    may_act,
    not_gone,
    one_currency,
    owes_nothing,
    pays,
    running_terms,
    terms_asked,
)
from billing.core.errors import ConflictError, InvalidError, RefusedError
from billing.core.plans import Terms

__all__ = ["ANYBODY", "COMMANDS", "Body", "Case", "Verdict", "judge", "may_act"]


def judge(command: str, body: Body, case: Case) -> Verdict:
    """The verdict on a command. Raises RefusedError naming the rule, ConflictError where the state does not allow it,
    InvalidError for values that cannot be."""
    return COMMANDS[command](body, case)


#: More licences than anybody buys; a larger number is a slip of the keyboard.
MOST_LICENCES = 1_000_000
#: Where a shape's vendor speaks of trials.
_NO_TRIAL = {"flat": "BL-05", "licences": "B-19"}


def trial(body: Body, case: Case) -> Verdict:
    """A free trial (BL-01, BL-05, BL-25, B-09). Day 1 is today; the first paid day is `trial_days` later (A-16)."""
    terms = terms_asked(body, case)
    rules = terms.rules
    not_gone(case)
    one_currency(terms, case)
    if case.course.trial is not None:
        raise RefusedError("B-20", "a trial runs; it cannot change its plan or begin again")
    if case.course.running or case.course.stretches:
        raise ConflictError("the workspace has or had a subscription")
    if case.course.terms is not None:
        raise RefusedError("BL-14", "upgrading from the Free plan has no free period; start a subscription")
    if not rules.trial_days:
        raise RefusedError(_NO_TRIAL.get(terms.shape, "B-09"), f"{terms.plan} has no trial")
    if rules.terms_required and not body.get("terms_version"):
        raise RefusedError("BL-25", "the terms of service must be accepted: send terms_version")
    if rules.trial_end != "expire_unless_registered":
        may_act("trial", terms, case)
    accepted_at = body.get("terms_accepted_at")
    if accepted_at is not None and accepted_at > case.now:
        raise InvalidError("terms_accepted_at lies ahead of now", rule="BL-25")
    day = calendar.local_date(case.now, case.zone) + timedelta(days=rules.trial_days)
    data = {
        "subscription": case.new,
        "terms": plans.written(terms),
        "trial_end": calendar.written(calendar.midnight(day, case.zone)),
        "applicant": case.actor,
        "payment_method": None if rules.trial_end == "expire_unless_registered" else body.get("payment_method"),
        "terms_version": body.get("terms_version"),
        "terms_url": body.get("terms_url"),
        "terms_accepted_at": str(body.get("terms_accepted_at") or calendar.written(case.now)),
    }
    return Verdict("trial.started", data)


def registration(body: Body, case: Case) -> Verdict:
    """Formal registration 正式登録 (BL-06, BL-07, BL-12, BL-15 to BL-19); an operator may reopen (A-18)."""
    running = case.course.trial
    if running is None and case.course.state != "expired":
        raise ConflictError(f"there is no trial to register; the state is {case.course.state}")
    if running is None and case.role != "operator":
        raise RefusedError("BL-15", "registration must be done within the trial; it is over")
    plan = str(body.get("plan") or (running.terms.plan if running else ""))
    if not plan:
        raise InvalidError("plan must be given to reopen an expired space")
    if running and plan != running.terms.plan:
        raise RefusedError("B-20", "a running trial cannot change its plan")
    terms = terms_asked({**body, "plan": plan}, case, _interval(body, case.offer(plan)))
    if running:
        may_act("registration", terms, case)
    if running and running.registered:
        raise ConflictError("the trial is registered already")
    method = body.get("payment_method")
    if method is None:
        raise RefusedError("BL-07", "registration needs a payment method and a term")
    pays(terms, str(method))
    one_currency(terms, case)
    data = {"subscription": case.new, "terms": plans.written(terms), "payment_method": str(method)}
    return Verdict("registration.completed", data | ({} if running else {"reopened": True}))


def _interval(body: Body, offers: Mapping[str, Terms]) -> str:
    """The interval named, or meant by `months` (1, 3, 6 or 12)."""
    if body.get("interval") and body.get("months") not in (None, calendar.MONTHS.get(str(body["interval"]))):
        raise RefusedError("BL-19", f"{body['months']} months are not one {body['interval']}")
    if body.get("interval"):
        return str(body["interval"])
    months = body.get("months")
    found = [interval for interval in offers if calendar.MONTHS[interval] == months]
    if not found and months is None:
        raise RefusedError("BL-07", "registration needs a payment method and a term: send interval")
    if not found:
        raise RefusedError("BL-19", f"there is no term of {months} months")
    return found[0]


def start(body: Body, case: Case) -> Verdict:
    """A subscription begins at once (TR-01, TR-21, TR-22, CW-07, BL-14); the Free plan only sets its limits."""
    offers = case.offer(str(body["plan"]))
    may_act("subscription", next(iter(offers.values())), case)
    terms = terms_asked(body, case)
    not_gone(case)
    one_currency(terms, case)
    if case.course.running or case.course.trial is not None:
        raise ConflictError("the workspace has a subscription already")
    if case.course.state == "closed" and terms.rules.reopen == "support" and case.role != "operator":
        raise RefusedError("B-23", "the contract was closed and its data are deleted; only support can help")
    fits(terms, case)
    opening = body.get("opening")
    data: dict[str, Any] = {"subscription": case.new, "terms": plans.written(terms), "elsewhere": bool(opening)}
    today = calendar.local_date(case.now, case.zone)
    data |= {"anchor": str(opening["paid_from"] if opening else today), "payment_method": body.get("payment_method")}
    if terms.rank and not opening:
        pays(terms, body.get("payment_method"))
    data["seats"] = opening["seats"] if opening else _licences(terms, body, case)
    data["auto_purchase"] = bool(body.get("auto_purchase"))
    invited = ("CW-11: you hold an invitation to another contract; joining it does not give this purchase back",)
    return Verdict("subscription.started", data, invited if case.invited and terms.rank else ())


def _licences(terms: Terms, body: Body, case: Case) -> int | None:
    """The number chosen at the start, where the plan sells licences (CW-07, CW-13, CW-14)."""
    wanted = body.get("licences")
    if terms.shape != "licences" or not terms.rank:
        if wanted is not None:
            raise RefusedError("CW-07", f"{terms.plan} has no licences")
        return None
    if wanted is None:
        raise InvalidError("licences must be given: the number is chosen when the contract is made", rule="CW-07")
    if wanted < terms.minimum:
        raise RefusedError(_least(terms), f"{terms.plan} is sold from {terms.minimum} licences, not {wanted}")
    if wanted < case.count(terms):
        raise RefusedError("CW-07", f"{case.count(terms)} people use the contract; {wanted} licences are too few")
    return _not_absurd(int(wanted))


def _not_absurd(count: int) -> int:
    if count > MOST_LICENCES:
        raise InvalidError(f"{count} licences are more than {MOST_LICENCES}: a mistake")
    return count


def _least(terms: Terms) -> str:
    return terms.cap_rules.get("minimum", "XX-15")


def licences(body: Body, case: Case) -> Verdict:
    """Licences bought (CW-15) or given up (CW-23, CW-26); giving up cannot be undone (CW-27) and refunds nothing."""
    terms = running_terms("licences", case)
    if terms.shape != "licences":
        raise RefusedError("CW-07", f"{terms.plan} has no licences")
    count = _delta(body)
    if count > 0:
        if case.course.suspended:
            raise RefusedError("B-16", "the contract is suspended; pay first")
        _not_absurd(case.purchased + count)
        return Verdict("licences.added", {"count": count})
    left = case.purchased + count
    if left < terms.minimum:
        raise RefusedError(_least(terms), f"{terms.plan} needs {terms.minimum} licences; {left} would be left")
    if left < case.occupied:
        raise RefusedError("A-22", f"{case.occupied} people use the contract; remove users before licences")
    return Verdict("licences.removed", {"count": -count})


def _delta(body: Body) -> int:
    """`add` or `remove` a number, or the signed `delta`. Raises InvalidError unless exactly one is given."""
    given = [name for name in ("add", "remove", "delta") if body.get(name) is not None]
    if len(given) != 1 or not body[given[0]]:
        raise InvalidError("give exactly one of add, remove or delta, and not 0")
    number = int(body[given[0]])
    if number < 0 and given[0] != "delta":
        raise InvalidError(f"{given[0]} must be a positive number")
    return -number if given[0] == "remove" else number


def plan_change(body: Body, case: Case) -> Verdict:
    """To a larger plan at once, for the price difference; to a smaller one with the next renewal (B-06, B-13, B-22)."""
    if case.course.trial is not None:
        raise RefusedError("B-20", "a running trial cannot change its plan")
    if not case.course.running and case.course.state == "free":
        return start(body, case)
    terms = running_terms("plan-change", case)
    asked = terms_asked(body, case, terms.interval if body["plan"] != terms.plan else None)
    _comparable(terms, asked, body, case)
    if case.course.next_terms is not None and case.course.next_terms.plan == terms.plan:
        _one_at_a_time(terms)
    if asked.rank < terms.rank:
        return _downgrade(terms, asked)
    if asked.policy != terms.policy:
        raise RefusedError("B-06", f"{asked.plan} counts people otherwise: it goes through support")
    owes_nothing(case)
    if case.course.cancel_at is not None:
        raise ConflictError("the subscription is cancelled; it ends with its period")
    if case.purchased < asked.minimum:
        raise RefusedError(_least(asked), f"{asked.plan} is sold from {asked.minimum}; buy more licences first")
    fits(asked, case)
    return Verdict("plan.changed", {"terms": plans.written(asked), "from": "now"})


def _comparable(terms: Terms, asked: Terms, body: Body, case: Case) -> None:
    """Raises InvalidError for the plan that runs, RefusedError for one that is counted or priced in another way."""
    if asked.plan == terms.plan:
        raise InvalidError(f"the plan is {terms.plan} already", rule=terms.rules.role_rule)
    if asked.shape != terms.shape or asked.currency != terms.currency:
        raise RefusedError("XX-01", f"{asked.plan} is counted or priced otherwise; cancel, then sign up anew")
    if body.get("licences") not in (None, case.purchased):
        raise RefusedError("CW-15", "the number of licences is changed by licences, not with the plan")


def _one_at_a_time(terms: Terms) -> None:
    """Two changes that wait for one renewal could come to a pair that is not sold (BL-19). Raises ConflictError."""
    if terms.rules.methods:
        raise ConflictError("another change comes with the next renewal; ask again after it")


def _downgrade(terms: Terms, asked: Terms) -> Verdict:
    if terms.rules.downgrade == "refused":
        raise RefusedError(
            terms.rules.downgrade_rule, f"from {terms.plan} to {asked.plan} is impossible: cancel, then sign up anew"
        )
    if asked.rank == 0:
        return Verdict("subscription.cancelled", {"ends_in": "free"})
    return Verdict("plan.changed", {"terms": plans.written(asked), "from": "renewal"})


def interval_change(body: Body, case: Case) -> Verdict:
    """Another interval: a longer one as the plan says (TR-24, B-18), a shorter one not directly (TR-25)."""
    terms = running_terms("interval-change", case)
    asked = terms_asked({"plan": terms.plan}, case, str(body["interval"]))
    if asked.months == terms.months:
        raise InvalidError(f"the interval is {terms.interval} already")
    if case.course.cancel_at is not None:
        raise ConflictError("the subscription is cancelled; it ends with its period")
    how = terms.rules.to_longer if asked.months > terms.months else terms.rules.to_shorter
    if how == "refused":
        raise RefusedError(
            terms.rules.interval_rule,
            f"by the {terms.interval} cannot become by the {asked.interval}: cancel, wait for the end of the period, "
            f"then start by the {asked.interval}",
        )
    pays(asked, case.course.method)
    if how == "at_renewal" and case.course.next_terms is not None:
        _one_at_a_time(terms)
    if how == "at_renewal" and case.open_bill:
        raise RefusedError(terms.rules.interval_rule, "a bill is open; pay it before changing the term")
    if how == "at_renewal":
        return Verdict("interval.changed", {"terms": plans.written(asked), "from": "renewal"})
    owes_nothing(case)
    return Verdict("interval.changed", {"terms": plans.written(asked), "from": "now", "credited": how == "credited"})


def payment_method(body: Body, case: Case) -> Verdict:
    """Another card, or another way to pay; where pairs are sold, from the next renewal (TR-28, BL-19, B-21)."""
    trial = case.course.trial
    terms = (trial.registered or trial.terms) if trial else running_terms("payment-method", case)
    may_act("payment-method", terms, case)
    method = str(body["payment_method"])
    if not terms.rules.methods or (trial and not trial.registered):
        return Verdict("payment_method.updated", {"payment_method": method, "from": "now"})
    interval = str(body.get("interval") or terms.interval)
    asked = terms_asked({"plan": terms.plan}, case, interval)
    pays(asked, method)
    if (method, interval) == (trial.method if trial else case.course.method, terms.interval):
        return Verdict("payment_method.updated", {"payment_method": method, "from": "now"})
    if case.open_bill:
        raise RefusedError("B-21", "a bill is open; pay it before changing how to pay")
    if case.course.next_terms is not None and case.course.next_terms.plan != terms.plan:
        _one_at_a_time(terms)
    if not case.course.running:
        raise ConflictError("the trial is registered; how to pay can change once its first period runs")
    data = {"payment_method": method, "from": "renewal", "terms": plans.written(asked)}
    return Verdict("payment_method.updated", data)


def cancellation(body: Body, case: Case) -> Verdict:
    """The end with the period already paid; nothing is given back (TR-25, B-23, XX-06)."""
    if case.course.trial is not None:
        may_act("cancellation", case.course.trial.terms, case)
        return Verdict("subscription.cancelled", {})
    running_terms("cancellation", case)
    if case.course.cancel_at is not None:
        raise ConflictError("it is cancelled already")
    return Verdict("subscription.cancelled", {})


def refund(body: Body, case: Case) -> Verdict:
    """Everything since the upgrade, within the plan's days, of which the upgrade's is the first (TR-26, A-09)."""
    terms = running_terms("refund", case)
    rules = terms.rules
    if not rules.refund_days:
        raise RefusedError(rules.refund_rule, "paid time is not given back")
    mine = [one for one in case.course.stretches if one.subscription == case.course.subscription]
    upgraded = calendar.local_date(mine[0].opens, case.zone)
    last = upgraded + timedelta(days=rules.refund_days - 1)
    if mine[0].elsewhere:
        raise RefusedError(rules.refund_rule, "what was paid elsewhere is not refunded here")
    if calendar.local_date(case.now, case.zone) > last:
        raise RefusedError(rules.refund_rule, f"a refund could be asked for up to {last}, {rules.refund_days} days")
    return Verdict("refund.requested", {"rule": rules.refund_rule})


def migration(body: Body, case: Case) -> Verdict:
    """A lone user's contract moved into another one (CW-16 to CW-19, A-25, A-28): it ends, nothing is given back."""
    terms = case.course.terms
    if case.course.running:
        terms = running_terms("migration", case)
    elif case.course.state not in ("free", "closed"):
        raise ConflictError(f"the contract is {case.course.state}")
    if case.occupied > 1:
        raise RefusedError(
            "CW-16", f"{case.occupied} people use the contract; only one with its sole administrator moves"
        )
    if case.course.failing or case.course.suspended:
        raise RefusedError("B-15", "its own payment failed; nobody who owes or is suspended can be added elsewhere")
    free_target = case.target is None or case.target.rank == 0
    if terms is not None and case.course.running and free_target:
        raise RefusedError("CW-17", "someone on a paid plan cannot be added to a Free contract")
    if case.target_full is not None:
        raise RefusedError(case.target_full, "the contract to move into takes nobody more")
    return Verdict("contract.migrated", {"into": str(body["into"])})


def option(body: Body, case: Case) -> Verdict:
    """An option ordered: a one-off line at its price (BL-28)."""
    assert case.option is not None  # noqa: S101 - the edge looked it up
    terms = case.course.terms or (case.course.trial.terms if case.course.trial else None)
    if terms is not None and case.option.unit_amount:
        may_act("option", terms, case)
    one_currency(case.option, case)
    subscription = case.course.subscription or case.new
    data = {"option": str(body["option"]), "terms": plans.written(case.option), "subscription": subscription}
    return Verdict("option.ordered", data)


def late_facts(body: Body, case: Case) -> Verdict:
    """A person's word on facts older than the re-rating window: they move money from their own instant on (law 10)."""
    terms = case.course.terms
    if terms is not None:
        may_act("late-facts", terms, case)
    wanted = sorted({str(name) for name in body["facts"]})
    if unknown := [name for name in wanted if name not in case.late]:
        raise InvalidError(f"not waiting for a verdict: {', '.join(unknown)}")
    return Verdict("late.accepted", {"facts": wanted})


def rerate(body: Body, case: Case) -> Verdict:
    """Other terms for a period that was pinned: the catalogue's, as it now is for that period's first day (law 3)."""
    terms = running_terms("rerate", case)
    subscription = str(body.get("subscription") or case.course.subscription)
    key = (subscription, int(body["n"]))
    found = [one for one in case.course.stretches if one.key == key]
    if not found:
        raise InvalidError(f"no period {key[1]} of {key[0]} was billed")
    if found[0].elsewhere:
        raise ConflictError("that period was paid elsewhere, at the price agreed there")
    now = case.priced(found[0].plan, found[0].interval, calendar.local_date(found[0].opens, case.zone))
    if now.currency != terms.currency or now.shape != found[0].shape:
        raise ConflictError("the catalogue now counts or prices that plan otherwise; a period keeps its shape")
    return Verdict("period.rerated", {"subscription": key[0], "n": key[1], "terms": plans.written(now)})


COMMANDS: Mapping[str, Callable[[Body, Case], Verdict]] = {
    "subscription": start,
    "trial": trial,
    "registration": registration,
    "licences": licences,
    "plan-change": plan_change,
    "interval-change": interval_change,
    "payment-method": payment_method,
    "cancellation": cancellation,
    "refund": refund,
    "migration": migration,
    "option": option,
    "late-facts": late_facts,
    "rerate": rerate,
}
