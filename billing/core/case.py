"""What a command is judged against, and the questions that several commands ask of it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from billing.core.course import Course
from billing.core.errors import ConflictError, InvalidError, RefusedError
from billing.core.plans import Terms

Body = Mapping[str, Any]


def _unpriced(plan: str, interval: str, day: date) -> Terms:
    raise InvalidError(f"no price of {plan} by the {interval} is known for {day}")


#: The role of a question that nobody in particular asks: a quote (TR-27).
ANYBODY = "anybody"


@dataclass(frozen=True, slots=True)
class Case:
    """What a command is judged against. `occupied` seats and `purchased` ones; `offer` answers the terms of a plan by
    interval, as valid today (raises InvalidError without any). `new` is a fresh id, should a subscription begin.

    `users` counts under terms that do not run yet. `role`: the roster's where it knows one, else the caller's word.
    `open_bill`: an invoice is out and not paid.
    `invited`: the actor holds an invitation to another contract (CW-11). `target`: the plan of the contract to move
    into (CW-17), `target_full` the rule by which it takes nobody more, `option`: the terms of an option ordered.
    `late`: facts that wait for a verdict (law 10); `priced`: the catalogue's terms of a plan and interval on a day.
    `currency`: what the workspace was ever billed in; None: nothing yet.
    """

    now: datetime
    zone: str
    course: Course
    actor: str
    role: str | None
    new: str
    offer: Callable[[str], Mapping[str, Terms]]
    occupied: int = 0
    users: Callable[[Terms], int] | None = None
    purchased: int = 0
    open_bill: bool = False
    invited: bool = False
    target: Terms | None = None
    option: Terms | None = None
    target_full: str | None = None
    late: frozenset[str] = frozenset()
    priced: Callable[[str, str, date], Terms] = _unpriced
    currency: str | None = None

    def count(self, terms: Terms) -> int:
        """Who takes a seat under those terms."""
        return self.users(terms) if self.users else self.occupied


@dataclass(frozen=True, slots=True)
class Verdict:
    """An accepted command: the kind and data of its fact, and what the actor should know."""

    kind: str
    data: dict[str, Any]
    warnings: tuple[str, ...] = field(default=())


def may_act(command: str, terms: Terms, case: Case) -> None:
    """Raises RefusedError when the actor's role may not give this command (XX-05, TR-20, TR-28, BL-17)."""
    rules = terms.rules
    role = rules.roles[0] if case.actor == case.course.applicant else case.role  # BL-18: who applied is in charge
    if role not in (*rules.roles, ANYBODY):
        rule = rules.role_rules.get(command, rules.role_rule)
        who = " or ".join(name.replace("_", " ") for name in rules.roles)
        raise RefusedError(
            rule, f"only a workspace's {who} may do this; {case.actor} is {role or 'nobody known'}", actor=True
        )


def running_terms(command: str, case: Case) -> Terms:
    """The terms of the running subscription, after the actor's role. Raises ConflictError without one."""
    terms = case.course.terms
    if terms is None or not case.course.running or case.course.trial is not None:
        raise ConflictError(f"the workspace has no running subscription; its state is {case.course.state}")
    may_act(command, terms, case)
    return terms


def terms_asked(body: Body, case: Case, interval: str | None = None) -> Terms:
    """The terms of the plan asked for. Raises InvalidError naming the intervals there are."""
    offers = case.offer(str(body["plan"]))
    wanted = str(interval or body.get("interval") or next(iter(offers)))
    if wanted not in offers:
        rule = "BL-19" if next(iter(offers.values())).rules.methods else "TR-21"
        raise InvalidError(f"interval must be one of {', '.join(offers)}, not {wanted!r} ({rule})", rule=rule)
    return offers[wanted]


def one_currency(terms: Terms, case: Case) -> None:
    """Raises RefusedError when the workspace is, or was, billed in another currency: its credit is one sum (XX-01)."""
    running = case.course.trial.terms if case.course.trial else case.course.terms
    mine = case.currency or (running.currency if running and running.rank else None)
    if terms.unit_amount and mine not in (None, terms.currency):
        raise RefusedError("XX-01", f"{terms.plan} is priced in {terms.currency}, the workspace is billed in {mine}")


def fits(terms: Terms, case: Case) -> None:
    """Raises RefusedError when more people use the workspace than the plan's cap (XX-15, CW-04)."""
    for name in ("users", "collaborators"):
        cap, users = terms.caps.get(name), case.count(terms)
        if cap is not None and users > cap:
            rule = terms.cap_rules.get(name, "XX-15")
            raise RefusedError(rule, f"{terms.plan} holds {cap} {name}, the workspace has {users}")


def pays(terms: Terms, method: str | None) -> None:
    """Raises RefusedError for a (method, interval) pair that is not sold (BL-19), or no method where one is asked."""
    pairs = terms.rules.methods
    if pairs and method is None:
        raise RefusedError("BL-07", "a payment method must be chosen")
    if pairs and (method, terms.interval) not in pairs:
        sold = ", ".join(f"{one} by {interval}" for one, interval in pairs)
        raise RefusedError("BL-19", f"{terms.plan} is not sold by {method} every {terms.interval}; there is: {sold}")


def not_gone(case: Case) -> None:
    if case.course.state == "expired":
        raise RefusedError("BL-11", "its trial ended unregistered: the id stays reserved; only support can reopen it")
    if case.course.state == "migrated":
        raise RefusedError("CW-18", "the contract was moved into another one")


def owes_nothing(case: Case) -> None:
    if case.course.suspended or case.course.failing:
        raise ConflictError("something is unpaid; pay it first")
